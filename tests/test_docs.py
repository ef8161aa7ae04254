"""Generated pages are up to date, and the architecture page names what exists."""

import ast
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLACES = runpy.run_path(str(ROOT / "tools" / "records"))["PLACES"]
MOST_HOPS, MOST_FILES = 5, 3  # from `fit` to the gradient of equation (6)


@pytest.mark.parametrize(
    ("tool", "sources", "page"),
    [
        ("settings", [], "docs/settings.md"),
        ("records", ["benchmarks/results"], "docs/results.md"),
        ("margins", ["benchmarks/results"], "docs/margins.md"),
    ],
)
def test_the_page_is_up_to_date(tool: str, sources: list[str], page: str, tmp_path: Path) -> None:
    made = tmp_path / "page.md"
    others = PLACES[2:] if tool == "records" else []
    if tool == "margins":
        shutil.copy(ROOT / page, made)  # the text around the tables is written by hand
    copies = [shutil.copy(ROOT / other, tmp_path) for other in others]
    arguments = [*(str(ROOT / source) for source in sources), str(made)]
    arguments += map(str, copies)
    subprocess.run([sys.executable, str(ROOT / "tools" / tool), *arguments], check=True)
    assert made.read_text() == (ROOT / page).read_text(), f"run tools/{tool}"
    for copy, other in zip(copies, others, strict=True):
        assert Path(copy).read_text() == (ROOT / other).read_text(), f"run tools/{tool}"


def test_the_path_from_fit_to_the_gradient_is_as_listed() -> None:
    page = ROOT / "docs/architecture.md"
    hops = re.findall(r"^\d\. `([\w.]+)` in \[[^]]*\]\(([^)]*)\)", page.read_text(), re.MULTILINE)
    files = [(page.parent / file).resolve() for _, file in hops]
    names = [name.split(".")[-1] for name, _ in hops]
    assert len(hops) - 1 <= MOST_HOPS
    assert len(set(files)) <= MOST_FILES
    for file, name, following in zip(files, names, [*names[1:], None], strict=True):
        body = function(file, name)
        assert following is None or following in named_in(body), f"{name} does not name {following}"


def function(file: Path, name: str) -> ast.FunctionDef:
    nodes = ast.walk(ast.parse(file.read_text()))
    return next(n for n in nodes if isinstance(n, ast.FunctionDef) and n.name == name)


def named_in(body: ast.FunctionDef) -> set[str]:
    return {node.id for node in ast.walk(body) if isinstance(node, ast.Name)}
