"""Handlers that recommend and explain: a checked request in, a reply out.

All but `recommend` run in a thread: see `queues`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from litestar import MediaType, Request, Response, get, post
from litestar.concurrency import sync_to_thread
from litestar.exceptions import PermissionDeniedException
from litestar.openapi import ResponseSpec
from litestar.params import FromQuery, JSONBody
from litestar.response.base import ASGIResponse

from trimetric.errors import ParameterError, UnknownIds
from trimetric.models.forgetting import forget_in, mark_unavailable
from trimetric.serve import schemas
from trimetric.serve.queues import queued
from trimetric.serve.replies import (
    CHANGE_ERRORS,
    ERRORS,
    QUERY_ERRORS,
    answer,
    many_rows,
    model_of,
    not_found,
    one_row,
    raw_answer,
    reply,
    state_of,
    unknown_ids,
    unprocessable,
)
from trimetric.serve.served_model import ServedModel, encode
from trimetric.serve.where import chosen
from trimetric.space.explanation import Explanation
from trimetric.space.filters import ItemFilter
from trimetric.space.given import NOT_TRAINED_ON, weighted_ids

if TYPE_CHECKING:
    import polars as pl

QUICK_USERS = 10  # as many as a batch that is quick has
RECOMMENDATIONS = ResponseSpec(
    schemas.Recommendations, description="Items, best first.", generate_examples=False
)


def _takes_long(data: schemas.RecommendBody | schemas.RecommendForBody) -> bool:
    """Whether to recommend takes long: to many users, diverse lists, or among chosen items."""
    users = len(data.users) if isinstance(data, schemas.RecommendBody) else 1
    chooses = bool(data.allow or data.deny or data.where)
    return users > QUICK_USERS or data.diversity != 0 or chooses


@get("/v1/recommend", responses={200: RECOMMENDATIONS, **QUERY_ERRORS})
async def recommend(
    request: Request,
    user: schemas.QueryId,
    k: schemas.QueryK = 10,
    exclude_seen: FromQuery[bool] = True,
    model: schemas.QueryName = None,
) -> ASGIResponse:
    """Recommend items to a user."""
    served = model_of(request, model)
    try:
        batcher = state_of(request).batchers[served.name]
        body = await batcher.submit(served, user, k, exclude_seen)
        return ASGIResponse(body=body, media_type=MediaType.JSON)  # a Response takes longer
    except UnknownIds as error:  # finding similar ids takes longer than knowing one
        raise await sync_to_thread(unknown_ids, served, error) from None


@post("/v1/recommend", status_code=200, responses=ERRORS)
@queued("slow", when=_takes_long)
def recommend_many(
    request: Request, data: JSONBody[schemas.RecommendBody]
) -> Response[schemas.Results]:
    """Recommend items to many users, with lists of items to allow or to deny."""
    served = model_of(request, data.model)
    if len(data.users) * data.k > schemas.MAX_CELLS:
        raise unprocessable(
            f"{len(data.users)} users with k {data.k} are above {schemas.MAX_CELLS} items;"
            " ask for fewer at a time"
        )
    users = [served.users.parse(user) for user in data.users]
    allow, deny = _allowed(served, data), _parsed(served, data.deny)
    # Typed as text, an id of another type is unknown like others; these get what they get.
    accepted = int if served.users.is_int else str
    strangers = [user for user in users if not isinstance(user, accepted)]
    if data.on_unknown == "error":
        unknown = [user for user in users if served.trained_row(user) < 0]
        if unknown:
            remedy = f"{NOT_TRAINED_ON}; on_unknown can be popular or skip"
            raise unknown_ids(served, UnknownIds("user", unknown, remedy))
    with not_found(served):
        frame = served.model.recommend(
            list(dict.fromkeys(user for user in users if user not in strangers)),
            data.k,
            exclude_seen=data.exclude_seen,
            on_unknown=data.on_unknown,
            allow=_without(allow, strangers),
            deny=_without(deny, strangers),
            diversity=data.diversity,
            rerank=data.rerank,
        )
    lists = dict(_by_user(served, frame))
    if strangers and data.on_unknown == "popular":
        lists |= _popular_lists(served, strangers, data.k, allow, deny)
    results = [
        b'{"user":%b,"recommendations":%b}' % (encode(user), lists.get(user, b"[]"))
        for user in users
        if data.on_unknown != "skip" or served.trained_row(user) >= 0
    ]
    return raw_answer(served, b'"results":[%b]' % b",".join(results))


@post("/v1/recommend-for", status_code=200, responses=ERRORS)
@queued("slow", when=_takes_long)
def recommend_for(
    request: Request, data: JSONBody[schemas.RecommendForBody]
) -> Response[schemas.NewUserRecommendations]:
    """Recommend items to a new user who has these items."""
    served = model_of(request, data.model)
    lookup = served.item_lookup
    items = [lookup.parse(item) for item in data.items]
    unknown = list(dict.fromkeys(item for item in items if lookup.row(item) < 0))
    if unknown and data.on_unknown == "error":
        raise unknown_ids(served, UnknownIds("item", unknown, NOT_TRAINED_ON))
    given, counts = weighted_ids(items, _weights(served, data.weights), "item")
    kept = {
        item: weight
        for item, weight in zip(given, counts.tolist(), strict=True)
        if item not in unknown
    }
    if not kept:
        raise unknown_ids(served, UnknownIds("item", unknown, NOT_TRAINED_ON))
    frame = served.model.recommend_for(
        kept,
        data.k,
        exclude_given=data.exclude_given,
        allow=_allowed(served, data),
        deny=_parsed(served, data.deny),
        diversity=data.diversity,
        rerank=data.rerank,
    )
    listed = _listed(served, frame, "item")
    return raw_answer(served, b'"recommendations":%b,"skipped":%b' % (listed, encode(unknown)))


@get("/v1/similar-items", sync_to_thread=True, responses=QUERY_ERRORS)
def similar_items(
    request: Request, item: schemas.QueryId, k: schemas.QueryK = 10, model: schemas.QueryName = None
) -> Response[schemas.SimilarItems]:
    """Find the items nearest to an item."""
    served = model_of(request, model)
    known, _ = one_row(served, "item", item)
    similar = _listed(served, served.model.similar_items([known], k), "similar")
    return raw_answer(served, b'"item":%b,"similar":%b' % (encode(known), similar))


@get("/v1/similar-users", sync_to_thread=True, responses=QUERY_ERRORS)
def similar_users(
    request: Request, user: schemas.QueryId, k: schemas.QueryK = 10, model: schemas.QueryName = None
) -> Response[schemas.SimilarUsers]:
    """Find the users nearest to a user."""
    served = model_of(request, model)
    known, _ = one_row(served, "user", user)
    frame = served.model.similar_users([known], k)
    similar = frame.drop("user").rename({"similar": "user"}).to_dicts()
    return answer(served, user=known, similar=similar)


@post("/v1/forget", status_code=200, responses=CHANGE_ERRORS)
@queued("change")
def forget(request: Request, data: JSONBody[schemas.ForgetBody]) -> Response[schemas.Forgotten]:
    """Remove users and items from the saved model, and answer from what is left."""
    served = changeable(request, data.model)
    users = [served.users.parse(user) for user in data.users]
    items = [served.item_lookup.parse(item) for item in data.items]
    registry = state_of(request).registry
    folder = registry.folders[served.name]
    with not_found(served):
        receipt = forget_in(folder, users or None, items or None)
    registry.replace(served.name)
    fields = receipt.to_dict() | {"kind": receipt.model}
    fields |= {"model": served.name, "version": registry.get(served.name).version}
    return reply(fields)


@post("/v1/unavailable", status_code=200, responses=CHANGE_ERRORS)
@queued("change")
def unavailable(
    request: Request, data: JSONBody[schemas.UnavailableBody]
) -> Response[schemas.Unavailable]:
    """Mark items as unavailable in the saved model, and list them no more."""
    served = changeable(request, data.model)
    items = [served.item_lookup.parse(item) for item in data.items]
    registry = state_of(request).registry
    marked, unknown = mark_unavailable(registry.folders[served.name], items, data.change)
    registry.replace(served.name)
    return answer(registry.get(served.name), unavailable=marked, unknown=unknown)


@get("/v1/explain", responses=QUERY_ERRORS)
@queued("slow")
def explain(
    request: Request,
    user: schemas.QueryId,
    item: schemas.QueryId,
    k: schemas.QueryK = 10,
    model: schemas.QueryName = None,
) -> Response[schemas.Explained]:
    """Explain why an item is where it is in the list of length k for a user."""
    served = model_of(request, model)
    (user_id, _), (item_id, _) = one_row(served, "user", user), one_row(served, "item", item)
    with not_found(served):
        return _explained(served, served.model.explain(user_id, item_id, k=k))


@post("/v1/explain-for", status_code=200, responses=ERRORS)
@queued("slow")
def explain_for(
    request: Request, data: JSONBody[schemas.ExplainForBody]
) -> Response[schemas.Explained]:
    """Explain why an item is where it is for a new user who has these items."""
    served = model_of(request, data.model)
    items, _ = many_rows(served, "item", data.items)
    item, _ = one_row(served, "item", data.item)
    weights = _weights(served, data.weights)
    return _explained(served, served.model.explain_for(items, item, weights=weights, k=data.k))


def popular_frame(served: ServedModel, k: int, allow: Any, deny: Any) -> "pl.DataFrame":
    """Return the most popular items as `Recommender.recommend` lists them."""
    import polars as pl

    known = served.known
    only = ItemFilter.from_ids(known.item_ids, allow, deny, available=known.available).rows
    items = known.item_ids.decode(known.most_popular(k, only))
    return pl.DataFrame({"item": items, "score": pl.Series([None] * len(items), dtype=pl.Float32)})


def _popular_lists(
    served: ServedModel, users: list[int | str], k: int, allow: Any, deny: Any
) -> dict[int | str, bytes]:
    """Return for each user the most popular items that they may get, as JSON."""
    if not isinstance(allow, dict) and not isinstance(deny, dict):
        return dict.fromkeys(users, _listed(served, popular_frame(served, k, allow, deny), "item"))
    if isinstance(allow, dict) and (missing := [user for user in users if user not in allow]):
        raise ParameterError(
            f"allow names no items for user {missing[0]!r}; give an empty list where nothing may be"
            " listed"
        )
    lists = {}
    for user in users:
        only, none = (one.get(user) if isinstance(one, dict) else one for one in (allow, deny))
        lists[user] = _listed(served, popular_frame(served, k, only, none), "item")
    return lists


def changeable(request: Request, name: str | None) -> ServedModel:
    """Return a model that this request may change: only a server with a key lets it."""
    if state_of(request).settings.api_key is None:
        raise PermissionDeniedException(
            "a model is changed with an API key only; start the server with one (--api-key, or"
            " TRIMETRIC_API_KEY)"
        )
    return model_of(request, name)


def _parsed(served: ServedModel, given: Any) -> Any:
    """Return item ids in the type of the model's: a list, or a list for each user."""
    parse = served.item_lookup.parse
    if given is None:
        return None
    if isinstance(given, dict):
        user = served.users.parse
        return {user(key): [parse(raw) for raw in ids] for key, ids in given.items()}
    return [parse(raw) for raw in given]


