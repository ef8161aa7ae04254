"""Known data sets: the real ones by their counts, and the official formats on small files."""

import gzip
import json
import os
from pathlib import Path

import polars as pl
import pytest

from trimetric.data import Interactions, datasets, split_column
from trimetric.errors import DataError, ParameterError

REAL = os.environ.get("TRIMETRIC_DATA")

# users, items, interactions, ratings of 4 and 5; as published but for the differences that
# citeulike_a (one pair fewer) and citeulike_t (articles in no library) are known for.
COUNTS = {
    "amazon_instant_video_5core": (5_130, 1_685, 37_126, 29_336),
    "ml_100k": (943, 1_682, 100_000, 55_375),
    "ml_1m": (6_040, 3_706, 1_000_209, 575_281),
    "citeulike_a": (5_551, 16_980, 204_986, None),
    "citeulike_t": (7_947, 25_584, 134_860, None),
    "gowalla_lightgcn": (29_858, 40_981, 1_027_370, None),
    "yelp_core40": (1_355, 1_272, 100_409, 69_641),
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("TRIMETRIC_DATA", raising=False)
    monkeypatch.setenv("TRIMETRIC_CACHE", str(tmp_path))
    return tmp_path


def put(home, name, **contents):
    (home / name).mkdir()
    for file, content in contents.items():
        content = content.encode() if isinstance(content, str) else content
        (home / name / file.replace("__", ".")).write_bytes(content)


def rows(name, **rules):
    return datasets.load(name, **rules).to_frame().rows()


@pytest.mark.skipif(not REAL, reason="set TRIMETRIC_DATA to check the real data sets")
def test_counts_of_the_real_sets():
    assert set(COUNTS) <= set(datasets.available())
    for name, (n_users, n_items, pairs, liked) in COUNTS.items():
        data = datasets.load(name)
        assert (data.n_users, data.n_items, len(data)) == (n_users, n_items, pairs), name
        assert data.report.duplicates == data.report.nulls == 0
        if liked:
            assert len(datasets.load(name, min_rating=4)) == liked
    split = split_column(datasets.load("gowalla_lightgcn"))
    assert split.how["pairs"] == {"train": 719_081, "valid": 91_047, "test": 217_242}
    assert datasets.load("ml_100k").timestamps.min() == 874_724_710
    assert datasets.titles("ml_1m").filter(item=1)["title"].to_list() == ["Toy Story (1995)"]


@pytest.mark.parametrize("written", ["model.json", "checkpoint", "report.json", "runs"])
def test_what_was_written_under_the_name_of_its_data_set_is_no_data(written, home, monkeypatch):
    """As by `fit ml_1m --out ml_1m`, or `reproduce --dataset ml_1m --out ml_1m`, run again."""

    def of(name):
        return Interactions.of(name).to_frame().rows()

    monkeypatch.chdir(home)
    pl.DataFrame({"user": ["a"], "item": [1]}).write_parquet(home / "ml_1m.parquet")
    for name in ("ml_1m", "planted", "other"):
        (home / name).mkdir()
        (home / name / "log.csv").write_text("user,item\nb,2\n")
        assert of(str(home / name)) == of(name) == [("b", 2)]
        (home / name / written).mkdir()
    assert of("ml_1m") == [("a", 1)]
    assert Interactions.of("planted").name == "planted"
    assert of("other") == [("b", 2)]


def test_parquet_by_name(home):
    pl.DataFrame({"user": ["a"], "item": [1]}).write_parquet(home / "ml_1m.parquet")
    assert rows("ml_1m") == [("a", 1)]
    assert datasets.available() == {"ml_1m": home / "ml_1m.parquet"}
    assert Interactions.of("ml_1m").to_frame().rows() == [("a", 1)]
    assert datasets.titles("ml_1m") is None


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("ml_100k", "u__item", "1|Toy Story (1995)|01-Jan-1995||\n2|Misérables, Les (1995)|x\r\n"),
        ("ml_1m", "movies__dat", "1::Toy Story (1995)::Comedy\n2::Misérables, Les (1995)::x\n"),
    ],
)
def test_titles_as_published(home, name, file, content):
    put(home, name, **{file: content.encode("latin-1")})
    expected = [(1, "Toy Story (1995)"), (2, "Misérables, Les (1995)")]
    assert datasets.titles(name).rows() == expected
    (home / name / file.replace("__", ".")).write_bytes(b"1|a\nb\n")
    with pytest.raises(DataError, match=r"line [12] must be an id"):
        datasets.titles(name)


