"""Lists for all users in one file: a killed run goes on where it was, to the same bytes."""

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import COMMAND, done, environment, refused, trimetric

import trimetric as tm

ALL = ("recommend", "m", "--all", "-k", "100")
USERS, BLOCKS = 12_500, 5


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model whose users fill five blocks, and their lists made in one go."""
    room = tmp_path_factory.mktemp("batch")
    users = np.repeat(np.arange(USERS), 3)
    pairs = tm.Interactions.from_arrays(users, (users * 7 + np.arange(3 * USERS) % 3 * 31) % 300)
    model = tm.SML(dim=8, epochs=0, temperature=0.2).fit(pairs)
    model.save(room / "m")
    tm.SML(dim=8, epochs=0, temperature=0.2, seed=1).fit(pairs).save(room / "other")
    assert done(*ALL, "--out", "whole.parquet", cwd=room).startswith("wrote 1,250,000 ")
    assert not kept(room, "whole.parquet").exists()
    return room


def kept(room: Path, out: str) -> Path:
    return room / f".{out}.blocks"


def blocks(room: Path, out: str) -> int:
    return len([*kept(room, out).glob("*.parquet")])


def stopped(
    room: Path, out: str, when: Callable[[], bool], how: signal.Signals = signal.SIGKILL
) -> str:
    """Start writing `out`, and stop it as soon as `when` says so; return what it said."""
    with subprocess.Popen(
        [*COMMAND, *ALL, "--out", out],
        cwd=room, env=environment(), stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        until = time.monotonic() + 60
        while not when() and running.poll() is None and time.monotonic() < until:
            time.sleep(0.001)
        running.send_signal(how)
        assert running.stderr is not None
        said = running.stderr.read()
    assert running.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert not (room / out).exists()
    return said


def test_the_lists_are_the_librarys(room: Path) -> None:
    model = tm.load(room / "m")
    found = pl.read_parquet(room / "whole.parquet")
    assert found.equals(model.recommend(model.user_ids.values, 100))


@pytest.mark.slow
def test_killed_and_interrupted_it_goes_on_to_the_same_bytes(room: Path) -> None:
    out = "k.parquet"
    stopped(room, out, lambda: blocks(room, out) >= 2)
    stamps = {path.name: path.stat().st_mtime_ns for path in kept(room, out).glob("*.parquet")}
    said = stopped(room, out, lambda: blocks(room, out) > len(stamps), signal.SIGINT)
    assert said.startswith(f"going on after {2500 * len(stamps):,} of {USERS:,} users\n")
    assert "run the same command again to go on" in said
    assert len(stamps) < blocks(room, out) < BLOCKS
    again = {path.name: path.stat().st_mtime_ns for path in kept(room, out).glob("*.parquet")}
    assert stamps.items() <= again.items()
    (room / f".{out}.4711.tmp").touch()  # what a kill at the very end leaves
    ran = trimetric(*ALL, "--out", out, "--threads", "1", cwd=room)
    assert ran.returncode == 0
    assert ran.stderr == f"going on after {2500 * len(again):,} of {USERS:,} users\n"
    assert (room / out).read_bytes() == (room / "whole.parquet").read_bytes()
    assert [path.name for path in room.glob(f".{out}*")] == []


@pytest.mark.slow
def test_blocks_of_other_options_are_not_used(room: Path) -> None:
    out = "o.parquet"
    stopped(room, out, lambda: blocks(room, out) >= 1)
    ran = trimetric(*ALL, "-k", "90", "--out", out, cwd=room)
    assert (ran.returncode, ran.stderr.count("\n")) == (0, 1)
    assert "is of another run: k was 100 and is 90; starting anew" in ran.stderr
    assert done(*ALL, "-k", "90", "--out", "fresh.parquet", cwd=room)
    assert (room / out).read_bytes() == (room / "fresh.parquet").read_bytes()


@pytest.mark.slow
def test_blocks_of_another_model_or_damaged_are_not_used(room: Path) -> None:
    out = "d.parquet"
    stopped(room, out, lambda: blocks(room, out) >= 1)
    manifest = kept(room, out) / "manifest.json"
    model = json.loads(manifest.read_text())["model"]
    assert model == json.loads((room / "m/model.json").read_text())["checksum"]
    ran = trimetric("recommend", "other", *ALL[2:], "--out", out, cwd=room)
    assert "another run: the model differs; starting anew" in ran.stderr
    stopped(room, "e.parquet", lambda: blocks(room, "e.parquet") >= 2)
    first = kept(room, "e.parquet") / "000000.parquet"
    first.write_bytes(first.read_bytes()[:-100])
    said = trimetric(*ALL, "--out", "e.parquet", cwd=room).stderr
    assert "going on" not in said
    assert "another" not in said
    assert (room / "e.parquet").read_bytes() == (room / "whole.parquet").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_other_kinds_of_file(room: Path, kind: str) -> None:
    out = f"t.{kind}"
    stopped(room, out, lambda: blocks(room, out) >= 3)
    assert done(*ALL, "--out", out, "--quiet", cwd=room)
    read = pl.read_csv if kind == "csv" else pl.read_ndjson
    columns = ["user", "item", "rank"]
    whole = pl.read_parquet(room / "whole.parquet", columns=columns)
    assert read(room / out).select(columns).cast(whole.schema).equals(whole)


def test_a_link_to_a_file_of_any_name(room: Path) -> None:
    (room / "data").touch()
    (room / "link.parquet").symlink_to("data")
    assert done(*ALL, "--out", "link.parquet", "--quiet", cwd=room)
    assert (room / "data").read_bytes() == (room / "whole.parquet").read_bytes()
    assert not [*room.glob(".*.blocks")]


@pytest.mark.slow
def test_two_runs_at_once(room: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, *ALL, "--out", "two.parquet"], cwd=room, env=environment()
    ) as first:
        while blocks(room, "two.parquet") == 0 and first.poll() is None:
            time.sleep(0.001)
        first.send_signal(signal.SIGSTOP)
        said = refused(*ALL, "--out", "two.parquet", cwd=room)
        first.send_signal(signal.SIGCONT)
    assert "another run is writing" in said
    assert first.returncode == 0
    assert (room / "two.parquet").read_bytes() == (room / "whole.parquet").read_bytes()


@pytest.mark.slow
def test_a_bar_on_a_terminal(room: Path) -> None:
    (room / "some.txt").write_text("3\n5\n8\n")
    asked = ("recommend", "m", "--users-file", "some.txt", "--out", "bar.parquet")
    assert "3 of 3 users" in on_a_terminal(room, *asked)
    assert on_a_terminal(room, *asked, "--quiet") == ""


def on_a_terminal(room: Path, *args: str) -> str:
    """Run with standard error on a terminal; return what it showed there."""
    ours, theirs = pty.openpty()
    wide = environment(COLUMNS="120", TERM="xterm")
    with subprocess.Popen(
        [*COMMAND, *args], cwd=room, env=wide, stdout=subprocess.DEVNULL, stderr=theirs
    ) as running:
        os.close(theirs)
        shown = b""
        while True:
            try:
                read = os.read(ours, 65536)
            except OSError:
                break
            if not read:
                break
            shown += read
    os.close(ours)
    assert running.returncode == 0
    return shown.decode()
