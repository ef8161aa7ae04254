"""Lists and ranks from scores: brute force over (score, item), with many ties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimetric.data.csr import Csr
from trimetric.engine import scores

pytestmark = pytest.mark.twin


def lists(rng, n_users, n_items, share):
    has = rng.random((n_users, n_items)) < share
    return Csr.from_pairs(*np.nonzero(has), n_users), has


@st.composite
def tables(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_users, n_items = draw(st.integers(0, 7)), draw(st.integers(1, 40))
    levels = draw(st.sampled_from([1, 3, 10**6]))
    table = rng.integers(-levels, levels, (n_users, n_items)).astype(np.float32)
    return rng, table


def order(row, hidden):
    """Item numbers of one user, best first, ties by number."""
    return [i for i in np.lexsort((np.arange(len(row)), -row)).tolist() if not hidden[i]]


@given(tables(), st.integers(1, 50), st.sampled_from([1, 2, 3]), st.sampled_from([0.0, 0.4, 1.0]))
def test_lists_are_brute_force(made, k, threads, share):
    rng, table = made
    excluded, hidden = lists(rng, *table.shape, share)
    users = np.arange(len(table), dtype=np.int32)
    items, found = scores.top_scores(
        lambda rows: table[rows], users, table.shape[1], k, excluded, threads
    )
    assert items.shape == found.shape == (len(table), min(k, table.shape[1]))
    for user, row in enumerate(table):
        best = order(row, hidden[user])[:k]
        assert items[user, : len(best)].tolist() == best
        assert found[user, : len(best)].tolist() == row[best].tolist()
        assert (items[user, len(best) :] == -1).all()
        assert np.isnan(found[user, len(best) :]).all()


@given(tables(), st.sampled_from([1, 2, 3]), st.sampled_from([1, 1 << 20]))
def test_ranks_are_brute_force(made, threads, at_once):
    rng, table = made
    excluded, hidden = lists(rng, *table.shape, 0.3)
    held, _ = lists(rng, *table.shape, 0.3)
    held = held.keep(~excluded.contains(held))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "CELLS_AT_ONCE", at_once)
        ranks = scores.ranks_by_score(
            lambda rows: table[rows], table.shape[1], held, excluded, threads
        )
    expected = [
        order(table[user], hidden[user]).index(item) + 1
        for user, item in zip(held.users.tolist(), held.items.tolist(), strict=True)
    ]
    assert ranks.tolist() == expected
