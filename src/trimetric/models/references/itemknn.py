"""ItemKNN: what the same users like as well (Sarwar et al., WWW 2001)."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar, cast

import numpy as np

from trimetric.data.csr import Csr, keys
from trimetric.data.interactions import Interactions
from trimetric.models.closed_form import ClosedForm
from trimetric.models.config import Config, Limits, Tune
from trimetric.models.fitted import Fitted
from trimetric.models.forgetting import Kept, is_solved_anew
from trimetric.models.references.cooccurrence import (
    ITEMS_ONLY,
    Counted,
    Similarity,
    Sparse,
    nearest_items,
    sum_sparse,
)
from trimetric.models.saved import Stored, check_lists
from trimetric.space.function import FunctionScorer
from trimetric.space.known import Known
from trimetric.space.scorer import Scorer
from trimetric.storage import artifact


@dataclass(frozen=True)
class ItemKNNConfig(Config):
    """Settings of ItemKNN."""

    neighbours: Annotated[
        int, Limits(1, 10_000, "50-500 suits most data"), Tune(10, 1000, log=True)
    ] = 200
    """Most similar items kept for each item, 1..10000."""
    shrink: Annotated[
        float, Limits(0, 1_000_000, "0-100 suits most data"), Tune(0.1, 300, log=True)
    ] = 10.0
    """Added to the denominator of the similarity, 0..1000000."""
    power: Annotated[float, Limits(0, 1, "0.5-0.8 suits most data"), Tune(0.3, 0.9)] = 0.5
    """How much the popularity of a user's item counts against it, 0..1; .5 makes the cosine."""


