"""How often a user is met when items are divided into parts."""

import numpy as np

from trimetric.engine.elementary import exp, log

_REMEMBERED = 20  # epochs; of what is older, less than e⁻²⁰ is left


def shares_of_visits(sizes: np.ndarray, n_parts: int) -> np.ndarray:
    """Return 1/k for each user, k the parts that n items fall into: P·(1 − (1 − 1/P)ⁿ).

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
    missed = np.cumprod(np.full(20 * n_parts, 1 - 1 / n_parts))
    n = np.clip(sizes.astype(np.int64), 1, len(missed)) - 1
    return (1 / (n_parts * (1 - missed[n]))).astype(np.float32)


def repeats_of_visits(turns: np.ndarray, epoch: int) -> np.ndarray:
    """Return how often a moving average has what an item gave it, after a visit to the item.

    Each of the k = 1/f visits of an epoch leaves x = 1 − f of what was there before, x^k in all.
    An item is met once an epoch, at a place drawn anew each time. So this visit counts once, that
    of the epoch before x·(1 − x^k)² by expectation, and each older one x^k as much as the next.

    Parameters
    ----------
    turns : float32 (n_users,)
        f of each user: see `shares_of_visits`.
    epoch : int
        From 0 on.

    Returns
    -------
    float32 (n_users,)
    """
    shares, places = np.unique(turns, return_inverse=True)
    found = np.ones(len(shares), dtype=np.float32)
    for i, f in enumerate(shares.astype(np.float64)):
        if f < 1:
            x, left = 1 - f, exp(log(1 - f) / f)
            total, term = 1.0, x * (1 - left) * (1 - left)
            for _ in range(min(epoch, _REMEMBERED)):
                total, term = total + term, term * left
            found[i] = total
    return found[places]
