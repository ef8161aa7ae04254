"""Commands that write: killed, two at once, without disk, files or memory.

Whatever happens, what was there or what was to come is whole, and the command given again completes
with the same bytes.
"""

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from campaign import note, sizes
from command import COMMAND, done, environment

import trimetric as tm
from trimetric.errors import TrimetricError

pytestmark = pytest.mark.long  # each attack starts several processes

FIT = ("fit", "planted", "--valid", "none", "--set", "dim=8", "--set", "temperature=.2")
FIT += ("--set", "kappa=0", "--set", "reconstruction=0", "-q")
Content = dict[str, bytes]


def files(path: Path) -> Content:
    """Return what readers see: the files of a folder, or one file."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {
        str(one.relative_to(path)): one.read_bytes()
        for one in sorted(path.rglob("*"))
        if one.is_file() and not one.name.startswith(".")
    }


def model_of(path: Path) -> Content:
    """Return what a model answers from; fails where it is not whole."""
    if not (path / "model.json").exists():
        return {}
    model = tm.load(path)
    return {name: array.tobytes() for name, array in model.tensors().items()}


def prepared(path: Path) -> Content:
    """Return what is prepared, nothing where it is not finished."""
    try:
        tm.Prepared(path)
    except TrimetricError:
        return {}
    return {name: data for name, data in files(path).items() if not name.startswith("work")}


@dataclass(frozen=True)
class Written:
    """A command that writes to `out`, and what stood there before, written by `old`."""

    new: tuple[str, ...]
    old: tuple[str, ...] | None
    out: str
    content: Callable[[Path], Content]


COMMANDS = {
    "fit": Written((*FIT, "--set", "epochs=8"), (*FIT, "--set", "epochs=1"), "out", model_of),
    "recommend": Written(
        ("recommend", "m", "--all", "-k", "50", "-q"),
        ("recommend", "m", "--all", "-k", "5", "-q"), "out.parquet", files,
    ),
    "update": Written(
        ("update", "m", "--with", "day.csv", "--epochs", "5", "-q"),
        ("update", "m", "--with", "day.csv", "--epochs", "0", "-q"), "out", model_of,
    ),
    "export": Written(
        ("export", "m", "--to", "parquet"), ("export", "older", "--to", "parquet"), "out", files
    ),
    "export npy": Written(
        ("export", "m", "--to", "npy"), ("export", "older", "--to", "npy"), "out", files
    ),
    "prepare": Written(
        ("data", "prepare", "log.csv", "--partitions", "4", "--test", ".1", "--resume", "-q"),
        None, "out", prepared,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the commands read."""
    room = tmp_path_factory.mktemp("room")
    for name, seed in (("m", 0), ("older", 1)):
        done(*FIT, "--set", "epochs=2", "--seed", seed, "--out", name, cwd=room)
    log = pl.DataFrame({"user": [n % 3000 for n in range(60_000)]})
    log = log.with_columns(item=(pl.int_range(pl.len()) * 7919) % 997)
    log.write_csv(room / "log.csv")
    log.head(3000).with_columns(user=pl.col("user") + 10_000).write_csv(room / "day.csv")
    return room


class Runs:
    """Runs of one command in one folder.

    Parameters
    ----------
    written : Written
    folder : Path
        Holds what the commands read.
    """

    def __init__(self, written: Written, folder: Path) -> None:
        self.written, self.folder = written, folder
        self.out = self.first = folder / written.out
        self.before: Content = {}
        self.after: Content = {}
        self.seconds = 0.0

    def prepare(self) -> None:
        """Write what stands there before, and find out what is to come and how long it takes."""
        if self.written.old is not None:
            self.run(self.written.old)
            self.before = self.content()
        began = time.monotonic()
        whole = self.written.out.replace("out", "whole")
        self.run(self.written.new, whole)
        self.seconds = time.monotonic() - began
        self.after = self.written.content(self.folder / whole)
        assert self.after
        assert self.after != self.before

    def copied(self, folder: Path) -> "Runs":
        """Return the same in another folder, with what stood there before."""
        runs = Runs(self.written, folder)
        runs.before, runs.after, runs.seconds = self.before, self.after, self.seconds
        runs.first = self.out
        for source in self.folder.iterdir():
            if source.is_symlink():
                (folder / source.name).symlink_to(source.resolve())
        runs.put_back()
        return runs

    def put_back(self) -> None:
        """Let what stood there before stand there again."""
        if self.out.is_dir():
            shutil.rmtree(self.out)
        self.out.unlink(missing_ok=True)
        if self.first.is_dir():
            shutil.copytree(self.first, self.out)
        elif self.first.exists():
            shutil.copy(self.first, self.out)

    def content(self) -> Content:
        """Return what stands there now."""
        if not self.out.exists():
            return {}
        return self.written.content(self.out)

    def start(self, words: tuple[str, ...], out: str = "", **more: object) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            [*COMMAND, *words, "--out", out or self.written.out], cwd=self.folder,
            env=environment(TRIMETRIC_THREADS="2"), stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, **more,  # type: ignore[call-overload]
        )  # fmt: skip

    def until_it_writes(self, process: "subprocess.Popen[str]") -> None:
        """Wait until a file appears, or the process ends."""
        there = self.paths()
        while process.poll() is None and self.paths() <= there:
            time.sleep(0.001)

    def paths(self) -> set[str]:
        """Return all that the folder holds at this moment."""
        walk = os.walk(self.folder)  # passes over what goes meanwhile
        return {os.path.join(at, name) for at, inner, files in walk for name in (*inner, *files)}

    def run(self, words: tuple[str, ...], out: str = "") -> None:
        """Run a command that must succeed."""
        process = self.start(words, out)
        _, said = process.communicate()
        assert process.returncode == 0, said

    def is_whole(self) -> None:
        """Check that the old or the new thing stands there."""
        assert self.content() in (self.before, self.after)

    def again(self) -> None:
        """Run the command again: it ends in what it would have written at first."""
        self.run(self.written.new)
        assert self.content() == self.after


