"""Nearest points behind one call, exact or approximate."""

from typing import Any, Literal

import numpy as np

from trimetric.data.csr import Csr
from trimetric.engine.topk import nearest_of, prepared
from trimetric.errors import ParameterError
from trimetric.keywords import check_seed, is_one_of
from trimetric.space.exact import nearest
from trimetric.space.ivf import PROBES, Cells
from trimetric.space.lists import check_k

Kind = Literal["exact", "approximate"]
FEW = 1 / 32  # of the points: fewer allowed ones are compared one by one, which is quicker


class Index:
    """Points to be searched by distance.

    What is promised of "exact": the answer of brute force over all d², ties by row, whatever the
    number of threads. Of "approximate": each point in a list may be there (allowed, not denied, not
    excluded), its d² is exact, the list is in the order of d² with ties by row, and it is as long
    as the exact one, since a query that lists too few is answered exactly. So only this is
    approximate: that nearer points may exist which no list has, most likely far down in it. Few
    allowed points (under a thirty-second) are always compared exactly.

    Parameters
    ----------
    vectors : float32 (n, d)
        Finite.
    kind : "exact" or "approximate"
        The latter needs the extra `ann`, and takes time to build: a million points of 64 columns
        took 15 s on two threads (benchmarks/results/retrieval.json).
    probes : int
        For "approximate": into how many of about 4·√n cells a query looks, at least 1. More finds
        more and takes longer; with all of them it is exact.
    seed : int
        For "approximate": of the cells. The same points and seed give the same cells.

    Raises
    ------
    ParameterError
        The vectors are no such table, or a setting is out of range.
    MissingExtra
        faiss is not installed.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        kind: Kind = "exact",
        *,
        probes: int = PROBES,
        seed: int = 0,
    ) -> None:
        if not is_one_of(kind, ("exact", "approximate")):
            raise ParameterError(f"kind must be exact or approximate, got {kind!r}")
        if isinstance(probes, bool) or not isinstance(probes, int | np.integer) or probes < 1:
            raise ParameterError(
                f"probes must be a whole number from 1, got {probes!r}; 16 is usual"
            )
        seed = check_seed(seed)
        vectors = _table("vectors", vectors, 2)
        self.kind, self.dim = kind, vectors.shape[1]
        self._space = prepared(vectors)
        self._cells: Cells | None = None
        if kind == "approximate" and len(vectors):
            self._cells = Cells(self._space, self.dim, int(probes), seed)

    def __len__(self) -> int:
        return len(self._space)

    def nearest(
        self,
        queries: np.ndarray,
        k: int = 10,
        *,
        excluded: Csr | None = None,
        allow: np.ndarray | None = None,
        deny: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the k nearest points of each query.

        Parameters
        ----------
        queries : float32 (m, d) or (m, c, d)
            Of c vectors a query, the nearest one counts: a point's distance is the least of c.
        k : int
            At least 1.
        excluded : Csr, optional
            Points that a query may not get, by query.
        allow, deny : int (r,), optional
            Rows that may be answered, and that may not; where both say something, `deny` counts.

        Returns
        -------
        rows : int32 (m, min(k, allowed points))
            Nearest first, equal distances by row; -1 where fewer remain.
        distances : float32, same shape
            d², NaN where `rows` is -1.

        Raises
        ------
        ParameterError
            The queries are no such table, `k` is out of range, `excluded` is no Csr, or a row does
            not exist.
        """
        k = check_k(k)
        queries = _table("queries", queries, np.ndim(queries) if np.ndim(queries) == 3 else 2)
        if queries.shape[-1] != self.dim:
            raise ParameterError(f"queries have {queries.shape[-1]} columns, the index {self.dim}")
        if excluded is None:
            excluded = Csr(np.zeros(len(queries) + 1, np.int64), np.zeros(0, np.int32))
        if not isinstance(excluded, Csr):
            raise ParameterError(
                f"excluded must be a Csr with a list for each query, got {type(excluded).__name__};"
                " deny takes rows that no query may get"
            )
        if excluded.n_users != len(queries):
            raise ParameterError(
                f"excluded has {excluded.n_users} lists for {len(queries)} queries; give one each"
            )
        return self.among(queries, k, excluded, self._rows(allow, deny))

    def among(
        self,
        queries: np.ndarray,
        k: int,
        excluded: Csr,
        rows: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Do what `nearest` does with what is known to be in order; `rows` may be answered."""
        if queries.ndim == 3:
            m, c, dim = queries.shape
            each = np.repeat(np.arange(m), c)
            lists = excluded.take(each)
            vectors = queries.reshape(m * c, dim)
            listed, d2 = self.among(vectors, k, lists, rows)
            most = listed.shape[1]
            if self._cells is not None and most:
                # What one vector finds may be nearer to another, which did not look there.
                every = _distinct(listed.reshape(m, -1)).repeat(c, axis=0)
                listed, d2 = nearest_of(vectors, self._space, every, every.shape[1])
            return merged(listed.reshape(m, -1), d2.reshape(m, -1), most)
        few = rows is not None and len(rows) < FEW * len(self)
        if self._cells is None or few:
            return nearest(queries, self._space, k, excluded, rows)
        listed, distances = self._cells.nearest(queries, k, excluded, rows)
        short = np.flatnonzero(listed[:, -1] < 0) if listed.shape[1] else listed[:, 0:0].ravel()
        if len(short):
            lists = excluded.take(short)
            listed[short], distances[short] = nearest(queries[short], self._space, k, lists, rows)
        return listed, distances

    def _rows(self, allow: np.ndarray | None, deny: np.ndarray | None) -> np.ndarray | None:
        if allow is None and deny is None:
            return None
        mask = np.full(len(self), allow is None)
        for allowed_rows, value in ((allow, True), (deny, False)):
            if allowed_rows is not None:
                mask[self._checked(allowed_rows)] = value
        return np.flatnonzero(mask).astype(np.int32)

    def _checked(self, given: Any) -> np.ndarray:
        rows = np.asarray(given)
        if rows.ndim != 1 or (len(rows) and rows.dtype.kind not in "iu"):
            raise ParameterError(
                f"rows must be whole numbers on one axis, got {rows.dtype} with shape {rows.shape};"
                " of a mask give np.flatnonzero(mask)"
            )
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise ParameterError(f"rows must lie in 0..{len(self) - 1}, got {given!r}")
        return rows.astype(np.int64)


def merged(listed: np.ndarray, distances: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest of the rows in several lists, each row once, at its least distance.

    Parameters
    ----------
    listed : int32 (m, w)
        In any order, -1 for none.
    distances : float32 (m, w)
    k : int
        At most w.
    """
    distances = np.where(listed >= 0, distances, np.inf)
    order = np.lexsort((distances, listed), axis=1)
    listed = np.take_along_axis(listed, order, axis=1)
    distances = np.take_along_axis(distances, order, axis=1)
    distances[:, 1:][listed[:, 1:] == listed[:, :-1]] = np.inf
    order = np.lexsort((listed, distances), axis=1)[:, :k]
    distances = np.take_along_axis(distances, order, axis=1)
    listed = np.where(np.isinf(distances), -1, np.take_along_axis(listed, order, axis=1))
    return listed.astype(np.int32), np.where(listed >= 0, distances, np.nan).astype(np.float32)


def _distinct(listed: np.ndarray) -> np.ndarray:
    """Return each list (m, w) with -1 in place of what was in it before."""
    listed = np.sort(listed, axis=1)
    listed[:, 1:][listed[:, 1:] == listed[:, :-1]] = -1
    return listed


def _table(name: str, values: np.ndarray, dims: int) -> np.ndarray:
    try:
        table = np.asarray(values)
    except ValueError as error:  # rows of several lengths
        raise ParameterError(f"{name} must be a table of finite numbers: {error}") from None
    if table.ndim != dims or table.dtype.kind not in "fiu" or not np.isfinite(table).all():
        raise ParameterError(
            f"{name} must be a table of finite numbers with {dims} axes, got {table.dtype} with"
            f" shape {table.shape}"
        )
    return np.ascontiguousarray(table, dtype=np.float32)
