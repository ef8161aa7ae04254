"""Pages that tools write are what the tools would write now."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import trimetric as tm

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("tool", "sources", "page"),
    [
        ("settings", [], "docs/settings.md"),
        ("records", ["benchmarks/results"], "docs/results.md"),
    ],
)
def test_the_page_is_up_to_date(tool: str, sources: list[str], page: str, tmp_path: Path) -> None:
    made = tmp_path / "page.md"
    arguments = [str(ROOT / source) for source in sources]
    subprocess.run([sys.executable, str(ROOT / "tools" / tool), *arguments, str(made)], check=True)
    assert made.read_text() == (ROOT / page).read_text(), f"run tools/{tool}"


def test_the_reference_has_every_public_name(tmp_path: Path) -> None:
    tool = [sys.executable, str(ROOT / "tools/api"), str(tmp_path)]
    told = subprocess.run(tool, check=True, capture_output=True, text=True)
    assert not told.stderr
    page = (tmp_path / "trimetric.html").read_text()
    for name in tm.__all__:
        if isinstance(getattr(tm, name), ModuleType):
            assert (tmp_path / "trimetric" / "data" / f"{name}.html").exists()
        elif name != "__version__":
            assert f'id="{name}"' in page, name
    assert not re.search(r'(?:src|href)="(?:https?:)?//(?!pdoc)', page), "it opens offline"
