"""A new day brought into a trained space, beside the old model and beside training anew.

Two sets, each parted into what the old model was trained on, the new day, and what comes after:

    ml_100k  by time: 80 / 10 / 10 per cent; most of the day is of users who were not there before
    ml_1m    by chance: a twentieth of the users and of the items come with the day, with all they
             have, and so does a twentieth of the other pairs; a tenth of all is what comes after

Of each model NDCG@10 on what comes after, all items but those of the old part and the day being
candidates: of everybody, of users known before, and of users who came with the day. The old model
with the newcomers placed and nothing moved; after `partial_fit`; and trained anew on both parts.
Settings that are left to the data are found on the old part and kept, so that training anew is not
charged with the search. CentroidML takes a day in without epochs: its means move, so that placing
alone has no row of its own. How far old points move is told beside how far a user is from what they
have. The settings of SML's `partial_fit` were chosen with the parts shifted: on ml_100k one step
earlier in time, on ml_1m and citeulike_a with another tenth as what comes after.

    python benchmarks/partial_fit.py [--seeds 3] [--models sml,centroid] [--sets ml_100k,ml_1m]
"""

import argparse
import sys

import numpy as np

import record

NEW = 0.05


def by_time(tm, seed):
    data = tm.datasets.load("ml_100k", min_rating=4)
    split = tm.split_temporal(data, test=0.1, valid=0.1)
    return split.train, split.valid, split.test


def by_chance(tm, seed):
    data = tm.datasets.load("ml_1m", min_rating=4)
    split = tm.split_random(data, test=0.1, valid=0.1, seed=0)
    rng, base = np.random.default_rng(seed), split.train
    users, items = (rng.random(n) < NEW for n in (data.n_users, data.n_items))
    late = users[base.users] | items[base.items] | (rng.random(len(base)) < NEW)
    return base.take(~late), base.take(late), split.test


SETS = {"ml_100k": by_time, "ml_1m": by_chance}
MODELS = {"sml": ("temperature",), "centroid": ("temperature", "kappa", "reconstruction")}
"""Models, and their settings that are found by trials."""


def together(tm, *parts):
    import polars as pl

    frames = [part.to_frame().select("user", "item") for part in parts]
    return tm.Interactions.from_frame(pl.concat(frames))


def qualities(model, after, known, was_there):
    """Return NDCG@10 of everybody, of those who were there before, and of those who came."""
    from trimetric.data.csr import Csr
    from trimetric.evaluation import validator

    held, seen = (part.align(model.user_ids, model.item_ids)[0] for part in (after, known))
    before = np.isin(model.user_ids.values.to_numpy(), was_there)[held.users]
    groups = {"everybody": np.ones(len(held), dtype=bool), "known": before, "new": ~before}
    return {
        name: validator(held.take(group), Csr.of(seen), "ndcg@10")(model.scorer)
        for name, group in groups.items()
    }


def movement(before, after):
    """Return how far old users and items moved on average, beside a user and what they have."""
    found = {}
    for side in ("user", "item"):
        rows = getattr(after, f"{side}_ids").encode(getattr(before, f"{side}_ids").values)
        moved = getattr(after, f"{side}_embeddings")[rows] - getattr(before, f"{side}_embeddings")
        found[side] = float(np.linalg.norm(moved, axis=1).mean())
    pairs = before.user_embeddings[before.seen.users] - before.item_embeddings[before.seen.items]
    typical = float(np.median(np.linalg.norm(pairs, axis=1)))
    return {"typical distance": typical, **{f"{s} moved": d / typical for s, d in found.items()}}


def measured(tm, parts, kind, seed):
    old, day, after = (part.compact() for part in parts)
    known, was_there = together(tm, old, day), old.user_ids.values.to_numpy()
    first = tm.create(kind, seed=seed).fit(old)
    anew = tm.create(kind, seed=seed, **{name: first.tuned[name] for name in MODELS[kind]})
    placed, updated = copies(tm, first, 2)
    for model in copies(tm, first, 1):
        model.partial_fit(day, epochs=1)  # compiles
    runs = {
        "partial_fit": lambda: updated.partial_fit(day),
        "trained anew": lambda: anew.fit(known),
    }
    models = {"partial_fit": updated, "trained anew": anew}
    if kind == "sml":
        runs = {"placed": lambda: placed.partial_fit(day, epochs=0), **runs}
        models = {"placed": placed, **models}
    seconds = {name: record.timed(run)() for name, run in runs.items()}
    row = {
        f"{name}, {group}": value
        for name, model in models.items()
        for group, value in qualities(model, after, known, was_there).items()
    }
    row["partial_fit / trained anew"] = (
        row["partial_fit, everybody"] / row["trained anew, everybody"]
    )
    row |= {f"{name}, seconds": value for name, value in seconds.items()}
    new_users, new_items = (
        len(getattr(updated, f"{side}_ids")) - len(getattr(first, f"{side}_ids"))
        for side in ("user", "item")
    )
    sizes = {"pairs of the day": len(day), "new users": new_users, "new items": new_items}
    return row | movement(first, updated) | sizes


def copies(tm, model, count):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        model.save(folder)
        return [tm.load(folder) for _ in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--sets", default=",".join(SETS))
    options = parser.parse_args()

    import trimetric as tm

    figures = {"seeds": options.seeds, "sets": record.read("partial_fit").get("sets", {})}
    for name in options.sets.split(","):
        if name not in tm.datasets.available():
            print(f"{name} was not found: set TRIMETRIC_DATA to the folder that holds it")
            continue
        for kind in options.models.split(","):
            rows = [measured(tm, SETS[name](tm, seed), kind, seed) for seed in range(options.seeds)]
            label = f"{name}, {kind}"
            figures["sets"][label] = {
                key: record.mean_and_spread([row[key] for row in rows], 4) for key in rows[0]
            }
            print(label, figures["sets"][label], flush=True)
            record.write("partial_fit", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
