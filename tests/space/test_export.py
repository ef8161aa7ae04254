"""Exports, read by what they are for, give the recommendations that we give."""

import contextlib
import errno
import io
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import document, done, refused
from postgres import Postgres, running

import trimetric as tm
from trimetric.data.ids import Vocabulary
from trimetric.errors import DataError, OutputError, ParameterError, Unsupported
from trimetric.space.export import KINDS
from trimetric.storage import atomic

K = 10
SIGNS = ["\t", "\n", "\r", "\\", "\\N", "\\.", "'", '"', "ä", "\u2028", ",", "{}", " "]


@pytest.fixture(scope="module", params=["int", "str"])
def model(request: pytest.FixtureRequest) -> tm.SML:
    """A model whose ids are large integers, or text that many a format must escape."""
    pairs = tm.synthetic.planted(150, 120, dim=6, clusters=6, per_user=12, seed=1).interactions
    users, items = pairs.users.tolist(), pairs.items.tolist()
    if request.param == "int":
        ids = [2**53 + 1 + row for row in users], [-row - 2**62 for row in items]
    else:
        ids = tuple([f"{SIGNS[row % 13]}{row}" for row in side] for side in (users, items))
    return tm.SML(dim=20, epochs=4, temperature=0.2).fit(tm.Interactions.from_arrays(*ids))


@pytest.fixture(scope="module")
def expected(model: tm.SML) -> dict:
    """Our ten nearest unseen items of every user: item and squared distance."""
    found = model.recommend(model.user_ids.values, K)
    return {
        user: [*zip(group["item"], group["score"], strict=True)]
        for (user,), group in found.group_by("user", maintain_order=True)
    }


def same(model: tm.SML, expected: dict, user: object, items: list) -> bool:
    """Tell whether a list is ours; where it has another item, that must be as near."""
    ours = expected[user]
    assert len(items) == len(ours)
    assert len(set(items)) == len(items)
    others = model.score([(user, item) for item in items])
    return all(
        item == mine or d2 == pytest.approx(theirs, rel=1e-5)
        for item, (mine, d2), theirs in zip(items, ours, others, strict=True)
    )


def example(folder: Path, number: int = 0, change: tuple[str, str] = ("", ""), **names: object):
    """Run a Python block of the export's README there; return what it printed and its names."""
    code = (folder / "README.md").read_text().split("```python\n")[number + 1].split("```")[0]
    said = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(said):
        exec(code.replace(*change), names)
    return said.getvalue(), names


def ids_of(folder: Path, side: str) -> list:
    """Read ids as README says."""
    if (folder / f"{side}_ids.npy").exists():
        return np.load(folder / f"{side}_ids.npy").tolist()
    return json.loads((folder / f"{side}_ids.json").read_text())


def test_npy_by_numpy_alone(model: tm.SML, expected: dict, tmp_path: Path) -> None:
    model.export("npy", tmp_path / "e")
    items, users = np.load(tmp_path / "e/items.npy"), np.load(tmp_path / "e/users.npy")
    item_ids, user_ids = ids_of(tmp_path / "e", "item"), ids_of(tmp_path / "e", "user")
    indptr, seen = (np.load(tmp_path / f"e/seen_{part}.npy") for part in ("indptr", "items"))
    for row, user in enumerate(user_ids):
        d2 = ((items - users[row]) ** 2).sum(axis=1)
        d2[seen[indptr[row] : indptr[row + 1]]] = np.inf
        rows = np.argsort(d2, kind="stable")[:K]
        assert same(model, expected, user, [item_ids[one] for one in rows])
    said, _ = example(tmp_path / "e")
    assert said.startswith(repr(user_ids[0]) if isinstance(user_ids[0], int) else user_ids[0])


def test_parquet_by_polars_alone(model: tm.SML, expected: dict, tmp_path: Path) -> None:
    model.export("parquet", tmp_path / "e")
    items = pl.read_parquet(tmp_path / "e/items.parquet")
    assert items.schema["vector"] == pl.List(pl.Float32)
    users = pl.read_parquet(tmp_path / "e/users.parquet")
    seen = pl.read_parquet(tmp_path / "e/seen.parquet")
    table = items["vector"].list.to_array(20).to_numpy()
    for user, vector in users.iter_rows():
        apart = ((table - np.array(vector, dtype=np.float32)) ** 2).sum(axis=1)
        left = items.with_columns(d2=apart).filter(
            ~pl.col("id").is_in(seen.filter(pl.col("user") == user)["item"].implode())
        )
        assert same(model, expected, user, left.sort("d2", maintain_order=True)["id"][:K].to_list())
    _, names = example(tmp_path / "e")
    first = names["nearest"]["id"][:K].to_list()
    assert same(model, expected, users["id"][0], first)


