"""How users and items are divided into parts, and interactions into buckets."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from trimetric import counter
from trimetric.data.interactions import Interactions
from trimetric.engine.negatives import Positives, positives
from trimetric.errors import ParameterError
from trimetric.scale.hashing import ITEMS, USERS, part_of

CHUNKS = 16  # of items, for each part
_GROUPING = 201  # a stream of random numbers


class ItemParts(NamedTuple):
    """The item parts of one epoch.

    Parameters
    ----------
    chunks : int64 (P, CHUNKS)
        The chunks of each part.
    rows : list of int64 (n,)
        The item rows of each part, ascending.
    place : int32 (n_items,)
        Where each item is in its part.
    """

    chunks: np.ndarray
    rows: list[np.ndarray]
    place: np.ndarray


@dataclass(frozen=True)
class Division:
    """Interactions in memory, in the order of user part and item chunk.

    Parameters
    ----------
    data : Interactions
    n_parts : int
        P, at least 2.
    seed : int
        Of the grouping of chunks.
    user_part : int32 (n_users,)
    item_chunk : int32 (n_items,)

    Raises
    ------
    ParameterError
        There are more parts than users, or more chunks than items.
    """

    data: Interactions
    n_parts: int
    seed: int
    user_part: np.ndarray
    item_chunk: np.ndarray

    @classmethod
    def of(cls, data: Interactions, n_parts: int, seed: int) -> "Division":
        """Divide interactions by the hashes of their ids."""
        if n_parts > data.n_users or n_parts > data.n_items:
            raise ParameterError(
                f"partitions must be at most the number of users ({data.n_users:,}) and of items"
                f" ({data.n_items:,}), got {n_parts:,}"
            )
        users = part_of(data.user_ids, n_parts, USERS)
        items = part_of(data.item_ids, n_parts * CHUNKS, ITEMS)
        return cls(data, n_parts, seed, users, items)

    @cached_property
    def user_rows(self) -> list[np.ndarray]:
        """The user rows of each part, ascending."""
        return [np.flatnonzero(self.user_part == part) for part in range(self.n_parts)]

    @cached_property
    def _order(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the pairs by (user part, item chunk), and where each of these begins."""
        n_chunks = self.n_parts * CHUNKS
        both = self.user_part[self.data.users].astype(np.int64) * n_chunks
        both += self.item_chunk[self.data.items]
        bounds = np.zeros(self.n_parts * n_chunks + 1, dtype=np.int64)
        np.cumsum(np.bincount(both, minlength=len(bounds) - 1), out=bounds[1:])
        return np.argsort(both, kind="stable"), bounds

    @cached_property
    def _user_place(self) -> np.ndarray:
        """Where each user is in the part, int32 (n_users,)."""
        place = np.empty(self.data.n_users, dtype=np.int32)
        for rows in self.user_rows:
            place[rows] = np.arange(len(rows))
        return place

    def item_parts(self, epoch: int) -> ItemParts:
        """Group the chunks of items into the parts of an epoch."""
        drawn = counter.permutation(counter.key(self.seed, _GROUPING, epoch), self.n_parts * CHUNKS)
        chunks = drawn.reshape(self.n_parts, CHUNKS)
        part_of_chunk = np.empty(len(drawn), dtype=np.int32)
        part_of_chunk[chunks] = np.arange(self.n_parts)[:, None]
        part = part_of_chunk[self.item_chunk]
        rows = [np.flatnonzero(part == one) for one in range(self.n_parts)]
        place = np.empty(self.data.n_items, dtype=np.int32)
        for one in rows:
            place[one] = np.arange(len(one))
        return ItemParts(chunks, rows, place)

    def bucket(self, user_part: int, item_part: int, items: ItemParts) -> Positives:
        """Return the interactions of a user part with an item part, in their rows."""
        order, bounds = self._order
        cells = user_part * self.n_parts * CHUNKS + items.chunks[item_part]
        at = np.concatenate([order[bounds[cell] : bounds[cell + 1]] for cell in cells])
        at.sort()  # by user and then item, as the data is
        users = self._user_place[self.data.users[at]]
        rows = items.place[self.data.items[at]]
        indptr = np.zeros(len(self.user_rows[user_part]) + 1, dtype=np.int64)
        np.cumsum(np.bincount(users, minlength=len(indptr) - 1), out=indptr[1:])
        weights = self.data.weights
        return positives(users, rows, indptr, weights=None if weights is None else weights[at])
