"""Preparing survives kills, full disks and bad files, and says what is wrong."""

import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from command import done, environment, refused

import trimetric as tm
from trimetric.errors import (
    CheckpointMismatch,
    DataError,
    MissingExtra,
    OutputError,
    ParameterError,
)
from trimetric.scale import log_files
from trimetric.scale.prepared import is_prepared

SMALL = "from trimetric.scale import log_files; log_files.TASK_BYTES = 1;"
COMMAND = [sys.executable, "-c", f"{SMALL} from trimetric.cli import main; main()"]


def log(n: int, seed: int = 0, users: int = 400) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "user": rng.integers(0, users, n),
            "item": rng.integers(0, 300, n),
            "rating": rng.integers(1, 6, n),
        }
    )


@pytest.fixture
def room(tmp_path: Path) -> Path:
    for n in range(4):
        log(30_000, n).write_parquet(tmp_path / f"{n}.parquet")
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


GIVEN = ("data", "prepare", "*.parquet", "--partitions", "6", "--weight-column", "rating")
GIVEN += ("--valid", ".1", "--test", ".2")


@pytest.mark.slow
def test_killed_at_any_moment(room: Path) -> None:
    done(*GIVEN, "--out", "whole", cwd=room)
    whole = content(room / "whole")
    moments = (
        "plan.json",
        "rows/*/00002*",
        "read-00003.json",
        "part-00000.json",
        "part-00004.json",
    )
    for moment in (*moments, "items.json", "pairs-00002.json", "../prepared.json"):
        args = [*COMMAND, *GIVEN, "--out", "killed", "--resume"]
        running = subprocess.Popen(
            args, cwd=room, env=environment(), stderr=subprocess.PIPE, text=True
        )
        work = room / "killed" / "work"
        while running.poll() is None and not any(work.parent.glob(f"work/{moment}")):
            time.sleep(0.001)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        if running.returncode == 0:
            break
        assert running.returncode == -signal.SIGKILL
        if moment != "../prepared.json":
            with pytest.raises(DataError, match="not finished"):
                tm.Prepared(room / "killed")
    subprocess.run([*COMMAND, *GIVEN, "--out", "killed", "--resume"], cwd=room, check=True)
    found = content(room / "killed")
    assert list(found) == list(whole)
    assert [name for name in whole if found[name] != whole[name]] == []


def test_a_full_disk_and_a_damaged_file(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "TASK_BYTES", 1)
    whole = tm.prepare(room / "?.parquet", room / "whole", partitions=3)
    good = (room / "2.parquet").read_bytes()
    (room / "2.parquet").write_bytes(good[: len(good) // 2] + bytes(200) + good[-4000:])
    with pytest.raises(DataError, match=r"2\.parquet is not a whole parquet file") as caught:
        tm.prepare(room / "?.parquet", room / "out", partitions=3)
    assert "are kept" in str(caught.value)
    assert not (room / "out" / "prepared.json").exists()
    (room / "2.parquet").write_bytes(good)
    with pytest.raises(OutputError, match="go on with resume=True"):
        tm.prepare(room / "?.parquet", room / "out", partitions=3)
    full = room / "out/work/part-00001-pairs.arrow"
    full.symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"No space left on device.*resume=True"):
        tm.prepare(room / "?.parquet", room / "out", partitions=3, resume=True)
    full.unlink()
    again = tm.prepare(room / "?.parquet", room / "out", partitions=3, resume=True)
    assert again.fingerprint == whole.fingerprint
    assert content(room / "out") == content(room / "whole")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"partitions": 3}, "partitions: 2 there, 3 now"),
        ({"seed": 1}, "holdout"),
        ({"min_rating": 2}, "rules"),
        ({"format": "parquet"}, "form"),
    ],
)
def test_another_run(room: Path, changed: dict[str, Any], told: str) -> None:
    given: dict[str, Any] = {"partitions": 2}
    made = tm.prepare(room / "0.parquet", room / "out", **given)
    before = content(room / "out")
    assert tm.prepare(room / "0.parquet", room / "out", **given).fingerprint == made.fingerprint
    with pytest.raises(CheckpointMismatch, match=told):
        tm.prepare(room / "0.parquet", room / "out", **(given | changed))
    with pytest.raises(CheckpointMismatch, match="sources"):
        tm.prepare(room / "1.parquet", room / "out", **given)
    log(10).write_parquet(room / "0.parquet")
    with pytest.raises(CheckpointMismatch, match="other sizes"):
        tm.prepare(room / "0.parquet", room / "out", **given)
    assert content(room / "out") == before


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"partitions": 0}, ParameterError, "whole number from 1"),
        ({"partitions": 2.0}, ParameterError, "whole number from 1"),
        ({"partitions": True}, ParameterError, "whole number from 1"),
        ({"partitions": 301}, ParameterError, r"users \(400\) and of items \(300\), got 301"),
        ({"partitions": 4097}, ParameterError, "at most 4,096"),
        ({"valid": 1.0}, ParameterError, "valid must be a share"),
        ({"test": -0.1}, ParameterError, "test must be a share"),
        ({"test": float("nan")}, ParameterError, "test must be a share"),
        ({"valid": 0.5, "test": 0.5}, ParameterError, "not below 1"),
        ({"seed": 0.5}, ParameterError, "seed must be"),
        ({"split": "rating"}, ParameterError, "split is not used"),
        ({"min_rating": 6}, DataError, "the highest is 5"),
        ({"user": "usr"}, DataError, "no column 'usr'"),
        ({"duplicates": "error"}, DataError, "repeats .* pairs"),
        ({"sources": "x*.parquet"}, DataError, "matches no file"),
        ({"sources": "no.parquet"}, DataError, "does not exist"),
        ({"sources": "-"}, ParameterError, "standard input"),
        ({"sources": []}, ParameterError, "empty"),
        ({"sources": None}, ParameterError, "NoneType"),
        ({"sources": log(5)}, ParameterError, "DataFrame"),
        ({"sources": "adl://a/b.parquet"}, MissingExtra, r"trimetric\[files\]"),
        ({"out": "0.parquet"}, OutputError, "is a file"),
        ({"out": "http://host/p"}, OutputError, "URI"),
    ],
)
def test_refused(
    given: dict[str, Any], error: type[Exception], told: str, room: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(room)
    arguments = {"sources": "*.parquet", "out": "out", "partitions": 2} | given
    with pytest.raises(error, match=told):
        tm.prepare(arguments.pop("sources"), arguments.pop("out"), **arguments)
    assert sorted(path.name for path in room.iterdir()) == [f"{n}.parquet" for n in range(4)]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"user": ["a"], "item": [1], "rating": [1]}, r"9\.parquet.*0\.parquet.*for user.*text"),
        ({"user": [1], "item": ["x"], "rating": [1]}, r"9\.parquet.*0\.parquet.*for item.*text"),
        ({"user": [1], "item": [2]}, r"9\.parquet.*0\.parquet.*for rating it has no such column"),
        ({"usr": [1], "item": [2], "rating": [1]}, r"9\.parquet.*no column 'user'"),
        ({"user": [1], "item": [2], "rating": ["good"]}, r"9\.parquet.*'rating'"),
        ({"user": [1], "item": [2], "rating": [1], "split": ["a"]}, "parts of a split"),
    ],
)
def test_differing_files(room: Path, other: dict[str, list], told: str) -> None:
    pl.DataFrame(other).write_parquet(room / "9.parquet")
    with pytest.raises(DataError, match=told):
        tm.prepare(room / "*.parquet", room / "out", partitions=2)
    assert not (room / "out").exists()


