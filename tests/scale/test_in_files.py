"""Training in files and on Ray, from prepared parts: the bits of training in memory."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

import trimetric as tm
from trimetric.errors import (
    CheckpointMismatch,
    DataError,
    OutputError,
    ParameterError,
    Unsupported,
)
from trimetric.models.recommender import Recommender
from trimetric.models.sharded import ShardedModel

pytestmark = pytest.mark.slow

SML = {"dim": 8, "epochs": 3, "temperature": 0.3, "validate_every": 1}
CENTROID = {"dim": 8, "epochs": 3, "validate_every": 1, "reconstruction_dim": 8}
SETTINGS = {
    "sml": SML | {"variant": "all"},
    "centroid": CENTROID | {"temperature": 0.3, "kappa": 1.0, "reconstruction": 0.5},
}


def frame(data: tm.Interactions) -> pl.DataFrame:
    users, items = data.user_ids.decode(data.users), data.item_ids.decode(data.items)
    return pl.DataFrame({"user": users, "item": items})


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    data = tm.synthetic.planted(n_users=240, n_items=110, per_user=14).interactions
    frame(data).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def prepared(log: Path) -> tm.Prepared:
    return tm.prepare(log, log.parent / "prepared", partitions=3, valid=0.1)


def in_memory(prepared: tm.Prepared, log: Path) -> tuple[tm.Interactions, tm.Interactions]:
    held = [prepared.held_out("valid", part) for part in range(prepared.n_parts)]
    valid = pl.concat([one for one in held if one is not None])
    kept = pl.read_parquet(log).join(valid, on=["user", "item"], how="anti")
    return tm.Interactions(kept), tm.Interactions(valid)


def create(name: str) -> Recommender:
    return tm.create(name, **SETTINGS[name])


def bits(model: Recommender) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in model.tensors().items()}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_bits_in_memory_in_files_and_on_ray(
    name: str, prepared: tm.Prepared, log: Path, tmp_path: Path
) -> None:
    train, valid = in_memory(prepared, log)
    expected = create(name).fit(train, valid, partitions=3)
    found = {
        "files": create(name).fit(prepared, out=tmp_path / "a", workdir=tmp_path / "w"),
        "out": create(name).fit(prepared, out=tmp_path / "b", threads=1),
        "interactions": create(name).fit(
            train, valid, partitions=3, out=tmp_path / "c", workdir=tmp_path / "w"
        ),
        "ray": create(name).fit(prepared, out=tmp_path / "d", ray="local"),
    }
    for where, model in found.items():
        assert bits(model) == bits(expected), where
        assert [row["ndcg@10"] for row in model.history] == [
            row["ndcg@10"] for row in expected.history
        ], where
    assert not (tmp_path / "w").exists()
    assert not (tmp_path / "b" / "checkpoint").exists()


def test_settings_left_open_are_found_alike(
    prepared: tm.Prepared, log: Path, tmp_path: Path
) -> None:
    train, valid = in_memory(prepared, log)
    expected = tm.CentroidML(**CENTROID).fit(train, valid, partitions=3)
    found = tm.CentroidML(**CENTROID).fit(prepared, out=tmp_path / "m")
    assert found.provenance["tuned"] == expected.provenance["tuned"]
    assert bits(found) == bits(expected)


def test_what_was_held_out_counts_as_seen(prepared: tm.Prepared, tmp_path: Path) -> None:
    tm.SML(**SML).fit(prepared, out=tmp_path / "m")
    held = prepared.held_out("valid", 0)
    assert held is not None
    model = ShardedModel.open(tmp_path / "m").part(0)
    user, item = held.row(0)
    row = model.item_ids.encode([item])[0]
    assert row in model.known.items_of(model.user_ids.encode([user])[0])
    without = tm.SML(**SML).fit(prepared, False, out=tmp_path / "n")
    assert without.provenance["valid"] is None


def test_weights_in_files(log: Path, tmp_path: Path) -> None:
    weighted = pl.read_parquet(log).with_columns(weight=1.0 + pl.int_range(pl.len()) % 3)
    weighted.write_parquet(tmp_path / "log.parquet")
    made = tm.prepare(tmp_path / "log.parquet", tmp_path / "p", partitions=2, weight="weight")
    expected = create("centroid").fit(tm.Interactions(weighted, weight="weight"), partitions=2)
    assert bits(create("centroid").fit(made, out=tmp_path / "m")) == bits(expected)
    expected = tm.SML(**SML).fit(tm.Interactions(weighted, weight="weight"), partitions=2)
    assert bits(tm.SML(**SML).fit(made, out=tmp_path / "n")) == bits(expected)
    assert bits(expected) != bits(tm.SML(**SML).fit(tm.Interactions(weighted), partitions=2))
    with pytest.raises(Unsupported, match="lrml cannot use weights"):
        tm.LRML().fit(made, out=tmp_path / "o")


SCRIPT = """
import sys, trimetric as tm
from pathlib import Path
prepared, out, work, ray = sys.argv[1:5]
kind, settings = (tm.CentroidML, {settings})
kind(**settings).fit(tm.Prepared(prepared), out=out, workdir=work, ray=ray or None,
                     resume=Path(work, "run.json").exists(), checkpoint_seconds=0)
