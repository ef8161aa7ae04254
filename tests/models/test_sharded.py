"""Models in parts: the same tensors and the same answers as the model that was divided."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from divided import KINDS, P, interactions, trained
from hypothesis import given, settings
from hypothesis import strategies as st

import trimetric as tm
from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.errors import (
    ArtifactError,
    OutputError,
    ParameterError,
    ResourceError,
    Superseded,
    UnknownIds,
    Unsupported,
)
from trimetric.models import is_sharded, open_model
from trimetric.models.sharded import ShardedModel
from trimetric.models.sharded_index import partitions_in
from trimetric.models.sharded_writing import ShardedWriter
from trimetric.scale.hashing import USERS, part_of
from trimetric.storage import artifact, memory


@pytest.fixture(scope="module", params=[*KINDS])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model, and the same in parts."""
    data = interactions("str" if request.param in ("cml", "means") else "int")
    model = trained(request.param, data)
    model.mark_seen(pl.DataFrame({"user": data.user_ids[:3], "item": data.item_ids[:3]}))
    model.set_unavailable(data.item_ids[4:6])
    folder = tmp_path_factory.mktemp("m") / "m"
    model.save(folder, partitions=P)
    return model, ShardedModel.open(folder)


def same_model(one: Any, other: Any) -> None:
    before, after = one.tensors(), other.tensors()
    assert before.keys() == after.keys()
    for name, array in before.items():
        assert array.dtype == after[name].dtype
        assert array.tobytes() == np.ascontiguousarray(after[name]).tobytes(), name
    for side in ("user_ids", "item_ids"):
        assert getattr(one.known, side).values.equals(getattr(other.known, side).values)
    for a, b in zip(one.seen, other.seen, strict=True):
        assert np.array_equal(a, b)
    assert np.array_equal(one.known.unavailable, other.known.unavailable)
    if one.known.weights is None:
        assert other.known.weights is None
    else:
        assert np.array_equal(one.known.weights, other.known.weights)
    assert one.get_params() == other.get_params()
    assert (one.provenance, one.history) == (other.provenance, other.history)


def test_the_whole_is_the_model_that_was_divided(pair: Any) -> None:
    model, sharded = pair
    for whole in (sharded.whole(), sharded.whole(mapped=True), tm.load(sharded.folder)):
        same_model(model, whole)
        assert whole.recommend(k=3).equals(model.recommend(k=3))


@pytest.mark.parametrize("kind", ["int", "str"])
@pytest.mark.parametrize("name", ["sml", "centroid"])
def test_weights_stay_with_their_pairs(name: str, kind: str, tmp_path: Path) -> None:
    model = trained(name, interactions(kind, weighted=True))
    model.save(tmp_path / "m", partitions=3)
    same_model(model, tm.load(tmp_path / "m"))
    users = model.user_ids[:9]
    lists = ShardedModel.open(tmp_path / "m").recommend(users, 5)
    assert lists.equals(model.recommend(users, 5))


@pytest.mark.parametrize("partitions", [1, 2, 300])
def test_any_number_of_parts_even_empty_ones(partitions: int, tmp_path: Path) -> None:
    model = trained("sml", interactions())
    model.save(tmp_path / "m", partitions=partitions)
    sharded = ShardedModel.open(tmp_path / "m")
    assert (sharded.n_parts, sharded.n_users) == (partitions, 90)
    if partitions == 300:
        empty = int(np.flatnonzero(sharded.part_sizes == 0)[0])
        assert len(sharded.part(empty).user_ids) == 0
        item = model.item_ids[0]
        assert sharded.part(empty).similar_items([item], 3).equals(model.similar_items([item], 3))
    same_model(model, sharded.whole())
    users = model.user_ids[:20]
    assert sharded.similar_users(users, 4).equals(model.similar_users(users, 4))


def test_a_part_is_an_ordinary_model(pair: Any) -> None:
    model, sharded = pair
    seen = 0
    for number, part in enumerate(sharded.parts()):
        users = part.user_ids.values
        assert (sharded.part_of(users) == number).all()
        assert part.recommend(users, 5).equals(model.recommend(users, 5))
        assert np.array_equal(part.known.popularity, model.known.popularity)
        seen += len(part.seen.items)
    assert seen == sharded.n_interactions == len(model.seen.items)


