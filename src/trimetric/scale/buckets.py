"""The buckets of an epoch: their order, their items, and their interactions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trimetric import counter
from trimetric.engine.compile import kernel
from trimetric.engine.negatives import Positives, positives
from trimetric.scale.parts import CHUNKS, Cell, Parts

_GROUPING, _BUCKET, _ORDER = 201, 202, 203  # streams of random numbers


class Place(NamedTuple):
    """Which bucket of which epoch."""

    epoch: int
    user_part: int
    item_part: int

    def seed(self, seed: int) -> int:
        """Return the seed of the bucket's own draws."""
        return int(counter.key(seed, _BUCKET, *self))


def places(seed: int, epoch: int, n_parts: int) -> list[Place]:
    """Return the buckets of an epoch in order: each user part, at random, meets each item part.

    A bucket needs what those of its user part and those of its item part before it left, and
    nothing else: bucket (i, j) of this order may run when (i, j − 1) and (i − 1, j) have.
    """
    order = counter.permutation(counter.key(seed, _ORDER, epoch), n_parts).tolist()
    return [Place(epoch, part, item_part) for part in order for item_part in range(n_parts)]


def item_parts(seed: int, epoch: int, n_parts: int) -> np.ndarray:
    """Return the chunks of items that make up each item part of an epoch, int64 (P, CHUNKS)."""
    drawn = counter.permutation(counter.key(seed, _GROUPING, epoch), n_parts * CHUNKS)
    return drawn.reshape(n_parts, CHUNKS)


def bucket(parts: Parts, part: int, chunks: Sequence[int]) -> Positives:
    """Return the interactions of a user part with some item chunks, one chunk after another.

    Item rows are places in the chunks laid end to end.
    """
    cells = [parts.cell(part, int(chunk)) for chunk in chunks]
    sizes = [int(parts.item_counts[chunk]) for chunk in chunks]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
    return joined(cells, starts, int(parts.user_counts[part]))


def joined(cells: Sequence[Cell], starts: np.ndarray, n_users: int) -> Positives:
    """Return interactions by user and then by item, from cells with items that ascend."""
    indptr = np.zeros(n_users + 1, dtype=np.int64)
    for cell in cells:
        indptr[1:] += np.bincount(cell.users, minlength=n_users)
    np.cumsum(indptr, out=indptr)
    n = int(indptr[-1])
    users, items = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32)
    weighted = len(cells) > 0 and cells[0].weights is not None
    weights = np.empty(n if weighted else 0, dtype=np.float32)
    none = np.zeros(0, dtype=np.float32)
    following = indptr[:-1].copy()
    for cell, start in zip(cells, starts, strict=True):
        counts = none if cell.weights is None else cell.weights
        _append(cell.users, cell.items, counts, start, following, users, items, weights)
    return positives(users, items, indptr, weights=weights if weighted else None)


@kernel
def _append(from_users, from_items, from_weights, start, following, users, items, weights):
    """Put the interactions of a cell behind what their users have."""
    for k in range(len(from_users)):
        u = from_users[k]
        at = following[u]
        following[u] = at + 1
        users[at], items[at] = u, from_items[k] + start
        if len(from_weights) > 0:
            weights[at] = from_weights[k]
