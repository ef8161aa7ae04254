"""Quality of training in parts beside training whole.

    python benchmarks/scale_quality.py [--sets ml_1m,citeulike_a] [--models centroid,sml]
        [--parts 8,32] [--seeds 3] [--no-record]

Both train with the library's defaults on the same pairs, and stop by the same validation part.
Settings that are left to the data are found once for each seed, whole, and given to the others.
The figures are NDCG@10 of the test part: mean and standard deviation over seeds, and the mean over
seeds of the quotient of each P by P = 1. Processor seconds are those of training.
"""

import argparse
import statistics
import sys
import time

import overview
import record

METRIC = "ndcg@10"


def trained(name, model, n_parts, seed, settings):
    """Return NDCG@10, processor seconds, and what was found."""
    import trimetric as tm

    if name == "yelp2018_lightgcn":
        name_split = tm.split_column(tm.datasets.load(name))
        inner = tm.split_random(name_split.train, test=0.1, seed=seed)
        train, valid, test = inner.train, inner.test, name_split.test
    else:
        train, valid, test = overview.parts(name, seed)
    began = time.process_time()
    made = tm.create(model, seed=seed, **settings)
    made.fit(train, valid, partitions=n_parts, progress=False)
    seconds = time.process_time() - began
    split = tm.Split(train, valid, test, {"method": "files"})
    found = {key: made.tuned[key] for key in made.get_params() if key in made.tuned}
    best = made.provenance["best_epoch"]
    return tm.evaluate(made, split, metrics=[METRIC])[METRIC], seconds, found, best


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default="citeulike_a,ml_1m,gowalla_lightgcn,yelp2018_lightgcn")
    parser.add_argument("--models", default="centroid,sml")
    parser.add_argument("--parts", default="8,32")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    kept = {} if options.no_record else record.read("scale_quality")
    rows = kept.get("rows", {})
    numbers = [1, *map(int, options.parts.split(","))]
    for name in options.sets.split(","):
        for model in options.models.split(","):
            runs = {n: [] for n in numbers}
            for seed in range(options.seeds):
                settings = {}
                for n_parts in numbers:
                    *figures, found, best = trained(name, model, n_parts, seed, settings)
                    settings = settings or found
                    runs[n_parts].append(figures)
                    told = f"{figures[0]:.4f} after {best} epochs, {figures[1]:.0f} s"
                    print(f"{name} {model} P={n_parts} seed {seed}: {told}", flush=True)
                row = rows[f"{name} {model}"] = {"seeds": seed + 1}
                for n_parts, values in runs.items():
                    qualities = [quality for quality, _ in values]
                    whole = [quality for quality, _ in runs[1]]
                    row[str(n_parts)] = {
                        METRIC: record.mean_and_spread(qualities, 4),
                        "beside_whole": round(
                            statistics.mean(q / w for q, w in zip(qualities, whole, strict=True)), 4
                        ),
                        "processor_seconds": round(statistics.mean(s for _, s in values)),
                    }
                print(f"{name} {model}: {row}", flush=True)
                if not options.no_record:
                    record.write("scale_quality", {"metric": METRIC, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
