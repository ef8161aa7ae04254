"""Seconds to the best quality of Spark's ALS, beside the default model.

    python benchmarks/spark.py [--sets gowalla_lightgcn,generated] [--interactions 2e7]
        [--ranks 32,64] [--regs .01,.1] [--alphas 1,10,40] [--threads 2] [--memory 12g]
        [--epochs N] [--ours-only] [--peers .venv-peers/bin/python] [--no-record]

Spark is pyspark's ALS with implicitPrefs, on local[threads], in twice as many blocks. Its settings
are those of a grid with the best NDCG@10 on the validation part, by this library's evaluation of
its factors; with them fewer iterations are tried too, and the fewest count that reach .999 of the
best. Where a grid would take hours, give it as one point, found on fewer interactions of the same
kind; the record keeps what was tried. Only that one fit is timed, twice, and the shorter counts,
without the start of Spark, whose pairs are in memory. CentroidML with its defaults trains on the
same pairs in a process of its own, twice: with its search for settings, and with what that found
given to it, as Spark is given its best. Its time is from the start of `fit`, with its checks of
quality, to the first check that passes Spark's best; with the settings given there is a check after
each epoch. The time of the whole fit, with the search, stands beside it, and that of all fits of
Spark's grid. With --ours-only Spark's figures are those of the record, of the same machine.
Qualities of the test part are given for both. Spark uses BLAS written in Java where the system has
no libblas.so.3; the record tells.

`gowalla_lightgcn` has its own three parts. `generated` has I interactions of I/20 users with I/200
items in 100 communities: four in five pairs are in the user's own; both are drawn with the density
1/(2√x) of an item's rank. Two items of 5,000 users each are its validation part and its test part.
Any other set is divided at random, .1 and .1 (ratings from 4, where there are any).
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import record

HERE = Path(__file__).parent
PEERS = HERE.parent / ".venv-peers" / "bin" / "python"
METRIC = "ndcg@10"
ITERATIONS = (3, 5, 10)  # the last one for the grid
ENOUGH = 0.999
COMMUNITIES, OWN, HELD_USERS = 100, 0.8, 5_000


def parts(name, interactions):
    """Return train, valid and test."""
    import trimetric as tm

    if name == "generated":
        return generated(interactions)
    if name == "gowalla_lightgcn":
        split = tm.split_column(tm.datasets.load(name))
        return split.train, split.valid, split.test
    data = record.liked(name)
    split = tm.split_random(data, test=0.1, valid=0.1, seed=0)
    return split.train, split.valid, split.test


def generated(interactions):
    """Return train, valid and test of users and items with communities."""
    import polars as pl

    import trimetric as tm

    rng = np.random.default_rng(0)
    n_users, n_items = interactions // 20, interactions // 200
    users = rng.integers(0, n_users, interactions)
    community = rng.integers(0, COMMUNITIES, n_users)[users]
    size = n_items // COMMUNITIES
    ranks = rng.random(interactions) ** 2
    own = rng.random(interactions) < OWN
    # rank r of community c is item r·C + c, so that all communities have equally popular items
    items = np.where(own, (ranks * size).astype(int) * COMMUNITIES + community, ranks * n_items)
    pairs = pl.DataFrame({"user": users, "item": items.astype(np.int64)}).unique()
    pairs = pairs.sort("user", "item").sample(fraction=1.0, shuffle=True, seed=0)
    place = pl.int_range(pl.len()).over("user")
    held = rng.permutation(n_users)[:HELD_USERS]
    pairs = pairs.with_columns(part=pl.when(pl.col("user").is_in(held)).then(place).otherwise(9))
    train = tm.Interactions(pairs.filter(pl.col("part") >= 4).drop("part"))
    test, valid = (
        tm.Interactions(pairs.filter(pl.col("part").is_between(low, low + 1)).drop("part"))
        for low in (0, 2)
    )
    return train, *(part.align(train.user_ids, train.item_ids)[0] for part in (valid, test))


def measured(train, valid, test):
    """Return what measures a scorer on the validation part, and on the test part."""
    from trimetric.data.csr import Csr
    from trimetric.evaluation import validator

    both = Csr.of(train).union(Csr.of(valid))
    return validator(valid, train, METRIC), validator(test, both, METRIC)


# --- Spark ----------------------------------------------------------------------------------------


def beside_spark(options, name, train, looks):
    """Return Spark's best settings, its seconds and qualities."""
    import polars as pl

    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        pairs = pl.DataFrame({"user": train.users, "item": train.items})
        pairs.with_columns(rating=pl.lit(1.0, pl.Float32)).write_parquet(f"{scratch}/train.parquet")
        del pairs
        spec = {"train": f"{scratch}/train.parquet", "threads": options.threads}
        spec |= {"blocks": 2 * options.threads}
        spec |= {"memory": options.memory, "scratch": scratch}
        peer = record.Peer(str(options.peers), str(HERE / "spark_als.py"), spec)
        rows = []

        def fit(rank, reg, alpha, iterations):
            asked = {"rank": rank, "regParam": reg, "alpha": alpha, "maxIter": iterations}
            told = peer.ask({**asked, "out": f"{scratch}/factors"})
            value = looks[0](scorer := factors(f"{scratch}/factors", train))
            rows.append({**asked, "seconds": round(told["seconds"], 2), "valid": round(value, 5)})
            print(f"  {name}: Spark {rows[-1]}", flush=True)
            rows[-1]["test"] = round(looks[1](scorer), 5)
            return rows[-1]

        for rank, reg, alpha in itertools.product(options.ranks, options.regs, options.alphas):
            fit(int(rank), reg, alpha, ITERATIONS[-1])
        best = max(rows, key=lambda row: row["valid"])
        same = [best["rank"], best["regParam"], best["alpha"]]
        fewer = [fit(*same, iterations) for iterations in ITERATIONS[:-1]]
        target = max(row["valid"] for row in rows)
        chosen = next((row for row in fewer if row["valid"] >= ENOUGH * target), best)
        again = fit(*same, chosen["maxIter"])
        chosen["seconds"] = min(chosen["seconds"], again["seconds"])
        peer.close()
    return {"target": target, "best": chosen, "tried": rows, "about": peer.about}


