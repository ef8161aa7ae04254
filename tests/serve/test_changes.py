"""A server whose model is changed, whose log nobody reads, and who may ask it."""

import http.client
import os
import re
import subprocess
from pathlib import Path

import pytest
from command import COMMAND, environment, trimetric
from serving import serving, trained

import trimetric as tm


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("served") / "m"
    trained("sml").save(out)
    return out


def test_forgetting_and_marking_over_http(folder: Path) -> None:
    key = {"X-API-Key": "secret"}
    with serving(folder, TRIMETRIC_API_KEY="secret") as server:
        body = {"users": [1], "items": [3]}
        assert server.ask("/v1/forget", body)[0] == 401
        status, receipt = server.ask("/v1/forget", body, **key)
        assert (status, receipt["users"], receipt["items"]) == (200, [1], [3])
        assert receipt["checksum_after"].startswith(receipt["version"])
        assert server.ask("/v1/recommend?user=1", **key)[0] == 404
        assert server.ask("/v1/forget", body, **key)[0] == 404
        listed = server.ask("/v1/recommend?user=2&k=3", **key)[1]["recommendations"]
        first = listed[0]["item"]
        marked = server.ask("/v1/unavailable", {"items": [first, 999]}, **key)[1]
        assert (marked["unavailable"], marked["unknown"]) == (1, 1)
        listed = server.ask("/v1/recommend?user=2&k=50", **key)[1]["recommendations"]
        assert first not in [row["item"] for row in listed]
        body = {"users": [2], "k": 50}
        [found] = server.ask("/v1/recommend", body, **key)[1]["results"]
        assert found["recommendations"] == listed
    left = tm.load(folder)
    assert 1 not in left.user_ids.values
    assert left.unavailable.to_list() == [first]


def test_a_log_that_nobody_reads_holds_up_no_answer(folder: Path) -> None:
    reader, writer = os.pipe()
    command = [*COMMAND, "serve", str(folder), "--port", "0", "--access-log"]
    process = subprocess.Popen(command, env=environment(), stderr=writer)
    os.close(writer)
    try:
        said = b""
        while not (found := re.search(rb'"url": "http://127.0.0.1:(\d+)"', said)):
            said += os.read(reader, 4096)
        port = int(found[1])
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for _ in range(1500):
            link.request("GET", "/v1/recommend?user=5&k=1")
            assert link.getresponse().read()
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reader)


def test_too_few_open_files_are_named(folder: Path) -> None:
    resource = pytest.importorskip("resource")
    ran = trimetric(
        "serve",
        folder,
        "--port",
        "0",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16)),
    )
    assert ran.returncode == 2, ran.stderr
    assert "needs at least 64 open files" in ran.stderr


def test_origins_and_a_sub_path(folder: Path) -> None:
    shop = "https://shop.example"
    options = ("--cors-origin", shop, "--root-path", "/shop", "--api-key", "k")
    with serving(folder, *options) as server:
        link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

        def headers(method: str, path: str, **more: str) -> tuple[int, dict[str, str]]:
            given = {name.replace("_", "-"): value for name, value in more.items()}
            link.request(method, path, headers=given)
            reply = link.getresponse()
            reply.read()
            return reply.status, {name.lower(): value for name, value in reply.getheaders()}

        asks = {"Origin": shop, "Access_Control_Request_Method": "GET"}
        status, found = headers("OPTIONS", "/shop/v1/recommend", **asks)
        assert (status, found["access-control-allow-origin"]) == (204, shop)
        assert "X-API-Key" in found["access-control-allow-headers"]
        for path in ("/shop/v1/models", "/v1/models"):
            status, found = headers("GET", path, Origin=shop, X_API_Key="k")
            assert (status, found["access-control-allow-origin"]) == (200, shop)
        assert headers("GET", "/shop/")[0] == headers("GET", "/shop/page/app.js")[0] == 200
        status, found = headers("GET", "/shop")
        assert (status, found["location"]) == (307, "/shop/")
        status, found = headers("GET", "/v1/models", Origin=shop)
        assert (status, found["access-control-allow-origin"]) == (401, shop)
        status, found = headers("GET", "/v1/models", Origin="https://other.example", X_API_Key="k")
        assert "access-control-allow-origin" not in found
        other = {**asks, "Origin": "https://other.example"}
        assert headers("OPTIONS", "/v1/models", **other)[0] == 401


@pytest.mark.parametrize(
    ("option", "value"),
    [("--cors-origin", "shop.example"), ("--cors-origin", "https://a/b"),
     ("--root-path", "shop"), ("--root-path", "/shop/")],
)  # fmt: skip
def test_wrong_origins_and_paths_are_refused(folder: Path, option: str, value: str) -> None:
    ran = trimetric("serve", folder, option, value)
    assert ran.returncode == 2
    assert repr(value) in ran.stderr
