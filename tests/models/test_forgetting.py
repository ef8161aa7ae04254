"""Forgetting: nothing is left of what was forgotten, and the rest stays as it was."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import done, inside, refused

import trimetric as tm
from trimetric.data.csr import Csr
from trimetric.errors import DataError, OutputError, ParameterError, Superseded
from trimetric.models.batch import recommend_to_file
from trimetric.models.forgetting import (
    OWES,
    OWES_NOTHING,
    files_with,
    forget_in,
    mark_unavailable,
)
from trimetric.models.recommender import Recommender
from trimetric.storage import artifact

USER, ITEM = "user-ünïque-77", "item-ünïque-99"


def data() -> tm.Interactions:
    pairs = tm.synthetic.planted(60, 40, dim=4, clusters=4, per_user=6, seed=1).interactions
    users = [USER if u == 7 else f"u{u}" for u in pairs.users.tolist()]
    items = [ITEM if i == 9 else f"i{i}" for i in pairs.items.tolist()]
    return tm.Interactions.from_arrays(users, items)


def trained(kind: str) -> Recommender:
    model = tm.create(kind)
    known = model.get_params()
    settings = {"dim": 8, "epochs": 2, "iterations": 2, "reconstruction": 0.25}
    given = {name: value for name, value in settings.items() if name in known}
    return tm.create(kind, **given).fit(data(), progress=False)


def traces(folder: Path, needles: list[bytes]) -> list[str]:
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            body = path.read_bytes()
            found += [path.name for needle in needles if needle in body]
    return found


@pytest.mark.parametrize("kind", ["centroid", "sml", "cml", "bpr", "ials", "ease", "lrml"])
def test_no_byte_is_left(kind: str, tmp_path: Path) -> None:
    model, folder = trained(kind), tmp_path / "m"
    model.save(folder)
    user = int(model.user_ids.encode([USER])[0])
    item = int(model.item_ids.encode([ITEM])[0])
    needles = [USER.encode(), ITEM.encode()]
    for name, array in model.tensors().items():
        for side, row in (("user", user), ("own", user), ("item", item)):
            if name.startswith(side) and array.ndim == 2:
                needles.append(array[row].tobytes())
    artifact.save(folder / "checkpoint", "checkpoint", {}, dict(model.tensors()))
    assert len(traces(folder, needles)) >= len(needles)
    before = artifact.checksum(folder)
    receipt = forget_in(folder, USER, ITEM).to_dict()
    assert traces(folder, needles) == []
    assert receipt["removed"] == [str(folder / "checkpoint")]
    assert receipt["checksum_before"] == before != receipt["checksum_after"]
    assert receipt["fingerprint_before"] == data().fingerprint != receipt["fingerprint_after"]
    assert (receipt["users"], receipt["items"]) == ([USER], [ITEM])
    json.dumps(receipt)
    left = tm.load(folder)
    assert left.provenance["forgotten"] == [{"users": 1, "items": 1}]
    assert len(left.recommend(left.user_ids.values, 3)["user"].unique()) == 59


@pytest.mark.parametrize("kind", ["popularity", "itemknn", "ease"])
def test_closed_forms_are_those_of_what_is_left(kind: str) -> None:
    model, frame = trained(kind), data().to_frame()
    model.forget(USER, ITEM)
    rest = frame.filter((pl.col("user") != USER) & (pl.col("item") != ITEM))
    again = tm.create(kind).fit(tm.Interactions.from_frame(rest))
    users = again.user_ids.values
    pairs = model.recommend(users, 10).select("user", "item")
    assert model.score(pairs) == pytest.approx(again.score(pairs), rel=1e-5)


def test_means_of_centroids_are_taken_anew() -> None:
    """A user who had the item is placed as a new user with the rest is; others keep their bits."""
    model = tm.CentroidML(dim=8, epochs=2, own=0, kappa=0, reconstruction=0.25, bias_rate=0)
    model.fit(data(), progress=False)
    before = model.snapshot()
    model.forget(items=ITEM)
    had = before.seen.take(np.arange(60)).contains(
        type(before.seen).from_pairs(
            np.arange(60), np.full(60, before.item_ids.encode([ITEM])[0]), 60
        )
    )
    assert 0 < had.sum() < 60
    assert (model.user_embeddings[~had] == before.user_embeddings[~had]).all()
    frame = data().to_frame()
    for row in np.flatnonzero(had):
        user = model.user_ids.values[int(row)]
        rest = frame.filter((pl.col("user") == user) & (pl.col("item") != ITEM))["item"]
        assert model.user_embeddings[row] == pytest.approx(before.fold_in(rest), abs=1e-6)


def test_centroid_items_lose_the_users_who_go() -> None:
    model = tm.CentroidML(dim=8, epochs=2, kappa=1.0, reconstruction=0)
    model.fit(data(), progress=False)
    before = model.snapshot()
    theirs = set(data().to_frame().filter(pl.col("user") == USER)["item"])
    model.forget(USER)
    moved = (model.item_embeddings[:, :8] != before.item_embeddings[:, :8]).any(axis=1)
    assert {item for item, m in zip(model.item_ids.values, moved, strict=True) if m} == theirs
    stays = np.flatnonzero(before.user_ids.values != USER)
    assert (model.user_embeddings == before.user_embeddings[stays]).all()


def test_files_that_still_hold_them_are_named(tmp_path: Path) -> None:
    model = trained("sml")
    model.save(tmp_path / "m")
    for name in ("a.parquet", "b.csv", "c.jsonl"):
        recommend_to_file(model, tmp_path / "lists" / name, [USER, "u1"], 3)
    recommend_to_file(model, tmp_path / "lists" / "other.csv", ["u1"], 1, deny=[ITEM])
    model.export("npy", tmp_path / "export")
    model.save(tmp_path / "copy")
    receipt = forget_in(
        tmp_path / "m", USER, search=[tmp_path / "lists", tmp_path / "export", tmp_path / "copy"]
    )
    held = {Path(path).name for path in receipt.still_held}
    assert {"a.parquet", "b.csv", "c.jsonl", "model.json"} <= held
    assert "other.csv" not in held
    assert any("export" in path for path in receipt.still_held)


@pytest.mark.parametrize("kind", ["npy", "parquet", "faiss", "pgvector", "qdrant"])
@pytest.mark.parametrize("ids", ["numbers", "text", "odd text"])
def test_exports_hold_ids_and_no_row_or_coordinate_is_taken_for_one(
    kind: str, ids: str, tmp_path: Path
) -> None:
    if kind == "faiss":
        pytest.importorskip("faiss")
    to_id = {"numbers": int, "text": "id{}".format, "odd text": 'a\\"\t{}\\n'.format}[ids]
    pairs = tm.synthetic.planted(12, 10, dim=4, clusters=2, per_user=2, seed=1).interactions
    users, items = map(to_id, pairs.users.tolist()), map(to_id, pairs.items.tolist())
    model = tm.create("cml", dim=4, epochs=1, temperature=0.0)
    model.fit((list(users), list(items)), progress=False).set_unavailable([to_id(5)])
    model.export(kind, tmp_path / "before")
    user, item = to_id(0), to_id(5)

    def named(folder: str, users: list, items: list) -> set[str]:
        return {Path(one).name for one in files_with([tmp_path / folder], users, items)}

    files = {
        "npy": ({"user_ids.npy"}, {"item_ids.npy"}),
        "parquet": ({"users.parquet", "seen.parquet"}, {"items.parquet", "seen.parquet"}),
        "pgvector": ({"load.sql", "README.md"}, {"load.sql"}),
        "qdrant": ({"users.jsonl"}, {"items.jsonl"}),
    }
    of_users, of_items = files["npy" if kind == "faiss" else kind]
    if ids != "numbers":
        of_users, of_items = (
            {name.replace(".npy", ".json") for name in one} for one in (of_users, of_items)
        )
    assert named("before", [user], []) == of_users
    assert named("before", [], [item]) == of_items | {"manifest.json"}
    model.forget(user, item)
    model.export(kind, tmp_path / "after")
    assert named("after", [user], [item]) == set()


@pytest.mark.parametrize("kind", ["npy", "parquet", "faiss", "pgvector", "qdrant"])
@pytest.mark.parametrize("ids", [("Zoë O'Neil \\1", 'Jam "extra"\t#5'), (7, 3)])
def test_exports_that_still_hold_them_are_named(kind: str, ids: tuple, tmp_path: Path) -> None:
    """In every form of an export an id is found as that form writes it, and rows are no ids."""
    user, item = ids
    text = isinstance(user, str)
    others = ([f"u{n}" for n in range(9)], "ab") if text else (list(range(20, 29)), (30, 31))
    pairs = [(one, other) for one in others[0] for other in others[1]][:-1]
    model = tm.CentroidML(dim=2, epochs=1, temperature=0.2, kappa=1, reconstruction=0)
    model.fit(tm.Interactions([*pairs, (user, others[1][0]), (others[0][0], item)]), progress=False)
    export = tmp_path / "export"

    def held(users: list, items: list) -> set[str]:
        model.export(kind, export)
        return {Path(path).name for path in files_with([export], users, items)} - {"README.md"}

    of_users, of_items = {
        "npy": ({"user_ids"}, {"item_ids"}),
        "faiss": ({"user_ids"}, {"item_ids"}),
        "parquet": ({"users.parquet", "seen.parquet"}, {"items.parquet", "seen.parquet"}),
        "pgvector": ({"load.sql"}, {"load.sql"}),
        "qdrant": ({"users.jsonl"}, {"items.jsonl"}),
    }[kind]
    if kind in ("npy", "faiss"):
        suffix = ".json" if text else ".npy"
        of_users, of_items = {f"user_ids{suffix}"}, {f"item_ids{suffix}"}
    assert held([user], []) == of_users
    assert held([], [item]) == of_items
    model.set_unavailable([item])
    assert held([], [item]) == {*of_items, "manifest.json"}
    model.forget(user, item)
    assert held([user, 0, 1], [item, 0, 1]) == set()


def test_an_example_of_an_export_that_names_a_user_is_found(tmp_path: Path) -> None:
    model = tm.CentroidML(dim=2, epochs=1, temperature=0.2, kappa=1, reconstruction=0)
    model.fit(tm.Interactions([("O'Neil", "a"), ("b", "c")]), progress=False)
    model.export("pgvector", tmp_path)
    held = {Path(path).name for path in files_with([tmp_path], ["O'Neil"], [])}
    assert held == {"README.md", "load.sql"}
    assert [Path(path).name for path in files_with([tmp_path], ["b"], [])] == ["load.sql"]


def test_logs_are_searched_and_what_cannot_be_is_refused_before(tmp_path: Path) -> None:
    model = trained("popularity")
    model.save(tmp_path / "m")
    log = data().to_frame().rename({"user": "Customer", "item": "Product"})
    log.write_csv(tmp_path / "orders.csv")
    log.write_csv(tmp_path / "orders.txt")
    log.rename({"Customer": "who", "Product": "what"}).write_csv(tmp_path / "odd.csv")
    before = artifact.checksum(tmp_path / "m")
    for name in ("missing.csv", "orders.txt", "odd.csv"):
        with pytest.raises(DataError, match=f"cannot search .*{name}"):
            forget_in(tmp_path / "m", USER, search=[tmp_path / name])
    assert artifact.checksum(tmp_path / "m") == before
    receipt = forget_in(tmp_path / "m", USER, search=iter([tmp_path / "orders.csv"]))
    assert receipt.still_held == [str(tmp_path / "orders.csv")]


def test_the_command(tmp_path: Path) -> None:
    trained("sml").save(tmp_path / "m")
    said = done("forget", tmp_path / "m", "--user", USER, "--item", ITEM)
    assert "forgot 1 users, 1 items" in said
    assert "1 unknown user" in refused("forget", tmp_path / "m", "--user", USER)
    assert "give --user" in refused("forget", tmp_path / "m")
    (tmp_path / "out.txt").write_text("i1\ni2\nnone\n")
    said = done("unavailable", tmp_path / "m", "--items-file", tmp_path / "out.txt")
    assert "2 items are unavailable" in said
    assert mark_unavailable(tmp_path / "m", ["i3"], "add") == (3, 0)
    assert tm.load(tmp_path / "m").unavailable.to_list() == ["i1", "i2", "i3"]
    assert mark_unavailable(tmp_path / "m", ["i1"], "remove") == (2, 0)
    said = inside("export", tmp_path / "m", "--to", "npy", "--out", tmp_path / "e").stderr
    assert "2 items that are marked as unavailable are in it" in said
    rows = done("recommend", tmp_path / "m", "--user", "u1", "-k", "50")
    assert " i2 " not in rows


def test_a_save_in_between_is_not_lost(tmp_path: Path) -> None:
    model = trained("popularity")
    model.save(tmp_path / "m")
    stale = artifact.checksum(tmp_path / "m")
    model.set_unavailable(["i1"]).save(tmp_path / "m")
    with pytest.raises(Superseded, match="another save came"):
        model.set_unavailable([]).save(tmp_path / "m", replaces=stale)
    assert issubclass(Superseded, OutputError)
    assert tm.load(tmp_path / "m").unavailable.to_list() == ["i1"]


def test_unavailable_items_survive_a_new_day() -> None:
    model = tm.CentroidML(dim=8, epochs=1, reconstruction=0).fit(data(), progress=False)
    model.set_unavailable(["i1", "i3"])
    model.partial_fit((["a", "zz"], ["a0", "zz"]), epochs=0, progress=False)
    assert model.unavailable.to_list() == ["i1", "i3"]
    model.forget(items="i1")
    assert model.unavailable.to_list() == ["i3"]


def test_the_receipt_counts_what_went() -> None:
    model, frame = trained("sml"), data().to_frame()
    theirs = frame.filter((pl.col("user") == USER) | (pl.col("item").is_in([ITEM, "i3"])))
    before = {name: len(array) for name, array in model.tensors().items()}
    receipt = model.forget([USER], [ITEM, "i3"]).to_dict()
    assert receipt["interactions"] == len(theirs) > 0
    gone = {"user": 1, "item": 2}
    assert receipt["rows"] == {
        name: gone[side] for name in before for side in gone if name.startswith(side)
    }
    after = {name: len(array) for name, array in model.tensors().items()}
    assert {name: before[name] - after[name] for name in receipt["rows"]} == receipt["rows"]
    for name in ("folder", "checksum_before", "checksum_after", "removed", "still_held"):
        assert name not in receipt
    assert model.provenance["forgotten"] == [{"users": 1, "items": 2}]
    fewer = model.forget(users=["u1", "u2", "u1"])
    assert set(fewer.rows.values()) == {2}
    assert {name[:4] for name in fewer.rows} == {"user"}
    assert model.provenance["forgotten"][1:] == [{"users": 2, "items": 0}]


def test_what_is_left_in_other_rows_is_said() -> None:
    split = tm.split_per_user(data(), test=0.2, valid=0.2, seed=0)
    for kind, owes in (("popularity", OWES_NOTHING), ("ease", OWES_NOTHING), ("sml", OWES)):
        assert trained(kind).forget(USER).owes == owes
        more = trained(kind).fit(split.train).mark_seen(split.valid)  # of which it was not trained
        assert more.forget(USER).owes == OWES


def test_nobody_or_nothing_left_is_refused() -> None:
    model = trained("popularity")
    users, items = model.user_ids.values.to_list(), model.item_ids.values.to_list()
    for given, told in (
        ({"users": users}, "no user would be left"),
        ({"items": items}, "no item would be left"),
        ({}, "nothing to forget"),
        ({"users": []}, "nothing to forget"),
    ):
        with pytest.raises(ParameterError, match=told):
            model.forget(**given)
    assert len(model.user_ids) == len(users)
    model.forget(users[1:], items[1:])
    assert (model.user_ids.values.to_list(), model.item_ids.values.to_list()) == (
        users[:1],
        items[:1],
    )


def test_what_is_marked_and_validated_follows_its_rows() -> None:
    split = tm.split_per_user(data(), test=0.2, valid=0.2, seed=0)
    model = tm.SML(dim=8, epochs=1).fit(split.train, split.valid, progress=False)
    first, last = model.item_ids.values[0], model.item_ids.values[-2]
    assert model.item_ids.values[-1] == ITEM
    model.set_unavailable([first, last])
    model.forget(USER, ITEM)
    assert model.unavailable.to_list() == [first, last]
    left = split.valid.to_frame().filter((pl.col("user") != USER) & (pl.col("item") != ITEM))
    validated = model._state.known.validated
    pairs = zip(
        model.user_ids.decode(validated.users), model.item_ids.decode(validated.items), strict=True
    )
    assert sorted(pairs) == sorted(left.select("user", "item").rows())
    assert isinstance(validated, Csr)


def test_forgotten_elsewhere_leaves_the_model_and_names_it(tmp_path: Path) -> None:
    model = trained("popularity")
    model.save(tmp_path / "m")
    receipt = forget_in(tmp_path / "m", USER, out=tmp_path / "less")
    assert receipt.still_held == [str(tmp_path / "m")]
    assert receipt.folder == str(tmp_path / "less")
    assert USER in tm.load(tmp_path / "m").user_ids.values
    assert USER not in tm.load(tmp_path / "less").user_ids.values
    mark_unavailable(tmp_path / "m", ["i1"], out=tmp_path / "marked")
    assert tm.load(tmp_path / "m").unavailable.to_list() == []
    assert tm.load(tmp_path / "marked").unavailable.to_list() == ["i1"]
    for folder, out in (("s3://b/m", None), (tmp_path / "m", "s3://b/m"), ("s3://b/m", "m")):
        with pytest.raises(ParameterError, match="needs folders of this machine"):
            forget_in(folder, USER, out=out)


def test_marked_items_are_counted(tmp_path: Path) -> None:
    model = trained("popularity")
    model.save(tmp_path / "m")
    first = model.item_ids.values[0]
    assert mark_unavailable(tmp_path / "m", [first, "nope", "i5"]) == (2, 1)
    assert mark_unavailable(tmp_path / "m", [first], "remove") == (1, 0)
    assert mark_unavailable(tmp_path / "m", ["nope", "never"], "add") == (1, 2)
    with pytest.raises(ParameterError, match="items must be a list of ids, got 'i1'"):
        mark_unavailable(tmp_path / "m", "i1")
    with pytest.raises(ParameterError, match="change must be replace, add or remove"):
        mark_unavailable(tmp_path / "m", ["i1"], "toggle")


@pytest.mark.parametrize("others", [0, 4, 5])
def test_saves_in_between_are_read_again_up_to_five_times(
    others: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process saves the model after each of the first reads."""
    model, folder = trained("popularity"), tmp_path / "m"
    names = [f"i{n}" for n in range(20) if f"i{n}" in set(model.item_ids.values)]
    read, reads = tm.load, 0

    def interrupted(path: Path) -> Recommender:
        nonlocal reads
        found, reads = read(path), reads + 1
        if reads <= others:
            read(path).set_unavailable(names[:reads]).save(path)
        return found

    monkeypatch.setattr("trimetric.models.load", interrupted)
    for change in (
        lambda: forget_in(folder, iter([USER])),
        lambda: mark_unavailable(folder, iter([ITEM]), "add"),
    ):
        model.save(folder)
        reads = 0
        if others == 5:
            with pytest.raises(Superseded):
                change()
        else:
            change()
        assert reads == min(others + 1, 5)
        left = read(folder)
        marked = set(left.unavailable) - {ITEM}
        assert marked == set(names[:others])
        changed = USER not in left.user_ids.values or ITEM in left.unavailable
        assert changed == (others < 5)


