"""Rows in the files of a work folder."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trimetric as tm
from trimetric import training
from trimetric.engine.threads import ThreadTeam
from trimetric.errors import ArtifactError, CheckpointMismatch, OutputError
from trimetric.models.centroid import engine_settings
from trimetric.scale.centroids import CentroidTrainer
from trimetric.scale.division import Division
from trimetric.scale.files import FileStore
from trimetric.scale.learner import LocalLearner
from trimetric.scale.memory import MemoryStore
from trimetric.scale.parts import CHUNKS
from trimetric.scale.trainer import Trainer
from trimetric.storage.ahead import ReadAhead

N_PARTS = 3
EVERY = range(N_PARTS * CHUNKS)
PLAN = training.Plan(epochs=3, every=1, patience=0)


@pytest.fixture(scope="module")
def parts() -> Division:
    return Division(tm.synthetic.planted(n_users=120, n_items=90, per_user=12).interactions, 3)


@pytest.fixture(scope="module")
def trainer(parts: Division) -> Trainer:
    config = tm.CentroidML(dim=8, epochs=3, temperature=0.3, kappa=1.0, reconstruction=0.0).config
    return CentroidTrainer(engine_settings(config, parts.data.n_items, {}), 90, N_PARTS)


def stored(folder: Path, parts: Division, trainer: Trainer, identity: str = "a") -> FileStore:
    return FileStore(folder, parts, trainer, {"run": identity}, {"tau": 0.3}, seconds=0)


def rows(store: FileStore | MemoryStore) -> bytes:
    users = [store.get_users(part) for part in range(N_PARTS)]
    return np.concatenate(users).tobytes() + store.get_items(EVERY).tobytes()


def expected(parts: Division, trainer: Trainer, best: list[float] | None = None) -> bytes:
    store = MemoryStore(parts, trainer)
    values = iter(best or [])
    training.train(LocalLearner(parts, trainer, store), PLAN, best and (lambda: next(values)))
    return rows(store)


class Counted(LocalLearner):
    """Knows which epoch it trained last."""

    epoch = 0

    def run(self, epoch: int, *arguments: Any) -> int:
        self.epoch = epoch
        return super().run(epoch, *arguments)


@pytest.mark.parametrize("best", [None, [0.1, 0.3, 0.2], [0.3, 0.2, 0.1], [0.1, 0.2, 0.3]])
def test_the_same_bits_as_in_memory(
    parts: Division, trainer: Trainer, best: list[float] | None, tmp_path: Path
) -> None:
    store = stored(tmp_path / "w", parts, trainer)
    store.begin()
    values = iter(best or [])
    learner = LocalLearner(parts, trainer, store)
    training.train(learner, PLAN, best and (lambda: next(values)), keeper=store)
    assert rows(store) == expected(parts, trainer, best)
    store.discard()
    assert not (tmp_path / "w").exists()


@pytest.mark.slow
@pytest.mark.parametrize("ends", [1, 5, 9, 10, 17])
def test_killed_and_resumed(
    parts: Division, trainer: Trainer, ends: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, train = [0], CentroidTrainer.train

    def killed(*arguments: object) -> object:
        calls[0] += 1
        if calls[0] > ends:
            raise MemoryError
        return train(*arguments)  # type: ignore[arg-type]

    first = stored(tmp_path / "w", parts, trainer)
    first.begin()
    values = [0.3, 0.2, 0.1]
    with monkeypatch.context() as patch:
        patch.setattr(CentroidTrainer, "train", killed)
        learner = Counted(parts, trainer, first)
        with pytest.raises(MemoryError):
            training.train(learner, PLAN, lambda: values[learner.epoch], keeper=first)
    again = stored(tmp_path / "w", parts, trainer)
    learner = Counted(parts, trainer, again)
    training.train(learner, PLAN, lambda: values[learner.epoch], keeper=again, resume=True)
    assert rows(again) == expected(parts, trainer, values)
    named = {*again._now.values(), *again._best.values()}
    assert named <= {path.name for path in (tmp_path / "w").glob("*.npy")}


def test_only_files_of_the_last_checkpoint_and_the_best_stay(
    parts: Division, trainer: Trainer, tmp_path: Path
) -> None:
    store = stored(tmp_path, parts, trainer)
    store.begin()
    learner = LocalLearner(parts, trainer, store)
    with ThreadTeam(1) as team:
        for epoch in range(3):
            learner.run(epoch, 0, team, lambda _: False)
            store.save(training.Run(epoch=epoch + 1))
    assert len(list(tmp_path.glob("users-*.npy"))) == N_PARTS
    assert len(list(tmp_path.glob("items-*.npy"))) == len(EVERY)


def test_another_run_is_refused(parts: Division, trainer: Trainer, tmp_path: Path) -> None:
    store = stored(tmp_path, parts, trainer)
    store.begin()
    store.put_users(0, store.get_users(0))
    store.save(training.Run())
    with pytest.raises(OutputError, match=r"holds an unfinished run; go on with it \(--resume\)"):
        stored(tmp_path, parts, trainer).begin()
    with pytest.raises(CheckpointMismatch, match="run was 'a', is 'b'"):
        stored(tmp_path, parts, trainer, "b").load()


@pytest.mark.parametrize("damage", ["cut", "gone", "shape", "journal", "foreign", "path"])
def test_damage_is_named(parts: Division, trainer: Trainer, damage: str, tmp_path: Path) -> None:
    store = stored(tmp_path, parts, trainer)
    store.begin()
    store.put_users(0, store.get_users(0))
    store.save(training.Run())
    (file,) = tmp_path.glob("users-*.npy")
    journal = tmp_path / "run.json"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:200])
    elif damage == "gone":
        file.unlink()
    elif damage == "shape":
        np.save(file, np.zeros((2, 2), dtype=np.float32))
    elif damage == "journal":
        journal.write_text("{")
    elif damage == "foreign":
        journal.write_text(json.dumps({"format": "x"}))
    else:
        text = json.loads(journal.read_text())
        text["now"]["users-00000"] = "../users-00000-00000001.npy"
        journal.write_text(json.dumps(text))
    told = "run.json" if damage in ("journal", "foreign", "path") else file.name

    def resumed() -> None:
        again = stored(tmp_path, parts, trainer)
        again.load()
        again.get_users(0)

    with pytest.raises(ArtifactError, match=told):
        resumed()


def in_cache(path: Path) -> bool:
    """Tell whether the system holds all of a file in memory."""
    with open(path, "rb", buffering=0) as file:
        at, block = 0, bytearray(4096)
        while at < path.stat().st_size:
            try:
                at += os.preadv(file.fileno(), [block], at, os.RWF_NOWAIT)
            except BlockingIOError:
                return False
    return True


def drop(path: Path) -> None:
    """Have the system forget what it holds of a file."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what it holds in memory")
