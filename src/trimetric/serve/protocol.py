"""HTTP for one connection: uvicorn's, with limits on how large and how slow a client may be.

Deadlines are looked at once a second for all connections (`overdue`), so that a request sets a time
and starts no timer.
"""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from trimetric.serve.metrics import Metrics
from trimetric.serve.settings import Limits
from trimetric.serve.snapshot import encode

LINGER_SECONDS, LINGER_BYTES = 2.0, 4 << 20  # that a refused client may still send
AHEAD = 256  # requests that a client may send before it reads answers
HEAD, BODY, ANSWER, REFUSED = "head", "body", "answer", "refused"


class _Cut(Exception):
    """Ends the parsing of a connection that was refused."""


class Connection(HttpToolsProtocol):
    """One connection and where it stands.

    Attributes
    ----------
    stage : str
        "head" from the first byte of a request (or the opening) to the end of its head, "body" to
        the end of its body, "answer" then, also between requests, or "refused".
    since : float
        The loop's time when the stage began.
    """

    def __init__(
        self, config: Config, state: ServerState, limits: Limits, metrics: Metrics
    ) -> None:
        super().__init__(config, state, {})
        self.limits, self.metrics = limits, metrics
        self.stage, self.since = HEAD, self.loop.time()
        self._head = self._body = 0
        self._earlier = False  # was it refused while an earlier request was being answered?

    # --- what uvicorn and the parser call -------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Take the connection, unless there are too many."""
        super().connection_made(transport)
        self.metrics.connections = len(self.connections)
        if len(self.connections) > self.limits.connections:
            self.refuse(503, "too many connections", "full")
        if len(self.connections) > 2 * self.limits.connections:
            self.transport.abort()  # there is no room for good manners

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self.metrics.connections = len(self.connections)

    def data_received(self, data: bytes) -> None:
        """Parse what has come; heads are counted by what comes while they last."""
        if self.stage is REFUSED:
            # Closed at once, the connection would be reset, and the client never read why.
            self._body += len(data)
            if self._body > LINGER_BYTES:
                self.transport.abort()
            return
        if self.stage is ANSWER and not self._busy:
            self._enter(HEAD)
        if self.stage is HEAD:
            self._head += len(data)
        super().data_received(data)
        if self.stage is HEAD and self._head > self.limits.head_bytes:
            self.refuse(431, f"the head is above {self.limits.head_bytes} bytes", "head size")

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        if self.stage is not HEAD:
            self._enter(HEAD)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header line."""
        self._body += len(name) + len(value)
        if self._body > self.limits.head_bytes:
            self._cut(431, f"the head is above {self.limits.head_bytes} bytes", "head size")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check the announced length of the body before anything is started."""
        if len(self.pipeline) >= AHEAD:
            self._cut(400, f"more than {AHEAD} requests were sent ahead", "sent ahead")
        limit = self.limits.body_bytes
        for name, value in self.headers:
            if name == b"content-length" and (len(value) > 18 or int(value) > limit):
                self._cut(413, f"the body is above {limit} bytes", "body size")
        self._enter(BODY)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count the body."""
        self._body += len(body)
        if self._body > self.limits.body_bytes:
            self._cut(413, f"the body is above {self.limits.body_bytes} bytes", "body size")
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._enter(ANSWER)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on to what waits; nothing more is read before it is answered."""
        if self.stage is REFUSED:
            self.transport.close()
            return
        self.since = self.loop.time()
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, unless the connection was refused already."""
        if self.stage is not REFUSED:
            self.refuse(400, "this is no HTTP request that can be read", "no HTTP")

    def shutdown(self) -> None:
        """Close after what is being answered, or at once."""
        if not self._busy and self.stage is not BODY:
            self.transport.close()
        elif self.cycle is not None:
            self.cycle.keep_alive = False

    # --- what the server asks -------------------------------------------------------------------

    def overdue(self, now: float) -> None:
        """Cut the connection off if its stage has lasted too long."""
        limits, lasted = self.limits, now - self.since
        if self.stage is REFUSED:
            if lasted > (limits.send_seconds if self._earlier else LINGER_SECONDS):
                self.transport.abort()
        elif self.transport.get_write_buffer_size() > 0:
            if lasted > limits.send_seconds:
                self._count("slow reader")
                self.transport.abort()
        elif self.flow.read_paused or self.transport.is_closing():
            pass  # it is not the client that is slow
        elif self.stage is HEAD and lasted > limits.head_seconds:
            if self._head:
                self.refuse(408, f"the head took over {limits.head_seconds:g} s", "slow head")
            else:
                self._count("silent")
                self.transport.close()
        elif self.stage is BODY and lasted > limits.body_seconds:
            self.refuse(408, f"the body took over {limits.body_seconds:g} s", "slow body")

    def refuse(self, status: int, error: str, why: str) -> None:
        """Answer by an error, and close once the client has had a moment to read it.

        If an earlier request of the connection is being answered, that goes first, and the
        connection is closed after it without a word.
        """
        own = self.cycle if self.stage is BODY else None
        self._earlier = bool(self.pipeline) or (own is None and self._busy)
        self._count(why)
        self._enter(REFUSED)
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        self.flow.resume_reading()
        if self._earlier:
            self.cycle.keep_alive = False
            return
        if own is not None:
            own.disconnected = True
            own.message_event.set()
        if self.transport.is_closing():
            return
        if own is None or not own.response_started:
            body = encode({"error": error})
            head = (
                b"%bcontent-type: application/json\r\ncontent-length: %d\r\n"
                b"x-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head % (STATUS_LINE[status], len(body)) + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    # --- helpers --------------------------------------------------------------------------------

    @property
    def _busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _enter(self, stage: str) -> None:
        self.stage, self.since, self._body = stage, self.loop.time(), 0
        if stage is not HEAD:
            self._head = 0

    def _count(self, why: str) -> None:
        self.metrics.cut_off[why] += 1

    def _cut(self, status: int, error: str, why: str) -> None:
        self.refuse(status, error, why)
        raise _Cut


async def sweep(connections: set[Connection], every: float = 1.0) -> None:
    """Cut off the connections that are overdue, again and again."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(every)
        now = loop.time()
        for connection in list(connections):
            connection.overdue(now)
