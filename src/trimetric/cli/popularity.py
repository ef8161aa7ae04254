"""The simplest ranking, as a yardstick: by how many users of the training data have an item."""

from typing import TYPE_CHECKING

import numpy as np

from trimetric.data.csr import Csr, keys

if TYPE_CHECKING:
    from trimetric.data import Interactions


class Popularity:
    """Ranks every user's items alike; a `Ranker`."""

    def __init__(self, train: "Interactions") -> None:
        self.user_ids, self.item_ids, self.seen = train.user_ids, train.item_ids, Csr.of(train)
        counts = np.bincount(train.items, minlength=train.n_items)
        self._place = np.empty(train.n_items, dtype=np.int64)
        self._place[np.argsort(-counts, kind="stable")] = np.arange(train.n_items)

    def held_out_ranks(self, held: Csr, excluded: Csr, threads: int | None = None) -> np.ndarray:
        """Return the place in the one ranking, less the excluded items before it."""
        place = self._place[held.items]
        before = np.sort(keys(excluded.users, self._place[excluded.items]))
        start = excluded.indptr[held.users]
        passed = np.searchsorted(before, keys(held.users, place)) - start
        return (place + 1 - passed).astype(np.int32)

    def score_rows(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return minus the place in the ranking."""
        return -self._place[items].astype(np.float32)
