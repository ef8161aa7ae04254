"""A model of a table of scores: slow, short, and sure."""

from typing import Any

import numpy as np

from trimetric.data import Interactions
from trimetric.data.csr import Csr


class DenseRanker:
    """Scores from a table, ranks by counting; it is its own scorer."""

    capabilities: frozenset[str] = frozenset()

    def __init__(self, train: Interactions, scores: np.ndarray) -> None:
        self.user_ids, self.item_ids = train.user_ids, train.item_ids
        self.seen = Csr.of(train)
        self.scores = scores.astype(np.float32)
        self.n_items, self.scorer = train.n_items, self

    def ranks(self, held: Csr, exclude: Csr) -> np.ndarray:
        return np.array(
            [self.rank(u, i, exclude) for u, i in zip(held.users, held.items, strict=True)],
            dtype=np.int32,
        )

    def rank(self, user: int, item: int, excluded: Csr) -> int:
        gone = excluded.items[excluded.indptr[user] : excluded.indptr[user + 1]]
        left = np.setdiff1d(np.arange(self.scores.shape[1]), gone)
        return [*self.ordered(user, left)].index(item) + 1

    def ordered(self, user: int, items: np.ndarray) -> list[int]:
        return sorted(items.tolist(), key=lambda i: (-self.scores[user, i], i))

    def score(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return self.scores[users, items]

    def nearest(
        self, users: np.ndarray, k: int, *, exclude: Csr, only: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        rows = np.full((len(users), k), -1, dtype=np.int32)
        for at, user in enumerate(users):
            left = np.arange(self.n_items) if only is None else only
            left = np.setdiff1d(left, exclude.items[exclude.indptr[at] : exclude.indptr[at + 1]])
            best = self.ordered(user, left)[:k]
            rows[at, : len(best)] = best
        width = int((rows >= 0).sum(axis=1).max(initial=0))
        rows = rows[:, :width]
        scores = self.scores[np.asarray(users)[:, None], np.maximum(rows, 0)]
        return rows, np.where(rows >= 0, scores, np.nan).astype(np.float32)
