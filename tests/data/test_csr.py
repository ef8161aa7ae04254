import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimetric.data.csr import Csr

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
