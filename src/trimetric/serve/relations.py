"""Handlers that show how users and items relate: who has an item, what two users share."""

import numpy as np
import polars as pl
from litestar import Request, Response, get

from trimetric.engine.topk import pair_distances
from trimetric.serve import schemas, where
from trimetric.serve.queues import queued
from trimetric.serve.replies import QUERY_ERRORS, answer, model_of, one_row
from trimetric.serve.served_model import ServedModel
from trimetric.space.metric import MetricSpace

MOST_SHARED = 1000


@get("/v1/item-users", responses=QUERY_ERRORS)
@queued("slow")
def item_users(
    request: Request,
    item: schemas.QueryId,
    limit: schemas.Limit = 20,
    offset: schemas.Offset = 0,
    model: schemas.QueryName = None,
) -> Response[schemas.ItemUsers]:
    """Show who has an item, best scored first."""
    served = model_of(request, model)
    known, row = one_row(served, "item", item)
    users = served.users_of(row)
    scores = served.scorer.score(users, np.full(len(users), row, dtype=np.int32))
    order = np.argsort(-scores, kind="stable")[offset : offset + limit]
    page = pl.DataFrame(
        {
            "user": served.known.user_ids.decode(users[order]),
            "activity": served.activity[users[order]],
            "score": scores[order],
            **served.distance(scores[order]),
        }
    )
    return answer(served, item=known, total=len(users), users=page.to_dicts())


@get("/v1/between", responses=QUERY_ERRORS)
@queued("slow")
def between(
    request: Request,
    user: schemas.QueryId,
    other: schemas.QueryId,
    k: schemas.QueryK = 10,
    model: schemas.QueryName = None,
) -> Response[schemas.Between]:
    """Show two users side by side: what both have, and what lies between them.

    Between them are the items whose mean score for the two is highest, of those that neither has.
    In a metric space these are the items nearest to the point half-way: the mean of the two squared
    distances is the one to that point and a constant.
    """
    served = model_of(request, model)
    (first, a), (second, b) = one_row(served, "user", user), one_row(served, "user", other)
    mine, theirs = served.known.items_of(a), served.known.items_of(b)
    both = np.intersect1d(mine, theirs)
    rare = both[np.argsort(served.popularity[both], kind="stable")]
    rows, scores = _middle(served, (a, b), np.union1d(mine, theirs), k)
    shared = served.with_columns(
        rare[:MOST_SHARED].tolist(), popularity=served.popularity[rare[:MOST_SHARED]].tolist()
    )
    return answer(
        served,
        user=first,
        other=second,
        distance=_distance(served, a, b),
        activity=len(mine),
        other_activity=len(theirs),
        n_shared=len(both),
        shared=shared,
        between=served.with_columns(
            rows.tolist(),
            rank=list(range(1, len(rows) + 1)),
            score=scores.tolist(),
            **served.distance(scores),
        ),
    )


def _middle(
    served: ServedModel, pair: tuple[int, int], had: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the items of highest mean score for two users, and these means."""
    known = served.known
    rows = np.arange(len(known.item_ids), dtype=np.int32)
    rows = rows if known.available is None else known.available
    rows = np.setdiff1d(rows, had).astype(np.int32)
    both = (served.scorer.score(np.full(len(rows), one, dtype=np.int32), rows) for one in pair)
    means = np.mean([scores.astype(np.float64) for scores in both], axis=0).astype(np.float32)
    best = np.argsort(-means, kind="stable")[:k]
    return rows[best], means[best]


def _distance(served: ServedModel, a: int, b: int) -> float | None:
    """Return d² between two users of a metric space."""
    space = served.scorer
    if not isinstance(space, MetricSpace):
        return None
    users = np.ascontiguousarray(space.users[[a, b]])
    first, second = np.zeros(1, dtype=np.int32), np.ones(1, dtype=np.int32)
    return float(pair_distances(users, users, first, second)[0])


@get("/v1/columns", responses=QUERY_ERRORS)
@queued("slow")
def columns(request: Request, model: schemas.QueryName = None) -> Response[schemas.Columns]:
    """List the columns of the items table that `where` can choose items by."""
    served = model_of(request, model)
    return answer(served, columns=where.columns(served.items, served.table_rows))
