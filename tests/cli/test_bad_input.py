"""Whatever a user gets wrong is told in one line, with the exit code of a user's mistake."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from command import COMMAND, done, environment, inside, refused, tensors, trimetric

ROWS = "".join(f"u{n % 7},i{n % 5},{n % 5 + 1}\n" for n in range(30))


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """Return a folder with a small table that can be trained on."""
    (tmp_path / "good.csv").write_text("user,item,rating\n" + "".join(ROWS.splitlines(True)[:25]))
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds a small model, m."""
    folder = tmp_path_factory.mktemp("trained")
    done("fit", "planted", "--out", "m", "--set", "epochs=1", "--set", "dim=4", cwd=folder)
    return folder


def refused_to_fit(room: Path, *args: object) -> str:
    """Run a fit that must fail, and leave nothing behind."""
    before = sorted(room.rglob("*"))
    said = refused("fit", *args, "--out", "m", "--quiet", cwd=room)
    assert sorted(room.rglob("*")) == before
    assert len(said.splitlines()) == 1
    return said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "d.csv is empty"),
        ("user,item\n", "d.csv"),
        ("users,item\na,x\n", "did you mean --user-column 'users'?"),
        ("user,item,rating\na,x,4\nb,y,good\n", "'rating' holds 'good' in row 2"),
        ("user,item,rating\na,x,4\nb,y,nan\n", "row 2"),
        ("user,item,rating\na,x,4\nb,y,-2\n", "negative in 1 rows.* give --min-rating"),
        ("user,item,rating\na,x,4\n,y,2\n", "row 2.*--nulls drop"),
        ("user,item\na,x\na,y\n", "every user of the training data has all 2 items"),
        ("user,item\na,x\nb,x\n", "every user of the training data has all 1 items"),
        ("user,item\na,x,9\n", "row 1 has 3 fields and the header 2"),
    ],
    ids=[
        *("empty", "no rows", "wrong column", "text in ratings", "nan", "negative", "null"),
        *("one user", "one item", "ragged"),
    ],
)
def test_tables(tmp_path: Path, text: str, words: str) -> None:
    import re

    (tmp_path / "d.csv").write_text(text)
    assert re.search(words, refused_to_fit(tmp_path, "d.csv"))


def test_ids_of_mixed_types(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"user": 1, "item": "x"}\n{"user": "1", "item": "y"}\n')
    assert "user" in refused_to_fit(tmp_path, "d.jsonl")


def test_missing_data(room: Path) -> None:
    assert "good.csv" in refused_to_fit(room, "goood.csv")
    assert "did you mean 'ml_1m'?" in refused_to_fit(room, "ml1m")
    said = refused_to_fit(room, "ml_1m")
    assert "is not on this machine" in said
    assert "TRIMETRIC_DATA" in said
    assert "planted has no ratings" in refused_to_fit(room, "planted", "--min-rating", 4)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--set", "dim=0"], "dim must be in 1..4096, got 0"),
        (["--set", "lr=nan"], "lr must be above 0"),
        (["--set", "lr=0"], "lr must be above 0"),
        (["--set", "epochs=many"], "epochs must be a whole number, got 'many'"),
        (["--set", "epoch=3"], "unknown setting 'epoch'; did you mean epochs"),
        (["--set", "dim"], "--set takes name=value"),
        (["--model", "sml", "--set", "negatives=easy"], "negatives must be one of"),
        (["--model", "smll"], "unknown model 'smll'; did you mean sml"),
        (["--model", "base+s", "--set", "variant=base"], "already"),
        (["--preset", "papers"], "preset must be one of"),
        (["--config", "none.toml"], "none.toml cannot be read"),
        (["--config", "good.csv"], "good.csv is not TOML"),
        (["--valid-share", "2"], "--valid-share must be above 0 and below 1"),
        (["--valid", "good.csv", "--valid-share", ".1"], "not both"),
        (["--min-rating", "nan"], "--min-rating must be a finite number"),
        (["--min-rating", "9"], "good.csv"),
        (["--threads", "0"], "threads must be a whole number in 1..256, got 0"),
        (["--nulls", "keep"], "nulls must be one of"),
    ],
)
def test_settings(room: Path, given: list[str], words: str) -> None:
    ran = inside("fit", "good.csv", "--out", "m", "--quiet", *given, cwd=room)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert words in ran.stderr
    assert "unexpected" not in ran.stderr
    assert not (room / "m" / "model.json").exists()


