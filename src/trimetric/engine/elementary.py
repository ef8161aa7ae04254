"""exp, σ and ln(1 + exp) from IEEE operations alone, for the same bits on every machine."""

import math

import numpy as np

from trimetric.engine.compile import inline

_LARGEST = 80.0  # exp(±80) still fits float32
_HALVINGS = 12


@inline
def exp(x):
    """eˣ as float64, x clipped to ±80, to within a relative 1e-12.

    (e^(x/4096))^4096: the Taylor series to the seventh power, squared twelve times.
    """
    y = min(max(np.float64(x), -_LARGEST), _LARGEST) / 4096.0
    total = 1.0 + y / 7.0
    for n in range(6, 0, -1):
        total = 1.0 + total * y / n
    for _ in range(_HALVINGS):
        total *= total
    return total


@inline
def sigmoid(x):
    """σ(x) = 1/(1 + e⁻ˣ), float32."""
    return np.float32(1.0 / (1.0 + exp(-x)))


@inline
def softplus(x):
    """ln(1 + eˣ), float32: −ln σ(−x).

    For losses that are only reported: the library's `log1p` may differ between machines.
    """
    return np.float32(math.log1p(exp(x)) if x < _LARGEST else x)
