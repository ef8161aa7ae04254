"""One function an endpoint: a site and a checked request in, an answer out.

All but `recommend` run in a thread; what they take from a model they take on one thread.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np

from trimetric.errors import UnknownIds
from trimetric.serve import maps, schemas
from trimetric.serve.site import Refusal, Reply, Site
from trimetric.serve.snapshot import Lists, Snapshot, encode, known_rows
from trimetric.space.filters import chosen

MOST_POINTS = 50_000


async def recommend(site: Site, asked: schemas.RecommendQuery) -> Reply:
    """Recommend items to a user."""
    snapshot = site.snapshot(asked.model)
    try:
        batcher = site.batchers[snapshot.name]
        found = await batcher.ask(snapshot, asked.user, asked.k, asked.exclude_seen)
    except UnknownIds as error:  # what is near takes longer to find than what is known
        loop = asyncio.get_running_loop()
        raise await loop.run_in_executor(site.pool, unknown, snapshot, error) from None
    return Reply(200, found)


def recommend_many(site: Site, asked: schemas.RecommendBody) -> Any:
    """Recommend items to many users, with lists of items to allow or to deny."""
    snapshot = site.snapshot(asked.model)
    if len(asked.users) * asked.k > schemas.MAX_CELLS:
        raise Refusal(
            422,
            f"{len(asked.users)} users with k {asked.k} are above {schemas.MAX_CELLS} items;"
            " ask for fewer at a time",
        )
    allow, deny = _parsed(snapshot, asked.allow, asked.deny)
    choice = chosen(snapshot.model.item_ids, allow, deny)
    users = [snapshot.users.parse(one) for one in asked.users]
    rows = np.array([snapshot.known_user(one) for one in users], dtype=np.int32)
    strangers = [one for one, row in zip(users, rows, strict=True) if row < 0]
    if strangers and asked.on_unknown == "error":
        remedy = "the model was not trained on them; on_unknown can be popular or skip"
        raise unknown(snapshot, UnknownIds("user", strangers, remedy))
    known = np.unique(rows[rows >= 0])
    found = snapshot.nearest(known, asked.k, asked.exclude_seen, choice)
    lists = {row: snapshot.listed(*one) for row, *one in zip(known.tolist(), *found, strict=True)}
    if strangers and asked.on_unknown == "popular":
        rank, unscored = snapshot.model._popular(1, asked.k, choice)
        lists[-1] = snapshot.listed(rank[0], unscored[0])
    parts = [
        b'{"user":%b,"recommendations":%b}' % (encode(one), lists[row])
        for one, row in zip(users, rows.tolist(), strict=True)
        if row in lists
    ]
    return _named(snapshot, b'"results":[%b]' % b",".join(parts))


def recommend_for(site: Site, asked: schemas.RecommendForBody) -> Any:
    """Recommend items to a new user, who has these items."""
    snapshot = site.snapshot(asked.model)
    given, _ = _ids(snapshot, "item", asked.items)
    allow, deny = _parsed(snapshot, asked.allow, asked.deny)
    rows, scores = _or_refuse(snapshot, snapshot.model._nearest_for)(
        given,
        asked.weights,
        asked.k,
        asked.exclude_given,
        chosen(snapshot.model.item_ids, allow, deny),
    )
    shown = snapshot.listed(rows[0], snapshot.model._shown_score(scores)[0])
    return _named(snapshot, b'"recommendations":%b' % shown)


def similar_items(site: Site, asked: schemas.SimilarItemsQuery) -> Any:
    """Find the items nearest to an item."""
    snapshot = site.snapshot(asked.model)
    [item], rows = _ids(snapshot, "item", [asked.item])
    found, scores = _neighbours(snapshot, "item", rows, asked.k)
    shown = snapshot.listed(found[0], scores[0])
    return _named(snapshot, b'"item":%b,"similar":%b' % (encode(item), shown))


def similar_users(site: Site, asked: schemas.SimilarUsersQuery) -> Any:
    """Find the users nearest to a user."""
    snapshot = site.snapshot(asked.model)
    [user], rows = _ids(snapshot, "user", [asked.user])
    found, scores = _neighbours(snapshot, "user", rows, asked.k)
    chosen = found[0][found[0] >= 0]
    ids = snapshot.model.user_ids.decode(chosen).to_list()
    near = [
        {"user": one, "rank": rank, "score": score}
        for rank, (one, score) in enumerate(zip(ids, scores[0].tolist(), strict=False), 1)
    ]
    return {**_who(snapshot), "user": user, "similar": near}


def explain(site: Site, asked: schemas.ExplainQuery) -> Any:
    """Say why an item is where it is for a user."""
    snapshot = site.snapshot(asked.model)
    [user], _ = _ids(snapshot, "user", [asked.user])
    [item], _ = _ids(snapshot, "item", [asked.item])
    found = _or_refuse(snapshot, snapshot.model.explain)(user, item, k=asked.k)
    return {**_explained(snapshot, found), **_who(snapshot)}


def explain_for(site: Site, asked: schemas.ExplainForBody) -> Any:
    """Say why an item is where it is for a new user, who has these items."""
    snapshot = site.snapshot(asked.model)
    given, _ = _ids(snapshot, "item", asked.items)
    [item], _ = _ids(snapshot, "item", [asked.item])
    explained = _or_refuse(snapshot, snapshot.model.explain_for)
    found = explained(given, item, weights=asked.weights, k=asked.k)
    return {**_explained(snapshot, found), **_who(snapshot)}


def user(site: Site, asked: schemas.UserQuery) -> Any:
    """Show a user: activity, margin, and what they have, best scored first."""
    snapshot = site.snapshot(asked.model)
    [one], [row] = _ids(snapshot, "user", [asked.user])
    model = snapshot.model
    items = model.seen.items[model.seen.indptr[row] : model.seen.indptr[row + 1]]
    raw = model.score_rows(np.full(len(items), row, dtype=np.int32), items)
    order = np.argsort(-raw, kind="stable")[: asked.limit]
    chosen = items[order]
    history = snapshot.marked(
        chosen.tolist(),
        score=model._shown_score(raw[order]).tolist(),
        popularity=snapshot.popularity[chosen].tolist(),
    )
    return {
        **_who(snapshot),
        "user": one,
        "activity": len(items),
        "margin": _margin(snapshot, "user", row),
        "history": history,
    }


def item(site: Site, asked: schemas.ItemQuery) -> Any:
    """Show an item: what the items table says of it, popularity and margin."""
    snapshot = site.snapshot(asked.model)
    [one], [row] = _ids(snapshot, "item", [asked.item])
    popularity = int(snapshot.popularity[row])
    return {
        **_who(snapshot),
        "item": one,
        **snapshot.items.of(one),
        "popularity": popularity,
        "rank": 1 + int((snapshot.popularity > popularity).sum()),
        "margin": _margin(snapshot, "item", row),
    }


def users(site: Site, asked: schemas.SearchQuery) -> Any:
    """Find users by their ids, most active first."""
    snapshot = site.snapshot(asked.model)
    total, rows = snapshot.search.users(asked.search, asked.offset, asked.limit)
    ids = snapshot.model.user_ids.decode(rows).to_list()
    counts = snapshot.activity[rows].tolist()
    found = [{"user": one, "activity": n} for one, n in zip(ids, counts, strict=True)]
    return {**_who(snapshot), "total": total, "users": found}


def items(site: Site, asked: schemas.SearchQuery) -> Any:
    """Find items by their ids and titles, most popular first."""
    snapshot = site.snapshot(asked.model)
    total, rows = snapshot.search.items(asked.search, asked.offset, asked.limit)
    found = snapshot.marked(rows.tolist(), popularity=snapshot.popularity[rows].tolist())
    return {**_who(snapshot), "total": total, "items": found}


def models(site: Site, asked: None) -> Any:
    """List what is served; the first is the default."""
    return {"models": [card(snapshot) for snapshot in site.shelf.snapshots.values()]}


def space_map(site: Site, asked: schemas.Query) -> Any:
    """Give the map of the space; the first to ask is told that it is being made."""
    snapshot = site.snapshot(asked.model)
    if "metric space" not in snapshot.model.capabilities:
        raise Refusal(422, f"{snapshot.model.name} is no metric space; nothing to map")
    found = maps.of(snapshot)
    if found.failed:
        raise Refusal(422, f"the map of {snapshot.name} could not be made; the log says why")
    if found.answer is None:
        return {"status": "computing", **_who(snapshot)}
    return Reply(200, found.answer)


def margins(site: Site, asked: schemas.Query) -> Any:
    """Give the margins of users and items, against how much is known of them."""
    snapshot = site.snapshot(asked.model)
    model: Any = snapshot.model
    sampled = False
    if not hasattr(model, "user_margins"):
        raise Refusal(422, f"{model.name} has no margins; sml has")
    sides: dict[str, Any] = {}
    for side, ids, values, count, counts in (
        ("users", model.user_ids, model.user_margins, "activity", snapshot.activity),
        ("items", model.item_ids, model.item_margins, "popularity", snapshot.popularity),
    ):
        shown = np.flatnonzero(counts)
        if len(shown) > MOST_POINTS:
            shown = shown[np.linspace(0, len(shown) - 1, MOST_POINTS).astype(np.int64)]
            sampled = True
        sides[side] = {
            "ids": ids.decode(shown).to_list(),
            count: counts[shown].tolist(),
            "margin": values[shown].tolist(),
        }
    return {**_who(snapshot), "sampled": sampled, **sides}


def training(site: Site, asked: schemas.Query) -> Any:
    """Give the history of the training, the settings, and what the data was."""
    snapshot = site.snapshot(asked.model)
    model = snapshot.model
    about = {"history": model.history, "settings": model.get_params(), "data": model._data}
    return {**_who(snapshot), **about}


def summary(site: Site, asked: schemas.Query) -> Any:
    """Describe the data that the model was trained on."""
    snapshot = site.snapshot(asked.model)
    users, items = len(snapshot.model.user_ids), len(snapshot.model.item_ids)
    pairs = len(snapshot.model.seen.items)
    return {
        **_who(snapshot),
        "users": users,
        "items": items,
        "pairs": pairs,
        "density": pairs / max(users * items, 1),
        "per_user": spread(snapshot.activity),
        "per_item": spread(snapshot.popularity),
    }


def health(site: Site, asked: None) -> Any:
    """Tell that the server runs."""
    return {"status": "ok"}


def ready(site: Site, asked: None) -> Any:
    """Tell whether the server takes requests: 503 once it was told to stop."""
    if site.draining:
        return Reply(503, b'{"status":"draining"}')
    return {"status": "ready"}


def card(snapshot: Snapshot) -> dict[str, Any]:
    """Say what a snapshot is."""
    model = snapshot.model
    return {
        "name": snapshot.name,
        "kind": model.name,
        "version": snapshot.version,
        "users": len(model.user_ids),
        "items": len(model.item_ids),
        "interactions": len(model.seen.items),
        "dim": model.get_params().get("dim"),
        "capabilities": sorted(model.capabilities),
        "loaded_at": snapshot.loaded_at,
    }


def spread(counts: np.ndarray) -> dict[str, Any]:
    """Describe counts: extremes, middle, and a histogram whose bins double in width."""
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


def unknown(snapshot: Snapshot, error: UnknownIds) -> Refusal:
    """Turn unknown ids into a 404 that names those near to the first of them."""
    first, model = error.ids[0], snapshot.model
    vocabulary = model.user_ids if error.kind == "user" else model.item_ids
    near: list[Any] = snapshot.search.near(error.kind, str(first), vocabulary)
    shown = error.ids[:10]
    return Refusal(404, str(error), unknown=shown, near=near)


def _ids(snapshot: Snapshot, kind: str, ids: Any) -> tuple[list[int | str], np.ndarray]:
    lookup = snapshot.users if kind == "user" else snapshot.item_lookup
    try:
        return known_rows(kind, lookup, ids)
    except UnknownIds as error:
        raise unknown(snapshot, error) from None


def _or_refuse(snapshot: Snapshot, work: Any) -> Any:
    """Return `work`, but unknown ids become a 404."""

    def guarded(*given: Any, **more: Any) -> Any:
        try:
            return work(*given, **more)
        except UnknownIds as error:
            raise unknown(snapshot, error) from None

    return guarded


def _neighbours(snapshot: Snapshot, kind: str, rows: np.ndarray, k: int) -> Lists:
    found, scores = snapshot.model._neighbours(kind, rows, k)
    return found, snapshot.model._shown_score(scores)


def _parsed(snapshot: Snapshot, *lists: list | None) -> list[list | None]:
    """Return lists of ids in the type of the model's."""
    parse = snapshot.item_lookup.parse
    return [None if ids is None else [parse(one) for one in ids] for ids in lists]


def _margin(snapshot: Snapshot, kind: str, row: int) -> float | None:
    values = getattr(snapshot.model, f"{kind}_margins", None)
    return None if values is None else float(values[row])


def _who(snapshot: Snapshot) -> dict[str, str]:
    return {"model": snapshot.name, "version": snapshot.version}


def _named(snapshot: Snapshot, rest: bytes) -> Reply:
    return Reply(200, b"{%b,%b}" % (snapshot.named, rest))


def _explained(snapshot: Snapshot, found: Any) -> Mapping[str, Any]:
    titles = {one: snapshot.items.of(one).get("title") for one in found.items}
    called = {one: title for one, title in titles.items() if title is not None}
    named = {"titles": {str(one): title for one, title in called.items()}} if called else {}
    return {**found.to_dict(), "sentence": found.sentence(called), **named}