def test_usage() -> None:
    assert "Missing option '--out'" in refused("fit", "planted")
    assert "No such option" in refused("fit", "planted", "--out", "m", "--epoches", "3")
    assert "No such command" in refused("fits")


def test_validation_that_shares_nothing(room: Path) -> None:
    (room / "v.csv").write_text("user,item\nx,y\n")
    assert "no validation interaction" in refused_to_fit(room, "good.csv", "--valid", "v.csv")
    seen = refused_to_fit(room, "good.csv", "--valid", "good.csv")
    assert "not seen in training" in seen


def test_a_user_with_every_item_is_told_and_skipped(room: Path) -> None:
    every = "".join(f"all,i{n},5\n" for n in range(5))
    few = "".join(f"u{n},i{n % 5},5\n" for n in range(9))
    (room / "d.csv").write_text("user,item,rating\n" + every + few)
    ran = trimetric("fit", "d.csv", "--out", "m", "--set", "epochs=2", "--json", cwd=room)
    assert ran.returncode == 0
    assert "warning: 1 of the users have every item" in ran.stderr
    assert done("recommend", "m", "--user", "all", "--json", cwd=room).count('"rank"') == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["recommend", "m", "--user", "nobody"], "unknown user: 'nobody'"),
        (["recommend", "m", "--user", "u0001", "-k", "0"], "k must be a whole number in 1.."),
        (["recommend", "m", "--user", "u0001", "--out", "r.xlsx"], "must end in .parquet, .csv"),
        (["recommend", "m", "--user", "u0001", "--on-unknown", "guess"], "--on-unknown must be"),
        (["recommend", "m", "--all"], "--all needs --out"),
        (["recommend", "m", "--out", "r.csv"], "give users by --user"),
        (["recommend", "m", "--user", "1", "--all", "--out", "r.csv"], "give only one of --user"),
        (["recommend", "m", "1", "--item", "2"], "give only one of --user"),
        (["recommend", "m", "--all", "--out", "-", "--json"], "--out - prints csv, and --json"),
        (["similar-items", "m", "--all", "--out", "-", "--json"], "--out - prints csv, and --json"),
        (["recommend", "m", "--users-file", "none.txt"], "none.txt does not exist"),
        (["recommend", "none", "--user", "1"], "no such folder: none"),
        (["recommend", ".", "--user", "1"], "it has no model.json"),
        (["similar-items", "m", "--item", "nothing"], "unknown item: 'nothing'"),
        (["similar-users", "m", "--user", "nobody"], "unknown user: 'nobody'"),
        (["evaluate", "m", "--test", "none.csv"], "none.csv does not exist"),
        (["evaluate", "m", "--test", "planted"], "were in its training data"),
        (["evaluate", "m", "--test", "planted", "--protocol", "fuller"], "unknown protocol"),
        (["evaluate", "m", "--test", "planted", "--at", "5;10"], "--at takes whole numbers"),
        (["evaluate", "m", "--test", "planted", "--at", "0"], "0"),
        (["data", "split", "planted", "--out", "s", "--how", "odd"], "--how must be one of"),
        (["data", "split", "planted", "--out", "s", "--test", "1"], "the shares must be"),
        (["data", "split", "planted", "--out", "s", "--how", "temporal"], "has no timestamps"),
        (["data", "split", "planted", "--out", "s", "--how", "column"], "ships no split"),
    ],
)
def test_questions(trained: Path, given: list[str], words: str) -> None:
    before = sorted(trained.rglob("*"))
    ran = inside(*given, cwd=trained)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert words in ran.stderr
    assert sorted(trained.rglob("*")) == before


def test_questions_through_the_process(trained: Path) -> None:
    assert "unknown user: 'nobody'" in refused("recommend", "m", "--user", "nobody", cwd=trained)
    assert "no model.json" in refused("evaluate", ".", "--test", "planted", cwd=trained)


