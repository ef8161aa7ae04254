"""Lists and ranks from scores: brute force over (score, item), with many ties."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from threads_helper import on_threads

from trimetric.data.csr import Csr
from trimetric.engine import scores

pytestmark = pytest.mark.twin
AT_ONCE = st.sampled_from([1, 40, 1 << 20])
"""Scores held at a time: blocks of one user, of a few, of all."""


def lists(rng, n_users, n_items, share):
    has = rng.random((n_users, n_items)) < share
    return Csr.from_pairs(*np.nonzero(has), n_users), has


def drawn(seed, n_users, n_items, levels):
    rng = np.random.default_rng(seed)
    return rng, rng.integers(-levels, levels, (n_users, n_items)).astype(np.float32)


TABLES = st.builds(
    drawn,
    st.integers(0, 2**32),
    st.integers(0, 7),
    st.integers(0, 40),
    st.sampled_from([1, 3, 10**6]),
)


def order(row, hidden):
    """Item numbers of one user, best first, ties by number."""
    return [i for i in np.lexsort((np.arange(len(row)), -row)).tolist() if not hidden[i]]


def in_blocks(function, table, at_once, threads, *arguments):
    """Call a function with a table that is asked for at most `at_once` scores, or one user's."""

    def asked(rows):
        assert len(rows) == 1 or len(rows) * table.shape[1] <= at_once
        return table[rows]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "CELLS_AT_ONCE", at_once)
        return on_threads(threads, lambda: function(asked, *arguments))


@given(
    TABLES,
    st.integers(0, 50),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([0.0, 0.4, 1.0]),
    AT_ONCE,
)
@example(drawn(1, 3, 0, 1), 5, 2, 0.0, 1)
@example(drawn(1, 0, 5, 1), 5, 2, 0.0, 1)
def test_lists_are_brute_force(made, k, threads, share, at_once):
    """Users in any order, some of them more than once."""
    rng, table = made
    n_users, n_items = table.shape
    users = rng.integers(0, max(n_users, 1), n_users + 2 * (n_users > 0)).astype(np.int32)
    excluded, hidden = lists(rng, len(users), n_items, share)
    items, found = in_blocks(
        scores.top_scores, table, at_once, threads, users, n_items, k, excluded
    )
    assert items.shape == found.shape == (len(users), min(k, n_items))
    assert (items.dtype, found.dtype) == (np.int32, np.float32)
    for place, row in enumerate(table[users]):
        best = order(row, hidden[place])[:k]
        assert items[place, : len(best)].tolist() == best
        assert found[place, : len(best)].tolist() == row[best].tolist()
        assert (items[place, len(best) :] == -1).all()
        assert np.isnan(found[place, len(best) :]).all()


@given(TABLES, st.sampled_from([1, 2, 3]), AT_ONCE)
@example(drawn(1, 3, 0, 1), 2, 1)
@example(drawn(1, 0, 5, 1), 2, 1)
def test_ranks_are_brute_force(made, threads, at_once):
    rng, table = made
    excluded, hidden = lists(rng, *table.shape, 0.3)
    held, _ = lists(rng, *table.shape, 0.3)
    held = held.keep(~excluded.contains(held))
    ranks = in_blocks(
        scores.ranks_by_score, table, at_once, threads, table.shape[1], held, excluded
    )
    expected = [
        order(table[user], hidden[user]).index(item) + 1
        for user, item in zip(held.users.tolist(), held.items.tolist(), strict=True)
    ]
    assert ranks.dtype == np.int32
    assert ranks.tolist() == expected
