"""Approximate nearest neighbours: points in cells, of which a query looks into the nearest few.

An inverted file (Jégou, Douze and Schmid, TPAMI 2011) without compression. faiss scans the cells;
the cells themselves, which cells a query looks into, and the distances that are returned come from
`engine`, so that they have the same bits for any number of threads.

Why this and not a graph: `benchmarks/retrieval.py` measures faiss' inverted file beside the HNSW
graphs of faiss and of usearch on a million clustered points, and docs/results.md has the record.
At equal recall it answers several times as many queries and is built several times as fast; and
usearch's graph, built on several threads, differs from run to run, where these cells do not. What
speaks for usearch is its size, a sixth of faiss'.
"""

import math
from typing import Any

import numpy as np

from trimetric.counter import key, permutation
from trimetric.data.csr import Csr, among, keys
from trimetric.engine.threads import thread_count
from trimetric.engine.topk import Prepared, nearest_of, prepared, top_k
from trimetric.errors import MissingExtra

PROBES = 32
ROUNDS = 6  # of k-means
SAMPLE = 64  # points a cell that k-means looks at
SPARE = 8  # searched for beyond k: faiss rounds distances in its own way
PLACES_AT_ONCE = 500_000
_STREAM = 0x43454C4C  # keeps the draws here apart from those of training


class Cells:
    """Points in cells around centres.

    Parameters
    ----------
    space : Prepared
        The points, n of them.
    dim : int
        How many of its columns count.
    probes : int
        Into how many cells a query looks; more where only some of the points count.
    seed : int
        Of the first centres.

    Raises
    ------
    MissingExtra
        faiss is not installed.
    """

    def __init__(self, space: Prepared, dim: int, probes: int, seed: int) -> None:
        self._faiss, self._space, self._dim, self._seed = load_faiss(), space, dim, seed
        points = np.ascontiguousarray(space.points[:, :dim])
        centres = around(points, n_cells(len(points)), seed)
        self.probes = min(probes, len(centres))
        self._centres = prepared(centres)
        home = top_k(points, self._centres, 1, None)[0][:, 0]
        self._index = filled(self._faiss, centres, points, home)

    def __reduce__(self) -> tuple:
        # faiss is no part of a copy: the same points and seed give the same cells.
        return type(self), (self._space, self._dim, self.probes, self._seed)

    @property
    def faiss_index(self) -> Any:
        """The `faiss.IndexIVFFlat`."""
        return self._index

    def nearest(
        self,
        queries: np.ndarray,
        k: int,
        excluded: Csr,
        rows: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what `exact.nearest` does, some of the nearest perhaps missing.

        Lists are ordered by the engine's own distances. A list may end early here even if
        more points remain; `Index` then answers that query exactly.
        """
        k = min(k, len(self._space) if rows is None else len(rows))
        listed = np.full((len(queries), k), -1, dtype=np.int32)
        distances = np.full((len(queries), k), np.nan, dtype=np.float32)
        if k == 0:
            return listed, distances
        only, probes = None, self.probes
        if rows is not None:  # the thinner the points that count, the more cells hold the nearest
            only = self._selector(rows)
            probes = min(len(self._centres), -(-probes * len(self._space) // len(rows)))
        # Queries with about as many excluded points are searched together: no others pay for them.
        width_class = 1 << np.ceil(np.log2(np.maximum(excluded.counts, 1))).astype(np.int64)
        width_class[excluded.counts == 0] = 0
        for width in np.unique(width_class):
            alike, count = np.flatnonzero(width_class == width), k + SPARE + int(width)
            step = max(1, PLACES_AT_ONCE // count)
            for low in range(0, len(alike), step):
                block = alike[low : low + step]
                near = self._scan(queries[block], count, probes, only)
                if width:
                    near[_hidden(near, block, excluded)] = -1
                listed[block], distances[block] = nearest_of(queries[block], self._space, near, k)
        return listed, distances

    def _scan(self, queries: np.ndarray, width: int, probes: int, only: Any) -> np.ndarray:
        """Return up to `width` near rows of each query, int32 (m, width), in faiss' order."""
        faiss, of = self._faiss, self._faiss.swig_ptr
        queries, width = np.ascontiguousarray(queries), min(width, len(self._space))
        cells, coarse = top_k(queries, self._centres, probes, None)
        cells = cells.astype(np.int64)
        near = np.empty((len(queries), width), dtype=np.int64)
        d2 = np.empty((len(queries), width), dtype=np.float32)
        before = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(thread_count())
        try:
            # The Python form of this method takes no selector.
            self._index.search_preassigned_c(
                len(queries), of(queries), width, of(cells), of(coarse), of(d2), of(near), False,
                faiss.SearchParametersIVF(nprobe=probes, sel=only),
            )  # fmt: skip
        finally:
            faiss.omp_set_num_threads(before)
        return near.astype(np.int32)

    def _selector(self, rows: np.ndarray) -> Any:
        mask = np.zeros(len(self._space), dtype=bool)
        mask[rows] = True
        return self._faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))


def n_cells(n: int) -> int:
    """Return how many cells suit n points: 4·√n, but at least 16 points in each."""
    return max(1, min(4 * math.isqrt(n), n // 16))


def around(points: np.ndarray, cells: int, seed: int) -> np.ndarray:
    """Return centres of cells, float32 (cells, d), by a few rounds of k-means on a sample."""
    order = permutation(key(seed, _STREAM), len(points))[: SAMPLE * cells]
    sample = np.ascontiguousarray(points[order])
    centres = sample[:cells].copy()
    for _ in range(ROUNDS):
        home = top_k(sample, centres, 1, None)[0][:, 0]
        by_home = np.argsort(home, kind="stable")
        occupied, first = np.unique(home[by_home], return_index=True)
        sums = np.add.reduceat(sample[by_home].astype(np.float64), first, axis=0)
        centres[occupied] = sums / np.diff(np.append(first, len(home)))[:, None]
    return centres


def filled(faiss: Any, centres: np.ndarray, points: np.ndarray, home: np.ndarray) -> Any:
    """Return a faiss index of points in given cells."""
    dim = points.shape[1]
    quantizer = faiss.IndexFlatL2(dim)
    quantizer.add(centres)
    index = faiss.IndexIVFFlat(quantizer, dim, len(centres))
    index.is_trained = True
    rows, cells = np.arange(len(points), dtype=np.int64), home.astype(np.int64)
    of = faiss.swig_ptr
    index.add_core(len(points), of(points), of(rows), of(cells))
    return index


def _hidden(near: np.ndarray, block: np.ndarray, excluded: Csr) -> np.ndarray:
    """Tell which rows of the queries of `block` are excluded for them, (b, w)."""
    lists = excluded.take(block)
    mine = keys(np.arange(len(block))[:, None], np.maximum(near, 0))
    return among(keys(lists.users, lists.items), mine)


def load_faiss() -> Any:
    """Return the module faiss.

    Raises
    ------
    MissingExtra
        It is not installed.
    """
    try:
        import faiss
    except ImportError:
        raise MissingExtra(
            "approximate search and faiss files need faiss; install it with"
            " pip install 'trimetric[ann]'"
        ) from None
    return faiss
