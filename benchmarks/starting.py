"""What starting from another model does: quality, and how far users and items move.

An old model is trained without a tenth of the training part, then others on all of it: anew, from
the old one, and from it with an anchor. Split per user, ratings from 4 of MovieLens; NDCG@10 of the
test part. Settings that are left to the data are found by the old model, and taken over by those
that start from it; training anew finds its own. Moves are medians over the users and items that
both know, in units of the median distance between a user and an item of the old model, as
`provenance["start"]` tells them.

    python benchmarks/starting.py [--data ml_100k] [--models centroid,sml] [--epochs N]
        [--no-record]
"""

import argparse
import sys

import record

METRIC = "ndcg@10"
ANCHORS = (0.0, 0.05, 0.3)


def moved(old, new, data):
    """Return how far users and items have moved from one model to another."""
    from trimetric.models.starting import start_of

    told = start_of(new, old, 0.0).told(new.scorer, data)["moved"]
    return {f"{side} moved": way for side, way in told.items()}


def measured(name, split, settings):
    """Return quality and moves of each way to train."""
    import trimetric as tm

    old_part = tm.split_random(split.train, test=0.1, valid=0, seed=0).train
    old = tm.create(name, **settings).fit(old_part, split.valid, progress=False)
    ways = {"trained anew": {}}
    for anchor in ANCHORS:
        way = f"with anchor {anchor:g}" if anchor else "started from the old model"
        ways[way] = {"start": old, "anchor": anchor}
    found = {}
    for way, how in ways.items():
        model = tm.create(name, **settings).fit(split.train, split.valid, progress=False, **how)
        found[way] = {
            METRIC: round(tm.evaluate(model, split, metrics=[METRIC])[METRIC], 4),
            **moved(old, model, split.train),
        }
        print(f"{name}, {way}: {found[way]}", flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="ml_100k")
    parser.add_argument("--models", default="centroid,sml")
    parser.add_argument("--epochs", type=int, help="of each training; the models' own otherwise")
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    import trimetric as tm

    split = tm.split_per_user(record.liked(options.data), test=0.2, valid=0.1, seed=0)
    names = options.models.split(",")
    settings = {} if options.epochs is None else {"epochs": options.epochs}
    figures = {name: measured(name, split, settings) for name in names}
    if not options.no_record:
        record.write("starting", {"data": options.data, "models": figures}, names)
    return 0


if __name__ == "__main__":
    sys.exit(main())
