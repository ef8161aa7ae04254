"""What evaluation asks of a model; anything that has it can be evaluated."""

from typing import Protocol

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary


class Ranker(Protocol):
    """What ranks and scores by row number: a `space.scorer.Scorer`, for instance.

    Both methods must answer for each pair alone: the same whatever other pairs, batch size or
    number of threads they are called with. Scores are finite and higher is better; equal scores
    are ranked by item row, smaller first.
    """

    @property
    def n_items(self) -> int:
        """The size of the catalogue."""

    def ranks(self, held: Csr, exclude: Csr) -> np.ndarray:
        """Rank each held-out item among all items but those of `exclude` of that user.

        Returns int32[len(held.items)], the best rank being 1. No held-out pair is excluded.
        """

    def score(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Score pairs of user and item rows (both int32[n]); returns float32[n]."""


class RankingModel(Protocol):
    """A trained model: what its rows stand for, what it was trained on, and what ranks."""

    @property
    def user_ids(self) -> Vocabulary:
        """The users it knows."""

    @property
    def item_ids(self) -> Vocabulary:
        """The items it knows: its catalogue."""

    @property
    def seen(self) -> Csr:
        """The interactions that it was trained on."""

    @property
    def scorer(self) -> Ranker:
        """What ranks."""
