"""The OpenAPI 3.1 document, made from the routes and their schemas."""

from typing import Any

import msgspec

from trimetric import __version__
from trimetric.serve import schemas
from trimetric.serve.routing import Route

FAULTS = {
    401: "The API key is missing or wrong.",
    404: "An id, or the model, is unknown.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    422: "The request is not as described here, or the model cannot do it.",
    503: "The server was told to stop, or is full.",
}
_REF = "#/components/schemas/{name}"


def document(routes: list[Route], keyed: bool) -> dict[str, Any]:
    """Describe the routes; `keyed` tells whether an API key is asked for."""
    kinds: list[Any] = [schemas.Failure]
    for route in routes:
        kinds += [kind for kind in (route.body, route.answer) if kind is not None]
    _, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, keyed)
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "trimetric", "version": __version__},
        "paths": paths,
        "components": {"schemas": components},
    }
    if keyed:
        found["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
    return found


def _operation(route: Route, keyed: bool) -> dict[str, Any]:
    words = (route.handler.__doc__ or "").strip().splitlines()[0]
    found: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": words,
        "responses": {"200": {"description": "Done.", "content": _content(route)}},
    }
    faults = set(route.faults)
    if keyed and not route.public:
        found["security"] = [{"bearer": []}, {"key": []}]
        faults.add(401)
    if route.body is not None:
        schema = {"$ref": _REF.format(name=route.body.__name__)}
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        found["requestBody"] = body
        faults |= {408, 413}
    if route.query is not None:
        found["parameters"] = _parameters(route.query)
    for status in sorted(faults):
        kind = schemas.Status if status == 503 and route.path == "/ready" else schemas.Failure
        schema = {"$ref": _REF.format(name=kind.__name__)}
        content = {"application/json": {"schema": schema}}
        found["responses"][str(status)] = {"description": FAULTS[status], "content": content}
    return found


def _content(route: Route) -> dict[str, Any]:
    if route.answer is None:
        return {route.media: {"schema": {"type": "string"}}}
    return {route.media: {"schema": {"$ref": _REF.format(name=route.answer.__name__)}}}


def _parameters(query: Any) -> list[dict[str, Any]]:
    _, components = msgspec.json.schema_components([query], ref_template=_REF)
    whole = components[query.__name__]
    return [
        {
            "name": name,
            "in": "query",
            "required": name in whole.get("required", ()),
            "schema": _without_null(described),
        }
        for name, described in whole["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query string has no null: what may be absent is just not required."""
    options = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    if len(options) != 1:
        return schema
    kept = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return {**options[0], **kept}