def _without(given: Any, users: list[int | str]) -> Any:
    """Return a list of ids as it is, and lists by user without those of some users."""
    if not isinstance(given, dict):
        return given
    return {user: ids for user, ids in given.items() if user not in users}


def _weights(served: ServedModel, given: Any) -> Any:
    """Return weights with the item ids in the type of the model's, where they are by id."""
    if not isinstance(given, dict):
        return given
    return {served.item_lookup.parse(item): weight for item, weight in given.items()}


def _allowed(served: ServedModel, data: schemas.RecommendBody | schemas.RecommendForBody) -> Any:
    """Return the ids that `allow` and `where` leave, None for all."""
    allow = _parsed(served, data.allow)
    if not data.where:
        return allow
    rows = chosen(served.items, served.table_rows, data.where)
    kept = served.known.item_ids.decode(rows).to_list()
    if allow is None:
        return kept
    among = set(kept)
    if isinstance(allow, dict):
        return {user: [item for item in ids if item in among] for user, ids in allow.items()}
    return [item for item in allow if item in among]


def _by_user(served: ServedModel, frame: "pl.DataFrame") -> Iterator[tuple[int | str, bytes]]:
    """Give users and their recommendations as JSON, of a frame that has user after user.

    Columns leave Polars before they are divided. Each of its calls gives up the interpreter's lock
    and takes it back before another thread has woken: a call for each user would let none run.
    """
    rows, columns, start = *_columns(served, frame, "item"), 0
    for user, count in frame["user"].rle().struct.unnest().select("value", "len").iter_rows():
        span = slice(start, start + count)
        theirs = {name: values[span] for name, values in columns.items()}
        yield user, _ranked(served, rows[span], theirs)
        start += count