@pytest.mark.parametrize("approximate", [False, True])
def test_faiss(model: tm.SML, expected: dict, tmp_path: Path, approximate: bool) -> None:
    faiss = pytest.importorskip("faiss")
    model.export("faiss", tmp_path / "e", approximate=approximate)
    index = faiss.read_index(str(tmp_path / "e/items.faiss"))
    users = np.load(tmp_path / "e/users.npy")
    item_ids, user_ids = ids_of(tmp_path / "e", "item"), ids_of(tmp_path / "e", "user")
    _, rows = index.search(users, len(item_ids))  # this many probes look everywhere
    agree = []
    for row, user in enumerate(user_ids):
        seen = set(model.seen.items[model.seen.indptr[row] : model.seen.indptr[row + 1]].tolist())
        left = [item_ids[one] for one in rows[row].tolist() if one not in seen][:K]
        agree.append(same(model, expected, user, left))
    assert np.mean(agree) == 1
    _, names = example(tmp_path / "e")
    assert same(model, expected, user_ids[0], [item_ids[one] for one in names["rows"][0]])


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.mark.filterwarnings("ignore")
def test_pgvector_in_a_real_postgresql(
    model: tm.SML, expected: dict, tmp_path: Path, postgres: Postgres
) -> None:
    model.export("pgvector", tmp_path / "e")
    load, query = str(tmp_path / "e/load.sql"), str(tmp_path / "e/query.sql")
    for _ in range(2):  # tables of an earlier load are replaced
        postgres.ask("-f", load)
    counts = postgres.ask("-c", "SELECT count(*) FROM trimetric_seen")
    assert counts == [[str(len(model.seen.items))]]
    # All users in one query, exactly.
    lists = f"""SET enable_indexscan = off;
        SELECT u.id, near.id FROM trimetric_users u,
        LATERAL (SELECT id, embedding <-> u.embedding AS d FROM trimetric_items
          WHERE NOT EXISTS (SELECT FROM trimetric_seen WHERE user_id = u.id
            AND item_id = trimetric_items.id)
          ORDER BY d, id LIMIT {K}) near ORDER BY u.id, near.d, near.id"""
    found: dict = {}
    for user, item in postgres.ask("-c", lists):
        found.setdefault(read(model.user_ids, user), []).append(read(model.item_ids, item))
    assert found.keys() == expected.keys()
    for user, items in found.items():
        assert same(model, expected, user, items)
    # The example, by the HNSW index: ten unseen items, nearly always ours.
    agree = []
    for user in [*expected][:14]:
        items = [read(model.item_ids, row[0]) for row in postgres.ask("-f", query, user=str(user))]
        assert len(items) == K
        agree.append(same(model, expected, user, items))
    assert np.mean(agree) > 0.9
    plan = postgres.ask("-c", f"SET enable_seqscan = off; EXPLAIN {index_query(model)}")
    assert "trimetric_items_embedding" in str(plan)


def read(ids: Vocabulary, text: str) -> object:
    return int(text) if ids.kind == "int" else text


def index_query(model: tm.SML) -> str:
    vector = json.dumps(model.user_embeddings[0].tolist())
    return f"SELECT id FROM trimetric_items ORDER BY embedding <-> '{vector}' LIMIT 10"


@pytest.mark.filterwarnings("ignore")
def test_qdrant_in_its_embedded_mode(model: tm.SML, expected: dict, tmp_path: Path) -> None:
    pytest.importorskip("qdrant_client")
    model.export("qdrant", tmp_path / "e")
    _, names = example(tmp_path / "e", 0, ('url="http://localhost:6333"', 'path="store"'))
    client, models = names["client"], names["models"]
    assert client.count("items").count == len(model.item_ids)
    points, _ = client.scroll("users", limit=10_000, with_vectors=True)
    assert len(points) == len(expected)
    for user in points:
        seen = models.HasIdCondition(has_id=user.payload["seen"])
        near = client.query_points(
            "items", query=user.vector, query_filter=models.Filter(must_not=[seen]), limit=K
        ).points
        theirs = [point.payload["item"] for point in near]
        assert same(model, expected, user.payload["user"], theirs)
    said, found = example(tmp_path / "e", 1, client=client, models=models)
    first = [point.payload["item"] for point in found["answer"].points]
    assert same(model, expected, model.user_ids.values[0], first)
    assert str(model.user_ids.values[0]) in said
    client.close()


