"""Scores that are inner products of two learned rows."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from trimetric.data.csr import Csr
from trimetric.engine.rows import padded_table
from trimetric.engine.scores import pair_products, ranks_by_score
from trimetric.errors import Unsupported
from trimetric.space.function import (
    NO_SPACE,
    nearest_by_table,
    table_of_pairs,
)
from trimetric.space.scorer import Lists, Scorer, with_itself

WITH_RIDGE = frozenset({"similar items", "similar users", "new users"})


@dataclass(frozen=True)
class Ridge:
    """The least squares that factors of new users solve (Hu, Koren and Volinsky 2008, eq. 4).

    α_u = (βᵀβ + Σ (c_i − 1) β_i β_iᵀ + reg·I)⁻¹ Σ c_i β_i over the user's items i, with the
    confidence c_i = alpha times the item's weight.

    Parameters
    ----------
    alpha, reg : float
    """

    alpha: float
    reg: float

    def factors(self, items: np.ndarray, lists: Csr, weights: np.ndarray) -> np.ndarray:
        """Return the factors of new users, float32 (m, dim), beside float32 (n_items, dim)."""
        wide = items.astype(np.float64)
        shared = wide.T @ wide + self.reg * np.eye(wide.shape[1])
        out = np.zeros((lists.n_users, wide.shape[1]), dtype=np.float32)
        confidence = self.alpha * weights.astype(np.float64)
        for user in range(lists.n_users):
            mine = slice(lists.indptr[user], lists.indptr[user + 1])
            rows, c = wide[lists.items[mine]], confidence[mine]
            out[user] = np.linalg.solve(shared + (rows.T * (c - 1)) @ rows, c @ rows)
        return out


class InnerProduct(Scorer):
    """A scorer whose score is α_u·β_v.

    Parameters
    ----------
    table : float32 (n_users + n_items, width)
        As made by `engine.rows.table`: the users' rows first.
    n_users : int
    dim : int
        How many columns count.
    ridge : Ridge, optional
        How new users are placed. With it, alike is what has a large cosine.
    """

    def __init__(
        self, table: np.ndarray, n_users: int, dim: int, ridge: Ridge | None = None
    ) -> None:
        self.n_users, self.n_items = n_users, len(table) - n_users
        self._table, self._dim, self._ridge = table, dim, ridge
        if ridge is not None:
            self.capabilities = WITH_RIDGE  # type: ignore[misc]

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

    def neighbours(
        self,
        kind: Literal["item", "user"],
        rows: np.ndarray,
        k: int,
        *,
        exclude: Csr | None = None,
        only: np.ndarray | None = None,
    ) -> Lists:
        """Return those of the largest cosine: see `Scorer.neighbours`."""
        if self._ridge is None:
            return super().neighbours(kind, rows, k)
        factors = self.item_factors if kind == "item" else self.user_factors
        lengths = np.linalg.norm(factors, axis=1, keepdims=True)
        unit = factors / np.where(lengths > 0, lengths, 1)
        both, n = padded_table(np.concatenate([unit[rows], unit])), len(unit)

        def cosines(places: np.ndarray) -> np.ndarray:
            return table_of_pairs(lambda a, b: pair_products(both, a, b, len(rows)), places, n)

        places = np.arange(len(rows), dtype=np.int32)
        return nearest_by_table(cosines, places, n, k, with_itself(rows, exclude), only)

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
        """Return the best items of new users: see `Scorer.nearest_new`."""
        ridge, items = self._ridge, self.item_factors
        if approximate:
            raise Unsupported(NO_SPACE)
        if ridge is None:
            return super().nearest_new(lists, weights, k, exclude=exclude, only=only)
        placed = ridge.factors(items, lists, weights)
        both, n_new = padded_table(np.concatenate([placed, items])), len(placed)

        def scores(users: np.ndarray) -> np.ndarray:
            return table_of_pairs(
                lambda a, b: pair_products(both, a, b, n_new), users, self.n_items
            )

        users = np.arange(n_new, dtype=np.int32)
        return nearest_by_table(scores, users, self.n_items, k, exclude, only)

    def _all_items(self, users: np.ndarray) -> np.ndarray:
        return table_of_pairs(self.score, users, self.n_items)
