"""Columns of a table of items as codes by item row."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import trimetric as tm
from trimetric.data import Vocabulary
from trimetric.errors import DataError
from trimetric.evaluation.attributes import attributes

IDS = Vocabulary.from_values(pl.Series(["a", "b", "c"]))


@pytest.mark.parametrize(
    ("values", "separator", "expected"),
    [
        (["x", "y", "x"], None, [[0], [1], [0]]),
        (["y", "x", "z"], None, [[1], [0], [2]]),  # by their text, not by the order of rows
        ([" x", "x ", "x"], None, [[0], [0], [0]]),
        (["", None, " "], None, [[-1], [-1], [-1]]),
        (["x|y", "y", None], None, [[0], [1], [-1]]),
        (["y|x", "y", None], "|", [[0, 1], [1, -1], [-1, -1]]),
        (["z|x|z||x", "y", "|"], "|", [[0, 2], [1, -1], [-1, -1]]),
        (["x, y", "y,z", "x"], ",", [[0, 1], [1, 2], [0, -1]]),
        ([2, 10, None], None, [[1], [0], [-1]]),  # "10" comes before "2"
        ([2.5, float("nan"), 2.5], "|", [[0], [-1], [0]]),
        ([True, False, None], None, [[1], [0], [-1]]),
        ([["y", "x", "y"], [], None], None, [[0, 1], [-1, -1], [-1, -1]]),
        ([["x|y"], ["x"], [None, " x "]], "|", [[1], [0], [0]]),  # lists are parted already
        ([[3, 1], [1, None], []], None, [[0, 1], [0, -1], [-1, -1]]),
        ([None, None, None], None, [[-1], [-1], [-1]]),
    ],
)
def test_codes_of_values(values: list, separator: str | None, expected: list) -> None:
    table = pl.DataFrame({"item": ["a", "b", "c"], "of": values}, strict=False)
    found = attributes(table, IDS, ["of"], separator=separator)["of"]
    assert found.tolist() == expected
    assert found.dtype == np.int32


def test_rows_are_by_id_and_the_last_counts() -> None:
    table = pl.DataFrame(
        {"sku": ["b", "zz", None, "a", "b"], "x": [*"pqrst"], "y": [5, 6, 7, 8, 9]}
    )
    found = attributes(table, IDS, ["y", "x"], item="sku")
    assert [*found] == ["y", "x"]
    assert found["x"].tolist() == [[0], [1], [-1]]  # s of a, t of b
    assert found["y"].tolist() == [[0], [1], [-1]]
    alone = attributes(table[3:4], IDS, ["x"], item="sku")["x"]
    assert alone.tolist() == [[0], [-1], [-1]]
    assert attributes(table, IDS, [], item="sku") == {}
    twice = attributes(table, IDS, ["sku"], item="sku")["sku"]
    assert twice.tolist() == [[0], [1], [-1]]


def test_ids_match_by_their_text() -> None:
    ids = tm.Interactions.from_arrays([1, 1], [7, 8]).item_ids
    for given in ([8, 7], ["8", "7"], ["8", None, "7"]):
        table = pl.DataFrame({"item": given, "of": ["x", *["z"] * (len(given) - 2), "y"]})
        assert attributes(table, ids, ["of"])["of"].tolist() == [[1], [0]]


@pytest.mark.parametrize("as_text", [True, False])
def test_files_are_named_where_they_cannot_be_used(as_text: bool, tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item,of\nb,x\na,y\n")
    given: Any = str(path) if as_text else path
    assert attributes(given, IDS, ["of"])["of"].tolist() == [[1], [0], [-1]]
    for options, told in (
        ({"columns": ["of", "genre"]}, "has no column 'genre'; there are 'item', 'of'"),
        ({"columns": ["of"], "item": "sku"}, "has no column 'sku'; there are 'item', 'of'"),
    ):
        with pytest.raises(DataError, match=told) as error:
            attributes(given, IDS, **options)
        assert str(error.value).startswith(str(path))
    path.write_text("item,of\nx,x\ny,y\n")
    with pytest.raises(DataError, match="none of its 2 items is known; are these the ids") as error:
        attributes(given, IDS, ["of"])
    assert str(error.value).startswith(str(path))
    for table in (pl.DataFrame({"item": ["x"], "of": [1]}), {"item": ["x"], "of": [1]}):
        with pytest.raises(DataError, match=r"^items: none of its 1 items is known"):
            attributes(table, IDS, ["of"])
        with pytest.raises(DataError, match=r"^items has no column 'genre'"):
            attributes(table, IDS, ["genre"])


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "items.csv").write_text("item,of\nb,x\n")
    assert attributes("~/items.csv", IDS, ["of"])["of"].tolist() == [[-1], [0], [-1]]


@pytest.mark.parametrize("in_file", [True, False])
def test_the_column_of_the_ids_is_found_by_its_name(in_file: bool, tmp_path: Path) -> None:
    table: Any = pl.DataFrame({"of": ["x", "y"], "movieId": ["b", "a"]})
    if in_file:
        table.write_csv(tmp_path / "items.csv")
        table = tmp_path / "items.csv"
    assert attributes(table, IDS, ["of"])["of"].tolist() == [[1], [0], [-1]]
    with pytest.raises(DataError, match="no column item or id or item_id; there are 'of'"):
        attributes(pl.DataFrame({"of": ["x"]}), IDS, ["of"])


def test_items_of_a_data_set_are_a_table() -> None:
    books = tm.datasets.load("bookshop").item_ids
    assert attributes("bookshop", books, ["genre"])["genre"].min() >= 0
