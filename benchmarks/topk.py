"""Ten nearest items of all users, training items left out, beside two peers.

implicit's top-k (inner product, C++ on BLAS) and plain NumPy (a matrix product a block and
argpartition) are given the same number of users, items, dimensions and training items. Positions
come from SML trained for a few epochs, so that distances are spread as in use.

    python benchmarks/topk.py [--rounds 5] [--threads 2]
"""

import argparse
import statistics
import sys

import numpy as np

import record
from train import matrix

K = 10
BLOCK = 1024


def ours(model, train, threads):
    from trimetric.engine.topk import top_k

    seen = (train.indptr, train.items)
    return lambda: record.on_threads(
        threads, lambda: top_k(model.user_embeddings, model.item_embeddings, K, seen)
    )


def implicits(model, train, threads):
    from implicit.cpu.topk import topk

    seen = matrix(train.users, train.items, train.n_users, train.n_items)
    users, items = (
        np.ascontiguousarray(model.user_embeddings),
        np.ascontiguousarray(model.item_embeddings),
    )
    return lambda: topk(items, users, K, filter_query_items=seen, num_threads=threads)


def plain_numpy(model, train, threads):
    users, items = (
        np.ascontiguousarray(model.user_embeddings),
        np.ascontiguousarray(model.item_embeddings),
    )
    half = np.einsum("ij,ij->i", items, items) / 2

    def run():
        found = np.empty((len(users), K), dtype=np.int64)
        for low in range(0, len(users), BLOCK):
            block = slice(low, min(low + BLOCK, len(users)))
            scores = users[block] @ items.T
            scores -= half
            first, last = train.indptr[block.start], train.indptr[block.stop]
            scores[train.users[first:last] - low, train.items[first:last]] = -np.inf
            top = np.argpartition(-scores, K, axis=1)[:, :K]
            order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1)
            found[block] = np.take_along_axis(top, order, axis=1)
        return found

    return run


PEERS = {"trimetric": ours, "implicit": implicits, "NumPy": plain_numpy}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    import trimetric as tm

    known = tm.datasets.available()
    figures = {"threads": options.threads, "rounds": options.rounds, "k": K}
    for name, rules in (("ml_1m", {"min_rating": 4}), ("gowalla_lightgcn", {})):
        if name in known:
            train = tm.datasets.load(name, **rules)
        else:
            print(f"{name} was not found (set TRIMETRIC_DATA); a generated set stands in")
            name = f"generated, for {name}"
            size = (6_034, 3_533, 575_000) if "ml_1m" in name else (29_858, 40_981, 1_027_370)
            train = tm.Interactions.from_arrays(*tm.synthetic.scale(*size))
        model = tm.SML(epochs=5).fit(train, threads=options.threads)
        runs = {peer: make(model, train, options.threads) for peer, make in PEERS.items()}
        answers = {peer: run() for peer, run in runs.items()}
        agree = float((answers["trimetric"][0] == answers["NumPy"]).mean())
        seconds = record.in_turn(
            {peer: record.timed(run) for peer, run in runs.items()}, options.rounds
        )
        print(
            f"{name}: top {K} of {train.n_items:,} items for {train.n_users:,} users,"
            f" {options.threads} threads; {agree:.3%} of places as in NumPy"
        )
        figures[name] = {"places as in NumPy": round(agree, 5)}
        for peer, values in seconds.items():
            speedup = record.ratio(values, seconds["trimetric"])
            figures[name][peer] = {
                "seconds": round(statistics.median(values), 4),
                "min": round(min(values), 4),
                "max": round(max(values), 4),
                "trimetric is faster by": round(speedup, 3),
            }
            print(
                f"  {peer:<10} {statistics.median(values):7.3f} s"
                f"  ({min(values):.3f}-{max(values):.3f})  trimetric is {speedup:.2f}x as fast"
            )
    record.write("topk", figures)


if __name__ == "__main__":
    sys.exit(main())
