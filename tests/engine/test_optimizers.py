"""Optimiser steps, projection and margins against naive forms, over several steps."""

from typing import NamedTuple

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from trimetric.engine import optimizers, rows
from trimetric.engine.compile import kernel

pytestmark = pytest.mark.twin


class Settings(NamedTuple):
    """The settings that the steps read."""

    optimizer: np.int64
    lr: np.float32
    radius: np.float32
    sphere: bool
    dim: np.float32


@kernel
def run_step(g, k, table, row, first, second, settings, step):
    square, bias = rows.squared_norm(g, k), optimizers.adam_bias(step)
    return optimizers.step_row(g, k, square, table, row, first, second, settings, bias)


@kernel
def run_margin(margins, row, gradient, limit, moments, settings, step):
    optimizers.step_margin(
        margins, row, gradient, limit, moments, settings, optimizers.adam_bias(step)
    )


@kernel
def run_bias(step):
    return optimizers.adam_bias(step)


def settings_of(name, lr=0.05, radius=1.0, sphere=False, dim=21):
    return Settings(
        np.int64(optimizers.OPTIMIZERS[name]),
        np.float32(lr),
        np.float32(radius),
        sphere,
        np.float32(dim),
    )


def twin_step(name, x, g, first, second, lr, step):
    if name == "rowwise-adagrad":
        return reference.rowwise_adagrad(x, g, second, lr)
    if name == "adagrad":
        return reference.adagrad(x, g, second, lr)
    if name == "sgd":
        return x - lr * g
    return reference.adam(x, g, first, second, lr, step)


@pytest.mark.parametrize(
    ("name", "first", "second", "start"),
    [
        ("sgd", (0, 1), (0, 1), 0.1),
        ("rowwise-adagrad", (0, 1), (4, 1), 0.1),
        ("adagrad", (0, 1), (4, 7), 0.1),
        ("adam", (4, 7), (4, 7), 0),
    ],
)
def test_moments_are_as_wide_as_the_optimiser_needs(name, first, second, start):
    moments = optimizers.start_moments(name, np.ones((4, 7), dtype=np.float32))
    assert [part.shape for part in moments] == [first, second]
    assert all(part.dtype == np.float32 for part in moments)
    assert not moments[0].any()
    assert (moments[1] == np.float32(start)).all()
    assert optimizers.accumulator_start(name) == start


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
@pytest.mark.parametrize("radius", [0.5, 1.0, 30.0])
@pytest.mark.parametrize("sphere", [False, True])
def test_steps_over_time_equal_the_twin(name, radius, sphere):
    rng, dim, row = np.random.default_rng(5), 21, 2
    table = rows.padded_table(rng.normal(0, 0.2, (4, dim)))
    start = 0.0 if name == "adam" else 0.1
    width = 1 if name == "rowwise-adagrad" else table.shape[1]
    first, second = np.zeros_like(table), np.full((4, width), start, dtype=np.float32)
    x = table[row, :dim].astype(np.float64)
    memory = np.zeros(dim), np.full(1 if name == "rowwise-adagrad" else dim, start)
    settings = settings_of(name, 0.1, radius, sphere)
    for step in (1, 2, 3, 7, 8, 1000):  # Adam's lazy rows skip mini-batches
        gradient = rng.normal(0, 10.0 ** rng.integers(-2, 2), dim)
        g = rows.table(3, dim)
        g[1, :dim] = gradient
        before = table.copy()
        factor = run_step(g, 1, table, row, first, second, settings, step)
        assert (table == before).all()
        assert not g[[0, 2]].any()
        assert not g[1, dim:].any()
        x = reference.projected(twin_step(name, x, gradient, *memory, 0.1, step), radius, sphere)
        table[row] = factor * g[1]
        assert np.allclose(table[row, :dim], x, rtol=1e-4, atol=1e-6)
    others = [0, 1, 3]
    assert (second[others] == np.float32(start)).all()
    assert not first[others].any()
    assert np.allclose(second[row, :dim], memory[1], rtol=1e-4)
    assert np.allclose(first[row, :dim] if name == "adam" else 0, memory[0], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("step", [1, 2, 3, 10, 99, 1_000, 10_000, 10**7, 2**40])
def test_adam_bias_is_that_of_the_paper(step):
    got = run_bias(step)
    expected = (1 / (1 - 0.9**step), 1 / (1 - 0.999**step))
    assert np.allclose(got, expected, rtol=1e-6)
    assert all(np.asarray(part).dtype == np.float32 for part in got) or not isinstance(
        got[0], np.generic
    )


@given(st.integers(0, 2**32), st.integers(1, 60), st.floats(1e-3, 100), st.booleans())
def test_project_all_brings_every_row_home(seed, dim, radius, sphere):
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, (6, dim)) * 10.0 ** rng.integers(-4, 3, (6, 1))
    values[3] = 0
    table = rows.padded_table(values)
    before = table.copy()
    optimizers.project_all(table, np.float32(radius), sphere)
    lengths = np.linalg.norm(table.astype(np.float64), axis=1)
    assert (lengths <= radius * (1 + 1e-6)).all()
    assert lengths[3] == 0
    assert not table[:, dim:].any()
    inside = np.linalg.norm(before.astype(np.float64), axis=1) < radius * (1 - 1e-6)
    if sphere:
        assert np.allclose(np.delete(lengths, 3), radius, rtol=1e-6)
    else:
        assert (table[inside] == before[inside]).all()
    expected = [reference.projected(row.astype(np.float64), radius, sphere) for row in before]
    assert np.allclose(table, expected, rtol=1e-5, atol=1e-9 * radius)


