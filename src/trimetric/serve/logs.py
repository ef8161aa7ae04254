"""Logs as JSON, one object a line, on standard error."""

import json
import logging
import os
import queue
import sys
import threading
import time
from datetime import UTC, datetime
from typing import IO

WAITING = 10_000  # lines
FLUSH_SECONDS = 1.0

_OWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Writes the time, the level, what happened, and whatever belongs to it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _OWN},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class DroppingHandler(logging.Handler):
    """Writes lines from a thread of its own; those that cannot be written are dropped and counted.

    A reader that stands still, or a full disk, thus never keeps an answer waiting.
    """

    def __init__(self, stream: IO[str]) -> None:
        super().__init__()
        self._stream, self._dropped = stream, 0
        self._lines: queue.Queue[str] = queue.Queue(WAITING)
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line, or drop it if too many wait."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._dropped += 1

    def flush(self) -> None:
        """Wait until the lines are written, but not for long."""
        ends = time.monotonic() + FLUSH_SECONDS
        while self._lines.unfinished_tasks and time.monotonic() < ends:
            time.sleep(0.005)

    def _write(self) -> None:
        descriptor = self._stream.fileno()
        while True:
            line = self._lines.get()
            dropped, self._dropped = self._dropped, 0
            try:
                if dropped:
                    note = {"level": "warning", "event": "log lines dropped", "lines": dropped}
                    write_all(descriptor, json.dumps(note) + "\n")
                write_all(descriptor, line + "\n")
            except OSError:
                self._dropped += 1 + dropped
            self._lines.task_done()


def write_all(descriptor: int, text: str) -> None:
    """Write text without the buffer of a stream, whose lock an exiting process would wait for."""
    rest = memoryview(text.encode("utf-8", "backslashreplace"))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def to_standard_error(quiet: bool) -> None:
    """Send the server's log lines to standard error; `quiet` leaves warnings and errors."""
    handler = DroppingHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in (("trimetric.serve", logging.INFO), ("uvicorn", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(max(level, logging.WARNING if quiet else level))


def flush() -> None:
    """Wait, not for long, until the lines that were logged are written."""
    for handler in logging.getLogger("trimetric.serve").handlers:
        handler.flush()
