"""Standard input and output in place of files."""

import json
import subprocess
from pathlib import Path

import polars as pl
import pytest
from command import COMMAND, done, environment, refused, trimetric

import trimetric as tm

LOG = "user,item\nann,tea\nann,jam\nbob,tea\ncat,jam\ncat,pie\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "log.csv").write_text(LOG)
    done("fit", "log.csv", "--model", "ease", "--out", "m", cwd=tmp_path)
    return tmp_path


def test_lists_on_standard_output_are_those_of_the_file(folder: Path) -> None:
    for who in (["--all"], ["--user", "bob"], ["--item", "tea"]):
        done("recommend", "m", *who, "--out", "r.csv", cwd=folder)
        ran = trimetric("recommend", "m", *who, "--out", "-", "-q", cwd=folder)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout == (folder / "r.csv").read_text()
        assert sorted(path.name for path in folder.iterdir()) == ["log.csv", "m", "r.csv"]


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    name = "log[old] :apple:.csv"
    (tmp_path / name).write_text("user,item\nann,:+1:\nbob,[red]tea\n")
    shown = done("data", "inspect", name, cwd=tmp_path)
    for text in (name, ":+1:", "[red]tea"):
        assert text in shown


@pytest.mark.parametrize(
    "encoding",
    ["ascii", *(pytest.param(name, marks=pytest.mark.slow) for name in ("latin-1", "cp1252"))],
)
def test_ids_are_kept_where_standard_output_is_not_utf8(encoding: str, folder: Path) -> None:
    r"""They were written as \xeb, which is no JSON, and in csv as other ids."""
    name = "Zoë 李 🥖"
    (folder / "names.csv").write_text(f"user,item\n{name},tea\n{name},jam\nbob,pie\n", "utf-8")
    done("fit", "names.csv", "--model", "popularity", "--out", "names", cwd=folder)
    asked = [*COMMAND, "recommend", "names", "--user", name]
    there = {"cwd": folder, "env": environment(PYTHONIOENCODING=encoding), "timeout": 60}
    document = subprocess.run([*asked, "--json"], capture_output=True, check=True, **there)
    assert json.loads(document.stdout.decode(encoding))["recommendations"][0]["user"] == name
    lists = subprocess.run([*asked, "--out", "-"], capture_output=True, check=True, **there)
    assert pl.read_csv(lists.stdout)["user"][0] == name


def test_a_log_on_standard_input(folder: Path) -> None:
    ran = trimetric("fit", "-", "--model", "ease", "--out", "m2", cwd=folder, input=LOG)
    assert ran.returncode == 0, ran.stderr
    ours, theirs = tm.load(folder / "m"), tm.load(folder / "m2")
    assert ours.weights.tobytes() == theirs.weights.tobytes()


def test_users_on_standard_input(folder: Path) -> None:
    asked = ["recommend", "m", "--users-file", "-", "--out", "-", "-q"]
    ran = trimetric(*asked, cwd=folder, input="bob\nann\n")
    listed = pl.read_csv(ran.stdout.encode())
    assert listed["user"].unique(maintain_order=True).to_list() == ["bob", "ann"]


def test_a_reader_that_goes_away_is_no_error(folder: Path) -> None:
    command = " ".join(f"'{word}'" for word in (*COMMAND, "recommend", "m", "--all", "--out", "-"))
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} -q | head -1"],
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("user,item,rank,score")


def test_a_full_disk_behind_standard_output(folder: Path) -> None:
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [*COMMAND, "recommend", "m", "--all", "--out", "-", "-q"],
            cwd=folder, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True,
            timeout=60,
        )  # fmt: skip
    assert ran.returncode == 2
    assert "cannot write to standard output: No space left on device" in ran.stderr


def test_what_is_written_whole_needs_a_file(folder: Path) -> None:
    assert "must end in .parquet" in refused("recommend", "m", "--all", "--out", "x", cwd=folder)
