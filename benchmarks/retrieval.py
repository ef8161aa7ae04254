"""Recall@10 against queries a second: nearest points beside inner products, in two libraries.

Points lie in a ball around many centres, queries near them, as in a trained space. Over the same
points, whose norms differ, each library builds an index by distance and one by inner product, which
is what a model of inner products would need; each is compared with its own exact answer. Graphs
are HNSW with the same degree and effort of building; cells are faiss' inverted file, and what
`Index(kind="approximate")` is made of. Speed is of whole batches of queries.

    python benchmarks/retrieval.py [--points 1000000] [--dim 64] [--queries 2000] [--threads 2]
        [--only trimetric]
"""

import argparse
import gc
import json
import statistics
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import files, version
from itertools import pairwise

import numpy as np

import record
from record import on_threads

K = 10
DEGREE, CONSTRUCTION = 16, 100  # M and efConstruction of the graphs
GRAPH_EFFORTS = (16, 32, 64, 128, 256, 512)
CELL_EFFORTS = (1, 2, 4, 8, 16, 32, 64, 128)
TARGETS = (0.9, 0.95, 0.98)
SPREAD = 0.35  # how fast the axes of a cluster become shorter

Search = Callable[[int], np.ndarray]
"""An effort -> the rows found, (m, K)."""


