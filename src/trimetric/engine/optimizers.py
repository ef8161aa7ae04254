"""Optimiser steps on one row, margin or dense weight, and the projection of rows.

`first` and `second` are the optimiser's moments of a table, each (n, width) or narrower where the
optimiser needs less: see `start_moments`. Only rows that a mini-batch touches move, so Adam is the
lazy form. `settings` are those of an epoch: see `session.EpochSettings`.
"""

import numpy as np

from trimetric.engine.compile import inline, kernel
from trimetric.engine.rows import adagrad_step, adam_step, scale, sgd_step, squared_norm

ROWWISE, ADAGRAD, ADAM, SGD = 0, 1, 2, 3
ADAPTIVE_OPTIMIZERS = {"rowwise-adagrad": ROWWISE, "adagrad": ADAGRAD, "adam": ADAM}
OPTIMIZERS = {**ADAPTIVE_OPTIMIZERS, "sgd": SGD}
ACCUMULATOR_START = 0.1  # of Adagrad, as in the released code
SMALLEST_MARGIN = np.float32(1e-6)  # the paper keeps margins in (0, l]


def start_moments(optimizer: str, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the `first` and `second` that an optimiser starts from, by its name in `OPTIMIZERS`.

    Adam needs both, as wide as the table; Adagrad the second; row-wise Adagrad one column of it;
    SGD none.
    """
    n, width = table.shape
    first = (n, width) if optimizer == "adam" else (0, 1)
    second = {"sgd": (0, 1), "rowwise-adagrad": (n, 1)}.get(optimizer, (n, width))
    return (
        np.zeros(first, dtype=np.float32),
        np.full(second, accumulator_start(optimizer), dtype=np.float32),
    )


def accumulator_start(optimizer: str) -> float:
    """Return the value that second moments start from."""
    return 0.0 if optimizer == "adam" else ACCUMULATOR_START


@inline
def step_row(g, k, square, table, row, first, second, settings, bias):
    """Turn gradient g[k] into the new value of table[row]; return the factor that projects it.

    The table itself is not written. Row-wise Adagrad keeps one number per row: the sum of the mean
    squares of its gradients. `square` is ‖g[k]‖², and `bias` holds Adam's two corrections at this
    mini-batch.
    """
    if settings.optimizer == ROWWISE:
        second[row, 0] += square / settings.dim
        norm = sgd_step(g, k, table, row, settings.lr / np.sqrt(second[row, 0]))
    elif settings.optimizer == ADAGRAD:
        norm = adagrad_step(g, k, table, row, second, row, settings.lr)
    elif settings.optimizer == SGD:
        norm = sgd_step(g, k, table, row, settings.lr)
    else:
        norm = adam_step(g, k, table, row, first, row, second, row, settings.lr * bias[0], bias[1])
    return projection(norm, settings.radius, settings.sphere)


@inline
def projection(square, radius, sphere):
    """Return the factor that brings a row of ‖·‖² = `square` into the ball, or onto its sphere."""
    if (square > radius * radius) | (sphere & (square > 0)):
        return radius / np.sqrt(square)
    return np.float32(1)


@kernel
def project_all(table, radius, sphere):
    """Bring every row into the ball of `radius`, or onto its sphere."""
    for row in range(len(table)):
        scale(table, row, projection(squared_norm(table, row), radius, sphere))


@inline
def step_margin(margins, row, gradient, limit, moments, settings, bias):
    """Move one margin by the same optimiser and clip it to (0, limit]; `moments` is (n, 2).

    A margin at its limit whose gradient pushes it further neither moves nor changes its moments:
    its projected gradient is zero.
    """
    if margins[row] >= limit and gradient <= 0:
        return
    if settings.optimizer == ADAM:
        moments[row, 0] = np.float32(0.9) * moments[row, 0] + np.float32(0.1) * gradient
        moments[row, 1] = np.float32(0.999) * moments[row, 1] + np.float32(0.001) * (
            gradient * gradient
        )
        root = np.sqrt(moments[row, 1] * bias[1]) + np.float32(1e-8)
        change = settings.lr * bias[0] * moments[row, 0] / root
    else:
        moments[row, 1] += gradient * gradient
        change = settings.lr * gradient / np.sqrt(moments[row, 1])
    margins[row] = min(max(margins[row] - change, SMALLEST_MARGIN), limit)


@inline
def step_weight(weights, i, gradient, first, second, settings, bias):
    """Move one dense weight by the same optimiser; row-wise Adagrad acts as Adagrad."""
    if settings.optimizer == ADAM:
        first[i] = np.float32(0.9) * first[i] + np.float32(0.1) * gradient
        second[i] = np.float32(0.999) * second[i] + np.float32(0.001) * (gradient * gradient)
        root = np.sqrt(second[i] * bias[1]) + np.float32(1e-8)
        weights[i] -= settings.lr * bias[0] * first[i] / root
    elif settings.optimizer == SGD:
        weights[i] -= settings.lr * gradient
    else:
        second[i] += gradient * gradient
        weights[i] -= settings.lr * gradient / np.sqrt(second[i])


@inline
def adam_bias(step):
    """Return Adam's corrections 1/(1−.9ᵗ) and 1/(1−.999ᵗ) after `step` = t mini-batches."""
    return (
        np.float32(1.0 / (1.0 - _power(0.9, step))),
        np.float32(1.0 / (1.0 - _power(0.999, step))),
    )


@inline
def _power(base, exponent):
    # By repeated squaring: the library's pow may differ in the last bit between machines.
    result = 1.0
    while exponent > 0:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result
