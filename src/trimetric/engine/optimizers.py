"""Optimiser steps on one row or one margin, and the projection that follows.

Row k of `g` brings the gradient and leaves as the row's new value, to be projected by the factor
returned; the table itself is not written.
`state` is the optimiser's memory of the table: `first` and `second`, each (n, width) or narrower
where the rule needs less. Only rows that a mini-batch touches move, so Adam is the lazy form.
"""

import numpy as np

from trimetric.engine.compile import inline, kernel
from trimetric.engine.rows import adagrad, adam, descend, scale, squared_norm

ROWWISE, ADAGRAD, ADAM, SGD = 0, 1, 2, 3
SMALLEST_MARGIN = np.float32(1e-6)  # the paper keeps margins in (0, l]


@inline
def step_row(g, k, square, table, row, first, second, rule, bias):
    """Turn gradient g[k] into the new value of table[row]; return the factor that projects it.

    Row-wise Adagrad keeps one number a row: the sum of the mean squares of its gradients. `square`
    is ‖g[k]‖², and `bias` holds Adam's two corrections at this mini-batch.
    """
    if rule.optimizer == ROWWISE:
        second[row, 0] += square / rule.dim
        norm = descend(g, k, table, row, rule.lr / np.sqrt(second[row, 0]))
    elif rule.optimizer == ADAGRAD:
        norm = adagrad(g, k, table, row, second, row, rule.lr)
    elif rule.optimizer == SGD:
        norm = descend(g, k, table, row, rule.lr)
    else:
        norm = adam(g, k, table, row, first, row, second, row, rule.lr * bias[0], bias[1])
    return projection(norm, rule.radius, rule.sphere)


@inline
def projection(square, radius, sphere):
    """Return what brings a row of ‖·‖² = `square` into the ball of radius l, or onto its sphere."""
    if (square > radius * radius) | (sphere & (square > 0)):
        return radius / np.sqrt(square)
    return np.float32(1)


@kernel
def project_all(table, radius, sphere):
    """Bring every row into the ball of `radius`, or onto its sphere."""
    for row in range(len(table)):
        scale(table, row, projection(squared_norm(table, row), radius, sphere))


@inline
def step_margin(margins, row, gradient, limit, memory, rule, bias):
    """Move one margin by the same optimiser and clip it to (0, limit]; `memory` is (n, 2).

    At its limit and pushed further, a margin neither moves nor remembers: its gradient, projected
    on what is allowed, is zero.
    """
    if margins[row] >= limit and gradient <= 0:
        return
    if rule.optimizer == ADAM:
        memory[row, 0] = np.float32(0.9) * memory[row, 0] + np.float32(0.1) * gradient
        memory[row, 1] = np.float32(0.999) * memory[row, 1] + np.float32(0.001) * (
            gradient * gradient
        )
        root = np.sqrt(memory[row, 1] * bias[1]) + np.float32(1e-8)
        change = rule.lr * bias[0] * memory[row, 0] / root
    else:
        memory[row, 1] += gradient * gradient
        change = rule.lr * gradient / np.sqrt(memory[row, 1])
    margins[row] = min(max(margins[row] - change, SMALLEST_MARGIN), limit)


@inline
def step_weight(weights, i, gradient, first, second, rule, bias):
    """Move one dense weight by the same optimiser; row-wise Adagrad is Adagrad there."""
    if rule.optimizer == ADAM:
        first[i] = np.float32(0.9) * first[i] + np.float32(0.1) * gradient
        second[i] = np.float32(0.999) * second[i] + np.float32(0.001) * (gradient * gradient)
        root = np.sqrt(second[i] * bias[1]) + np.float32(1e-8)
        weights[i] -= rule.lr * bias[0] * first[i] / root
    elif rule.optimizer == SGD:
        weights[i] -= rule.lr * gradient
    else:
        second[i] += gradient * gradient
        weights[i] -= rule.lr * gradient / np.sqrt(second[i])


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
