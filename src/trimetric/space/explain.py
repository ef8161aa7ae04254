"""Why a metric space recommends an item: what is near, the hinges of equation (6), what-ifs.

One pass over the items gives the ranks, and one call of `MetricSpace.place` the counterfactuals.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from trimetric.data.csr import Csr
from trimetric.engine.topk import held_out_ranks, pair_distances
from trimetric.errors import ParameterError
from trimetric.space.explanation import Counterfactual, Explanation, Popularity, Reason, Triple
from trimetric.space.known import Known
from trimetric.space.metric import MetricSpace

MOST_REASONS = 1000


@dataclass(frozen=True)
class ExplainedUser:
    """The user that an item is explained to.

    Parameters
    ----------
    row : int or None
        None for a new user.
    point : float32 (dim,) or None
        None where the model has no space.
    items : int32 (n,)
        Rows of the items they have, ascending.
    weights : float32 (n,)
        How much each counts where the user is placed again.
    """

    row: int | None
    point: np.ndarray | None
    items: np.ndarray
    weights: np.ndarray

    def without_each(self, examined: np.ndarray) -> tuple[Csr, np.ndarray]:
        """Return the user's items whole, then without each of `examined`, and their weights.

        Parameters
        ----------
        examined : int (e,)
            Places in `items`.
        """
        n, m = len(self.items), 1 + len(examined)
        remaining = np.ones((m, n), dtype=bool)
        remaining[np.arange(1, m), examined] = False
        indptr = np.concatenate([[0], np.cumsum(remaining.sum(axis=1))]).astype(np.int64)
        places = np.nonzero(remaining)[1]
        return Csr(indptr, self.items[places]), self.weights[places]


@dataclass(frozen=True)
class ExplainOptions:
    """How much to explain.

    Parameters
    ----------
    k : int
        Length of the list that the counterfactual is about.
    reasons : int
        How many of the user's items to name, 0..1000.
    examine : int
        How many of the user's items to leave out, one at a time, 0..1000; each costs a fold-in.
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


def explain(
    space: MetricSpace,
    known: Known,
    model: str,
    user: ExplainedUser,
    item: int,
    options: ExplainOptions,
) -> Explanation:
    """Explain an item, by row, to a user; `model` is the model's name."""
    ids, points = known.item_ids.values, space.items
    n = len(points)
    assert user.point is not None
    to_user = _distances(user.point, points)
    hidden, seen = hidden_from(known, user, item)
    order = np.arange(n)
    after = (to_user > to_user[item]) | ((to_user == to_user[item]) & (order > item))
    behind = np.flatnonzero(after & ~hidden)
    candidates = int(n - hidden.sum())
    owned = user.items[user.items != item]
    to_item = _distances(points[item], points[owned])
    adds = own = None
    if space.fold_in is not None:
        adds = space.fold_in.contributions(space, item, user.items, user.weights)
    if adds is not None:
        product = np.dot(user.point.astype(np.float64), points[item].astype(np.float64))
        own = float(2 * product - adds.sum(dtype=np.float64))
        adds = adds[user.items != item]
    order_of_reasons = to_item if adds is None else -adds
    first = np.argsort(order_of_reasons, kind="stable")
    rank_without, counterfactual = {}, None
    if options.examine and not seen and len(owned) > 1 and space.fold_in is not None:
        examined = first[: options.examine]
        ranks = _ranks_without(space, user, item, examined, np.flatnonzero(hidden))
        rank_without = dict(zip(examined.tolist(), ranks[1:].tolist(), strict=True))
        counterfactual = counterfactual_of(ids, owned[examined], ranks, options.k, len(owned))
    return Explanation(
        model=model,
        user=None if user.row is None else known.user_ids.values[user.row],
        item=ids[item],
        by="distance",
        score=-float(to_user[item]),
        d2=float(to_user[item]),
        rank=candidates - len(behind),
        candidates=candidates,
        k=options.k,
        seen=seen,
        popularity=popularity_of(known, item),
        reasons=tuple(
            Reason(
                ids[int(owned[at])],
                float(to_item[at]),
                float(to_user[owned[at]]),
                rank_without.get(at),
                None if adds is None else float(adds[at]),
            )
            for at in first[: options.reasons].tolist()
        ),
        own=own,
        triple=_triple(space, known, user, item, behind, to_user) if len(behind) else None,
        counterfactual=counterfactual,
    )


def _distances(point: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return d² from a point to each of `points`, float32."""
    n = len(points)
    rows, columns = np.zeros(n, dtype=np.int32), np.arange(n, dtype=np.int32)
    return pair_distances(point[None, :], points, rows, columns)


def hidden_from(known: Known, user: ExplainedUser, item: int) -> tuple[np.ndarray, bool]:
    """Return which items the item does not compete with, bool (n_items,), and if the user has it.

    These are what the user has and what is unavailable, but never the item itself.
    """
    hidden = np.zeros(len(known.item_ids), dtype=bool)
    hidden[user.items] = True
    seen = bool(hidden[item])
    hidden[known.unavailable] = True
    hidden[item] = False
    return hidden, seen


def popularity_of(known: Known, item: int) -> Popularity:
    """Return how many have an item."""
    counts, users = known.popularity, int((known.seen.counts > 0).sum())
    count = int(counts[item])
    return Popularity(count, 1 + int((counts > count).sum()), count / max(users, 1))


def _triple(
    space: MetricSpace,
    known: Known,
    user: ExplainedUser,
    item: int,
    behind: np.ndarray,
    to_user: np.ndarray,
) -> Triple:
    """Equation (6) for the user, the item and the item ranked just after it."""
    negative = int(behind[np.argmin(to_user[behind])])
    [d_vn] = _distances(space.items[item], space.items[negative : negative + 1]).tolist()
    d_uv, d_un = float(to_user[item]), float(to_user[negative])
    m, n = space.margins_at(user.row, item)
    return Triple(
        negative=known.item_ids.values[negative],
        d2_uv=d_uv,
        d2_un=d_un,
        d2_vn=d_vn,
        user_margin=m,
        item_margin=n,
        user_hinge=None if m is None else max(d_uv - d_un + m, 0.0),
        item_hinge=None if n is None else max(d_uv - d_vn + n, 0.0),
    )


def _ranks_without(
    space: MetricSpace,
    user: ExplainedUser,
    item: int,
    examined: np.ndarray,
    hidden_items: np.ndarray,
) -> np.ndarray:
    """Return the item's rank for the user placed again, int32 (1 + e,).

    First with all that they have, then without each of `examined` (places in `user.items`). Of the
    items in `hidden_items` (rows, ascending) none counts.
    """
    lists, weights = user.without_each(examined)
    m = lists.n_users
    points = space.place((lists.indptr, lists.items), weights)
    held = Csr(np.arange(m + 1, dtype=np.int64), np.full(m, item, dtype=np.int32))
    width = len(hidden_items)
    hidden = Csr(
        np.arange(m + 1, dtype=np.int64) * width, np.tile(hidden_items.astype(np.int32), m)
    )
    return held_out_ranks(points, space.items, held, hidden)


def counterfactual_of(
    ids: pl.Series, examined: np.ndarray, ranks: np.ndarray, k: int, liked: int
) -> Counterfactual:
    """Return which item holds another in the top k.

    Parameters
    ----------
    ids : Series
        Of all items.
    examined : int (e,)
        Rows of the items that were left out, one at a time.
    ranks : int (1 + e,)
        With all of them, then without each.
    k, liked : int
        See `Counterfactual`.
    """
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