def test_files_are_read_ahead(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        path.write_bytes(bytes(3 << 20))
        drop(path)
    try:
        if in_cache(paths[0]):
            pytest.skip("this file system keeps all its files in memory")
    except OSError:
        pytest.skip("this file system does not tell what is in memory")
    with ReadAhead() as ahead:
        ahead.read([tmp_path / "missing", *paths])
        ahead.wait()
        assert all(map(in_cache, paths))
        ahead.read([])
        ahead.wait()


def test_files_of_a_bucket_are_those_it_reads(
    parts: Division, trainer: Trainer, tmp_path: Path
) -> None:
    store = stored(tmp_path, parts, trainer)
    store.begin()
    assert store.files_of(0, EVERY) == []  # rows that training starts from take no file
    learner = LocalLearner(parts, trainer, store)
    with ThreadTeam(1) as team:
        learner.run(0, 0, team, lambda _: False)
    store.put_users(1, store.get_users(1))  # in memory, and its file is of an earlier version
    assert len(store.files_of(1, [2, 5])) == 2
    for part, chunks in ((0, [2, 5]), (2, []), (None, [7])):
        named = store.files_of(part, chunks)
        read = [store.get_items([chunk]) for chunk in chunks]
        read += [] if part is None else [store.get_users(part)]
        assert [np.load(path).tobytes() for path in named] == [rows.tobytes() for rows in read]
    assert MemoryStore(parts, trainer).files_of(0, EVERY) == parts.files_of(0) == []
