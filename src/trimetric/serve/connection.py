"""Limits on a connection that no ASGI application can set, since it sees complete heads only.

uvicorn has an option for its class of connections (`Config(http=...)`). This one adds times to the
events that asyncio tells every protocol of, and to the end of a head.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trimetric.serve.monitoring import Metrics
from trimetric.serve.settings import Limits

MAX_AHEAD = 256  # requests that a client may send before it reads responses
_ANSWER = b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
SLOW = _ANSWER % b"408 Request Timeout"
LARGE = _ANSWER % b"431 Request Header Fields Too Large"


def limited_connection(limits: Limits, metrics: Metrics) -> type[asyncio.Protocol]:
    """Return a class of connections with these limits on heads and on clients that do not read."""

    class LimitedConnection(HttpToolsProtocol):
        head_timer: asyncio.TimerHandle | None = None
        write_timer: asyncio.TimerHandle | None = None
        head_size = 0
        half_closed = False  # by the client, who sends no more and may still read

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            metrics.connections.inc()
            self.begin_head()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            metrics.connections.dec()
            self.end_head()
            self.resume_writing()

        def data_received(self, data: bytes) -> None:
            if self.head_timer is None and (self.cycle is None or self.cycle.response_complete):
                self.begin_head()
            self.head_size += len(data)
            super().data_received(data)
            if self.head_timer is not None and self.head_size > limits.head_bytes:
                self.cut_off("head size", LARGE)

        def eof_received(self) -> bool:  # type: ignore[override]  # asyncio reads it
            """Keep a connection open whose client has closed its side while a response is due."""
            self.end_head()
            if self.cycle is None or self.cycle.response_complete:
                return False
            if not self.cycle.more_body:
                self.cycle.keep_alive = False
            elif self.pipeline:
                self.pipeline.popleft()  # the newest, whose body never comes
            else:
                return False
            self.half_closed = True
            return True

        def on_response_complete(self) -> None:
            last = not self.pipeline
            super().on_response_complete()
            if self.half_closed and last:
                self.transport.close()

        def on_headers_complete(self) -> None:
            self.end_head()
            if len(self.pipeline) >= MAX_AHEAD:
                metrics.cut_off.labels("sent ahead").inc()
                raise ValueError("too many requests sent ahead")  # uvicorn answers 400
            super().on_headers_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            self.write_timer = self.loop.call_later(limits.send_seconds, self.too_slow_to_read)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self.write_timer is not None:
                self.write_timer.cancel()
                self.write_timer = None

        def begin_head(self) -> None:
            self.head_size = 0
            self.head_timer = self.loop.call_later(limits.head_seconds, self.too_slow_to_write)

        def end_head(self) -> None:
            if self.head_timer is not None:
                self.head_timer.cancel()
                self.head_timer = None

        def too_slow_to_write(self) -> None:
            if self.head_size:
                self.cut_off("slow head", SLOW)
            else:
                self.cut_off("silent", b"")

        def too_slow_to_read(self) -> None:
            metrics.cut_off.labels("slow reader").inc()
            self.transport.abort()

        def cut_off(self, why: str, response: bytes) -> None:
            self.end_head()
            if not self.transport.is_closing():
                metrics.cut_off.labels(why).inc()
                self.transport.write(response)
                self.transport.close()

    return LimitedConnection
