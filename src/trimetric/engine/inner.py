"""Inner products of rows, equal to the last bit however many are asked for at once."""

import numpy as np

from trimetric.engine.compile import kernel
from trimetric.engine.rows import dot


def pair_products(
    table: np.ndarray, users: np.ndarray, items: np.ndarray, n_users: int
) -> np.ndarray:
    """Return table[users[i]]·table[n_users + items[i]] for each i, float32.

    Parameters
    ----------
    table : float32 (n_users + n_items, width)
        As made by `lanes.table`.
    users, items : int32 (n,)
    """
    out = np.empty(len(users), dtype=np.float32)
    _products(table, users, items, n_users, out)
    return out


@kernel
def _products(table, users, items, n_users, out):
    for i in range(len(users)):
        out[i] = dot(table, users[i], table, items[i] + n_users)
