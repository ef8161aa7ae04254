"""IMDB and Yelp 2013 of Tang et al. 2015, in files of their exact form, up to Tables 3 and 4."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import document, environment

import trimetric as tm
from trimetric.cli.reproduce import ALIASES, _resolve
from trimetric.data import datasets, split_random
from trimetric.errors import DataError
from trimetric.evaluation import released_data
from trimetric.experiments.paper import recipes, reproduce, tables
from trimetric.experiments.tune import BUDGETS, Budget

NAMES = {
    "imdb_tang2015": [f"imdb.{part}.txt.ss" for part in ("train", "dev", "test")],
    "yelp2013_tang2015": [f"yelp-2013-seg-20-20.{part}.ss" for part in ("train", "dev", "test")],
}
# As published: text in sentences, with quotes, tabs, commas, signs that end lines elsewhere.
TEXTS = (
    'the film is " good " <sssss> i say so , -lrb- twice -rrb- .',
    "a\tb \t\t c <sssss> l'été : 5 / 10",
    "one\u2028line\x85still <sssss> ünï",
    "",
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TRIMETRIC_DATA", raising=False)
    monkeypatch.setenv("TRIMETRIC_CACHE", str(tmp_path))
    return tmp_path


def reviews(name: str, n_users: int = 60, n_items: int = 40, seed: int = 0) -> pl.DataFrame:
    """Distinct pairs with ratings, under ids of the form that each set has."""
    made = tm.synthetic.planted(n_users, n_items, dim=4, clusters=4, per_user=10, seed=seed)
    frame = made.interactions.to_frame()
    imdb = name.startswith("imdb")
    user = "ur{}/" if imdb else "-_y7NIf{}yiuCGl1jqeQFZ"
    item = "\\tt{}" if imdb else "Oz1w_3Ck{}lalKX-8bOFG"
    ratings = 1 + np.arange(len(frame)) % (10 if imdb else 5)
    return pl.DataFrame(
        {
            "user": [user.format(u) for u in frame["user"]],
            "item": [item.format(i) for i in frame["item"]],
            "rating": ratings,
        }
    )


def put(folder: Path, name: str, frame: pl.DataFrame) -> None:
    """Write reviews as published: eight tenths to train, one each to dev and test."""
    folder.mkdir(exist_ok=True)
    shuffled = frame.sample(fraction=1, shuffle=True, seed=3).rows()
    cuts = (0, len(shuffled) * 8 // 10, len(shuffled) * 9 // 10, len(shuffled))
    for file, start, end in zip(NAMES[name], cuts, cuts[1:], strict=False):
        lines = [
            f"{user}\t\t{item}\t\t{rating}\t\t{TEXTS[n % len(TEXTS)]}\n"
            for n, (user, item, rating) in enumerate(shuffled[start:end])
        ]
        (folder / file).write_bytes("".join(lines).encode())


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_review_is_read(name: str, home: Path) -> None:
    frame = reviews(name)
    put(home / name, name, frame)
    data = datasets.load(name)
    got = data.to_frame().select("user", "item", "rating").sort("user", "item").rows()
    assert got == frame.sort("user", "item").rows()
    assert data.name == name
    sizes = dict(data.to_frame().group_by("split").len().rows())
    assert sizes["train"] == len(frame) * 8 // 10
    assert sum(sizes.values()) == len(frame)
    assert datasets.available() == {name: home / name}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_folder_of_the_whole_archive_gives_the_right_set(name: str, home: Path) -> None:
    """The archive has three sets side by side, whose names would all match."""
    for seed, other in enumerate(sorted(NAMES)):
        put(home / name, other, reviews(other, seed=seed))
    for part in ("train", "dev", "test"):
        (home / name / f"yelp-2014-seg-20-20.{part}.ss").write_text("a\t\tb\t\t1\t\tx\n")
    data = datasets.load(name)
    assert data.to_frame()["user"][0].startswith("ur" if name == "imdb_tang2015" else "-_y7")
    assert "a" not in data.to_frame()["user"].to_list()


def test_repeated_reviews_of_a_place_are_merged_and_counted(home: Path) -> None:
    frame = reviews("yelp2013_tang2015")
    put(home / "yelp2013_tang2015", "yelp2013_tang2015", pl.concat([frame, frame.head(7)]))
    data = datasets.load("yelp2013_tang2015")
    assert len(data) == len(frame)
    assert data.report.duplicates + data.report.across_parts == 7


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ur1/\t\ttt1\t\t8\n", None),  # no text
        ("ur1/\t\ttt1\t\tgood\t\tx\n", "line 1 .* rating must be a number, got 'good'"),
        ("7\t\t8\t\t9\t\tids that are numbers\n", None),
        ("ur1/\ttt1\t8\tx\n", "line 1 has 1 fields, expected 3"),
        ("ur1/\t\ttt1\n", "line 1 has 2 fields, expected 3"),
        ("", "is empty"),
        ("version https://git-lfs.github.com/spec/v1\n", "line 1 has 1 fields"),
    ],
)
def test_a_damaged_file_is_named(content: str, message: str | None, home: Path) -> None:
    name = "imdb_tang2015"
    put(home / name, name, reviews(name))
    (home / name / "imdb.dev.txt.ss").write_text(content)
    if message is None:
        assert len(datasets.load(name)) > 0
        return
    with pytest.raises(DataError, match=message):
        datasets.load(name)


def test_a_missing_or_doubtful_part_is_named(home: Path) -> None:
    name = "imdb_tang2015"
    put(home / name, name, reviews(name))
    (home / name / "imdb.dev.txt.ss").rename(home / name / "other-dev.ss")
    assert len(datasets.load(name)) > 0  # a single file that could be it
    (home / name / "another-dev.ss").write_text("a\t\tb\t\t1\t\tx\n")
    with pytest.raises(DataError, match=r"several files .* dev part of imdb: another-dev.ss, oth"):
        datasets.load(name)
    for path in (home / name).glob("*dev*"):
        path.unlink()
    with pytest.raises(DataError, match=r"holds no \*dev\*"):
        datasets.load(name)


@pytest.mark.parametrize(
    ("alias", "name"), [("imdb", "imdb_tang2015"), ("yelp", "yelp2013_tang2015")]
)
def test_the_same_command_takes_the_original_files(alias: str, name: str, home: Path) -> None:
    """The original files win over what stands in for them, once they are there."""
    for stand_in in ALIASES[alias][1:]:
        pl.DataFrame({"user": [1, 2], "item": [1, 2]}).write_parquet(home / f"{stand_in}.parquet")
    assert _resolve(alias) == ALIASES[alias][1]
    put(home / name, name, reviews(name))
    assert _resolve(alias) == name
    env = environment(TRIMETRIC_CACHE=str(home))
    args = ["reproduce", "table1,table2", "--dataset", alias, "--out", "r", "--quiet"]
    (home / "work").mkdir()
    found = document(*args, cwd=home / "work", env=env)
    labels = [row["label"] for row in found["sections"][1]["rows"]]
    at = next(n for n, label in enumerate(labels) if label.startswith(f"{name}, here"))
    assert labels[at - 1] == f"{'IMDB' if alias == 'imdb' else 'Yelp'}, published"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NAMES))
def test_tables_3_and_4_come_from_the_original_files(
    name: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Published values of the right set, dropped ratings of 1, all interactions in the splits."""
    put(home / name, name, reviews(name))
    monkeypatch.setattr("trimetric.experiments.report._images", lambda drawn: ({}, "not drawn"))
    monkeypatch.setitem(BUDGETS, "small", Budget("small", 1, 4))
    monkeypatch.setattr(tables, "SYSTEMS", ("cml", "sml"))
    monkeypatch.setattr(tables, "REFERENCES", ("popularity",))
    monkeypatch.setattr(recipes, "RATES", (0.05,))
    data = datasets.load(name)
    report = reproduce(data, ("table3", "table4"), out=tmp_path / "r", seeds=1, workers=1)
    sections = {section["title"]: section for section in report["sections"]}
    three = {row["label"]: row["cells"] for row in sections["Table 3: the eight systems"]["rows"]}
    printed = {"imdb_tang2015": 0.8755, "yelp2013_tang2015": 0.8518}[name]
    assert three["sml"]["paper ndcg@5"]["value"] == printed
    assert all(three["sml"][f"{kind} ndcg@5"]["value"] > 0 for kind in ("leak", "sampled"))
    four = {row["label"]: row["cells"] for row in sections["Table 4: the parts of SML"]["rows"]}
    assert four["base"]["full ndcg@10"]["value"] > 0
    assert sum(split_random(data, test=0.1, valid=0.09).how["pairs"].values()) == len(data)
    assert len(released_data(data)) == int((data.ratings > 1).sum()) < len(data)
