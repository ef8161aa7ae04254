"""What is served is what the model says, to the last digit, and nothing sent breaks it."""

import asyncio
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import msgspec
import numpy as np
import polars as pl
import pytest
from asking import Client
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import trained

import trimetric as tm
from trimetric.errors import DataError, ParameterError
from trimetric.models.recommender import Recommender
from trimetric.serve import schemas, served_model
from trimetric.serve.app import API
from trimetric.serve.items import read
from trimetric.serve.monitoring import Metrics
from trimetric.serve.run import load_state
from trimetric.serve.settings import Limits, Settings, limits_of

KINDS = ("sml", "ease", "bpr", "popularity")
TITLES = pl.DataFrame(
    {
        "id": [str(i) for i in range(-5, 30)] + ["no such item"],
        "title": [None, *(f"Film {i}" for i in range(-4, 31))],
        "picture": ["https://pictures.example/1.png", *[None] * 35],
        "year": [1990 + i for i in range(36)],
    }
)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    for kind in KINDS:
        trained(kind).save(folder / kind)
    trained("sml", adaptive_users=True, adaptive_items=True).save(folder / "adaptive")
    tm.SML(dim=4, epochs=1, seed=0).fit(texts()).save(folder / "texts")
    TITLES.write_csv(folder / "items.csv")
    return folder


def texts() -> tm.Interactions:
    """Return interactions whose ids are hard to carry through HTTP."""
    odd = ["a/b", "ä ö", "", "x\0y", "a&b=c", "+", "%41", "7", "🎬", '"', "\\", "user" * 50]
    rng = random.Random(0)
    pairs = [(user, item) for user in odd for item in rng.sample(odd, 5)]
    return tm.Interactions.from_arrays(*map(list, zip(*pairs, strict=True)))


@pytest.fixture(scope="module")
def client(room: Path) -> Iterator[Client]:
    folders = tuple(room / kind for kind in (*KINDS, "texts", "adaptive"))
    state = load_state(Settings(folders, items=room / "items.csv"))
    yield Client(state)
    state.close()


@pytest.fixture(scope="module")
def models(room: Path) -> dict[str, Recommender]:
    return {kind: tm.load(room / kind) for kind in (*KINDS, "texts", "adaptive")}


def plain(frame: pl.DataFrame, id_name: str = "item") -> list[tuple]:
    distance = pl.col("distance") if "distance" in frame.columns else pl.lit(None)
    return list(frame.select(id_name, "rank", "score", distance).iter_rows())


def shown(rows: list[dict], id_name: str = "item") -> list[tuple]:
    return [(row[id_name], row["rank"], row["score"], row.get("distance")) for row in rows]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("exclude", [True, False])
def test_each_user_gets_what_the_model_recommends(
    client: Client, models: dict[str, Recommender], kind: str, exclude: bool
) -> None:
    model, flag = models[kind], str(exclude).lower()
    users = model.user_ids.values.to_list()
    lengths = [1 + n % 45 for n in range(len(users))]
    paths = [
        f"/v1/recommend?user={user}&k={k}&exclude_seen={flag}&model={kind}"
        for user, k in zip(users, lengths, strict=True)
    ]
    for reply, user, k in zip(client.ask(*paths), users, lengths, strict=True):
        found = reply.json()
        assert found["user"] == user
        assert found["model"] == kind
        expected = model.recommend([user], k, exclude_seen=exclude)
        assert shown(found["recommendations"]) == plain(expected)
    body = {"users": users, "k": 7, "exclude_seen": exclude, "model": kind}
    many = client.get("/v1/recommend", body)["results"]
    assert [one["user"] for one in many] == users
    listed = [row for one in many for row in shown(one["recommendations"])]
    assert listed == plain(model.recommend(users, 7, exclude_seen=exclude))
    batches = client.state.metrics.collectors.get_sample_value
    alone = batches("trimetric_batch_size_bucket", {"le": "1.0"})
    assert batches("trimetric_batch_size_count") > alone  # they were ranked together


