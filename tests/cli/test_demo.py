"""The demo, in processes of its own: it ends with lists with titles, and its last line works."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from command import COMMAND, document, done, environment
from serving import started

import trimetric as tm

ROOT = Path(__file__).parents[2]
TITLES = dict(tm.datasets.titles("bookshop").iter_rows())


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess]:
    """Run the demo where there is no data set; return its folder and what it said."""
    folder = tmp_path_factory.mktemp("demo")
    ran = subprocess.run(
        [sys.executable, "-m", "trimetric", "demo", "--out", "my demo"],
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return folder, ran


def next_steps(told: str) -> list[list[str]]:
    """Return the words of the commands that were told, after that of trimetric itself."""
    lines = [line for line in told.split("Next:")[1].splitlines() if line.startswith("  ")]
    words = [shlex.split(line, comments=True) for line in lines]
    return [one[one.index("trimetric") + 1 :] if "trimetric" in one else one[1:] for one in words]


def test_lists_with_titles_where_there_is_no_data(played: tuple) -> None:
    told = played[1].stdout
    assert "bookshop, made-up readers and books, generated here" in played[1].stderr
    for heading, least in (("has ", 6), ("Recommended to", 10), ("Like ", 5)):
        table = told.split(heading, 1)[1].split("\n\n")[0]
        assert sum(title in table for title in TITLES.values()) >= least, (heading, table)
    assert "held out, liked" in told


def test_what_it_says_to_run_next_runs(played: tuple) -> None:
    folder, told = played[0], played[1].stdout
    *steps, page = next_steps(told)
    assert [step[0] for step in steps] == ["recommend", "similar-items", "explain", "fit"]
    for step in steps[:3]:
        shown = done(*step, cwd=folder)
        assert any(title in shown for title in TITLES.values()), step
    assert steps[3][:2] == ["fit", "bookshop"]
    assert page == ["serve", "my demo", "--items", "bookshop"]


def test_the_page_opens_by_the_last_line(played: tuple) -> None:
    folder, told = played[0], played[1].stdout
    page = next_steps(told)[-1]
    assert "http://127.0.0.1:8000" in told
    with started([*page, "--port", "0"], environment(), folder) as server:
        status, html = server.ask("/")
        assert (status, "<html" in html) == (200, True)
        user = re.search(r"Recommended to user (\S+)", told)
        assert user
        status, found = server.ask(f"/v1/recommend?user={user[1]}&k=10")
        titles = [row["title"] for row in found["recommendations"]]
        assert status == 200
        assert all(title in told for title in titles)
        assert set(titles) <= set(TITLES.values())
        assert server.stop() == 0


@pytest.mark.slow
def test_as_one_document(tmp_path: Path) -> None:
    found = document("demo", cwd=tmp_path)
    assert found["data"]["name"] == "bookshop"
    assert len(found["recommendations"]) == 10
    assert all(row["title"] == TITLES[row["item"]] for row in found["recommendations"])
    metrics = found["metrics"]
    assert metrics["CentroidML"]["ndcg@10"] > 4 * metrics["popularity"]["ndcg@10"]
    assert found["page"].endswith("serve demo-model --items bookshop")
    assert document("recommend", found["model"], "--user", found["user"], cwd=tmp_path)


@pytest.mark.slow
def test_on_real_data(real_data: Path, tmp_path: Path) -> None:
    for name in ("ml_100k.parquet", "ml_100k_items.parquet"):
        (tmp_path / name).symlink_to(real_data / name)
    env = environment(TRIMETRIC_DATA=str(tmp_path))
    ran = subprocess.run([*COMMAND, "demo"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "data: ml_100k" in ran.stderr
    assert re.search(r"\(19\d\d\)", ran.stdout)  # a title
    *steps, page = next_steps(ran.stdout)
    for step in steps[:2]:
        assert re.search(r"\(19\d\d\)", done(*step, cwd=tmp_path, env=env))
    with started([*page, "--port", "0"], env, tmp_path) as server:
        assert re.search(r"\(19\d\d\)", str(server.ask("/v1/items?search=star")[1]))


def test_make_demo_installs_what_the_page_needs() -> None:
    rule = re.search(r"^demo: (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert rule
    assert rule[1] == ".venv/.ready-serve"
    assert os.access(ROOT / "tools" / "setup", os.X_OK)
