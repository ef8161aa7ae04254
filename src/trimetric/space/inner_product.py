"""Scores that are inner products of two learned rows."""

import numpy as np

from trimetric.data.csr import Csr
from trimetric.engine.scores import pair_products, ranks_by_score
from trimetric.errors import Unsupported
from trimetric.space.function import NO_SPACE, nearest_by_table, table_of_pairs
from trimetric.space.scorer import Lists, Scorer


class InnerProduct(Scorer):
    """A scorer whose score is α_u·β_v.

    Parameters
    ----------
    table : float32 (n_users + n_items, width)
        As made by `engine.rows.table`: the users' rows first.
    n_users : int
    dim : int
        How many columns count.
    """

    def __init__(self, table: np.ndarray, n_users: int, dim: int) -> None:
        self.n_users, self.n_items = n_users, len(table) - n_users
        self._table, self._dim = table, dim

    @property
    def user_factors(self) -> np.ndarray:
        """Factors α, float32 (n_users, dim): a live view."""
        return self._table[: self.n_users, : self._dim]

    @property
    def item_factors(self) -> np.ndarray:
        """Factors β, float32 (n_items, dim): a live view."""
        return self._table[self.n_users :, : self._dim]

    def nearest(
        self,
        users: np.ndarray,
        k: int,
        *,
        exclude: Csr,
        only: np.ndarray | None = None,
        approximate: bool = False,
    ) -> Lists:
        """Return the k best items of each user: see `Scorer.nearest`."""
        if approximate:
            raise Unsupported(NO_SPACE)
        return nearest_by_table(self._all_items, users, self.n_items, k, exclude, only)

    def score(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Score pairs of rows: see `Scorer.score`."""
        return pair_products(self._table, users, items, self.n_users)

    def ranks(self, held: Csr, exclude: Csr) -> np.ndarray:
        """Rank held-out items: see `Scorer.ranks`."""
        return ranks_by_score(self._all_items, self.n_items, held, exclude)

    def _all_items(self, users: np.ndarray) -> np.ndarray:
        return table_of_pairs(self.score, users, self.n_items)
