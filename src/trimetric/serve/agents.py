"""A model as tools of agents, over the Model Context Protocol: standard streams, or HTTP.

Tools answer from one version of the model; a newer artifact in the folder takes over between two
calls. Limits are those of the HTTP server, and ids are typed as text or numbers there too.
"""

import functools
import hmac
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from trimetric._version import __version__
from trimetric.errors import TrimetricError, UnknownIds
from trimetric.serve.items import ItemsTable
from trimetric.serve.monitoring import Metrics
from trimetric.serve.registry import ModelRegistry
from trimetric.serve.schemas import MAX_CHARS, MAX_IDS
from trimetric.serve.served_model import ServedModel

MOST_LISTED = 100  # items of an answer: agents read all of it
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)

Text = Annotated[str, Field(max_length=MAX_CHARS)]
Id = Annotated[
    int | Text, Field(description="An id, as `search` and other tools return it: number or text.")
]
Ids = Annotated[list[Id], Field(min_length=1, max_length=MAX_IDS)]
Count = Annotated[int, Field(ge=1, le=MOST_LISTED, description="Length of the list.")]
Weights = Annotated[
    list[Annotated[float, Field(gt=0, le=1e6)]] | None,
    Field(description="How much each of the items counts, in their order; 1 each unless given."),
]


class CurrentModel:
    """The newest intact version of a model in a folder.

    Parameters
    ----------
    folder : Path
    items : ItemsTable
    """

    def __init__(self, folder: Path, items: ItemsTable) -> None:
        self._lock = threading.Lock()
        self._registry = ModelRegistry.load((folder,), items, Metrics())

    def get(self) -> ServedModel:
        """Return the version to answer from; load a newer one first."""
        with self._lock:
            for name in self._registry.changed():
                self._registry.replace(name)
            return self._registry.get(None)


def make_server(model: CurrentModel) -> MCPServer:
    """Return a server whose tools answer from a model; those that it cannot answer are left out."""
    served = model.get()
    able, titled = served.model.capabilities, "title" in served.items.columns
    server = MCPServer(
        "trimetric",
        version=__version__,
        log_level="ERROR",
        instructions=(
            f"Recommendations of the model {served.name!r}: {len(served.known.item_ids):,} items"
            f" and {len(served.known.user_ids):,} users, known by their ids."
            + (" Find the ids of items by title with `search`." if titled else "")
            + " Lists are best first; a smaller distance, or a higher score, is better."
        ),
    )

    def tool(function: Callable, when: bool = True) -> None:
        if when:
            server.add_tool(_told(function), annotations=READS)

    def recommend(user: Id, k: Count = 10, exclude_seen: bool = True) -> dict[str, Any]:
        """Recommend items to a user that the model knows."""
        now = model.get()
        [known], _ = now.users.rows("user", [user])
        frame = now.model.recommend([known], k, exclude_seen=exclude_seen)
        return {"user": known, "recommendations": _listed(now, frame, "item")}

    def recommend_for(items: Ids, k: Count = 10, weights: Weights = None) -> dict[str, Any]:
        """Recommend items to somebody new who has these items."""
        now = model.get()
        known, _ = now.item_lookup.rows("item", items)
        frame = now.model.recommend_for(known, k, weights=weights)
        return {"items": _described(now, known), "recommendations": _listed(now, frame, "item")}

    def similar_items(item: Id, k: Count = 10) -> dict[str, Any]:
        """Find the items most like an item."""
        now = model.get()
        [known], _ = now.item_lookup.rows("item", [item])
        [about] = _described(now, [known])
        return {**about, "similar": _listed(now, now.model.similar_items([known], k), "similar")}

    def similar_users(user: Id, k: Count = 10) -> dict[str, Any]:
        """Find the users most like a user."""
        now = model.get()
        [known], _ = now.users.rows("user", [user])
        frame = now.model.similar_users([known], k).drop("user").rename({"similar": "user"})
        return {"user": known, "similar": frame.to_dicts()}

    def explain(user: Id, item: Id) -> dict[str, Any]:
        """Explain why an item is where it is among the recommendations of a user."""
        now = model.get()
        [known], _ = now.users.rows("user", [user])
        [wanted], _ = now.item_lookup.rows("item", [item])
        return _explained(now, now.model.explain(known, wanted))

    def explain_for(items: Ids, item: Id, weights: Weights = None) -> dict[str, Any]:
        """Explain why an item is recommended to somebody new who has these items."""
        now = model.get()
        known, _ = now.item_lookup.rows("item", items)
        [wanted], _ = now.item_lookup.rows("item", [item])
        return _explained(now, now.model.explain_for(known, wanted, weights=weights))

    def search(
        text: Annotated[Text, Field(description="A part of a title or an id; all cases.")],
        limit: Count = 10,
        offset: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0,
    ) -> dict[str, Any]:
        """Find items by a part of their title or id, the most popular first."""
        now = model.get()
        total, rows = now.search.items(text, offset, limit)
        return {
            "matches": total,
            "items": _described(now, now.known.item_ids.decode(rows).to_list()),
        }

    takes_new_users = bool({"fold-in", "new users"} & able)
    tool(search)
    tool(recommend)
    tool(recommend_for, takes_new_users)
    tool(similar_items, "similar items" in able)
    tool(similar_users, "similar users" in able)
    tool(explain, "explanations" in able)
    tool(explain_for, takes_new_users and "explanations" in able)
    return server


