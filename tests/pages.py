"""Run the examples of a page of the documentation in their order, as a reader would."""

import contextlib
import os
import re
import shlex
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from unittest.mock import patch

from command import COMMAND, done

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ("README.md", "docs/tutorial.md", *sorted(
    str(page.relative_to(ROOT)) for page in (ROOT / "docs/howto").glob("*.md")
))  # fmt: skip
"""Pages whose blocks of sh and python are run."""

PAGES = tuple(
    sorted(str(page.relative_to(ROOT)) for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
)


def text(page: str) -> str:
    """Return the text of a page."""
    return (ROOT / page).read_text()


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the blocks of code of a page: (language, text)."""
    return re.findall(r"```(\w+)\n(.*?)```", text(page), re.DOTALL)


def run(page: str, folder: Path, env: dict[str, str]) -> dict:
    """Run all blocks in `folder`; return the names that the Python blocks made.

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
def _served(words: list[str], folder: Path, env: dict[str, str]):
    """Have a server while the body runs; it must then end in good order."""
    port = int(words[words.index("--port") + 1]) if "--port" in words else 8000
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))  # a clear failure if something else is there
    process = subprocess.Popen([*COMMAND, *words], cwd=folder, env=env, stderr=subprocess.PIPE)
    try:
        for _ in range(600):
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            if _ready(f"http://127.0.0.1:{port}/ready"):
                break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        code = process.wait(30)
        process.stderr.close()
    assert code == 0, code


def _ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except OSError:
        return False
