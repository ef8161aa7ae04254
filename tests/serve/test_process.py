"""The server as a process: signals, swaps, and clients that mean no good."""

import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command import refused
from serving import Server, resident, serving, trained

import trimetric as tm

ASK = b"GET /v1/recommend?user=1 HTTP/1.1\r\nhost: localhost\r\n\r\n"
POST = b"POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\n"
LIMITS = ("head_seconds=1", "body_seconds=1", "send_seconds=1", "connections=20", "idle_seconds=1")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two saved models."""
    folder = tmp_path_factory.mktemp("models")
    for seed in (0, 1):
        trained(seed=seed).save(folder / str(seed))
    return folder


@pytest.fixture(scope="module")
def strict(models: Path) -> Iterator[Server]:
    """Return a server with little patience."""
    limits = [word for limit in LIMITS for word in ("--limit", limit)]
    with serving(models / "0", *limits) as server:
        yield server


def everything(link: socket.socket) -> bytes:
    """Read until the other side has closed."""
    parts = []
    try:
        while part := link.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def eventually(happens: Callable[[], bool], seconds: float = 20) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if happens():
            return True
        time.sleep(0.02)
    return False


# --- starting and stopping ----------------------------------------------------------------------


def test_it_starts_answers_and_stops_with_0(models: Path) -> None:
    with serving(models / "0", models / "1", "--access-log") as server:
        assert server.ask("/ready") == (200, {"status": "ready"})
        for name in "01":
            _, found = server.ask(f"/v1/recommend?user=3&k=4&model={name}")
            expected = tm.load(models / name).recommend([3], 4)
            assert [row["item"] for row in found["recommendations"]] == expected["item"].to_list()
            assert found["version"] == server.event("ready")["models"][name]
        seen = server.event("request", 2)
        assert (seen["path"], seen["status"]) == ("/v1/recommend", 200)
        again = refused("serve", models / "0", "--port", server.port)
        assert f"port {server.port}: Address already in use" in again
        with server.connect() as idle, server.connect() as asking:
            asking.sendall(ASK)
            assert asking.recv(65536)
            assert server.stop() == 0
            assert idle.recv(1) == b""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["nowhere"], "no such folder: nowhere"),
        (["0", "--host", "0.0.0.0"], "--api-key"),
        (["0", "--host", "no.such.host.invalid"], "--api-key"),
        (["0", "--host", "no.such.host.invalid", "--open"], "cannot listen"),
        (["0", "--port", "99999"], "0..65535"),
        (["0", "--limit", "patience=3"], "unknown limit 'patience'"),
        (["0", "--items", "none.csv"], "none.csv does not exist"),
        ([], "MODEL"),
    ],
)
def test_what_cannot_be_served_is_told(models: Path, args: list[str], word: str) -> None:
    assert word in refused("serve", *args, cwd=models)


def test_what_was_accepted_is_answered_when_told_to_stop(models: Path) -> None:
    body = json.dumps({"users": [1, 2, 3]}).encode()
    head = b"POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(
        body
    )
    with serving(models / "0") as server:
        links = [server.connect() for _ in range(5)]
        half, late, pipelined, probe, quiet = links
        half.sendall(head + body[:5])
        late.sendall(b"")  # connected, nothing sent yet
        assert eventually(lambda: server.metric("trimetric_connections") == 6)
        server.process.send_signal(signal.SIGTERM)
        server.event("draining")
        half.sendall(body[5:])
        late.sendall(ASK)
        pipelined.sendall(ASK * 3)
        probe.sendall(b"GET /ready HTTP/1.1\r\nhost: localhost\r\n\r\n")
        for link in (half, late, probe):
            answer = everything(link)
            status = b"503" if link is probe else b"200"
            assert answer.startswith(b"HTTP/1.1 " + status), answer
            assert b"connection: close" in answer
        assert everything(pipelined).startswith(b"HTTP/1.1 200")
        assert everything(quiet) == b""
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        assert server.process.wait(10) == 0
        for link in links:
            link.close()


def test_connections_that_wait_to_be_taken_are_answered(models: Path) -> None:
    with serving(models / "0") as server:
        server.process.send_signal(signal.SIGSTOP)
        links = [server.connect() for _ in range(200)]  # the system takes them for the server
        for link in links:
            link.sendall(ASK)
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGCONT)
        answers = [everything(link) for link in links]
        assert [answer[:12] for answer in answers] == [b"HTTP/1.1 200"] * len(links)
        assert server.process.wait(10) == 0
        for link in links:
            link.close()


@pytest.mark.slow
def test_interrupting_it_is_a_stop_too_and_a_second_time_cuts_off(models: Path) -> None:
    with serving(models / "0") as server, server.connect() as link:
        link.sendall(POST + b"content-length: 9\r\n\r\n{")
        assert eventually(lambda: server.metric("trimetric_connections") == 2)
        server.process.send_signal(signal.SIGINT)
        server.event("draining")
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(1.5)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(10) == 0
        server.event("cut off")


def test_what_is_missing_is_named(models: Path) -> None:
    hidden = "import sys; sys.modules['uvicorn'] = None; sys.argv[0] = 'trimetric'"
    command = [sys.executable, "-c", f"{hidden}; from trimetric.cli import main; main()"]
    done = subprocess.run([*command, "serve", "0"], cwd=models, capture_output=True, text=True)
    assert done.returncode == 2
    assert "serve needs uvicorn" in done.stderr
    assert "pip install 'trimetric[serve]'" in done.stderr


# --- newer models -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_newer_model_is_noticed(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "served"
    shutil.copytree(models / "0", folder)
    with serving(folder) as server:
        first = server.event("ready")["models"]["served"]
        tm.load(models / "1").save(folder)
        assert server.event("swapped")["from"] == first
        (folder / "model.json").unlink()
        assert "has no model.json" in server.event("swap refused")["why"]


@pytest.mark.slow
def test_tensors_that_are_copied_after_their_manifest_are_noticed(
    models: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "served"
    shutil.copytree(models / "0", folder)
    [tensors] = (models / "1").glob("*.safetensors")
    with serving(folder) as server:
        shutil.copy(models / "1" / "model.json", folder)
        assert tensors.name in server.event("swap refused")["why"]
        shutil.copy(tensors, folder)
        server.event("swapped")


def test_a_newer_model_takes_over_and_a_bad_one_does_not(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "served"
    shutil.copytree(models / "0", folder)
    with serving(folder, "--no-watch") as server:

        def look(event: str, n: int = 1) -> dict[str, Any]:
            server.process.send_signal(signal.SIGHUP)
            return server.event(event, n)

        first = server.event("ready")["models"]["served"]
        tm.load(models / "1").save(folder)
        swapped = look("swapped")
        second = swapped["to"]
        assert (swapped["from"], swapped["model"]) == (first, "served")

        def serves_the_second() -> bool:
            _, found = server.ask("/v1/recommend?user=3")
            expected = tm.load(models / "1").recommend([3])
            same = [row["score"] for row in found["recommendations"]] == expected["score"].to_list()
            return same and found["version"] == second

        assert serves_the_second()
        manifest = folder / "model.json"
        whole, [tensors] = manifest.read_bytes(), list(folder.glob("*.safetensors"))
        spoiled = bytearray(tensors.read_bytes())
        spoiled[len(spoiled) // 2] ^= 1
        bad = [
            (b"{", "not JSON"),
            (whole[: len(whole) // 2], "not JSON"),
            (b"{}", "not a trimetric artifact"),
            (whole.replace(b'"version": 1', b'"version": 99'), "format 99"),
            (whole.replace(b'"kind": "model"', b'"kind": "checkpoint"'), "does not match its own"),
            (None, "has no model.json"),
        ]
        for n, (content, word) in enumerate(bad, 1):
            if content is None:
                manifest.unlink()
            else:
                manifest.write_bytes(content)
            assert word in look("swap refused", n)["why"]
            assert serves_the_second()
        tensors.write_bytes(spoiled)
        manifest.write_bytes(whole)
        assert "is damaged" in look("swap refused", len(bad) + 1)["why"]
        assert serves_the_second()
        assert server.metric('trimetric_swaps_total{outcome="refused"}') == len(bad) + 1
        assert server.metric('trimetric_swaps_total{outcome="ok"}') == 1
        shutil.rmtree(folder)
        shutil.copytree(models / "0", folder)
        assert look("swapped", 2)["to"] == first
        assert server.stop() == 0


# --- clients that mean no good ------------------------------------------------------------------


def cut(server: Server, why: str) -> float:
    """Return how many connections were closed for that."""
    lines = server.ask("/metrics")[1].splitlines()
    found = [line for line in lines if line.startswith(f'trimetric_cut_off_total{{why="{why}"}}')]
    return float(found[0].rpartition(" ")[2]) if found else 0


def drip(link: socket.socket, data: bytes, seconds: float) -> bool:
    """Send byte by byte; return whether the server closed the connection meanwhile."""
    ends = time.monotonic() + seconds
    link.settimeout(0.1)
    for byte in data * 1000:
        if time.monotonic() > ends:
            return False
        try:
            link.sendall(bytes([byte]))
            while True:
                if link.recv(65536) == b"":
                    return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("opening", "drops", "why"),
    [
        (b"GET /health HTTP/1.1\r\nx: ", b"a", "slow head"),
        (b"GET /", b"a", "slow head"),
        (b"", b"\r\n", "slow head"),
        (ASK + b"GET /health HTTP/1.1\r\nx: ", b"a", "slow head"),
        (POST + b"content-length: 9000\r\n\r\n{", b" ", "slow body"),
        (POST + b"transfer-encoding: chunked\r\n\r\nffff\r\n", b" ", "slow body"),
    ],
)
def test_slow_clients_are_cut_off(strict: Server, opening: bytes, drops: bytes, why: str) -> None:
    before = cut(strict, why)
    with strict.connect() as link:
        link.sendall(opening)
        assert drip(link, drops, 15)
    assert cut(strict, why) == before + 1


def test_a_silent_client_is_let_go(strict: Server) -> None:
    with strict.connect() as link:
        assert everything(link) == b""
    with strict.connect() as link:  # and one that keeps its connection for nothing
        link.sendall(ASK)
        assert everything(link).startswith(b"HTTP/1.1 200")


def test_a_client_that_does_not_read_is_cut_off(strict: Server) -> None:
    body = json.dumps({"users": list(range(50)) * 20, "k": 40}).encode()
    with strict.connect() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.sendall((POST + b"content-length: %d\r\n\r\n" % len(body) + body) * 8)
        assert eventually(lambda: cut(strict, "slow reader") == 1)


def test_a_client_that_sends_far_ahead_is_cut_off(strict: Server) -> None:
    with strict.connect() as link:
        link.sendall(ASK * 5)
        found = b""
        while found.count(b"HTTP/1.1 200") < 5:
            found += link.recv(65536)
        link.sendall(ASK * 2000)
        everything(link)
    assert cut(strict, "sent ahead") == 1


def chunks(size: int) -> Iterator[bytes]:
    block = b"10000\r\n" + b" " * 65536 + b"\r\n"
    for _ in range(size // 65536):
        yield block


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("megabytes", [2, 100])
def test_large_bodies_are_cut_off(strict: Server, chunked: bool, megabytes: int) -> None:
    size, memory = megabytes << 20, resident(strict)
    length = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % size
    sent = 0
    with strict.connect() as link:
        link.sendall(b"POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\n" + length + b"\r\n\r\n")
        try:
            for block in chunks(size):
                link.sendall(block)
                sent += len(block)
        except OSError:
            pass
        if megabytes == 2:  # one that is not far off is told why
            assert everything(link).startswith(b"HTTP/1.1 413")
    assert megabytes == 2 or sent < size
    assert resident(strict) < memory + (20 << 20)
    assert strict.ask("/health")[0] == 200


def test_large_heads_are_cut_off(strict: Server) -> None:
    for head in (b"GET /" + b"a" * 50_000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 10_000,
                 b"GET / HTTP/1.1\r\nx: " + b"a" * 50_000):  # fmt: skip
        with strict.connect() as link:
            link.sendall(head)
            assert everything(link).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(
    "request_line",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0" * 100 + b"\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: localhost\r\n\r\n",
        POST + b"content-length: -1\r\n\r\n",
        POST + b"content-length: 1\r\ncontent-length: 2\r\n\r\n{}",
        POST + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_told_so(strict: Server, request_line: bytes) -> None:
    with strict.connect() as link:
        link.sendall(request_line)
        answer = everything(link)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400"), answer
    assert strict.ask("/health")[0] == 200


@pytest.mark.parametrize(
    ("later", "last"),
    [
        (POST + b"content-length: 9999999\r\n\r\n", b"413"),
        (b"GET /" + b"a" * 60_000, b"200"),
    ],
)
def test_what_came_before_is_answered_first(strict: Server, later: bytes, last: bytes) -> None:
    with strict.connect() as link:
        link.sendall(ASK + later)
        answer = everything(link)
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.count(b"HTTP/1.1") == 1 + (last == b"413")
        assert answer.rpartition(b"HTTP/1.1 ")[2][:3] == last
        assert b"]}" in answer


def test_noise_breaks_nothing(strict: Server) -> None:
    chance = random.Random(3)
    for _ in range(60):
        noise = bytearray(ASK * 2)
        for _ in range(chance.randrange(1, 12)):
            noise[chance.randrange(len(noise))] = chance.randrange(256)
        with strict.connect() as link:
            link.sendall(bytes(noise))
            link.shutdown(socket.SHUT_WR)
            link.settimeout(5)
            link.recv(65536)
    assert strict.ask("/health")[0] == 200
    assert not [line for line in strict.lines if line["event"] == "fault"]


def test_too_many_connections_are_told_so(strict: Server) -> None:
    links = [strict.connect() for _ in range(20)]
    try:
        with strict.connect() as one_more:
            one_more.sendall(ASK)
            assert everything(one_more).startswith(b"HTTP/1.1 503")
    finally:
        for link in links:
            link.close()
    assert eventually(lambda: strict.metric("trimetric_connections") <= 1)


@pytest.mark.slow
def test_a_refused_client_is_closed_soon(models: Path) -> None:
    with serving(models / "0") as server, server.connect() as link:
        link.sendall(POST + b"content-length: 99999999\r\n\r\n{")
        assert link.recv(65536).startswith(b"HTTP/1.1 413")
        assert eventually(lambda: server.metric("trimetric_connections") == 1, 10)
        later = json.dumps({"users": [1]}).encode()
        with server.connect() as half:  # refused in the middle of a body, its handler waiting
            half.sendall(POST + b"transfer-encoding: chunked\r\n\r\n%x\r\n" % len(later) + later)
            half.sendall(b"\r\nzz\r\n")
            assert half.recv(65536).startswith(b"HTTP/1.1 400")
            assert eventually(lambda: server.metric("trimetric_connections") == 1, 10)


def test_a_flood_of_connections_is_survived(models: Path) -> None:
    with serving(models / "0", "--limit", "connections=10") as server:
        links = [server.connect() for _ in range(200)]
        for link in links:
            link.sendall(ASK)
        ended = [link for link in links if _refused(link)]
        assert len(ended) >= 190
        for link in links:
            link.close()
        assert eventually(lambda: _asks(server))
        assert server.stop() == 0


def _refused(link: socket.socket) -> bool:
    link.settimeout(0.05)
    try:
        everything(link)
    except TimeoutError:
        return False
    return True


def _asks(server: Server) -> bool:
    try:
        return server.ask("/health")[0] == 200
    except OSError:
        return False


def test_a_key_is_read_from_the_environment(models: Path) -> None:
    with serving(models / "0", TRIMETRIC_API_KEY="k3y") as server:
        assert server.ask("/v1/models")[0] == 401
        assert server.ask("/v1/models", **{"X-API-Key": "k3y"})[0] == 200
        assert not any("k3y" in json.dumps(line) for line in server.lines)


def test_hosts_are_allowed_on_the_command_line(models: Path) -> None:
    with serving(models / "0", "--allowed-host", "a.example", "--allowed-host", "b.example") as s:
        for host in ("localhost", "a.example", "B.example:80"):
            assert s.ask("/v1/models", host=host)[0] == 200
        status, answer = s.ask("/v1/models", host="evil.example")
        assert status == 400
        assert "--allowed-host" in answer["error"]
