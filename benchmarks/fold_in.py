"""How well and how fast new users are placed: a tenth of the users, left out of training.

Their NDCG@10 on the validation part, placed from their training items, beside that of the same
users when they were trained with all others. One thread.

    python benchmarks/fold_in.py [--seeds 3]
"""

import argparse
import statistics
import sys
import time

import numpy as np

import record

SETS = {"ml_1m": {"min_rating": 4}, "citeulike_a": {}}


def measured(split, seed):
    import trimetric as tm
    from trimetric.engine.fold_in import fold_in
    from trimetric.evaluation import validator

    train = split.train
    left_out = np.random.default_rng(seed).random(train.n_users) < 0.1
    theirs = left_out[train.users]
    full = tm.SML(seed=seed).fit(train, split.valid)
    settings = {"temperature": full.temperature, "seed": seed}
    part = tm.SML(**settings).fit(train.take(~theirs))
    measure = validator(split.valid.take(left_out[split.valid.users]), train, "ndcg@10")
    users = np.flatnonzero(left_out)
    counts = np.bincount(train.users[theirs], minlength=train.n_users)[users]
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    pull = indptr, train.items[theirs], np.ones(theirs.sum(), dtype=np.float32)
    fold_in(pull, part.items, part.temperature, 1.0, threads=1)  # compiles
    began = time.perf_counter()
    placed = fold_in(pull, part.items, part.temperature, 1.0, threads=1)
    seconds = time.perf_counter() - began
    part._points[users, : placed.shape[1]] = placed
    return {
        "trained": measure(full),
        "placed": measure(part),
        "ms a user": seconds / len(users) * 1e3,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()

    import trimetric as tm

    figures = {"seeds": options.seeds}
    for name, rules in SETS.items():
        if name not in tm.datasets.available():
            print(f"{name} was not found: set TRIMETRIC_DATA to the folder that holds it")
            continue
        data = tm.datasets.load(name, **rules)
        split = tm.split_random(data, test=0.1, valid=0.1, seed=0)
        rows = [measured(split, seed) for seed in range(options.seeds)]
        figures[name] = {
            key: [
                round(f([row[key] for row in rows]), 4)
                for f in (statistics.mean, statistics.pstdev)
            ]
            for key in rows[0]
        }
        shares = [row["placed"] / row["trained"] for row in rows]
        figures[name]["placed / trained"] = round(statistics.mean(shares), 4)
        print(name, figures[name])
    record.write("fold_in", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
