"""What weights of interactions bring: ratings as weights, and counts of plays.

Two sets, each with a random tenth of the liked pairs held out, and NDCG@10 of finding those among
all items that the user has not rated (or played) in training:

    ml_1m     liked is a rating of 4 or 5. Trained on the liked pairs alone, on all ratings alike,
              and on all with weights: the rating, 2 to the power of rating − 3, or 2 for a 5 among
              the liked
    plays     generated: what a user likes is played a geometric number of times, four on average,
              and as many items again are played once by accident. Trained on all alike, on counts,
              and on what was played twice or more

Settings that a model leaves to the data are found on a tenth of the training part.

    python benchmarks/weights.py [--seeds 3] [--models centroid,ials] [--sets ml_1m,plays]
"""

import argparse
import sys

import numpy as np

import record

MODELS = ("centroid", "sml", "ials", "ease", "itemknn")
METRIC = "ndcg@10"


def ratings(tm, seed):
    """Yield ways of training: name, interactions; then what is held out, and what is seen."""
    data = tm.datasets.load("ml_1m")
    rng = np.random.default_rng(seed)
    liked = data.ratings >= 4
    held = liked & (rng.random(len(data)) < 0.1)
    train = data.take(~held)
    rating, liked = train.ratings, train.ratings >= 4
    ways = {
        "liked alone": train.take(liked),
        "all alike": train,
        "all, weight = rating": train.changed(weights=rating),
        "all, weight = 2^(rating - 3)": train.changed(weights=np.exp2(rating - 3)),
        "liked, a 5 counts 2": train.take(liked).changed(weights=1.0 + (rating[liked] == 5)),
    }
    return ways, data.take(held), train


def plays(tm, seed):
    planted = tm.synthetic.planted(3000, 1500, per_user=25, seed=seed).interactions
    rng = np.random.default_rng(seed)
    held = rng.random(len(planted)) < 0.1
    liked = planted.take(~held)
    accidents = rng.integers(planted.n_users * planted.n_items, size=len(liked))
    keys = liked.users.astype(np.int64) * planted.n_items + liked.items
    every, first = np.unique(np.concatenate([keys, accidents]), return_index=True)
    counts = np.concatenate([rng.geometric(0.25, len(liked)), np.ones(len(accidents))])[first]
    taken = np.divmod(every, planted.n_items)
    there = ~np.isin(every, planted.users.astype(np.int64)[held] * planted.n_items
                     + planted.items[held])  # fmt: skip
    users, items = (side[there].astype(np.int32) for side in taken)
    train = tm.Interactions.from_rows(planted.user_ids, planted.item_ids, users, items)
    counts = counts[there].astype(np.float32)
    ways = {
        "all alike": train,
        "weight = plays": train.changed(weights=counts),
        "weight = log2(1 + plays)": train.changed(weights=np.log2(1 + counts)),
        "played twice or more": train.take(counts > 1),
    }
    return ways, planted.take(held), train


SETS = {"ml_1m": ratings, "plays": plays}


def quality(tm, name, train, held, seen):
    """Train, and return NDCG@10 on what is held out."""
    from trimetric.data.csr import Csr
    from trimetric.evaluation import validator

    model = tm.create(name).fit(train)
    model.mark_seen(seen.changed(weights=None))
    held, seen = (part.align(model.user_ids, model.item_ids)[0] for part in (held, seen))
    return validator(held, Csr.of(seen), METRIC)(model.scorer)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--sets", default=",".join(SETS))
    options = parser.parse_args()
    import trimetric as tm

    figures = record.read("weights").get("figures", {})
    for part in options.sets.split(","):
        if part != "plays" and part not in tm.datasets.available():
            print(f"{part} was not found (set TRIMETRIC_DATA); left out")
            continue
        for name in options.models.split(","):
            found = {}
            for seed in range(options.seeds):
                ways, held, seen = SETS[part](tm, seed)
                for way, train in ways.items():
                    found.setdefault(way, []).append(quality(tm, name, train, held, seen))
            figures.setdefault(part, {})[name] = {
                way: record.mean_and_spread(values, 4) for way, values in found.items()
            }
            print(f"{part}, {name}: {figures[part][name]}", flush=True)
            record.write("weights", {"seeds": options.seeds, "metric": METRIC, "figures": figures})
    return 0


if __name__ == "__main__":
    sys.exit(main())
