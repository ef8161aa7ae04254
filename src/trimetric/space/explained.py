"""What explanations of every kind share: whose they are, what competes, and what if.

Leaving an item out is a new user without it, for any scorer that scores new users.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from trimetric.data.csr import Csr
from trimetric.engine.scores import CELLS_AT_ONCE
from trimetric.errors import ParameterError
from trimetric.space.explanation import Counterfactual, Popularity
from trimetric.space.known import Known
from trimetric.space.scorer import Scorer

MOST_REASONS = 1000


@dataclass(frozen=True)
class ExplainedUser:
    """The user that an item is explained to.

    Parameters
    ----------
    row : int or None
        None for a new user.
    point : float32 (dim,) or None
        None where the model has no space.
    items : int32 (n,)
        Rows of the items they have, ascending.
    weights : float32 (n,)
        How much each counts where the user is placed again.
    """

    row: int | None
    point: np.ndarray | None
    items: np.ndarray
    weights: np.ndarray

    def without_each(self, examined: np.ndarray) -> tuple[Csr, np.ndarray]:
        """Return the user's items whole, then without each of `examined`, and their weights.

        Parameters
        ----------
        examined : int (e,)
            Places in `items`.
        """
        n, m = len(self.items), 1 + len(examined)
        remaining = np.ones((m, n), dtype=bool)
        remaining[np.arange(1, m), examined] = False
        indptr = np.concatenate([[0], np.cumsum(remaining.sum(axis=1))]).astype(np.int64)
        places = np.nonzero(remaining)[1]
        return Csr(indptr, self.items[places]), self.weights[places]


@dataclass(frozen=True)
class ExplainOptions:
    """How much to explain.

    Parameters
    ----------
    k : int
        Length of the list that the counterfactual is about.
    reasons : int
        How many of the user's items to name, 0..1000.
    examine : int
        How many of the user's items to leave out, one at a time, 0..1000; each costs a fold-in.
    """

    k: int
    reasons: int
    examine: int

    def __post_init__(self) -> None:
        for name in ("reasons", "examine"):
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not whole or not 0 <= value <= MOST_REASONS:
                raise ParameterError(
                    f"{name} must be a whole number in 0..{MOST_REASONS}, got {value!r}"
                )


def hidden_from(known: Known, user: ExplainedUser, item: int) -> tuple[np.ndarray, bool]:
    """Return which items the item does not compete with, bool (n_items,), and if the user has it.

    These are what the user has and what is unavailable, but never the item itself.
    """
    hidden = np.zeros(len(known.item_ids), dtype=bool)
    hidden[user.items] = True
    seen = bool(hidden[item])
    hidden[known.unavailable] = True
    hidden[item] = False
    return hidden, seen


def popularity_of(known: Known, item: int) -> Popularity:
    """Return how many have an item."""
    counts, users = known.popularity, known.trained
    count = int(counts[item])
    return Popularity(count, 1 + int((counts > count).sum()), count / max(users, 1))


def counterfactual_of(
    ids: pl.Series, examined: np.ndarray, ranks: np.ndarray, k: int, liked: int
) -> Counterfactual:
    """Return which item holds another in the top k.

    Parameters
    ----------
    ids : Series
        Of all items.
    examined : int (e,)
        Rows of the items that were left out, one at a time.
    ranks : int (1 + e,)
        With all of them, then without each.
    k, liked : int
        See `Counterfactual`.
    """
    rank_with, without = int(ranks[0]), ranks[1:]
    at = int(np.argmax(without))
    drops = rank_with <= k < without[at]
    return Counterfactual(
        item=ids[int(examined[at])] if drops else None,
        rank_with=rank_with,
        rank_without=int(without[at]) if drops else None,
        k=k,
        examined=len(examined),
        liked=liked,
    )


def scores_of(scorer: Scorer, user: ExplainedUser) -> np.ndarray:
    """Return a user's scores of all items, float32 (n_items,)."""
    if user.row is None:
        lists = Csr(np.array([0, len(user.items)], dtype=np.int64), user.items)
        return scorer.scores_new(lists, user.weights)[0]
    rows = np.full(scorer.n_items, user.row, dtype=np.int32)
    return scorer.score(rows, np.arange(scorer.n_items, dtype=np.int32))


def ranks_without(
    scorer: Scorer, user: ExplainedUser, item: int, examined: np.ndarray, hidden: np.ndarray
) -> np.ndarray:
    """Return an item's rank by all of the user's items, then without each of `examined`.

    Parameters
    ----------
    scorer : Scorer
        With "new users".
    user : ExplainedUser
    item : int
    examined : int (e,)
        Places in `user.items`.
    hidden : bool (n_items,)
        Of the items in it none counts.

    Returns
    -------
    int64 (1 + e,)
    """
    lists, weights = user.without_each(examined)
    size, ranks = max(1, CELLS_AT_ONCE // scorer.n_items), []
    for low in range(0, lists.n_users, size):
        places = np.arange(low, min(low + size, lists.n_users))
        span = slice(lists.indptr[places[0]], lists.indptr[places[-1] + 1])
        scores = scorer.scores_new(lists.take(places), weights[span])
        ranks.append(ranks_of(scores, item, hidden))
    return np.concatenate(ranks)


def ranks_of(scores: np.ndarray, item: int, hidden: np.ndarray) -> np.ndarray:
    """Return the rank of an item in each row of scores among those not hidden, ties by row."""
    its = scores[:, item : item + 1]
    before = (scores > its) | ((scores == its) & (np.arange(scores.shape[1]) < item))
    return 1 + (before & ~hidden).sum(axis=1)
