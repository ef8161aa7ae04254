"""Rows with a list of items: each item is a row."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest

import trimetric as tm
from trimetric.errors import DataError

BASKETS = {"user": ["a", "b", "a", "c"], "item": [[3, 1], [2], [], [1, 2]]}
PAIRS = [("a", 1), ("a", 3), ("b", 2), ("c", 1), ("c", 2)]


def pairs(data: tm.Interactions) -> list[tuple]:
    return data.to_frame().select("user", "item").rows()


def arrays(frame: pl.DataFrame) -> pd.DataFrame:
    """Return what pandas makes of a Parquet file: lists are arrays."""
    lists = [np.array(one, dtype=np.int64) for one in frame["item"].to_list()]
    return pd.DataFrame({"user": frame["user"].to_list(), "item": lists})


@pytest.mark.parametrize(
    "make",
    [
        lambda frame: frame,
        lambda frame: frame.lazy(),
        lambda frame: frame.to_arrow(),
        arrays,
        lambda frame: frame.to_dict(as_series=False),
        lambda frame: frame.to_dicts(),
        lambda frame: (frame["user"].to_list(), frame["item"].to_list()),
        lambda frame: list(zip(frame["user"], frame["item"].to_list(), strict=True)),
    ],
)
def test_of_any_make(make) -> None:
    data = tm.Interactions(make(pl.DataFrame(BASKETS)))
    assert pairs(data) == PAIRS
    assert (data.report.rows_read, data.report.empty_lists) == (5, 1)
    assert data.report.notes == ("column 'item' holds lists: each item is a row",)


@pytest.mark.parametrize("ending", ["jsonl", "json", "parquet"])
def test_in_files_and_prepared(ending: str, tmp_path) -> None:
    path, frame = tmp_path / f"log.{ending}", pl.DataFrame(BASKETS)
    if ending == "parquet":
        frame.write_parquet(path)
    elif ending == "jsonl":
        path.write_text("\n".join(map(json.dumps, frame.to_dicts())))
    else:
        path.write_text(json.dumps(frame.to_dicts()))
    data = tm.Interactions.read(path)
    assert pairs(data) == PAIRS
    pytest.importorskip("pyarrow")
    prepared = tm.prepare(path, out=tmp_path / "parts", partitions=1)
    assert (prepared.n_users, prepared.n_items, len(prepared)) == (3, 3, 5)
    assert prepared.report == data.report


def test_what_stands_beside_a_list_is_repeated_or_as_long() -> None:
    frame = pl.DataFrame(
        {
            "user": [1, 2],
            "item": [["x", "y"], ["x"]],
            "rating": [[4.0, 2.0], [5.0]],
            "timestamp": [7, 9],
        }
    )
    rows = tm.Interactions(frame).to_frame().rows()
    assert rows == [(1, "x", 4.0, 7), (1, "y", 2.0, 7), (2, "x", 5.0, 9)]
    fixed = pl.DataFrame(
        {"user": [1, 2], "item": [[5, 6], [6, 7]]}, schema_overrides={"item": pl.Array(pl.Int64, 2)}
    )
    assert pairs(tm.Interactions(fixed)) == [(1, 5), (1, 6), (2, 6), (2, 7)]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (
            {"rating": [[1.0], [5.0]]},
            "'rating' lists 1 values in row 1, where column 'item' lists 2",
        ),
        ({"rating": [None, [5.0]]}, "'rating' lists 0 values in row 1"),
        (
            {"item": [["x"], None], "rating": [[1.0], [5.0]]},
            "'rating' lists 1 values in row 2, where column 'item' lists 0",
        ),
        (
            {"item": [["x", None], ["y"]]},
            "a row for each listed item: column 'item' holds no value",
        ),
        ({"item": [None, ["y"]]}, "no value in row 1"),
        ({"item": [[["x"]], [["y"]]]}, "holds List"),
        ({"item": [[{}], [{}]]}, "holds Struct"),
        ({"item": [[], []]}, "has no rows"),
        ({"user": [[1], [2]]}, "holds List"),
    ],
)
def test_refusals(columns: dict, told: str) -> None:
    frame = pl.DataFrame({"user": [1, 2], "item": [["x", "y"], ["x"]], **columns}, strict=False)
    with pytest.raises(DataError, match=told):
        tm.Interactions(frame)


def test_lists_and_single_values_do_not_mix() -> None:
    with pytest.raises(DataError, match="mixes types: row 2 holds"):
        tm.Interactions(([1, 2], [[1, 2], 3]))
    with pytest.raises(DataError, match="mixes types"):
        tm.Interactions(([1, 2], [[1, "2"], [3]]))


def test_errors_name_the_columns_of_the_table() -> None:
    frame = pl.DataFrame({"who": [1], "what": [["x", "y"]], "stars": [[1.0]]})
    with pytest.raises(DataError, match="'stars' lists 1 values in row 1, where column 'what'"):
        tm.Interactions.from_frame(frame, user="who", item="what", rating="stars")


def test_tables_without_empty_lists_have_none() -> None:
    from trimetric.data.baskets import by_item

    assert by_item(pl.DataFrame({"user": [1], "item": ["x"]}), "x").empty == 0
