"""The nearest of all points, or of some: exactly."""

import numpy as np

from trimetric.data.csr import Csr
from trimetric.engine.topk import Prepared, top_k
from trimetric.space.filters import restrict, unrestrict

HIDDEN_AT_ONCE = 4_000_000  # up to so many (query, point) pairs, hiding is cheaper than selecting


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
