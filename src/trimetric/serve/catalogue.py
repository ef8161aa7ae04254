"""Handlers that show what there is: users, items, margins, the map, models and their training."""

from typing import Any

import numpy as np
from litestar import Request, Response, get

from trimetric.data.ids import Vocabulary
from trimetric.serve import maps, schemas
from trimetric.serve.queues import queued
from trimetric.serve.replies import (
    DOOR_ERRORS,
    QUERY_ERRORS,
    answer,
    model_of,
    one_row,
    reply,
    state_of,
    unprocessable,
)
from trimetric.serve.served_model import ServedModel
from trimetric.space.metric import MetricSpace

MAX_POINTS = 50_000


@get("/v1/user", sync_to_thread=True, responses=QUERY_ERRORS)
def user(
    request: Request,
    user: schemas.QueryId,
    limit: schemas.HistoryLimit = 1000,
    model: schemas.QueryName = None,
) -> Response[schemas.User]:
    """Show a user: activity, margin, and their items, best scored first."""
    served = model_of(request, model)
    known, row = one_row(served, "user", user)
    items = served.known.items_of(row)
    scores = served.scorer.score(np.full(len(items), row, dtype=np.int32), items)
    order = np.argsort(-scores, kind="stable")[:limit]
    history = served.with_columns(
        items[order].tolist(),
        score=scores[order].tolist(),
        popularity=served.popularity[items[order]].tolist(),
        **served.distance(scores[order]),
    )
    margin = _margin(served, "user", row)
    return answer(served, user=known, activity=len(items), margin=margin, history=history)


@get("/v1/item", sync_to_thread=True, responses=QUERY_ERRORS)
def item(
    request: Request, item: schemas.QueryId, model: schemas.QueryName = None
) -> Response[schemas.Item]:
    """Show an item: its row of the items table, popularity and margin."""
    served = model_of(request, model)
    known, row = one_row(served, "item", item)
    popularity = int(served.popularity[row])
    return answer(
        served,
        item=known,
        **served.items.of(known),
        popularity=popularity,
        rank=1 + int((served.popularity > popularity).sum()),
        margin=_margin(served, "item", row),
    )


@get("/v1/users", sync_to_thread=True, responses=QUERY_ERRORS)
def users(
    request: Request,
    search: schemas.SearchText = "",
    limit: schemas.Limit = 20,
    offset: schemas.Offset = 0,
    model: schemas.QueryName = None,
) -> Response[schemas.UserMatches]:
    """Search users by id, without regard to case, most active first."""
    served = model_of(request, model)
    total, rows = served.search.users(search, offset, limit)
    ids = served.known.user_ids.decode(rows).to_list()
    counts = served.activity[rows].tolist()
    page = [{"user": known, "activity": n} for known, n in zip(ids, counts, strict=True)]
    return answer(served, total=total, users=page)


@get("/v1/items", sync_to_thread=True, responses=QUERY_ERRORS)
def items(
    request: Request,
    search: schemas.SearchText = "",
    limit: schemas.Limit = 20,
    offset: schemas.Offset = 0,
    model: schemas.QueryName = None,
) -> Response[schemas.ItemMatches]:
    """Search items by id and title, without regard to case, most popular first."""
    served = model_of(request, model)
    total, rows = served.search.items(search, offset, limit)
    page = served.with_columns(rows.tolist(), popularity=served.popularity[rows].tolist())
    return answer(served, total=total, items=page)


@get("/v1/models", sync_to_thread=False, responses=DOOR_ERRORS)
def models(request: Request) -> Response[schemas.Models]:
    """List the served models; the first is the default."""
    state = state_of(request)
    measured = {"measured": state.held_out is not None}
    return reply({"models": [card(one) | measured for one in state.registry.served.values()]})


@get("/v1/map", sync_to_thread=True, responses=QUERY_ERRORS)
def space_map(request: Request, model: schemas.QueryName = None) -> Response[schemas.Map]:
    """Return the map of the space; the first request starts the making of it."""
    served = model_of(request, model)
    if not isinstance(served.scorer, MetricSpace):
        raise unprocessable(f"{served.model.name} is not a metric space, so that it has no map")
    job = maps.job_of(served)
    if job.failed:
        raise unprocessable(f"the map of {served.name} could not be made; the log says why")
    if job.json is None:
        return answer(served, status="computing")
    return reply(job.json)


