"""Faults of the machine around a command: nothing is lost, and each is told with its remedy."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import COMMAND, environment, tensors, trimetric

FIT = ["fit", "planted", "--valid", "none", "--set", "dim=8", "--set", "temperature=.2"]
FIT += ["--set", "kappa=0", "--set", "reconstruction=0"]
USERS = pl.DataFrame({"user": [0, 0, 1, 1, 2, 2], "item": [0, 1, 1, 2, 0, 2]})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    ran = trimetric(*FIT, "--set", "epochs=1", "--out", "m", "-q", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    return folder / "m"


def shell(command: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command line of a shell, in which $T is trimetric."""
    words = f'T() {{ {sys.executable} -m trimetric "$@"; }}; {command}'
    return subprocess.run(
        ["bash", "-c", words], cwd=cwd, env=environment(**more), capture_output=True, text=True,
        timeout=180,
    )  # fmt: skip


# --- where nobody reads, or nothing can be written -----------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["2>/dev/full", "2>&-", "2> >(head -1 >/dev/null)"])
def test_training_goes_on_where_its_log_cannot_be_written(ends: str, tmp_path: Path) -> None:
    ran = shell(f"T {' '.join(FIT)} --set epochs=6 --out m {ends}", tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert tensors(tmp_path / "m")


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["2>/dev/full", "2>&-"])
def test_an_update_is_saved_where_its_log_cannot_be_written(
    ends: str, model: Path, tmp_path: Path
) -> None:
    USERS.write_csv(tmp_path / "day.csv")
    ran = shell(f"T update {model} --with day.csv --out m2 --epochs 1 {ends}", tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert tensors(tmp_path / "m2")


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (">/dev/full", "cannot write to standard output: No space left on device"),
        (">&-", "cannot write to standard output"),
    ],
)
def test_answers_that_cannot_be_written_are_an_error(
    ends: str, told: str, model: Path, tmp_path: Path
) -> None:
    ran = shell(f"T data inspect planted {ends}", tmp_path)
    assert ran.returncode == 2
    assert told in ran.stderr
    assert "Traceback" not in ran.stderr


# --- a machine with little -----------------------------------------------------------------------


def limited(kind: int, value: int) -> object:
    """Return what limits a child before it begins."""
    return lambda: resource.setrlimit(kind, (value, value))