def factors(folder, train):
    """Return the scorer of Spark's factors; users and items without any have zeros."""
    import polars as pl

    from trimetric.engine.rows import padded_table
    from trimetric.space.inner_product import InnerProduct

    tables = []
    for kind, n in (("users", train.n_users), ("items", train.n_items)):
        frame = pl.read_parquet(f"{folder}/{kind}/*.parquet")
        rank = len(frame["features"][0])
        rows = np.zeros((n, rank), dtype=np.float32)
        rows[frame["id"].to_numpy()] = frame["features"].list.to_array(rank).to_numpy()
        tables.append(rows)
    rows = np.concatenate(tables)
    return InnerProduct(padded_table(rows), train.n_users, rows.shape[1])


# --- ours -----------------------------------------------------------------------------------------


def child(spec):
    """Fit CentroidML with its defaults, and print when each check of quality was done."""
    import trimetric as tm

    train, valid, test = parts(spec["set"], spec["interactions"])
    looks = measured(train, valid, test)
    settings = {"epochs": spec["epochs"]} if spec["epochs"] else {}
    settings |= spec["settings"]
    warm = train.take(np.arange(min(len(train), 2000))).compact()
    tm.CentroidML(epochs=1).fit(warm, progress=False)  # compiled before the clock starts
    checks = []

    class Clock(tm.Callback):
        def on_validation(self, epoch, metric, value):
            checks.append([epoch, round(time.perf_counter() - began, 3), round(value, 5)])

    model = tm.CentroidML(**settings)
    began = time.perf_counter()
    model.fit(train, valid, callbacks=[Clock()], progress=False)
    whole = time.perf_counter() - began
    kept = round(looks[0](model.scorer), 5)
    print(
        json.dumps(
            {
                "checks": checks,
                "seconds of the whole fit": round(whole, 2),
                "valid": kept,
                "test": round(looks[1](model.scorer), 5),
                "found": {
                    key: model.tuned[key] for key in model.get_params() if key in model.tuned
                },
                "peak_gb": round(record.memory("VmHWM") / 1e9, 2),
            },
            default=str,
        )
    )


