"""Examples of the documentation run as they stand, and what it names exists."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command import done, environment
from pages import EXAMPLES, PAGES, ROOT, blocks, run, text
from typer.main import get_command

import trimetric as tm
from trimetric.cli.app import app

README = text("README.md")
LONG = ["choosing-settings", "cold-start"]
SLOW = [
    "agents",
    "cluster",
    "coming-from",
    "estimate",
    "evaluate-lists",
    "own-data",
    "parts",
    "production",
    "shop",
]
MARKS = {
    **{f"docs/howto/{name}.md": pytest.mark.long for name in LONG},
    **{f"docs/howto/{name}.md": pytest.mark.slow for name in SLOW},
    "README.md": pytest.mark.slow,
}
needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="no curl on this machine")


@needs_curl
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=MARKS.get(page, ()))
        for page in EXAMPLES
        if page != "docs/tutorial.md"
    ],
)
def test_examples_run(page: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    names = run(page, tmp_path, environment())
    if page == "README.md":
        printed = [line.rstrip() for line in capfd.readouterr().out.splitlines()]
        shown = next(block for language, block in blocks(page) if language == "text").splitlines()
        assert printed == shown
        assert isinstance(names["model"], tm.CentroidML)
        assert tm.evaluate(names["model"], names["split"])["ndcg@10"] > 0.2
        assert len(pl.read_parquet(tmp_path / "recommendations.parquet")) == 2000 * 10


@needs_curl
def test_the_tutorial_runs_on_a_machine_with_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = run("docs/tutorial.md", tmp_path, environment())
    printed = capfd.readouterr().out
    shown = [block for language, block in blocks("docs/tutorial.md") if language == "text"]
    assert len(shown) == 3
    assert all(block in printed for block in shown)
    floor = tm.evaluate(names["popular"], names["split"])["ndcg@10"]
    assert names["result"]["ndcg@10"] > 4 * floor
    taken, listed = set(names["taken"]["shelf"]), names["listed"]["shelf"]
    assert listed.is_in(list(taken)).mean() > 0.8
    lists = pl.read_csv(tmp_path / "lists.csv")
    assert lists["title"].null_count() == 0
    assert len(lists) == 15_000


def test_published_places_are_in_the_tutorial() -> None:
    from trimetric.data.published import PUBLISHED

    words = text("docs/tutorial.md")
    for name, known in PUBLISHED.items():
        if known.url:
            assert f"<{known.url}>" in words
            assert f"`{name}`" in words


def test_commands_in_sentences_run(tmp_path: Path) -> None:
    whole = tm.synthetic.planted().interactions.to_frame()
    whole.with_columns(rating=pl.lit(5)).write_csv(tmp_path / "likes.csv")
    inline = re.findall(r"`trimetric (fit [^`]*)`", README)
    assert inline
    for args in inline:
        done(*shlex.split(args), "--set", "epochs=2", cwd=tmp_path)


def named_commands() -> list[tuple[str, str]]:
    code = {page: "\n".join(block for _, block in blocks(page)) for page in PAGES}
    commands = [
        (page, " ".join(command.split()))
        for page in PAGES
        for command in re.findall(r"`(trimetric [^`]*)`", text(page))
        + re.findall(r"^trimetric .*$", code[page].replace("\\\n", " "), re.MULTILINE)
    ]
    assert len(commands) > 20
    return commands


@pytest.mark.parametrize(("page", "command"), named_commands())
def test_named_commands_and_options_are_there(page: str, command: str) -> None:
    group: Any = get_command(app)
    words = shlex.split(command, comments=True)[1:]
    while words and hasattr(group, "commands"):
        name = words.pop(0)
        if name.isupper():  # stands for any command
            return
        if not name.startswith("-"):
            assert name in group.commands, f"{page} names {command!r}"
            group = group.commands[name]
    known = {option for parameter in group.params for option in parameter.opts} | {"--help"}
    for word in words:
        if word.startswith("-") and not re.fullmatch(r"-[\d.]+|-", word):
            assert word.split("=")[0] in known, f"{page} names {command!r}"


def test_targets_links_and_extras_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    project = (ROOT / "pyproject.toml").read_text()
    for page in PAGES:
        words = text(page)
        for target in re.findall(r"`make ([a-z-]+)|^    make ([a-z-]+)", words, re.MULTILINE):
            assert re.search(rf"^{''.join(target)}:", makefile, re.MULTILINE), (page, target)
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", words):
            if "://" not in link:
                assert ((ROOT / page).parent / link).exists(), (page, link)
        groups = re.findall(r"'?(?:\.|trimetric)\[([a-z,]+)\]", words)
        for extra in {extra for group in groups for extra in group.split(",")}:
            assert re.search(rf"^{extra} = \[", project, re.MULTILINE), (page, extra)


def test_every_page_is_listed() -> None:
    index = text("docs/README.md")
    for page in (*Path(ROOT / "docs").glob("*.md"), *Path(ROOT / "docs/howto").glob("*.md")):
        name = str(page.relative_to(ROOT / "docs"))
        assert name == "README.md" or f"({name})" in index, name


@pytest.mark.slow
def test_a_person_typed_in_by_titles_gets_reasons() -> None:
    script = ROOT / "examples" / "by_titles.py"
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("because of") == 5