def test_answers_are_those_of_the_whole(pair: Any) -> None:
    model, sharded = pair
    users = [*model.user_ids[::3], model.user_ids[3], model.user_ids[3]]
    items = model.item_ids[:4].to_list()
    stranger = -7 if model.user_ids.kind == "int" else "nobody"
    for options in (
        {},
        {"exclude_seen": False, "k": 80},
        {"deny": items, "diversity": 0.3},
        {"allow": {user: items for user in users}},
    ):
        options = {"k": 5, **options}
        assert sharded.recommend(users, **options).equals(model.recommend(users, **options))
    for on_unknown in ("popular", "skip"):
        asked = [users[0], stranger, users[1]]
        one = sharded.recommend(asked, 5, on_unknown=on_unknown)
        assert one.equals(model.recommend(asked, 5, on_unknown=on_unknown), null_equal=True)
    assert sharded.similar_users(users, 6).equals(model.similar_users(users, 6))
    near = {"allow": model.user_ids[:20], "deny": model.user_ids[:3]}
    assert sharded.similar_users(users, 6, **near).equals(model.similar_users(users, 6, **near))
    some = model.item_ids[2:20].to_list()
    once = sharded.recommend(iter(users), 5, allow=iter(some), deny=iter(items))
    assert once.equals(model.recommend(users, 5, allow=some, deny=items))
    once = sharded.similar_users(iter(users), 6, **{name: iter(ids) for name, ids in near.items()})
    assert once.equals(model.similar_users(users, 6, **near))
    assert sharded.similar_items(items, 5).equals(model.similar_items(items, 5))
    assert sharded.recommend_for(items, 5).equals(model.recommend_for(items, 5))
    assert np.array_equal(sharded.fold_in(items), model.fold_in(items))
    pairs = [(user, item) for user in users[:5] for item in items]
    assert np.array_equal(sharded.score(pairs), model.score(pairs))
    why, expected = (one.explain(users[1], items[1]) for one in (sharded, model))
    assert why.to_dict() == expected.to_dict()


def test_no_users_are_answered_by_a_frame_as_asked_for(pair: Any) -> None:
    pandas = pytest.importorskip("pandas")
    for model in pair:
        found = model.recommend(pandas.Series([], dtype=object), 3)
        assert isinstance(found, pandas.DataFrame)
        assert list(found.columns) == model.recommend([], 3).columns


def test_errors_are_those_of_the_whole(pair: Any) -> None:
    model, sharded = pair
    number = model.user_ids.kind == "int"
    strangers = [-1, -2, -3] if number else ["x", "y", "z"]
    known, other_type = model.user_ids[0], ["7"] if number else [7]
    asked = [strangers[0], known, *strangers[1:]]
    for ids in (asked, [known, *other_type], other_type):
        for question in ("recommend", "similar_users"):
            with pytest.raises(UnknownIds) as expected:
                getattr(model, question)(ids)
            with pytest.raises(UnknownIds) as error:
                getattr(sharded, question)(ids)
            assert error.value.ids == expected.value.ids
            assert str(error.value) == str(expected.value)
    with pytest.raises(UnknownIds):
        sharded.explain(strangers[0], model.item_ids[0])
    with pytest.raises(UnknownIds):
        sharded.score([(strangers[0], model.item_ids[0])])
    with pytest.raises(ParameterError, match="k must be"):
        sharded.recommend([known], 0)
    with pytest.raises(IndexError):
        sharded.part(P)
    assert (sharded.part_of(other_type) == -1).all()


def test_files_of_all_users(pair: Any, tmp_path: Path) -> None:
    from trimetric.models.batch import recommend_to_file

    model, sharded = pair
    # Of users without interactions there is no list.
    rows = recommend_to_file(sharded, tmp_path / "s.parquet", k=5, progress=False)
    assert rows == recommend_to_file(model, tmp_path / "m.parquet", k=5, progress=False)
    files = [pl.read_parquet(tmp_path / f"{name}.parquet") for name in "sm"]
    assert files[0].sort("user", "rank").equals(files[1].sort("user", "rank"))


def test_few_parts_are_in_memory(pair: Any) -> None:
    _, sharded = pair
    one = ShardedModel.open(sharded.folder, kept=1)
    first = one.part(0)
    assert one.part(0) is first
    one.part(1)
    assert len(one._parts) == 1
    assert one.part(0) is not first