print("done")
"""


def killed_and_resumed(prepared: tm.Prepared, tmp_path: Path, ray: str, moments: list) -> None:
    """Kill a run at some moments after its first checkpoint; resume it each time."""
    settings = SETTINGS["centroid"] | {"epochs": 6}
    expected = tm.CentroidML(**settings).fit(prepared, out=tmp_path / "expected")
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.replace("{settings}", repr(settings)))
    work, out = tmp_path / "w", tmp_path / "m"
    command = [sys.executable, str(script), str(prepared.folder), str(out), str(work), ray]
    for moment in moments:
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 120
        before = (work / "run.json").stat().st_mtime_ns if (work / "run.json").exists() else 0
        while time.monotonic() < deadline and process.poll() is None:
            journal = work / "run.json"
            if journal.exists() and journal.stat().st_mtime_ns != before:
                break
            time.sleep(0.01)
        time.sleep(moment)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.returncode in (0, -signal.SIGKILL), process.stderr.read().decode()
        if process.returncode == 0:
            break
    if not (out / "model.json").exists() or (work / "run.json").exists():
        subprocess.run(command, check=True, capture_output=True)
    assert bits(tm.load(out)) == bits(expected)


def test_killed_and_resumed_in_files(prepared: tm.Prepared, tmp_path: Path) -> None:
    killed_and_resumed(prepared, tmp_path, "", [0.0, 0.1, 0.3])


def test_killed_and_resumed_on_ray(prepared: tm.Prepared, tmp_path: Path) -> None:
    killed_and_resumed(prepared, tmp_path, "local", [0.05])


def test_a_full_disk_during_a_round(prepared: tm.Prepared, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        places = {"out": tmp_path / "m", "workdir": disk / "w", "checkpoint_seconds": 0}
        with pytest.raises(OutputError, match=r"cannot write .*npy: No space left"):
            create("centroid").fit(prepared, **places)
        assert not (tmp_path / "m" / "model.json").exists()
        again = ["mount", "-o", "remount,size=16m", str(disk)]
        subprocess.run(again, check=True)
        begun = (disk / "w" / "run.json").exists()
        model = create("centroid").fit(prepared, **places, resume=begun)
        assert bits(model) == bits(create("centroid").fit(prepared, out=tmp_path / "n"))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_run_begun_in_files_is_finished_on_ray(
    prepared: tm.Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trimetric.scale.centroids import CentroidTrainer

    train, calls = CentroidTrainer.train, []

    def killed(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) > 13:
            raise MemoryError
        return train(*arguments)  # type: ignore[arg-type]

    places = {"out": tmp_path / "m", "workdir": tmp_path / "w", "checkpoint_seconds": 0}
    with monkeypatch.context() as patch:
        patch.setattr(CentroidTrainer, "train", killed)
        with pytest.raises(MemoryError):
            create("centroid").fit(prepared, **places)
    with pytest.raises(OutputError, match="holds an unfinished run"):
        create("centroid").fit(prepared, **places)
    with pytest.raises(CheckpointMismatch, match="epochs was 3, is 4"):
        tm.CentroidML(**SETTINGS["centroid"] | {"epochs": 4}).fit(prepared, **places, resume=True)
    model = create("centroid").fit(prepared, **places, resume=True, ray="local")
    assert bits(model) == bits(create("centroid").fit(prepared, out=tmp_path / "n"))


def test_what_cannot_be(prepared: tm.Prepared, log: Path, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="prepared data saves the model in parts; give out"):
        tm.SML(**SML).fit(prepared)
    with pytest.raises(ParameterError, match="training with ray saves the model in parts"):
        tm.SML(**SML).fit(log, partitions=2, ray="local")
    with pytest.raises(ParameterError, match="needs partitions=2 or more"):
        tm.SML(**SML).fit(log, workdir=tmp_path / "w", out=tmp_path / "m")
    with pytest.raises(ParameterError, match="is prepared in 3 parts, partitions is 4"):
        tm.SML(**SML).fit(prepared, partitions=4, out=tmp_path / "m")
    with pytest.raises(ParameterError, match="must be different folders"):
        tm.SML(**SML).fit(prepared, out=tmp_path / "m", workdir=tmp_path / "m")
    with pytest.raises(Unsupported, match="does not take start yet"):
        tm.SML(**SML).fit(prepared, out=tmp_path / "m", start=tmp_path)
    with pytest.raises(Unsupported, match="ease cannot be trained in parts"):
        tm.create("ease").fit(prepared, out=tmp_path / "m")
    with pytest.raises(DataError):
        tm.Prepared(tmp_path)