@get("/v1/margins", responses=QUERY_ERRORS)
@queued("slow")
def margins(request: Request, model: schemas.QueryName = None) -> Response[schemas.Margins]:
    """Return the learned margins of users and items, with their numbers of interactions."""
    served = model_of(request, model)
    space, known = served.scorer, served.known
    if not isinstance(space, MetricSpace):
        raise unprocessable(f"{served.model.name} has no margins; sml learns them")
    if space.user_margins is None and space.item_margins is None:
        raise unprocessable(
            f"the margins of {served.name} are fixed; fit sml with adaptive_users or"
            " adaptive_items to learn them"
        )
    counts = served.activity, served.popularity
    return answer(
        served,
        sampled=any(int(np.count_nonzero(n)) > MAX_POINTS for n in counts),
        users=_side(known.user_ids, space.user_margins, ("activity", counts[0])),
        items=_side(known.item_ids, space.item_margins, ("popularity", counts[1])),
    )


@get("/v1/training", sync_to_thread=True, responses=QUERY_ERRORS)
def training(request: Request, model: schemas.QueryName = None) -> Response[schemas.Training]:
    """Return the history of the training, the settings, and a description of the data."""
    served = model_of(request, model)
    trained = served.model
    return answer(
        served,
        history=trained.history,
        settings=trained.get_params(),
        data=trained.provenance,
    )


@get("/v1/summary", responses=QUERY_ERRORS)
@queued("slow")
def summary(request: Request, model: schemas.QueryName = None) -> Response[schemas.Summary]:
    """Describe the data that the model was trained on."""
    served = model_of(request, model)
    n_users, n_items = len(served.known.user_ids), len(served.known.item_ids)
    pairs = len(served.known.seen.items)
    return answer(
        served,
        users=n_users,
        items=n_items,
        pairs=pairs,
        density=pairs / max(n_users * n_items, 1),
        per_user=spread(served.activity),
        per_item=spread(served.popularity),
    )


def card(served: ServedModel) -> dict[str, Any]:
    """Describe a served model."""
    model = served.model
    return {
        "name": served.name,
        "kind": model.name,
        "version": served.version,
        "users": len(model.user_ids),
        "items": len(model.item_ids),
        "interactions": len(model.seen.items),
        "dim": model.get_params().get("dim"),
        "capabilities": sorted(model.capabilities),
        "learned_margins": any(_margins(served)),
        "loaded_at": served.loaded_at,
    }


def spread(counts: np.ndarray) -> dict[str, Any]:
    """Describe counts: extremes, median, mean, and a histogram whose bins double in width."""
    most = int(counts.max(initial=0))
    edges = [0, 1]
    while edges[-1] <= most:
        edges.append(2 * edges[-1])
    return {
        "minimum": int(counts.min(initial=most)),
        "median": float(np.median(counts)) if len(counts) else 0.0,
        "mean": float(counts.mean()) if len(counts) else 0.0,
        "maximum": most,
        "edges": edges,
        "counts": np.histogram(counts, edges)[0].tolist(),
    }


def _side(
    ids: Vocabulary, margins: np.ndarray | None, counts: tuple[str, np.ndarray]
) -> dict[str, Any] | None:
    """Return the margins of those that have interactions, evenly spaced ones if they are many."""
    if margins is None:
        return None
    name, values = counts
    rows = np.flatnonzero(values)
    if len(rows) > MAX_POINTS:
        rows = rows[np.linspace(0, len(rows) - 1, MAX_POINTS).astype(np.int64)]
    return {
        "ids": ids.decode(rows).to_list(),
        name: values[rows].tolist(),
        "margin": margins[rows].tolist(),
    }


def _margins(served: ServedModel) -> tuple[bool, bool]:
    """Tell whether the margins of users, and of items, were learned."""
    space = served.scorer
    if not isinstance(space, MetricSpace):
        return False, False
    return space.user_margins is not None, space.item_margins is not None


def _margin(served: ServedModel, kind: str, row: int) -> float | None:
    space = served.scorer
    if not isinstance(space, MetricSpace):
        return None
    margins = space.user_margins if kind == "user" else space.item_margins
    return None if margins is None else float(margins[row])
