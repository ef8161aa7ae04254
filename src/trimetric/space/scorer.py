"""What a trained model leaves behind: answers by row number, without ids and without a model.

Users and items are rows 0 .. n − 1, as in the model's vocabularies. Lists, ranks and scores do not
depend on the number of threads, nor on what else is in the same call.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import numpy as np

from trimetric.data.csr import Csr
from trimetric.errors import Unsupported

Lists = tuple[np.ndarray, np.ndarray]
"""Rows int32 (m, k), best first and -1 past the end of a short list; scores float32 (m, k)."""


class Scorer(ABC):
    """Scores of users for items, higher is better; equal scores go by item row.

    Attributes
    ----------
    n_users, n_items : int
    capabilities : frozenset of str
        Among "metric space", "similar items", "similar users", "fold-in", "new users" and
        "explanations". A space with "fold-in" places new users; "new users" without it scores
        items for them.
    refusals : mapping of str to str
        Why it lacks a capability, in plain words that follow a colon.
    """

    capabilities: ClassVar[frozenset[str]] = frozenset()
    refusals: ClassVar[Mapping[str, str]] = {}
    n_users: int
    n_items: int

    @abstractmethod
    def nearest(
        self,
        users: np.ndarray,
        k: int,
        *,
        exclude: Csr,
        only: np.ndarray | None = None,
        approximate: bool = False,
    ) -> Lists:
        """Return the k best items of each user.

        Parameters
        ----------
        users : int32 (m,)
            Rows, in any order, repeats allowed.
        k : int
            Length of each list, at least 1.
        exclude : Csr with m lists
            Items that may not be listed, one list for each of `users`.
        only : int32 (r,), ascending and distinct, optional
            The only items that may be listed; all unless given.
        approximate : bool
            Allow some of the nearest to be missed, which is faster: see `space.index.Index`.

        Returns
        -------
        items : int32 (m, min(k, n_items or r))
            Best first; -1 where no item is left.
        scores : float32, same shape
            NaN where `items` is -1.

        Raises
        ------
        Unsupported
            `approximate`, and there is no metric space.
        MissingExtra
            `approximate`, and faiss is not installed.
        """

    @abstractmethod
    def score(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Score pairs of rows (both int32 (n,)): float32 (n,), higher is better."""

    @abstractmethod
    def ranks(self, held: Csr, exclude: Csr) -> np.ndarray:
        """Return the rank, from 1, of each held-out item among the items not excluded.

        Parameters
        ----------
        held, exclude : Csr
            One list for each of the n_users rows. An item in both has no meaningful rank.

        Returns
        -------
        int32 (len(held.items),)
        """

    def neighbours(
        self,
        kind: Literal["item", "user"],
        rows: np.ndarray,
        k: int,
        *,
        exclude: Csr | None = None,
        only: np.ndarray | None = None,
    ) -> Lists:
        """Return the k rows of the same kind that are most like each of `rows` (int32 (m,)).

        A row is never its own neighbour; `exclude` and `only` are as for `nearest`.

        Raises
        ------
        Unsupported
            The scorer does not relate items to items, or users to users.
        """
        raise Unsupported(f"these scores do not say which {kind}s are alike")

    def nearest_new(
        self,
        lists: Csr,
        weights: np.ndarray,
        k: int,
        *,
        exclude: Csr,
        only: np.ndarray | None = None,
        approximate: bool = False,
    ) -> Lists:
        """Return the k best items of new users, by the items that they have.

        Parameters
        ----------
        lists : Csr
            The items of each new user.
        weights : float32, one for each of `lists.items`
            How much each counts, above 0.
        k, exclude, only, approximate
            See `nearest`.

        Raises
        ------
        Unsupported
            The scorer knows nothing of users that it was not trained on.
        """
        raise Unsupported("these scores are of trained users only")

    def scores_new(self, lists: Csr, weights: np.ndarray) -> np.ndarray:
        """Score all items for new users, by the items that they have: float32 (m, n_items).

        Parameters and errors are those of `nearest_new`.
        """
        raise Unsupported("these scores are of trained users only")

    def contributions(self, item: int, items: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
        """Return what each item of a user adds to the score of an item.

        Parameters
        ----------
        item : int
            Row of the item that is scored.
        items : int32 (n,), ascending
            Rows of the user's items.
        weights : float32 (n,)
            How much each counts, above 0.

        Returns
        -------
        float64 (n,) or None
            For a new user with these items their sum is the score, up to rounding. None where the
            score does not depend on what a user has.

        Raises
        ------
        Unsupported
            The score is no such sum.
        """
        raise Unsupported("these scores are no sums over what a user has")

    def prepared(self) -> Self:
        """Return a scorer with the same answers that gives them faster, by keeping more in memory.

        For a process that answers often; the arrays must not change any more.
        """
        return self


def with_itself(rows: np.ndarray, exclude: Csr | None) -> Csr:
    """Return what each of `rows` may not have as a neighbour: itself, and what is excluded."""
    itself = Csr(np.arange(len(rows) + 1, dtype=np.int64), rows.astype(np.int32))
    return itself if exclude is None else itself.union(exclude)
