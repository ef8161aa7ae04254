"""Positive pairs in proportion to their weights: as distributions, and beside rows given twice."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trimetric import counter
from trimetric.engine import negatives, rng
from trimetric.engine.compile import INTERPRETED, kernel
from trimetric.engine.negatives import Positives, positive_pair, positives

pytestmark = [pytest.mark.twin, pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")]
EPOCHS = 30 if INTERPRETED else 2_000
LIKELY = 1e-4


class Epoch(NamedTuple):
    """The settings of an epoch that `positive_pair` reads."""

    order: rng.Order
    draws: np.uint64
    samples: np.int64


@kernel
def fill(out, positives, settings):
    for sample in range(len(out)):
        out[sample] = positive_pair(sample, positives, settings)


def pairs(weights: np.ndarray | None, n: int) -> Positives:
    """Return n interactions of one user each."""
    rows = np.arange(n, dtype=np.int32)
    return positives(rows, rows, np.arange(n + 1, dtype=np.int64), None, weights)


def epoch_of(data: Positives, number: int, samples: int = 0) -> np.ndarray:
    """Return the positives of an epoch."""
    key, out = counter.key(7, number), np.zeros(samples or len(data.users), dtype=np.int64)
    fill(out, data, Epoch(rng.order(key, len(out)), key, np.int64(len(out))))
    return out


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.sampled_from([0.5, 1.0, 7.0]), st.integers(0, 50))
def test_equal_weights_give_the_samples_of_none(n: int, weight: float, number: int) -> None:
    weighted = pairs(np.full(n, weight, dtype=np.float32), n)
    assert np.array_equal(epoch_of(weighted, number), epoch_of(pairs(None, n), number))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(np.float32(1e-3), np.float32(1e3), width=32), min_size=1, max_size=60),
    st.integers(0, 50),
    st.integers(1, 150),
)
def test_an_epoch_visits_each_about_as_often_as_its_share_says(
    weights, number: int, samples: int
) -> None:
    """The parts of the sum that an interaction does not fill alone are at most two."""
    counts = np.float32(weights)
    drawn = epoch_of(pairs(counts, len(counts)), number, samples)
    visits = np.bincount(drawn, minlength=len(counts))
    expected = samples * counts.astype(np.float64) / counts.sum(dtype=np.float64)
    assert (np.abs(visits - expected) < 2 + 1e-6).all()


@kernel
def fill_places(out, order):
    for sample in range(len(out)):
        out[sample] = rng.shuffled(sample, order)


@pytest.mark.parametrize("samples", [1, 7, 40])
def test_positives_by_weight_equal_the_twin(samples: int) -> None:
    """A sample's point of the sum comes from a counter of its own, 3 before the next sample's."""
    weights = np.random.default_rng(samples).uniform(0.1, 5, 9).astype(np.float32)
    ends, key = np.cumsum(weights.astype(np.float64)), counter.key(7, 3)
    places = np.zeros(samples, dtype=np.int64)
    fill_places(places, rng.order(key, samples))
    words = counter.bits(key, np.arange(1, samples + 1) * 2**16 - 3)
    points = (places + (words >> np.uint64(40)) / 2**24) * ends[-1] / samples
    expected = [int((ends <= point).sum()) for point in points]
    assert epoch_of(pairs(weights, 9), 3, samples).tolist() == expected


def test_no_two_draws_of_a_sample_share_a_counter() -> None:
    last = negatives.DRAWS_PER_TRIPLET - 1
    own = {negatives.POSITIVE_NOISE, negatives.POSITIVE_DRAW, last}
    assert len(own) == 3
    assert max(negatives.UNIFORM_ATTEMPTS, negatives.POPULARITY_ATTEMPTS) <= min(own)
    assert max(own) == last
    assert len(set(negatives.NEGATIVES.values())) == 3


def test_weight_2_is_as_the_row_twice_in_expectation() -> None:
    """Draws by weight, and draws where the rows of weight 2 and 3 are there as often."""
    weights = np.float32([1, 2, 1, 3, 1])
    by_weight, repeated = pairs(weights, 5), np.repeat(np.arange(5), weights.astype(int))
    drawn, twice = np.zeros(5), np.zeros(5)
    for number in range(EPOCHS):
        drawn += np.bincount(epoch_of(by_weight, number), minlength=5)
        plain = epoch_of(pairs(None, len(repeated)), number)
        twice += np.bincount(repeated[plain], minlength=5)
    assert np.array_equal(twice, EPOCHS * weights)
    share = twice / twice.sum()
    assert stats.chisquare(drawn, drawn.sum() * share).pvalue > LIKELY
    assert np.abs(drawn / drawn.sum() - share).max() < 0.1 * EPOCHS**-0.25
