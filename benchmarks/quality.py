"""Quality on ml_1m, honest full ranking, beside the published figures of the metric family.

Ratings of 4 or more, users with 5 or more, 60/20/20 per user; the protocol of DPCML (Bao et al.,
NeurIPS 2022): candidates are all items but the training items, P/R/NDCG@K over users with K or more
test items, MAP and MRR over users with 3 or more. The defaults were chosen on the validation part.

    python benchmarks/quality.py [--seeds 3] [--threads 2]
"""

import argparse
import statistics
import sys
import time

import record

PUBLISHED = {
    "CML, uniform negatives (DPCML, table 2)": (18.79, 12.40),
    "CML, hard negatives (DPCML, table 2)": (25.77, 15.74),
    "DPCML, hard negatives (DPCML, table 2)": (26.16, 16.09),
}
METRICS = ("ndcg@5", "map", "mrr", "recall@20")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    import trimetric as tm

    if "ml_1m" not in tm.datasets.available():
        print("ml_1m was not found: set TRIMETRIC_DATA to the folder that holds ml_1m.parquet")
        return 2
    data = tm.datasets.load("ml_1m", min_rating=4).k_core(users=5)
    split = tm.split_per_user(data, test=0.2, valid=0.2, seed=0)
    print(split)
    figures = {"split": split.how, "seeds": options.seeds}
    for name in ("sml", "cml"):
        rows = []
        for seed in range(options.seeds):
            began = time.perf_counter()
            model = tm.create(name, metric="map", seed=seed)
            model.fit(split.train, split.valid, threads=options.threads)
            seconds = time.perf_counter() - began
            protocol = tm.FullRanking.dpcml()
            test, valid = (tm.evaluate(model, split, protocol, part=p) for p in ("test", "valid"))
            rows.append(
                {metric: test[metric] * 100 for metric in METRICS}
                | {"valid map": valid["map"] * 100, "seconds": seconds}
            )
        figures[name] = {
            metric: [round(statistics.mean(values), 3), round(statistics.pstdev(values), 3)]
            for metric in rows[0]
            for values in [[row[metric] for row in rows]]
        }
        shown = "  ".join(f"{m} {a:.2f} ± {b:.2f}" for m, (a, b) in figures[name].items())
        print(f"trimetric {name}: {shown}")
    for name, (ndcg, ap) in PUBLISHED.items():
        print(f"{name}: ndcg@5 {ndcg}  map {ap}")
    record.write("quality", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
