"""Commands on a model in parts say what they say of the whole one."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import done, refused

import trimetric as tm
from trimetric.models.sharded_index import partitions_in


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a split, a model of it as `m`, and the same in four parts as `s`."""
    room = tmp_path_factory.mktemp("sharded")
    data = tm.synthetic.bookshop().interactions
    split = tm.split_random(data, seed=3)
    split.save(room / "parts")
    model = tm.SML(dim=8, epochs=2, temperature=0.2).fit(split, progress=False)
    model.save(room / "m")
    model.save(room / "s", partitions=4)
    return room


def both(*args: str, cwd: Path) -> tuple[dict, dict]:
    """Return what a command prints as JSON of the model and of its parts."""
    found = []
    for name in "ms":
        answer = json.loads(done(args[0], name, *args[1:], "--json", cwd=cwd))
        answer.pop("folder", None)
        found.append(answer)
    return found[0], found[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ("--split", "parts"),
        ("--split", "parts", "--protocol", "sampled-499", "--at", "3,7"),
        ("--split", "parts", "--protocol", "dpcml", "--beyond", "5"),
        ("--split", "parts", "--include-seen"),
        ("--test", "parts/test.parquet"),
        ("--test", "parts/test.parquet", "--train", "parts/train.parquet"),
    ],
)
def test_evaluate(room: Path, options: tuple[str, ...]) -> None:
    whole, parts = both("evaluate", *options, cwd=room)
    assert whole == parts
    shown = [done("evaluate", name, *options, cwd=room) for name in "ms"]
    assert shown[0] == shown[1]


def test_evaluate_with_validation(room: Path) -> None:
    options = ("--test", "parts/test.parquet", "--valid", "parts/valid.parquet")
    whole, parts = both("evaluate", *options, cwd=room)
    assert (
        whole.pop("data")["fingerprints"]["held_out"]
        == parts.pop("data")["fingerprints"]["held_out"]
    )
    assert whole == parts
    shown = [done("evaluate", name, *options, cwd=room) for name in "ms"]
    assert shown[0] == shown[1]


USERS = ("--user", "reader-0042,reader-0007,reader-0042")


@pytest.mark.parametrize(
    "command",
    [
        ("recommend", *USERS),
        ("recommend", *USERS, "--items", "none", "--include-seen", "-k", "3"),
        ("recommend", *USERS, "--diversity", "0.5"),
        ("recommend", "--item", "book-001,book-005"),
        ("similar-users", *USERS),
        ("similar-users", *USERS, "--items", "none", "-k", "25"),
        ("similar-items", "--item", "book-001,book-005"),
        ("explain", "--user", "reader-0042"),
        ("explain", "--user", "reader-0042", "--item", "book-005"),
        ("explain", "--liked", "book-001,book-002"),
    ],
)
def test_answers(room: Path, command: tuple[str, ...]) -> None:
    books = tm.load(room / "m").item_ids[:6].to_list()
    names = {f"book-00{number}": books[number] for number in (1, 2, 5)}
    args = [",".join(names.get(one, one) for one in text.split(",")) for text in command]
    whole, parts = both(*args, cwd=room)
    assert whole == parts


@pytest.mark.parametrize("command", ["recommend", "similar-users", "similar-items", "explain"])
def test_one_at_random(room: Path, command: str) -> None:
    assert done(command, "s", "--seed", "3", cwd=room) == done(
        command, "s", "--seed", "3", cwd=room
    )


@pytest.mark.parametrize("command", ["recommend", "similar-users", "explain"])
def test_a_user_that_nobody_knows(room: Path, command: str) -> None:
    said = [refused(command, name, "--user", "reader-00042", cwd=room) for name in "ms"]
    assert said[0] == said[1]
    assert "did you mean 'reader-0042'" in said[1]


def test_all_users(room: Path) -> None:
    for name in "ms":
        done("recommend", name, "--all", "--out", f"{name}.parquet", cwd=room)
    files = [pl.read_parquet(room / f"{name}.parquet") for name in "ms"]
    assert files[0].equals(files[1].sort("user", "rank"))
    order = tm.ShardedModel.open(room / "s").part_of(files[1]["user"].unique(maintain_order=True))
    assert (np.diff(order) >= 0).all()
    for name in "ms":
        done("similar-users", name, "--all", "--out", f"{name}.csv", cwd=room)
    assert (room / "m.csv").read_bytes() == (room / "s.csv").read_bytes()


@pytest.mark.parametrize("to", ["npy", "parquet", "pgvector", "qdrant", "faiss"])
def test_exports_have_the_same_bytes(room: Path, to: str) -> None:
    if to == "faiss":
        pytest.importorskip("faiss")
    for name in "ms":
        done("export", name, "--to", to, "--out", f"{to}-{name}", cwd=room)
    files = sorted(path.name for path in (room / f"{to}-m").iterdir())
    assert files == sorted(path.name for path in (room / f"{to}-s").iterdir())
    for name in files:
        assert (room / f"{to}-m" / name).read_bytes() == (room / f"{to}-s" / name).read_bytes()
    assert not [*(room / "s").glob("tmp*")]


def test_what_changes_a_model_leaves_it_in_parts(room: Path) -> None:
    book = tm.load(room / "m").item_ids[0]
    (room / "new.csv").write_text(f"user,item\nnew-reader,{book}\nreader-0042,{book}\n")
    for name in "ms":
        done("update", name, "--with", "new.csv", "--out", f"{name}2", cwd=room)
        done("forget", f"{name}2", "--user", "reader-0007", cwd=room)
        done("unavailable", f"{name}2", "--item", book, cwd=room)
    whole, parts = tm.load(room / "m2"), tm.load(room / "s2")
    assert (partitions_in(room / "m2"), partitions_in(room / "s2")) == (None, 4)
    for name, array in whole.tensors().items():
        assert np.array_equal(array, parts.tensors()[name])
    assert whole.unavailable.to_list() == parts.unavailable.to_list() == [book]
    assert "reader-0007" not in parts.user_ids
    held = done("forget", "s2", "--user", "reader-0100", "--search", "s", cwd=room)
    assert "forgot 1 users" in held


def test_titles_files_and_unknown_options(room: Path) -> None:
    done("recommend", "s", "--all", "--out", "t.csv", "--items", "bookshop", "-k", "2", cwd=room)
    assert "title" in (room / "t.csv").read_text().splitlines()[0]