def test_slow_models_rank_in_a_thread(
    room: Path, models: dict[str, Recommender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_model, "QUICK_SECONDS", 0.0)
    state = load_state(Settings((room / "sml", room / "bpr")))
    paths = [f"/v1/recommend?user={n % 55}&model={KINDS[2 * (n % 2)]}&k=5" for n in range(200)]
    for n, reply in enumerate(Client(state).ask(*paths)):
        expected = models[KINDS[2 * (n % 2)]].recommend([n % 55], 5)
        assert shown(reply.json()["recommendations"]) == plain(expected)
    state.close()


def test_ids_of_all_kinds_pass(client: Client, models: dict[str, Recommender]) -> None:
    model = models["texts"]
    for user in model.user_ids.values:
        for escape in (quote, quote_plus):
            found = client.get(f"/v1/recommend?user={escape(user, safe='')}&model=texts")
            assert found["user"] == user
            assert shown(found["recommendations"]) == plain(model.recommend([user]))
        found = client.get("/v1/user?model=texts&user=" + quote(user, safe=""))
        assert {one["item"] for one in found["history"]} == {
            item
            for owner, item in texts().to_frame().select("user", "item").rows()
            if owner == user
        }
    found = client.get("/v1/recommend", {"users": ["7"], "model": "texts"})
    assert found["results"][0]["user"] == "7"
    client.get("/v1/recommend", {"users": [7], "model": "texts"}, status=404)  # 7 is not "7"


def test_whole_numbers_may_be_typed_as_text(client: Client, models: dict[str, Recommender]) -> None:
    found = client.get("/v1/recommend", {"users": ["7", 7], "k": 2})["results"]
    assert found[0] == found[1]
    assert found[0]["user"] == 7
    for odd in ("07", " 7", "7.0", "+7", "٧"):
        client.get("/v1/recommend", {"users": [odd]}, status=404)


def test_unknown_users_by_choice(client: Client, models: dict[str, Recommender]) -> None:
    users = [1, "x", 999, 2, 1]
    refused = client.get("/v1/recommend", {"users": users}, status=404)
    assert refused["unknown"] == ["x", 999]
    body = {"users": users, "k": 3, "on_unknown": "popular"}
    found = client.get("/v1/recommend", body)["results"]
    assert [one["user"] for one in found] == users
    expected = plain(models["sml"].recommend([999], 3, on_unknown="popular"))
    assert shown(found[1]["recommendations"]) == shown(found[2]["recommendations"]) == expected
    assert found[0] == found[4]
    found = client.get("/v1/recommend", {**body, "on_unknown": "skip"})["results"]
    assert [one["user"] for one in found] == [1, 2, 1]


def test_unknown_users_with_lists_of_their_own(client: Client) -> None:
    body = {"users": [1, "x", 999], "k": 3, "on_unknown": "popular", "exclude_seen": False}
    each = {"1": [3, 4, 5], "x": [5, 6], "999": [7]}
    found = client.get("/v1/recommend", body | {"allow": each})["results"]
    listed = [{row["item"] for row in one["recommendations"]} for one in found]
    assert listed == [{3, 4, 5}, {5, 6}, {7}]
    found = client.get("/v1/recommend", body | {"allow": [5, 6], "deny": {"x": [5]}})["results"]
    listed = [{row["item"] for row in one["recommendations"]} for one in found]
    assert listed == [{5, 6}, {6}, {5, 6}]
    found = client.get("/v1/recommend", body | {"allow": each, "on_unknown": "skip"})["results"]
    assert [one["user"] for one in found] == [1]
    for missing in each:
        fewer = {user: ids for user, ids in each.items() if user != missing}
        told = client.get("/v1/recommend", body | {"allow": fewer}, status=422)["error"]
        assert "allow names no items for user" in told


@pytest.mark.parametrize("kind", KINDS)
def test_allowed_and_denied_items(
    client: Client, models: dict[str, Recommender], kind: str
) -> None:
    model = models[kind]
    for allow, deny in (([3, 1, 2, "4"], [999]), (None, [0, 1]), ([0, 1, 2, 3], [1]), ([], None)):
        body = {"users": [1, 2, 999], "k": 3, "allow": allow, "deny": deny, "model": kind}
        found = client.get("/v1/recommend", {**body, "on_unknown": "popular"})["results"]
        ids = None if allow is None else [int(one) for one in allow]
        for one in found:
            expected = model.recommend([one["user"]], 3, on_unknown="popular", allow=ids, deny=deny)
            assert shown(one["recommendations"]) == plain(expected)


def test_neighbours_and_newcomers(client: Client, models: dict[str, Recommender]) -> None:
    model = models["sml"]
    found = client.get("/v1/similar-items?item=3&k=4")
    expected = model.similar_items([3], 4).drop("item").rename({"similar": "item"})
    assert shown(found["similar"]) == plain(expected)
    found = client.get("/v1/similar-users?user=3&k=4")
    expected = model.similar_users([3], 4).drop("user").rename({"similar": "user"})
    assert shown(found["similar"], "user") == plain(expected, "user")
    allowed = {"allow": [3, 5, 6, 999], "deny": [6]}
    for more in ({}, {"weights": [1, 2.5]}, {"exclude_given": False}, allowed, {"allow": []}):
        found = client.get("/v1/recommend-for", {"items": [3, "4"], "k": 5, **more})
        expected = model.recommend_for([3, 4], 5, **more)
        assert shown(found["recommendations"]) == plain(expected)
    told = client.get("/v1/similar-users?user=3&model=ease", status=422)["error"]
    assert "of a user it keeps only what they have" in told
    for kind in ("ease", "bpr", "popularity"):
        why = models[kind].explain(1, 3).to_dict()
        found = client.get(f"/v1/explain?user=1&item=3&model={kind}")
        assert {name: found[name] for name in why if name != "sentence"} == {
            name: json.loads(json.dumps(value)) for name, value in why.items() if name != "sentence"
        }
        found = client.get("/v1/explain-for", {"items": [5, 9], "item": 3, "model": kind})
        assert found["score"] == models[kind].explain_for([5, 9], 3).score
    for path, body in (
        ("/v1/similar-items?item=3&model=ease", None),
        ("/v1/recommend-for", {"items": [3, 3], "model": "ease"}),
    ):
        assert "score" in str(client.get(path, body))
    weighted = client.get("/v1/recommend-for", {"items": [3, 4], "weights": {"4": 9, "3": 1}})
    expected = model.recommend_for({3: 1, 4: 9})
    assert shown(weighted["recommendations"]) == plain(expected)
    some = {"items": [3, 999, "x"], "on_unknown": "skip", "diversity": 0.5}
    found = client.get("/v1/recommend-for", some)
    assert found["skipped"] == [999, "x"]
    assert found["recommendations"][0]["rank_by_score"] == 1
    each = {"users": [1, 2], "k": 3, "allow": {"1": [3, 4, 5], "2": [7]}, "exclude_seen": False}
    lists = client.get("/v1/recommend", each)["results"]
    assert sorted(row["item"] for row in lists[0]["recommendations"]) == [3, 4, 5]
    assert [row["item"] for row in lists[1]["recommendations"]] == [7]


def test_explanations(client: Client, models: dict[str, Recommender]) -> None:
    model = models["sml"]
    item = model.recommend([1], 1)["item"][0]
    found = client.get(f"/v1/explain?user=1&item={item}")
    expected = json.loads(msgspec.json.encode(model.explain(1, item).to_dict()))
    assert found["model"] == "sml"
    for name in expected.keys() - {"model", "sentence"}:
        assert found[name] == expected[name], name
    assert "“Film" in found["sentence"]
    last = model.recommend([1], 40)["item"][-1]
    found = client.get(f"/v1/explain?user=1&item={last}&k=3")
    assert "not in the top 3 for user 1" in found["sentence"]
    asked = {"items": [1, 2], "item": item, "k": 3}
    assert client.get("/v1/explain-for", asked)["k"] == 3
    weighted = client.get("/v1/explain-for", asked | {"weights": {"2": 9, "1": 1}})
    assert weighted["score"] == model.explain_for({1: 1, 2: 9}, item).score
    found = client.get("/v1/explain-for", {"items": [1, 2], "item": item})
    assert found["reasons"] == json.loads(
        msgspec.json.encode(model.explain_for([1, 2], item).to_dict()["reasons"])
    )


def test_what_people_look_at(client: Client, models: dict[str, Recommender]) -> None:
    model: Any = models["sml"]
    found = client.get("/v1/user?user=7&limit=3")
    liked = model.seen.items[slice(*model.seen.indptr[12:14])]
    assert found["activity"] == len(liked)
    assert len(found["history"]) == 3
    scores = [one["score"] for one in client.get("/v1/user?user=7")["history"]]
    best = sorted(model.score([(7, int(item)) for item in liked - 5]).tolist(), reverse=True)
    assert scores == best
    assert [one["distance"] for one in found["history"]] == [-score for score in best[:3]]
    assert found["margin"] is None  # all margins of this model are the same
    learned: Any = models["adaptive"].scorer
    found = client.get("/v1/user?user=7&model=adaptive")
    assert found["margin"] == learned.user_margins[12].item()
    popularity = np.bincount(model.seen.items, minlength=40)
    found = client.get("/v1/item?item=2")
    assert found["popularity"] == popularity[7]
    assert found["title"] == "Film 2"
    assert found["rank"] == 1 + (popularity > popularity[7]).sum()
    found = client.get("/v1/items?search=FILM%201&limit=3&offset=2")
    assert found["total"] == 12  # Film 1 and Film −1, then Film 10, ..., 19
    assert len(found["items"]) == 3
    assert [one["title"].startswith("Film 1") for one in found["items"]] == [True] * 3
    found = client.get("/v1/users?limit=1000")
    assert [one["activity"] for one in found["users"]] == sorted(model.seen.counts)[::-1]
    assert client.get("/v1/users?search=nobody")["users"] == []
    found = client.get("/v1/margins?model=adaptive")
    assert found["items"]["margin"] == learned.item_margins[popularity > 0].tolist()
    assert len(found["users"]["margin"]) == len(model.user_ids)
    assert not found["sampled"]
    assert "fixed" in client.get("/v1/margins", status=422)["error"]
    client.get("/v1/margins?model=ease", status=422)
    found = client.get("/v1/training")
    assert found["history"] == model.history
    assert found["settings"] == model.get_params()
    found = client.get("/v1/summary")
    assert found["pairs"] == len(model.seen.items)
    assert sum(found["per_user"]["counts"]) == found["users"]
    assert found["per_item"]["maximum"] == popularity.max()
    cards = client.get("/v1/models")["models"]
    assert [card["name"] for card in cards] == [*KINDS, "texts", "adaptive"]
    assert cards[0]["capabilities"] == sorted(model.capabilities)


def test_the_map(client: Client, models: dict[str, Recommender]) -> None:
    ends = time.monotonic() + 120
    while (found := client.get("/v1/map"))["status"] == "computing":
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert sorted(found["items"]["ids"]) == models["sml"].item_ids.values.to_list()
    assert len(found["users"]["x"]) == len(found["users"]["activity"]) == 60
    client.get("/v1/map?model=ease", status=422)


def test_metrics_tell_what_was_done(client: Client) -> None:
    client.get("/v1/item?item=nothing", status=404)
    [reply] = client.ask("/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = reply.text.splitlines()
    assert any('route="/v1/item",status="404"' in line for line in lines)
    assert any(line.startswith('trimetric_model_info{kind="ease",name="ease"') for line in lines)
    samples = [line for line in lines if not line.startswith("#")]
    assert len({line.rpartition(" ")[0] for line in samples}) == len(samples)


def test_a_histogram_counts_upper_bounds_in() -> None:
    metrics = Metrics()
    for value in (0.0005, 0.001, 0.0015, 0.0025, 9):
        metrics.answered("b", 200, value)
    lines = metrics.text([], "")[0].decode().splitlines()
    lines = [line for line in lines if line.startswith("trimetric_request_seconds_")]
    start = 'trimetric_request_seconds_bucket{le="'
    assert [lines[0], lines[1], *lines[-4:]] == [
        f'{start}0.001",route="b"}} 2.0', f'{start}0.0025",route="b"}} 4.0',
        f'{start}10.0",route="b"}} 5.0', f'{start}+Inf",route="b"}} 5.0',
        'trimetric_request_seconds_count{route="b"} 5.0',
        'trimetric_request_seconds_sum{route="b"} 9.0055',
    ]  # fmt: skip


# --- what is refused ----------------------------------------------------------------------------

BAD = [
    ("/v1/recommend", None, 422, "user"),
    ("/v1/recommend?user=1&k=0", None, 422, "k"),
    ("/v1/recommend?user=1&k=1001", None, 422, "1000"),
    ("/v1/recommend?user=1&k=ten", None, 422, "k"),
    ("/v1/recommend?user=1&k=" + "9" * 5000, None, 422, "k"),
    ("/v1/recommend?user=1&user=2", None, 422, "twice"),
    ("/v1/recommend?user=1&kk=2", None, 422, "kk"),
    ("/v1/recommend?user=1&exclude_seen=maybe", None, 422, "exclude_seen"),
    ("/v1/recommend?user=%ff", None, 422, "utf-8"),
    ("/v1/recommend?user=" + "9" * 1025, None, 422, "1024"),
    ("/v1/recommend?user=" + "9" * 1000, None, 404, "unknown"),
    ("/v1/recommend?user=9223372036854775808", None, 404, "unknown"),
    ("/v1/recommend?user=%00", None, 404, "unknown"),
    ("/v1/recommend?user=", None, 404, "unknown"),
    ("/v1/recommend?user=1&model=none", None, 404, "'none'"),
    ("/v1/user?user=../../etc/passwd", None, 404, "unknown"),
    ("/v1/nothing", None, 404, "openapi"),
    ("/page/../app.py", None, 404, "openapi"),
    ("/page/%2e%2e/app.py", None, 404, "openapi"),
    ("/v1/models", {}, 405, "POST"),
    ("/v1/recommend", {"users": []}, 422, "users"),
    ("/v1/recommend", {"users": 1}, 422, "users"),
    ("/v1/recommend", {"users": [1.5]}, 422, "users"),
    ("/v1/recommend", {"users": [True]}, 422, "users"),
    ("/v1/recommend", {"users": [None]}, 422, "users"),
    ("/v1/recommend", {"users": [[1]]}, 422, "users"),
    ("/v1/recommend", {"users": [10**30]}, 404, "unknown"),
    ("/v1/recommend", {"users": [1] * 1001}, 422, "1000"),
    ("/v1/recommend", {"users": [1] * 1000, "k": 1000}, 422, "100000"),
    ("/v1/recommend", {"users": [1], "allow": ["film"]}, 422, "'film'"),
    ("/v1/recommend", {"users": [1], "on_unknown": "guess"}, 422, "guess"),
    ("/v1/recommend", {"users": [1], "more": 1}, 422, "more"),
    ("/v1/recommend", [1], 422, "object"),
    ("/v1/recommend-for", {"items": [1, 2], "weights": {"1": 2}}, 422, "no weight for item 2"),
    ("/v1/recommend", {"users": [1, 2], "allow": {"1": [3]}}, 422, "no items for user 2"),
    ("/v1/forget", {"users": [1]}, 403, "with an API key only"),
    ("/v1/unavailable", {"items": [1]}, 403, "with an API key only"),
    ("/v1/recommend-for", {"items": [1], "weights": [1, 2]}, 422, "weights"),
    ("/v1/recommend-for", {"items": [1], "weights": [0]}, 422, "weights"),
    ("/v1/recommend-for", {"items": [1], "weights": [float("nan")]}, 422, "JSON"),
    ("/v1/explain-for", {"items": [1]}, 422, "item"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "status", "word"), BAD)
def test_what_cannot_be_used_is_refused(
    client: Client, path: str, body: Any, status: int, word: str
) -> None:
    assert word in client.get(path, body, status)["error"]


def test_bodies_that_are_no_json(client: Client) -> None:
    async def send(content: bytes) -> httpx.Response:
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await http.post("/v1/recommend", content=content)

    bad = [b"", b"{", b"\xff", b'{"users":["\xff"]}', b"[" * 100_000, b"null"]
    bad += [b'{"users":["\\ud800"]}', b'{"users":[1]}x', b'{"users":[1],"users":[2]']
    for content in bad:
        assert asyncio.run(send(content)).status_code == 422, content[:20]
    assert asyncio.run(send(b" " * (2 << 20))).status_code == 413


TEXT = st.text(max_size=30)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(
    schemas.RecommendBody.__struct_fields__
    + schemas.ExplainForBody.__struct_fields__
    + ("user", "search", "limit", "offset")
)
GETS = [path for handler in API for path in handler.paths if "GET" in handler.http_methods]
GETS += ["/health", "/ready", "/metrics"]
POSTS = [path for handler in API for path in handler.paths if "POST" in handler.http_methods]


@settings(max_examples=150)
@given(st.sampled_from(GETS), st.lists(st.tuples(NAMES, TEXT | st.integers().map(str)), max_size=4))
def test_no_query_is_a_fault(client: Client, path: str, query: list[tuple[str, str]]) -> None:
    asked = "&".join(f"{name}={quote(value, safe='', errors='replace')}" for name, value in query)
    [found] = client.ask(f"{path}?{asked}")
    assert found.status_code in (200, 404, 422)
    found.raise_for_status() if found.status_code == 200 else found.json()["error"]


@settings(max_examples=150)
@given(st.sampled_from(POSTS), st.dictionaries(NAMES, VALUE, max_size=5) | VALUE)
def test_no_body_is_a_fault(client: Client, path: str, body: Any) -> None:
    [found] = client.ask((path, body))
    assert found.status_code in (200, 403, 404, 422)


# --- who may ask, and what a browser is told ----------------------------------------------------


def test_a_key_is_asked_for_everywhere_but_at_the_door(room: Path) -> None:
    state = load_state(Settings((room / "sml",), api_key="secret"))
    asked = Client(state)
    for path in ("/health", "/ready", "/"):
        assert asked.ask(path)[0].status_code == 200
    for path in ("/v1/models", "/v1/recommend?user=1", "/metrics", "/openapi.json"):
        assert asked.ask(path)[0].status_code == 401
        for wrong in ({"x-api-key": "secre"}, {"authorization": "Basic secret"}, {"x-api-key": ""}):
            assert asked.ask(path, headers=wrong)[0].status_code == 401
        for right in ({"x-api-key": "secret"}, {"authorization": "Bearer secret"}):
            assert asked.ask(path, headers=right)[0].status_code == 200
    described = asked.get("/openapi.json", headers={"x-api-key": "secret"})
    assert "401" in described["paths"]["/v1/models"]["get"]["responses"]
    state.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:8000", 200), ("localhost.", 200), ("127.0.0.1:1", 200),
        ("[::1]:8000", 200), ("192.168.0.7:8000", 200), ("[fe80::1]", 200),
        ("evil.example", 400), ("evil.example:8000", 400), ("localhost.evil.example", 400),
        ("127.0.0.1.evil.example", 400), ("evil.example:127.0.0.1", 400), ("", 400),
        ("[evil.example]", 400), ("localhost@evil.example", 400), ("evil.example/localhost", 400),
    ],
)  # fmt: skip
def test_other_hosts_are_refused(client: Client, host: str, status: int) -> None:
    for path in ("/", "/health", "/v1/models", "/nothing"):
        [found] = client.ask(path, headers={"host": host})
        assert found.status_code == (404 if path == "/nothing" and status == 200 else status)
        assert status == 200 or "--allowed-host" in found.json()["error"]


