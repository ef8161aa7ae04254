"""The package as a whole: what importing costs, what is public, what it may not do."""

import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import trimetric as tm

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_loads_nothing_heavy() -> None:
    loaded = python("import sys, trimetric; print(*sys.modules)").split()
    assert "trimetric" in loaded
    heavy = {"numba", "llvmlite", "polars", "torch", "scipy", "pandas", "pyarrow", "rich", "typer"}
    assert heavy.isdisjoint(loaded)
    clock = "from time import perf_counter as t; began = t(); import trimetric; print(t() - began)"
    assert min(float(python(clock)) for _ in range(3)) < 0.3


def test_public_names() -> None:
    for name in tm.__all__:
        assert getattr(tm, name) is not None
        assert name in dir(tm)
    with pytest.raises(AttributeError, match="no attribute 'bogus'"):
        tm.bogus  # noqa: B018


def test_version() -> None:
    assert tm.__version__ == importlib.metadata.version("trimetric")


def test_nothing_is_unpickled() -> None:
    assert len(SOURCES) > 30
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in getattr(node, "names", []) if hasattr(alias, "name")]
            names.append(getattr(node, "module", None) or "")
            roots = {str(name).partition(".")[0] for name in names}
            assert roots.isdisjoint({"pickle", "dill", "cloudpickle", "joblib", "shelve"}), path
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert getattr(node.value, "value", True) is False, path


def test_imports_go_one_way() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
