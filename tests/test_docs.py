"""Pages that tools write are what the tools would write now."""

import subprocess
import sys
from pathlib import Path

import pytest

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