def generated(n: int, m: int, dim: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points and queries, float32, in a ball of radius 1 around √n centres."""
    rng = np.random.Generator(np.random.Philox(seed))
    axes = np.arange(1, dim + 1, dtype=np.float32) ** np.float32(-SPREAD)
    axes /= np.sqrt((axes**2).mean() * dim)
    centres = rng.standard_normal((max(10, int(n**0.5)), dim), dtype=np.float32)
    centres *= rng.uniform(0.3, 1, (len(centres), 1)) / np.linalg.norm(
        centres, axis=1, keepdims=True
    )

    def near(count: int) -> np.ndarray:
        width = rng.uniform(0.3, 0.7, (count, 1)).astype(np.float32)
        found = rng.standard_normal((count, dim), dtype=np.float32)
        found *= width * axes
        found += centres[rng.integers(len(centres), size=count)]
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1)

    return near(n), near(m)


def faiss_graph(points, queries, inner, threads) -> Search:
    import faiss

    metric = faiss.METRIC_INNER_PRODUCT if inner else faiss.METRIC_L2
    index = faiss.IndexHNSWFlat(points.shape[1], DEGREE, metric)
    index.hnsw.efConstruction = CONSTRUCTION
    index.add(points)

    def search(effort):
        index.hnsw.efSearch = effort
        return index.search(queries, K)[1]

    search.bits = lambda: faiss.serialize_index(index).tobytes()
    return search


def usearch_graph(points, queries, inner, threads) -> Search:
    from usearch.index import Index

    index = Index(
        ndim=points.shape[1], metric="ip" if inner else "l2sq", dtype="f32",
        connectivity=DEGREE, expansion_add=CONSTRUCTION,
    )  # fmt: skip
    index.add(np.arange(len(points)), points, threads=threads)

    def search(effort):
        index.expansion_search = effort
        return index.search(queries, K, threads=threads).keys.astype(np.int64)

    search.bits = lambda: bytes(index.save())
    return search


def faiss_cells(points, queries, inner, threads) -> Search:
    import faiss

    from trimetric.space.ivf import SAMPLE, n_cells

    metric = faiss.METRIC_INNER_PRODUCT if inner else faiss.METRIC_L2
    cells = n_cells(len(points))
    index = faiss.IndexIVFFlat(
        faiss.IndexFlat(points.shape[1], metric), points.shape[1], cells, metric
    )
    index.train(points[: SAMPLE * cells])
    index.add(points)

    def search(effort):
        index.nprobe = min(effort, cells)
        return index.search(queries, K)[1]

    search.bits = lambda: faiss.serialize_index(index).tobytes()
    return search


def ours(points, queries, inner, threads) -> Search:
    import faiss

    from trimetric.space.index import Index

    index = on_threads(threads, lambda: Index(points, "approximate"))

    def search(effort):
        index._cells.probes = min(effort, index._cells.faiss_index.nlist)
        return on_threads(threads, lambda: index.nearest(queries, K))[0]

    search.bits = lambda: faiss.serialize_index(index._cells.faiss_index).tobytes()
    return search


WAYS = {
    "trimetric, approximate": (ours, CELL_EFFORTS, ("distance",)),
    "faiss, cells": (faiss_cells, CELL_EFFORTS, ("distance", "inner product")),
    "faiss, graph": (faiss_graph, GRAPH_EFFORTS, ("distance", "inner product")),
    "usearch, graph": (usearch_graph, GRAPH_EFFORTS, ("distance", "inner product")),
}


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """Return the share of the exact rows that were found."""
    pairs = zip(found.tolist(), exact.tolist(), strict=True)
    return sum(len({*a} & {*b}) for a, b in pairs) / exact.size


def at_recall(curve: list[dict], target: float) -> float | None:
    """Return queries a second at a recall, their logarithm interpolated between efforts."""
    curve = sorted(curve, key=lambda one: one["recall"])
    if curve[0]["recall"] >= target:
        return max(one["queries/s"] for one in curve)
    for low, high in pairwise(curve):
        if low["recall"] < target <= high["recall"]:
            part = (target - low["recall"]) / (high["recall"] - low["recall"])
            return low["queries/s"] * (high["queries/s"] / low["queries/s"]) ** part
    return None


def exact(points, queries, inner, threads, rounds) -> tuple[np.ndarray, dict[str, float]]:
    """Return the exact rows, and how fast each exact way found them."""
    import faiss

    from trimetric.space.index import Index

    flat = (faiss.IndexFlatIP if inner else faiss.IndexFlatL2)(points.shape[1])
    flat.add(points)
    runs = {"faiss": lambda: flat.search(queries, K)[1]}
    if not inner:
        index = Index(points)
        runs["trimetric"] = lambda: on_threads(threads, lambda: index.nearest(queries, K))[0]
    rows = runs["faiss" if inner else "trimetric"]()
    seconds = record.in_turn({name: record.timed(run) for name, run in runs.items()}, rounds)
    return rows, {
        name: round(len(queries) / statistics.median(one), 1) for name, one in seconds.items()
    }


def measured(make, efforts, kinds, data, truth, options) -> dict:
    """Build an index of each kind, and find their recall and speed at each effort, in turn."""
    figures, searches = {}, {}
    for kind in kinds:
        gc.collect()
        before, found = record.memory("VmRSS"), []
        build = partial(make, *data, kind == "inner product", options.threads)
        took = record.timed(lambda: found.append(build()))()  # noqa: B023
        grown = record.memory("VmRSS") - before
        searches[kind] = found[0]
        figures[kind] = {"build seconds": round(took, 1), "memory MB": round(grown / 1e6)}
        figures[kind]["curve"] = []
        print(f"  {kind}: built in {took:.0f} s", flush=True)
    for effort in efforts:
        runs = {kind: partial(search, effort) for kind, search in searches.items()}
        shares = {kind: recall(run(), truth[kind]) for kind, run in runs.items()}
        seconds = record.in_turn(
            {kind: record.timed(run) for kind, run in runs.items()}, options.rounds
        )
        for kind in kinds:
            speed = len(data[1]) / statistics.median(seconds[kind])
            point = {
                "effort": effort,
                "recall": round(shares[kind], 4),
                "queries/s": round(speed, 1),
            }
            figures[kind]["curve"].append(point)
            print(f"    effort {effort:>4}  {kind:<13}  recall {shares[kind]:.4f}"
                  f"  {speed:>9,.0f} queries/s", flush=True)  # fmt: skip
    for found in figures.values():
        speeds = {str(target): at_recall(found["curve"], target) for target in TARGETS}
        found["queries/s at recall"] = {
            target: value if value is None else round(value, 1) for target, value in speeds.items()
        }
    return figures


def same_bits(make, points, options) -> bool:
    """Tell whether two builds of a part of the points have the same bytes."""
    some = points[: max(1000, len(points) // 20)]
    builds = [make(some, some[:1], False, options.threads).bits() for _ in range(2)]
    return builds[0] == builds[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="only ways that begin so; others are kept")
    options = parser.parse_args()

    import faiss

    faiss.omp_set_num_threads(options.threads)
    points, queries = generated(options.points, options.queries, options.dim, seed=0)
    norms = np.quantile(np.linalg.norm(points, axis=1), [0.05, 0.5, 0.95])
    figures = {
        "points": options.points, "dim": options.dim, "queries": options.queries,
        "threads": options.threads, "rounds": options.rounds, "k": K,
        "norms, 5 50 95 %": [round(float(one), 3) for one in norms],
        "graphs": {"degree": DEGREE, "effort of building": CONSTRUCTION},
        "installs": {name: installed(name) for name in ("faiss-cpu", "usearch")},
        "exact": {}, "ways": {},
    }  # fmt: skip
    truth = {}
    for kind in ("distance", "inner product"):
        inner = kind == "inner product"
        truth[kind], figures["exact"][kind] = exact(
            points, queries, inner, options.threads, options.rounds
        )
        print(f"exact, {kind}: {figures['exact'][kind]} queries/s", flush=True)
    for name, (make, efforts, kinds) in WAYS.items():
        if not name.startswith(options.only):
            continue
        figures["ways"][name] = way = {"the same bits again": same_bits(make, points, options)}
        print(f"{name}: the same bits again: {way['the same bits again']}", flush=True)
        way |= measured(make, efforts, kinds, (points, queries), truth, options)
        if len(kinds) == 2:
            way["distance beside inner product"] = ratios(way)
            print(f"  distance is faster by {way['distance beside inner product']}")
    if options.only:
        path = record.RESULTS / "retrieval.json"
        before = json.loads(path.read_text())
        if any(before[name] != figures[name] for name in ("points", "dim", "queries", "threads")):
            raise SystemExit("--only goes with the sizes of the record that it changes")
        ways = before["ways"] | figures["ways"]
        figures["ways"] = {name: ways[name] for name in WAYS if name in ways}
    record.write("retrieval", figures)


def ratios(way: dict) -> dict[str, float | None]:
    """Return how many times as many queries distance answers as inner product, at equal recall."""
    found = {}
    for target in map(str, TARGETS):
        mine, other = (
            way[kind]["queries/s at recall"][target] for kind in ("distance", "inner product")
        )
        found[target] = None if None in (mine, other) else round(mine / other, 2)
    return found


def installed(name: str) -> dict:
    """Return the version of a package, and the size of its files."""
    size = sum(one.locate().stat().st_size for one in files(name) or () if one.locate().exists())
    return {"version": version(name), "MB": round(size / 1e6)}


if __name__ == "__main__":
    sys.exit(main())
