"""A served model in a process of its own, as an operator runs it, and small clients for it."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from command import COMMAND, environment

import trimetric as tm
from trimetric.models.recommender import Recommender


def trained(kind: str = "sml", seed: int = 0, **given: Any) -> Recommender:
    """Train a small model whose ids are −5, −4, ..., so that guesses find some."""
    frame = tm.synthetic.planted(60, 40, dim=4, clusters=4, per_user=6, seed=1).interactions
    rows = tm.Interactions.from_arrays(frame.users - 5, frame.items - 5)
    settings = {"dim": 8, "epochs": 2, "seed": seed, **given}
    known = tm.create(kind).get_params()
    return tm.create(kind, **{n: v for n, v in settings.items() if n in known}).fit(rows)


class Server:
    """A running server."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = self.event("ready")["url"]
        self.port = int(self.url.rpartition(":")[2])

    def _read(self) -> None:
        for line in self.process.stderr or ():
            if line.startswith("{"):
                self.lines.append(json.loads(line))
            else:
                self.said.append(line)

    def event(self, name: str, n: int = 1, seconds: float = 30) -> dict[str, Any]:
        """Wait for the n-th log line of an event."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            found = [line for line in list(self.lines) if line["event"] == name]
            if len(found) >= n:
                return found[n - 1]
            ended = self.process.poll()
            assert ended is None or self._reader.is_alive() or found, (self.lines, self.said)
            time.sleep(0.01)
        raise AssertionError(f"no {name} in {self.lines}, {self.said}")

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Send one request; return the status and the JSON."""
        import http.client

        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            data = None if body is None else json.dumps(body)
            link.request("GET" if body is None else "POST", path, data, headers)
            reply = link.getresponse()
            text = reply.read().decode()
            kind = reply.headers["content-type"]
            return reply.status, json.loads(text) if kind == "application/json" else text
        finally:
            link.close()

    def metric(self, start: str) -> float:
        """Return the value of the one metric line that begins so."""
        [line] = [line for line in self.ask("/metrics")[1].splitlines() if line.startswith(start)]
        return float(line.rpartition(" ")[2])

    def stop(self) -> int:
        """Tell it to stop; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def serving(*args: Any, **more: str) -> Iterator[Server]:
    """Serve on a free port, and kill what is left at the end."""
    with started(["serve", *map(str, args), "--port", "0"], environment(**more)) as server:
        yield server


@contextmanager
def started(words: list[str], env: dict[str, str], folder: Path | None = None) -> Iterator[Server]:
    """Start what serves, wait until it is ready, and kill what is left at the end."""
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=folder,
        env=env,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield Server(process)
    finally:
        process.kill()
        process.wait()


def resident(server: Server) -> int:
    """Return the memory of the server in bytes."""
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
