"""The application: routes, errors and OpenAPI, by Litestar."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from litestar import Litestar, MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.spec import Components, Reference, SecurityScheme, Server

from trimetric import __version__
from trimetric.errors import TrimetricError
from trimetric.serve import catalogue, handlers, quality, relations, schemas
from trimetric.serve.middleware import (
    FRAMEWORK_PAGES,
    NOTHING_HERE,
    ClientGone,
    Gate,
    error_body,
)
from trimetric.serve.page import File
from trimetric.serve.registry import watch
from trimetric.serve.replies import DOOR_ERRORS, reply, state_of
from trimetric.serve.settings import Settings
from trimetric.serve.state import AppState

log = logging.getLogger("trimetric.serve")
NO_BODY = {"message": "'data'", "key": "data", "source": "body"}  # what Litestar says then
API: Sequence[HTTPRouteHandler] = (
    handlers.recommend,
    handlers.recommend_many,
    handlers.recommend_for,
    handlers.similar_items,
    handlers.similar_users,
    handlers.explain,
    handlers.explain_for,
    handlers.forget,
    handlers.unavailable,
    catalogue.user,
    catalogue.item,
    catalogue.users,
    catalogue.items,
    catalogue.models,
    catalogue.space_map,
    catalogue.margins,
    catalogue.training,
    catalogue.summary,
    quality.quality,
    relations.between,
    relations.columns,
    relations.item_users,
)
"""Handlers under /v1."""


@get("/health", sync_to_thread=False, responses={400: DOOR_ERRORS[400]})
def health() -> schemas.Status:
    """Tell that the server runs."""
    return schemas.Status("ok")


READY_ERRORS = {
    400: DOOR_ERRORS[400],
    503: ResponseSpec(schemas.Status, description="The server is about to stop."),
}


@get("/ready", sync_to_thread=False, responses=READY_ERRORS)
def ready(request: Request) -> Response[schemas.Status]:
    """Tell whether the server takes requests: 503 once it is about to stop."""
    if state_of(request).draining:
        return reply({"status": "draining"}, 503)
    return reply({"status": "ready"})


@get("/metrics", sync_to_thread=False, responses=DOOR_ERRORS, media_type=MediaType.TEXT)
def metrics(request: Request) -> Response[str]:
    """Return counts and times in Prometheus' format."""
    state = state_of(request)
    models = [
        (served.name, served.model.name, served.version)
        for served in state.registry.served.values()
    ]
    text, media_type = state.metrics.text(models, request.headers.get("accept", ""))
    if media_type.startswith("text/"):  # to which the framework adds the charset
        media_type = media_type.removesuffix("; charset=utf-8")
    return Response(text.decode(), media_type=media_type)


@get("/openapi.json", sync_to_thread=False, include_in_schema=False)
def openapi(request: Request) -> Response[Any]:
    """Return the description of this API."""
    return reply(openapi_document(request.app))


def openapi_document(app: Litestar) -> dict[str, Any]:
    """Return the OpenAPI document: paths by Litestar, and types by msgspec with all constraints."""
    document = app.openapi_schema.to_schema()
    named = document["components"]["schemas"]
    kinds = [getattr(schemas, name) for name in named]
    _, types = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    named |= types
    return document


def page_handler(path: str, file: File) -> HTTPRouteHandler:
    """Return the handler of one file of the explorer page."""

    @get(path, media_type=file.media, include_in_schema=False, sync_to_thread=False)
    def page() -> bytes:
        return file.body

    return page


def create_app(state: AppState) -> Gate:
    """Return the ASGI application of a server."""
    pages = [page_handler(path, file) for path, file in state.files.items()]
    app = Litestar(
        [*API, health, ready, metrics, openapi, *pages],
        state=State({"serving": state}),
        lifespan=[_watching],
        exception_handlers={
            HTTPException: _http_error,
            TrimetricError: _our_error,
            UnicodeDecodeError: _unreadable,
            RecursionError: _unreadable,
            ClientGone: _client_gone,
            Exception: _defect,
        },
        openapi_config=_openapi_config(state.settings),
        request_max_body_size=state.settings.limits.body_bytes,
        logging_config=None,
    )
    parameters = {
        path: {parameter["name"] for parameter in item.get("get", {}).get("parameters", ())}
        for path, item in openapi_document(app)["paths"].items()
    }
    routes = {route.path for route in app.routes if not route.path.startswith(FRAMEWORK_PAGES)}
    return Gate(app, state, parameters, routes)


def _openapi_config(settings: Settings) -> OpenAPIConfig:
    keyed = settings.api_key is not None
    schemes: dict[str, SecurityScheme | Reference] = {
        "bearer": SecurityScheme(type="http", scheme="bearer"),
        "key": SecurityScheme(type="apiKey", name="X-API-Key", security_scheme_in="header"),
    }
    return OpenAPIConfig(
        title="trimetric",
        version=__version__,
        path=FRAMEWORK_PAGES,
        servers=[Server(url=settings.root_path or "/")],
        use_handler_docstrings=True,
        components=Components(security_schemes=schemes if keyed else None),
        security=[{name: []} for name in schemes] if keyed else None,
        operation_id_creator=lambda handler, method, path: handler.handler_name,
    )


@asynccontextmanager
async def _watching(app: Litestar) -> AsyncIterator[None]:
    state = app.state.serving
    task = asyncio.create_task(watch(state.registry, state.settings.watch))
    yield
    task.cancel()


# --- errors -------------------------------------------------------------------------------------


def _http_error(request: Request, error: HTTPException) -> Response:
    if type(error) is NotFoundException and not error.extra:
        error.detail = NOTHING_HERE
    elif isinstance(error, MethodNotAllowedException):
        error.detail = f"{request.method[:20]} is not offered here"
    elif error.status_code == 413:
        error.detail = f"the body is above {state_of(request).settings.limits.body_bytes} bytes"
    elif error.status_code == 400:  # Litestar's, where ours is 422
        error.status_code = 422
        error.detail = f"the request cannot be used: {_reasons(error)}"
        error.extra = None
    response = reply(error_body(error), error.status_code)
    response.headers.update(error.headers or {})
    return response


def _reasons(error: HTTPException) -> str:
    if not isinstance(error, ValidationException) or not isinstance(error.extra, list):
        return error.detail
    if error.extra == [NO_BODY]:
        return "it has no body; send a JSON object, as /openapi.json describes it"
    return "; ".join(f"{reason['key']}: {reason['message']}" for reason in error.extra)


def _our_error(request: Request, error: Exception) -> Response:
    return reply({"error": str(error)}, 422)


def _unreadable(request: Request, error: Exception) -> Response:
    return reply({"error": f"the request cannot be used: {error}"}, 422)


def _client_gone(request: Request, error: Exception) -> Response:
    return reply(b"", 499)


def _defect(request: Request, error: Exception) -> Response:
    log.error("fault", exc_info=error, extra={"path": request.url.path})
    return reply({"error": "an error in the server; its log says more"}, 500)
