"""Requests that are meant to break something: refused in JSON that shows them escaped, no 500."""

import json
from collections.abc import Iterator

import pytest
from serving import Server, serving, trained

import trimetric as tm

GETS = {
    "/v1/recommend": "user",
    "/v1/similar-items": "item",
    "/v1/similar-users": "user",
    "/v1/user": "user",
    "/v1/item": "item",
    "/v1/users": "search",
    "/v1/items": "search",
    "/v1/explain": "item",
    "/v1/map": "model",
}
QUERIES = {
    "not UTF-8": "%ff",
    "half a character": "%e2%82",
    "a surrogate in UTF-8": "%ed%a0%80",
    "an overlong slash": "%c0%af",
    "a zero byte": "%00",
    "no hex": "%zz",
    "2**63": str(2**63),
    "5,000 digits": "9" * 5000,
    "a negative of 400 digits": "-" + "9" * 400,
    "a float": "1e400",
    "not a number": "nan",
    "nothing": "",
    "a line break": "%0d%0aset-cookie:%20a=b",
    "markup": "%3Cscript%3E",
    "right to left": "%E2%80%AE",
}
IDS = {
    "a lone surrogate": r'"\ud800"',
    "a lone low surrogate": r'"a\udfffb"',
    "surrogates the wrong way round": r'"\udc00\ud800"',
    "a zero byte": r'"\u0000"',
    "null": "null",
    "true": "true",
    "2**63": str(2**63),
    "-2**63-1": str(-(2**63) - 1),
    "5,000 digits": "9" * 5000,
    "a float": "1.5",
    "1e400": "1e400",
    "NaN": "NaN",
    "a list": "[1]",
    "an object": '{"a": 1}',
    "empty text": '""',
    "2,000 characters": '"' + "a" * 2000 + '"',
    "no text": '"\\x"',
}
BODIES = {
    "/v1/recommend": '{{"users": [{0}]}}',
    "/v1/recommend-for": '{{"items": [{0}]}}',
    "/v1/explain-for": '{{"items": [3], "item": {0}}}',
    "/v1/recommend ": '{{"users": [3], "allow": [{0}]}}',
    "/v1/recommend  ": '{{"users": [3], "k": {0}}}',
    "/v1/recommend   ": '{{"users": [3], "model": {0}}}',
    "/v1/recommend-for ": '{{"items": [3], "weights": [{0}]}}',
}


@pytest.fixture(scope="module", params=["numbers", "texts"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    folder = tmp_path_factory.mktemp("served") / "m"
    model = trained("sml")
    if request.param == "texts":
        frame = model.seen
        rows = [f"u{n}" for n in range(frame.n_users) for _ in range(int(frame.counts[n]))]
        items = [f"i{n}" for n in frame.items]
        model = tm.SML(dim=4, epochs=1, seed=0).fit(tm.Interactions.from_arrays(rows, items))
    model.save(folder)
    with serving(folder) as running:
        yield running


def raw(server: Server, head: str, body: bytes = b"") -> tuple[int, bytes, bytes]:
    """Send what no client would; return status, head and body."""
    with server.connect() as link:
        text = f"{head} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        text += f"content-length: {len(body)}\r\n\r\n" if body else "\r\n"
        link.sendall(text.encode() + body)
        parts = []
        while part := link.recv(65536):
            parts.append(part)
    head_bytes, _, found = b"".join(parts).partition(b"\r\n\r\n")
    return int(head_bytes.split()[1]), head_bytes, found


def is_sound(server: Server, status: int, head: bytes, body: bytes, allowed: set[int]) -> None:
    assert status in allowed, (status, body)
    assert b"set-cookie" not in head.lower()
    if status != 200:
        said = json.loads(body.decode("utf-8"))["error"]
        assert said
        assert said.isprintable(), said
    assert not [line for line in server.lines if line["event"] == "fault"]


@pytest.mark.parametrize("path", GETS)
def test_queries(server: Server, path: str) -> None:
    for name, text in QUERIES.items():
        for query in (f"{GETS[path]}={text}", f"{text}={text}", f"{GETS[path]}=3&k={text}"):
            for method in ("GET", "HEAD"):
                if method == "HEAD":
                    status, _, body = raw(server, f"HEAD {path}?{query}")
                    assert status in (200, 404, 422), (name, query)
                    assert body == b""
                else:
                    is_sound(server, *raw(server, f"GET {path}?{query}"), {200, 404, 422})


def test_a_query_that_is_not_utf8_is_refused_by_name(server: Server) -> None:
    status, _, body = raw(server, "GET /v1/recommend?user=%ff")
    assert status == 422
    assert "utf-8" in json.loads(body)["error"]


@pytest.mark.parametrize("path", BODIES)
def test_bodies(server: Server, path: str) -> None:
    for text in IDS.values():
        body = BODIES[path].format(text).encode()
        is_sound(server, *raw(server, f"POST {path.strip()}", body), {200, 404, 422})


def test_what_is_unknown_is_shown_escaped(server: Server) -> None:
    for text, shown in ((r"\u0000", r"\x00"), (r"\u202e", r"\u202e"), (r"a\r\nb", r"a\r\nb")):
        status, _, body = raw(server, "POST /v1/recommend", b'{"users": ["%b"]}' % text.encode())
        assert status == 404
        assert shown in json.loads(body)["error"]


@pytest.mark.parametrize(
    "path",
    ["/%ff", "/%00", "/..%2f..%2fetc/passwd", "/v1/%ed%a0%80", "/page/%2e%2e/app.js", "/%"],
)
def test_paths(server: Server, path: str) -> None:
    is_sound(server, *raw(server, f"GET {path}"), {404})


def test_slashes_do_not_get_past_the_checks(server: Server) -> None:
    for path in ("//v1//recommend", "/v1/recommend/", "/v1/recommend//"):
        assert raw(server, f"GET {path}?user=%ff")[0] == 422
        assert raw(server, f"GET {path}?no=1")[0] == 422
    for path in ("/", "//"):
        status, head, _ = raw(server, f"GET {path}")
        assert status == 200
        assert b"script-src 'self'" in head
        assert head.count(b"charset=utf-8") == 1


@pytest.mark.parametrize("name", ["%ff", "%ed%a0%80", "a%00b"])
def test_posts_with_a_query(server: Server, name: str) -> None:
    found = raw(server, f"POST /v1/recommend?{name}={name}", b'{"users": [3]}')
    is_sound(server, *found, {200, 404, 422})


@pytest.mark.parametrize(
    "header", ["host: \xff", "authorization: Bearer \xff", "origin: \xff", "x-api-key: \x01"]
)
def test_headers(server: Server, header: str) -> None:
    with server.connect() as link:
        text = f"GET /v1/recommend?user=3 HTTP/1.1\r\n{header}\r\nconnection: close\r\n\r\n"
        link.sendall(text.encode("latin-1"))
        answer = b""
        while part := link.recv(65536):
            answer += part
    assert answer[9:12] in (b"200", b"400", b"404"), answer
