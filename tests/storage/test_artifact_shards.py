"""Artifacts that name others: all of them change in one step, at whatever moment a save dies."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trimetric.errors import ArtifactError, Superseded
from trimetric.storage import artifact

# Dies at the n-th call that Python's audit announces (open, rename, remove, ...), n = 0, 1, ...
STEPS = """
import os, pathlib, sys
import numpy as np
from trimetric.storage import artifact

def save(folder, turn):
    staging = pathlib.Path(folder) / f".shards-{turn}"
    staging.mkdir(parents=True, exist_ok=True)
    index = {"turn": turn}
    for name in ("items", "users-00000", "users-00001"):
        tensors = {"a": np.full(100, turn), "b": np.full(5, ord(name[-1]))}
        artifact.save(staging, "shard", {"turn": turn}, tensors, f"{name}.json")
        index[name] = artifact.shard_name(staging, name)
    artifact.save(folder, "index", index, {}, shards=staging)

folder = sys.argv[1]
save(folder, 1)
for last in range(0, 2000, 7):
    child = os.fork()
    if child == 0:
        left = last
        def count(event, args):
            global left
            if event.split(".")[0] in ("open", "os", "shutil", "tempfile", "fcntl", "glob"):
                if left == 0:
                    os.kill(os.getpid(), 9)
                left -= 1
        sys.addaudithook(count)
        save(folder, 1000 + last)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    index = artifact.load(folder).meta
    for name in ("items", "users-00000", "users-00001"):
        shard = artifact.load(folder, "shard", index[name])
        assert shard.meta["turn"] == index["turn"]
        assert (shard.tensors["a"] == index["turn"]).all()
    if status == 0:
        break
print(last, len(os.listdir(folder)))
"""


def test_killed_at_each_step_all_shards_are_of_one_save(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STEPS, str(tmp_path / "m")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    last, files = map(int, ran.stdout.split())
    assert last > 50
    staged = len([*(tmp_path / "m").glob(".shards-*")])
    assert files - staged == 2 + 2 * 3


def staged(folder: Path, value: int) -> tuple[Path, str]:
    staging = folder / f".shards-{value}"
    artifact.save(staging, "shard", {}, {"a": np.full(3, value)}, "items.json")
    return staging, artifact.shard_name(staging, "items")


def test_what_the_index_does_not_name_is_removed(tmp_path: Path) -> None:
    staging, first = staged(tmp_path, 1)
    artifact.save(tmp_path, "index", {"items": first}, {}, shards=staging)
    (tmp_path / "notes-0123456789ab.json").write_text("{}")
    staging, second = staged(tmp_path, 2)
    with pytest.raises(Superseded):
        artifact.save(tmp_path, "index", {}, {}, shards=staging, replaces="0" * 64)
    assert artifact.load(tmp_path, "shard", first).tensors["a"].tolist() == [1, 1, 1]
    artifact.save(tmp_path, "index", {"items": second}, {}, shards=staging)
    assert artifact.load(tmp_path, "shard", second).tensors["a"].tolist() == [2, 2, 2]
    with pytest.raises(ArtifactError, match="has no items-"):
        artifact.load(tmp_path, "shard", first)
    artifact.save(tmp_path, "model", {}, {"b": np.zeros(1)})
    left = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert left - {"model.json", "notes-0123456789ab.json"} == {
        path.name for path in tmp_path.glob("tensors-*")
    }
    assert len(left) == 3


@pytest.mark.parametrize(
    "array",
    [np.arange(6, dtype=np.int32).reshape(2, 3), np.zeros((0, 4), dtype=np.float32), np.array(3.0)],
)
def test_mapped_tensors_are_those_that_were_saved(tmp_path: Path, array: np.ndarray) -> None:
    tensors = {"a": array, "b": np.array([True, False]), "c": np.arange(5, dtype=np.float16)}
    artifact.save(tmp_path, "thing", {}, tensors)
    for _ in range(2):
        mapped = artifact.load(tmp_path, mapped=True).tensors
        for name, expected in tensors.items():
            assert mapped[name].dtype == expected.dtype
            assert mapped[name].shape == expected.shape
            assert mapped[name].tobytes() == expected.tobytes()
            mapped[name][...] = 0  # which stays with this process
