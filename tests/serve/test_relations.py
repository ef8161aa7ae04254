"""What views of the page ask for: filters, who has an item, two users, how good a model is."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from asking import Client

import trimetric as tm
from trimetric.data import split_users
from trimetric.errors import DataError, ParameterError
from trimetric.models.recommender import Recommender
from trimetric.serve.items import ItemsTable, read
from trimetric.serve.quality import groups
from trimetric.serve.run import load_state
from trimetric.serve.schemas import Span
from trimetric.serve.settings import Settings
from trimetric.serve.where import chosen, columns

GENRES = ("Drama|War", "Comedy", " Action | Comedy", None)


@pytest.fixture(scope="module")
def split() -> tm.Split:
    data = tm.synthetic.planted(200, 80, dim=4, clusters=4, per_user=15, seed=1).interactions
    return tm.split_per_user(data, test=0.2, valid=0.1, seed=0)


@pytest.fixture(scope="module")
def models(split: tm.Split) -> dict[str, Recommender]:
    return {
        "sml": tm.SML(dim=8, epochs=2, seed=0).fit(split.train, split.valid, progress=False),
        "ease": tm.EASE().fit(split.train),
        "popular": tm.Popularity().fit(split.train),
    }


@pytest.fixture(scope="module")
def folder(
    models: dict[str, Recommender], split: tm.Split, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("served")
    for name, model in models.items():
        model.save(folder / name)
    split.save(folder / "parts")
    ids = models["sml"].item_ids.values.to_list()[:-1]
    table = pl.DataFrame(
        {
            "item": ids,
            "title": [f"Title {one}" for one in ids],
            "genres": [GENRES[n % 4] for n in range(len(ids))],
            "price": [None if n % 7 == 0 else n + 0.5 for n in range(len(ids))],
            "new": [n % 2 == 0 for n in range(len(ids))],
            "maker": [f"maker {n}" for n in range(len(ids))],
            "tags": [["a", "b"] if n % 3 else ["c"] for n in range(len(ids))],
        }
    )
    table.write_parquet(folder / "items.parquet")
    return folder


@pytest.fixture(scope="module")
def client(folder: Path, models: dict[str, Recommender]) -> Iterator[Client]:
    names = tuple(folder / name for name in models)
    state = load_state(Settings(names, items=folder / "items.parquet", test=folder / "parts"))
    yield Client(state)
    state.close()


# --- filters ------------------------------------------------------------------------------------

WHERE: list[tuple[dict[str, Any], Any]] = [
    ({"genres": ["Comedy"]}, lambda row: "Comedy" in (row["genres"] or "")),
    ({"genres": ["War", "Action"]}, lambda row: row["genres"] in GENRES[::2]),
    ({"genres": ["War", "none such"]}, lambda row: row["genres"] == "Drama|War"),
    ({"price": {"min": 10, "max": 30.5}}, lambda row: 10 <= (row["price"] or 0) <= 30.5),
    ({"price": {"max": 12}}, lambda row: (row["price"] or 99) <= 12),
    ({"price": {"min": None}}, lambda row: row["price"] is not None),
    ({"price": [10.5, 11.5]}, lambda row: row["price"] in (10.5, 11.5)),
    ({"price": ["10.5", 999]}, lambda row: row["price"] == 10.5),
    ({"new": [True]}, lambda row: row["new"]),
    ({"new": ["false"]}, lambda row: not row["new"]),
    ({"tags": ["b"]}, lambda row: "b" in row["tags"]),
    ({"maker": ["maker 3"]}, lambda row: row["maker"] == "maker 3"),
    (
        {"tags": ["b"], "genres": ["Comedy"]},
        lambda row: "b" in row["tags"] and "Comedy" in (row["genres"] or ""),
    ),
]


@pytest.mark.parametrize(("where", "holds"), WHERE)
def test_where_lists_only_such_items(
    client: Client, models: dict[str, Recommender], folder: Path, where: dict, holds: Any
) -> None:
    rows = pl.read_parquet(folder / "items.parquet").to_dicts()
    allowed = [row["item"] for row in rows if holds(row)]
    assert allowed
    expected = models["sml"].recommend(["u003"], 80, allow=allowed)["item"].to_list()
    body = {"users": ["u003"], "k": 80, "where": where}
    [found] = client.get("/v1/recommend", body)["results"]
    assert [one["item"] for one in found["recommendations"]] == expected
    some = allowed[::2]
    [found] = client.get("/v1/recommend", body | {"allow": some})["results"]
    assert {one["item"] for one in found["recommendations"]} <= set(some)
    [found] = client.get("/v1/recommend", body | {"allow": {"u003": some}})["results"]
    assert {one["item"] for one in found["recommendations"]} <= set(some)
    expected = models["sml"].recommend_for(["i01"], 80, allow=allowed)["item"].to_list()
    found = client.get("/v1/recommend-for", {"items": ["i01"], "k": 80, "where": where})
    assert [one["item"] for one in found["recommendations"]] == expected


@pytest.mark.parametrize(
    ("where", "word"),
    [
        ({"genre": ["Comedy"]}, "where takes genres, price, new, maker, tags"),
        ({"genres": ["Comedi"]}, "no item has genres 'Comedi'; near to it: Comedy"),
        ({"genres": {"min": 1}}, "holds no numbers"),
        ({"genres": []}, "where"),
        ({"genres": "Comedy"}, "where"),
        ({"price": {"least": 1}}, "least"),
        ({"price": ["10,5"]}, "holds numbers, and '10,5' is none"),
        ({"price": [True]}, "holds numbers, and True is none"),
        ({"price": [0.25, "999"]}, "no item has price 0.25, 999; they go from 1.5 to 78.5"),
        ({"price": {"min": "cheap"}}, "where"),
    ],
)
def test_where_refuses_what_is_not_there(client: Client, where: dict, word: str) -> None:
    for path, body in (
        ("/v1/recommend", {"users": ["u003"]}),
        ("/v1/recommend-for", {"items": ["i01"]}),
    ):
        assert word in client.get(path, body | {"where": where}, 422)["error"]


def test_columns_to_choose_by(client: Client) -> None:
    found = {one["name"]: one for one in client.get("/v1/columns")["columns"]}
    assert list(found) == ["genres", "price", "new", "tags"]  # each has a maker of its own
    assert [one["value"] for one in found["genres"]["values"]] == [
        "Comedy",
        "Drama",
        "War",
        "Action",
    ]
    assert found["genres"]["values"][0]["items"] == 40
    assert found["price"]["span"] == {"min": 1.5, "max": 78.5}
    assert {one["value"] for one in found["new"]["values"]} == {"true", "false"}
    assert columns(ItemsTable(pl.DataFrame({"item": []})), np.zeros(3, dtype=np.int64) - 1) == []


def test_columns_without_a_table(folder: Path) -> None:
    state = load_state(Settings((folder / "popular",)))
    try:
        lone = Client(state)
        assert lone.get("/v1/columns")["columns"] == []
        body = {"users": ["u003"], "where": {"genres": ["Comedy"]}}
        assert "--items FILE" in lone.get("/v1/recommend", body, 422)["error"]
        assert "--test FILE" in lone.get("/v1/quality", status=422)["error"]
        assert not lone.get("/v1/models")["models"][0]["measured"]
    finally:
        state.close()


# --- who has an item, and two users -------------------------------------------------------------


def test_who_has_an_item(client: Client, models: dict[str, Recommender]) -> None:
    model = models["sml"]
    item = model.item_ids.values[7]
    has = model.user_ids.decode(np.unique(model.seen.users[model.seen.items == 7])).to_list()
    found = client.get(f"/v1/item-users?item={item}&limit=1000")
    assert sorted(one["user"] for one in found["users"]) == has
    assert found["total"] == len(has)
    scores = [one["score"] for one in found["users"]]
    assert scores == sorted(scores, reverse=True)
    assert scores == model.score([(one["user"], item) for one in found["users"]]).tolist()
    assert found["users"][0]["distance"] == -scores[0]
    first = int(model.user_ids.encode([found["users"][0]["user"]])[0])
    assert found["users"][0]["activity"] == model.seen.counts[first]
    page = client.get(f"/v1/item-users?item={item}&limit=2&offset=1")
    assert page["users"] == found["users"][1:3]
    assert "distance" not in client.get(f"/v1/item-users?item={item}&model=ease")["users"][0]
    client.get("/v1/item-users?item=nothing", status=404)


@pytest.mark.parametrize("name", ["sml", "ease", "popular"])
def test_two_users(client: Client, models: dict[str, Recommender], name: str) -> None:
    model = models[name]
    found = client.get(f"/v1/between?user=u003&other=u017&k=15&model={name}")
    mine, theirs = (set(model.known.items_of(row).tolist()) for row in (3, 17))
    both = model.item_ids.decode(np.array(sorted(mine & theirs), dtype=np.int32)).to_list()
    assert sorted(one["item"] for one in found["shared"]) == both
    assert found["n_shared"] == len(both)
    counts = [one["popularity"] for one in found["shared"]]
    assert counts == sorted(counts)
    assert (found["activity"], found["other_activity"]) == (len(mine), len(theirs))
    means = {}
    for row, item in enumerate(model.item_ids.values):
        if row not in mine | theirs:
            means[item] = model.score([("u003", item), ("u017", item)]).astype(np.float64).mean()
    best = sorted(means, key=lambda item: -np.float32(means[item]))[:15]
    assert [one["item"] for one in found["between"]] == best
    assert [one["rank"] for one in found["between"]] == list(range(1, 16))
    space: Any = model.scorer
    if name != "sml":
        assert found["distance"] is None
        return
    a, b = space.users[3].astype(np.float64), space.users[17].astype(np.float64)
    assert found["distance"] == pytest.approx(((a - b) ** 2).sum(), rel=1e-4)
    # Nearest to the point half-way, as the docstring says.
    far = ((space.items.astype(np.float64) - (a + b) / 2) ** 2).sum(1)
    order = [one for one in np.argsort(far) if one not in mine | theirs][:15]
    half = model.item_ids.decode(np.array(order, dtype=np.int32)).to_list()
    assert half[:5] == best[:5]
    same = client.get("/v1/between?user=u003&other=u003")
    assert same["distance"] == 0
    assert same["n_shared"] == same["activity"] == same["other_activity"]
    client.get("/v1/between?user=u003&other=nobody", status=404)


def test_reasons_say_what_was_had_together(client: Client, models: dict[str, Recommender]) -> None:
    model = models["sml"]
    item = model.recommend(["u003"], 1)["item"][0]
    found = client.get(f"/v1/explain?user=u003&item={item}")
    users = {one: set(model.seen.users[model.seen.items == one].tolist()) for one in range(80)}
    row = int(model.item_ids.encode([item])[0])
    assert [one["item"] for one in found["together"]] == [one["item"] for one in found["reasons"]]
    for one in found["together"]:
        other = int(model.item_ids.encode([one["item"]])[0])
        assert one["users"] == len(users[other])
        assert one["have_both"] == len(users[other] & users[row])


# --- how good it is -----------------------------------------------------------------------------


def measured(client: Client, name: str) -> dict[str, Any]:
    for _ in range(600):
        found = client.get(f"/v1/quality?model={name}")
        if found["status"] == "ready":
            return found
        time.sleep(0.05)
    raise AssertionError("not measured in time")


@pytest.mark.parametrize("name", ["sml", "ease", "popular"])
def test_quality_is_what_evaluate_says(
    client: Client, models: dict[str, Recommender], split: tm.Split, name: str
) -> None:
    model, found = models[name], measured(client, name)
    result = tm.evaluate(model, split)
    assert found["metrics"] == pytest.approx(result.reported)
    assert any("held-out interactions" in note for note in found["notes"])
    activity = model.seen.counts[result.users]
    ndcg = result.values("ndcg@10")
    assert sum(one["users"] for one in found["by_activity"]) == result.counts.users
    for one in found["by_activity"]:
        mask = (activity >= one["low"]) & (activity <= one["high"])
        assert one["users"] == mask.sum()
        assert one["ndcg"] == pytest.approx(np.nanmean(ndcg[mask]))
    assert sum(one["held_out"] for one in found["by_popularity"]) == result.counts.held_out
    hits = sum(one["found"] * one["held_out"] for one in found["by_popularity"])
    assert hits / result.counts.held_out == pytest.approx(result["micro_recall@10"])
    assert client.get("/v1/models")["models"][0]["measured"]


def test_quality_of_files(folder: Path, split: tm.Split, models: dict[str, Recommender]) -> None:
    parts = {"test": folder / "parts/test.parquet", "valid": folder / "parts/valid.parquet"}
    state = load_state(Settings((folder / "ease",), **parts))
    try:
        found = measured(Client(state), "ease")
    finally:
        state.close()
    assert found["metrics"] == pytest.approx(tm.evaluate(models["ease"], split).reported)


@pytest.mark.parametrize("model", [tm.SML(dim=8, epochs=2, temperature=0.2), tm.EASE()])
def test_quality_on_users_held_out_whole(model: Recommender, tmp_path: Path) -> None:
    data = tm.synthetic.planted(200, 80, dim=4, clusters=4, per_user=15, seed=1).interactions
    parts = split_users(data, test=0.2, valid=0.1, seed=0)
    parts.save(tmp_path / "parts")
    model.fit(parts.train, out=tmp_path / "m")
    state = load_state(Settings((tmp_path / "m",), test=tmp_path / "parts"))
    try:
        found = measured(Client(state), "m")
    finally:
        state.close()
    result = tm.evaluate(model, parts)
    assert found["metrics"] == pytest.approx(result.reported)
    assert sum(one["users"] for one in found["by_activity"]) == result.counts.users
    history = parts.history.to_frame()["user"].value_counts()["count"]
    assert found["by_activity"][-1]["high"] <= history.max()
    assert sum(one["held_out"] for one in found["by_popularity"]) == result.counts.held_out


def test_quality_that_cannot_be_measured(folder: Path, tmp_path: Path) -> None:
    pl.DataFrame({"user": ["x"], "item": ["y"]}).write_csv(tmp_path / "others.csv")
    state = load_state(Settings((folder / "ease",), test=tmp_path / "others.csv"))
    try:
        client = Client(state)
        for _ in range(200):
            [found] = client.ask("/v1/quality")
            if found.status_code != 200:
                break
            time.sleep(0.05)
        assert found.status_code == 422
        assert "none of the 1 interactions can be evaluated" in found.json()["error"]
    finally:
        state.close()
    with pytest.raises(DataError, match="nowhere"):
        load_state(Settings((folder / "ease",), test=tmp_path / "nowhere.csv"))
    with pytest.raises(ParameterError, match="goes with test"):
        Settings((folder / "ease",), valid=tmp_path / "others.csv")


@pytest.mark.parametrize(
    "counts", [[1], [3, 3, 3], [1, 2], list(range(100)), [1] * 90 + [2, 50], [7, 1, 7, 1]]
)
def test_groups_hold_everybody_once(counts: list[int]) -> None:
    found = groups(np.array(counts))
    assert len(found) <= 5
    assert (sum(mask.astype(int) for _, mask in found) == 1).all()
    for (span, _), (later, _) in pairwise(found):
        assert span["low"] <= span["high"] < later["low"]


def test_columns_keep_what_the_table_says(tmp_path: Path) -> None:
    pl.DataFrame({"item": [1, 2], "kind": ["a", "b"]}).write_csv(tmp_path / "items.csv")
    table = read(tmp_path / "items.csv")
    assert table.rows(pl.Series([2, 1, 5])).tolist() == [1, 0, -1]


def test_a_table_without_rows_leaves_no_item() -> None:
    table = ItemsTable(pl.DataFrame(schema={"item": pl.String, "price": pl.Float64}))
    rows = table.rows(pl.Series(["a", "b"]))
    assert chosen(table, rows, {"price": Span(max=3)}).tolist() == []
