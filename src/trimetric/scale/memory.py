"""Rows of users and items in memory."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trimetric.scale.parts import CHUNKS, Parts
from trimetric.scale.trainer import Trainer


class MemoryStore:
    """The rows of all parts and chunks in two tables.

    Attributes
    ----------
    users : float32 (n_users, columns)
        Part after part.
    items : float32 (n_items, columns)
        Chunk after chunk.
    totals : float64 (4,)
        See `session.Totals`.
    """

    def __init__(self, parts: Parts, trainer: Trainer) -> None:
        n_parts = parts.n_parts
        self._user_ends = np.concatenate([[0], np.cumsum(parts.user_counts)])
        self._item_ends = np.concatenate([[0], np.cumsum(parts.item_counts)])
        self.users = np.empty((self._user_ends[-1], trainer.users.total), dtype=np.float32)
        self.items = np.empty((self._item_ends[-1], trainer.items.total), dtype=np.float32)
        self.totals = np.zeros(4)
        for part, n in enumerate(parts.user_counts.tolist()):
            self.put_users(part, trainer.start_users(part, n))
        for chunk in range(n_parts * CHUNKS):
            n = int(parts.item_counts[chunk])
            self.put_items([chunk], trainer.start_items(chunk, n))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Live views of all that training changes."""
        return {"users": self.users, "items": self.items, "totals": self.totals}

    def get_users(self, part: int) -> np.ndarray:
        """Return the rows of a part."""
        return self.users[self._user_ends[part] : self._user_ends[part + 1]]

    def put_users(self, part: int, rows: np.ndarray) -> None:
        """Replace the rows of a part."""
        self.get_users(part)[...] = rows

    def get_items(self, chunks: Sequence[int]) -> np.ndarray:
        """Return the rows of some chunks, end to end."""
        return np.concatenate([self._chunk(chunk) for chunk in chunks])

    def put_items(self, chunks: Sequence[int], rows: np.ndarray) -> None:
        """Replace the rows of some chunks."""
        start = 0
        for chunk in chunks:
            place = self._chunk(chunk)
            place[...] = rows[start : start + len(place)]
            start += len(place)

    def files_of(self, part: int | None, chunks: Sequence[int]) -> list[Path]:
        """Return no files: all rows are in memory."""
        return []

    def _chunk(self, chunk: int) -> np.ndarray:
        return self.items[self._item_ends[chunk] : self._item_ends[chunk + 1]]
