"""Rows of items written as lists."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from trimetric.data.csr import Csr


def csr(lists: Sequence[Sequence[int]]) -> Csr:
    """Return the items of users 0, 1, ... from a list for each."""
    users = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
    items = np.array([i for items in lists for i in items], dtype=np.int64)
    return Csr.from_pairs(users, items, len(lists))


def lists_of(rows: Csr) -> list[list[int]]:
    """Return the items of each user as a list."""
    return [rows.items[a:b].tolist() for a, b in pairwise(rows.indptr)]