def reached(ours, target):
    """Return the seconds until a fit was as good as the target; None if it never was."""
    passed = [seconds for _, seconds, value in ours["checks"] if value >= target]
    if not passed and ours["valid"] >= target:
        passed = [ours["seconds of the whole fit"]]
    return passed[0] if passed else None


def row_of(spark, ours, given):
    """Return the row of a set: ours with the search for settings, and with settings given."""
    fits = spark["tried"][: -len(ITERATIONS)]  # without fewer iterations, and the best once more
    grid = round(sum(row["seconds"] for row in fits), 2)
    pairs = {
        "settings given": (spark["best"]["seconds"], reached(given, spark["target"])),
        "with the search": (grid, reached(ours, spark["target"])),
    }
    row = {"target": spark["target"], "spark": spark, "ours": ours, "ours, settings given": given}
    for how, (theirs, seconds) in pairs.items():
        ratio = None if seconds is None else round(theirs / seconds, 2)
        row[how] = {"Spark": theirs, "ours": seconds, "ratio": ratio}
    return row


def numbers(text):
    return [float(part) for part in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default="gowalla_lightgcn,generated")
    parser.add_argument("--interactions", type=float, default=2e7)
    parser.add_argument("--ranks", type=numbers, default="32,64")
    parser.add_argument("--regs", type=numbers, default=".01,.1")
    parser.add_argument("--alphas", type=numbers, default="1,10,40")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="12g", help="of Spark")
    parser.add_argument("--epochs", type=int, help="of ours, for a quick try")
    parser.add_argument("--ours-only", action="store_true", help="Spark's figures as recorded")
    parser.add_argument("--scratch", default=None, help="folder for Spark's files")
    parser.add_argument("--peers", type=Path, default=PEERS, help="a Python that has pyspark")
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    if not options.peers.exists() and not options.ours_only:
        print(f"{options.peers} does not exist: run tools/peers first")
        return 2
    figures = record.read("spark").get("sets", {})
    for name in options.sets.split(","):
        interactions = int(options.interactions)
        key = f"generated, {interactions:,}" if name == "generated" else name
        train, valid, test = parts(name, interactions)
        print(f"{name}: {len(train):,} pairs, {train.n_users:,} users, {train.n_items:,} items")
        env = {"TRIMETRIC_THREADS": str(options.threads)}
        if options.ours_only:
            spark = figures[key]["spark"]
        else:
            spark = beside_spark(options, name, train, measured(train, valid, test))
        size = {"pairs": len(train), "users": train.n_users, "items": train.n_items}
        del train, valid, test
        spec = {"set": name, "interactions": interactions, "epochs": options.epochs}

        def fit(settings, spec=spec, env=env):
            told = json.dumps({**spec, "settings": settings})
            return record.child(__file__, "--child", told, env=env)

        ours = fit({})
        given = fit({**ours["found"], "validate_every": 1})
        row = figures[key] = {**size, **row_of(spark, ours, given), "date": record.now()}
        for how in ("settings given", "with the search"):
            theirs, seconds, ratio = row[how].values()
            reach = f"NDCG@10 {row['target']:.4f} in {seconds} s, Spark {theirs} s"
            print(f"{name}, {how}: {reach}: {ratio}x", flush=True)
        best = spark["best"]["test"]
        print(f"{name}: NDCG@10 of the test part {best:.4f} and {ours['test']:.4f}", flush=True)
        if not options.no_record:
            record.write("spark", {"threads": options.threads, "sets": figures})
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(json.loads(sys.argv[2]))
    else:
        os.environ.setdefault("TRIMETRIC_THREADS", "2")
        sys.exit(main())