def test_a_model_is_saved_over_by_either_kind(tmp_path: Path) -> None:
    one, other = (trained("sml", interactions(), seed=seed) for seed in (0, 1))
    for model, partitions in ((one, 3), (other, 2), (one, None), (other, 3), (one, 3)):
        model.save(tmp_path / "m", partitions=partitions)
        assert partitions_in(tmp_path / "m") == partitions
        assert is_sharded(open_model(tmp_path / "m")) == (partitions is not None)
        same_model(model, tm.load(tmp_path / "m"))
        shards = 0 if partitions is None else partitions + 1
        assert len([*(tmp_path / "m").iterdir()]) == 2 + 2 * shards
    again = artifact.checksum(tmp_path / "m")
    one.save(tmp_path / "m", partitions=3)
    assert artifact.checksum(tmp_path / "m") == again
    with pytest.raises(Superseded):
        other.save(tmp_path / "m", partitions=2, replaces="0" * 64)
    same_model(one, tm.load(tmp_path / "m"))
    assert len([*(tmp_path / "m").iterdir()]) == 2 + 2 * 4


def test_a_model_that_was_replaced_says_so(tmp_path: Path) -> None:
    one, other = (trained("sml", interactions(), seed=seed) for seed in (0, 1))
    one.save(tmp_path / "m", partitions=3)
    sharded = ShardedModel.open(tmp_path / "m", kept=1)
    first = sharded.part(0)
    other.save(tmp_path / "m", partitions=3)
    assert sharded.is_replaced()
    user = first.user_ids[0]
    assert sharded.recommend([user]).equals(one.recommend([user]))  # it is in memory still
    with pytest.raises(ArtifactError, match="was saved again since it was opened; open it again"):
        sharded.part(1)


@pytest.mark.parametrize("name", ["bpr", "ease", "itemknn", "popularity", "ials", "fml", "transcf"])
def test_models_that_cannot_be_divided_say_so(name: str, tmp_path: Path) -> None:
    model = tm.create(name)
    model = tm.create(name, **({"epochs": 1} if "epochs" in model.get_params() else {}))
    model.fit(interactions(), progress=False)
    with pytest.raises(Unsupported, match=f"{name} cannot be saved in parts; centroid, sml"):
        model.save(tmp_path / "m", partitions=2)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("partitions", [0, -1, 1.5, "2", True, 10**6])
def test_impossible_numbers_of_parts(partitions: Any, tmp_path: Path) -> None:
    model = trained("sml", interactions())
    with pytest.raises(ParameterError, match="partitions must be a whole number"):
        model.save(tmp_path / "m", partitions=partitions)
    assert not (tmp_path / "m").exists()


def test_what_is_larger_than_memory(
    pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, sharded = pair
    monkeypatch.setattr(memory, "available", lambda: 1000)
    with pytest.raises(ResourceError, match=r"takes about [\d,]+ bytes of memory and 1,000 are av"):
        tm.load(sharded.folder)
    monkeypatch.setattr(memory, "available", lambda: None)
    tm.load(sharded.folder)


def test_memory_that_is_available() -> None:
    free = memory.available()
    assert free is None or free > 2**20


# --- the writer -----------------------------------------------------------------------------------


def pieces(model: Any, partitions: int) -> list[tuple[dict, Vocabulary, Csr]]:
    parts = part_of(model.user_ids, partitions, USERS)
    out = []
    for part in range(partitions):
        rows = np.flatnonzero(parts == part)
        tensors = {"users": model.tensors()["users"][rows]}
        ids = Vocabulary(model.user_ids.values.gather(rows))
        out.append((tensors, ids, model.seen.take(rows)))
    return out


@pytest.fixture(scope="module")
def plain() -> Any:
    return trained("base+s", interactions())


def writer(model: Any, folder: Path, partitions: int = 3) -> ShardedWriter:
    about = (model.name, model.get_params(), model.provenance, model.history)
    return ShardedWriter(folder, *about, partitions)


def test_parts_come_in_any_order(plain: Any, tmp_path: Path) -> None:
    plain.save(tmp_path / "a", partitions=3)
    with writer(plain, tmp_path / "b") as out:
        out.items({"items": plain.tensors()["items"]}, plain.item_ids)
        for part in (2, 0, 1):
            out.users(part, *pieces(plain, 3)[part])
        out.finish()
    names = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in "ab"]
    assert names[0] == names[1]
    same_model(plain, tm.load(tmp_path / "b"))


