"""Explanations out of a metric space: what is near, which hinges pull, what holds an item in place.

All of it is one pass over the items for the ranks, and one call of `engine.fold_in` for the
counterfactuals.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from trimetric.data.csr import Csr
from trimetric.engine.topk import held_out_ranks, pair_distances
from trimetric.errors import ParameterError
from trimetric.space.explanation import Counterfactual, Explanation, Popularity, Reason, Triple

MOST_REASONS = 1000


@dataclass(frozen=True)
class Liker:
    """The user that an item is explained to.

    Parameters
    ----------
    row : int or None
        None for a newcomer.
    position : float32 (dim,)
    liked : int32 (n,)
        Rows of the items they have, ascending.
    weights : float32 (n,)
        How much each counts where the user is placed anew.
    """

    row: int | None
    position: np.ndarray
    liked: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Wish:
    """How much to explain.

    Parameters
    ----------
    k : int
        The length of the list that is spoken of.
    reasons : int
        How many of the liked items to name, 0..1000.
    examine : int
        How many of the liked items to take away at most, 0..1000; each costs a fold-in.
    """

    k: int
    reasons: int
    examine: int

    def __post_init__(self) -> None:
        for name in ("reasons", "examine"):
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not whole or not 0 <= value <= MOST_REASONS:
                raise ParameterError(
                    f"{name} must be a whole number in 0..{MOST_REASONS}, got {value!r}"
                )


def explained(model: Any, who: Liker, item: int, wish: Wish) -> Explanation:
    """Explain the item of a row to a user; `model` is a `MetricSpace`."""
    ids, points = model.item_ids.values, model.items
    n = len(points)
    to_user = _distances(who.position, points)
    hidden = np.zeros(n, dtype=bool)
    hidden[who.liked] = True
    seen, hidden[item] = bool(hidden[item]), False
    order = np.arange(n)
    after = (to_user > to_user[item]) | ((to_user == to_user[item]) & (order > item))
    behind = np.flatnonzero(after & ~hidden)
    candidates = int(n - hidden.sum())
    liked = who.liked[who.liked != item]
    near = _distances(points[item], points[liked])
    nearest = np.argsort(near, kind="stable")
    without, counterfactual = {}, None
    if wish.examine and not seen and len(liked) > 1 and "fold-in" in model.capabilities:
        examined = nearest[: wish.examine]
        ranks = _ranks_without(model, who, item, examined)
        without = dict(zip(examined.tolist(), ranks[1:].tolist(), strict=True))
        counterfactual = _counterfactual(ids, liked[examined], ranks, wish.k, len(liked))
    return Explanation(
        model=model.name,
        user=None if who.row is None else model.user_ids.values[who.row],
        item=ids[item],
        d2=float(to_user[item]),
        rank=candidates - len(behind),
        candidates=candidates,
        k=wish.k,
        seen=seen,
        popularity=_popularity(model.seen, item, n),
        reasons=tuple(
            Reason(ids[int(liked[at])], float(near[at]), float(to_user[liked[at]]), without.get(at))
            for at in nearest[: wish.reasons].tolist()
        ),
        triple=None if len(behind) == 0 else _triple(model, who, item, behind, to_user),
        counterfactual=counterfactual,
    )


def _distances(point: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return d² from a point to each of `points`, float32."""
    n = len(points)
    rows, columns = np.zeros(n, dtype=np.int32), np.arange(n, dtype=np.int32)
    return pair_distances(point[None, :], points, rows, columns)


def _popularity(seen: Csr, item: int, n_items: int) -> Popularity:
    counts = np.bincount(seen.items, minlength=n_items)
    count, users = int(counts[item]), int((seen.counts > 0).sum())
    return Popularity(count, 1 + int((counts > count).sum()), count / max(users, 1))


def _triple(model: Any, who: Liker, item: int, behind: np.ndarray, to_user: np.ndarray) -> Triple:
    """Equation (6) for the user, the item and the one ranked just after it."""
    negative = int(behind[np.argmin(to_user[behind])])
    [d_vn] = _distances(model.items[item], model.items[negative : negative + 1]).tolist()
    d_uv, d_un = float(to_user[item]), float(to_user[negative])
    m, n = model._margins_at(who.row, item)
    return Triple(
        negative=model.item_ids.values[negative],
        d2_uv=d_uv,
        d2_un=d_un,
        d2_vn=d_vn,
        user_margin=m,
        item_margin=n,
        user_hinge=None if m is None else max(d_uv - d_un + m, 0.0),
        item_hinge=None if n is None else max(d_uv - d_vn + n, 0.0),
    )


def _ranks_without(model: Any, who: Liker, item: int, examined: np.ndarray) -> np.ndarray:
    """Return the item's rank for the user placed anew, int32 (1 + e,).

    First with all that they have, then without each of `examined` (places in `who.liked`).
    """
    n, m = len(who.liked), 1 + len(examined)
    kept = np.ones((m, n), dtype=bool)
    kept[np.arange(1, m), examined] = False
    indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int64)
    places = np.nonzero(kept)[1]
    positions = model._placed_rows((indptr, who.liked[places], who.weights[places]))
    held = Csr(np.arange(m + 1, dtype=np.int64), np.full(m, item, dtype=np.int32))
    hidden = Csr(np.arange(m + 1, dtype=np.int64) * n, np.tile(who.liked, m))
    return held_out_ranks(positions, model.items, held, hidden)


def _counterfactual(
    ids: Any, examined: np.ndarray, ranks: np.ndarray, k: int, liked: int
) -> Counterfactual:
    rank_with, without = int(ranks[0]), ranks[1:]
    at = int(np.argmax(without))
    drops = rank_with <= k < without[at]
    return Counterfactual(
        item=ids[int(examined[at])] if drops else None,
        rank_with=rank_with,
        rank_without=int(without[at]) if drops else None,
        k=k,
        examined=len(examined),
        liked=liked,
    )