def test_absent_says_where_to_get_it(home):
    with pytest.raises(DataError) as caught:
        datasets.load("ml_1m")
    for part in ("GroupLens MovieLens 1M", "ratings.dat", str(home), "TRIMETRIC_DATA"):
        assert part in str(caught.value)
    with pytest.raises(DataError, match="did you mean 'ml_1m'"):
        Interactions.of("ml_1n")
    with pytest.raises(DataError, match="no file or data set"):
        datasets.load("../secret")


def test_movielens(home):
    put(home, "ml_100k", u__data="196\t242\t3\t881250949\n186\t302\t5\t891717742\n")
    put(home, "ml_1m", ratings__dat="1::1193::5::978300760\r\n1::661::3::978302109\r\n")
    assert rows("ml_100k") == [(186, 302, 5.0, 891717742), (196, 242, 3.0, 881250949)]
    assert rows("ml_1m", min_rating=4) == [(1, 1193, 5.0, 978300760)]


def test_amazon(home):
    review = {"reviewerID": "A1", "asin": "B0", "overall": 5.0, "unixReviewTime": 1234}
    lines = json.dumps({**review, "reviewText": 'good\n"film"'}) + "\n"
    put(home, "amazon_instant_video_5core", reviews__json__gz=gzip.compress(lines.encode()))
    assert rows("amazon_instant_video_5core") == [("A1", "B0", 5.0, 1234)]


def test_citeulike(home):
    put(home, "citeulike_a", users__dat="2 7 9\n1 3\n")
    assert rows("citeulike_a") == [(0, 7), (0, 9), (1, 3)]


def test_lightgcn(home):
    put(home, "gowalla_lightgcn", train__txt="0 1 2\n1 2\n", test__txt="0 3\n1\n")
    assert rows("gowalla_lightgcn") == [
        (0, 1, "train"), (0, 2, "train"), (0, 3, "test"), (1, 2, "train"),
    ]  # fmt: skip


def test_yelp_core40(home):
    put(home, "yelp_core40", ratings__txt="5\t6\t4.0\n")
    assert rows("yelp_core40") == [(5, 6, 4.0)]


def test_tang_2015(home):
    line = 'ur1/\t\ttt{}\t\t8\t\tsome text " with\ttabs\n'
    parts = {
        f"imdb__{part}__txt__ss": line.format(n) for n, part in enumerate(["train", "dev", "test"])
    }
    put(home, "imdb_tang2015", **parts)
    assert rows("imdb_tang2015") == [
        ("ur1/", "tt0", 8.0, "train"), ("ur1/", "tt1", 8.0, "valid"), ("ur1/", "tt2", 8.0, "test"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("ml_1m", {}, "holds no ratings.dat"),
        ("ml_1m", {"ratings__dat": ""}, "is empty"),
        ("ml_1m", {"ratings__dat": "1::2::3\n"}, "line 1 has 3 fields"),
        ("ml_1m", {"ratings__dat": b"\xff::1::2::3\n"}, "not UTF-8"),
        ("ml_100k", {"u__data": "1\t2\tgood\t3\n"}, "'good'"),
        ("citeulike_t", {"users__dat": "3 1 2\n"}, "line 1 says 3"),
        ("citeulike_t", {"users__dat": "1 x\n"}, "line 1 must hold whole"),
        ("gowalla_lightgcn", {"train__txt": "0 1\n"}, "holds no test.txt"),
        ("amazon_instant_video_5core", {"r__json__gz": b"\x1f\x8b"}, "cut short"),
        ("amazon_instant_video_5core", {"r__json": '{"asin": 1}'}, "no field 'overall'"),
    ],
)
def test_bad_raw_files(home, name, contents, message):
    put(home, name, **contents)
    with pytest.raises(DataError, match=message):
        datasets.load(name)


@pytest.mark.parametrize("name", [None, 5, ["planted"], b"planted", Path("planted")])
@pytest.mark.parametrize("ask", [datasets.load, datasets.items, datasets.titles, datasets.has])
def test_names_are_text(ask, name):
    with pytest.raises(ParameterError, match="name must be that of a data set"):
        ask(name)