@pytest.fixture(scope="module")
def ready(room: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Runs]:
    """Return the runs of a command by its name, made ready once."""

    @cache
    def by_name(name: str) -> Runs:
        folder = tmp_path_factory.mktemp("ready")
        for source in room.iterdir():
            (folder / source.name).symlink_to(source)
        runs = Runs(COMMANDS[name], folder)
        runs.prepare()
        return runs

    return by_name


@pytest.fixture
def runs(request: pytest.FixtureRequest, ready: Callable[[str], Runs], tmp_path: Path) -> Runs:
    return ready(request.getfixturevalue("name")).copied(tmp_path)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("kills", sizes(2, 20))
def test_killed(name: str, kills: int, runs: Runs) -> None:
    chance, came = random.Random(kills), Counter[str]()
    for kill in range(kills):
        process = runs.start(runs.written.new)
        if kill % 2:
            runs.until_it_writes(process)
            time.sleep(chance.choice((0.001, 0.01, 0.1)) * chance.random())
        else:
            time.sleep(chance.uniform(0, 1.0) * runs.seconds)
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), said
        runs.is_whole()
        came["finished before" if process.returncode == 0 else "killed"] += 1
        came["new" if runs.content() == runs.after else "old"] += 1
        if kill % 10 == 9:
            runs.again()
        if runs.content() == runs.after:
            runs.put_back()
    runs.again()
    note(f"kills of {name}", kills=kills, **came)


def politely(code: int, said: str) -> None:
    """Check that a command succeeded, or failed in good order."""
    assert code in (0, 2), (code, said)
    assert "Traceback" not in said
    assert code == 0 or said.strip()


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("times", sizes(1, 10))
def test_two_at_once(name: str, times: int, runs: Runs) -> None:
    chance, came = random.Random(times), Counter[str]()
    for _ in range(times):
        first = runs.start(runs.written.new)
        time.sleep(chance.uniform(0, 0.3) * runs.seconds)
        second = runs.start(runs.written.new)
        for process in (first, second):
            _, said = process.communicate()
            politely(process.returncode, said)
            came["done" if process.returncode == 0 else "refused"] += 1
        runs.is_whole()
        runs.put_back()
    runs.again()
    note(f"two at once of {name}", pairs=times, **came)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("limits", sizes(2, 12))
def test_few_files(name: str, limits: int, runs: Runs) -> None:
    came = Counter[str]()
    for number in range(limits):
        files_open = 5 + number * 36 // limits
        limit = (files_open, files_open)
        process = runs.start(
            runs.written.new,
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_NOFILE, limit),
        )
        _, said = process.communicate()
        politely(process.returncode, said)
        runs.is_whole()
        came["done" if process.returncode == 0 else "refused"] += 1
    runs.again()
    note(f"few files for {name}", limits=limits, **came)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("limits", sizes(2, 12))
def test_little_memory(name: str, limits: int, runs: Runs) -> None:
    came = Counter[str]()
    for number in range(limits):
        size = (150 + number * 2800 // limits) << 20
        process = runs.start(
            runs.written.new,
            preexec_fn=lambda size=size: resource.setrlimit(resource.RLIMIT_AS, (size, size)),
        )
        _, said = process.communicate(timeout=300)  # BLAS may wait for memory for ever
        if process.returncode not in (0, 2):  # a library may end the process: it is out of memory
            assert re.search("memory|alloc|resource|std::", said), (process.returncode, said)
            came["ended by a library"] += 1
        else:
            politely(process.returncode, said)
            came["done" if process.returncode == 0 else "refused"] += 1
        runs.is_whole()
    runs.again()
    note(f"little memory for {name}", limits=limits, **came)


@contextmanager
def disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a small disk, where this is allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if os.name != "posix" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk to fill")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("disks", sizes(2, 12))
def test_a_full_disk(name: str, disks: int, runs: Runs, tmp_path: Path) -> None:
    came, written = Counter[str](), runs.written
    size = max(8, sum(map(len, runs.after.values())) // 1024)
    with disk(tmp_path / "disk", 65536) as mounted:
        if written.old is not None:
            shutil.move(runs.out, mounted / written.out)
        out = mounted / written.out
        used = sum(path.stat().st_blocks for path in mounted.rglob("*")) // 2
        for number in range(disks):
            free = 4 + number * size // disks
            words = ["mount", "-o", f"remount,size={used + free}k", str(mounted)]
            subprocess.run(words, check=True)
            process = runs.start(written.new, f"disk/{written.out}")
            _, said = process.communicate()
            politely(process.returncode, said)
            found = written.content(out) if out.exists() else {}
            assert found in (runs.before, runs.after)
            came["done" if process.returncode == 0 else "refused"] += 1
        subprocess.run(["mount", "-o", "remount,size=65536k", str(mounted)], check=True)
        runs.run(written.new, f"disk/{written.out}")
        assert written.content(out) == runs.after
    note(f"full disks for {name}", disks=disks, **came)
