"""The nearest of all points, or of some: exactly."""

import mmap

import numpy as np

from trimetric.data.csr import Csr
from trimetric.engine.topk import Prepared, top_k
from trimetric.space.filters import restrict, unrestrict

ROWS_AT_ONCE = 500_000  # of points in a file
HIDDEN_AT_ONCE = 4_000_000  # up to so many (query, point) pairs, hiding is cheaper than selecting


def is_mapped(array: np.ndarray) -> bool:
    """Tell whether an array lies in a file that is mapped into memory."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap.mmap)


def nearest_by_blocks(
    queries: np.ndarray,
    points: np.ndarray,
    k: int,
    excluded: Csr,
    rows: np.ndarray | None = None,
    at_once: int = ROWS_AT_ONCE,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `nearest` returns, with `at_once` points in memory at a time."""
    everything = np.arange(len(points), dtype=np.int32)
    m, found = len(queries), []
    for low in range(0, max(1, len(points)), at_once):
        block = everything[low : low + at_once]
        only = None if rows is None else rows[(rows >= low) & (rows < low + at_once)] - low
        listed, distances = nearest(
            queries, points[low : low + at_once], k, restrict(excluded, block), only
        )
        found.append((np.where(listed >= 0, listed + low, -1), distances))
    listed, distances = (np.concatenate(one, axis=1) for one in zip(*found, strict=True))
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]  # NaN last, ties by row
    at = np.arange(m)[:, None], order
    return listed[at].astype(np.int32), distances[at]


def nearest(
    queries: np.ndarray,
    points: np.ndarray | Prepared,
    k: int,
    excluded: Csr,
    rows: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest points of each query among `rows`.

    Parameters
    ----------
    queries : float32 (m, d)
    points : float32 (n, d), or Prepared
    k : int
        At least 1.
    excluded : Csr
        Points that a query may not get.
    rows : int32 (r,), ascending and distinct, optional
        The points that may be answered; all unless given.

    Returns
    -------
    listed : int32 (m, min(k, r))
        Nearest first, equal distances by row; -1 where fewer remain.
    distances : float32, same shape
        d², NaN where `listed` is -1.
    """
    if rows is None:
        return top_k(queries, points, k, excluded)
    m, n = len(queries), len(points)
    k, missing = min(k, len(rows)), n - len(rows)
    if missing * m <= min(HIDDEN_AT_ONCE, n * m // 2):
        rest_rows = np.setdiff1d(np.arange(n, dtype=np.int32), rows, assume_unique=True)
        hidden = Csr(np.arange(m + 1, dtype=np.int64) * missing, np.tile(rest_rows, m))
        listed, distances = top_k(queries, points, max(k, 1), excluded.union(hidden))
        return listed[:, :k], distances[:, :k]
    laid_out = points.points[:, : queries.shape[1]] if isinstance(points, Prepared) else points
    listed, distances = top_k(queries, laid_out[rows], k, restrict(excluded, rows))
    return unrestrict(listed, rows).astype(np.int32), distances
