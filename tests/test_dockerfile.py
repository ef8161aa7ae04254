"""The Dockerfile: what it names exists, and what it copies is enough to build the package."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest
from command import done, refused

from trimetric.serve.app import health, ready

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / "Dockerfile").exists(), reason="not in this copy")


def instructions() -> list[tuple[str, str]]:
    """Return the name and the words of each instruction, continued lines put together."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    split = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    return [(name, " ".join(words.split())) for name, words in split]


def of(name: str) -> list[str]:
    return [words for one, words in instructions() if one == name]


def copied() -> list[str]:
    """Return the paths that are copied from the source tree."""
    words = [words.split() for words in of("COPY") if not words.startswith("--from")]
    return [path for line in words for path in line[:-1]]


def ignored(path: str) -> bool:
    """Whether .dockerignore leaves a path out; the last line that fits counts."""
    out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!").replace("**/", "*")
            if fnmatch(path, pattern) or path.startswith(pattern + "/"):
                out = not line.startswith("!")
    return out


def test_bases_are_pinned_and_slim() -> None:
    bases = [words.split()[0] for words in of("FROM")]
    assert len(set(bases)) == 1
    found = re.fullmatch(r"python:(\d+\.\d+)\.\d+-slim-[a-z]+", bases[0])
    assert found
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {found[1]}" in project["classifiers"]


def test_what_is_installed_is_offered() -> None:
    [extra] = re.findall(r'pip install [^&]*"\.\[(\w+)\]"', " ".join(of("RUN")))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extra in project["optional-dependencies"]
    assert extra == "serve"


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    for path in copied():
        assert (ROOT / path).exists(), path
        assert not ignored(path), path
    for path in (".git", ".venv", "tests", "docs", "m", "src/trimetric/__pycache__", ".env"):
        assert ignored(path), path
    assert not ignored("src/trimetric/serve/page/app.js")


def test_what_is_copied_is_enough_to_build(tmp_path: Path) -> None:
    for path in copied():
        source = ROOT / path
        skip = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")
        if source.is_dir():
            shutil.copytree(source, tmp_path / "source" / path, ignore=skip)
        else:
            (tmp_path / "source").mkdir(exist_ok=True)
            shutil.copy(source, tmp_path / "source" / path)
    build = "from hatchling.build import build_wheel; print(build_wheel('..'))"
    ran = subprocess.run(
        [sys.executable, "-c", build], cwd=tmp_path / "source", capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for needed in ("cli/serve.py", "serve/page/index.html", "serve/page/app.js", "py.typed"):
        assert f"trimetric/{needed}" in names


def test_it_does_not_run_as_root() -> None:
    order = [name for name, _ in instructions()]
    [user] = of("USER")
    assert user not in ("root", "0")
    assert any(f"--uid {user} " in words for words in of("RUN"))
    assert order.index("USER") < order.index("ENTRYPOINT")


def test_the_command_and_its_options_exist(tmp_path: Path) -> None:
    entry, given = (json.loads(of(name)[0]) for name in ("ENTRYPOINT", "CMD"))
    assert entry[:2] == ["trimetric", "serve"]
    usage = done("serve", "--help", env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    for word in entry[2:]:
        assert not word.startswith("--") or word in usage
    [port] = of("EXPOSE")
    assert entry[entry.index("--port") + 1] == port
    # Without a key and without --open it refuses, before it looks for the model.
    assert "--api-key, or TRIMETRIC_API_KEY" in refused(*entry[1:], *given)


def test_the_health_check_asks_a_route_that_needs_no_key() -> None:
    [words] = of("HEALTHCHECK")
    assert re.search(r"--interval=\d+s --timeout=\d+s --start-period=\d+s", words)
    command = json.loads(words[words.index("[") :])
    [(port, path)] = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", " ".join(command))
    assert port == of("EXPOSE")[0]
    assert path in {*health.paths, *ready.paths}
    compile(command[2], "health check", "exec")
    assert command[:2] == ["python", "-c"]


def test_the_compiled_kernels_have_a_place() -> None:
    [env] = of("ENV")
    values = dict(pair.split("=", 1) for pair in shlex.split(env))
    folder = values["NUMBA_CACHE_DIR"]
    assert any(f"chown trimetric {folder}" in words for words in of("RUN"))


def test_hadolint_has_nothing_to_say() -> None:
    tool = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which(
        "hadolint"
    )
    if tool is None:
        pytest.skip("hadolint is not installed")
    ran = subprocess.run([tool, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
