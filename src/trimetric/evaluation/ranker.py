"""What evaluation asks of a model; anything that answers it can be evaluated."""

from typing import TYPE_CHECKING, Protocol

import numpy as np

from trimetric.data.csr import Csr

if TYPE_CHECKING:
    from trimetric.data.ids import Vocabulary


class Ranker(Protocol):
    """A trained model, seen from evaluation.

    Both methods must answer for each pair alone: the same whatever other pairs, batch size or
    number of threads they are asked with. Scores are finite and higher is better (minus the
    squared distance for metric models); equal scores are ranked by item row, smaller first.
    """

    @property
    def user_ids(self) -> "Vocabulary":
        """The users it knows."""

    @property
    def item_ids(self) -> "Vocabulary":
        """The items it knows: its catalogue."""

    @property
    def seen(self) -> Csr:
        """The interactions it was trained on."""

    def held_out_ranks(self, held: Csr, excluded: Csr) -> np.ndarray:
        """Rank each held-out item among all items but those of `excluded` of that user.

        Returns int32[len(held.items)], the best rank being 1. No held-out pair is excluded.
        """

    def score_rows(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Score pairs of user and item rows (both int32[n]); returns float32[n]."""
