"""Quality as `trimetric fit` gives it without options, beside published figures and peers.

For each data set: CentroidML with its defaults, and with 256 dimensions where that is asked for;
SML with its defaults, and with as many trials as the peers; EASE and iALS, tuned on the validation
part. Each is trained with several seeds (EASE has no chance in it), and evaluated on the test part
once. Protocols:

    dpcml      Bao et al., NeurIPS 2022: ratings of 4 or more, users with 5 or more interactions,
               60/20/20 per user, candidates are all items but the training items, NDCG@5 over
               users with 5 or more test items, MAP over users with 3 or more
    lightgcn   the split of He et al., SIGIR 2020: its train and valid together are what the
               published figures were trained on; settings are found with valid held out, which is
               cut from train where the split ships none
    full       random 80/10/10, all items but those of train and valid are candidates

The last two sets were not looked at until the recipe was settled.

    python benchmarks/quality.py [--seeds 3] [--trials 8] [--sets ml_1m,...] [--rows centroid,...]

With --rows only rows whose name begins so are made; the others stay in the record as they are.
Results of single fits are kept in benchmarks/runs, so that an interrupted run goes on.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import record

UNSEEN = ("imdb_tang2015_train_partial", "yelp2013_tang2015_train_partial")
RUNS = Path(__file__).parent / "runs"
RATIO = "ratio of centroid, defaults, to"
DPCML = "DPCML, table 2"
BARS = "BARS leaderboard"


@dataclass(frozen=True)
class Bench:
    """A data set, its protocol, and what others have reached there."""

    data: str
    protocol: str
    shown: tuple[str, ...]  # the first is what is tuned for
    load: Callable
    published: dict = field(default_factory=dict)  # (model, source): values in the order of `shown`
    peers: tuple[str, ...] = ("ease", "ials")
    tuned: bool = True  # whether SML is also tuned, to know what its defaults leave
    wide: bool = False  # whether CentroidML also has 256 dimensions


def random_split(name):
    def load(tm):
        return tm.split_random(tm.datasets.load(name), test=0.1, valid=0.1, seed=0)

    return load


def per_user_split(name, **rules):
    def load(tm):
        data = tm.datasets.load(name, **rules).k_core(users=5)
        return tm.split_per_user(data, test=0.2, valid=0.2, seed=0)

    return load


def shipped_split(name):
    def load(tm):
        from trimetric.data import Split

        split = tm.split_column(tm.datasets.load(name))
        if split.valid is not None:
            return split
        inner = tm.split_random(split.train, test=0.1, seed=0)
        sizes = {
            part: len(pairs)
            for part, pairs in (
                ("train", inner.train), ("valid", inner.test), ("test", split.test),
            )
        }  # fmt: skip
        return Split(inner.train, inner.test, split.test, {"method": "column", "pairs": sizes})

    return load


BENCHES = (
    Bench(
        "ml_1m",
        "dpcml",
        ("map", "ndcg@5"),
        per_user_split("ml_1m", min_rating=4),
        {
            ("CML, uniform negatives", DPCML): (0.1240, 0.1879),
            ("CML, hard negatives", DPCML): (0.1574, 0.2577),
            ("DPCML, hard negatives", DPCML): (0.1609, 0.2616),
        },
        peers=("ease",),
    ),
    Bench(
        "citeulike_t",
        "dpcml",
        ("map", "ndcg@5"),
        per_user_split("citeulike_t"),
        {
            ("CML, hard negatives", DPCML): (0.0667, 0.1125),
            ("DPCML, hard negatives", DPCML): (0.0644, 0.1147),
        },
        peers=(),  # EASE would invert a matrix of 25,584 rows for each trial
        tuned=False,
    ),
    Bench(
        "gowalla_lightgcn",
        "lightgcn",
        ("recall@20", "ndcg@20"),
        shipped_split("gowalla_lightgcn"),
        {
            ("CML", BARS): (0.1670, 0.1292),
            ("EASE", BARS): (0.1765, 0.1467),
            ("LightGCN", BARS): (0.1820, 0.1547),
            ("SimpleX", BARS): (0.1872, 0.1557),
            ("BSPM-EM", BARS): (0.1920, 0.1597),
            ("ChebyCF, not one point a user", "its paper"): (0.1941, 0.1616),
            ("BSL-MF, one point a user", "its paper"): (0.1882, 0.1584),
        },
        peers=(),
        tuned=False,
        wide=True,
    ),
    Bench(
        "yelp2018_lightgcn",
        "lightgcn",
        ("recall@20", "ndcg@20"),
        shipped_split("yelp2018_lightgcn"),
        {
            ("SimpleX", BARS): (0.0701, 0.0575),
            ("BSL-MF, one point a user", "its paper"): (0.0725, 0.0599),
            ("BSL-LightGCN", "its paper"): (0.0744, 0.0617),
        },
        peers=(),
        tuned=False,
        wide=True,
    ),
    *(
        Bench(
            name, "full", ("ndcg@10", "recall@20"), random_split(name), wide=name == "citeulike_a"
        )
        for name in (
            "amazon_instant_video_5core",
            "ml_100k",
            "yelp_core40",
            "citeulike_a",
            *UNSEEN,
        )
    ),
)


WIDE = {"dim": 256, "reconstruction_dim": 256}


def defaults(bench, model, seeds, wide=False):
    """A model as it comes, with each seed; a plan of `experiments.study`.

    With `wide` the settings that the model finds are those that it found with its usual dimensions.
    """
    from trimetric.experiments.jobs import Job, seeded

    settings = {"metric": bench.shown[0]}
    job = Job(bench.data, model, settings, protocols=(ranking(bench),))
    if bench.protocol != "lightgcn" and not wide:
        found = yield seeded(job, seeds)
        return found
    [chosen] = yield [replace(job, part="valid")]
    found = {name: value for name, value in chosen["tuned"].items() if "tried" not in name}
    job = replace(job, settings={**settings, **found, **(WIDE if wide else {})})
    split = whole(bench) if bench.protocol == "lightgcn" else bench.data
    found = yield seeded(replace(job, split=split), seeds)
    return [{**run, "settings": job.settings} for run in found]


def tuned(bench, model, trials, seeds):
    """A model after so many trials on the validation part, with each seed."""
    from trimetric.experiments.jobs import Job, seeded
    from trimetric.experiments.tune import tuned as search

    settings = {"metric": bench.shown[0]} if model == "sml" else {}
    job = Job(bench.data, model, settings, protocols=(ranking(bench),))
    chosen, _ = yield from search(job, trials, bench.shown[0])
    found = yield seeded(replace(job, settings=chosen), seeds)
    return [{**run, "settings": chosen} for run in found]


def ranking(bench):
    return "full" if bench.protocol == "lightgcn" else bench.protocol


def whole(bench):
    return f"{bench.data}, valid in train"


def with_valid(tm, bench, split):
    """Return the split with its validation part in train, where nothing is held out to choose."""
    from trimetric.data import Split

    data = tm.datasets.load(bench.data)
    train = data.take(data.labels != "test")
    sizes = {"train": len(train), "valid": 0, "test": len(split.test)}
    return Split(train, None, split.test, {"method": "column", "pairs": sizes})


def mean_and_spread(runs, bench, metric):
    values = [run["metrics"][ranking(bench)][metric] for run in runs]
    return record.mean_and_spread(values, 5)


def told(bench, results, before):
    """Return the figures of a data set, and print its table; rows of `before` stay."""
    kept = {name: row for name, row in before.items() if "ratio" not in name}
    figures = {**kept, "protocol": bench.protocol, "published": {}}
    head = "  ".join(f"{name:>16}" for name in bench.shown)
    print(f"\n{bench.data}, protocol {bench.protocol}\n{'':<38}{head}    seconds a fit")
    for (model, source), values in bench.published.items():
        figures["published"][f"{model} ({source})"] = dict(zip(bench.shown, values, strict=True))
        cells = "  ".join(f"{value:16.4f}" for value in values)
        print(f"{f'{model} ({source})':<38}{cells}")
    for name, runs in results.items():
        errors = [run["error"] for run in runs if "error" in run]
        if errors:
            figures[name] = {"error": errors[0]}
            print(f"{name:<38}{errors[0]}")
            continue
        row = {metric: mean_and_spread(runs, bench, metric) for metric in bench.shown}
        row["seconds"] = round(statistics.mean(run["seconds"] for run in runs), 1)
        row["seeds"] = len(runs)
        row["made"] = record.now()
        row["settings"] = runs[0].get("settings", {})
        row |= {key: runs[0][key] for key in ("tuned",) if key in runs[0]}
        figures[name] = row
        cells = "  ".join("{:7.4f} ± {:6.4f}".format(*row[metric]) for metric in bench.shown)
        print(f"{name:<38}{cells}  {row['seconds']:9.1f}")
    ratios(bench, figures)
    return figures


def ratios(bench, figures):
    """Add how CentroidML's defaults stand to each other row, metric by metric."""
    ours = figures.get("centroid, defaults")
    if ours is None or "error" in ours:
        return
    others = {**figures["published"]} | {
        name: {metric: row[metric][0] for metric in bench.shown}
        for name, row in figures.items()
        if isinstance(row, dict) and bench.shown[0] in row and row is not ours
    }
    figures[RATIO] = {
        name: {metric: round(ours[metric][0] / row[metric], 4) for metric in bench.shown}
        for name, row in others.items()
    }
    for name, row in figures[RATIO].items():
        cells = "  ".join(f"{row[metric]:15.3f}x" for metric in bench.shown)
        print(f"{'  centroid, defaults / ' + name:<38}{cells}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", default="", help="beginnings of names of rows; all by default")
    parser.add_argument("--sets", default="", help="names, separated by commas; all by default")
    options = parser.parse_args()

    import trimetric as tm
    from trimetric.experiments import study

    wanted = options.sets.split(",") if options.sets else [bench.data for bench in BENCHES]
    missing = [name for name in wanted if not tm.datasets.has(name)]
    if missing:
        print(f"{', '.join(missing)} not found: set TRIMETRIC_DATA to the folder that holds them")
        return 2
    before = record.read("quality").get("sets", {}) if options.rows or options.sets else {}
    figures = {"seeds": options.seeds, "trials": options.trials, "sets": {**before}}
    for bench in BENCHES:
        if bench.data not in wanted:
            continue
        split = bench.load(tm)
        splits, plans = {bench.data: split}, {}
        plans["centroid, defaults"] = defaults(bench, "centroid", options.seeds)
        if bench.wide:
            plans["centroid, dim 256"] = defaults(bench, "centroid", options.seeds, wide=True)
        plans["sml, defaults"] = defaults(bench, "sml", options.seeds)
        if bench.protocol == "lightgcn":
            splits[whole(bench)] = with_valid(tm, bench, split)
        for model in (*(("sml",) if bench.tuned else ()), *bench.peers):
            plans[f"{model}, tuned"] = tuned(bench, model, options.trials, options.seeds)
        beginnings = tuple(options.rows.split(","))
        plans = {name: plan for name, plan in plans.items() if name.startswith(beginnings)}
        results = study.run(plans, splits, RUNS, workers=options.threads, log=say)
        figures["sets"][bench.data] = told(bench, results, before.get(bench.data, {}))
        record.write("quality", figures)
    return 0


def say(text):
    print(f"  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
