"""The row operations in plain NumPy: `rows_llvm` must equal them to the last bit.

Arguments come in pairs (table, row number) unless they share a table. Row g[k] holds a gradient
and, after a step, the result.
"""

from typing import Any

import numpy as np

TILE = 8  # rows of the result per call of `product` and its variants
GROUP = 4  # rows per call of `squared_distances`
CONSECUTIVE = 8  # consecutive rows per call of `consecutive_distances` and `add_consecutive`
COUNTED = 64  # numbers per call of `count_above` and `count_at_least`


def _lane_sum(values: np.ndarray) -> np.float32:
    sums = np.zeros(16, dtype=np.float32)
    for chunk in values.reshape(-1, 16):
        sums = sums + chunk
    while len(sums) > 1:
        half = len(sums) // 2
        sums = sums[:half] + sums[half:]
    return sums[0]


def squared_distance(a: np.ndarray, i: int, b: np.ndarray, j: int) -> np.float32:
    """d²(a[i], b[j]), equation (1)."""
    difference = a[i] - b[j]
    return _lane_sum(difference * difference)


def squared_distances(a, i, b, rows, k, out):
    """out[k + n] = d²(a[i], b[rows[k + n]]) for n = 0 .. 3: faster than one at a time."""
    for n in range(k, k + GROUP):
        out[n] = squared_distance(a, i, b, rows[n])


def consecutive_distances(a, i, b, start, out, at):
    """out[at + n] = d²(a[i], b[start + n]) for n = 0 .. 7: faster than rows anywhere."""
    for n in range(CONSECUTIVE):
        out[at + n] = squared_distance(a, i, b, start + n)


def add_consecutive(out, k, b, start, weights, at):
    """out[k] += weights[at + n]·b[start + n] for n = 0 .. 7, in this order."""
    for n in range(CONSECUTIVE):
        add_scaled(out, k, b, start + n, weights[at + n])


def count_above(a: np.ndarray, start: int, limit: float) -> np.int32:
    """Count the 64 numbers from a[start] on that are above `limit`; NaN is not."""
    return np.int32((a[start : start + COUNTED] > limit).sum())


def count_at_least(a: np.ndarray, start: int, limit: float) -> np.int32:
    """Count the 64 numbers from a[start] on that are at least `limit`; NaN is not."""
    return np.int32((a[start : start + COUNTED] >= limit).sum())


def squared_norm(a: np.ndarray, i: int) -> np.float32:
    """‖a[i]‖²."""
    return _lane_sum(a[i] * a[i])


def dot(a: np.ndarray, i: int, b: np.ndarray, j: int) -> np.float32:
    """a[i]·b[j]."""
    return _lane_sum(a[i] * b[j])


def triplet_gradient(g, k, points, x, y, z, a, b):
    """g[k] = a·(points[x] − points[z]) + b·(points[y] − points[z]); returns ‖g[k]‖².

    The gradient of equation (6) at any of its three points has this form: see `objective`.
    """
    first, second = points[x] - points[z], points[y] - points[z]
    g[k] = np.float32(a) * first + np.float32(b) * second
    return squared_norm(g, k)


def add_triplet_gradient(g, k, points, x, y, z, a, b):
    """g[k] += a·(points[x] − points[z]) + b·(points[y] − points[z]); returns ‖g[k]‖²."""
    first, second = points[x] - points[z], points[y] - points[z]
    g[k] += np.float32(a) * first + np.float32(b) * second
    return squared_norm(g, k)


def scale(g: np.ndarray, k: int, factor: float) -> None:
    """g[k] *= factor."""
    g[k] *= np.float32(factor)


def copy(out: np.ndarray, k: int, a: np.ndarray, i: int, factor: float) -> None:
    """out[k] = factor·a[i]."""
    out[k] = np.float32(factor) * a[i]


def add_scaled(out: np.ndarray, k: int, a: np.ndarray, i: int, factor: float) -> None:
    """out[k] += factor·a[i]."""
    out[k] += np.float32(factor) * a[i]


def multiply(out: np.ndarray, k: int, a: np.ndarray, i: int, b: np.ndarray, j: int) -> None:
    """out[k] = a[i] ⊙ b[j]."""
    out[k] = a[i] * b[j]


def sgd_step(g: np.ndarray, k: int, a: np.ndarray, i: int, rate: float) -> np.float32:
    """g[k] = a[i] − rate·g[k]; returns its ‖·‖²."""
    g[k] = a[i] - np.float32(rate) * g[k]
    return squared_norm(g, k)


