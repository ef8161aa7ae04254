"""The set-up scripts find a Python that will do, and say so when there is none."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REAL = getattr(sys, "_base_executable", sys.executable)
BROKEN = "exit 127"
OLD = f'exec {REAL} -c "import sys; sys.version_info = (3, 10, 14); $2"'
NO_VENV = f'case "$2" in *ensurepip*) exit 1;; esac; exec {REAL} "$@"'
GOOD = f'exec {REAL} "$@"'


def pick(folder: Path, pythons: dict[str, str], **env: str) -> subprocess.CompletedProcess[str]:
    """Run tools/python where the PATH holds `pythons`, each noting its name when asked for its."""
    for name, body in pythons.items():
        path = folder / name
        note = f'case "$2" in *print*) echo {name} >> {folder}/chosen;; esac'
        path.write_text(f"#!/bin/bash\n{note}\n{body}\n")
        path.chmod(0o755)
    command = ["/bin/bash", str(ROOT / "tools" / "python")]
    env = {"PATH": str(folder), **env}
    return subprocess.run(command, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        ({"python3": GOOD}, "python3"),
        ({"python3.13": GOOD, "python3.12": GOOD, "python3": GOOD}, "python3.13"),
        ({"python3.13": BROKEN, "python3.12": OLD, "python3.11": GOOD}, "python3.11"),
        ({"python3.13": NO_VENV, "python3.11": GOOD}, "python3.11"),
        ({"python3.13": OLD, "python3.11": NO_VENV}, "python3.11"),
    ],
)
def test_the_newest_that_will_do(tmp_path: Path, pythons: dict[str, str], chosen: str) -> None:
    done = pick(tmp_path, pythons)
    assert (done.returncode, done.stdout) == (0, f"{REAL}\n")
    assert (tmp_path / "chosen").read_text() == f"{chosen}\n"


def test_the_one_that_was_named(tmp_path: Path) -> None:
    pick(tmp_path, {"python3.13": GOOD, "mine": GOOD}, PYTHON="mine")
    assert (tmp_path / "chosen").read_text() == "mine\n"


@pytest.mark.parametrize("pythons", [{}, {"python3": OLD}, {"python3.13": BROKEN}])
def test_none(tmp_path: Path, pythons: dict[str, str]) -> None:
    done = pick(tmp_path, pythons)
    assert done.returncode == 1
    assert "No Python 3.11 or later among: python3.13 python3.12 python3.11 python3" in done.stderr
    assert "PYTHON=" in done.stderr
