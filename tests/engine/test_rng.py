"""The compiled random numbers against their whole-array forms, and the order without memory."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from trimetric import counter
from trimetric.engine import rng
from trimetric.engine.compile import INTERPRETED, kernel

pytestmark = [pytest.mark.twin, pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")]
LIKELY = 1e-4
MANY = 300 if INTERPRETED else 4_000


@kernel
def fill_bits(out, key, positions):
    for i in range(len(out)):
        out[i] = rng.bits(key, positions[i])


@kernel
def fill_below(out, key, start, n):
    for i in range(len(out)):
        out[i] = rng.below(key, start + i, n)


@kernel
def fill_order(out, order):
    for i in range(len(out)):
        out[i] = rng.shuffled(i, order)


def order_of(key, n):
    out = np.empty(n, dtype=np.int64)
    fill_order(out, rng.order(key, n))
    return out


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 2**62), min_size=1, max_size=50))
def test_bits_equal_the_array_form(key, positions):
    positions = np.array(positions)
    out = np.empty(len(positions), dtype=np.uint64)
    fill_bits(out, np.uint64(key), positions)
    assert (out == counter.bits(np.uint64(key), positions)).all()


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**47), st.integers(1, 2**31 - 1))
def test_below_equals_its_twin(key, start, n):
    out = np.empty(20, dtype=np.int64)
    fill_below(out, np.uint64(key), start, n)
    assert out.tolist() == [reference.below(np.uint64(key), start + i, n) for i in range(20)]
    assert out.min() >= 0
    assert out.max() < n


@pytest.mark.parametrize("n", [1, 2, 3, 10, 97])
def test_below_is_uniform(n):
    out = np.empty(5 * MANY, dtype=np.int64)
    fill_below(out, counter.key(6), 0, n)
    counts = np.bincount(out, minlength=n)
    assert len(counts) == n
    assert n == 1 or stats.chisquare(counts).pvalue > LIKELY


def sizes():
    powers = [2**b for b in range(1, 11 if INTERPRETED else 18)]
    return sorted({*range(1, 40), *(p + d for p in powers for d in (-1, 0, 1))})


def test_shuffled_has_everything_once():
    for n in sizes():
        for seed in range(3):
            assert (np.sort(order_of(counter.key(n, seed), n)) == np.arange(n)).all(), (n, seed)


@given(st.integers(0, 2**64 - 1), st.integers(1, 500))
def test_shuffled_has_everything_once_for_any_key(key, n):
    assert sorted(order_of(np.uint64(key), n).tolist()) == list(range(n))


def test_orders_of_different_keys_differ():
    orders = {tuple(order_of(counter.key(1, 1, epoch), 50)) for epoch in range(200)}
    assert len(orders) == 200


@pytest.mark.parametrize("n", [2, 5, 8, 17, 64, 101])
def test_shuffled_sends_each_position_anywhere(n):
    drawn = np.array([order_of(counter.key(7, seed), n) for seed in range(MANY)])
    error = (n * n - 1) / 12 / MANY  # of a position's mean, squared
    means = (drawn.mean(axis=0) - (n - 1) / 2) ** 2 / error
    assert stats.chi2.sf(means.sum() * (n - 1) / n, n - 1) > LIKELY
    counts = [np.bincount(drawn[:, position], minlength=n) for position in range(min(n, 8))]
    assert min(stats.chisquare(count).pvalue for count in counts) > LIKELY


def test_neighbours_in_a_shuffled_order_are_unrelated():
    n, keys = (500, 20) if INTERPRETED else (10_007, 100)
    for lag in (1, 2, 3, 16, 128):
        related = []
        for seed in range(keys):
            order = order_of(counter.key(8, seed), n)
            related.append(np.corrcoef(order[:-lag], order[lag:])[0, 1] * np.sqrt(n - lag))
        assert abs(np.mean(related)) < 5 / np.sqrt(keys)
        assert 0.5 < np.std(related) < 1.6, lag


def test_a_batch_of_a_shuffled_order_reaches_everywhere():
    n = 2_000 if INTERPRETED else 100_000
    counts = np.zeros(16)
    for seed in range(20):
        counts += np.bincount(order_of(counter.key(9, seed), n)[:512] * 16 // n, minlength=16)
    assert stats.chisquare(counts).pvalue > LIKELY


@pytest.mark.parametrize(("rows", "dim", "width"), [(1, 1, 16), (7, 16, 16), (5, 20, 32)])
def test_fill_normal_equals_the_array_form(rows, dim, width):
    table, key = np.full((rows, width), -7, dtype=np.float32), counter.key(10)
    rng.fill_normal(table, dim, key, (0.1, 0.25))
    expected = 0.1 + 0.25 * counter.normal(key, (rows, dim))
    assert (table[:, :dim] == expected.astype(np.float32)).all()
    assert (table[:, dim:] == -7).all()
