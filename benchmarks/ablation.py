"""What each part of the recipe brings: one change at a time, on validation data alone.

Six data sets as in quality.py, each with its protocol; the recipe finds what it leaves to the data
once for a data set (sml its temperature; centroid also kappa and reconstruction), and every change
that leaves these alone keeps them.

    python benchmarks/ablation.py [--model centroid] [--seeds 2] [--threads 2]

Results of single fits are kept in benchmarks/runs, so that an interrupted run goes on.
"""

import argparse
import sys
from dataclasses import replace

import record
from quality import BENCHES, RUNS, UNSEEN, say

HINGE = {"temperature": 0.0, "lr": 0.2}
LEARNED = {"adaptive_users": True, "adaptive_items": True}
OF_CENTROID = {
    "the recipe": {},
    "users are their mean alone (ω = 0)": {"own": 0.0},
    "ω = .2": {"own": 0.2},
    "ω = .6": {"own": 0.6},
    "users are their own point alone (ω = 1)": {"own": 1.0},
    "items not composed of users (κ = 0)": {"kappa": 0.0},
    "κ = 1": {"kappa": 1.0},
    "κ = 2": {"kappa": 2.0},
    "all items weigh the same (h = 1)": {"weight_rate": 0.0},
    "no bias": {"bias_rate": 0.0},
    "no second objective (w = 0)": {"reconstruction": 0.0},
    "w = .25": {"reconstruction": 0.25},
    "512 candidates": {"candidates": 512},
    "2048 candidates": {"candidates": 2048},
    "10 epochs": {"epochs": 10},
    "60 epochs": {"epochs": 60},
    "margin .5": {"margin": 0.5},
    "margin 2": {"margin": 2.0},
    "d = 64 + 64": {"dim": 64, "reconstruction_dim": 64},
    "d = 256 + 256": {"dim": 256, "reconstruction_dim": 256},
}
OF_SML = {
    "the recipe": {},
    "no item hinge (λ = 0)": {"lam": 0.0},
    "item hinge with full weight (λ = 1)": {"lam": 1.0},
    "margins learned": LEARNED,
    "margins learned, γ = 256: half of the hinges active": {**LEARNED, "gamma": 256.0},
    "margins learned, the paper's γ = 10": {**LEARNED, "gamma": 10.0},
    "margins learned, limit 2": {**LEARNED, "margin": 2.0, "item_margin": 2.0},
    "10 candidates": {"candidates": 10},
    "on the sphere": {"sphere": True},
    "d = 200": {"dim": 200},
    "plain hinge, hardest of 10": HINGE,
    "plain hinge, hardest of 10, margins learned": {**HINGE, **LEARNED},
    "plain hinge, hardest of 10, margins learned, γ = 256": {**HINGE, **LEARNED, "gamma": 256.0},
    "plain hinge, hardest of 50": {**HINGE, "candidates": 50},
    "one uniform negative": {"negatives": "uniform", "lr": 0.2},
}


CHANGES = {"centroid": OF_CENTROID, "sml": OF_SML}
RECORDS = {"centroid": "ablation_centroid", "sml": "ablation"}


def ablated(bench, model, seeds):
    """All changes with each seed; a plan of `experiments.study`."""
    from trimetric.experiments.jobs import Job, seeded

    base = Job(
        bench.data, model, {"metric": bench.shown[0]}, part="valid", protocols=(bench.protocol,)
    )
    [first] = yield [base]
    found = {name: value for name, value in first["tuned"].items() if "tried" not in name}
    jobs = []
    for change in CHANGES[model].values():
        plain = change.get("negatives", "hardest") != "hardest"
        settings = {**base.settings, **({} if plain else found), **change}
        jobs += seeded(replace(base, settings=settings), seeds)
    results = yield jobs
    rows = {name: results[i * seeds : (i + 1) * seeds] for i, name in enumerate(CHANGES[model])}
    return found, rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=list(CHANGES), default="centroid")
    parser.add_argument("--sets", default="", help="names, separated by commas; six by default")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    import trimetric as tm
    from trimetric.experiments import study

    wanted = options.sets.split(",") if options.sets else []
    benches = [
        b
        for b in BENCHES
        if (b.data in wanted if wanted else b.protocol != "lightgcn" and b.data not in UNSEEN)
    ]
    missing = [bench.data for bench in benches if not tm.datasets.has(bench.data)]
    if missing:
        print(f"{', '.join(missing)} not found: set TRIMETRIC_DATA to the folder that holds them")
        return 2
    names = CHANGES[options.model]
    figures = {"seeds": options.seeds, "sets": {}, "changes": {name: {} for name in names}}
    for bench in benches:
        plans, splits = (
            {"all": ablated(bench, options.model, options.seeds)},
            {bench.data: bench.load(tm)},
        )
        found = study.run(plans, splits, RUNS, workers=options.threads, log=say)
        tuned, rows = found["all"]
        metric = bench.shown[0]
        figures["sets"][bench.data] = {"metric": metric, **tuned}
        print(f"\n{bench.data}: {metric} of the validation part, {tuned}")
        for name, runs in rows.items():
            values = [run["metrics"][bench.protocol][metric] for run in runs]
            figures["changes"][name][bench.data] = record.mean_and_spread(values, 5)
            print("  {:<50} {:.4f} ± {:.4f}".format(name, *figures["changes"][name][bench.data]))
    record.write(RECORDS[options.model], figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
