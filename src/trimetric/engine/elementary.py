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
def log(x):
    """ln x as float64 for a normal float64 x > 0, to within 1e-15.

    x = m·2^e with √½ ≤ m < √2, and ln m = 2·artanh s, s = (m − 1)/(m + 1), by its series.
    """
    m, e = math.frexp(x)
    if m < 0.7071067811865476:
        m, e = m * 2.0, e - 1
    s = (m - 1.0) / (m + 1.0)
    square, total = s * s, 0.0
    for n in range(21, 0, -2):
        total = total * square + 1.0 / n
    return e * 0.6931471805599453 + 2.0 * s * total


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
