"""Forgetting and marking in a model in parts: as in the whole, with a part at a time in memory."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from command import document, inside, refused
from divided import KINDS, P, interactions, trained

import trimetric as tm
from trimetric.errors import ParameterError, Superseded, UnknownIds
from trimetric.models.forgetting import forget_in, mark_unavailable
from trimetric.models.sharded import ShardedModel
from trimetric.storage import artifact


@pytest.fixture(scope="module", params=[*KINDS])
def model(request: pytest.FixtureRequest) -> Any:
    weighted = request.param in ("sml", "centroid")
    data = interactions("str" if request.param in ("cml", "means") else "int", weighted)
    model = trained(request.param, data)
    model.mark_seen(pl.DataFrame({"user": data.user_ids[:3], "item": data.item_ids[:3]}))
    return model.set_unavailable(data.item_ids[4:6])


def shards(folder: Path) -> dict[str, str]:
    """Return the manifest of each part's shard."""
    users = artifact.meta(folder)["users"]
    return {str(part): one["manifest"] for part, one in enumerate(users)}


@pytest.fixture(autouse=True)
def never_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Putting the parts together takes the memory that there may not be."""

    def refuse(folder: Any) -> None:
        raise AssertionError(f"{folder} was put together")

    monkeypatch.setattr("trimetric.models.load", refuse)


@pytest.mark.parametrize("elsewhere", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("gone", [(2, 0), (0, 2), (3, 1)], ids=["users", "items", "both"])
def test_what_is_left_is_what_the_whole_leaves(
    model: Any, gone: tuple[int, int], elsewhere: bool, tmp_path: Path
) -> None:
    users, items = model.user_ids[10 : 10 + gone[0]], model.item_ids[4 : 4 + gone[1]]
    model.save(tmp_path / "m", partitions=P)
    before, out = shards(tmp_path / "m"), tmp_path / ("less" if elsewhere else "m")
    receipt = forget_in(tmp_path / "m", users if len(users) else None,
                        items if len(items) else None, out=out)  # fmt: skip
    whole = model.snapshot()
    expected = whole.forget(users if len(users) else None, items if len(items) else None)
    left = ShardedModel.open(out)
    assert left.n_parts == P
    assert receipt.users == expected.users == list(users)
    assert receipt.items == expected.items == list(items)
    assert (receipt.interactions, receipt.owes) == (expected.interactions, expected.owes)
    assert receipt.rows == expected.rows
    assert receipt.fingerprint[0] == expected.fingerprint[0]
    found, after = whole.tensors(), left.whole()
    for name, array in after.tensors().items():
        assert array.shape == found[name].shape
        assert array == pytest.approx(found[name], abs=2e-6), name
    exact = set(found) - ({"items", "item_sums"} if model.name == "centroid" else set())
    assert all(np.array_equal(found[name], after.tensors()[name]) for name in exact)
    assert after.user_ids.values.equals(whole.user_ids.values)
    assert after.item_ids.values.equals(whole.item_ids.values)
    for a, b in zip(after.seen, whole.seen, strict=True):
        assert np.array_equal(a, b)
    assert after.unavailable.equals(whole.unavailable)
    assert np.array_equal(left.items.popularity, whole.known.popularity)
    train = dict(whole.provenance["train"], fingerprint=receipt.fingerprint[1])
    assert left.provenance == whole.provenance | {"train": train}
    assert after.recommend(k=5)["item"].equals(whole.recommend(k=5)["item"])
    if not len(items):
        touched = {str(part) for part in left.part_of(users)}
        kept = {part for part, name in shards(out).items() if name == before[part]}
        assert kept == before.keys() - touched
    if elsewhere:
        assert shards(tmp_path / "m") == before
        assert receipt.still_held == [str(tmp_path / "m")]
        shutil.rmtree(tmp_path / "m")
        assert len(ShardedModel.open(out).whole().user_ids) == 90 - gone[0]


@pytest.mark.parametrize("out", ["m", "marked"])
def test_marks_change_items_alone(model: Any, out: str, tmp_path: Path) -> None:
    folder, marked = tmp_path / "m", model.unavailable.to_list()
    model.save(folder, partitions=P)
    before, more = shards(folder), model.item_ids[20]
    assert mark_unavailable(folder, [more, marked[0]], "add", tmp_path / out) == (3, 0)
    assert shards(tmp_path / out) == before
    left = ShardedModel.open(tmp_path / out)
    assert left.item_ids.decode(left.items.unavailable).to_list() == [*marked, more]
    assert more not in left.recommend(model.user_ids[:9], 50)["item"]
    assert mark_unavailable(tmp_path / out, marked, "remove") == (1, 0)
    assert mark_unavailable(tmp_path / out, []) == (0, 0)
    assert ShardedModel.open(tmp_path / out).whole().unavailable.to_list() == []
    kept = ShardedModel.open(folder).whole().unavailable.to_list()
    assert kept == ([] if out == "m" else marked)


@pytest.mark.parametrize("name", ["sml", "centroid"])
def test_parts_may_be_empty_or_become_so(name: str, tmp_path: Path) -> None:
    model = trained(name, interactions())
    model.save(tmp_path / "m", partitions=60)
    sharded = ShardedModel.open(tmp_path / "m")
    assert {0, 1} <= set(sharded.part_sizes.tolist())
    alone = int(np.flatnonzero(sharded.part_sizes == 1)[0])
    [user] = sharded.part(alone).user_ids.values.to_list()
    forget_in(tmp_path / "m", user)
    model.forget(user)
    left = ShardedModel.open(tmp_path / "m")
    assert left.part_sizes[alone] == 0
    assert left.recommend(model.user_ids.values, 4)["item"].equals(model.recommend(k=4)["item"])


def test_refusals_leave_the_model(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "m", partitions=P)
    before = artifact.checksum(tmp_path / "m")
    kind = model.user_ids.kind
    for users, items, error, told in (
        ([1234567 if kind == "int" else "nobody"], None, UnknownIds, "unknown"),
        (None, [1234567 if kind == "int" else "nothing"], UnknownIds, "unknown"),
        ([], None, ParameterError, "nothing to forget"),
        (model.user_ids.values, None, ParameterError, "no user would be left"),
        (None, model.item_ids.values, ParameterError, "no item would be left"),
    ):
        with pytest.raises(error, match=told):
            forget_in(tmp_path / "m", users, items)
    assert artifact.checksum(tmp_path / "m") == before


@pytest.mark.parametrize("others", [1, 4, 5])
def test_saves_in_between_are_read_again(
    others: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process saves the model while parts are read, which then are gone."""
    model, folder, saves = trained("sml", interactions()), tmp_path / "m", 0
    model.save(folder, partitions=P)
    read, [user, other] = ShardedModel.stored, model.user_ids[3:5]

    def interrupted(sharded: ShardedModel, part: int) -> Any:
        nonlocal saves
        if part == P - 1 and saves < others:
            saves += 1
            trained("sml", interactions(), seed=saves).save(folder, partitions=P)
        return read(sharded, part)

    monkeypatch.setattr(ShardedModel, "stored", interrupted)
    if others == 5:
        with pytest.raises(Superseded, match="run this again"):
            forget_in(folder, user)
    else:
        forget_in(folder, user)
    monkeypatch.undo()
    left = tm.load(folder)
    assert (user in left.user_ids, other in left.user_ids) == (others == 5, True)
    assert left.get_params()["seed"] == others


def test_on_the_command_line(tmp_path: Path) -> None:

    trained("centroid", interactions("str")).save(tmp_path / "m", partitions=P)
    users = ShardedModel.open(tmp_path / "m").whole().user_ids.values
    receipt = document("forget", "m", "--user", users[4], "--item", "i0", cwd=tmp_path)
    assert (receipt["users"], receipt["items"]) == ([users[4]], ["i0"])
    told = refused("forget", "m", "--user", users[4], cwd=tmp_path)
    assert "unknown" in told
    ran = inside("unavailable", "m", "--item", "i3", "--item", "i4", cwd=tmp_path)
    assert "1 of 2 ids are unknown" in ran.stderr
    assert "1 items are unavailable in m" in ran.stdout
