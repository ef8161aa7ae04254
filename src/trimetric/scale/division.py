"""Interactions in memory, divided into parts."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from trimetric.data.ids import Vocabulary
from trimetric.data.interactions import Interactions
from trimetric.errors import ParameterError
from trimetric.scale.hashing import ITEMS, USERS, part_of
from trimetric.scale.parts import CHUNKS, Cell


class Division:
    """Interactions in memory as `parts.Parts`.

    Parameters
    ----------
    data : Interactions
    n_parts : int
        P, at least 2.

    Attributes
    ----------
    user_order, item_order : int64 (n,)
        The rows of the data, part after part and chunk after chunk.

    Raises
    ------
    ParameterError
        There are more parts than users or items.
    """

    def __init__(self, data: Interactions, n_parts: int) -> None:
        check_sizes(n_parts, data.n_users, data.n_items)
        self.data, self.n_parts = data, n_parts
        user_part = part_of(data.user_ids, n_parts, USERS)
        item_chunk = part_of(data.item_ids, n_parts * CHUNKS, ITEMS)
        self.user_counts = np.bincount(user_part, minlength=n_parts)
        self.item_counts = np.bincount(item_chunk, minlength=n_parts * CHUNKS)
        self.user_order = np.argsort(user_part, kind="stable")
        self.item_order = np.argsort(item_chunk, kind="stable")
        self._part, self._chunk = user_part, item_chunk

    @property
    def name(self) -> str:
        """What messages call the interactions."""
        return self.data.name

    @property
    def weighted(self) -> bool:
        """Whether interactions have weights."""
        return self.data.weights is not None

    @property
    def fingerprint(self) -> str:
        """That of the interactions."""
        return self.data.fingerprint

    def __len__(self) -> int:
        return len(self.data)

    def user_ids(self, part: int) -> Vocabulary:
        """Return the ids of a user part."""
        return _some(self.data.user_ids, self.user_order, self.user_counts, part)

    def item_ids(self, chunk: int) -> Vocabulary:
        """Return the ids of an item chunk."""
        return _some(self.data.item_ids, self.item_order, self.item_counts, chunk)

    def cell(self, part: int, chunk: int) -> Cell:
        """Return the interactions of a user part with an item chunk."""
        order, bounds = self._cells
        at = part * self.n_parts * CHUNKS + chunk
        pairs = order[bounds[at] : bounds[at + 1]]
        weights = self.data.weights
        return Cell(
            self._user_place[self.data.users[pairs]],
            self._item_place[self.data.items[pairs]],
            None if weights is None else weights[pairs],
        )

    def files_of(self, part: int) -> list[Path]:
        """Return no files: interactions are in memory."""
        return []

    @cached_property
    def _cells(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the pairs by user part and item chunk, and where each cell begins."""
        n_chunks = self.n_parts * CHUNKS
        both = self._part[self.data.users].astype(np.int64) * n_chunks
        both += self._chunk[self.data.items]
        bounds = np.zeros(self.n_parts * n_chunks + 1, dtype=np.int64)
        np.cumsum(np.bincount(both, minlength=len(bounds) - 1), out=bounds[1:])
        return np.argsort(both, kind="stable"), bounds

    @cached_property
    def _user_place(self) -> np.ndarray:
        """Where each user is in the part, int32 (n_users,)."""
        return _places(self.user_order, self.user_counts)

    @cached_property
    def _item_place(self) -> np.ndarray:
        return _places(self.item_order, self.item_counts)


def check_sizes(n_parts: Any, n_users: int, n_items: int) -> None:
    """Raise ParameterError where there are more parts than users or items."""
    if n_parts > n_users or n_parts > n_items:
        raise ParameterError(
            f"partitions must be at most the number of users ({n_users:,}) and of items"
            f" ({n_items:,}), got {n_parts:,}"
        )


def _places(order: np.ndarray, counts: np.ndarray) -> np.ndarray:
    place = np.empty(len(order), dtype=np.int32)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    place[order] = np.arange(len(order)) - starts
    return place


def _some(ids: Vocabulary, order: np.ndarray, counts: np.ndarray, part: int) -> Vocabulary:
    start = int(counts[:part].sum())
    return Vocabulary(ids.decode(order[start : start + int(counts[part])]))
