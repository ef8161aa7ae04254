"""Why a metric space recommends an item: what is near, the hinges of equation (6), what-ifs.

One pass over the items gives the ranks, and one call of `MetricSpace.place` the counterfactuals.
"""

import numpy as np

from trimetric.data.csr import Csr
from trimetric.engine.topk import held_out_ranks, pair_distances
from trimetric.space.explained import (
    ExplainedUser,
    ExplainOptions,
    counterfactual_of,
    hidden_from,
    popularity_of,
    ranks_without,
    scores_of,
)
from trimetric.space.explanation import Explanation, Reason, Triple
from trimetric.space.known import Known
from trimetric.space.metric import MetricSpace
from trimetric.space.scorer import Scorer


def explain(
    space: MetricSpace,
    known: Known,
    model: str,
    user: ExplainedUser,
    item: int,
    options: ExplainOptions,
    scorer: Scorer | None = None,
) -> Explanation:
    """Explain an item, by row, to a user.

    Parameters
    ----------
    space : MetricSpace
    known : Known
    model : str
        The model's name.
    user : ExplainedUser
    item : int
    options : ExplainOptions
    scorer : Scorer, optional
        Whose scores are explained, where the space is how one user sees it: see
        `FunctionScorer`.
    """
    ids, points = known.item_ids.values, space.items
    n = len(points)
    assert user.point is not None
    to_user = _distances(user.point, points) if scorer is None else -scores_of(scorer, user)
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
    can_place = space.fold_in is not None if scorer is None else "new users" in scorer.capabilities
    if options.examine and not seen and len(owned) > 1 and can_place:
        examined = first[: options.examine]
        if scorer is None:
            ranks = _ranks_without(space, user, item, examined, np.flatnonzero(hidden))
        else:
            ranks = ranks_without(scorer, user, item, examined, hidden)
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
