"""How well and how fast new users are placed: a tenth of the users, left out of training.

Two models: one trained on all users, one that never sees a pair of the tenth, neither to train,
nor to find its temperature, nor to stop. The latter places the tenth by their training items.
NDCG@10 of the tenth on the test part, all items but those of train and valid being candidates,
beside the same users in the model that was trained on them. Placing runs on one thread: all of them
in one call, and one call a user from original ids on. SML and CentroidML, all with their defaults.

    python benchmarks/fold_in.py [--seeds 3] [--models sml,centroid] [--sets ml_1m,citeulike_a]
"""

import argparse
import sys
import time

import numpy as np

import record
from record import on_threads

SETS = {"ml_1m": {"min_rating": 4}, "citeulike_a": {}}
MODELS = ("sml", "centroid")
SHARE = 0.1


def measured(split, kind, seed):
    import trimetric as tm
    from trimetric.data.csr import Csr
    from trimetric.evaluation import validator

    train, valid = split.train, split.valid
    left_out = np.random.default_rng(seed).random(train.n_users) < SHARE
    full = tm.create(kind, seed=seed).fit(train, valid)
    rest = train.take(~left_out[train.users]), valid.take(~left_out[valid.users])
    part = tm.create(kind, seed=seed).fit(*rest)

    theirs = train.take(left_out[train.users])
    users = np.flatnonzero(np.diff(theirs.indptr))
    indptr = np.concatenate([[0], np.diff(theirs.indptr)[users].cumsum()])
    weights = np.ones(len(theirs), dtype=np.float32)

    def place():
        return on_threads(1, lambda: part.scorer.place((indptr, theirs.items), weights))

    place()  # compiles
    together, placed = record.timed(place), place()
    histories = [
        theirs.item_ids.decode(theirs.items[theirs.indptr[u] : theirs.indptr[u + 1]]).to_list()
        for u in users
    ]
    began = time.perf_counter()
    for history in histories:
        part.fold_in(history)
    alone = time.perf_counter() - began

    part.user_embeddings[users] = placed  # a live view
    known = Csr.of(train).union(Csr.of(valid))
    measure = validator(split.test.take(left_out[split.test.users]), known, "ndcg@10")
    trained, folded = measure(full.scorer), measure(part.scorer)
    return {
        "trained": trained,
        "placed": folded,
        "placed / trained": folded / trained,
        "ms a user, in one call": together() / len(users) * 1e3,
        "ms a user, one call each": alone / len(users) * 1e3,
        "users": len(users),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--sets", default=",".join(SETS))
    options = parser.parse_args()

    import trimetric as tm

    figures = {"seeds": options.seeds, "sets": record.read("fold_in").get("sets", {})}
    for name in options.sets.split(","):
        if name not in tm.datasets.available():
            print(f"{name} was not found: set TRIMETRIC_DATA to the folder that holds it")
            continue
        data = tm.datasets.load(name, **SETS.get(name, {}))
        split = tm.split_random(data, test=0.1, valid=0.1, seed=0)
        for kind in options.models.split(","):
            rows = [measured(split, kind, seed) for seed in range(options.seeds)]
            label = f"{name}, {kind}"
            figures["sets"][label] = {
                key: record.mean_and_spread([row[key] for row in rows], 4) for key in rows[0]
            }
            print(label, figures["sets"][label], flush=True)
            record.write("fold_in", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
