"""Tables of items: ids that match, columns by name, numbers that stay numbers."""

import polars as pl
import pytest
from command import done, inside

import trimetric as tm
from trimetric.data import Interactions
from trimetric.data.item_tables import match, read
from trimetric.data.titles import titles
from trimetric.errors import DataError
from trimetric.evaluation.attributes import attributes
from trimetric.serve import items

IDS = Interactions.from_arrays([1, 1, 1], [100, 101, 102]).item_ids


@pytest.mark.parametrize(
    "text",
    ["item,title\n100,tea\n", "item,title\n100.0,tea\n101.0,jam\n", "sku;title\n100;tea\n",
     "id,item_code,title\n100,x,tea\n", "product_id\ttitle\n100\ttea\n"],
)  # fmt: skip
def test_titles_match(tmp_path, text):
    path = tmp_path / "items.csv"
    path.write_text(text)
    assert titles(path, IDS)[100] == "tea"
    assert items.read(path).of(100)["title"] == "tea"
    pl.DataFrame({"item": [100.0, 101.0], "title": ["tea", "jam"]}).write_parquet(tmp_path / "t.pq")
    assert titles(tmp_path / "t.pq", IDS) == {100: "tea", 101: "jam"}


def test_ids_by_option(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("code,name_,title,price,stock,ean,when\n100,x,tea,2.50,7,0012,2020\n")
    with pytest.raises(DataError, match="id_column="):
        titles(path, IDS)
    assert titles(path, IDS, id_column="code") == {100: "tea"}
    known = items.read(path, "code").of("100")
    assert known == {"name_": "x", "title": "tea", "price": 2.5, "stock": 7, "ean": "0012",
                     "when": 2020}  # fmt: skip
    with pytest.raises(DataError, match=r"no column 'sku'.*'code'"):
        items.read(path, "sku")


@pytest.mark.parametrize("name", ["Item", "ID", "itemId", "ITEM_ID", "movieId", "Product ID"])
def test_the_column_of_ids_is_recognised_and_said(tmp_path, name):
    path = tmp_path / "items.csv"
    path.write_text(f"title,{name},price\ntea,007,2.5\n")
    said = []
    table = read(path, tell=said.append)
    assert table.to_dicts() == [{"item": "007", "title": "tea", "price": 2.5}]
    assert said == [f"{path}: the ids of items are in its column {name!r}"]
    read(path, name, tell=said.append)
    assert len(said) == 1  # what was named needs no word


def test_several_columns_that_may_be_the_ids(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("Item,ITEM_ID,title\n1,2,x\n")
    with pytest.raises(DataError, match=r"'Item' or 'ITEM_ID'.*id_column="):
        read(path)
    path.write_text("sku,asin,title\n1,2,x\n")
    with pytest.raises(DataError, match=r"'sku' or 'asin'.*id_column="):
        read(path)
    assert read(path, "asin")["item"].to_list() == [2]


def test_tables_of_other_items_are_told(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("item,title\nA-100,tea\nA-101,jam\n")
    with pytest.warns(UserWarning, match=r"none of the model's 3 items.*100.*A-100"):
        assert titles(path, IDS) == {}


def test_on_the_command_line(tmp_path):
    tm.create("popularity").fit(Interactions.from_arrays([1, 1, 2], [100, 101, 100])).save(
        tmp_path / "m"
    )
    (tmp_path / "log.csv").write_text(
        "user,item\n" + "".join(f"{u},{100 + (u * i) % 7}\n" for u in range(9) for i in range(5))
    )
    (tmp_path / "items.csv").write_text("code,title\n100,tea\n101,jam\n")
    done("fit", "log.csv", "--out", "sml", "--model", "sml", "--set", "epochs=1",
         cwd=tmp_path)  # fmt: skip
    args = ("explain", "sml", "--user", "1", "--item", "100", "--items", "items.csv")
    assert "tea" in done(*args, "--id-column", "code", cwd=tmp_path)
    refusal = inside(*args, cwd=tmp_path)
    assert refusal.returncode == 2
    assert "--id-column" in refusal.stderr


@pytest.mark.parametrize("name", ["name", "Product Name", "track_title", "TITLE"])
def test_titles_under_another_usual_name(tmp_path, name):
    path = tmp_path / "items.csv"
    path.write_text(f"item,{name},brand name\n100,tea,Acme\n101,,\n")
    said = []
    assert titles(path, IDS, tell=said.append) == {100: "tea"}
    assert said == [f"{path}: the titles of items are in its column {name!r}"]
    shown = items.read(path, say=said.append)
    assert shown.of(100) == {name: "tea", "brand name": "Acme", "title": "tea"}
    assert said[1:] == said[:1]


def test_ids_are_no_titles(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("name,brand\n100,Acme\n")
    with pytest.raises(
        DataError, match="no column title; beside the ids, 'name', there are 'brand'"
    ):
        titles(path, IDS, id_column="name")
    assert items.read(path, "name").of(100) == {"brand": "Acme"}


@pytest.mark.parametrize("columns", ["brand,colour", "track name,artist_name"])
def test_titles_are_not_guessed(tmp_path, columns):
    path = tmp_path / "items.csv"
    path.write_text(f"item,{columns}\n100,tea,Acme\n")
    with pytest.raises(DataError, match="has no column title; beside the ids, 'item', there are "):
        titles(path, IDS)
    assert "title" not in items.read(path).of(100)


def test_the_row_without_an_id_is_named(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("item,title\n1,a\n2,b\n,c\n4,d\n,e\n")
    with pytest.raises(DataError, match="row 3 has no id; give each item its own"):
        read(path)


def test_a_column_called_item_counts_more_than_one_almost_called_so(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("ITEM_ID,item,title\n1,2,x\n")
    assert read(path)["item"].to_list() == [2]


def test_texts_that_are_numbers_are_numbers_but_for_titles(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("item,stock,title,price,nothing,code\n1,,1984,2.5,,01\n2,7,2001,,,2\n")
    table = read(path)
    assert table.drop("item").to_dict(as_series=False) == {
        "stock": [None, 7], "title": ["1984", "2001"], "price": [2.5, None],
        "nothing": [None, None], "code": ["01", "2"],
    }  # fmt: skip
    assert table["nothing"].dtype == pl.String


def test_columns_are_shown_up_to_twenty(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text(",".join(f"c{n}" for n in range(25)) + "\n" + ",".join("x" * 25) + "\n")
    with pytest.raises(DataError, match=r"there are 'c0', .*'c19'; say with"):
        read(path)
    with pytest.raises(DataError, match=r"there are .*'c20'; call that of the titles so"):
        titles(path, IDS, id_column="c4")
    with pytest.raises(DataError, match=r"has no column 'x'; there are .*'c19'\. The"):
        attributes(path, IDS, ["x"], item="c0")


def test_a_data_set_by_its_name_a_file_and_neither(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "genre" in read("bookshop").columns
    for name, told in (
        ("bookshp", "no file or data set is called 'bookshp'; did you mean 'bookshop'"),
        ("bookshp.csv", "bookshp.csv"),
        ("nothing like any of them", "nothing like any of them"),
    ):
        with pytest.raises(DataError, match=told) as error:
            read(name)
        assert ("did you mean" in str(error.value)) == (name == "bookshp")
    (tmp_path / "bookshop").mkdir()
    assert "genre" in read("bookshop").columns
    (tmp_path / "bookshop").rmdir()
    (tmp_path / "bookshop").write_text("item,title\n1,tea\n")
    assert read("bookshop").to_dicts() == [{"item": 1, "title": "tea"}]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"item,title\n1,\xff\xfe\x81\n", "line 2 is not UTF-8 text; save the table of items"),
        (b"c1,c2\nx,y\n", "there are 'c1', 'c2'; say with id_column= which holds the ids"),
    ],
)
def test_what_no_option_could_tell_is_said_without(content, told, tmp_path):
    (tmp_path / "items.csv").write_bytes(content)
    with pytest.raises(DataError) as error:
        read(tmp_path / "items.csv")
    assert told in str(error.value)
    assert "encoding=" not in str(error.value)
    assert "header=" not in str(error.value)


@pytest.mark.parametrize("empty", ["model", "table"])
def test_nothing_is_matched_without_a_word(empty, recwarn):
    none, ids = pl.Series([], dtype=pl.Int64), tm.data.Vocabulary(pl.Series([1, 2]))
    known = tm.data.Vocabulary(none) if empty == "model" else ids
    match(known, none if empty == "table" else pl.Series([7]), "items.csv")
    assert not recwarn.list
