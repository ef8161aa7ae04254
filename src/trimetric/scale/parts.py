"""Interactions in parts: what the trainers in parts read, from memory or from files."""

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from trimetric.data.ids import Vocabulary

CHUNKS = 16  # of items, for each part


class Cell(NamedTuple):
    """The interactions of a user part with an item chunk, by user and then item.

    Parameters
    ----------
    users : int32 (n,)
        Rows in the user part.
    items : int32 (n,)
        Rows in the chunk.
    weights : float32 (n,), or None
    """

    users: np.ndarray
    items: np.ndarray
    weights: np.ndarray | None


class Parts(Protocol):
    """Interactions divided into P user parts and CHUNKS·P item chunks by `hashing.part_of`.

    Row r of a part, or of a chunk, is its r-th smallest id. It can be pickled.
    """

    @property
    def n_parts(self) -> int:
        """P."""

    @property
    def user_counts(self) -> np.ndarray:
        """Users of each part, int64 (P,)."""

    @property
    def item_counts(self) -> np.ndarray:
        """Items of each chunk, int64 (CHUNKS·P,)."""

    @property
    def weighted(self) -> bool:
        """Whether interactions have weights."""

    @property
    def fingerprint(self) -> str:
        """A digest of all ids, interactions and weights, and of P."""

    def __len__(self) -> int:
        """Return the number of interactions."""

    @property
    def name(self) -> str:
        """What messages call the interactions."""

    def user_ids(self, part: int) -> Vocabulary:
        """Return the ids of a user part."""

    def item_ids(self, chunk: int) -> Vocabulary:
        """Return the ids of an item chunk."""

    def cell(self, part: int, chunk: int) -> Cell:
        """Return the interactions of a user part with an item chunk."""

    def files_of(self, part: int) -> list[Path]:
        """Return the files that hold the interactions of a user part; none if in memory."""
