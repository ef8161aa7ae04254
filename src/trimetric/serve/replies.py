"""What handlers have in common: the model of a request, ids as rows, replies in JSON."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from litestar import MediaType, Request, Response
from litestar.exceptions import ClientException, NotFoundException
from litestar.openapi import ResponseSpec

from trimetric.errors import UnknownIds
from trimetric.serve.schemas import Failure
from trimetric.serve.served_model import ServedModel, encode
from trimetric.serve.state import AppState

MAX_LISTED = 10  # unknown ids that an error names
_MEANING = {
    400: "The Host header names a host that is not allowed.",
    401: "The API key is missing or wrong.",
    404: "An id, or the model, is unknown.",
    408: "The body arrived too slowly.",
    413: "The body is too large.",
    422: "The request is not as described here, or the model cannot answer it.",
}
ERRORS = {
    status: ResponseSpec(Failure, description=meaning, generate_examples=False)
    for status, meaning in _MEANING.items()
}
"""Error responses of a handler that takes a body."""

CHANGE_ERRORS = ERRORS | {
    403: ResponseSpec(Failure, description="The server has no API key.", generate_examples=False)
}
"""Error responses of a handler that changes a model."""

QUERY_ERRORS = {status: spec for status, spec in ERRORS.items() if status not in (408, 413)}
"""Error responses of a handler that takes a query."""

DOOR_ERRORS = {status: ERRORS[status] for status in (400, 401)}
"""Error responses of a handler that takes nothing."""


def state_of(request: Request) -> AppState:
    """Return what the server of a request answers from."""
    return request.app.state.serving


def model_of(request: Request, name: str | None) -> ServedModel:
    """Return the current version of the model that a request names, or of the default."""
    return state_of(request).model(name)


def reply(body: Any, status: int = 200) -> Response[Any]:
    """Return a JSON response; `body` is JSON already, or what msgspec encodes."""
    content = body if isinstance(body, bytes) else encode(body)
    return Response(content, media_type=MediaType.JSON, status_code=status)


def answer(served: ServedModel, **fields: Any) -> Response[Any]:
    """Return a response with the model's name and version, and these fields."""
    return reply({"model": served.name, "version": served.version, **fields})


def raw_answer(served: ServedModel, fields: bytes) -> Response[Any]:
    """Return a response with the model's name and version, and fields already in JSON."""
    return reply(b"{%b,%b}" % (served.named, fields))


def unprocessable(detail: str) -> ClientException:
    """Return the error of a request that the model, or this server, cannot answer."""
    return ClientException(detail, status_code=422)


def unknown_ids(served: ServedModel, error: UnknownIds) -> NotFoundException:
    """Turn unknown ids into a 404 that lists ids near to the first of them."""
    known = served.known
    vocabulary = known.user_ids if error.kind == "user" else known.item_ids
    near = served.search.near(error.kind, str(error.ids[0]), vocabulary)
    others = [one for one in near if one != error.ids[0]]  # it may be known, without interactions
    extra = {"unknown": error.ids[:MAX_LISTED], "near": others}
    return NotFoundException(str(error), extra=extra)


@contextmanager
def not_found(served: ServedModel) -> Iterator[None]:
    """Turn UnknownIds in the body into a 404."""
    try:
        yield
    except UnknownIds as error:
        raise unknown_ids(served, error) from None


def one_row(
    served: ServedModel, kind: Literal["user", "item"], given: int | str
) -> tuple[int | str, int]:
    """Return an id in the type of the model's, and its row, or raise a 404."""
    [parsed], rows = many_rows(served, kind, [given])
    return parsed, int(rows[0])


def many_rows(
    served: ServedModel, kind: Literal["user", "item"], given: Any
) -> tuple[list[int | str], np.ndarray]:
    """Return ids in the type of the model's, and their rows, or raise a 404."""
    lookup = served.users if kind == "user" else served.item_lookup
    with not_found(served):
        return lookup.rows(kind, given)
