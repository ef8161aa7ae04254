import numpy as np
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
