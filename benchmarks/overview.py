"""The first table of the README: quality, time and memory of the default beside three peers.

    python benchmarks/overview.py [--sets ml_1m,gowalla_lightgcn] [--seeds 3] [--threads 2]
        [--choose]

CentroidML with its defaults, EASE with its default, and ALS and BPR of implicit with the settings
that are best on the validation part of a small grid (seed 0), which --choose looks for and the
record keeps. Everybody trains on the same pairs,
without the validation part, which CentroidML stops and finds its settings by; that is in its time.
Each fit runs in a process of its own, whose peak of memory counts, with the data and all libraries.
Qualities are those of the test part, where validation items are no candidates: mean and standard
deviation over the seeds.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
import time

import numpy as np

import record

SYSTEMS = ("centroid", "ease", "implicit ALS", "implicit BPR")
METRICS = ("ndcg@10", "recall@20")
NOT_RUN = ("gowalla_lightgcn", "ease")  # inverts a matrix of 40,981 rows: 27 GB, and hours
GRIDS = {
    "implicit ALS": {
        "factors": (32, 64, 128),
        "regularization": (0.1, 10.0, 50.0, 200.0),
        "alpha": (10.0, 40.0),
        "iterations": (15,),
    },
    "implicit BPR": {
        "factors": (128,),
        "regularization": (0.001, 0.01, 0.1),
        "learning_rate": (0.01, 0.05),
        "iterations": (100,),
    },
}


def parts(name, seed):
    """Return train, valid and test of a set."""
    import trimetric as tm

    if name == "gowalla_lightgcn":
        split = tm.split_column(tm.datasets.load(name))
        if split.valid is not None:
            return split.train, split.valid, split.test
        inner = tm.split_random(split.train, test=0.1, seed=seed)
        return inner.train, inner.test, split.test
    data = record.liked(name)
    split = tm.split_per_user(data, test=0.2, valid=0.1, seed=seed)
    return split.train, split.valid, split.test


def trained(system, train, valid, settings, seed):
    """Return a scorer of a system and the seconds that it took to fit."""
    import trimetric as tm

    if not system.startswith("implicit"):
        model = tm.create(system, **settings, **({"seed": seed} if system != "ease" else {}))
        warm = train.take(np.arange(min(len(train), 2000))).compact()
        type(model)(**{**model.get_params(), **({"epochs": 1} if system != "ease" else {})}).fit(
            warm, progress=False
        )  # compiled, or loaded, before the clock starts
        began = time.perf_counter()
        model.fit(train, valid, progress=False)
        return model, time.perf_counter() - began
    from implicit.als import AlternatingLeastSquares
    from implicit.bpr import BayesianPersonalizedRanking
    from scipy.sparse import csr_matrix

    kind = AlternatingLeastSquares if system.endswith("ALS") else BayesianPersonalizedRanking
    matrix = csr_matrix(train.to_scipy())
    model = kind(**settings, random_state=seed, num_threads=int(os.environ["OMP_NUM_THREADS"]))
    began = time.perf_counter()
    model.fit(matrix, show_progress=False)
    return model, time.perf_counter() - began


def ranked(system, model, train):
    """Return what `evaluate` takes of a system."""
    if not system.startswith("implicit"):
        return model
    from trimetric.engine.rows import padded_table
    from trimetric.space.inner_product import InnerProduct

    rows = np.concatenate([model.user_factors, model.item_factors]).astype(np.float32)
    return InnerProduct(padded_table(rows), train.n_users, rows.shape[1])


def child(spec):
    """Fit once and print figures as JSON."""
    import trimetric as tm

    train, valid, test = parts(spec["set"], spec["split_seed"])
    record.forget_peak()
    model, seconds = trained(spec["system"], train, valid, spec["settings"], spec["seed"])
    peak = record.memory("VmHWM")
    scorer = ranked(spec["system"], model, train)
    held = valid if spec["part"] == "valid" else test
    how = tm.FullRanking(exclude="train") if spec["part"] == "valid" else tm.FullRanking()
    split = tm.Split(train, None if spec["part"] == "valid" else valid, held, {"method": "files"})
    result = tm.evaluate(scorer, split, how, metrics=METRICS)
    print(json.dumps({"seconds": seconds, "peak": peak, **result.metrics}))


def fit(spec, threads):
    """Run `child` in a fresh process."""
    count = str(threads)
    env = {"OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": "1", "TRIMETRIC_THREADS": count}
    if spec["system"] == "ease":
        env["OPENBLAS_NUM_THREADS"] = count
    return record.child(__file__, "--child", json.dumps(spec), env=env)


def best_settings(name, system, threads):
    """Return the settings of the grid that are best on the validation part."""
    grid, found = GRIDS.get(system, {}), []
    for values in itertools.product(*grid.values()):
        settings = dict(zip(grid, values, strict=True))
        spec = {"set": name, "system": system, "settings": settings, "seed": 0, "split_seed": 0}
        figures = fit({**spec, "part": "valid"}, threads)
        print(f"  {settings}: {figures[METRICS[0]]:.4f}, {figures['seconds']:.1f} s", flush=True)
        found.append((figures[METRICS[0]], len(found), settings))
    return max(found)[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default="ml_1m,gowalla_lightgcn")
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-record", action="store_true")
    parser.add_argument("--choose", action="store_true", help="look for the peers' settings only")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(json.loads(options.child))
        return 0
    figures = {} if options.no_record else record.read("overview")
    figures = {key: figures[key] for key in ("settings", "sets") if key in figures}
    for name, system in itertools.product(options.sets.split(","), options.systems.split(",")):
        if (name, system) == NOT_RUN:
            continue
        print(f"{name}, {system}", flush=True)
        chosen = figures.setdefault("settings", {}).setdefault(name, {})
        if options.choose or (system in GRIDS and system not in chosen):
            chosen[system] = best_settings(name, system, options.threads)
            if not options.no_record:
                record.write("overview", figures)
        if options.choose:
            continue
        settings, runs = chosen.get(system, {}), []
        for seed in range(options.seeds):
            spec = {"set": name, "system": system, "settings": settings, "part": "test"}
            runs.append(fit({**spec, "seed": seed, "split_seed": seed}, options.threads))
            print(f"  {runs[-1]}", flush=True)
        figures.setdefault("sets", {}).setdefault(name, {})[system] = {
            "settings": settings,
            "seconds": round(statistics.median(run["seconds"] for run in runs), 2),
            "peak_mb": round(max(run["peak"] for run in runs) / 1e6),
            **{m: record.mean_and_spread([run[m] for run in runs], 4) for m in METRICS},
        }
        if not options.no_record:
            head = {"seeds": options.seeds, "threads": options.threads, "load": os.getloadavg()[0]}
            record.write("overview", {**head, **figures})
    return 0


if __name__ == "__main__":
    sys.exit(main())