@pytest.mark.parametrize("to", KINDS)
def test_an_export_is_whole_or_not_there(model: tm.SML, to: str, tmp_path: Path) -> None:
    out = tmp_path / "a" / "e"
    about = model.export(to, out)
    assert about == json.loads((out / "manifest.json").read_text())
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    assert {*about["files"], "manifest.json"} == set(files)
    assert about["files"]["README.md"]["bytes"] == len(files["README.md"])
    assert "the nearest first" in files["README.md"].decode().replace("\n", " ")
    model.export(to, out)  # in its place, to the same bytes
    assert {path.name: path.read_bytes() for path in out.iterdir()} == files
    assert [path.name for path in out.parent.iterdir()] == ["e"]
    broken = tm.SML(dim=20, epochs=0).fit(tm.Interactions.from_arrays([1, 2], [3, 4]))
    broken._fitted = replace(broken._fitted, known=replace(broken.known, seen=None))
    with pytest.raises(AttributeError):
        broken.export(to, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == files
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("x")
    with pytest.raises(OutputError, match="not an export of trimetric"):
        model.export(to, tmp_path / "mine")
    assert os.listdir(tmp_path / "mine") == ["thesis.txt"]


def test_an_export_never_takes_away_what_is_not_its_own(model: tm.SML, tmp_path: Path) -> None:
    model.export("npy", tmp_path / "e")
    (tmp_path / "e/notes.txt").write_text("x")
    with pytest.raises(OutputError, match=r"holds 'notes\.txt' besides"):
        model.export("parquet", tmp_path / "e")
    assert (tmp_path / "e/notes.txt").read_text() == "x"
    (tmp_path / "e/notes.txt").unlink()
    (tmp_path / "link").symlink_to("e")
    model.export("parquet", tmp_path / "link")
    assert (tmp_path / "e/items.parquet").exists()
    assert sorted(os.listdir(tmp_path)) == ["e", "link"]


@pytest.mark.parametrize("stood", [False, True])
def test_an_export_that_cannot_take_its_place_leaves_the_old_one(
    model: tm.SML, tmp_path: Path, stood: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if stood:
        model.export("npy", tmp_path / "e")
    rename = os.rename

    def fails(source: Path, target: Path) -> None:
        if source.suffix == ".new":
            raise OSError(errno.EACCES, "no")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fails)
    monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)  # as on other systems
    with pytest.raises(OutputError):
        model.export("npy", tmp_path / "e")
    assert os.listdir(tmp_path) == (["e"] if stood else [])
    assert (tmp_path / "e/items.npy").exists() == stood


def test_what_a_user_has_is_in_no_list_of_the_example(tmp_path: Path) -> None:
    pairs = tm.Interactions.from_arrays([1, 1, 2, 2], [5, 6, 6, 7])
    tm.SML(dim=2, epochs=1, temperature=0.2).fit(pairs).export("npy", tmp_path / "e")
    assert example(tmp_path / "e")[0] == "1 [7]\n"


def test_what_cannot_be_exported(model: tm.SML, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="npy, parquet, faiss, pgvector, qdrant, got 'csv'"):
        model.export("csv", tmp_path / "e")
    with pytest.raises(ParameterError, match="approximate is for to='faiss'"):
        model.export("npy", tmp_path / "e", approximate=True)
    zero = tm.SML(dim=2, epochs=0).fit(tm.Interactions.from_arrays(["a\0", "b"], ["c", "d"]))
    with pytest.raises(DataError, match=r"the id 'a\\x00', which has a zero byte"):
        zero.export("pgvector", tmp_path / "e")
    ease = tm.EASE().fit(tm.Interactions.from_arrays([1, 2, 2], [3, 4, 3]))
    with pytest.raises(Unsupported, match=r"no distance .*sml, cml and fml"):
        ease.export("npy", tmp_path / "e")
    assert list(tmp_path.iterdir()) == []


def test_the_command(tmp_path: Path) -> None:
    pairs = tm.synthetic.planted(30, 40, per_user=5).interactions
    tm.SML(dim=4, epochs=1, temperature=0.2).fit(pairs).save(tmp_path / "m")
    tm.Popularity().fit(pairs).save(tmp_path / "p")
    said = done("export", "m", "--to", "parquet", "--out", "e", cwd=tmp_path)
    assert said.startswith("wrote 40 items and 30 users to e (README.md, items.parquet, seen.")
    told = document("export", "m", "--to", "npy", "--out", "e", cwd=tmp_path)
    assert (told["to"], told["items"], told["dim"]) == ("npy", 40, 4)
    assert not (tmp_path / "e/items.parquet").exists()
    assert "no distance" in refused("export", "p", "--to", "npy", "--out", "x", cwd=tmp_path)
    assert "must be one of npy" in refused("export", "m", "--to", "x", "--out", "x", cwd=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e", "m", "p"]


def test_approximate_is_a_switch(model: tm.SML, tmp_path: Path) -> None:
    for approximate in ("no", 0, None):
        with pytest.raises(ParameterError, match="approximate must be True or False"):
            model.export("faiss", tmp_path / "e", approximate=approximate)  # type: ignore[arg-type]


def test_only_an_export_is_said_to_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.csv").write_text("1")
    tm.CML(dim=4, epochs=1).fit([(1, 2), (2, 3), (3, 1)]).save(tmp_path / "m")
    said = refused("export", "m", "--to", "npy", "--out", "mine", cwd=tmp_path)
    assert "is not an export of trimetric" in said
    assert "is replaced" not in said
    said = refused("data", "split", "planted", "--out", "m", cwd=tmp_path)
    assert "holds model.json" in said
    assert "is replaced" not in said