@pytest.mark.slow
def test_an_empty_part_has_ids_of_the_models_type(tmp_path: Path) -> None:
    model = trained("base+s", interactions("str"))
    parts = part_of(model.user_ids, 300, USERS)
    with writer(model, tmp_path / "m", 300) as out:
        out.items({"items": model.tensors()["items"]}, model.item_ids)
        for part, (tensors, ids, seen) in enumerate(pieces(model, 300)):
            none = Vocabulary(pl.Series("id", [], dtype=pl.Int64))
            out.users(part, tensors, ids if len(ids) else none, seen)
        out.finish()
    sharded = ShardedModel.open(tmp_path / "m")
    empty = next(part for part in range(300) if part not in parts)
    assert sharded.part(empty).user_ids.kind == "str"
    same_model(model, sharded.whole())
    for stranger in ("a", "b", "c", "d"):
        with pytest.raises(UnknownIds, match=f"1 unknown user: '{stranger}'; "):
            sharded.recommend([stranger])


def test_what_is_not_finished_leaves_nothing(plain: Any, tmp_path: Path) -> None:
    with writer(plain, tmp_path / "m") as out:
        out.items({"items": plain.tensors()["items"]}, plain.item_ids)
        out.users(0, *pieces(plain, 3)[0])
    assert not (tmp_path / "m").exists()
    plain.save(tmp_path / "m")
    with writer(plain, tmp_path / "m") as out:
        out.items({"items": plain.tensors()["items"]}, plain.item_ids)
        with pytest.raises(ParameterError, match=r"parts \[0, 1, 2\] of 3 were not written"):
            out.finish()
    same_model(plain, tm.load(tmp_path / "m"))
    assert len([*(tmp_path / "m").iterdir()]) == 2


def test_what_does_not_fit_is_refused(plain: Any, tmp_path: Path) -> None:
    parts = pieces(plain, 3)
    tensors, ids, seen = parts[0]
    with writer(plain, tmp_path / "m") as out:
        with pytest.raises(ParameterError, match="give items"):
            out.users(0, *parts[0])
        with pytest.raises(ParameterError, match="'users' is of users"):
            out.items(plain.tensors(), plain.item_ids)
        out.items({"items": plain.tensors()["items"]}, plain.item_ids)
        for wrong in (
            ({"users": tensors["users"][1:]}, ids, seen),
            ({**tensors, "items": tensors["users"]}, ids, seen),
            (tensors, ids, seen.take(np.arange(1))),
            (tensors, ids, Csr(seen.indptr, seen.items + 1000)),
            (tensors, ids, seen, np.ones(len(seen.items) - 1, dtype=np.float32)),
        ):
            with pytest.raises(ParameterError, match="do not fit each other"):
                out.users(0, *wrong)
        with pytest.raises(ParameterError, match="belong to other parts"):
            out.users(1, *parts[0])
        out.users(0, *parts[0])
        for again in (0, 3, -1):
            with pytest.raises(ParameterError, match="was written or does not exist"):
                out.users(again, *parts[0])


def test_a_folder_that_is_none(plain: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        plain.save(tmp_path / "file" / "m", partitions=2)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.json").write_text('{"of": "somebody else"}')
    with pytest.raises(OutputError, match="not a trimetric artifact"):
        plain.save(tmp_path / "other", partitions=2)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["model.json"]


@settings(max_examples=20)
@given(
    st.lists(st.one_of(st.text(max_size=5), st.sampled_from("abc")), min_size=1, unique=True),
    st.integers(1, 7),
)
def test_every_id_is_in_the_part_of_its_hash(ids: list[str], partitions: int) -> None:
    vocabulary = Vocabulary.from_values(pl.Series("id", ids, dtype=pl.String))
    parts = part_of(vocabulary, partitions, USERS)
    assert ((parts >= 0) & (parts < partitions)).all()
    one_by_one = [
        int(part_of(Vocabulary(vocabulary.values[at : at + 1]), partitions, USERS)[0])
        for at in range(len(vocabulary))
    ]
    assert parts.tolist() == one_by_one
