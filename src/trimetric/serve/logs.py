"""Logs as JSON, one object a line, on standard error, which never keep the server waiting."""

import json
import logging
import os
import select
import socket
import stat
import sys
from contextlib import suppress
from datetime import UTC, datetime

PIECE = getattr(select, "PIPE_BUF", 512)  # what a pipe takes at once if it takes anything
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


class NeverWaits(logging.Handler):
    """Writes lines to a file, a terminal, a pipe or a socket, and drops what that does not take.

    A line that has begun is ended before the next one. After lines were dropped, the next one that
    can be written follows a line that counts them.

    Parameters
    ----------
    number : int
        The open file.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number, self._rest, self.dropped = number, b"", 0
        self._socket: socket.socket | None = None
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            self._socket = socket.socket(fileno=os.dup(number))
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll is not None:
            self._poll.register(number, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or count it as dropped."""
        line = self._line(record)
        if self._rest:
            self._rest = self._write(self._rest)
        if line is None or self._rest:
            self.dropped += 1
            return
        if self.dropped:
            many = {"dropped": self.dropped}
            note = self._line(logging.makeLogRecord({"msg": "log lines dropped", **many}))
            line = (note or b"") + line
        left = self._write(line)
        if left == line:
            self.dropped += 1
        else:
            self._rest, self.dropped = left, 0

    def close(self) -> None:
        """Let go of what was opened here."""
        if self._socket is not None:
            self._socket.close()
        super().close()

    def _line(self, record: logging.LogRecord) -> bytes | None:
        try:
            return self.format(record).encode() + b"\n"
        except Exception:  # what is logged cannot be shown: that is no reason to fail
            return None

    def _write(self, data: bytes) -> bytes:
        """Write what is taken at once; return the rest."""
        with suppress(OSError):  # nobody reads, the disk is full, or there is no room now
            while data and self._is_ready():
                data = data[self._send(data[:PIECE]) :]
        return data

    def _send(self, piece: bytes) -> int:
        if self._socket is not None and hasattr(socket, "MSG_DONTWAIT"):
            return self._socket.send(piece, socket.MSG_DONTWAIT)
        return os.write(self._number, piece)

    def _is_ready(self) -> bool:
        return self._poll is None or any(event & select.POLLOUT for _, event in self._poll.poll(0))


def to_standard_error(quiet: bool) -> None:
    """Send the server's log lines to standard error; `quiet` leaves warnings and errors."""
    handler = _handler()
    handler.setFormatter(JsonLines())
    for name, level in (("trimetric.serve", logging.INFO), ("uvicorn", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(max(level, logging.WARNING if quiet else level))


def _handler() -> logging.Handler:
    if sys.stderr is None:  # closed before Python began
        return logging.NullHandler()
    try:
        return NeverWaits(sys.stderr.fileno())
    except (OSError, ValueError):  # no file of the system
        return logging.StreamHandler(sys.stderr)
