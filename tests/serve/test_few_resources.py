"""A server that may open few files, or whose log nobody reads."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command import COMMAND, environment
from serving import Server, trained

from trimetric.errors import ParameterError
from trimetric.serve import run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "m"
    trained("sml").save(folder)
    return folder


@pytest.mark.skipif(os.name == "nt", reason="no such limits there")
@pytest.mark.parametrize(
    ("files", "more", "need"),
    [(16, (), 128), (40, (), 128), (64, (), 128), (64, ("--limit", "connections=20"), 84)],
)
def test_too_few_files_are_named_with_the_number(
    model: Path, files: int, more: tuple[str, ...], need: int
) -> None:
    words = " ".join(map(str, ("serve", model, "--port", 0, *more)))
    code = "import sys; from trimetric.cli import main; main(sys.argv[1:])"
    command = f"ulimit -n {files}; exec '{sys.executable}' -c '{code}' {words}"
    done = subprocess.run(
        ["bash", "-c", command], env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert f"may open {files} files" in done.stderr
    assert f"serve needs {need}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="no such limits there")
def test_the_number_that_is_named_will_do(model: Path) -> None:
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (84, 84));"
    code += "from trimetric.cli import main; main(sys.argv[1:])"
    words = ["serve", str(model), "--port", "0", "--limit", "connections=20"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        running = Server(process)
        links = [running.connect() for _ in range(19)]
        assert running.ask("/v1/recommend?user=3")[0] == 200
        trained("sml", seed=5).save(model.parent / "other")
        for link in links:
            link.close()
        assert running.stop() == 0
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_socket_that_cannot_have_its_address_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Kept(socket.socket):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(socket, "socket", Kept)
        with pytest.raises(ParameterError, match=r"cannot listen on 127\.0\.0\.1"):
            run.bind("127.0.0.1", taken.getsockname()[1])
    assert [one.fileno() for one in made] == [-1]
    with run.bind("127.0.0.1", 0) as listener:
        assert listener.fileno() >= 0


def answers(port: int, count: int) -> int:
    """Send requests on one connection; return how many were answered."""
    link, found = http.client.HTTPConnection("127.0.0.1", port, timeout=10), 0
    for _ in range(count):
        link.request("GET", "/v1/recommend?user=3&k=1")
        reply = link.getresponse()
        reply.read()
        found += reply.status == 200
    link.close()
    return found


@pytest.mark.skipif(os.name == "nt", reason="pipes there cannot be asked")
@pytest.mark.parametrize("reader", ["a pipe", "a closed pipe", "a socket", "a full disk"])
def test_logs_that_nobody_reads_hold_nothing_up(model: Path, reader: str) -> None:
    port = free_port()
    ends: list[Any] = []
    if reader == "a socket":
        ours, theirs = socket.socketpair()
        ends, target = [ours], theirs.detach()
    elif reader == "a full disk":
        if not Path("/dev/full").exists():
            pytest.skip("no /dev/full here")
        target = os.open("/dev/full", os.O_WRONLY)
    else:
        ours, target = os.pipe()
        ends = [os.fdopen(ours, "rb", buffering=0)]
    words = ["serve", str(model), "--port", str(port), "--access-log"]
    process = subprocess.Popen([*COMMAND, *words], env=environment(), stderr=target)
    os.close(target)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < until
                assert process.poll() is None
                time.sleep(0.1)
        if reader == "a closed pipe":
            ends.pop().close()
        assert answers(port, 3000) == 3000
        if reader == "a pipe":  # read at last: whole lines, and how many are missing
            lines, rest = [], b""
            os.set_blocking(ends[0].fileno(), False)
            while part := ends[0].read(1 << 20):
                rest += part
            assert answers(port, 5) == 5
            time.sleep(0.3)
            while part := ends[0].read(1 << 20):
                rest += part
            lines = [json.loads(line) for line in rest.splitlines() if line.startswith(b"{")]
            [missing] = [line["dropped"] for line in lines if line["event"] == "log lines dropped"]
            assert missing + sum(line["event"] == "request" for line in lines) == 3005
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        for end in ends:
            end.close()
