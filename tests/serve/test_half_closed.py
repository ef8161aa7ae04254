"""A client that closes its side after its requests gets every response, and nothing stays open."""

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import numpy as np
import pytest
from serving import Server, serving, trained

import trimetric as tm
from trimetric.serve.items import NO_ITEMS
from trimetric.serve.served_model import load

N_ITEMS = 120_000  # so many that a ranking takes over a millisecond
QUICK = "/v1/recommend?user=3&model=quick"
SLOW = "/v1/recommend?user=3&k=1000&model=slow"
GETS = {
    "ranked on the event loop": QUICK,
    "ranked in a thread": SLOW,
    "in a thread": "/v1/similar-items?item=3&model=slow&k=100",
    "explained": "/v1/explain?user=3&item=59000&model=slow&k=1000",
    "between": "/v1/between?user=3&other=5&model=slow&k=1000",
    "a map": "/v1/map?model=slow",
    "health": "/health",
    "refused": "/v1/recommend?user=3&no=1",
    "unknown": "/v1/recommend?user=99999&model=slow",
    "the page": "/",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    trained().save(folder / "quick")
    rows = tm.Interactions.from_arrays(np.arange(N_ITEMS) % 2000, np.arange(N_ITEMS))
    tm.SML(dim=128, epochs=1, seed=0).fit(rows, progress=False).save(folder / "slow")
    with serving(folder / "quick", folder / "slow") as running:
        running.folder = folder  # type: ignore[attr-defined]
        yield running


def request(path: str, body: bytes | None = None) -> bytes:
    method, more = ("GET", b"") if body is None else ("POST", b"content-length: %d\r\n" % len(body))
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n".encode()
    return head + more + b"\r\n" + (body or b"")


def answers(server: Server, sent: bytes) -> list[tuple[int, bytes]]:
    """Send, close this side, and read until the server has closed; return statuses and bodies."""
    with server.connect() as link:
        link.sendall(sent)
        link.shutdown(socket.SHUT_WR)
        text = b""
        while part := link.recv(1 << 16):
            text += part
    found = []
    while text:
        head, _, text = text.partition(b"\r\n\r\n")
        length = int(re.findall(rb"(?i)content-length: (\d+)", head)[0])
        found.append((int(head.split()[1]), text[:length]))
        text = text[length:]
    return found


def read(link: socket.socket) -> int:
    """Read one response, and return its status."""
    response = HTTPResponse(link)
    response.begin()
    response.read()
    return response.status


def nothing_is_left(server: Server) -> bool:
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        if server.metric("trimetric_connections") == 1:  # the one that asks
            return not [line for line in server.lines if line["event"] == "fault"]
        time.sleep(0.02)
    return False


@pytest.mark.slow
def test_the_slow_model_is_ranked_in_a_thread(server: Server) -> None:
    folder: Path = server.folder  # type: ignore[attr-defined]
    assert load(folder / "quick", "quick", NO_ITEMS).quick
    assert not load(folder / "slow", "slow", NO_ITEMS).quick


@pytest.mark.parametrize("path", GETS.values(), ids=GETS)
def test_a_get(server: Server, path: str) -> None:
    expected, body = server.ask(path)
    [(status, found)] = answers(server, request(path))
    assert status == expected
    if path.startswith("/v1") and "map" not in path:
        assert json.loads(found) == body
    assert nothing_is_left(server)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/recommend", {"users": list(range(200)), "k": 100, "model": "slow"}),
        ("/v1/recommend", {"users": [3], "diversity": 0.5, "model": "slow"}),
        ("/v1/recommend-for", {"items": [3, 4], "k": 1000, "model": "slow"}),
        ("/v1/explain-for", {"items": [3, 4], "item": 7, "model": "slow"}),
    ],
)
def test_a_post(server: Server, path: str, body: dict) -> None:
    [(status, found)] = answers(server, request(path, json.dumps(body).encode()))
    assert status == 200
    assert json.loads(found) == server.ask(path, body)[1]
    assert nothing_is_left(server)


@pytest.mark.parametrize("paths", [[QUICK] * 5, [SLOW] * 5, [SLOW, QUICK] * 10, [QUICK, SLOW]])
def test_pipelined_ones_are_all_answered_in_order(server: Server, paths: list[str]) -> None:
    found = answers(server, b"".join(map(request, paths)))
    assert [status for status, _ in found] == [200] * len(paths)
    named = [json.loads(body)["model"] for _, body in found]
    assert named == ["slow" if path == SLOW else "quick" for path in paths]
    assert nothing_is_left(server)


def test_a_second_request_of_a_kept_connection(server: Server) -> None:
    with server.connect() as link:
        link.sendall(request(QUICK))
        assert read(link) == 200
        link.sendall(request(SLOW))
        link.shutdown(socket.SHUT_WR)
        assert read(link) == 200
        assert link.recv(1) == b""
    assert nothing_is_left(server)


BODY = b'{"users": [3]}'
HALVES = {
    "nothing": b"",
    "half a head": b"GET /v1/rec",
    "a head without its body": request("/v1/recommend", BODY).removesuffix(BODY),
    "half a body": request("/v1/recommend", BODY)[:-4],
    "half a chunk": b"POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\n"
    b'transfer-encoding: chunked\r\n\r\n5\r\n{"us',
}


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
@pytest.mark.parametrize("before", [(), (SLOW,), (QUICK, SLOW)], ids=len)
def test_what_never_becomes_whole_is_closed_at_once(
    server: Server, half: bytes, before: tuple[str, ...]
) -> None:
    began = time.monotonic()
    found = answers(server, b"".join(map(request, before)) + half)
    assert [status for status, _ in found] == [200] * len(before)
    assert time.monotonic() - began < 8  # the limits of heads and bodies are 10 and 30 s
    assert nothing_is_left(server)


def test_an_idle_one_is_closed_at_once(server: Server) -> None:
    with server.connect() as link:
        link.sendall(request(QUICK))
        assert read(link) == 200
        link.shutdown(socket.SHUT_WR)
        link.settimeout(8)  # idle connections stay open for 15 s
        assert link.recv(1) == b""
    assert nothing_is_left(server)


@pytest.mark.slow
def test_one_that_closes_and_does_not_read_leaves_nothing(server: Server) -> None:
    for _ in range(30):
        with server.connect() as link:
            link.sendall(request(SLOW) * 3)
            link.shutdown(socket.SHUT_WR)
    assert nothing_is_left(server)


@pytest.mark.slow
def test_one_that_waits_while_the_server_stops_is_answered(server: Server) -> None:
    folder: Path = server.folder  # type: ignore[attr-defined]
    body = json.dumps({"users": list(range(200)), "k": 100}).encode()
    with serving(folder / "slow") as other, other.connect() as link:
        link.sendall(request("/v1/recommend", body))
        link.shutdown(socket.SHUT_WR)
        time.sleep(0.1)
        other.process.send_signal(signal.SIGTERM)
        text = b""
        while part := link.recv(1 << 20):
            text += part
        assert text.startswith(b"HTTP/1.1 200")
        assert other.process.wait(30) == 0
