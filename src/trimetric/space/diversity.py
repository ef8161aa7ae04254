"""Lists whose items are less alike: the best ones, chosen again one after another.

Both ways weigh what is near to the user against what is near to items already chosen, on squared
distances d² of the one space, so that nothing has to be scaled by hand:

- "mmr", maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): the next item i has the
  largest (1 − δ)·(−d²(u, i)) + δ·min d²(i, j) over the items j chosen before.
- "dpp", the greedy mode of a determinantal point process (Chen, Zhang and Zhou, NeurIPS 2018,
  algorithm 1): the next item has the largest (1 − δ)·(−d²(u, i)/h) + δ·ln r_i, where r_i is what
  the items chosen before leave unexplained of i: the quotient of the determinants of the kernel
  exp(−d²(i, j) / 2h) with and without i. h is the mean d² from the user to the candidates.

δ = 0 is the order of the scores, δ = 1 looks at the score of the first item only.
"""

from typing import Literal

import numpy as np

Rerank = Literal["mmr", "dpp"]
METHODS = ("mmr", "dpp")
POOL, LEAST_POOL = 10, 100  # candidates: so many times k, and at least so many
CELLS_AT_ONCE = 4_000_000
LEAST = 1e-9  # of r_i: below it rounding decides


def pool_size(k: int) -> int:
    """Return how many of the best items a list of k is chosen from."""
    return max(POOL * k, LEAST_POOL)


def diversified(
    users: np.ndarray,
    items: np.ndarray,
    listed: np.ndarray,
    k: int,
    strength: float,
    method: Rerank = "mmr",
) -> np.ndarray:
    """Choose k of each user's candidates, one after another.

    Parameters
    ----------
    users : float32 (m, dim)
        The users' points.
    items : float32 (n, dim)
        All items' points.
    listed : int32 (m, p)
        Candidates as rows of `items`, nearest first, -1 past the end.
    k : int
    strength : float
        δ, 0..1.
    method : "mmr" or "dpp"

    Returns
    -------
    int64 (m, min(k, p))
        Places in `listed` in the order chosen, -1 past the end. At equal values the nearer comes
        first.
    """
    m, p = listed.shape
    chosen = np.empty((m, min(k, p)), dtype=np.int64)
    step = max(1, CELLS_AT_ONCE // max(p * users.shape[1], 1))
    for low in range(0, m, step):
        block = slice(low, min(low + step, m))
        chosen[block] = _chosen(users[block], items, listed[block], k, strength, method)
    return chosen


def _chosen(
    users: np.ndarray,
    items: np.ndarray,
    listed: np.ndarray,
    k: int,
    strength: float,
    method: Rerank,
) -> np.ndarray:
    m, p = listed.shape
    k = min(k, p)
    points = items[np.maximum(listed, 0)].astype(np.float64)
    there = listed >= 0
    to_user = ((points - users[:, None].astype(np.float64)) ** 2).sum(axis=2)
    scale = np.maximum(
        np.where(there, to_user, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1), 1e-30
    )
    relevance = -to_user if method == "mmr" else -to_user / scale[:, None]
    nearest = np.full((m, p), np.inf)  # d² to the nearest item chosen
    left = np.ones((m, p))  # r_i of the kernel, whose diagonal is 1
    factors = np.zeros((m, p, k if method == "dpp" else 0))
    chosen = np.empty((m, k), dtype=np.int64)
    free, lists = there.copy(), np.arange(m)
    for at in range(k):
        value = (1 - strength) * relevance
        if at and method == "mmr":
            value = value + strength * nearest
        elif at:
            value = value + strength * np.log(np.maximum(left, LEAST))
        else:
            value = relevance
        best = np.argmax(np.where(free, value, -np.inf), axis=1)
        going = free[lists, best]
        chosen[:, at] = np.where(going, best, -1)
        free[lists, best] = False
        between = ((points - points[lists, best][:, None]) ** 2).sum(axis=2)
        if method == "mmr":
            nearest = np.minimum(nearest, between)
            continue
        kernel = np.exp(-between / (2 * scale[:, None]))
        explained = (factors[:, :, :at] * factors[lists, best][:, None, :at]).sum(axis=2)
        rest = np.sqrt(np.maximum(left[lists, best], LEAST))[:, None]
        factors[:, :, at] = (kernel - explained) / rest
        left = left - factors[:, :, at] ** 2
    return chosen
