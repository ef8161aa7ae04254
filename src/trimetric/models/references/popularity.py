"""Popularity: every user is offered what most users like."""

from typing import ClassVar, cast

import numpy as np

from trimetric.data.interactions import Interactions
from trimetric.models.closed_form import ClosedForm
from trimetric.models.saved import Stored
from trimetric.space.function import FunctionScorer
from trimetric.space.scorer import Scorer


class Popularity(ClosedForm):
    """The score of an item is its number of training interactions, whoever asks.

    A model that does not beat it has learned nothing of anybody's taste.
    """

    name: ClassVar[str] = "popularity"
    solves_anew = True
    row_axes: ClassVar = {"counts": ("item",)}

    def memory(self, data: Interactions) -> int:
        """Return the size of the counts."""
        return 4 * data.n_items

    def learn(self, data: Interactions) -> Scorer:
        """Count."""
        counts = np.bincount(data.items, minlength=data.n_items).astype(np.int32)
        return popularity_scorer(data.n_users, counts)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the counts."""
        return {"counts": cast(FunctionScorer, self.scorer).learned}

    def restore(self, stored: Stored) -> Scorer:
        """Return the scorer of saved counts."""
        stored.check({"counts": ((stored.n_items,), np.int32)})
        return popularity_scorer(stored.n_users, stored.tensors["counts"])


def popularity_scorer(n_users: int, counts: np.ndarray) -> FunctionScorer:
    """Return the scorer of counts, int32 (n_items,)."""
    return FunctionScorer(n_users, len(counts), counts, count_of_items, count_table)


def count_of_items(counts: np.ndarray, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return the number of interactions of each of `items`, float32."""
    return counts[items].astype(np.float32)


def count_table(counts: np.ndarray, users: np.ndarray) -> np.ndarray:
    """Return the counts of all items for each of `users`."""
    return np.tile(counts.astype(np.float32), (len(users), 1))
