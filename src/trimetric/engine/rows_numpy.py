"""The row operations in plain NumPy: `rows_llvm` must equal them to the last bit.

Arguments come in pairs (table, row number) unless they share a table. Row g[k] holds a gradient
and, after a step, the result.
"""

import numpy as np

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


def prefetch(a: np.ndarray, i: int) -> None:
    """Ask for a[i] to be brought into cache; changes nothing."""
