"""The yardstick: a ranking that knows nothing of the user."""

import numpy as np

import trimetric as tm
from trimetric.data.csr import Csr


class Popularity:
    """Ranks items by how often they were liked."""

    def __init__(self, train: tm.Interactions) -> None:
        self.user_ids, self.item_ids, self.seen = train.user_ids, train.item_ids, Csr.of(train)
        counts = np.bincount(train.items, minlength=train.n_items)
        self.n_items, self.scorer = train.n_items, self
        self.place = np.argsort(np.argsort(-counts, kind="stable"))

    def ranks(self, held: Csr, exclude: Csr) -> np.ndarray:
        hidden = np.zeros((held.n_users, len(self.place)), dtype=bool)
        hidden[exclude.users, exclude.items] = True
        before = self.place[None] < self.place[held.items][:, None]
        return 1 + (before & ~hidden[held.users]).sum(axis=1).astype(np.int32)

    def score(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return -self.place[items].astype(np.float32)
