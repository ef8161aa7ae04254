"""Popularity: every user is offered what most users like."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from trimetric.data.interactions import Interactions
from trimetric.models.references.base import Reference
from trimetric.storage import artifact


class Popularity(Reference):
    """The score of an item is its number of training interactions, whoever asks.

    A model that does not beat it has learned nothing of anybody's taste.
    """

    name: ClassVar[str] = "popularity"
    _counts: np.ndarray

    def score_rows(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return the number of interactions of each of `items`, float32."""
        return self._counts[items].astype(np.float32)

    def _table(self, users: np.ndarray) -> np.ndarray:
        return np.tile(self._counts.astype(np.float32), (len(users), 1))

    def _bytes(self, data: Interactions) -> int:
        return 4 * data.n_items

    def _learn(self, data: Interactions) -> None:
        self._counts = np.bincount(data.items, minlength=data.n_items).astype(np.int32)

    def _tensors(self) -> dict[str, np.ndarray]:
        return {"counts": self._counts}

    def _restore(self, tensors: Mapping[str, np.ndarray], where: str) -> None:
        artifact.check(tensors, {"counts": ((len(self.item_ids),), np.int32)}, where)
        self._counts = tensors["counts"]
