"""How often a user is met when items are divided into parts."""

import numpy as np

from trimetric.engine.elementary import exp, log

_REMEMBERED = 20  # epochs; of what is older, less than e⁻²⁰ is left
_DISTINCT = 20  # times P items: from there on, a user is met in all parts but for e⁻²⁰


def shares_of_visits(sizes: np.ndarray, n_parts: int) -> np.ndarray:
    """Return f = 1/k for each user, k the parts that n items fall into: P·(1 − (1 − 1/P)ⁿ).

    Parameters
    ----------
    sizes : (n_users,)
        n of each user, from 1 on.
    n_parts : int
        P.

    Returns
    -------
    float32 (n_users,)
        By products alone, for the same bits on every machine.
    """
    places = _places(sizes, n_parts)
    return _shares(places, n_parts)[places]


def repeats_of_visits(sizes: np.ndarray, n_parts: int, epoch: int) -> np.ndarray:
    """Return how often a moving average has what an item gave it, after a visit to the item.

    Each of the k = 1/f visits of an epoch leaves x = 1 − f of what was there before, x^k in all.
    An item is met once an epoch, at a place drawn anew each time. So this visit counts once, that
    of the epoch before x·(1 − x^k)² by expectation, and each older one x^k as much as the next.

    Parameters
    ----------
    sizes, n_parts
        As in `shares_of_visits`, which f is of.
    epoch : int
        From 0 on.

    Returns
    -------
    float32 (n_users,)
    """
    places = _places(sizes, n_parts)
    shares = _shares(places, n_parts).astype(np.float64)
    left = np.array([exp(log(1 - f) / f) if f < 1 else 0.0 for f in shares])
    total, term = np.ones(len(shares)), (1 - shares) * (1 - left) * (1 - left)
    for _ in range(min(epoch, _REMEMBERED)):
        total, term = total + term, term * left
    return total.astype(np.float32)[places]


def _places(sizes: np.ndarray, n_parts: int) -> np.ndarray:
    """Return the place of each user in a table by numbers of items."""
    return np.clip(sizes.astype(np.int64), 1, _DISTINCT * n_parts) - 1


def _shares(places: np.ndarray, n_parts: int) -> np.ndarray:
    """Return f for 1, 2, ... items, as far as there are users with so many, float32."""
    missed = np.cumprod(np.full(places.max(initial=0) + 1, 1 - 1 / n_parts))
    return (1 / (n_parts * (1 - missed))).astype(np.float32)
