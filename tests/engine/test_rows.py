"""Row operations, compiled or interpreted: each to the last bit what its definition says."""

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from trimetric.engine import rows as row_ops
from trimetric.engine import rows_numpy
from trimetric.engine.compile import kernel

pytestmark = pytest.mark.twin
WIDTHS = [16, 32, 48, 112, 128, 1024]


@kernel
def run_squared_distance(a, i, b, j):
    return row_ops.squared_distance(a, i, b, j)


@kernel
def run_counts(a, start, limit):
    return row_ops.count_above(a, start, limit), row_ops.count_at_least(a, start, limit)


@kernel
def run_squared_distances(a, i, b, rows, k, out):
    row_ops.squared_distances(a, i, b, rows, k, out)


@kernel
def run_consecutive_distances(a, i, b, start, out, at):
    row_ops.consecutive_distances(a, i, b, start, out, at)


@kernel
def run_add_consecutive(out, k, b, start, weights, at):
    row_ops.add_consecutive(out, k, b, start, weights, at)


@kernel
def run_squared_norm(a, i):
    return row_ops.squared_norm(a, i)


@kernel
def run_triplet_gradient(g, k, points, corners, weights):
    return row_ops.triplet_gradient(
        g, k, points, corners[0], corners[1], corners[2], weights[0], weights[1]
    )


@kernel
def run_add_triplet_gradient(g, k, points, corners, weights):
    return row_ops.add_triplet_gradient(
        g, k, points, corners[0], corners[1], corners[2], weights[0], weights[1]
    )


@kernel
def run_scale(g, k, factor):
    row_ops.scale(g, k, factor)


@kernel
def run_copy(out, k, a, i, factor):
    row_ops.copy(out, k, a, i, factor)


@kernel
def run_dot(a, i, b, j):
    return row_ops.dot(a, i, b, j)


@kernel
def run_add_scaled(out, k, a, i, factor):
    row_ops.add_scaled(out, k, a, i, factor)


@kernel
def run_multiply(out, k, a, i, b, j):
    row_ops.multiply(out, k, a, i, b, j)


@kernel
def run_sgd_step(g, k, a, i, rate):
    return row_ops.sgd_step(g, k, a, i, rate)


@kernel
def run_adagrad_step(g, k, a, i, past, rate):
    return row_ops.adagrad_step(g, k, a, i, past, i, rate)


@kernel
def run_adam_step(g, k, a, i, first, second, rates):
    return row_ops.adam_step(g, k, a, i, first, i, second, i, rates[0], rates[1])


@kernel
def run_prefetch(a, i):
    row_ops.prefetch(a, i)


def same(x, y):
    """Tell whether two float32 arrays or numbers have the same bits."""
    x, y = np.asarray(x, dtype=np.float32), np.asarray(y, dtype=np.float32)
    return x.shape == y.shape and (x.view(np.uint32) == y.view(np.uint32)).all()


def rows(rng, n, dim, size=1.0):
    return row_ops.padded_table(rng.normal(0, size, (n, dim)).astype(np.float32))


