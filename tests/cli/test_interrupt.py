"""Training that is stopped, or killed at any moment, and resumed ends in the same bits."""

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from command import COMMAND, document, environment, refused, tensors

pytestmark = pytest.mark.slow

FIT = ["fit", "planted", "--set", "epochs=60", "--set", "dim=16", "--set", "patience=0"]
FIT += ["--set", "temperature=0.2", "--checkpoint-every", "0"]


def started(cwd: Path, *args: str) -> "subprocess.Popen[str]":
    """Start a fit that writes to m."""
    return subprocess.Popen(
        [*COMMAND, *FIT, "--out", "m", *args],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def stopped(cwd: Path, stop: Callable[["subprocess.Popen[str]"], None]) -> tuple[int, str]:
    """Run a fit, and `stop` it beside; return its exit code and what it said."""
    with started(cwd, "--resume") as running:
        stopper = Thread(target=stop, args=(running,))
        stopper.start()
        assert running.stderr is not None
        said = running.stderr.read()
        stopper.join()
    return running.returncode, said


def finished(cwd: Path, *args: str) -> dict[str, bytes]:
    """Run a fit to its end; return the tensors."""
    with started(cwd, *args) as running:
        assert running.stderr is not None
        said = running.stderr.read()
    assert running.returncode == 0, said
    assert not (cwd / "m" / "checkpoint").exists()
    return tensors(cwd / "m")


def checkpointed(cwd: Path, seconds: float = 30) -> None:
    """Wait until there is a checkpoint."""
    until = time.monotonic() + seconds
    while not (cwd / "m/checkpoint/model.json").exists() and time.monotonic() < until:
        time.sleep(0.005)


def test_ctrl_c_saves_and_resume_goes_on(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = finished(tmp_path / "whole")

    def interrupt(running: "subprocess.Popen[str]") -> None:
        checkpointed(tmp_path)
        running.send_signal(signal.SIGINT)

    code, said = stopped(tmp_path, interrupt)
    assert code == 130, said
    assert "run the same command with --resume" in said
    assert "Traceback" not in said
    assert (tmp_path / "m/checkpoint/model.json").exists()
    assert not (tmp_path / "m/model.json").exists()
    other = refused(*FIT, "--out", "m", "--resume", "--set", "lr=.01", cwd=tmp_path)
    assert "belongs to another run: lr was" in other
    assert "without --resume" in other
    assert finished(tmp_path, "--resume", "--threads", "1") == whole
    again = document(*FIT, "--out", "m", "--resume", cwd=tmp_path)
    assert again["already_finished"] is True
    assert tensors(tmp_path / "m") == whole
    other = refused(*FIT, "--out", "m", "--resume", "--set", "epochs=1", cwd=tmp_path)
    assert "m holds a finished model of another run: epochs was 60, is 1" in other
    assert tensors(tmp_path / "m") == whole


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.long)])
def test_killed_at_random_moments(kills: int, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = finished(tmp_path / "whole")
    chance, folder, inside_training = random.Random(7), tmp_path / "0", 0
    folder.mkdir()
    for kill in range(kills):

        def strike(running: "subprocess.Popen[str]", kill: int = kill, to: Path = folder) -> None:
            if kill % 5 == 0:  # anywhere, also while starting
                time.sleep(chance.uniform(0.02, 1.0))
            else:
                before = _stamp(to)
                while running.poll() is None and _stamp(to) == before:
                    time.sleep(0.002)
                time.sleep(chance.uniform(0, 0.1))
            running.kill()

        code, said = stopped(folder, strike)
        assert code in (0, -signal.SIGKILL), said
        inside_training += code != 0 and (folder / "m/checkpoint/model.json").exists()
        if code == 0:
            assert tensors(folder / "m") == whole
            folder = tmp_path / str(kill + 1)
            folder.mkdir()
    assert finished(folder, "--resume") == whole
    assert inside_training > kills // 2


def _stamp(folder: Path) -> int:
    """Return when the checkpoint was last written, 0 if there is none."""
    try:
        return (folder / "m/checkpoint/model.json").stat().st_mtime_ns
    except OSError:
        return 0
