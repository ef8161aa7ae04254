"""Factors of new users beside the factors of items: the user's part of a loss, solved anew.

Both losses have a solution that is a sum over the user's items, so that a score is one as well:
that is what explains it.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from trimetric.data.csr import Csr

MOST_CONTRASTS = 512  # items that a new user of BPR is contrasted with
LEAST_REG = 0.001  # without any, the factors of a user whose items are apart from others have none
NEWTON_STEPS = 30
TOLERANCE = 1e-4  # of the last of Newton's steps, after which rounding is all that is left


class UserSolve(Protocol):
    """How new users are placed beside items, and what each of their items then adds to a score."""

    def factors(
        self, items: np.ndarray, lists: Csr, weights: np.ndarray, alike: bool = False
    ) -> np.ndarray:
        """Return the factors of new users, float32 (m, dim).

        Parameters
        ----------
        items : float32 (n_items, dim)
        lists, weights
            See `Scorer.nearest_new`.
        alike : bool
            Whether the users are near to the first, which may then save work; results are equal up
            to rounding.
        """

    def parts(self, items: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return what each item of one new user adds to their factors, float64 (n, dim).

        Parameters
        ----------
        items : float32 (n_items, dim)
        rows : int32 (n,), ascending
            The items that the user has.
        weights : float32 (n,)
        """


@dataclass(frozen=True)
class Ridge:
    """The least squares that factors of new users solve (Hu, Koren and Volinsky 2008, eq. 4).

    α_u = W_u Σ c_i β_i over the user's items i, W_u = (βᵀβ + Σ (c_i − 1) β_i β_iᵀ + reg·I)⁻¹, with
    the confidence c_i = 1 + (alpha − 1)·w_i, w_i being the item's weight. The score of an item j is
    then Σ c_i β_jᵀ W_u β_i: their section 5.

    Parameters
    ----------
    alpha, reg : float
    """

    alpha: float
    reg: float

    def factors(
        self, items: np.ndarray, lists: Csr, weights: np.ndarray, alike: bool = False
    ) -> np.ndarray:
        """Return the factors of new users: see `UserSolve.factors`."""
        wide = items.astype(np.float64)
        shared = wide.T @ wide + self.reg * np.eye(wide.shape[1])
        out = np.zeros((lists.n_users, wide.shape[1]), dtype=np.float32)
        confidence = 1 + (self.alpha - 1) * weights.astype(np.float64)
        for user in range(lists.n_users):
            mine = slice(lists.indptr[user], lists.indptr[user + 1])
            rows, c = wide[lists.items[mine]], confidence[mine]
            out[user] = np.linalg.solve(shared + (rows.T * (c - 1)) @ rows, c @ rows)
        return out

    def parts(self, items: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return c_i W_u β_i of each item: see `UserSolve.parts`."""
        wide = items.astype(np.float64)
        mine, c = wide[rows], 1 + (self.alpha - 1) * weights.astype(np.float64)
        left = wide.T @ wide + self.reg * np.eye(wide.shape[1]) + (mine.T * (c - 1)) @ mine
        return c[:, None] * np.linalg.solve(left, mine.T).T


@dataclass(frozen=True)
class Pairwise:
    """The factors of new users by the loss of BPR, its items as they are.

    α_u has the least Σ w_i·(mean over j of −ln σ(α_u·(β_i − β_j)) + reg/2·‖α_u‖²), i the user's
    items, j others: what training draws one j at a time of. The loss is convex, and found by
    Newton's steps. Where its gradient vanishes,

        α_u = Σ_i w_i·mean over j of σ(−α_u·(β_i − β_j))·(β_i − β_j) / (reg·Σ w)

    is a sum over the user's items (a representer theorem: Yeh et al., NeurIPS 2018). The j are all
    items that the user does not have or, of more than 512 items, those among 512 evenly spaced
    rows; `reg` below .001 is taken as .001.

    Parameters
    ----------
    reg : float
    """

    reg: float

    def factors(
        self, items: np.ndarray, lists: Csr, weights: np.ndarray, alike: bool = False
    ) -> np.ndarray:
        """Return the factors of new users: see `UserSolve.factors`."""
        out, first = np.zeros((lists.n_users, items.shape[1]), dtype=np.float32), None
        for user in range(lists.n_users):
            mine = slice(lists.indptr[user], lists.indptr[user + 1])
            sides = _contrasted(items, lists.items[mine])
            point = self._solve(*sides, weights[mine], first)
            first = point if alike and first is None else first
            out[user] = point
        return out

    def parts(self, items: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the terms of the sum that α_u is: see `UserSolve.parts`."""
        mine, others = _contrasted(items, rows)
        point = self._solve(mine, others, weights)
        if len(others) == 0:
            return np.zeros(mine.shape)
        _, pull = _loss(mine, others, np.ones((1, 1)), 0.0, point)
        apart = pull.sum(axis=1)[:, None] * mine - pull @ others
        scale = max(self.reg, LEAST_REG) * weights.sum(dtype=np.float64) * len(others)
        return weights.astype(np.float64)[:, None] * apart / scale

    def _solve(
        self,
        mine: np.ndarray,
        others: np.ndarray,
        weights: np.ndarray,
        start: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return α_u, float64 (dim,), by Newton's steps, halved where they would overshoot."""
        point = np.zeros(mine.shape[1]) if start is None else start
        if len(others) == 0 or len(mine) == 0:
            return np.zeros(mine.shape[1])
        share = weights.astype(np.float64)[:, None] / weights.sum(dtype=np.float64) / len(others)
        reg = max(self.reg, LEAST_REG)
        value, wrong = _loss(mine, others, share, reg, point)
        for _ in range(NEWTON_STEPS):
            pull, curve = share * wrong, share * wrong * (1 - wrong)
            gradient = reg * point - pull.sum(axis=1) @ mine + pull.sum(axis=0) @ others
            mixed = mine.T @ (curve @ others)
            hessian = (mine.T * curve.sum(axis=1)) @ mine + (others.T * curve.sum(axis=0)) @ others
            step = np.linalg.solve(hessian - mixed - mixed.T + reg * np.eye(len(point)), gradient)
            size, least = np.abs(step).max(), value
            while True:
                value, wrong = _loss(mine, others, share, reg, point - step)
                if value <= least or np.abs(step).max() < TOLERANCE:
                    break
                step = step / 2
            point = point - step
            if size < TOLERANCE:
                break
        return point


def _contrasted(items: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors of a user's items and of those they are contrasted with, float64."""
    n = len(items)
    places = (
        np.arange(n) if n <= MOST_CONTRASTS else np.arange(MOST_CONTRASTS) * n // MOST_CONTRASTS
    )
    without = np.setdiff1d(places, rows)
    return items[rows].astype(np.float64), items[without].astype(np.float64)


def _loss(
    mine: np.ndarray, others: np.ndarray, share: np.ndarray, reg: float, point: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the loss, and σ(−α·(β_i − β_j)) of all i and j, float64 (n, m)."""
    apart = (mine @ point)[:, None] - (others @ point)[None]
    small = np.exp(-np.abs(apart))
    wrong = np.where(apart > 0, small, 1.0) / (1 + small)
    terms = np.log1p(small) - np.minimum(apart, 0)
    return float((share * terms).sum() + reg / 2 * point @ point), wrong
