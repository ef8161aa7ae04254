"""What every request passes before and after the application: host, key, limits, headers, metrics.

One short ASGI middleware, outside the framework, so that requests without a route pass it too.
"""

import asyncio
import hmac
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote

from litestar.exceptions import (
    ClientException,
    HTTPException,
    NotAuthorizedException,
    NotFoundException,
)

from trimetric.serve.cors import Cors
from trimetric.serve.served_model import encode
from trimetric.serve.settings import LOCAL, Settings
from trimetric.serve.state import AppState

LINGER_SECONDS, LINGER_BYTES = 2.0, 4 << 20  # that a refused client may still send
CLIENT_GONE = 499  # as nginx counts requests whose client has gone
WHY_CUT_OFF = {408: "slow body", 413: "body size"}
PUBLIC = ("/health", "/ready")
NOTHING_HERE = "there is nothing here; /openapi.json lists what there is"
FRAMEWORK_PAGES = "/schema"  # the framework's own, of the API; they load from other hosts
log = logging.getLogger("trimetric.serve")
Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
_CLOSE = (b"connection", b"close")
_SAFE = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
_DATA = [*_SAFE, (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")]


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class Gate:
    """The middleware.

    Parameters
    ----------
    app : ASGI application
    state : AppState
    parameters : mapping of str to set of str
        The query parameters of each route that takes any, by path.
    routes : set of str
        All paths, as labels of metrics.
    """

    def __init__(
        self,
        app: Application,
        state: AppState,
        parameters: Mapping[str, set[str]],
        routes: set[str],
    ) -> None:
        self.app, self.state, self.routes, self.parameters = app, state, routes, parameters
        pictures = b" https:" if state.registry.items.has_pictures else b""
        policy = (
            b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
            b" font-src 'self'; img-src 'self' data:%b; base-uri 'none'; form-action 'none';"
            b" frame-ancestors 'none'" % pictures
        )
        self.page_headers = [*_SAFE, (b"content-security-policy", policy)]
        self.hosts = allowed_hosts(state.settings)
        origins = state.settings.cors_origins
        self.cors = Cors(origins) if origins else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, let the application answer it, and count it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope = self.located(scope)
        exchange = Exchange(self, scope, receive, send)
        if scope["method"] == "HEAD":  # as GET; the server sends no body
            scope = {**scope, "method": "GET"}
        try:
            exchange.check()
            if exchange.is_preflight():
                await exchange.answer_preflight()
            else:
                exchange.check_path()
                exchange.check_query()
                await self.app(scope, exchange.receive, exchange.send)
        except ClientGone:
            exchange.status = CLIENT_GONE
        except HTTPException as error:
            await exchange.refuse(error)
        exchange.count()

    def located(self, scope: Scope) -> Scope:
        """Return a request with its path as routes are written.

        Slashes that are doubled or at the end do not count, and a proxy may have passed the
        sub-path on or taken it off.
        """
        root, given = self.state.settings.root_path, scope["path"]
        path = given
        if given not in self.routes:
            path = "/" + "/".join(part for part in given.split("/") if part)
            if path not in self.routes and root and (path + "/").startswith(root + "/"):
                path = path[len(root) :] or "/"
        if path == given:
            return scope
        return {**scope, "path": path, "raw_path": quote(path).encode()}


class Exchange:
    """One request and its response."""

    def __init__(self, gate: Gate, scope: Scope, receive: Receive, send: Send) -> None:
        self.gate, self.state, self.scope = gate, gate.state, scope
        self._receive, self._send = receive, send
        self.began = time.perf_counter()
        self.path = scope["path"]
        self.status = self.size = 0
        self.deadline: float | None = None  # of the body
        self.complete = self.closing = False
        self.origin: bytes | None = None
        self.asks_leave = False  # to send a request from a page of another origin

    def check(self) -> None:
        """Raise HTTPException unless host and key are acceptable."""
        settings, host, shown = self.state.settings, None, b""
        for name, value in self.scope["headers"]:
            if name == b"host":
                host = value if host is None else b""
            elif name == b"x-api-key":
                shown = value
            elif name == b"authorization" and value[:7].lower() == b"bearer ":
                shown = value[7:].strip()
            elif name == b"origin":
                self.origin = value
            elif name == b"access-control-request-method":
                self.asks_leave = True
        if self.gate.hosts is not None and host is not None:
            check_host(self.gate.hosts, host)
        if settings.api_key is not None and self.path not in PUBLIC and not self.is_preflight():
            check_key(settings.api_key, shown, public=self.path in self.state.files)

    def is_preflight(self) -> bool:
        """Whether a browser asks if a page of another origin may send a request."""
        return (
            self.gate.cors is not None
            and self.scope["method"] == "OPTIONS"
            and self.origin is not None
            and self.asks_leave
        )

    async def answer_preflight(self) -> None:
        """Answer a browser that asks for a page, which it does without the page's key."""
        cors = self.gate.cors
        if cors is None or not cors.allows(self.origin):
            detail = "pages of this origin may not ask here; --cors-origin allows them"
            raise ClientException(detail, status_code=403)
        start = {"type": "http.response.start", "status": 204, "headers": cors.preflight()}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    def check_path(self) -> None:
        """Raise 404 for pages that the framework adds to those of ours."""
        if self.path == FRAMEWORK_PAGES or self.path.startswith(FRAMEWORK_PAGES + "/"):
            raise NotFoundException(NOTHING_HERE)

    def check_query(self) -> None:
        """Raise HTTPException unless the query string is acceptable."""
        known = self.gate.parameters.get(self.path)
        if known and self.scope["method"] == "GET":
            check_query(known, self.scope["query_string"])

    async def receive(self) -> Message:
        """Return the next part of the body, or raise 408 after `body_seconds`."""
        if self.deadline is None:
            limit = self.state.settings.limits.body_seconds
            self.deadline = asyncio.get_running_loop().time() + limit
        try:
            async with asyncio.timeout_at(self.deadline):
                message = await self._receive()
        except TimeoutError:
            limit = self.state.settings.limits.body_seconds
            raise HTTPException(f"the body took over {limit:g} s", status_code=408) from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        self.complete = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the response, with the headers of all responses."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers: Headers = [
                *message["headers"],
                *(self.gate.page_headers if self.path in self.state.files else _DATA),
            ]
            if self.gate.cors is not None:
                headers += self.gate.cors.headers(self.origin)
            self.closing = self.status in WHY_CUT_OFF
            if self.closing or self.state.draining:
                headers.append(_CLOSE)
            message["headers"] = headers
        elif message["type"] == "http.response.body":
            self.size += len(message["body"])
            if self.closing and not self.complete:
                # Closed at once, the connection would be reset and the response lost.
                await self._send({**message, "more_body": True})
                await self._discard()
                message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def refuse(self, error: HTTPException) -> None:
        """Answer with an error."""
        body = error_body(error)
        headers: Headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            *((n.encode(), v.encode()) for n, v in (error.headers or {}).items()),
        ]
        status = error.status_code
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    def count(self) -> None:
        """Count the request, and log it where that is wanted."""
        seconds = time.perf_counter() - self.began
        metrics = self.state.metrics
        route = self.path if self.path in self.gate.routes else "other"
        metrics.answered(route, self.status, seconds)
        if self.status in WHY_CUT_OFF:
            metrics.cut_off.labels(WHY_CUT_OFF[self.status]).inc()
        if self.state.settings.access_log and self.status != CLIENT_GONE:
            client = self.scope.get("client")
            line = {
                "method": self.scope["method"],
                "path": self.path,
                "status": self.status,
                "ms": round(seconds * 1000, 3),
                "bytes": self.size,
                "client": client[0] if client else None,
            }
            log.info("request", extra=line)

    async def _discard(self) -> None:
        """Read what the client still sends, up to a limit."""
        size = 0
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while size < LINGER_BYTES and not self.complete:
                    message = await self._receive()
                    size += len(message.get("body", b""))
                    self.complete = not message.get("more_body", False)
        except TimeoutError:
            pass


