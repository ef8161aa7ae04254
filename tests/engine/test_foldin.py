"""Where new users are placed, against the definition in float64."""

import numpy as np
import pytest
from threads_helper import on_threads

from trimetric.engine.foldin import FIRST_STEP, STEPS, fold_in

pytestmark = pytest.mark.twin


def objective(x, points, own, weights, temperature):
    """f(x) of the module, and its gradient."""
    d = ((points - x) ** 2).sum(axis=1)
    others = np.setdiff1d(np.arange(len(points)), own)
    odds = np.exp(-d[others] / temperature)
    value = weights @ d[own] / weights.sum() + temperature * np.log(odds.sum())
    centre, mean = odds @ points[others] / odds.sum(), weights @ points[own] / weights.sum()
    return value, 2 * (centre - mean)


def placed(points, own, weights, temperature, radius, sphere=False):
    x = weights @ points[own] / weights.sum()
    for step in range(STEPS):
        _, gradient = objective(x, points, own, weights, temperature)
        length = np.linalg.norm(gradient)
        if length > 0:
            x = x - FIRST_STEP * (1 - step / STEPS) * radius * gradient / length
        norm = np.linalg.norm(x)
        if norm > radius or (sphere and norm > 0):
            x = x * radius / norm
    return x


def some(n, dim, seed=0):
    points = np.random.default_rng(seed).normal(0, 0.3, (n, dim))
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1)


def rows(lists):
    indptr = np.concatenate([[0], np.cumsum([len(one) for one in lists])]).astype(np.int64)
    return indptr, np.concatenate([np.sort(one) for one in lists]).astype(np.int32)


def test_the_gradient_is_that_of_the_objective():
    points, own, weights = some(30, 6), np.array([2, 9, 11]), np.array([1.0, 2.0, 0.5])
    x = np.random.default_rng(1).normal(0, 0.3, 6)
    _, gradient = objective(x, points, own, weights, 0.2)
    for k in range(6):
        step = np.zeros(6)
        step[k] = 1e-6
        ends = [objective(x + s * step, points, own, weights, 0.2)[0] for s in (1, -1)]
        assert np.isclose((ends[0] - ends[1]) / 2e-6, gradient[k], atol=1e-6)


@pytest.mark.parametrize("sphere", [False, True])
@pytest.mark.parametrize(("n", "dim", "temperature"), [(33, 5, 0.2), (64, 16, 0.05), (10, 40, 1.0)])
def test_positions_equal_the_twin(n, dim, temperature, sphere):
    rng, points = np.random.default_rng(n), some(n, dim)
    lists = [rng.choice(n, size, replace=False) for size in (1, 2, 5, n - 1)]
    indptr, items = rows(lists)
    weights = rng.uniform(0.5, 2, len(items)).astype(np.float32)
    pull, table = (indptr, items, weights), points.astype(np.float32)
    got = on_threads(1, lambda: fold_in(pull, table, temperature, 0.9, sphere))
    assert got.shape == (4, dim)
    for i in range(4):
        span = slice(indptr[i], indptr[i + 1])
        x = placed(points, items[span], weights[span].astype(float), temperature, 0.9, sphere)
        assert np.allclose(got[i], x, atol=0.01)
    for threads in (2, 3):
        same = on_threads(threads, lambda: fold_in(pull, table, temperature, 0.9, sphere))
        assert (same == got).all()


@pytest.mark.compiled  # too slow interpreted
def test_company_and_the_table_change_no_bit():
    """Placed alone or beside others, from a table or from an array that must be copied."""
    rng, points = np.random.default_rng(3), some(700, 32).astype(np.float32)
    lists = [rng.choice(700, size, replace=False) for size in (3, 1, 40, 7, 2, 9, 5, 4, 600, 11, 0)]
    indptr, items = rows(lists)
    weights = rng.uniform(0.5, 2, len(items)).astype(np.float32)
    together = on_threads(1, lambda: fold_in((indptr, items, weights), points, 0.05, 0.9))
    for i in range(len(lists)):
        span = slice(indptr[i], indptr[i + 1])
        alone = np.array([0, len(lists[i])]), items[span], weights[span]
        [x] = fold_in(alone, points, 0.05, 0.9)
        assert (x == together[i]).all()
    wide = np.concatenate([points, points], axis=1)[:, :32]
    assert not wide.flags.c_contiguous
    assert (
        on_threads(2, lambda: fold_in((indptr, items, weights), wide, 0.05, 0.9)) == together
    ).all()
    assert not together[-1].any()


def test_it_lowers_the_objective():
    points = some(50, 8)
    own, weights = np.array([1, 4, 30]), np.ones(3)
    pull = np.array([0, 3]), own.astype(np.int32), weights.astype(np.float32)
    [x] = fold_in(pull, points.astype(np.float32), 0.2, 1.0)
    start = objective(points[own].mean(axis=0), points, own, weights, 0.2)[0]
    assert objective(x, points, own, weights, 0.2)[0] < start - 0.1


def test_edges():
    points = some(6, 4).astype(np.float32)
    nobody = np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)
    assert fold_in(nobody, points, 0.2, 1.0).shape == (0, 4)
    nothing = np.zeros(2, dtype=np.int64), nobody[1], nobody[2]
    assert not fold_in(nothing, points, 0.2, 1.0).any()
    everything = np.array([0, 6]), np.arange(6, dtype=np.int32), np.ones(6, dtype=np.float32)
    assert np.allclose(fold_in(everything, points, 0.2, 1.0), points.mean(axis=0), atol=1e-6)
