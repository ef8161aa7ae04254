"""Run the command line: in this process, which is quick, or in one of its own, as a user would."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from trimetric.cli import main

COMMAND = [sys.executable, "-c", "from trimetric.cli import main; main()"]


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which no real data set is found, unless `more` says where."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRIMETRIC_")}
    return {**kept, "TRIMETRIC_CACHE": "/nowhere", **more}


def trimetric(*args: Any, cwd: Path | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in a process of its own."""
    return subprocess.run(
        [*COMMAND, *map(str, args)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,  # the first to train compiles, beside others that do
        **more,
    )


def inside(
    *args: Any, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in this process.

    Its standard error is also what libraries write there past Python, such as a panic of Polars.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        beside_python() as told,
        contextlib.chdir(cwd or Path.cwd()),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch.dict(os.environ, env or environment(), clear=True),
        warnings.catch_warnings(),
    ):
        try:
            main([str(arg) for arg in args])
        except SystemExit as stop:
            code = int(stop.code or 0)
    return subprocess.CompletedProcess(args, code, out.getvalue(), err.getvalue() + "".join(told))


@contextlib.contextmanager
def beside_python() -> Iterator[list[str]]:
    """Yield a list that has, after the body, what was written to file descriptor 2 meanwhile."""
    told: list[str] = []
    with tempfile.TemporaryFile() as file:
        usual = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield told
        finally:
            os.dup2(usual, 2)
            os.close(usual)
            file.seek(0)
            told.append(file.read().decode(errors="replace"))


def done(*args: Any, **more: Any) -> str:
    """Run a command that must succeed; return its standard output."""
    ran = inside(*args, **more)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def document(*args: Any, **more: Any) -> Any:
    """Run a command that must succeed with --json; return the document."""
    return json.loads(done(*args, "--json", **more))


def refused(*args: Any, code: int = 2, cwd: Path | None = None, **more: Any) -> str:
    """Run a command that must fail in good order; return what it said.

    With `more`, what `subprocess.run` takes, it runs in a process of its own.
    """
    ran = trimetric(*args, cwd=cwd, **more) if more else inside(*args, cwd=cwd)
    assert ran.returncode == code, (ran.returncode, ran.stdout, ran.stderr)
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
    return ran.stderr


def tensors(folder: Path) -> dict[str, bytes]:
    """Return the tensors files of a model, by name."""
    found = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    assert found, f"no model in {folder}"
    return found
