"""Shards that are missing, of another model, or whose content is not what a model holds."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trimetric as tm
from trimetric.errors import ArtifactError
from trimetric.models.sharded import ShardedModel
from trimetric.storage import artifact

P = 3


@pytest.fixture(scope="module", params=["sml", "centroid"])
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models of one kind, in parts."""
    folder = tmp_path_factory.mktemp("hostile")
    data = tm.synthetic.planted(n_users=40, n_items=30, per_user=6).interactions
    for seed in (0, 1):
        model = tm.create(request.param, dim=8, epochs=1, temperature=0.2, seed=seed)
        model.fit(data.changed(weights=None), progress=False).save(folder / str(seed), partitions=P)
    return folder


@pytest.fixture
def m(folders: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folders / "0", tmp_path / "m"))


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("users-*.json"))


def everything(folder: Path) -> None:
    """Read all that there is."""
    model = ShardedModel.open(folder)
    for part in range(model.n_parts):
        model.part(part)


def refused(folder: Path, *words: str) -> None:
    for read in (everything, tm.load):
        with pytest.raises(ArtifactError) as error:
            read(folder)
        for word in words:
            assert word in str(error.value), error.value


def altered(folder: Path, part: int | None, change: Callable[[dict, dict], None]) -> Path:
    """Save a shard again with something changed, all checksums right."""
    index = artifact.load(folder, "sharded-model").meta
    name = "items" if part is None else f"users-{part:05}"
    about = index["items"] if part is None else index["users"][part]
    loaded = artifact.load(folder, manifest=about["manifest"])
    meta, tensors = json.loads(json.dumps(loaded.meta)), dict(loaded.tensors)
    change(meta, tensors)
    artifact.save(folder, loaded.kind, meta, tensors, f"{name}.json")
    about["checksum"] = artifact.checksum(folder, f"{name}.json")
    about["manifest"] = artifact.shard_name(folder, name)
    # Saved beside the index, which does not sweep what it names.
    artifact.save(folder, "sharded-model", index, {})
    return folder


def test_untouched_it_is_read(m: Path) -> None:
    everything(m)
    everything(altered(m, 1, lambda meta, tensors: None))


@pytest.mark.parametrize("part", range(P))
def test_a_shard_that_is_missing(m: Path, part: int) -> None:
    shards(m)[part].unlink()
    refused(m, f"shard {part} of {P} (users-{part:05}", "it has no users-")


def test_tensors_that_are_missing_or_damaged(m: Path) -> None:
    file = json.loads(shards(m)[1].read_bytes())["file"]["name"]
    whole = (m / file).read_bytes()
    for content, word in (
        (whole[:-1], "truncated"),
        (whole + b"x", "too long"),
        (whole[:-1] + bytes([whole[-1] ^ 1]), "damaged"),
    ):
        (m / file).write_bytes(content)
        refused(m, f"shard 1 of {P}", file, word)
    (m / file).unlink()
    refused(m, f"shard 1 of {P}", file, "missing")


def test_shards_that_changed_places(m: Path) -> None:
    one, other = shards(m)[:2]
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    refused(m, f"shard 0 of {P}", "another model or another save")


def test_a_shard_of_another_model(m: Path, folders: Path) -> None:
    other = shards(folders / "1")[0]
    shutil.copy(other, shards(m)[0])
    for file in (folders / "1").glob("*.safetensors"):
        shutil.copy(file, m)
    refused(m, f"shard 0 of {P}", "another model or another save")


def test_a_shard_in_the_place_of_the_items(m: Path) -> None:
    index = artifact.load(m, "sharded-model").meta
    shutil.copy(shards(m)[0], m / index["items"]["manifest"])
    refused(m, "shard of items", "holds a user-shard, not a item-shard")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite(m: Path, value: float) -> None:
    def change(meta: dict, tensors: dict) -> None:
        tensors["users"] = tensors["users"].copy()
        tensors["users"].flat[-1] = value

    refused(altered(m, 2, change), f"shard 2 of {P}", "'users' holds NaN or infinity")


def test_items_that_are_not_finite(m: Path) -> None:
    def change(meta: dict, tensors: dict) -> None:
        tensors["items"] = np.full_like(tensors["items"], np.nan)

    refused(altered(m, None, change), "shard of items", "'items' holds NaN or infinity")


def longer(tensors: dict) -> None:
    tensors["users"] = np.concatenate([tensors["users"]] * 2)


def doubled(tensors: dict) -> None:
    tensors["users"] = tensors["users"].astype(np.float64)


def more(tensors: dict) -> None:
    tensors["others"] = tensors["users"]


def of_items(tensors: dict) -> None:
    tensors["items"] = tensors["users"]


def fewer(tensors: dict) -> None:
    del tensors["users"]


def beyond(tensors: dict) -> None:
    tensors["seen_items"] = tensors["seen_items"] + 1_000_000


def negative(tensors: dict) -> None:
    tensors["seen_items"] = -1 - tensors["seen_items"]


def unsorted(tensors: dict) -> None:
    tensors["seen_items"] = tensors["seen_items"][::-1].copy()


