"""Gumbel noise on distances: how a temperature turns the hardest negative into a softmax.

Take d²(u,j) − τ·g_j as the distance of each of S candidates and d²(u,v) − τ·g_v as that of the
positive, with g drawn from the standard Gumbel distribution. Then (Gumbel 1954; Maddison, Tarlow
and Minka 2014)

    the nearest candidate is j with probability  exp(−d²(u,j)/τ) / Σ_k exp(−d²(u,k)/τ),
    the hinge [d²(u,v) + m − d²(u,v⁻)]₊ has the expectation
        τ·ln(1 + Σ_k exp((d²(u,v) + m − d²(u,k))/τ)),

which is τ times the cross-entropy of a softmax over the positive and all S candidates. A step on
one triplet is thus an unbiased step on that loss. At τ = 0 the hinge is that of the nearest
candidate.
"""

import numpy as np

from trimetric.engine.compile import inline

TABLE_SIZE = 4096
_MASK, _SHIFT = np.uint64(TABLE_SIZE - 1), np.uint64(12)


def noise_table(temperature: float) -> np.ndarray:
    """Return τ·g at the midpoints of 4096 equal intervals of probability, float32 (4096,).

    g = −ln(−ln p), so the largest is 9.0 and the smallest −2.2. A draw takes one of the values.
    """
    probabilities = (np.arange(TABLE_SIZE) + 0.5) / TABLE_SIZE
    return np.float32(temperature) * (-_log(-_log(probabilities))).astype(np.float32)


@inline
def gumbel_noise(word, table):
    """Draw from a `noise_table` by the lowest 12 bits of a random word."""
    return table[np.int64(word & _MASK)]


@inline
def second_gumbel_noise(word, table):
    """Draw from a `noise_table` by the next 12 bits."""
    return table[np.int64((word >> _SHIFT) & _MASK)]


def _log(x: np.ndarray) -> np.ndarray:
    """ln x from IEEE operations alone, as in `elementary`: 2·artanh((m − 1)/(m + 1)) + e·ln 2."""
    mantissa, exponent = np.frexp(x)
    z = (mantissa - 1) / (mantissa + 1)
    square, total = z * z, np.zeros_like(z)
    for n in range(33, 0, -2):
        total = total * square + 1.0 / n
    return 2 * z * total + exponent * 0.6931471805599453
