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


@kernel
def run_product(out, w, t, at, n):
    row_ops.product(out, at[0], at[1], w, at[2], at[3], t, at[4], at[5], n)


@kernel
def run_add_product(out, w, t, at, n):
    row_ops.add_product(out, at[0], at[1], w, at[2], at[3], t, at[4], at[5], n)


@kernel
def run_transposed_product(out, w, t, at, n):
    row_ops.transposed_product(out, at[0], at[1], w, at[2], at[3], t, at[4], at[5], n)


@kernel
def run_largest(a, i):
    return row_ops.largest(a, i)


@kernel
def run_exp_row(a, i, shift):
    return row_ops.exp_row(a, i, shift)


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


# --- products ------------------------------------------------------------------------------------

PRODUCTS = {
    "product": (run_product, rows_numpy.product),
    "add_product": (run_add_product, rows_numpy.add_product),
    "transposed_product": (run_transposed_product, rows_numpy.transposed_product),
}


@st.composite
def factors(draw):
    """Tables `out`, `w` and `t` of mixed magnitudes, where their parts begin, and the terms."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.one_of(st.integers(0, 3), st.integers(0, 40)))
    at = tuple(draw(st.integers(0, limit)) for limit in (3, 35, 40, 40, 5, 35))
    sizes = draw(st.sampled_from([(0, 0), (-3, 3), (-15, 15), (-24, -16), (-22, 14), (14, 17)]))

    def values(shape):
        made = rng.normal(size=shape) * 10.0 ** rng.uniform(*sizes, shape)
        made[rng.random(shape) < 0.05] = 0
        return row_ops.padded_table(made.astype(np.float32))

    return (values((12, 51)), values((90, 90)), values((45, 51))), at, n


@pytest.mark.parametrize("name", PRODUCTS)
@given(factors())
@settings(max_examples=60)
def test_products_equal_numpy(name, operand):
    tables, at, n = operand
    run, form = PRODUCTS[name]
    i, c, wi, wk, k, tc = at
    twice(
        lambda tables: run(*tables, at, n),
        lambda tables: form(tables[0], i, c, tables[1], wi, wk, tables[2], k, tc, n),
        tables,
    )


@pytest.mark.parametrize("name", PRODUCTS)
@given(factors())
@settings(max_examples=40)
def test_products_are_sums_in_order(name, operand):
    """Each number to the last bit by exact arithmetic; all else is left alone; near float64."""
    (out, w, t), at, n = operand
    i, c, wi, wk, k, tc = at
    part = w[wk : wk + n, wi : wi + 8].T if "trans" in name else w[wi : wi + 8, wk : wk + n]
    terms = t[k : k + n, tc : tc + 16]
    start = out[i : i + 8, c : c + 16] * np.float32(name == "add_product")
    expected = out.copy()
    run, _ = PRODUCTS[name]
    run(out, w, t, at, n)
    got = out[i : i + 8, c : c + 16]
    for r, lane in ((0, 0), (7, 15), (3, 9)):
        total = start[r, lane]
        for s in range(n):
            total = reference.fused(part[r, s], terms[s, lane], total)
        assert got[r, lane] == total
    wide = start + part.astype(np.float64) @ terms.astype(np.float64)
    largest = np.abs(start) + np.abs(part.astype(np.float64)) @ np.abs(terms.astype(np.float64))
    assert (np.abs(got - wide) <= (n + 1) * (2.0**-24 * largest + 2.0**-149)).all()
    expected[i : i + 8, c : c + 16] = got
    assert same(out, expected)


def assert_fused(a, b, c):
    """Check all of eight a, sixteen b and (8, 16) c, compiled or interpreted, and in NumPy."""
    out, w, t = (
        row_ops.padded_table(c),
        row_ops.padded_table(a[:, None]),
        row_ops.padded_table(b[None]),
    )
    run_add_product(out, w, t, (0, 0, 0, 0, 0, 0), 1)
    assert same(rows_numpy.fused(a[:, None], b[None, :], c), out)
    for r in range(8):
        for lane in range(16):
            assert out[r, lane] == reference.fused(a[r], b[lane], c[r, lane])


@given(st.integers(0, 2**32), st.sampled_from([(-8, 8), (-75, -60), (-149, 0), (-60, 63)]))
def test_fused_rounds_once(seed, sizes):
    """Random numbers whose product and addend are of about the same size."""
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(-(2**24), 2**24, n) * 2.0 ** rng.integers(*sizes, n) for n in (8, 16))
    a, b = (x.astype(np.float32) for x in (a * 2.0**-24, b * 2.0**-24))
    near = a[:, None].astype(np.float64) * b[None, :] * 2.0 ** rng.integers(-30, 31, (8, 16))
    c = np.clip(near * rng.choice([-1, 1, 1.37], (8, 16)), -1e38, 1e38).astype(np.float32)
    assert_fused(a, b, c)


@pytest.mark.parametrize("scale", [0, 20, -100, -124, -125, -126, -130, 100])
def test_fused_where_two_roundings_would_err(scale):
    """Products a hair off half a unit of the addend: (1 + x)(1 − x) = 1 − x² lacks 2⁻⁴⁶ or so."""
    hair = 2.0 ** -np.arange(15.0, 23)
    b = np.outer([2.0**-24, -(2.0**-24)], np.concatenate([1 - hair[:6], [1, 3]])).ravel()
    units = np.arange(128).reshape(8, 16) - 60.0
    for a in (1 + hair, 1 - hair):
        for base in (1.0, 2 - 2.0**-20):
            c = (base + units * 2.0**-23) * 2.0**scale
            assert_fused(*(x.astype(np.float32) for x in (a, b * 2.0**scale, c)))


def test_a_double_rounding_is_avoided():
    """1 + 2⁻²³ and 2⁻²⁴·(1 − 2⁻⁴⁰): float64 rounds the sum to a tie, and a tie to 1 + 2⁻²²."""
    a = np.full(8, 2.0**-12 * (1 + 2.0**-20), dtype=np.float32)
    b = np.full(16, 2.0**-12 * (1 - 2.0**-20), dtype=np.float32)
    c = np.full((8, 16), 1 + 2.0**-23, dtype=np.float32)
    naive = np.float32(np.float64(a[0]) * np.float64(b[0]) + np.float64(c[0, 0]))
    assert naive == np.float32(1 + 2.0**-22)
    assert reference.fused(a[0], b[0], c[0, 0]) == c[0, 0]
    assert_fused(a, b, c)
    assert_fused(a, -b, -c)


def test_fused_at_the_ends():
    large = np.finfo(np.float32).max
    a = np.full(8, large, dtype=np.float32)
    b = np.array([1, -1, 2, -2, 0, -0.0, 1e-45, -1e-45] * 2, dtype=np.float32)
    c = np.zeros((8, 16), dtype=np.float32)
    c[1], c[2], c[3], c[4], c[5] = large, -large, large * 2.0**-24, -0.0, 1e-45
    a[6:] = 1e-45, 0
    c[7] = -0.0
    out, w, t = (
        row_ops.padded_table(c),
        row_ops.padded_table(a[:, None]),
        row_ops.padded_table(b[None]),
    )
    with np.errstate(over="ignore"):
        run_add_product(out, w, t, (0, 0, 0, 0, 0, 0), 1)
        assert same(rows_numpy.fused(a[:, None], b[None, :], c), out)
        for r in range(8):
            for lane in range(16):
                assert out[r, lane] == reference.fused(a[r], b[lane], c[r, lane])
    assert np.isinf(out).any()
    assert np.signbit(out[7, 5]) != np.signbit(out[7, 4])  # −0 − 0, and −0 + 0


# --- largest and exp -----------------------------------------------------------------------------


@given(operands(), st.integers(0, 200))
def test_the_largest_equals_numpy(operand, hidden):
    (a, b, _, _), (i, j, _, _), _ = operand
    a[a == 0] = 1e-30  # zeros of two signs may each be the largest
    for table, row in ((a, i), (-np.abs(a) - np.abs(b), j)):
        table[row, np.random.default_rng(hidden).permutation(table.shape[1])[:hidden]] = -np.inf
        expected = max(table[row].tolist())
        assert same(run_largest(table, row), np.float32(expected))
        assert same(rows_numpy.largest(table, row), np.float32(expected))


@pytest.mark.parametrize("place", range(48))
def test_the_largest_anywhere(place):
    a = row_ops.table(2, 48)
    a[1] = -5
    a[1, place] = -4
    assert run_largest(a, 1) == -4
    a[1] = -np.inf
    assert run_largest(a, 1) == -np.inf


@given(operands(), st.sampled_from([0.01, 1.0, 10.0, 60.0, 300.0]))
def test_exp_of_a_row_equals_numpy_and_the_library(operand, size):
    (a, _, _, _), (i, _, _, _), _ = operand
    rng = np.random.default_rng(a.shape[1])
    a[:] = (rng.normal(size=a.shape) * size).astype(np.float32)
    a[i, rng.random(a.shape[1]) < 0.1] = -np.inf
    a[i, 0] = size
    before, top = a.copy(), a[i].max()
    twice(lambda t: run_exp_row(t[0], i, top), lambda t: rows_numpy.exp_row(t[0], i, top), (a,))
    total = run_exp_row(a, i, top)
    x = before[i] - top
    expected = np.where(x < -87, 0, np.exp(x.astype(np.float64)))
    assert (np.abs(a[i] - expected) <= 4e-7 * expected).all()
    assert (a[i][x == 0] == 1).all()
    assert same(total, reference.lane_sum(a[i]))
    others = np.arange(len(a)) != i
    assert same(a[others], before[others])


def test_exp_of_every_size():
    limit = rows_numpy.SMALLEST_EXPONENT
    x = np.linspace(-87, 0, 16 * 2500).astype(np.float32)
    near = (-np.log(2) / 2 * np.arange(1, 252, 2)).astype(np.float32)  # where n changes
    near = np.concatenate([np.nextafter(near, np.float32(0)), near, np.nextafter(near, limit)])
    assert near.min() > limit
    for values in (x, near[: len(near) // 16 * 16]):
        a = values.reshape(1, -1).copy()
        run_exp_row(a, 0, np.float32(0))
        expected = np.exp(values.astype(np.float64))
        assert (np.abs(a[0] / expected - 1) < 4e-7).all()


def test_exp_of_the_ends():
    limit = rows_numpy.SMALLEST_EXPONENT
    a = row_ops.table(1, 16)
    ends = [0, -0.0, limit, np.nextafter(limit, np.float32(-np.inf)), -88, -1e30, -np.inf]
    a[0, :7] = ends
    run_exp_row(a, 0, np.float32(0))
    assert a[0, :2].tolist() == [1, 1]
    assert a[0, 2] > np.finfo(np.float32).tiny
    assert a[0, 3:7].tolist() == [0] * 4
    assert (a[0, 7:] == 1).all()