class ItemKNN(ClosedForm):
    """The score of an item is the sum of the similarities of the user's items to it.

    Each item j counts its `neighbours` most similar items i by |U_i ∩ U_j| / (|U_i|^a |U_j|^(1−a) +
    `shrink`), U_i being the users of i and a `power`: the cosine with shrinkage unless `power` is
    changed. With weights |U_i ∩ U_j| is Σ_u w_ui·w_uj, |U_i| is Σ_u w_ui², and each of the user's
    items is multiplied by its weight. All other similarities are zero. What is marked as seen
    counts as the user's too; items are added up in ascending order.

    A new user's scores are such sums as well, an explanation is their terms, and items are alike by
    these similarities.

    Parameters
    ----------
    neighbours : int, default 200
        Most similar items kept for each item, 1..10000.
    shrink : float, default 10.0
        Added to the denominator of the similarity, 0..1000000.
    power : float, default 0.5
        How much the popularity of a user's item counts against it, 0..1; .5 makes the cosine.
    """

    if TYPE_CHECKING:  # written by tools/signatures

        def __init__(
            self,
            *,
            neighbours: int = 200,
            shrink: float = 10.0,
            power: float = 0.5,
        ) -> None: ...

    name: ClassVar[str] = "itemknn"
    takes_weights = True
    solves_anew = True
    capabilities = frozenset({"similar items", "new users", "explanations"})
    Config: ClassVar[type[Config]] = ItemKNNConfig
    config: ItemKNNConfig

    def memory(self, data: Interactions) -> int:
        """Return the size of the similarities."""
        return 8 * data.n_items * min(self.config.neighbours, data.n_items - 1)

    def learn(self, data: Interactions) -> Scorer:
        """Find the nearest items of each item."""
        kind = Similarity(self.config.power, self.config.shrink)
        seen = Counted.of(Csr.of(data), data.weights)
        near = nearest_items(seen, data.n_items, self.config.neighbours, kind)
        return neighbour_scorer(Neighbours(seen, near))

    def rescored(self, scorer: Scorer, known: Known) -> Scorer:
        """Score by other histories."""
        seen = Counted.of(known.seen, known.weights)
        return neighbour_scorer(replace(cast(FunctionScorer, scorer).learned, seen=seen))

    def without(self, state: Fitted, left: Fitted, kept: Kept) -> Scorer:
        """Learn again, or leave out the similarities from and to items that go."""
        if is_solved_anew(self, state):
            return super().without(state, left, kept)
        lists, weights = cast(FunctionScorer, state.scorer).learned.near
        place = np.full(len(state.known.item_ids), -1, dtype=np.int32)
        place[kept.items] = np.arange(len(kept.items), dtype=np.int32)
        stays = (place[lists.users] >= 0) & (place[lists.items] >= 0)
        pairs = keys(place[lists.users[stays]], place[lists.items[stays]])
        near = Sparse(Csr.from_keys(pairs, len(kept.items)), weights[stays])
        return neighbour_scorer(Neighbours(Counted.of(left.known.seen, left.known.weights), near))

    def folded_in(self, histories: Csr, weights: np.ndarray | None = None) -> Scorer:
        """Score new users by their histories: see `Recommender.folded_in`."""
        learned = cast(FunctionScorer, self.scorer).learned
        return neighbour_scorer(replace(learned, seen=Counted.of(histories, weights)))

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the similarities."""
        (indptr, items), weights = cast(FunctionScorer, self.scorer).learned.near
        return {"near_indptr": indptr, "near_items": items, "similarities": weights}

    def restore(self, stored: Stored) -> Scorer:
        """Return the scorer of saved similarities."""
        shape = np.shape(stored.tensors.get("near_items", ()))
        expected: artifact.Expected = {
            "near_indptr": ((stored.n_items + 1,), np.int64),
            "near_items": ((None,), np.int32),
            "similarities": (shape, np.float32),
        }
        stored.check(expected)
        lists = Csr(stored.tensors["near_indptr"], stored.tensors["near_items"])
        check_lists(lists, stored.n_items, "near_indptr and near_items", stored.where)
        near = Sparse(lists, stored.tensors["similarities"])
        seen = Counted.of(stored.known.seen, stored.known.weights)
        return neighbour_scorer(Neighbours(seen, near))


@dataclass(frozen=True, eq=False)
class Neighbours:
    """What users have, and the similarities from item to item."""

    seen: Counted
    near: Sparse

    @cached_property
    def nearest(self) -> Sparse:
        """The same by item: those nearest to each, and how similar they are."""
        lists, weights = self.near
        pairs = keys(lists.items, lists.users)
        order = np.argsort(pairs, kind="stable")
        n_items = len(lists.indptr) - 1
        return Sparse(Csr.from_keys(pairs[order], n_items), weights[order])


def neighbour_scorer(learned: Neighbours) -> FunctionScorer:
    """Return the scorer of histories and similarities."""
    n_items = len(learned.near.lists.indptr) - 1
    return FunctionScorer(
        learned.seen.lists.n_users,
        n_items,
        learned,
        table=sum_of_similarities,
        similar=similarities_of,
        new_users=sum_for_new,
        adds=similarities_to,
        refusals=ITEMS_ONLY,
    )


def similarities_to(
    learned: Neighbours, item: int, items: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return w_i·similarity(i, j) of a user's items i and an item j, float64 (n,)."""
    (indptr, near), similarities = learned.nearest
    mine = slice(indptr[item], indptr[item + 1])
    of_all = np.zeros(len(indptr) - 1)
    of_all[near[mine]] = similarities[mine]
    return weights.astype(np.float64) * of_all[items]


def similarities_of(learned: Neighbours, items: np.ndarray) -> np.ndarray:
    """Return how similar the nearest of each item are, −inf for all others: (b, n_items)."""
    (indptr, near), weights = learned.nearest
    out = np.full((len(items), len(indptr) - 1), -np.inf, dtype=np.float32)
    for place, item in enumerate(items):
        mine = slice(indptr[item], indptr[item + 1])
        out[place, near[mine]] = weights[mine]
    return out


def sum_for_new(learned: Neighbours, lists: Csr, weights: np.ndarray) -> np.ndarray:
    """Return Σ w_i similarity(i, j) over the items i of new users: float32 (b, n_items)."""
    theirs = replace(learned, seen=Counted.of(lists, weights))
    return sum_of_similarities(theirs, np.arange(lists.n_users))


def sum_of_similarities(learned: Neighbours, users: np.ndarray) -> np.ndarray:
    """Return Σ w_ui·similarity(i, j) over a user's items i, for all j: float32 (b, n_items)."""
    out = np.zeros((len(users), len(learned.near.lists.indptr) - 1), dtype=np.float32)
    sum_sparse(users, learned.seen, learned.near, out)
    return out
