"""What the README says runs as it stands, in its order."""

import re
import shlex
from pathlib import Path

import polars as pl
import pytest

import trimetric as tm
from command import done

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [example] = blocks("python")
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)
    assert isinstance(names["model"], tm.SML)
    assert tm.evaluate(names["model"], names["split"])["ndcg@10"] > 0.2


def test_the_commands_run(tmp_path: Path) -> None:
    for line in "".join(blocks("sh")).splitlines():
        command, *args = shlex.split(line)
        assert command == "trimetric"
        assert done(*args, cwd=tmp_path)
    assert len(pl.read_parquet(tmp_path / "recommendations.parquet")) == 2000 * 10
    whole = tm.synthetic.planted().interactions.to_frame()
    whole.with_columns(rating=pl.lit(5)).write_csv(tmp_path / "likes.csv")
    inline = re.findall(r"`trimetric (fit [^`]*)`", README)
    assert inline
    for args in inline:
        done(*shlex.split(args), "--set", "epochs=2", cwd=tmp_path)


def test_the_targets_and_files_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / link).exists()
    named = re.findall(r"'?\.\[([a-z,]+)\]", README)
    for extra in {one for group in named for one in group.split(",")}:
        assert re.search(rf"^{extra} = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