def error_body(error: HTTPException) -> bytes:
    """Return the JSON of an error: what was wrong, and what to do about it."""
    extra = error.extra if isinstance(error.extra, dict) else {}
    return encode({"error": error.detail, **extra})


def check_query(known: set[str], query: bytes) -> None:
    """Raise 422 where a parameter is unknown or given twice, or the text is not UTF-8."""
    try:
        names = query_names(query)
    except (UnicodeDecodeError, ValueError) as error:
        detail = f"the request cannot be used: {error}"
        raise ClientException(detail, status_code=422) from None
    for name in set(names) - known:
        detail = f"unknown parameter {name[:100]!r}; there are {', '.join(sorted(known))}"
        raise ClientException(detail, status_code=422)
    for name in known:
        if names.count(name) > 1:
            raise ClientException(f"{name!r} is given twice", status_code=422)


def query_names(query: bytes) -> list[str]:
    """Return the names of parameters, or raise UnicodeDecodeError."""
    text = query.decode()
    if "%" in text or "+" in text:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
        return [name for name, _ in pairs]
    return [part.partition("=")[0] for part in text.split("&") if part]


def check_key(key: str, shown: bytes, public: bool) -> None:
    """Raise 401 unless the key is right; the time it takes does not depend on how wrong it is."""
    if not public and not hmac.compare_digest(shown, key.encode()):
        raise NotAuthorizedException(
            "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY",
            headers={"www-authenticate": "Bearer"},
        )


def allowed_hosts(settings: Settings) -> frozenset[str] | None:
    """Return the names that requests may give as their host; None for any."""
    if "*" in settings.allowed_hosts:
        return None
    return frozenset(name.lower() for name in (*LOCAL, settings.host, *settings.allowed_hosts))


def check_host(allowed: frozenset[str], header: bytes) -> None:
    """Raise 400 unless the Host header names an allowed host, or an IP address.

    A web page can let its own name resolve to this machine and so read a local server (DNS
    rebinding); but then the browser sends that name. An address cannot be rebound.
    """
    name = host_name(header)
    if name not in allowed and not is_address(name):
        raise ClientException(
            f"host {name[:100]!r} is not allowed; start the server with --allowed-host NAME to"
            " allow one, or * to allow any"
        )


@lru_cache(256)
def host_name(header: bytes) -> str:
    """Return the name of a Host header, without its port."""
    text = header.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].removesuffix(".")


def is_address(name: str) -> bool:
    """Whether a host is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
