"""How often a user is met when items are divided into parts."""

import numpy as np


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