def _listed(served: ServedModel, frame: "pl.DataFrame", column: str) -> bytes:
    """Return a frame's ranked items as JSON."""
    return _ranked(served, *_columns(served, frame, column))


def _columns(
    served: ServedModel, frame: "pl.DataFrame", column: str
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the rows of the items in a column, and the columns to show: scores or all as lists."""
    rows = served.known.item_ids.encode(frame[column])
    if "rank_by_score" not in frame.columns:
        return rows, {"score": frame["score"].to_numpy()}
    return rows, frame.drop("user", column, strict=False).to_dict(as_series=False)


def _ranked(served: ServedModel, rows: np.ndarray, columns: dict[str, Any]) -> bytes:
    """Return ranked items as JSON, of `_columns` or a part of them."""
    if "rank_by_score" not in columns:
        return served.listed(rows, columns["score"])
    return bytes(served.with_columns(rows.tolist(), **columns))


def _together(served: ServedModel, item: int | str, other: int | str) -> dict[str, int | str]:
    """Return how many users have the second of two items, and how many of them have both."""
    first, second = (served.users_of(served.item_lookup.row(one)) for one in (item, other))
    both = np.intersect1d(first, second, assume_unique=True)
    return {"item": other, "users": len(second), "have_both": len(both)}


def _explained(served: ServedModel, why: Explanation) -> Response[Any]:
    known = served.items.titles_of(why.items)
    extra = {"titles": {str(item): title for item, title in known.items()}} if known else {}
    fields = {**why.to_dict(), "sentence": why.sentence(known), **extra}
    fields["together"] = [_together(served, why.item, one.item) for one in why.reasons]
    return reply({**fields, "model": served.name, "version": served.version})
