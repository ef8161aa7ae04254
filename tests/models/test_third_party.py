"""Models of other packages: the example of the how-to, built and run, and broken entry points."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import invalidate_caches
from pathlib import Path

import pytest
from command import COMMAND, environment
from pages import ROOT, blocks

import trimetric as tm
from trimetric.errors import ArtifactError, ParameterError
from trimetric.models import OURS, REGISTRY, installed, registered, search_space
from trimetric.testing import check_recommender

EXAMPLE = ROOT / "examples/trimetric-popcml"
PAGE = "docs/howto/new-model.md"
MOST_LINES = 80

SCRIPT = """
import trimetric as tm
from trimetric.models import REGISTRY, search_space
from trimetric.testing import check_recommender

model = tm.create("popcml", dim=8, epochs=2)
assert type(model).__module__ == "trimetric_popcml"
assert "popcml" in list(REGISTRY)
assert search_space("popcml")["correction"] == (0.02, 0.5, "log")
check_recommender(type(model))
data = tm.synthetic.planted(100, 60, per_user=8).interactions
model.fit(data).save("saved")
users = data.user_ids.values
assert tm.load("saved").recommend(users).equals(model.recommend(users))
print("done")
"""


def pip(*args: object) -> None:
    """Run pip without a network."""
    offline = ["--no-index", "--no-deps", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", args[0], *offline, *args[1:]]
    subprocess.run([*map(str, command)], check=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the example's wheel installed."""
    pytest.importorskip("hatchling")
    wheels, site = (tmp_path_factory.mktemp(name) for name in ("wheels", "site"))
    pip("wheel", "--no-build-isolation", "--wheel-dir", wheels, EXAMPLE)
    [wheel] = wheels.iterdir()
    pip("install", "--target", site, wheel)
    return site


def run(command: list[str], site: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with what lies in `site` installed beside trimetric."""
    source = Path(tm.__file__).parents[1]
    path = os.pathsep.join(filter(None, [f"{site}", f"{source}", os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(PYTHONPATH=path),
        capture_output=True,
        text=True,
        timeout=120,
    )


# --- the example ------------------------------------------------------------------------------


def test_the_page_shows_the_package() -> None:
    module = (EXAMPLE / "trimetric_popcml.py").read_text()
    assert next(text for language, text in blocks(PAGE) if language == "python") == module
    [entry_point] = [text for language, text in blocks(PAGE) if language == "toml"]
    assert entry_point in (EXAMPLE / "pyproject.toml").read_text()
    assert len(module.splitlines()) < MOST_LINES


@pytest.mark.slow
def test_the_installed_package_keeps_the_contract(site: Path, tmp_path: Path) -> None:
    ran = run([sys.executable, "-c", SCRIPT], site, tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "done\n"), ran.stderr


@pytest.mark.long
def test_the_commands_of_the_page_run(site: Path, tmp_path: Path) -> None:
    [commands] = [text for language, text in blocks(PAGE) if language == "bash"]
    install, *lines = commands.splitlines()
    assert install == f"pip install ./{EXAMPLE.relative_to(ROOT)}"
    for line in lines:
        ran = run([*COMMAND, *shlex.split(line)[1:]], site, tmp_path)
        assert ran.returncode == 0, (line, ran.stderr)
    assert "popcml" in (tmp_path / "m/model.json").read_text()
    assert "popcml" in (tmp_path / "comparison/report.md").read_text()
    without = run([*COMMAND, "recommend", "m", "--user", "u0007"], tmp_path, tmp_path)
    assert without.returncode == 2
    assert "the package it came from" in without.stderr


# --- entry points -----------------------------------------------------------------------------

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that installs a package: its name, its entry points and its module."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(package: str, points: dict[str, str], code: str = "") -> None:
        folder = tmp_path / f"{package}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (folder / "entry_points.txt").write_text("\n".join(["[trimetric.models]", *lines]))
        (tmp_path / f"{package}.py").write_text(code)
        invalidate_caches()
        installed.cache_clear()

    yield install
    monkeypatch.undo()
    installed.cache_clear()


GOOD = "from trimetric import Popularity\nclass Mine(Popularity):\n    name = 'mine'\n"


def test_an_entry_point_is_a_model(install: Install) -> None:
    install("good_package", {"mine": "good_package:Mine"}, GOOD)
    assert type(tm.create("mine")).__name__ == "Mine"
    assert [*REGISTRY] == [*OURS, "mine"]
    assert len(REGISTRY) == len(OURS) + 1
    assert search_space("mine") == {}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("", "module 'bad_package' has no attribute 'Mine'"),
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
        ("raise ValueError('not today')", "ValueError: not today"),
        ("Mine = 7", "7 is no subclass of Recommender"),
        (GOOD.replace("'mine'", "'yours'"), "name is 'mine' and the model's is 'yours'"),
    ],
)
def test_a_broken_entry_point_is_named(install: Install, code: str, message: str) -> None:
    sys.modules.pop("bad_package", None)
    install("bad_package", {"mine": "bad_package:Mine"}, code)
    with pytest.raises(ParameterError, match=message) as error:
        tm.create("mine")
    assert "model 'mine' of bad_package cannot be loaded from bad_package:Mine" in str(error.value)
    assert type(tm.create("popularity")) is tm.Popularity


def test_a_broken_entry_point_on_the_command_line(install: Install, tmp_path: Path) -> None:
    install("broken_package", {"mine": "broken_package:Mine"})
    ran = run([*COMMAND, "fit", "planted", "--model", "mine", "--out", "m"], tmp_path, tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "model 'mine' of broken_package cannot be loaded" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_ours_win_with_a_warning(install: Install) -> None:
    install("a_shadow", {"popularity": "a_shadow:Mine"}, GOOD)
    with pytest.warns(UserWarning, match=r"a_shadow registers a model named 'popularity'.*is used"):
        model = tm.create("popularity")
    assert type(model) is tm.Popularity
    assert [*REGISTRY] == [*OURS]


def test_two_packages_of_one_name_are_refused(install: Install) -> None:
    install("first_package", {"mine": "first_package:Mine"}, GOOD)
    install("second_package", {"mine": "second_package:Mine"}, GOOD)
    with pytest.raises(ParameterError, match=r"_package and .*_package all register .* 'mine'"):
        tm.create("mine")


# --- without an entry point -------------------------------------------------------------------


class Mine(tm.Popularity):
    name = "mine"


def test_registered_for_a_while(tmp_path: Path) -> None:
    with registered(Mine):
        model = tm.create("mine").fit((["u", "u", "v"], ["i", "j", "i"]))
        model.save(tmp_path)
        assert type(tm.load(tmp_path)) is Mine
    assert "mine" not in REGISTRY
    with pytest.raises(ArtifactError, match="'mine', which this version"):
        tm.load(tmp_path)
    check_recommender(Mine())


def test_a_name_of_ours_is_refused() -> None:
    class Shadow(tm.Popularity):
        pass

    with pytest.raises(ParameterError, match="trimetric has a model named 'popularity'"):
        check_recommender(Shadow)
    check_recommender(tm.Popularity)


def test_a_broken_promise_is_named() -> None:
    class Forgetful(Mine):
        def restore(self, stored):  # type: ignore[no-untyped-def]
            scorer = super().restore(stored)
            scorer.learned[:] = 0
            return scorer

    with pytest.raises(AssertionError, match=r"mine fails the check \w+") as error:
        check_recommender(Forgetful)
    assert "saved_and_loaded" in str(error.value)
    assert isinstance(error.value.__cause__, AssertionError)
