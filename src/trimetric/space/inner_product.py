"""Scores that are inner products of two learned rows."""

from typing import Literal

import numpy as np

from trimetric.data.csr import Csr
from trimetric.engine.rows import padded_table
from trimetric.engine.scores import pair_products, ranks_by_score
from trimetric.errors import Unsupported
from trimetric.space.function import NO_SPACE, nearest_by_table, table_of_pairs
from trimetric.space.scorer import Lists, Scorer, with_itself
from trimetric.space.solved_users import UserSolve

SOLVED = frozenset({"similar items", "similar users", "new users", "explanations"})


class InnerProduct(Scorer):
    """A scorer whose score is α_u·β_v.

    Parameters
    ----------
    table : float32 (n_users + n_items, width)
        As made by `engine.rows.table`: the users' rows first.
    n_users : int
    dim : int
        How many columns count.
    solve : UserSolve, optional
        How new users are placed. Brings "new users" and "explanations", and what is alike: of the
        largest cosine.
    """

    def __init__(
        self, table: np.ndarray, n_users: int, dim: int, solve: UserSolve | None = None
    ) -> None:
        self.n_users, self.n_items = n_users, len(table) - n_users
        self._table, self._dim, self._solve = table, dim, solve
        if solve is not None:
            self.capabilities = SOLVED  # type: ignore[misc]

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
        if self._solve is None:
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
        if approximate:
            raise Unsupported(NO_SPACE)
        if self._solve is None:
            return super().nearest_new(lists, weights, k, exclude=exclude, only=only)
        placed = self.with_users(lists, weights)
        users = np.arange(placed.n_users, dtype=np.int32)
        return placed.nearest(users, k, exclude=exclude, only=only)

    def scores_new(self, lists: Csr, weights: np.ndarray) -> np.ndarray:
        """Score all items for new users: see `Scorer.scores_new`."""
        placed = self.with_users(lists, weights, alike=True)
        return placed._all_items(np.arange(placed.n_users, dtype=np.int32))

    def contributions(self, item: int, items: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return what each item of a user adds: see `Scorer.contributions`."""
        if self._solve is None:
            raise Unsupported("these scores are no sums over what a user has")
        parts = self._solve.parts(self.item_factors, items, weights)
        return parts @ self.item_factors[item].astype(np.float64)

    def place(self, lists: Csr, weights: np.ndarray, *, alike: bool = False) -> np.ndarray:
        """Return the factors of new users by the items that they have, float32 (m, dim).

        Parameters and errors are those of `nearest_new`; for `alike` see `UserSolve.factors`.
        """
        if self._solve is None:
            raise Unsupported("these scores are of trained users only")
        return self._solve.factors(self.item_factors, lists, weights, alike)

    def with_users(self, lists: Csr, weights: np.ndarray, *, alike: bool = False) -> "InnerProduct":
        """Return the scorer of new users in place of those trained: see `place`."""
        users = self.place(lists, weights, alike=alike)
        table = padded_table(np.concatenate([users, self.item_factors]))
        return InnerProduct(table, len(users), self._dim, self._solve)

    def _all_items(self, users: np.ndarray) -> np.ndarray:
        return table_of_pairs(self.score, users, self.n_items)
