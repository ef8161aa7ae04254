"""One process that serves: from the socket to the last response."""

import asyncio
import gc
import logging
import math
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from threadpoolctl import threadpool_limits
from uvicorn import Config, Server

from trimetric.engine.threads import threads
from trimetric.errors import ParameterError, ResourceError
from trimetric.serve import held_out, items, maps, page
from trimetric.serve.app import create_app
from trimetric.serve.connection import limited_connection
from trimetric.serve.monitoring import Metrics
from trimetric.serve.registry import ModelRegistry
from trimetric.serve.settings import Settings
from trimetric.serve.state import AppState

SWITCH_SECONDS = 0.0005
COLLECT_EVERY = 10_000  # objects
OWN_FILES = 64  # the event loop's, threads', logs', and those of a model that is loaded meanwhile
LEAST_CONNECTIONS = 64  # or fewer, where the limit on connections says so
log = logging.getLogger("trimetric.serve")


def serve(settings: Settings, announce: Callable[[str], None] = lambda url: None) -> None:
    """Serve until SIGTERM or SIGINT; requests accepted by then are answered.

    Parameters
    ----------
    settings : Settings
    announce : callable
        Called with the URL once requests are answered.

    Raises
    ------
    ArtifactError, DataError
        A model or the items table cannot be loaded.
    ParameterError
        The address cannot be listened on.
    ResourceError
        The process may open too few files.
    """
    _allow_open_files(settings.limits.connections)
    with (
        bind(settings.host, settings.port) as listener,
        threadpool_limits(1, user_api="blas"),
        threads(1),
    ):
        # Work in threads must not keep the event loop waiting.
        sys.setswitchinterval(SWITCH_SECONDS)
        state = load_state(settings)
        _spare_garbage_collection()
        try:
            DrainingServer(state, lambda: announce(url_of(listener))).run([listener])
        finally:
            state.close()


def load_state(settings: Settings) -> AppState:
    """Load everything that is to be served."""
    table = items.NO_ITEMS
    if settings.items is not None:
        table = items.read(settings.items, settings.id_column, log.info)
    metrics = Metrics()
    maps.warm_up()
    registry = ModelRegistry.load(settings.models, table, metrics)
    held = None if settings.test is None else held_out.read(settings.test, settings.valid)
    return AppState(settings, registry, metrics, page.read(settings.root_path), held)


class DrainingServer(Server):
    """uvicorn's server, which when told to stop first answers everybody who could connect.

    Parameters
    ----------
    state : AppState
    announce : callable
        Called once requests are answered.
    """

    def __init__(self, state: AppState, announce: Callable[[], None]) -> None:
        self.state, self.announce = state, announce
        limits = state.settings.limits
        super().__init__(
            Config(
                create_app(state),
                http=limited_connection(limits, state.metrics),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=limits.connections + 1,
                timeout_keep_alive=limits.idle_seconds,
                timeout_graceful_shutdown=math.ceil(limits.drain_seconds),
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM or SIGINT, at once at a second one; check for newer models at SIGHUP."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        if hasattr(signal, "SIGHUP"):
            loop.add_signal_handler(signal.SIGHUP, self.state.registry.check_now.set)
        yield

    def stop(self) -> None:
        """Begin to stop, or stop at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        served = self.state.registry.served
        versions = {name: model.version for name, model in served.items()}
        [listener] = sockets or []
        log.info("ready", extra={"url": url_of(listener), "models": versions})
        self.announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer all connections that the system has accepted, then stop.

        Closing a listening socket resets the connections that wait in its queue, so it is closed
        when none does. Open connections may send a request for another `grace_seconds`.
        """
        connections, limits = self.server_state.connections, self.state.settings.limits
        log.info("draining", extra={"connections": len(connections)})
        self.state.draining = True
        while select.select(sockets or (), (), (), 0)[0]:
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        ends = time.monotonic() + limits.grace_seconds
        while connections and time.monotonic() < ends and not self.force_exit:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
        if connections:
            log.error("cut off", extra={"connections": len(connections)})
        log.info("stopped", extra={"requests": self.server_state.total_requests})


def _spare_garbage_collection() -> None:
    """Keep what was loaded out of collections, which would delay requests, and have fewer."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that has the address, and does not listen yet."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with ExitStack() as unless_bound:
            listener = unless_bound.enter_context(socket.socket(family, kind))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            unless_bound.pop_all()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ParameterError(
            f"cannot listen on {host} port {port}: {reason}; choose others with --host and --port"
            " (port 0 takes any free one)"
        ) from None
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the URL that reaches a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _allow_open_files(connections: int) -> None:
    """Let this process open files for that many connections, as far as the system allows it.

    Raises
    ------
    ResourceError
        They are too few to serve.
    """
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted, need = 2 * connections + 100, min(connections, LEAST_CONNECTIONS) + OWN_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < need:
        raise ResourceError(
            f"this process may open {files} files at a time, and serve needs {need}: {OWN_FILES} of"
            f" its own and one for each connection; raise the limit (ulimit -n {need}, better"
            f" {wanted})"
        )
    if files < connections + OWN_FILES:
        log.warning(
            "few files", extra={"may_open": files, "needs": wanted, "connections": connections}
        )