def test_a_folder_with_other_files(room: Path) -> None:
    (room / "out").mkdir()
    (room / "out" / "notes.txt").write_text("mine")
    assert "notes.txt" in refused(*GIVEN, "--out", "out", cwd=room)
    assert content(room / "out") == {"notes.txt": b"mine"}
    with pytest.raises(DataError, match=r"holds no prepared\.json"):
        tm.Prepared(room / "out")
    with pytest.raises(DataError, match="is no folder"):
        tm.Prepared(room / "nothing")


def test_a_folder_of_logs_that_has_a_folder_called_work(room: Path) -> None:
    (room / "work").mkdir()
    (room / "work" / "notes.txt").write_text("mine")
    assert not is_prepared(room)
    with pytest.raises(DataError, match=r"holds no prepared\.json"):
        tm.Prepared(room)


def test_files_that_were_damaged_or_lost_after_preparing(room: Path) -> None:
    whole = tm.prepare(room / "0.parquet", room / "out", partitions=2, valid=0.1)
    assert whole.held_out("test", 0) is None
    for name in ("users/part-00000", "valid/part-00001", "items"):
        path = room / "out" / f"{name}.parquet"
        good = path.read_bytes()
        for left in (good[:100], None):
            path.write_bytes(left) if left else path.unlink()
            found = tm.Prepared(room / "out")
            read = {"u": found.user_ids, "v": partial(found.held_out, "valid"), "i": found.item_ids}
            with pytest.raises(DataError, match=rf"{path.name} cannot be read .* again"):
                read[name[0]](int(name[-1]) if name != "items" else 0)
        path.write_bytes(good)


def test_one_giant_user_and_empty_parts(tmp_path: Path) -> None:
    giant = pl.DataFrame({"user": [7] * 5000 + [8, 9], "item": [*range(5000), 1, 2]})
    giant.write_parquet(tmp_path / "log.parquet")
    made = tm.prepare(tmp_path / "log.parquet", tmp_path / "out", partitions=3)
    assert made.user_counts.sum() == 3
    assert len(made) == 5002
    assert "3 users x 5,000 items, 5,002 pairs" in repr(made)
    with pytest.raises(ParameterError, match="part must be from 0 to 2"):
        made.cell(3, 0)
    with pytest.raises(ParameterError, match="chunk must be from 0 to 47"):
        made.cell(0, -1)
