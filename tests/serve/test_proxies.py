"""A server under a sub-path behind a proxy, and asked by pages of other origins."""

import http.client
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from command import refused
from serving import Server, serving, trained

from trimetric.errors import ParameterError
from trimetric.serve.settings import Settings

CHROME = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
SHOP = "https://shop.example"
KEY = "a-key"
KINDS = ("GET", "POST", "OPTIONS", "HEAD")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "m"
    trained("sml").save(folder)
    return folder


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[Server]:
    origins = ("--cors-origin", SHOP, "--cors-origin", "HTTP://localhost:3000/")
    with serving(model, "--root-path", "/sub/", *origins, "--api-key", KEY) as running:
        yield running


def sent(
    port: int, method: str, path: str, body: Any = None, **headers: str
) -> http.client.HTTPResponse:
    """Send a request; the response has been read, as `text`."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        data = None if body is None else json.dumps(body)
        link.request(method, path, data, {n.replace("_", "-"): v for n, v in headers.items()})
        reply = link.getresponse()
        reply.text = reply.read().decode()  # type: ignore[attr-defined]
        return reply
    finally:
        link.close()


@contextmanager
def proxy(port: int, prefix: str, keeps: bool) -> Iterator[int]:
    """Pass on what is under a prefix, with it or without; all else is not found."""

    class Handler(BaseHTTPRequestHandler):
        def pass_on(self) -> None:
            under = self.path == prefix or self.path.startswith(prefix + "/")
            path = self.path if keeps else self.path[len(prefix) :] or "/"
            if not under:
                self.send_error(404)
                return
            size = int(self.headers.get("content-length", 0))
            link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            link.request(self.command, path, self.rfile.read(size), dict(self.headers))
            reply = link.getresponse()
            body = reply.read()
            self.send_response(reply.status)
            for name, value in reply.getheaders():
                if name not in ("date", "server", "connection"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            link.close()

        def log_message(self, *args: Any) -> None:
            pass

    for kind in KINDS:
        setattr(Handler, f"do_{kind}", Handler.pass_on)
    front = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=front.serve_forever, daemon=True).start()
    try:
        yield front.server_port
    finally:
        front.shutdown()
        front.server_close()


# --- a sub-path ---------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps", [True, False])
def test_a_proxy_may_keep_or_strip_the_sub_path(server: Server, keeps: bool) -> None:
    with proxy(server.port, "/sub", keeps) as port:
        for path in ("/sub", "/sub/", "/sub/page/app.js", "/sub/health", "/sub/openapi.json"):
            assert sent(port, "GET", path, x_api_key=KEY).status == 200, path
        page = sent(port, "GET", "/sub/").text  # type: ignore[attr-defined]
        assert 'src="/sub/page/app.js"' in page
        assert 'href="/page' not in page
        assert 'src="/page' not in page
        document = json.loads(sent(port, "GET", "/sub/openapi.json", x_api_key=KEY).text)
        assert document["servers"] == [{"url": "/sub"}]
        found = sent(port, "GET", "/sub/v1/recommend?user=3&k=2", x_api_key=KEY)
        assert len(json.loads(found.text)["recommendations"]) == 2
        many = sent(port, "POST", "/sub/v1/recommend", {"users": [3], "k": 2}, x_api_key=KEY)
        assert many.status == 200
        assert sent(port, "GET", "/sub/v1/recommend?user=3&bad=2", x_api_key=KEY).status == 422
        assert sent(port, "GET", "/sub/v1/recommend?user=3").status == 401
        assert sent(port, "GET", "/sub/nowhere", x_api_key=KEY).status == 404
        assert sent(port, "GET", "/subway", x_api_key=KEY).status == 404
        assert sent(port, "HEAD", "/sub/health").status == 200


def test_requests_are_counted_by_route_whatever_the_proxy_does(server: Server) -> None:
    def count() -> float:
        text = sent(server.port, "GET", "/metrics", x_api_key=KEY).text  # type: ignore[attr-defined]
        rows = [line for line in text.splitlines() if 'route="/ready"' in line]
        return sum(
            float(row.rpartition(" ")[2]) for row in rows if "_count" in row or "_total" in row
        )

    before = count()
    sent(server.port, "GET", "/sub/ready")
    sent(server.port, "GET", "/ready")
    assert count() >= before + 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["/v1", "/page", "/health", "/a/b-c.d_e~f"])
def test_a_sub_path_may_be_called_like_a_route(model: Path, name: str) -> None:
    with serving(model, "--root-path", name) as running:
        for prefix in ("", name):
            for path in ("/v1/recommend?user=3", "/page/app.js", "/health"):
                assert sent(running.port, "GET", prefix + path).status == 200, prefix + path


@pytest.mark.parametrize(
    "name", ["https://shop.example", "shop.example:8443", "*.shop.example", "läden.example", ""]
)
def test_hosts_that_no_request_can_name_are_refused(name: str) -> None:
    """Each request of the proxy would be answered with 400."""
    with pytest.raises(ParameterError, match="is no host name; give one such as"):
        Settings((Path("m"),), allowed_hosts=(name,))
    given = ("Shop.example.", "*", "192.168.0.7", "::1", "my_host")
    taken = ("Shop.example", *given[1:])
    assert Settings((Path("m"),), allowed_hosts=given).allowed_hosts == taken


@pytest.mark.parametrize(
    "path", ["sub", "/a//b", "/a/../b", "/a b", "/ä", "/a?b", '/a"b', "//evil.example", "/./a"]
)
def test_what_is_no_sub_path_is_refused(path: str) -> None:
    with pytest.raises(ParameterError, match="no path to serve under"):
        Settings(models=(Path("m"),), root_path=path)
    assert Settings(models=(Path("m"),), root_path="/").root_path == ""


@pytest.mark.slow
@pytest.mark.skipif(not CHROME, reason="no Chromium on this machine")
@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("end", ["", "/"])
def test_the_page_works_in_a_browser_under_a_sub_path(model: Path, keeps: bool, end: str) -> None:
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    wrong: list[str] = []
    with (
        serving(model, "--root-path", "/shop/rec") as running,
        proxy(running.port, "/shop/rec", keeps) as port,
        sync.sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROME, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"http://127.0.0.1:{port}/shop/rec{end}#/explore?user=3")
        sync.expect(page.locator(".rows.next .name").first).to_be_visible(timeout=20_000)
        page.get_by_role("link", name="Data").click()
        sync.expect(page.locator(".glance dd").first).to_be_visible(timeout=20_000)
        browser.close()
    assert wrong == []


# --- other origins ------------------------------------------------------------------------------


def preflight(port: int, origin: str, path: str = "/v1/recommend") -> http.client.HTTPResponse:
    asked = {"access_control_request_method": "POST"}
    asked |= {"access_control_request_headers": "content-type,x-api-key"}
    return sent(port, "OPTIONS", path, origin=origin, **asked)


@pytest.mark.parametrize("origin", [SHOP, "http://localhost:3000"])
def test_pages_of_named_origins_may_ask(server: Server, origin: str) -> None:
    reply = preflight(server.port, origin)
    assert reply.status == 204
    assert reply.headers["access-control-allow-origin"] == origin
    assert "POST" in reply.headers["access-control-allow-methods"]
    for name in ("authorization", "content-type", "x-api-key"):
        assert name in reply.headers["access-control-allow-headers"]
    asked = [
        sent(server.port, "POST", "/v1/recommend", {"users": [3]}, origin=origin, x_api_key=KEY),
        sent(server.port, "GET", "/v1/recommend?user=3", origin=origin, x_api_key=KEY),
        sent(server.port, "GET", "/v1/recommend?user=3", origin=origin),
        sent(server.port, "GET", "/v1/recommend?user=none", origin=origin, x_api_key=KEY),
        sent(server.port, "GET", "/nowhere", origin=origin, x_api_key=KEY),
        sent(server.port, "GET", "/v1/users?no=1", origin=origin, x_api_key=KEY),
    ]
    assert [reply.status for reply in asked] == [200, 200, 401, 404, 404, 422]
    for reply in asked:  # a page is told of errors too
        assert reply.headers["access-control-allow-origin"] == origin
        assert reply.headers["vary"].lower() == "origin"
        assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize(
    "origin",
    ["https://shop.example.evil", "http://shop.example", f"{SHOP}:8443", "null", SHOP.upper(), ""],
)
def test_pages_of_other_origins_may_not(server: Server, origin: str) -> None:
    reply = preflight(server.port, origin)
    assert reply.status == 403
    assert "access-control-allow-origin" not in reply.headers
    reply = sent(server.port, "GET", "/v1/recommend?user=3", origin=origin, x_api_key=KEY)
    assert reply.status == 200
    assert "access-control-allow-origin" not in reply.headers
    assert reply.headers["vary"].lower() == "origin"


def test_no_origin_may_unless_it_is_said(model: Path) -> None:
    with serving(model) as running:
        assert "access-control-allow-origin" not in preflight(running.port, SHOP).headers
        reply = sent(running.port, "GET", "/v1/recommend?user=3", origin=SHOP)
        assert "access-control-allow-origin" not in reply.headers
        assert "vary" not in reply.headers


@pytest.mark.slow
def test_any_origin_may_where_there_is_no_key(model: Path) -> None:
    with serving(model, "--cors-origin", "*") as running:
        reply = sent(running.port, "GET", "/v1/recommend?user=3", origin="https://any.example")
        assert reply.headers["access-control-allow-origin"] == "*"
        assert preflight(running.port, "null").status == 204
    said = refused("serve", model, "--cors-origin", "*", "--api-key", KEY)
    assert "a server with a key is not for pages of any origin" in said


@pytest.mark.parametrize(
    "text",
    ["shop.example", "https://shop.example/page", "ftp://a", "https://", "null", "https://a:99999",
     "https://ä.example", "https://*.example", "https://user@a.example", "https://a.example?x"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="no origin"):
        Settings(models=(Path("m"),), cors_origins=(text,))


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://Shop.Example/", SHOP),
        ("https://shop.example:443", SHOP),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_origins_are_written_as_browsers_write_them(text: str, origin: str) -> None:
    assert Settings(models=(Path("m"),), cors_origins=(text,)).cors_origins == (origin,)