def test_users_left_without_interactions_do_not_stop_lists_for_all(tmp_path: Path) -> None:
    pairs = [("ann", "tea"), ("ann", "jam"), ("bob", "tea"), ("bob", "egg"), ("lone", "pie")]
    model, folder = tm.Popularity().fit(pairs), tmp_path / "m"
    model.save(folder)
    forget_in(folder, None, "pie")
    left = tm.load(folder)
    assert "lone" in left.user_ids
    assert recommend_to_file(left, tmp_path / "lists.csv") == len(left.recommend()) == 2
    with_popular = recommend_to_file(left, tmp_path / "more.csv", on_unknown="popular")
    assert with_popular == 2 + len(left.item_ids)
    told = done("recommend", folder, "--all", "--out", tmp_path / "all.csv")
    assert "wrote 2 recommendations for 2 users" in told
    told = done("recommend", folder, "--all", "--on-unknown", "popular", "--out", "-")
    assert told.count("lone") == len(left.item_ids)
    told = refused("recommend", folder, "lone")
    assert "1 unknown user: 'lone'" in told
    assert "did you mean" not in told


def test_places_are_named_and_no_text_is_taken_for_a_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The empty text is the current folder, and the letters of a path are no paths."""
    monkeypatch.chdir(tmp_path)
    model = trained("popularity")
    model.save("m")
    user = model.user_ids.values[0]
    model.recommend([user], 1).write_csv("lists.csv")
    for out in ("", 5, b"n"):
        words = "out is the empty text" if out == "" else "out must be a path"
        with pytest.raises(ParameterError, match=words):
            forget_in("m", user, out=out)  # type: ignore[arg-type]
        with pytest.raises(ParameterError, match=words):
            mark_unavailable("m", [], out=out)  # type: ignore[arg-type]
    for search in ("", None, [5]):
        with pytest.raises(ParameterError, match=r"search (is the empty text|must be a path)"):
            forget_in("m", user, search=search)  # type: ignore[arg-type]
    assert user in tm.load("m").user_ids
    assert not Path("model.json").exists()
    found = forget_in("m", user, out="n", search="lists.csv")  # type: ignore[arg-type]
    assert "lists.csv" in found.still_held