def adagrad_step(g, k, a, i, squares, p, rate):
    """squares[p] += g[k]²; g[k] = a[i] − rate·g[k]/√squares[p]; returns its ‖·‖²."""
    squares[p] += g[k] * g[k]
    g[k] = a[i] - np.float32(rate) * g[k] / np.sqrt(squares[p])
    return squared_norm(g, k)


def adam_step(g, k, a, i, first, p, second, q, rate, correction):
    """One Adam step (Kingma and Ba, ICLR 2015) from gradient g[k]; returns the result's ‖·‖².

    first = .9·first + .1·g; second = .999·second + .001·g²;
    g[k] = a[i] − rate·first/(√(second·correction) + 1e-8). The caller folds the bias corrections
    into `rate` and `correction`.
    """
    first[p] = np.float32(0.9) * first[p] + np.float32(0.1) * g[k]
    second[q] = np.float32(0.999) * second[q] + np.float32(0.001) * (g[k] * g[k])
    root = np.sqrt(second[q] * np.float32(correction)) + np.float32(1e-8)
    g[k] = a[i] - np.float32(rate) * first[p] / root
    return squared_norm(g, k)


def fused(a: Any, b: Any, c: Any) -> np.ndarray:
    """a·b + c, float32, rounded once, as one fused multiply-add instruction does.

    The product of two float32 is exact in float64. Their sum is rounded to odd there (Boldo and
    Melquiond, 2008), which leaves the second rounding what a single one would have given.
    """
    product, addend = np.float64(a) * np.float64(b), np.float64(c)
    total = product + addend
    with np.errstate(invalid="ignore"):
        back = total - product
        error = (product - (total - back)) + (addend - back)
    even = (np.asarray(total).view(np.int64) & 1) == 0
    toward = np.where(error > 0, np.inf, -np.inf)
    inexact = even & (error != 0) & np.isfinite(total)
    return np.where(inexact, np.nextafter(total, toward), total).astype(np.float32)


def product(out, i, c, w, wi, wk, t, k, tc, n):
    """out[i + r, c + l] = Σ_s w[wi + r, wk + s]·t[k + s, tc + l], r < TILE, l < 16.

    Terms s = 0 .. n − 1 are added in this order, each by a fused multiply-add.
    """
    out[i : i + TILE, c : c + 16] = 0
    add_product(out, i, c, w, wi, wk, t, k, tc, n)


def add_product(out, i, c, w, wi, wk, t, k, tc, n):
    """Add to out what `product` sets it to, going on from what is there."""
    total = out[i : i + TILE, c : c + 16]
    for s in range(n):
        weights, terms = w[wi : wi + TILE, wk + s], t[k + s, tc : tc + 16]
        total = fused(weights[:, None], terms[None, :], total)
    out[i : i + TILE, c : c + 16] = total


def transposed_product(out, i, c, w, wi, wk, t, k, tc, n):
    """out[i + r, c + l] = Σ_s w[wk + s, wi + r]·t[k + s, tc + l]: see `product`."""
    product(out, i, c, w.T, wi, wk, t, k, tc, n)


def largest(a: np.ndarray, i: int) -> np.float32:
    """The largest number of a[i], which holds no NaN."""
    return a[i].max()


LOG2E, LN2_HIGH, LN2_LOW = (
    np.float32(value) for value in (1.4426950408889634, 0.693145751953125, 1.4286068203094173e-6)
)
TAYLOR = tuple(np.float32(1 / value) for value in (720, 120, 24, 6, 2, 1, 1))
SMALLEST_EXPONENT = np.float32(-87)  # exp of anything below it is taken as 0


def exp_row(a: np.ndarray, i: int, shift: float) -> np.float32:
    """a[i] = exp(a[i] − shift), which must not be above 0; returns the sum over the lanes.

    x = n·ln 2 + r with |r| ≤ ln 2 / 2; 2ⁿ times the Taylor series of eʳ to the sixth power.
    """
    x = a[i] - np.float32(shift)
    kept = np.maximum(x, SMALLEST_EXPONENT)
    n = np.rint(kept * LOG2E)
    r = fused(-n, LN2_HIGH, kept)
    r = fused(-n, LN2_LOW, r)
    series = np.full_like(r, TAYLOR[0])
    for term in TAYLOR[1:]:
        series = fused(series, r, term)
    power = ((n.astype(np.int32) + 127) << 23).view(np.float32)
    a[i] = np.where(x < SMALLEST_EXPONENT, np.float32(0), series * power)
    return _lane_sum(a[i])


def prefetch(a: np.ndarray, i: int) -> None:
    """Ask for a[i] to be brought into cache; changes nothing."""
