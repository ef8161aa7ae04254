"""Ids as people type them: several at once, misspelled, or none; titles beside all of them."""

import json
from pathlib import Path

import polars as pl
import pytest
from command import document, done, inside, refused

import trimetric as tm

ODD = ["Smith, John", "a,b", "a", "b", "c,d,e", "plain"]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model of the bookshop, and one whose ids hold commas."""
    folder = tmp_path_factory.mktemp("ids")
    shop = tm.datasets.load("bookshop")
    tm.CentroidML(dim=16, epochs=2, temperature=0.2).fit(shop).save(folder / "m")
    users = [user for user in ODD for _ in range(3)]
    items = [f"{user}/{n}" for user in ODD for n in ("x", "y,z", "w")]
    odd = tm.CentroidML(dim=4, epochs=1, temperature=0.2).fit((users, items))
    odd.save(folder / "odd")
    numbers = tm.CentroidML(dim=4, epochs=1, temperature=0.2).fit(([1, 1, 2, 22], [7, 8, 8, 9]))
    numbers.save(folder / "numbers")
    return folder


def users_of(room: Path, model: str, *given: str) -> list:
    options = [word for one in given for word in ("--user", one)]
    rows = document("recommend", model, *options, "-k", 1, "--include-seen", cwd=room)
    return [row["user"] for row in rows["recommendations"]]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["a", "b"], ["a", "b"]),
        (["plain,b"], ["plain", "b"]),
        (["plain, b"], ["plain", "b"]),
        (["a,b"], ["a,b"]),  # an id known with its comma wins
        (["Smith, John"], ["Smith, John"]),
        (["plain,Smith, John,a"], ["plain", "Smith, John", "a"]),
        (["c,d,e,a,b,plain"], ["c,d,e", "a,b", "plain"]),
        (["a,plain", "b"], ["a", "plain", "b"]),
        (["plain,", ",a"], ["plain", "a"]),
    ],
)
def test_lists_of_ids(room: Path, given: list[str], meant: list[str]) -> None:
    assert users_of(room, "odd", *given) == meant


def test_lists_of_numbers_and_what_is_unknown_in_them(room: Path) -> None:
    assert users_of(room, "numbers", "1,2", "22") == [1, 2, 22]
    said = refused("recommend", "numbers", "--user", "1,3", cwd=room)
    assert "1 unknown user: 3" in said
    said = refused("recommend", "odd", "--user", "nobody,noone", cwd=room)
    assert "2 unknown users: 'nobody', 'noone'" in said
    said = refused("recommend", "odd", "--user", "Smith, Jon", cwd=room)
    assert "1 unknown user: 'Smith, Jon'; did you mean 'Smith, John'?" in said


def test_lists_of_items_everywhere(room: Path) -> None:
    new = document("recommend", "odd", "--item", "a/y,z,b/x", "--weight", "a/y,z=3,b/x=2", cwd=room)
    model = tm.load(room / "odd")
    expected = model.recommend_for({"a/y,z": 3, "b/x": 2})
    assert [row["item"] for row in new["recommendations"]] == expected["item"].to_list()
    near = document("similar-items", "odd", "--item", "a/x,b/x", "-k", 1, cwd=room)["similar"]
    assert [row["item"] for row in near] == ["a/x", "b/x"]
    near = document("similar-users", "odd", "--user", "a,b,plain", "-k", 1, cwd=room)["similar"]
    assert [row["user"] for row in near] == ["a,b", "plain"]
    bare = document("similar-items", "odd", "a/x", "b/x", "-k", 1, cwd=room)["similar"]
    assert [row["item"] for row in bare] == ["a/x", "b/x"]
    rows = document("recommend", "odd", "a,b,plain", "--user", "b", "--k", 1, cwd=room)
    assert [row["user"] for row in rows["recommendations"]] == ["a,b", "plain", "b"]
    why = document("explain", "m", "--liked", "B0001,B0007", "--item", "B0003", cwd=room)
    assert why["item"] == "B0003"


@pytest.mark.slow
def test_near_ids_in_errors(room: Path) -> None:
    said = refused("recommend", "m", "--user", "redaer-0042", cwd=room)
    assert "1 unknown user: 'redaer-0042'; did you mean 'reader-0042'? " in said
    said = refused("similar-items", "m", "--item", "b0007x", cwd=room)
    assert "did you mean 'B0007'?" in said
    said = refused("explain", "m", "--user", "reader-0042", "--item", "0007", cwd=room)
    assert "did you mean 'B0007'?" in said
    said = refused("similar-users", "m", "--user", "nobody,reader-42", cwd=room)
    assert "2 unknown users" in said
    assert "did you mean" not in said  # the first is like none
    said = refused("recommend", "m", "--item", "B9999", cwd=room)
    assert "unknown item: 'B9999'" in said
    said = refused("recommend", "m", "--user", "raeder-0001,raeder-0002", cwd=room)
    assert "did you mean 'reader-0001' for 'raeder-0001'?" in said


def test_no_user_asked_for_is_one_at_random(room: Path) -> None:
    first = inside("recommend", "m", "-k", 3, "--json", cwd=room)
    assert first.returncode == 0, first.stderr
    assert "no user was asked for: 'reader-" in first.stderr
    assert "drawn at random; --user ID asks for one" in first.stderr
    rows = json.loads(first.stdout)["recommendations"]
    assert len({row["user"] for row in rows}) == 1
    assert f"'{rows[0]['user']}'" in first.stderr
    again = inside("recommend", "m", "-k", 3, "--json", cwd=room)
    assert again.stdout == first.stdout
    drawn = {
        document("recommend", "m", "-k", 1, "--seed", n, cwd=room)["recommendations"][0]["user"]
        for n in range(5)
    }
    assert len(drawn) > 3
    for command in ("similar-items", "similar-users", "explain"):
        ran = inside(command, "m", cwd=room)
        assert ran.returncode == 0, ran.stderr
        assert "was asked for" in ran.stderr
    quiet = inside("recommend", "m", "--quiet", cwd=room)
    assert (quiet.returncode, quiet.stderr) == (0, "")


def test_titles_of_the_data_set_without_asking(room: Path) -> None:
    ran = inside("recommend", "m", "--user", "reader-0042", "-k", 3, cwd=room)
    titles = dict(tm.datasets.titles("bookshop").iter_rows())
    assert sum(title in ran.stdout for title in titles.values()) >= 3
    assert "titles are those of bookshop" in ran.stderr
    bare = inside("recommend", "m", "--user", "reader-0042", "-k", 3, "--items", "none", cwd=room)
    assert "title" not in bare.stdout + bare.stderr
    assert "title" not in inside("recommend", "odd", "--user", "a", cwd=room).stdout


def test_titles_of_a_table(room: Path) -> None:
    books = tm.datasets.items("bookshop").rename({"item": "sku"})
    books.with_columns(title=pl.col("title").str.to_uppercase()).write_csv(room / "books.csv")
    asked = ("--items", "books.csv", "-k", 2)
    for command in (
        ("recommend", "m", "--user", "reader-0042"),
        ("recommend", "m", "--item", "B0001"),
        ("similar-items", "m", "--item", "B0001"),
        ("similar-users", "m", "--user", "reader-0042"),
        ("explain", "m", "--user", "reader-0042", "--item", "B0001", "--items", "books.csv"),
    ):
        ran = inside(*command, *(asked if command[0] != "explain" else ()), cwd=room)
        assert ran.returncode == 0, ran.stderr
        assert "VOYAGE TO LYRA SIX" in ran.stdout or any(
            title.upper() in ran.stdout for title in tm.datasets.titles("bookshop")["title"]
        )
        assert "books.csv: the ids of items are in its column 'sku'" in ran.stderr
    named = inside(*command, "--item-id-column", "sku", cwd=room)
    assert "are in its column" not in named.stderr


def test_similar_items_have_both_titles_and_users_what_they_share(room: Path) -> None:
    titles = dict(tm.datasets.titles("bookshop").iter_rows())
    rows = document("similar-items", "m", "--item", "B0001,B0002", cwd=room)["similar"]
    assert all(titles[row["item"]] == row["item_title"] for row in rows)
    assert all(titles[row["similar"]] == row["title"] for row in rows)
    loans = tm.datasets.load("bookshop").to_frame()
    has = {user: set(items) for user, items in loans.group_by("user").agg("item").iter_rows()}
    rows = document("similar-users", "m", "--user", "reader-0042", "-k", 3, cwd=room)["similar"]
    for row in rows:
        both = has[row["user"]] & has[row["similar"]]
        assert row["shared"] == len(both)
        told = row["both have"].split("; ")
        assert len(told) == 3
        assert set(told) <= {titles[item] for item in both}


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_all_similar_items_to_a_file(room: Path, suffix: str) -> None:
    out = f"near{suffix}"
    told = document("similar-items", "m", "--all", "-k", 4, "--out", out, cwd=room)
    assert (told["rows"], told["items"], told["replaced"]) == (3200, 800, False)
    read = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".jsonl": pl.read_ndjson}[suffix]
    found = read(room / out)
    model = tm.load(room / "m")
    expected = model.similar_items(model.item_ids.values, 4)
    assert found.columns == expected.columns
    assert found["similar"].equals(expected["similar"])
    ran = inside(
        *("similar-items", "m", "--all", "-k", 4, "--out", out, "--items", "bookshop"), cwd=room
    )
    assert f"{out} is there already, and is replaced" in ran.stderr
    assert read(room / out).columns[:4] == ["item", "item_title", "similar", "title"]


def test_all_similar_users_and_streams(room: Path) -> None:
    told = done("similar-users", "m", "--all", "-k", 2, "--out", "users.csv", cwd=room)
    assert told == "wrote 3,000 rows, similar to 1,500 users, to users.csv\n"
    (room / "some.txt").write_text("B0001\nB0002\n")
    listed = done(
        *("similar-items", "m", "--items-file", "some.txt", "-k", 1, "--out", "-"), cwd=room
    )
    assert listed.splitlines()[0].startswith("item,similar,rank,score")
    assert len(listed.splitlines()) == 3
    assert "--all needs --out" in refused("similar-items", "m", "--all", cwd=room)
    both = ("similar-items", "m", "--all", "--item", "B0001", "--out", "x.csv")
    assert "give --item ID" in refused(*both, cwd=room)
    assert "give --user ID" in refused("similar-users", "m", "--out", "x.csv", cwd=room)


def test_files_of_many_lists_with_titles(room: Path) -> None:
    asked = ("recommend", "m", "--all", "-k", 2, "--out", "lists.csv")
    assert "replaced" not in inside(*asked, cwd=room).stderr
    assert pl.read_csv(room / "lists.csv").columns[:3] == ["user", "item", "rank"]
    ran = inside(*asked, "--items", "bookshop", cwd=room)
    assert "lists.csv is there already, and is replaced at the end" in ran.stderr
    rows = pl.read_csv(room / "lists.csv")
    titles = dict(tm.datasets.titles("bookshop").iter_rows())
    assert len(rows) == 3000
    assert all(titles[item] == title for item, title in rows.select("item", "title").iter_rows())
    ran = inside("export", "m", "--to", "npy", "--out", "lists.csv", cwd=room)
    assert ran.returncode == 2
    assert "replaced" not in ran.stderr  # a folder is written, so that the file is not
    asked = ("recommend", "m", "--user", "reader-0001", "--rerank", "dpp")
    assert "--rerank goes with --diversity above 0" in refused(*asked, cwd=room)


def test_tables_of_items_by_any_name_for_groups(room: Path) -> None:
    done("data", "split", "bookshop", "--out", "parts", cwd=room)
    done("fit", "parts/train.parquet", "--model", "ease", "--out", "e", cwd=room)
    asked = ("evaluate", "e", "--split", "parts", "--beyond", 3, "--by", "genre,year", "--items")
    found = document(*asked, "bookshop", cwd=room)["beyond_accuracy"]
    assert 0 < found["diversity genre@3"] < found["diversity year@3"] <= 1
    books = tm.datasets.items("bookshop")
    books.rename({"item": "asin"}).write_csv(room / "asin.csv")
    ran = inside(*asked, "asin.csv", "--json", cwd=room)
    assert json.loads(ran.stdout)["beyond_accuracy"] == found
    assert "asin.csv: the ids of items are in its column 'asin'" in ran.stderr
    books.rename({"item": "code"}).write_parquet(room / "code.parquet")
    named = ("code.parquet", "--item-id-column", "code")
    assert document(*asked, *named, cwd=room)["beyond_accuracy"] == found
    said = refused(*asked, "code.parquet", cwd=room)
    assert "say with --id-column which holds the ids" in said
    said = refused(*asked[:-2], "genres", "--items", "bookshop", cwd=room)
    assert "--by genres: bookshop has no such column; there are item, title, genre" in said


def test_lists_and_near_ids_where_something_is_forgotten(room: Path) -> None:
    asked = ("--user", "a,b,plain", "--item", "c,d,e/x,a/w")
    told = document("forget", "odd", *asked, "--out", "less", cwd=room)
    assert (sorted(told["users"]), sorted(told["items"])) == (["a,b", "plain"], ["a/w", "c,d,e/x"])
    marked = document("unavailable", "m", "--item", "B0001,B0002", "--out", "out", cwd=room)
    assert (marked["unavailable"], marked["unknown"]) == (2, 0)
    said = refused("forget", "m", "--user", "raeder-0042", "--out", "less", cwd=room)
    assert "did you mean 'reader-0042'?" in said