def test_a_damaged_model_is_told(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    for path in (trained / "m").iterdir():
        content = path.read_bytes()
        (tmp_path / "m" / path.name).write_bytes(content[: len(content) // 2])
    assert "damaged" in refused("recommend", "m", "--user", "u0001", cwd=tmp_path)


def test_an_output_that_cannot_be_written(room: Path) -> None:
    (room / "file").write_text("mine")
    before = sorted(room.rglob("*"))
    for given in (
        ("fit", "good.csv", "--out", "file", "--quiet"),
        ("fit", "good.csv", "--out", "file/m", "--quiet"),
        ("data", "split", "good.csv", "--out", "file"),
        ("data", "split", "good.csv", "--out", "/proc/s"),
    ):
        said = inside(*given, cwd=room)
        assert said.returncode == 2, said.stderr
        assert given[given.index("--out") + 1].split("/")[-1] in said.stderr
    assert "cannot write" in refused("fit", "good.csv", "--out", "/proc/m", "--quiet", cwd=room)
    assert (room / "file").read_text() == "mine"
    assert sorted(room.rglob("*")) == before


def test_standard_output_that_cannot_be_written(trained: Path) -> None:
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [*COMMAND, "recommend", "m", "--user", "u0001", "--json"],
            cwd=trained,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert ran.returncode == 2
    assert ran.stderr == "trimetric: cannot write to standard output: No space left on device\n"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 256 KiB, where this is allowed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.name != "posix" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk to fill")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk(small_disk: Path, trained: Path, room: Path) -> None:
    fit = ("fit", "planted", "--out", small_disk / "m", "--quiet", "--set", "epochs=1")
    assert "MB are needed" in refused(*fit)
    done("fit", room / "good.csv", "--out", small_disk / "m", "--quiet", "--set", "dim=2")
    kept = tensors(small_disk / "m")
    everyone = ("recommend", trained / "m", "--all", "-k", 50)
    for name in ("r.csv", "r.jsonl", "r.parquet"):
        said = refused(*everyone, "--out", small_disk / name)
        assert f"cannot write {small_disk / name}: No space left on device; free some" in said
    pairs = range(400_000)
    many = pl.DataFrame(
        {"user": [n % 300 for n in pairs], "item": [n * 7919 % 20011 for n in pairs]}
    )
    many.write_parquet(room / "many.parquet")
    said = refused("data", "split", room / "many.parquet", "--out", small_disk / "s")
    assert "No space left" in said
    assert [path.name for path in small_disk.iterdir()] == ["m"]
    assert tensors(small_disk / "m") == kept


def test_tracebacks_are_for_those_who_ask(room: Path) -> None:
    asked = ("fit", "none.csv", "--out", "m")
    assert "Traceback" not in trimetric(*asked, cwd=room).stderr
    for given in (("--debug", *asked), (*asked, "--debug")):
        ran = trimetric(*given, cwd=room)
        assert ran.returncode == 2
        assert "Traceback" in ran.stderr


def test_our_own_mistakes_are_told_apart(monkeypatch: pytest.MonkeyPatch, trained: Path) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("trimetric.models.open_model", broken)
    ran = inside("recommend", "m", "--user", "u0001", cwd=trained)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        "trimetric: unexpected ZeroDivisionError: oops; run with --debug for the traceback\n"
    )


def test_update_finds_out_that_it_cannot_write_before_it_trains(trained: Path) -> None:
    (trained / "file").write_text("x")
    (trained / "new.csv").write_text("user,item\nu0001,i001\nu0002,i002\n")
    said = refused("update", "m", "--with", "new.csv", "--out", "file", cwd=trained)
    assert "a file stands where a folder is needed" in said
    assert "epoch" not in said


def test_explain_names_no_option_of_other_commands(trained: Path) -> None:
    said = refused("explain", "m", "--user", "nobody", cwd=trained)
    assert "1 unknown user: 'nobody'" in said
    assert "--on-unknown" not in said
    assert "--on-unknown can be popular" in refused("recommend", "m", "--user", "no", cwd=trained)


def test_summaries_of_commands_are_whole_sentences() -> None:
    for args in ((), ("data",)):
        listed = done(*args, "--help").partition("Commands:")[2].strip().splitlines()
        assert len(listed) > 3
        assert all(line.endswith(".") and not line.endswith("...") for line in listed)
