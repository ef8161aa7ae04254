import numpy as np
import pytest
from csr_lists import lists_of
from hypothesis import example, given
from hypothesis import strategies as st

from trimetric.data.csr import Csr, weights_in

pairs = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0, 1, 2, 3, 2**31 - 1])))


def csr(listed):
    users, items = np.array(listed, dtype=np.int64).reshape(-1, 2).T
    return Csr.from_pairs(users, items, 6)


def as_pairs(rows):
    return [*zip(rows.users.tolist(), rows.items.tolist(), strict=True)]


@given(pairs)
def test_pairs_come_back_sorted_and_once(listed):
    rows = csr(listed)
    assert as_pairs(rows) == sorted(set(listed))
    assert rows.indptr.dtype == np.int64
    assert rows.items.dtype == np.int32
    assert (rows.n_users, rows.counts.sum()) == (6, len(set(listed)))


@given(pairs, pairs)
def test_union_contains_and_keep_are_those_of_sets(some, others):
    a, b = csr(some), csr(others)
    assert as_pairs(a.union(b)) == sorted(set(some) | set(others))
    assert a.contains(b).tolist() == [pair in some for pair in as_pairs(b)]
    left = b.keep(~a.contains(b))
    assert as_pairs(left) == sorted(set(others) - set(some))
    assert left.n_users == 6


@given(pairs, st.lists(st.integers(0, 5)))
def test_take_returns_the_lists_asked_for(listed, users):
    rows = csr(listed)
    taken = rows.take(np.array(users, dtype=np.int32))
    lists = [rows.items[rows.indptr[u] : rows.indptr[u + 1]].tolist() for u in users]
    assert taken.n_users == len(users)
    assert [
        taken.items[a:b].tolist() for a, b in zip(taken.indptr, taken.indptr[1:], strict=False)
    ] == lists
    assert (taken.indptr.dtype, taken.items.dtype) == (np.int64, np.int32)


@given(pairs)
def test_what_is_built_from_pairs_is_valid(listed):
    rows = csr(listed)
    largest = max(rows.items.tolist(), default=-1)
    assert rows.is_valid(largest + 1)
    assert not len(rows.items) or not rows.is_valid(largest)


@pytest.mark.parametrize(
    ("indptr", "items"),
    [
        ([1, 2, 3], [0, 1, 2]),
        ([0, 2, 2], [0, 1, 2]),
        ([0, 3, 2], [0, 1]),
        ([0, 2, 3], [1, 0, 2]),
        ([0, 2, 3], [1, 1, 2]),
        ([0, 2, 3], [-1, 1, 2]),
        ([0, 2, 3], [0, 1, 3]),
    ],
)
def test_rows_that_are_out_of_order_or_out_of_range_are_not_valid(indptr, items):
    rows = Csr(np.array(indptr, dtype=np.int64), np.array(items, dtype=np.int32))
    assert not rows.is_valid(3)


LISTS = st.lists(st.sets(st.integers(0, 6), max_size=5), min_size=3, max_size=3)


def rows_of(lists: list[set[int]]) -> Csr:
    users = [user for user, items in enumerate(lists) for _ in items]
    items = [item for own in lists for item in sorted(own)]
    return Csr.from_pairs(np.array(users, dtype=np.int64), np.array(items, dtype=np.int64), 3)


def test_empty_rows() -> None:
    empty = Csr.empty(4)
    assert (empty.indptr.tolist(), empty.items.tolist()) == ([0] * 5, [])
    assert (empty.indptr.dtype, empty.items.dtype) == (np.int64, np.int32)


@given(LISTS, LISTS)
@example([{1}, set(), {2}], [set(), {3}, set()])
@example([{1}, set(), set()], [{2, 3}, {3}, set()])
def test_unions_are_those_of_sets(some: list[set[int]], others: list[set[int]]) -> None:
    found = rows_of(some).union(rows_of(others))
    assert lists_of(found) == [sorted(a | b) for a, b in zip(some, others, strict=True)]


@given(LISTS)
def test_transposed_lists_have_the_users_of_each_item(lists: list[set[int]]) -> None:
    rows = rows_of(lists)
    turned, order = rows.transposed(7)
    expected = [[user for user in range(3) if item in lists[user]] for item in range(7)]
    assert lists_of(turned) == expected
    assert rows.items[order].tolist() == [item for item in range(7) for _ in expected[item]]
    assert rows.users[order].tolist() == turned.items.tolist()


@given(st.tuples(LISTS, LISTS, LISTS))
def test_weights_are_those_of_the_first_source(three: tuple[list[set[int]], ...]) -> None:
    rows, first, second = map(rows_of, three)
    weights = np.arange(len(first.items), dtype=np.float32) + 2
    others = np.arange(len(second.items), dtype=np.float32) + 50
    found = weights_in(rows, (first, weights), (second, others))
    plain = weights_in(rows, (first, None), (second, others))
    assert found is not None
    assert plain is not None
    assert weights_in(rows, (first, None), (second, None)) is None
    one, other = (
        dict(zip(zip(r.users.tolist(), r.items.tolist(), strict=True), w.tolist(), strict=True))
        for r, w in ((first, weights), (second, others))
    )
    pairs = list(zip(rows.users.tolist(), rows.items.tolist(), strict=True))
    assert found.tolist() == [one.get(pair, other.get(pair, 1.0)) for pair in pairs]
    ones = dict.fromkeys(one, 1.0)
    assert plain.tolist() == [ones.get(pair, other.get(pair, 1.0)) for pair in pairs]
