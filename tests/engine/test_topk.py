"""Top-k and ranks against brute force over exact distances, ties and all."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from threads_helper import on_threads

from trimetric.engine import topk
from trimetric.engine.compile import INTERPRETED
from trimetric.engine.topk import held_out_ranks, nearest_of, pair_distances, prepared, top_k

pytestmark = pytest.mark.twin
LARGEST = 40 if INTERPRETED else 150


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(topk, "ITEMS_AT_ONCE", 16)
    monkeypatch.setattr(topk, "USERS_AT_ONCE", 3)
    monkeypatch.setattr(topk, "_EXTRA", 8)


def csr(lists):
    indptr = np.concatenate([[0], np.cumsum([len(one) for one in lists])]).astype(np.int64)
    return indptr, np.array([item for one in lists for item in sorted(one)], dtype=np.int32)


def assert_exact(queries, points, k, excluded, threads=1):
    """Compare both functions with brute force; every item that is not excluded is held out."""
    queries, points = (np.asarray(table, dtype=np.float32) for table in (queries, points))
    items, distances = on_threads(threads, lambda: top_k(queries, points, k, csr(excluded)))
    expected, exact = reference.top_k(queries, points, k, excluded)
    assert (items.dtype, distances.dtype) == (np.int32, np.float32)
    assert items.shape == distances.shape == (len(queries), min(k, len(points)))
    assert (items == expected).all()
    assert np.array_equal(distances, exact, equal_nan=True)
    held = [sorted(set(range(len(points))) - set(hidden)) for hidden in excluded]
    ranks = on_threads(threads, lambda: held_out_ranks(queries, points, csr(held), csr(excluded)))
    assert ranks.dtype == np.int32
    assert (ranks == reference.held_out_ranks(queries, points, held, excluded)).all()


def some_lists(rng, m, n):
    """Lists of items a query: none, some, all but one, all."""
    shares = rng.choice([0.0, 0.2, 0.7, 1.0], size=m)
    lists = [np.flatnonzero(rng.random(n) < share).tolist() for share in shares]
    return [one[:-1] if len(one) == n and rng.random() < 0.5 else one for one in lists]


def layout(rng, kind, m, n, dim):
    """Tables of queries and points with many ties and near-ties."""
    if kind == "grid":  # few distinct distances
        tables = rng.integers(-1, 2, (m + n, dim)) * 0.5
    elif kind == "copies":
        tables = rng.normal(0, 1, (3, dim))[rng.integers(0, 3, m + n)]
    elif kind == "far":  # squared lengths so large that rounding swamps the differences
        tables = 30 + rng.normal(0, 1e-4, (m + n, dim))
    elif kind == "nearly":  # distances that differ in the last bits
        tables = rng.normal(0, 1, (1, dim)) * (1 + rng.integers(-2, 3, (m + n, 1)) * 2.0**-23)
    elif kind == "scales":
        tables = rng.normal(0, 1, (m + n, dim)) * 10.0 ** rng.integers(-6, 3, (m + n, 1))
    elif kind == "still":
        tables = np.zeros((m + n, dim))
    else:
        tables = rng.normal(0, dim**-0.5, (m + n, dim))
    tables = tables.astype(np.float32)
    return tables[:m], tables[m:]


KINDS = ["usual", "grid", "copies", "far", "nearly", "scales", "still"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [1, 16, 20])
def test_exact_on_many_layouts(kind, dim, small_tiles):
    rng = np.random.default_rng(KINDS.index(kind) * 100 + dim)
    for n in (1, 2, 15, 16, 17, 31, 32, 33, LARGEST):
        queries, points = layout(rng, kind, 4, n, dim)
        for k in (1, 3, n, n + 5):
            assert_exact(queries, points, k, some_lists(rng, 4, n))


@given(
    seed=st.integers(0, 2**32),
    kind=st.sampled_from(KINDS),
    m=st.integers(0, 8),
    n=st.integers(1, LARGEST),
    dim=st.integers(1, 40),
    k=st.integers(1, 60),
    threads=st.integers(1, 3),
)
def test_exact_on_anything(seed, kind, m, n, dim, k, threads):
    rng = np.random.default_rng(seed)
    queries, points = layout(rng, kind, m, n, dim)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topk, "ITEMS_AT_ONCE", int(rng.integers(1, 50)))
        patch.setattr(topk, "USERS_AT_ONCE", int(rng.integers(1, 9)))
        patch.setattr(topk, "_EXTRA", int(rng.integers(1, 40)))
        assert_exact(queries, points, k, some_lists(rng, m, n), threads)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 4, 50])
def test_the_nearest_of_given_points_in_any_order(kind, k):
    rng = np.random.default_rng(KINDS.index(kind))
    queries, points = layout(rng, kind, 4, 40, 20)
    given = rng.permuted(np.tile(np.arange(40, dtype=np.int32), (4, 1)), axis=1)
    given[rng.random(given.shape) < 0.4] = -1
    left_out = [sorted(set(range(40)) - set(row)) for row in given.tolist()]
    items, distances = on_threads(2, lambda: nearest_of(queries, prepared(points), given, k))
    expected, exact = reference.top_k(queries, points, k, left_out)
    assert items.shape == distances.shape == (4, k)
    wide = expected.shape[1]
    assert (items[:, :wide] == expected).all()
    assert np.array_equal(distances[:, :wide], exact, equal_nan=True)
    assert (items[:, wide:] == -1).all()
    assert np.isnan(distances[:, wide:]).all()


def test_nothing_excluded_is_the_default():
    rng = np.random.default_rng(1)
    queries, points = layout(rng, "usual", 3, 20, 8)
    items, distances = top_k(queries, points, 5)
    expected, exact = reference.top_k(queries, points, 5, [[], [], []])
    assert (items == expected).all()
    assert (distances == exact).all()


def test_everything_excluded_gives_empty_lists():
    queries, points = layout(np.random.default_rng(2), "usual", 2, 9, 4)
    items, distances = top_k(queries, points, 3, csr([list(range(9)), list(range(8))]))
    assert items.tolist() == [[-1, -1, -1], [8, -1, -1]]
    assert np.isnan(distances).tolist() == [[True, True, True], [False, True, True]]


def test_no_points_and_no_queries():
    some = np.ones((2, 3), dtype=np.float32)
    none = np.ones((0, 3), dtype=np.float32)
    for queries, points in ((some, none), (none, some), (none, none)):
        items, distances = top_k(queries, points, 4)
        assert items.shape == distances.shape == (len(queries), min(4, len(points)))
        empty = csr([[]] * len(queries))
        assert len(held_out_ranks(queries, points, empty, empty)) == 0


def test_a_point_upon_its_query_comes_first():
    points = np.random.default_rng(3).normal(0, 1, (30, 12)).astype(np.float32)
    items, distances = top_k(points, points, 1)
    assert items[:, 0].tolist() == list(range(30))
    assert not distances.any()


def test_pair_distances_are_the_same_numbers():
    rng = np.random.default_rng(4)
    queries, points = layout(rng, "usual", 5, 7, 21)
    rows, columns = (rng.integers(0, n, 40).astype(np.int32) for n in (5, 7))
    got = pair_distances(queries, points, rows, columns)
    assert (got == reference.distances(queries, points)[rows, columns]).all()


def test_a_held_out_item_is_ranked_among_what_is_not_excluded():
    points = np.arange(6, dtype=np.float32)[:, None]
    query = np.zeros((1, 1), dtype=np.float32)
    ranks = held_out_ranks(query, points, csr([[0, 3, 5]]), csr([[1, 2]]))
    assert ranks.tolist() == [1, 2, 4]


big = pytest.mark.compiled  # too slow interpreted


@big
@pytest.mark.parametrize("n", [4095, 4096, 4097, 8192, 8193])
def test_exact_at_the_borders_of_tiles(n):
    rng = np.random.default_rng(n)
    queries, points = layout(rng, "usual", 3, n, 8)
    points[4090:4100] = points[0]  # ties across the border
    queries[0] = points[0]
    excluded = [[], [0, 4095] if n > 4095 else [0], list(range(4000))]
    for k in (1, 12, 2_000):
        items, distances = top_k(queries, points, k, csr(excluded))
        expected, exact = reference.top_k(queries, points, k, excluded)
        assert (items == expected).all()
        assert np.array_equal(distances, exact, equal_nan=True)
    held = [[0, 5, 4090, 4094, n - 1], [1, 4094], [4000, n - 1]]
    ranks = held_out_ranks(queries, points, csr(held), csr(excluded))
    assert (ranks == reference.held_out_ranks(queries, points, held, excluded)).all()


@big
@pytest.mark.parametrize("distinct", [1, 2, 7])
def test_thousands_of_equal_points(distinct):
    rng = np.random.default_rng(distinct)
    points = rng.normal(0, 1, (distinct, 10)).astype(np.float32)[rng.integers(0, distinct, 9_000)]
    queries = np.concatenate([points[:1], rng.normal(0, 1, (3, 10)).astype(np.float32)])
    excluded = [[], [0, 1, 2, 8_999], list(range(0, 9_000, 2)), list(range(8_990))]
    for k in (1, 10, 700):
        items, distances = top_k(queries, points, k, csr(excluded))
        expected, exact = reference.top_k(queries, points, k, excluded)
        assert (items == expected).all()
        assert np.array_equal(distances, exact, equal_nan=True)


@big
@pytest.mark.parametrize("users_at_once", [1, 7, 1024])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_and_blocks_do_not_change_a_bit(users_at_once, threads, monkeypatch):
    monkeypatch.setattr(topk, "USERS_AT_ONCE", users_at_once)
    rng = np.random.default_rng(8)
    queries, points = layout(rng, "grid", 30, 500, 6)
    assert_exact(queries, points, 20, some_lists(rng, 30, 500), threads)


@big
def test_wide_tables_far_from_the_origin():
    rng = np.random.default_rng(9)
    centre = rng.normal(0, 10, 1024)
    tables = (centre + rng.normal(0, 1e-3, (803, 1024))).astype(np.float32)
    assert_exact(tables[:3], tables[3:], 25, [[], [1, 2], list(range(780))])