def _told(function: Callable) -> Callable:
    """Let a mistake of the caller be the tool's error, in our words."""

    @functools.wraps(function)
    def told(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except UnknownIds as error:
            remedy = "; `search` finds items by a part of their title or id"
            raise ToolError(f"{error}{remedy if error.kind == 'item' else ''}") from None
        except TrimetricError as error:
            raise ToolError(str(error)) from None

    return told


def _described(served: ServedModel, items: Iterable[Any]) -> list[dict[str, Any]]:
    """Return items with what the items table knows of them."""
    return [{"item": item, **served.items.of(item)} for item in items]


def _listed(served: ServedModel, frame: Any, column: str) -> list[dict[str, Any]]:
    """Return the rows of a ranked frame, with what the items table knows of each item."""
    shown = ("rank", "score", "distance")
    return [
        {
            "item": row[column],
            **served.items.of(row[column]),
            **{name: row[name] for name in shown if row.get(name) is not None},
        }
        for row in frame.to_dicts()
    ]


def _explained(served: ServedModel, why: Any) -> dict[str, Any]:
    """Return an explanation, its sentence with the titles of items, which comes first."""
    sentence = {"sentence": why.sentence(served.items.titles_of(why.items))}
    return sentence | why.to_dict() | sentence


def serve_streams(model: CurrentModel) -> None:
    """Answer on standard input and output until the input ends."""
    with suppress(KeyboardInterrupt):
        make_server(model).run("stdio")


def application(model: CurrentModel, host: str, api_key: str | None) -> Callable:
    """Return an ASGI application that answers at /mcp, and asks for a key if there is one."""
    app = make_server(model).streamable_http_app(
        json_response=True, stateless_http=True, host=host, max_request_body_size=1024 * 1024
    )
    if api_key is None:
        return app

    wanted = b"Bearer " + api_key.encode()

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        if scope["type"] == "http" and not hmac.compare_digest(given, wanted):
            headers = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Bearer")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            told = b"the API key is missing or wrong: Authorization: Bearer KEY"
            await send({"type": "http.response.body", "body": told})
            return
        await app(scope, receive, send)

    return guarded


def serve_http(
    model: CurrentModel,
    host: str,
    port: int,
    api_key: str | None,
    announce: Callable[[str], None],
) -> None:
    """Answer over HTTP until SIGTERM or Ctrl-C."""
    from uvicorn import Config, Server

    from trimetric.serve.run import bind, url_of

    with bind(host, port) as listener:
        announce(f"{url_of(listener)}/mcp")
        app = application(model, host, api_key)
        config = Config(
            app, log_config=None, access_log=False, server_header=False, limit_concurrency=1024
        )
        with suppress(KeyboardInterrupt):
            Server(config).run([listener])