@pytest.mark.parametrize(
    "descriptors", [6, 16, *(pytest.param(n, marks=pytest.mark.slow) for n in (8, 15, 20))]
)
def test_few_file_descriptors_are_named_as_the_cause(
    descriptors: int, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.csv"
    ran = trimetric(
        "recommend", model, "--all", "--out", out, cwd=tmp_path,
        preexec_fn=limited(resource.RLIMIT_NOFILE, descriptors),
    )  # fmt: skip
    assert ran.returncode in (0, 2), ran.stderr
    if ran.returncode:
        assert "Traceback" not in ran.stderr
        assert "damaged" not in ran.stderr
        assert "too few files; raise the limit (ulimit -n 1024)" in ran.stderr
    assert not [path for path in os.listdir(tmp_path) if path.startswith(".")]


@pytest.mark.parametrize("megabytes", [150, 500, 1000])
def test_little_memory_is_named_as_the_cause(megabytes: int, model: Path, tmp_path: Path) -> None:
    before = tensors(model)
    to_file = ["recommend", model, "--all", "--out", "r.csv"]
    for command in (to_file, ["data", "inspect", "planted"]):
        ran = trimetric(
            *command, cwd=tmp_path, preexec_fn=limited(resource.RLIMIT_AS, megabytes * 2**20)
        )
        assert ran.returncode == 2, ran.stderr
        assert "not enough memory" in ran.stderr
        assert "Traceback" not in ran.stderr
    assert tensors(model) == before
    assert os.listdir(tmp_path) == []


NOBODY = """
import os, pwd, sys

def unknown(*_):
    raise KeyError("no such user")

pwd.getpwuid = pwd.getpwnam = unknown
if sys.argv[1] == "gone":
    os.rmdir(os.getcwd())
sys.argv[1:2] = []
from trimetric.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("home", [None, "/nowhere", "/proc"])
@pytest.mark.parametrize("place", ["here", "gone"])
@pytest.mark.parametrize("command", ["data list", "data inspect planted"])
def test_a_user_without_a_home(home: str | None, place: str, command: str, tmp_path: Path) -> None:
    """As in a container: no HOME, no entry in the table of users; or the working folder is gone."""
    (tmp_path / "w").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", NOBODY, place, *command.split()],
        cwd=tmp_path / "w",
        env={"PATH": "/usr/bin:/bin", **({} if home is None else {"HOME": home})},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert "planted" in ran.stdout


# --- several at once, and one that is stopped ----------------------------------------------------


def start(*args: object, cwd: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, *map(str, args)], cwd=cwd, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_a_second_run_into_one_folder_is_told_at_its_start(tmp_path: Path) -> None:
    with start(*FIT, "--set", "epochs=100000", "--out", "m", cwd=tmp_path) as first:
        until = time.monotonic() + 60
        while not (tmp_path / ".m.lock").exists() and time.monotonic() < until:
            time.sleep(0.01)
        second = trimetric(*FIT, "--set", "epochs=1", "--out", "m", cwd=tmp_path)
        USERS.write_csv(tmp_path / "day.csv")
        first.send_signal(signal.SIGINT)
        first.communicate()
    assert second.returncode == 2
    assert "another run is training into" in second.stderr
    assert first.returncode == 130
    assert not (tmp_path / ".m.lock").exists()


@pytest.mark.slow
def test_two_updates_of_one_model_lose_nothing(model: Path, tmp_path: Path) -> None:
    """Each is in the model that it says it saved, or is refused."""
    shell(f"cp -r {model} m", tmp_path)
    days = []
    for number in range(3):
        day = pl.DataFrame({"user": [0, 1], "item": [100_000 + number] * 2})
        day.write_csv(tmp_path / f"{number}.csv")
        more = ("--with", f"{number}.csv", "--out", "m", "--epochs", 3)
        days.append(start("update", "m", *more, cwd=tmp_path))
    saved = []
    for number, day in enumerate(days):
        _, said = day.communicate(timeout=120)
        if day.returncode == 0:
            saved.append(100_000 + number)
        else:
            assert day.returncode == 2, said
            assert "another run is" in said
    assert saved
    listed = shell("T similar-items m --item 100000 --item 100001 --item 100002 -k 1", tmp_path)
    unknown = [item for item in (100_000, 100_001, 100_002) if item not in saved]
    assert (listed.returncode == 0) == (not unknown)
    for item in unknown:
        assert str(item) in listed.stderr


def test_ctrl_c_is_told(tmp_path: Path) -> None:
    """A command that does not train says so too."""
    pairs = pl.DataFrame({"user": np.arange(400_000) % 60_000, "item": np.arange(400_000) % 997})
    pairs.write_csv(tmp_path / "log.csv")
    with start("fit", "log.csv", "--model", "ease", "--out", "m", cwd=tmp_path) as running:
        assert running.stderr is not None
        running.stderr.readline()  # what was read
        running.send_signal(signal.SIGINT)
        said = running.stderr.read()
    assert running.returncode == 130
    assert "interrupted; nothing was changed" in said
    assert not (tmp_path / "m").exists()


def test_what_a_kill_leaves_of_a_checkpoint_is_none(model: Path, tmp_path: Path) -> None:
    """A finished run whose checkpoint is half removed says that it is finished."""
    run = [*FIT, "--set", "epochs=1", "--out", "m", "--resume"]
    shell(
        f"cp -r {model} m && mkdir m/checkpoint && touch m/checkpoint/tensors-0.safetensors",
        tmp_path,
    )
    ran = trimetric(*run, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "finished; nothing to resume" in ran.stderr
    other = trimetric(*run, "--set", "epochs=2", cwd=tmp_path)
    assert other.returncode == 2
    assert "holds a finished model of another run: epochs was 1, is 2" in other.stderr
