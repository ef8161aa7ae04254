"""The ASGI application: checks at the door, answers, errors, headers. Nothing here does HTTP.

There is no framework between the protocol and the handlers: under load that costs more than ranking
does, and all that is needed of one is a table of routes and msgspec's checks.
"""

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from trimetric.errors import TrimetricError
from trimetric.serve.openapi import document
from trimetric.serve.routing import ROUTES, Route
from trimetric.serve.site import Refusal, Reply, Site
from trimetric.serve.snapshot import encode

log = logging.getLogger("trimetric.serve")
Application = Callable[[Any, Any, Any], Awaitable[None]]
_CLOSE = (b"connection", b"close")
_SAFE = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
_DATA = [*_SAFE, (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")]


class ClientGone(Exception):
    """The connection was closed before the request was whole."""


def application(site: Site) -> Application:
    """Return the ASGI application that serves a site."""
    table = _table(site)
    page_headers = [*_SAFE, (b"content-security-policy", _page_policy(site))]
    access = site.settings.access_log
    metrics = site.metrics

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await _lifespan(scope, receive, send)
        began = time.perf_counter()
        path, method = scope["path"], scope["method"]
        methods = table.get(path)
        try:
            reply = await _answer(site, methods, method, scope, receive)
        except ClientGone:
            metrics.add(path if methods else "other", 499, time.perf_counter() - began)
            return
        headers = [
            (b"content-type", reply.media),
            (b"content-length", b"%d" % len(reply.body)),
            *(page_headers if path in site.files else _DATA),
            *reply.headers,
        ]
        if site.draining:
            headers.append(_CLOSE)
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        body = b"" if method == "HEAD" else reply.body
        await send({"type": "http.response.body", "body": body})
        took = time.perf_counter() - began
        metrics.add(path if methods else "other", reply.status, took)
        if access:
            log.info("request", extra=_seen(scope, reply, took))

    return app


async def _answer(
    site: Site, methods: dict[str, Route] | None, method: str, scope: Any, receive: Any
) -> Reply:
    try:
        if methods is None:
            raise Refusal(404, "there is nothing here; /openapi.json lists what is")
        route = methods.get(method)
        if route is None:
            allowed = ", ".join(methods).encode()
            headers = ((b"allow", allowed),)
            raise Refusal(405, f"{method[:20]} is not offered here", headers=headers)
        if not route.public and site.settings.api_key is not None:
            _check_key(site.settings.api_key, scope["headers"])
        asked = await _asked(site, route, scope, receive)
        if route.waits:
            found: Any = await route.handler(site, asked)
        elif route.light:
            found = route.handler(site, asked)
        else:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(site.pool, _worked, route, site, asked)
        return found if isinstance(found, Reply) else Reply(200, encode(found))
    except Refusal as refusal:
        body = {"error": refusal.error, **refusal.more}
        return Reply(refusal.status, encode(body), headers=refusal.headers)
    except TrimetricError as error:
        return Reply(422, encode({"error": str(error)}))
    except ClientGone:
        raise
    except Exception:
        log.exception("fault", extra={"path": scope["path"]})
        return Reply(500, encode({"error": "a fault of the server; its log says more"}))


def _worked(route: Route, site: Site, asked: Any) -> Reply:
    """Answer in a thread, the writing of JSON included."""
    found = route.handler(site, asked)
    return found if isinstance(found, Reply) else Reply(200, encode(found))


async def _asked(site: Site, route: Route, scope: Any, receive: Any) -> Any:
    """Return the checked request, or refuse it with 422."""
    try:
        if route.body is not None:
            body = await _read(site, receive)
            return msgspec.json.decode(body, type=route.body)
        if route.query is not None:
            return msgspec.convert(query_of(scope["query_string"]), route.query, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(422, f"the request cannot be used: {error}") from None
    return None


async def _read(site: Site, receive: Any) -> bytes:
    limit = site.settings.limits.body_bytes
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise Refusal(413, f"the body is above {limit} bytes", headers=(_CLOSE,))
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def query_of(raw: bytes) -> dict[str, str]:
    """Return the names and values of a query string; a name may be there once.

    Raises
    ------
    Refusal
        422: a name is there twice.
    UnicodeDecodeError
        It is no UTF-8.
    """
    found: dict[str, str] = {}
    for part in raw.split(b"&"):
        if not part:
            continue
        name, _, value = part.partition(b"=")
        key = _plain(name)
        if key in found:
            raise Refusal(422, f"{key[:100]!r} is given twice")
        found[key] = _plain(value)
    return found


def _plain(text: bytes) -> str:
    if b"+" in text:
        text = text.replace(b"+", b" ")
    return (unquote_to_bytes(text) if b"%" in text else text).decode()


def _check_key(key: str, headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse with 401 unless the key is shown; the time taken does not tell how much is right."""
    shown = b""
    for name, value in headers:
        if name == b"x-api-key":
            shown = value
        elif name == b"authorization" and value[:7].lower() == b"bearer ":
            shown = value[7:].strip()
    if not hmac.compare_digest(shown, key.encode()):
        error = "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY"
        raise Refusal(401, error, headers=((b"www-authenticate", b"Bearer"),))


def _table(site: Site) -> dict[str, dict[str, Route]]:
    """Return the routes by path and method: those of the API, its description, and the page."""
    described = encode(document(ROUTES, site.settings.api_key is not None))

    def openapi(site: Site, asked: None) -> Reply:
        return Reply(200, described)

    routes = [*ROUTES, Route("/openapi.json", openapi, light=True)]
    for path, file in site.files.items():
        reply = Reply(200, file.body, file.media)
        routes.append(Route(path, lambda *_, reply=reply: reply, public=True, light=True))
    table: dict[str, dict[str, Route]] = {}
    for route in routes:
        methods = table.setdefault(route.path, {})
        methods[route.method] = route
        if route.method == "GET":
            methods["HEAD"] = route
    return table


def _page_policy(site: Site) -> bytes:
    pictures = b" https:" if site.shelf.items.has_pictures else b""
    return (
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        b" font-src 'self'; img-src 'self' data:%b; base-uri 'none'; form-action 'none';"
        b" frame-ancestors 'none'" % pictures
    )


def _seen(scope: Any, reply: Reply, took: float) -> dict[str, Any]:
    client = scope.get("client")
    return {
        "method": scope["method"],
        "path": scope["path"],
        "status": reply.status,
        "ms": round(took * 1000, 3),
        "bytes": len(reply.body),
        "client": client[0] if client else None,
    }


async def _lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Agree to start and to stop; anything but that and HTTP is not served."""
    while scope["type"] == "lifespan":
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