def test_hosts_can_be_allowed(room: Path) -> None:
    for options, allowed, refused in (
        ({"allowed_hosts": ("shop.example", "b.example")}, "Shop.Example:80", "c.example"),
        ({"host": "shop.example", "open": True}, "shop.example", "b.example"),
        ({"allowed_hosts": ("*",)}, "any.example", None),
    ):
        state = load_state(Settings((room / "sml",), **options))
        asked = Client(state)
        assert asked.ask("/v1/models", headers={"host": allowed})[0].status_code == 200
        if refused is not None:
            assert asked.ask("/v1/models", headers={"host": refused})[0].status_code == 400
            two = [("host", "localhost"), ("host", refused)]
            assert asked.ask("/v1/models", headers=two)[0].status_code == 400
        state.close()


def test_headers_keep_a_browser_safe(client: Client) -> None:
    for path in ("/", "/v1/models", "/nothing", "/v1/user?user=none"):
        [found] = client.ask(path)
        assert found.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in found.headers["content-security-policy"]
        assert "default-src 'none'" in found.headers["content-security-policy"]
        assert found.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in found.headers
    assert "img-src 'self' data: https:;" in client.ask("/")[0].headers["content-security-policy"]


def test_other_machines_need_a_key_or_a_word(room: Path) -> None:
    with pytest.raises(ParameterError, match=r"--api-key.*--open"):
        Settings((room / "sml",), host="0.0.0.0")
    for more in ({"api_key": "x"}, {"open": True}):
        assert Settings((room / "sml",), host="0.0.0.0", **more)
    with pytest.raises(ParameterError, match="two models are named 'sml'"):
        load_state(Settings((room / "sml", room / ".." / room.name / "sml")))


