import time

import numpy as np
import pytest
from csr_lists import csr
from hypothesis import given, settings
from hypothesis import strategies as st

from trimetric.evaluation.candidates import CandidateDraw


def rows(n):
    return np.arange(n, dtype=np.int32)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40).flatmap(
        lambda n_items: st.tuples(
            st.just(n_items),
            st.lists(st.sets(st.integers(0, n_items - 1)), min_size=1, max_size=8),
        )
    ),
    st.integers(1, 45),
    st.integers(0, 5),
)
def test_candidates_are_distinct_untouched_and_as_many_as_there_can_be(data, n, seed):
    n_items, touched = data
    drawn = CandidateDraw(csr(touched), n_items, n, seed).draw(rows(len(touched)))
    for own, row in zip(touched, drawn, strict=True):
        real = row[row < n_items].tolist()
        assert len(set(real)) == len(real) == min(n, n_items - len(own))
        assert not own & set(real)
        assert row.tolist() == sorted(row.tolist())


@pytest.mark.parametrize("n", [5, 12])  # drawing until distinct, and shuffling a small pool
def test_candidates_are_uniform(n):
    touched = {0, 3, 4, 19}
    n_users, n_items = 6000, 20
    drawn = CandidateDraw(csr([touched] * n_users), n_items, n, 1).draw(rows(n_users))
    counts = np.bincount(drawn.ravel(), minlength=n_items)
    assert counts[list(touched)].sum() == 0
    share = n / 16
    free = np.delete(counts, list(touched))
    z = (free - n_users * share) / np.sqrt(n_users * share * (1 - share))
    assert np.abs(z).max() < 4
    # Pairs of items fall together as often as they should: n (n - 1) / (16 * 15).
    both = ((drawn == 1).any(axis=1) & (drawn == 18).any(axis=1)).mean()
    expected = n * (n - 1) / (16 * 15)
    assert abs(both - expected) < 4 * np.sqrt(expected * (1 - expected) / n_users)


def test_a_draw_depends_on_seed_and_user_alone():
    rng = np.random.default_rng(0)
    touched = csr([rng.choice(300, rng.integers(0, 290), replace=False) for _ in range(60)])
    draw = CandidateDraw(touched, 300, 50, seed=3)
    together = draw.draw(rows(60))
    for user in (0, 17, 59):
        alone = draw.draw(np.array([user], dtype=np.int32))
        np.testing.assert_array_equal(alone[0], together[user])
    backwards = draw.draw(rows(60)[::-1].copy())
    np.testing.assert_array_equal(backwards[::-1], together)
    assert (CandidateDraw(touched, 300, 50, seed=4).draw(rows(60)) != together).any()
    assert (together[0] != together[1]).any()


def test_five_thousand_users_take_less_than_a_second():
    rng = np.random.default_rng(0)
    touched = csr([rng.choice(1685, 8, replace=False) for _ in range(5000)])
    draw = CandidateDraw(touched, 1685, 499, seed=0)
    begun = time.process_time()
    for start in range(0, 5000, 262):
        draw.draw(np.arange(start, min(start + 262, 5000), dtype=np.int32))
    assert time.process_time() - begun < 1
