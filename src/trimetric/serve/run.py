"""One process that serves: from the socket to the last answer."""

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from typing import cast

from threadpoolctl import threadpool_limits
from uvicorn.config import Config
from uvicorn.server import ServerState

from trimetric.errors import ParameterError
from trimetric.serve import items, maps, page
from trimetric.serve.app import application
from trimetric.serve.metrics import Metrics
from trimetric.serve.protocol import Connection, sweep
from trimetric.serve.settings import Settings
from trimetric.serve.shelf import Shelf, watch
from trimetric.serve.site import Site

BACKLOG = 2048
SWITCH_SECONDS = 0.001
log = logging.getLogger("trimetric.serve")


def serve(settings: Settings, announce: Callable[[str], None] = lambda url: None) -> None:
    """Serve until SIGTERM or SIGINT; what was accepted by then is answered.

    Parameters
    ----------
    settings : Settings
    announce : callable
        Told the address once requests are answered.

    Raises
    ------
    ArtifactError, DataError
        A model or the items table cannot be loaded.
    ParameterError
        The address cannot be listened on.
    """
    with bound(settings.host, settings.port) as listener, threadpool_limits(1, user_api="blas"):
        _allow_files(2 * settings.limits.connections + 100)
        # What threads compute for other answers must not keep the event loop waiting.
        sys.setswitchinterval(SWITCH_SECONDS)
        site = made(settings)
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(_serve(site, listener, announce))
        finally:
            site.close()


def made(settings: Settings) -> Site:
    """Load everything that is to be served."""
    table = items.NO_ITEMS if settings.items is None else items.read(settings.items)
    metrics = Metrics()
    maps.warm_up()
    return Site(settings, Shelf.of(settings.models, table, metrics), metrics, page.read())


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that has the address, and does not listen yet."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ParameterError(
            f"cannot listen on {host} port {port}: {reason}; choose others with --host and --port"
            " (port 0 takes any free one)"
        ) from None
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the URL that reaches a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _serve(site: Site, listener: socket.socket, announce: Callable[[str], None]) -> None:
    loop, settings = asyncio.get_running_loop(), site.settings
    stop, hurry, look = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def told() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, look.set)
    config = Config(application(site), loop="none", http="httptools", ws="none", lifespan="off",
                    log_config=None, access_log=False, proxy_headers=False, server_header=False,
                    timeout_keep_alive=settings.limits.idle_seconds)  # fmt: skip
    config.load()
    state = ServerState()
    _date(state)

    def connection() -> Connection:
        return Connection(config, state, settings.limits, site.metrics)

    kept = listener.dup()  # see `_drained`
    server = await loop.create_server(connection, sock=listener, backlog=BACKLOG)
    tasks = [
        asyncio.create_task(one)
        for one in (
            sweep(cast("set[Connection]", state.connections)),
            watch(site.shelf, look, settings.watch),
            _tick(state),
        )
    ]
    url = address_of(kept)
    versions = {name: one.version for name, one in site.shelf.snapshots.items()}
    log.info("ready", extra={"url": url, "models": versions})
    announce(url)
    await stop.wait()
    log.info("draining", extra={"connections": len(state.connections)})
    site.draining = True
    server.close()
    await _drained(kept, connection)
    await _closed(state, site, hurry)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    log.info("stopped", extra={"requests": state.total_requests})


async def _drained(kept: socket.socket, connection: Callable[[], Connection]) -> None:
    """Take the connections that the system had accepted for us, then let the address go.

    Closing a listening socket resets those. The server's own handle is closed by now; `kept` is the
    same socket, so nothing was reset yet.
    """
    loop = asyncio.get_running_loop()
    kept.setblocking(False)
    while True:
        try:
            accepted, _ = kept.accept()
        except (BlockingIOError, InterruptedError):
            break
        except OSError:
            continue
        accepted.setblocking(False)
        await loop.connect_accepted_socket(connection, accepted)
    kept.close()


async def _closed(state: ServerState, site: Site, hurry: asyncio.Event) -> None:
    """Wait until all connections are answered and closed, as long as the limits allow.

    A second signal to stop cuts off what is still open.
    """
    limits = site.settings.limits
    began = time.monotonic()
    while state.connections or state.tasks:
        lasted = time.monotonic() - began
        if lasted > limits.drain_seconds or hurry.is_set():
            log.error("cut off", extra={"connections": len(state.connections)})
            for connection in list(state.connections):
                connection.transport.abort()
            return
        if lasted > limits.grace_seconds:
            for connection in list(state.connections):
                connection.shutdown()
        await asyncio.sleep(0.02)


async def _tick(state: ServerState) -> None:
    while True:
        await asyncio.sleep(1)
        _date(state)


def _date(state: ServerState) -> None:
    state.default_headers = [(b"date", formatdate(usegmt=True).encode())]


def _allow_files(n: int) -> None:
    """Let this process have so many files open, connections included, if the system lets it."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < n:
            most = n if hard == resource.RLIM_INFINITY else min(n, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    with suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None