def test_limits_are_read_and_checked() -> None:
    assert limits_of(["connections=5", "head_seconds=.5"]) == Limits(
        connections=5, head_seconds=0.5
    )
    for text, word in (("x=1", "unknown limit"), ("connections=1.5", "whole"),
                       ("head_seconds=soon", "a number"), ("body_bytes=0", "above 0"),
                       ("head_seconds=nan", "above 0")):  # fmt: skip
        with pytest.raises(ParameterError, match=word):
            limits_of([text])


# --- the items table ----------------------------------------------------------------------------


def test_items_are_shown_with_their_columns(client: Client) -> None:
    found = client.get("/v1/item?item=-5")
    assert (found["picture"], found["year"]) == ("https://pictures.example/1.png", 1990)
    assert "title" not in found  # it has none
    assert "title" not in client.get("/v1/item?item=34")  # nor a row
    for row in client.get("/v1/recommend?user=1&k=40")["recommendations"]:
        assert row.get("title") == (f"Film {row['item']}" if -5 < row["item"] < 30 else None)


@pytest.mark.parametrize(
    ("frame", "word"),
    [
        ({"title": ["a"]}, "no column item or id"),
        ({"item": [1, 1]}, "item 1 is there twice"),
        ({"item": [1, None]}, "row 2 has no id"),
        ({"item": [1.5]}, r"whole numbers below 2\^53 or text"),
        ({"item": [float("nan")]}, "row 1 has no id"),
        ({"item": [1], "score": [2]}, "'score'"),
        ({"item": [1], "version": ["x"]}, "'version'"),
        ({"item": [1], "title": [["a"]]}, "'title' holds lists"),
        ({"item": [1], "picture": ["http://x/y.png"]}, "https"),
        ({"item": [1], "picture": ["javascript:alert(1)"]}, "https"),
    ],
)
def test_tables_that_cannot_be_used(frame: dict, word: str, tmp_path: Path) -> None:
    pl.DataFrame(frame).write_parquet(tmp_path / "items.parquet")
    with pytest.raises(DataError, match=word):
        read(tmp_path / "items.parquet")