@st.composite
def operands(draw):
    """Four tables of random rows, over many magnitudes, and four row numbers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dim = draw(st.integers(1, 200))
    size = 10.0 ** draw(st.integers(-12, 12))
    tables = tuple(rows(rng, 5, dim, size) for _ in range(4))
    numbers = tuple(draw(st.integers(0, 4)) for _ in range(4))
    weights = tuple(np.float32(draw(st.sampled_from([0.0, 0.1, 2.0, rng.normal()]))) for _ in "ab")
    return tables, numbers, weights


def twice(operation, twin, tables):
    """Run an operation and its twin on copies of the same tables; both results and tables agree."""
    ours, theirs = ([row_ops.padded_table(t) for t in tables] for _ in range(2))
    got, expected = operation(ours), twin(theirs)
    assert expected is None or same(got, expected)
    for mine, other in zip(ours, theirs, strict=True):
        assert same(mine, other)


@pytest.mark.parametrize("width", WIDTHS)
def test_sums_keep_sixteen_lanes(width):
    a = rows(np.random.default_rng(width), 3, width)
    b = rows(np.random.default_rng(width + 1), 4, width)
    assert same(run_squared_distance(a, 2, b, 1), reference.distances(a, b)[2, 1])
    assert same(run_squared_norm(a, 1), reference.lane_sum(a[1] * a[1]))
    assert same(run_dot(a, 2, b, 1), reference.lane_sum(a[2] * b[1]))
    assert np.isclose(run_squared_norm(a, 1), (a[1].astype(float) ** 2).sum(), rtol=1e-5)


@given(operands())
def test_reading_operations_equal_numpy(operand):
    (a, b, _, _), (i, j, _, _), _ = operand
    assert same(run_squared_distance(a, i, b, j), rows_numpy.squared_distance(a, i, b, j))
    assert same(run_squared_distance(a, i, b, j), reference.distances(a, b)[i, j])
    assert same(
        run_squared_distance(a, np.int32(i), b, np.int32(j)), run_squared_distance(b, j, a, i)
    )
    assert same(run_squared_norm(a, i), rows_numpy.squared_norm(a, i))
    assert same(run_dot(a, i, b, j), rows_numpy.dot(a, i, b, j))
    assert same(run_dot(a, i, b, j), reference.lane_sum(a[i] * b[j]))
    before = a.copy()
    run_prefetch(a, i)
    assert same(a, before)


def test_counts_of_sixty_four():
    rng = np.random.default_rng(0)
    a = rng.integers(-3, 4, 200).astype(np.float32)
    a[[5, 70, 130]] = np.nan, np.inf, -np.inf
    for start, limit in [(0, 0.0), (1, -3.0), (70, 3.0), (136, np.inf), (3, -np.inf)]:
        run = a[start : start + 64]
        expected = (run > limit).sum(), (run >= limit).sum()
        assert run_counts(a, start, np.float32(limit)) == expected
        twins = rows_numpy.count_above, rows_numpy.count_at_least
        assert tuple(twin(a, start, np.float32(limit)) for twin in twins) == expected


@pytest.mark.parametrize("width", WIDTHS)
def test_four_distances_at_once_are_the_same(width):
    rng = np.random.default_rng(width)
    a, b = rows(rng, 3, width), rows(rng, 9, width)
    listed = np.array([7, 7, 0, 8, 3, 1, 2, 5], dtype=np.int32)
    out = np.full(9, np.nan, dtype=np.float32)
    for first in (0, 4):
        run_squared_distances(a, 2, b, listed, first, out)
    assert same(out[:8], reference.distances(a, b)[2, listed])
    assert np.isnan(out[8])
    twin = np.empty(8, dtype=np.float32)
    rows_numpy.squared_distances(a, 2, b, listed, 4, twin)
    assert same(twin[4:], out[4:8])


@pytest.mark.parametrize("width", WIDTHS)
def test_eight_rows_one_after_the_other_are_the_same(width):
    rng = np.random.default_rng(width)
    a, b = rows(rng, 3, width), rows(rng, 13, width)
    out, twin = (np.full(12, np.nan, dtype=np.float32) for _ in range(2))
    run_consecutive_distances(a, 2, b, 4, out, 3)
    assert same(out[3:11], reference.distances(a, b)[2, 4:12])
    assert np.isnan(out[[0, 1, 2, 11]]).all()
    rows_numpy.consecutive_distances(a, 2, b, 4, twin, 3)
    assert same(twin, out)
    weights = rng.normal(size=11).astype(np.float32)
    summed, form = a.copy(), a.copy()
    run_add_consecutive(summed, 1, b, 5, weights, 2)
    rows_numpy.add_consecutive(form, 1, b, 5, weights, 2)
    expected = a[1].copy()
    for n in range(8):
        expected += weights[2 + n] * b[5 + n]
    assert same(summed[1], expected)
    assert same(summed, form)
    assert same(summed[[0, 2]], a[[0, 2]])


@given(operands())
def test_triplet_gradients_equal_numpy_and_their_formula(operand):
    (g, points, _, _), (k, *corners), weights = operand
    x, y, z = (points[number] for number in corners)
    term = weights[0] * (x - z) + weights[1] * (y - z)

    def set_to(tables):
        tables[0][k] = term
        return reference.lane_sum(tables[0][k] ** 2)

    def added(tables):
        tables[0][k] += term
        return reference.lane_sum(tables[0][k] ** 2)

    for ours, numpy_form, formula in (
        (run_triplet_gradient, rows_numpy.triplet_gradient, set_to),
        (run_add_triplet_gradient, rows_numpy.add_triplet_gradient, added),
    ):
        tables = (g, points)
        run = lambda t, ours=ours: ours(t[0], k, t[1], tuple(corners), weights)  # noqa: E731
        twice(run, lambda t, form=numpy_form: form(t[0], k, t[1], *corners, *weights), tables)
        twice(run, formula, tables)


@given(operands())
def test_scale_and_copy_equal_numpy(operand):
    (g, a, _, _), (k, i, _, _), (factor, _) = operand
    twice(lambda t: run_scale(t[0], k, factor), lambda t: rows_numpy.scale(t[0], k, factor), (g,))
    for times in (factor, np.float32(1)):
        twice(
            lambda t, times=times: run_copy(t[0], k, t[1], i, times),
            lambda t, times=times: rows_numpy.copy(t[0], k, t[1], i, times),
            (g, a),
        )
    run_copy(g, k, a, i, np.float32(1))
    assert same(g[k], a[i])


@given(operands())
def test_sums_and_products_equal_numpy(operand):
    (g, a, b, _), (k, i, j, _), (factor, _) = operand
    twice(
        lambda t: run_add_scaled(t[0], k, t[1], i, factor),
        lambda t: rows_numpy.add_scaled(t[0], k, t[1], i, factor),
        (g, a),
    )
    twice(
        lambda t: run_multiply(t[0], k, t[1], i, t[2], j),
        lambda t: rows_numpy.multiply(t[0], k, t[1], i, t[2], j),
        (g, a, b),
    )
    before = g[k].copy()
    run_multiply(g, k, g, k, b, j)  # the result may take the place of what is read
    assert same(g[k], before * b[j])
    run_add_scaled(g, k, g, k, factor)
    assert same(g[k], before * b[j] + factor * (before * b[j]))
    run_multiply(g, k, a, i, a, i)
    assert same(run_dot(a, i, a, i), reference.lane_sum(g[k]))


@given(operands())
def test_steps_equal_numpy(operand):
    (g, a, first, second), (k, i, _, _), (rate, _) = operand
    first, second = first, np.abs(second) + np.float32(1e-3)
    correction = np.float32(1000)
    twice(
        lambda t: run_sgd_step(t[0], k, t[1], i, rate),
        lambda t: rows_numpy.sgd_step(t[0], k, t[1], i, rate),
        (g, a),
    )
    twice(
        lambda t: run_adagrad_step(t[0], k, t[1], i, t[2], rate),
        lambda t: rows_numpy.adagrad_step(t[0], k, t[1], i, t[2], i, rate),
        (g, a, second),
    )
    twice(
        lambda t: run_adam_step(t[0], k, t[1], i, t[2], t[3], (rate, correction)),
        lambda t: rows_numpy.adam_step(t[0], k, t[1], i, t[2], i, t[3], i, rate, correction),
        (g, a, first, second),
    )


@pytest.mark.parametrize("step", ["sgd_step", "adagrad_step", "adam_step"])
def test_steps_return_the_squared_norm_of_the_new_row(step):
    rng = np.random.default_rng(3)
    g, a, first, second = (rows(rng, 2, 40) for _ in range(4))
    second = np.abs(second) + np.float32(0.1)
    rate = np.float32(0.05)
    norm = {
        "sgd_step": lambda: run_sgd_step(g, 0, a, 1, rate),
        "adagrad_step": lambda: run_adagrad_step(g, 0, a, 1, second, rate),
        "adam_step": lambda: run_adam_step(g, 0, a, 1, first, second, (rate, np.float32(1))),
    }[step]()
    assert same(norm, reference.lane_sum(g[0] * g[0]))


@given(st.integers(0, 9), st.integers(1, 70))
@settings(max_examples=60)
def test_tables_are_aligned_and_padded(n_rows, dim):
    width = row_ops.padded(dim)
    assert width % row_ops.LANES == 0
    assert dim <= width < dim + row_ops.LANES
    table = row_ops.table(n_rows, dim)
    assert (table.shape, table.dtype) == ((n_rows, width), np.float32)
    assert table.flags.c_contiguous
    assert n_rows == 0 or table.ctypes.data % 64 == 0
    assert not table.any()
    values = np.random.default_rng(dim).normal(size=(n_rows, dim))
    padded = row_ops.padded_table(values)
    assert same(padded[:, :dim], values.astype(np.float32))
    assert not padded[:, dim:].any()
    assert n_rows == 0 or padded.ctypes.data % 64 == 0


def test_padding_columns_stay_zero():
    rng = np.random.default_rng(4)
    g, a, first, second = (rows(rng, 4, 21) for _ in range(4))
    second = np.abs(second)
    run_triplet_gradient(g, 0, a, (0, 1, 2), (np.float32(2), np.float32(0.2)))
    run_add_triplet_gradient(g, 1, a, (0, 1, 2), (np.float32(2), np.float32(0.2)))
    run_sgd_step(g, 0, a, 1, np.float32(0.1))
    past = row_ops.table(4, 21)
    past[:] = np.float32(0.1)  # as Adagrad starts
    run_adagrad_step(g, 1, a, 1, past, np.float32(0.1))
    run_adam_step(g, 2, a, 1, first, second, (np.float32(0.1), np.float32(10)))
    run_scale(g, 3, np.float32(3))
    run_multiply(g, 0, g, 1, a, 2)
    run_add_scaled(g, 1, g, 0, np.float32(3))
    for table in (g, a, first, second):
        assert not table[:, 21:].any()
