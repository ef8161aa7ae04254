"""Ids by row and what users are known to have, beside sets and counts in plain Python."""

from collections import Counter
from dataclasses import FrozenInstanceError

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.space import known as module
from trimetric.space.known import Known, Totals

N_USERS, N_ITEMS = 5, 7
LOGS = st.sets(st.tuples(st.integers(0, N_USERS - 1), st.integers(0, N_ITEMS - 1)))


def known(pairs, **more):
    users, items = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2).T
    ids = (Vocabulary.from_values(pl.Series(range(n), dtype=pl.Int64)) for n in (N_USERS, N_ITEMS))
    return Known(*ids, Csr.from_pairs(users, items, N_USERS), **more)


@given(LOGS)
def test_each_user_has_what_the_log_says(pairs):
    here = known(pairs)
    for user in range(N_USERS):
        mine = sorted(item for other, item in pairs if other == user)
        assert here.items_of(user).tolist() == mine
        assert here.weights_of(user).tolist() == [1.0] * len(mine)
        assert here.weights_of(user).dtype == np.float32
    assert here.sizes.tolist() == [sum(u == user for u, _ in pairs) for user in range(N_USERS)]
    assert here.sizes.dtype == np.float64
    assert here.trained == len({user for user, _ in pairs})


@given(LOGS, st.randoms(use_true_random=False))
def test_weights_stay_with_their_pairs(pairs, random):
    given_to = {pair: random.randint(1, 9) / 2 for pair in sorted(pairs)}
    here = known(pairs, weights=np.array(list(given_to.values()), dtype=np.float32))
    for user in range(N_USERS):
        mine = [weight for (other, _), weight in given_to.items() if other == user]
        assert here.weights_of(user).tolist() == mine
        assert here.sizes[user] == sum(mine)
    assert here.sizes.dtype == np.float64
    assert len(here.sizes) == N_USERS


@pytest.mark.parametrize("at_once", [1, 3, 1 << 24])
@given(pairs=LOGS)
def test_popularity_counts_users(at_once, pairs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "COUNTED_AT_ONCE", at_once)
        found = known(pairs).popularity
    counts = Counter(item for _, item in pairs)
    assert found.tolist() == [counts[item] for item in range(N_ITEMS)]
    assert found.dtype == np.int64


def test_totals_stand_for_users_that_are_elsewhere():
    popularity = np.arange(N_ITEMS, 0, -1)
    here = known({(0, 6), (1, 6), (1, 5)}, totals=Totals(popularity, trained=99))
    assert here.popularity is popularity
    assert here.trained == 99
    assert here.most_popular(2).tolist() == [0, 1]
    assert here.sizes.tolist() == [1, 2, 0, 0, 0]


@given(LOGS, st.integers(0, 9), st.none() | st.sets(st.integers(0, N_ITEMS - 1)))
def test_the_most_popular_come_first_and_ties_by_row(pairs, k, only):
    here, counts = known(pairs), Counter(item for _, item in pairs)
    asked = range(N_ITEMS) if only is None else sorted(only)
    rows = None if only is None else np.array(asked, dtype=np.int32)
    found = here.most_popular(k, rows)
    assert found.tolist() == sorted(asked, key=lambda item: -counts[item])[:k]
    assert found.dtype == np.int32


@given(st.sets(st.integers(0, N_ITEMS - 1)))
def test_available_is_what_is_not_unavailable(gone):
    here = known(set(), unavailable=np.array(sorted(gone), dtype=np.int32))
    if not gone:
        assert here.available is None
        assert known(set()).available is None
    else:
        assert here.available.tolist() == sorted(set(range(N_ITEMS)) - gone)
        assert here.available.dtype == np.int32


def test_what_is_known_is_fixed_and_compared_by_identity():
    """Its arrays are shared between threads, and by value they would not compare to one bool."""
    for make in (lambda: known({(0, 1)}), lambda: Totals(np.arange(3), trained=2)):
        one, same = make(), make()
        with pytest.raises(FrozenInstanceError):
            one.trained = 3
        assert one == one
        assert one != same
        assert len({one, same}) == 2