def test_a_table_of_other_types(tmp_path: Path) -> None:
    frame = pl.DataFrame({"item_id": [1.0, 2.0], "title": [1984, None], "tags": [["a"], None]})
    frame = frame.with_columns(out=pl.Series(["2020-01-02", None]).str.to_date())
    frame.write_parquet(tmp_path / "items.parquet")
    table = read(tmp_path / "items.parquet")
    assert table.of(1) == {"title": "1984", "tags": ["a"], "out": "2020-01-02"}
    assert table.of("2") == {}
    assert table.of(3) == {}


def test_columns_that_no_answer_can_show_are_left_out(tmp_path: Path) -> None:
    frame = pl.DataFrame({"item": ["a"], "year": [1984], "taken": [1]}).with_columns(
        pl.col("item").cast(pl.Categorical),
        pl.Series("size", [[1.0, 2.0]], dtype=pl.Array(pl.Float32, 2)),
        pl.Series("bytes", [b"\xff"]),
        pl.Series("maker", [{"name": "x"}]),
        pl.Series("points", [[[1, 2]]]),
        pl.col("taken").cast(pl.Duration),
    )
    frame.write_parquet(tmp_path / "items.parquet")
    shown = {"year": 1984, "size": ["1.0", "2.0"], "maker.name": "x"}
    assert read(tmp_path / "items.parquet").of("a") == shown


def test_a_request_without_its_body_is_told_so(client: Client) -> None:
    for path in ("/v1/recommend", "/v1/recommend-for", "/v1/explain-for"):
        [reply] = client.ask((path, b""))
        assert reply.status_code == 422
        assert "it has no body; send a JSON object" in reply.json()["error"]


@pytest.mark.parametrize(
    "path", ["/schema", "/schema/swagger", "/schema/openapi.json", "/schema/x"]
)
def test_pages_of_the_framework_are_not_served(client: Client, path: str) -> None:
    """They load scripts from other hosts, and their document lacks types of ours."""
    assert client.get(path, status=404) == client.get("/nothing", status=404)


def test_every_answer_has_a_schema(client: Client) -> None:
    for path, item in client.get("/openapi.json")["paths"].items():
        for operation in item.values():
            [content] = operation["responses"]["200"]["content"].values()
            assert "$ref" in content["schema"] or path == "/metrics"
            assert operation["description"]
            for parameter in operation.get("parameters", ()):
                assert parameter["in"] == "query"