def short(tensors: dict) -> None:
    tensors["seen_indptr"] = tensors["seen_indptr"][:-1]


def wrong_weights(tensors: dict) -> None:
    tensors["seen_weights"] = -np.ones(len(tensors["seen_items"]), dtype=np.float32)


def fresh_weights(tensors: dict) -> None:
    tensors["seen_weights"] = np.ones(len(tensors["seen_items"]), dtype=np.float32)


def no_ids(tensors: dict) -> None:
    del tensors["user_utf8"]


def ints(tensors: dict) -> None:
    n = len(tensors.pop("user_offsets")) - 1
    del tensors["user_utf8"]
    tensors["user_ids"] = np.arange(n)


def other_users(tensors: dict) -> None:
    n = len(tensors["user_offsets"]) - 1
    texts = sorted(f"zz{number}" for number in range(n))
    tensors["user_utf8"] = np.frombuffer("".join(texts).encode(), dtype=np.uint8).copy()
    tensors["user_offsets"] = np.cumsum([0, *map(len, texts)])


@pytest.mark.parametrize(
    "change",
    [
        *(longer, doubled, more, of_items, fewer, beyond, negative, unsorted, short),
        *(wrong_weights, fresh_weights, no_ids, ints, other_users),
    ],
)
def test_tensors_of_another_form(m: Path, change: Callable[[dict], None]) -> None:
    refused(altered(m, 1, lambda _, tensors: change(tensors)), "shard 1 of 3")


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("popularity"),
        lambda tensors: tensors.update(popularity=tensors["popularity"] + 1),
        lambda tensors: tensors.update(popularity=-tensors["popularity"]),
        lambda tensors: tensors.update(popularity=tensors["popularity"].astype(np.float64)),
        lambda tensors: tensors.update(popularity=tensors["popularity"][1:]),
        lambda tensors: tensors.update(users=tensors["items"]),
        lambda tensors: tensors.update(unavailable_items=np.array([9999], dtype=np.int32)),
        lambda tensors: tensors.pop("item_utf8"),
    ],
)
def test_items_of_another_form(m: Path, change: Callable[[dict], Any]) -> None:
    refused(altered(m, None, lambda _, tensors: change(tensors)), "shard of items")


def test_tables_of_items_of_another_shape(m: Path) -> None:
    def change(meta: dict, tensors: dict) -> None:
        tensors["items"] = tensors["items"][:, 1:].copy()

    refused(altered(m, None, change), "'items'")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("parts",), "3"),
        (("parts",), 4),
        (("parts",), 0),
        (("parts",), True),
        (("users",), {}),
        (("users",), []),
        (("users", 0), None),
        (("users", 0, "users"), -1),
        (("users", 0, "users"), 1.5),
        (("users", 0, "weights"), 1),
        (("users", 0, "checksum"), None),
        (("users", 0, "manifest"), "../../m/model.json"),
        (("users", 0, "manifest"), "/etc/passwd"),
        (("users", 0, "manifest"), "users-00000-0123456789ab.json"),
        (("items",), "items.json"),
        (("items", "manifest"), "../items-0123456789ab.json"),
        (("user_ids",), "float"),
        (("user_tensors",), []),
        (("user_tensors",), {}),
        (("user_tensors",), {"items": {"dtype": "float32", "shape": [8]}}),
        (("user_tensors", "users", "dtype"), "object"),
        (("user_tensors", "users", "dtype"), ["float32"]),
        (("user_tensors", "users", "shape"), [-8]),
        (("user_tensors", "users", "shape"), [7]),
        (("user_tensors", "users", "shape"), 8),
        (("model",), "no such model"),
        (("model",), ["sml"]),
        (("history",), {}),
        (("data",), []),
        (("data", "tuned"), {"temperature": "hot"}),
        (("params",), {"no such setting": 1}),
    ],
)
def test_an_index_of_another_form(m: Path, path: tuple, value: Any) -> None:
    meta = index = artifact.load(m, "sharded-model").meta
    for step in path[:-1]:
        meta = meta[step]
    meta[path[-1]] = value
    copy = m.parent / "copy"  # a save into the folder itself would sweep what is named no more
    artifact.save(copy, "sharded-model", index, {})
    for file in m.iterdir():
        if file.name != "model.json":
            shutil.copy(file, copy)
    refused(copy)


def test_counts_of_the_index_are_those_of_the_shards(m: Path) -> None:
    index = artifact.load(m, "sharded-model").meta
    index["users"][1]["users"] += 1
    artifact.save(m, "sharded-model", index, {})
    refused(m, f"shard 1 of {P}", "it does not hold what")


def test_an_index_is_no_model(m: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds a sharded-model, not a model"):
        artifact.load(m, "model")
    tm.load(m).save(tmp_path / "whole")
    with pytest.raises(ArtifactError, match="holds a model, not a sharded-model"):
        ShardedModel.open(tmp_path / "whole")
    with pytest.raises(ArtifactError, match="no such folder"):
        ShardedModel.open(tmp_path / "nowhere")
