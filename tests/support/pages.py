"""Run the examples of a page of the documentation in order, as a reader would."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from command import done
from serving import started

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ("README.md", "docs/tutorial.md", *sorted(
    str(page.relative_to(ROOT)) for page in (ROOT / "docs/howto").glob("*.md")
))  # fmt: skip
"""Pages whose blocks of sh and python run in the tests."""

PAGES = tuple(
    sorted(str(page.relative_to(ROOT)) for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
)


def text(page: str) -> str:
    """Return the text of a page."""
    return (ROOT / page).read_text()


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the code blocks of a page: (language, text)."""
    return re.findall(r"```(\w+)\n(.*?)```", text(page), re.DOTALL)


def run(page: str, folder: Path, env: dict[str, str]) -> dict:
    """Run all blocks in `folder`; return the names that the Python blocks defined.

    A line of sh is a command of trimetric, a server in the background (it ends in &) or curl.
    """
    names: dict = {}
    with contextlib.ExitStack() as servers, contextlib.chdir(folder):
        for language, block in blocks(page):
            if language == "python":
                with patch.dict(os.environ, env, clear=True):
                    exec(compile(block, page, "exec"), names)
            elif language == "sh":
                for line in block.replace("\\\n", " ").splitlines():
                    _command(line, folder, env, servers)
    return names


def _command(line: str, folder: Path, env: dict[str, str], servers: contextlib.ExitStack) -> None:
    words = shlex.split(line, comments=True)
    if not words:
        return
    if words[0] == "python":  # a script of ours
        subprocess.run([sys.executable, ROOT / words[1], *words[2:]], check=True, env=os.environ)
        return
    if words[-1] == "&":
        servers.enter_context(_served(words[1:-1], folder, env))
    elif words[0] == "curl":
        ran = subprocess.run(
            ["curl", "--fail-with-body", *words[1:]], capture_output=True, text=True
        )
        assert ran.returncode == 0, (line, ran.stdout, ran.stderr)
        assert ran.stdout
    else:
        assert words[0] == "trimetric", line
        assert done(*words[1:], cwd=folder, env=env), line


@contextlib.contextmanager
def _served(words: list[str], folder: Path, env: dict[str, str]) -> Iterator[None]:
    """Run a server during the body, and check that it then exits with 0."""
    with started(words, env, folder) as server:
        yield
        assert server.stop() == 0