@pytest.mark.parametrize("name", optimizers.ADAPTIVE_OPTIMIZERS)
@pytest.mark.parametrize("scale", [1, 1e-7])  # where Adam's ε counts
def test_margins_over_time_equal_the_twin(name, scale):
    rng, start = np.random.default_rng(6), 0.0 if name == "adam" else 0.1
    margins = np.full(3, 0.5, dtype=np.float32)
    memory = np.full((3, 2), start, dtype=np.float32)
    m, state = np.array([0.5]), np.full(2, start)
    settings, limit, pushed = settings_of(name, 0.3), np.float32(0.9), 0
    for step in range(1, 40):
        gradient = scale * rng.normal(-1 if step < 20 else 1, 1)
        if m[0] == 0.9 and gradient <= 0:  # it does not remember what it cannot follow
            pushed += 1
            run_margin(margins, 1, np.float32(gradient), limit, memory, settings, step)
            continue
        run_margin(margins, 1, np.float32(gradient), limit, memory, settings, step)
        g = np.array([gradient])
        moved = (
            reference.adam(m, g, state[:1], state[1:], 0.3, step)
            if name == "adam"
            else reference.adagrad(m, g, state[1:], 0.3)
        )
        m = np.clip(moved, 1e-6, 0.9)
        assert np.allclose(margins[1], m, rtol=1e-4, atol=1e-6)
    assert pushed or (scale < 1 and name != "adam")
    assert margins[[0, 2]].tolist() == [0.5, 0.5]
    assert np.allclose(memory[1], state, rtol=1e-4, atol=1e-6)
    assert (memory[[0, 2]] == np.float32(start)).all()


@pytest.mark.parametrize("name", optimizers.ADAPTIVE_OPTIMIZERS)
@pytest.mark.parametrize("limit", [0.25, 1.0, 3.0])
def test_margins_stay_above_zero_and_within_their_limit(name, limit):
    limit, settings = np.float32(limit), settings_of(name, 0.5)
    for gradient, end in ((100, np.float32(1e-6)), (-100, limit)):
        margins = np.full(1, limit / 2, dtype=np.float32)
        memory = np.full((1, 2), 0 if name == "adam" else 0.1, dtype=np.float32)
        for step in range(1, 200):
            run_margin(margins, 0, np.float32(gradient), limit, memory, settings, step)
            assert 0 < margins[0] <= limit
        assert margins[0] == end


@pytest.mark.parametrize("name", optimizers.ADAPTIVE_OPTIMIZERS)
@pytest.mark.parametrize("gradient", [0, -1])
def test_a_margin_at_its_limit_rests_unless_it_is_pulled_back(name, gradient):
    margins, memory = np.ones(1, dtype=np.float32), np.float32([[0.5, 0.2]])
    settings, limit = settings_of(name), np.float32(1)
    run_margin(margins, 0, np.float32(gradient), limit, memory, settings, 3)
    assert margins.tolist() == [1]
    assert (memory == np.float32([[0.5, 0.2]])).all()
    run_margin(margins, 0, np.float32(1), limit, memory, settings, 4)
    assert margins[0] < 1


@kernel
def run_weight(weights, i, gradient, first, second, settings, step):
    optimizers.step_weight(
        weights, i, gradient, first, second, settings, optimizers.adam_bias(step)
    )


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
@pytest.mark.parametrize("scale", [1, 1e-7])
def test_dense_weights_over_time_equal_the_twin(name, scale):
    """A dense weight is a row of one column; row-wise Adagrad is then Adagrad."""
    rng, n, lr = np.random.default_rng(8), 5, 0.05
    settings = settings_of(name, lr, radius=0.1)  # weights are not projected
    start = 0.0 if name == "adam" else 0.1
    x = rng.normal(size=n)
    first, second = np.zeros(n), np.full(n, start)
    ours = [a.astype(np.float32) for a in (x, first, second)]
    for step in range(1, 8):
        for i, g in enumerate(scale * rng.normal(size=n)):
            run_weight(ours[0], i, np.float32(g), ours[1], ours[2], settings, step)
            if name == "adam":
                first[i], second[i] = 0.9 * first[i] + 0.1 * g, 0.999 * second[i] + 0.001 * g * g
                root = np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8
                x[i] -= lr * first[i] / (1 - 0.9**step) / root
            elif name == "sgd":
                x[i] -= lr * g
            else:
                second[i] += g * g
                x[i] -= lr * g / np.sqrt(second[i])
    for got, expected in zip(ours, (x, first, second), strict=True):
        assert np.allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_plain_descent_of_a_row():
    rng = np.random.default_rng(9)
    g, table = (rows.padded_table(rng.normal(size=(2, 21))) for _ in range(2))
    expected = table[1] - np.float32(0.05) * g[0]
    none, settings = np.zeros((0, 1), dtype=np.float32), settings_of("sgd", radius=np.inf)
    factor = run_step(g, 0, table, 1, none, none, settings, 1)
    assert factor == 1
    assert (g[0] == expected).all()
