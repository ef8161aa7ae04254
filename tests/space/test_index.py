"""Nearest points behind one call: exact against brute force, approximate in what it promises."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from threads_helper import on_threads

from trimetric.data.csr import Csr
from trimetric.engine.compile import INTERPRETED
from trimetric.errors import ParameterError
from trimetric.space.index import Index

KINDS = ["exact", "approximate"]
LARGEST = 60 if INTERPRETED else 400


@pytest.fixture(autouse=True)
def _faiss():
    pytest.importorskip("faiss")


def made(rng, n, dim, m, axes=2):
    """Clustered points with copies among them, and queries near them."""
    centres = rng.normal(0, 1, (5, dim))
    points = centres[rng.integers(0, 5, n)] + 0.3 * rng.normal(0, 1, (n, dim))
    points[: n // 4] = points[n // 4 : 2 * (n // 4)]  # ties
    shape = (m, dim) if axes == 2 else (m, 3, dim)
    near = points[rng.integers(0, n, shape[:-1])] + 0.1 * rng.normal(0, 1, shape)
    return points.astype(np.float32), near.astype(np.float32)


def lists(rng, m, n, share):
    own = [np.flatnonzero(rng.random(n) < share * (query % 3)) for query in range(m)]
    indptr = np.concatenate([[0], np.cumsum([len(one) for one in own])]).astype(np.int64)
    return Csr(indptr, np.concatenate([*own, []]).astype(np.int32))


def exactly(points, queries):
    """d² as the engine rounds it, whatever is asked of it, (m, n): the nearest of c vectors."""
    found, d2 = Index(points).nearest(queries.reshape(-1, points.shape[1]), len(points))
    table = np.empty_like(d2)
    np.put_along_axis(table, found, d2, axis=1)
    return table.reshape(*queries.shape[:-1], -1).min(axis=1) if queries.ndim == 3 else table


def brute(table, k, excluded, permitted):
    """Return lists of (row, d²) by sorting all that may be answered."""
    answer = []
    for query, d2 in enumerate(table):
        own = excluded.items[excluded.indptr[query] : excluded.indptr[query + 1]]
        left = sorted(set(permitted) - set(own.tolist()), key=lambda row: (d2[row], row))
        answer.append([(row, d2[row]) for row in left[:k]])
    return answer


def as_lists(found, distances):
    assert (found.dtype, distances.dtype) == (np.int32, np.float32)
    assert (np.isnan(distances) == (found < 0)).all()
    assert (np.diff(found < 0, axis=1) >= 0).all()
    return [
        [(row, d2) for row, d2 in zip(*one, strict=True) if row >= 0]
        for one in zip(found.tolist(), distances, strict=True)
    ]


def recall(found, exact):
    pairs = zip(found.tolist(), exact.tolist(), strict=True)
    return sum(len({*a} & {*b}) for a, b in pairs) / exact.size


@example(seed=1, n=60, k=10, filtered="allow", share=0.5, axes=3, probes=1)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, LARGEST),
    k=st.sampled_from([1, 3, 10, 1000]),
    filtered=st.sampled_from(["", "allow", "deny", "both"]),
    share=st.sampled_from([0.0, 0.05, 0.5]),
    axes=st.sampled_from([2, 3]),
    probes=st.sampled_from([1, 4, 10**6]),
)
def test_what_is_promised(seed, n, k, filtered, share, axes, probes):
    rng = np.random.default_rng(seed)
    points, queries = made(rng, n, 6, 7, axes)
    excluded, permitted, filters = lists(rng, 7, n, share), set(range(n)), {}
    if filtered in ("allow", "both"):
        filters["allow"] = rng.integers(0, n, rng.integers(0, 2 * n))
        permitted &= set(filters["allow"].tolist())
    if filtered in ("deny", "both"):
        filters["deny"] = rng.integers(0, n, rng.integers(0, n))
        permitted -= set(filters["deny"].tolist())
    table = exactly(points, queries)
    expected = brute(table, k, excluded, permitted)
    for kind in KINDS:
        index = Index(points, kind, probes=probes)
        answer = as_lists(*index.nearest(queries, k, excluded=excluded, **filters))
        if kind == "exact" or probes >= n:
            assert answer == expected
            continue
        for query, (mine, whole) in enumerate(zip(answer, expected, strict=True)):
            assert len(mine) == len(whole)
            own = excluded.items[excluded.indptr[query] : excluded.indptr[query + 1]]
            assert {row for row, _ in mine} <= permitted - set(own.tolist())
            assert mine == sorted(mine, key=lambda one: one[::-1])
            assert all(d2 == table[query, row] for row, d2 in mine)


def test_the_table_of_distances_is_that_of_numpy():
    points, queries = made(np.random.default_rng(0), 50, 6, 7, 3)
    apart = queries[:, :, None, :].astype(np.float64) - points
    assert exactly(points, queries) == pytest.approx((apart**2).sum(-1).min(axis=1), rel=1e-5)


@pytest.mark.slow
@pytest.mark.compiled
def test_recall_of_the_approximate_index_and_its_bits():
    points, queries = made(np.random.default_rng(1), 20_000, 16, 300)
    exact = Index(points).nearest(queries)[0]
    index = on_threads(1, lambda: Index(points, "approximate"))
    found, distances = on_threads(1, lambda: index.nearest(queries))
    share = recall(found, exact)
    assert 0.8 < share <= 1
    for threads in (2, 3):
        again = on_threads(threads, lambda: Index(points, "approximate").nearest(queries))
        assert (again[0] == found).all()
        assert (again[1] == distances).all()
    one = Index(points, "approximate", probes=1).nearest(queries)[0]
    assert recall(one, exact) < share


@pytest.mark.compiled
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_recall_among_some_of_the_points(share):
    rng = np.random.default_rng(2)
    points, queries = made(rng, 20_000, 16, 200)
    allow = np.flatnonzero(rng.random(len(points)) < share)
    exact = Index(points).nearest(queries, allow=allow)[0]
    found = Index(points, "approximate").nearest(queries, allow=allow)[0]
    assert recall(found, exact) > (0.85 if share > 1 / 32 else 0.999)


@pytest.mark.parametrize("kind", KINDS)
def test_edges(kind):
    empty = Index(np.zeros((0, 4), np.float32), kind)
    assert empty.nearest(np.zeros((2, 4)), 3)[0].shape == (2, 0)
    index = Index(np.eye(4, dtype=np.float32), kind)
    assert index.nearest(np.zeros((0, 4)), 3)[0].shape == (0, 3)
    assert index.nearest(np.eye(4)[:1], allow=[], k=2)[0].shape == (1, 0)
    assert index.nearest(np.eye(4)[:1], allow=[2, 2, 1], deny=[1], k=3)[0].tolist() == [[2]]
    for wrong, said in (
        ({"k": 0}, "k must be"),
        ({"allow": [4]}, "rows must lie in 0..3"),
        ({"deny": [-1]}, "rows must lie in 0..3"),
        ({"allow": [True, False, False, True]}, "rows must be whole numbers on one axis, got bool"),
        ({"deny": [1.7]}, "rows must be whole numbers"),
        ({"deny": 2}, "rows must be whole numbers on one axis"),
        ({"excluded": Csr(np.zeros(3, np.int64), np.zeros(0, np.int32))}, "2 lists for 1 queries"),
    ):
        with pytest.raises(ParameterError, match=said):
            index.nearest(np.eye(4)[:1], **{"k": 1, **wrong})
    with pytest.raises(ParameterError, match="3 columns, the index 4"):
        index.nearest(np.zeros((1, 3)))
    with pytest.raises(ParameterError, match="table of finite numbers"):
        Index(np.array([[np.nan]]), kind)
    with pytest.raises(ParameterError, match="exact or approximate"):
        Index(np.eye(2), "good")
    with pytest.raises(ParameterError, match="probes"):
        Index(np.eye(2), kind, probes=0)


def test_options_of_other_types():
    points = np.eye(3, dtype=np.float32)
    for seed in (None, 1.5, "1"):
        with pytest.raises(ParameterError, match="seed must be a whole number"):
            Index(points, seed=seed)
    for excluded in ([[0]], np.zeros((3, 3), bool), 5):
        with pytest.raises(ParameterError, match="excluded must be a Csr with a list for each"):
            Index(points).nearest(points, 2, excluded=excluded)
