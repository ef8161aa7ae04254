"""What the rows of a scorer stand for."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary

COUNTED_AT_ONCE = 1 << 24  # NumPy widens what it counts


@dataclass(frozen=True, eq=False)
class Totals:
    """What all users together have, where those at hand are a part of them.

    Parameters
    ----------
    popularity : int64 (n_items,)
        How many users have each item.
    trained : int
        How many users have interactions.
    """

    popularity: np.ndarray
    trained: int


@dataclass(frozen=True, eq=False)
class Known:
    """The ids of users and items by row, and the items that each user is known to have.

    Parameters
    ----------
    user_ids, item_ids : Vocabulary
    seen : Csr
        Training interactions and what else counts as seen, by user row.
    weights : float32 (n,), optional
        How much each entry of `seen` counts; 1 each unless given.
    unavailable : int32 (n,), ascending and distinct
        Items that are in no list until they are available again, such as those out of stock.
    totals : Totals, optional
        Where the users are a part of all.
    validated : Csr, optional
        What training was validated on, by user row. It may be recommended, unlike what is seen, but
        no evaluation takes it for test data.
    """

    user_ids: Vocabulary
    item_ids: Vocabulary
    seen: Csr
    weights: np.ndarray | None = None
    unavailable: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    totals: Totals | None = None
    validated: Csr | None = None

    @cached_property
    def sizes(self) -> np.ndarray:
        """How much the entries of each user count together, float64 (n_users,)."""
        if self.weights is None:
            return self.seen.counts.astype(np.float64)
        sums = np.bincount(self.seen.users, self.weights, minlength=self.seen.n_users)
        return sums.astype(np.float64)  # bincount gives integers where nothing is seen

    @cached_property
    def available(self) -> np.ndarray | None:
        """The items that may be in a list, int32 ascending; None for all."""
        if len(self.unavailable) == 0:
            return None
        mask = np.ones(len(self.item_ids), dtype=bool)
        mask[self.unavailable] = False
        return np.flatnonzero(mask).astype(np.int32)

    @cached_property
    def popularity(self) -> np.ndarray:
        """How many users have each item, int64 (n_items,)."""
        if self.totals is not None:
            return self.totals.popularity
        counts = np.zeros(len(self.item_ids), dtype=np.int64)
        for low in range(0, len(self.seen.items), COUNTED_AT_ONCE):
            some = self.seen.items[low : low + COUNTED_AT_ONCE]
            counts += np.bincount(some, minlength=len(counts))
        return counts

    @property
    def trained(self) -> int:
        """How many users have interactions."""
        return int((self.seen.counts > 0).sum()) if self.totals is None else self.totals.trained

    def items_of(self, user: int) -> np.ndarray:
        """Return the item rows of a user row, ascending."""
        return self.seen.items[self.seen.indptr[user] : self.seen.indptr[user + 1]]

    def weights_of(self, user: int) -> np.ndarray:
        """Return how much each of `items_of` counts, float32."""
        low, high = self.seen.indptr[user : user + 2]
        if self.weights is None:
            return np.ones(high - low, dtype=np.float32)
        return self.weights[low:high]

    def most_popular(self, k: int, only: np.ndarray | None = None) -> np.ndarray:
        """Return the k most popular items of `only`, or of all: int32, ties by row."""
        rows = np.arange(len(self.item_ids)) if only is None else only
        order = np.argsort(-self.popularity[rows], kind="stable")
        return rows[order[:k]].astype(np.int32)
