"""Popularity: every user is offered what most users like."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.models.closed_form import ClosedForm
from trimetric.models.saved import Stored
from trimetric.space.function import FunctionScorer
from trimetric.space.scorer import Scorer

COUNTS_ONLY = {
    "similar items": "it counts how many users have an item, not which",
    "similar users": "it offers all users the same and learns nothing of any",
    "fold-in": "it has no points; recommend_for offers new users what it offers all",
}


class Popularity(ClosedForm):
    """The score of an item is its number of training interactions, or their weights' sum.

    A model that does not beat it has learned nothing of anybody's taste. New users are offered the
    same as all; the explanation of an item is its count.
    """

    if TYPE_CHECKING:  # written by tools/signatures

        def __init__(self) -> None: ...

    name: ClassVar[str] = "popularity"
    takes_weights = True
    solves_anew = True
    capabilities = frozenset({"new users", "explanations"})
    row_axes: ClassVar[Mapping[str, tuple[str, ...]]] = {"counts": ("item",)}

    def memory(self, data: Interactions) -> int:
        """Return the size of the counts."""
        return 4 * data.n_items

    def learn(self, data: Interactions) -> Scorer:
        """Count."""
        counts = np.bincount(data.items, data.weights, data.n_items)
        counts = counts.astype(np.int32 if data.weights is None else np.float32)
        return popularity_scorer(data.n_users, counts)

    def folded_in(self, histories: Csr, weights: np.ndarray | None = None) -> Scorer:
        """Offer new users the same: see `Recommender.folded_in`."""
        return popularity_scorer(histories.n_users, cast(FunctionScorer, self.scorer).learned)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the counts."""
        return {"counts": cast(FunctionScorer, self.scorer).learned}

    def restore(self, stored: Stored) -> Scorer:
        """Return the scorer of saved counts."""
        # What was marked as seen may have weights where the counts have none.
        weighted = stored.known.weights is not None
        whole = stored.tensors.get("counts", np.zeros(0)).dtype == np.int32
        kind = np.float32 if weighted and not whole else np.int32
        stored.check({"counts": ((stored.n_items,), kind)})
        return popularity_scorer(stored.n_users, stored.tensors["counts"])


def popularity_scorer(n_users: int, counts: np.ndarray) -> FunctionScorer:
    """Return the scorer of counts, int32 or float32 (n_items,)."""
    return FunctionScorer(
        n_users,
        len(counts),
        counts,
        count_of_items,
        count_table,
        new_users=count_for_new,
        adds=no_reasons,
        refusals=COUNTS_ONLY,
    )


def count_for_new(counts: np.ndarray, lists: Csr, weights: np.ndarray) -> np.ndarray:
    """Return the counts of all items for each of some new users, whatever they have."""
    return count_table(counts, np.arange(lists.n_users))


def no_reasons(counts: np.ndarray, item: int, items: np.ndarray, weights: np.ndarray) -> None:
    """Return None: a count does not depend on what a user has."""


def count_of_items(counts: np.ndarray, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return the number of interactions of each of `items`, float32."""
    return counts[items].astype(np.float32)


def count_table(counts: np.ndarray, users: np.ndarray) -> np.ndarray:
    """Return the counts of all items for each of `users`."""
    return np.tile(counts.astype(np.float32), (len(users), 1))
