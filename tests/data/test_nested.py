"""Fields of objects inside rows are columns, named with a dot, wherever tables come from."""

import json

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import trimetric as tm
from trimetric.data import item_tables
from trimetric.data.nested import DEEPEST
from trimetric.errors import DataError

EVENTS = [
    {"user": {"id": 5, "at": {"shop": "x"}}, "product": {"sku": "a"}, "rating": 4},
    {"user": {"id": 6, "at": None}, "product": {"sku": "b"}, "rating": 2},
    {"user": {"id": 5, "at": {"shop": "y"}}, "product": {"sku": "b"}, "rating": 5},
]
ORDERS = [
    {"user": "bob", "lines": []},
    {"user": "cid", "lines": [{"sku": "b", "n": 3}]},
    {"user": "ann", "lines": [{"sku": "a", "n": 2}, {"sku": "b", "n": 1}]},
]


def frame(rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame(rows)


def in_parquet(rows: list[dict], folder) -> str:
    frame(rows).write_parquet(folder / "log.parquet")
    return str(folder / "log.parquet")


def in_lines(rows: list[dict], folder) -> str:
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(folder / "log.jsonl")


def in_array(rows: list[dict], folder) -> str:
    (folder / "log.json").write_text(json.dumps(rows))
    return str(folder / "log.json")


MAKES = {
    "parquet": in_parquet,
    "jsonl": in_lines,
    "json": in_array,
    "rows": lambda rows, folder: rows,
    "polars": lambda rows, folder: frame(rows),
    "lazy": lambda rows, folder: frame(rows).lazy(),
    "arrow": lambda rows, folder: frame(rows).to_arrow(),
    "pandas of objects": lambda rows, folder: pd.DataFrame(rows),
    "pandas of parquet": lambda rows, folder: pd.read_parquet(in_parquet(rows, folder)),
    "mapping of lists": lambda rows, folder: {key: [row[key] for row in rows] for key in rows[0]},
    "mapping of series": lambda rows, folder: frame(rows).to_dict(),
    "mapping of arrow": lambda rows, folder: {
        key: pa.array([row[key] for row in rows]) for key in rows[0]
    },
}


def read(given, **options) -> tm.Interactions:
    return (tm.Interactions.read if isinstance(given, str) else tm.Interactions)(given, **options)


def pairs(data: tm.Interactions) -> list[tuple]:
    return data.to_frame().select("user", "item").rows()


@pytest.mark.parametrize("make", MAKES)
def test_fields_of_objects(make: str, tmp_path) -> None:
    data = read(MAKES[make](EVENTS, tmp_path), item="product.sku")
    assert pairs(data) == [(5, "a"), (5, "b"), (6, "b")]
    assert data.to_frame()["rating"].to_list() == [4, 5, 2]
    assert "users from column 'user.id'" in data.report.lines()


@pytest.mark.parametrize("make", MAKES)
def test_fields_of_listed_objects(make: str, tmp_path) -> None:
    given = MAKES[make](ORDERS, tmp_path)
    data = read(given, item="lines.sku", weight="lines.n")
    assert pairs(data) == [("ann", "a"), ("ann", "b"), ("cid", "b")]
    assert data.to_frame()["weight"].to_list() == [2, 1, 3]
    assert data.report.empty_lists == 1


@pytest.mark.parametrize("make", ["parquet", "jsonl"])
def test_prepared(make: str, tmp_path) -> None:
    prepared = tm.prepare(
        MAKES[make](ORDERS, tmp_path), out=tmp_path / "parts", partitions=1, item="lines.sku"
    )
    assert (prepared.n_users, prepared.n_items, len(prepared)) == (2, 2, 3)


@pytest.mark.parametrize("make", MAKES)
def test_deeper_fields_and_missing_objects(make: str, tmp_path) -> None:
    given = MAKES[make](EVENTS, tmp_path)
    data = read(given, user="user.at.shop", item="product.sku", nulls="drop")
    assert pairs(data) == [("x", "a"), ("y", "b")]
    assert data.report.nulls == 1


@pytest.mark.parametrize("make", MAKES)
def test_errors_name_the_fields(make: str, tmp_path) -> None:
    columns = "'user.id', 'user.at.shop', 'product.sku', 'rating'"
    with pytest.raises(
        DataError, match=rf"no column 'product'; columns: {columns}.*'product\.sku'"
    ):
        read(MAKES[make](EVENTS, tmp_path), item="product")


def test_lists_to_evaluate_as_spark_gives_them(tmp_path) -> None:
    rows = [
        {"user": 1, "recommendations": [{"item": 7, "rating": 0.5}, {"item": 8, "rating": 0.9}]},
        {"user": 2, "recommendations": [{"item": 9, "rating": 0.1}]},
    ]
    for make in MAKES.values():
        given = make(rows, tmp_path)
        in_order = tm.RankedLists.of(given, item="recommendations.item")
        assert in_order.items.to_list() == [7, 8, 9]
        by_score = tm.RankedLists.of(
            given, item="recommendations.item", score="recommendations.rating"
        )
        assert by_score.items.to_list() == [8, 7, 9]


def test_attributes_of_items_are_flat(tmp_path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text('{"item": 1, "title": "A", "maker": {"name": "x", "place": {"city": "y"}}}')
    found = item_tables.read(path)
    assert found.to_dicts() == [
        {"item": 1, "title": "A", "maker.name": "x", "maker.place.city": "y"}
    ]


def test_one_name_for_two() -> None:
    rows = [{"user": 1, "item.id": 2, "item": {"id": 3}}]
    for given in (rows, frame(rows), pd.DataFrame(rows)):
        with pytest.raises(DataError, match=r"several columns called 'item\.id'"):
            tm.Interactions(given, item="item.id")


def test_other_values_among_objects_name_their_row() -> None:
    rows = [{"user": 1, "item": {"id": 3}}, {"user": 1, "item": "x"}]
    with pytest.raises(DataError, match=r"'item\.id' mixes types: row 2 holds 'x' \(str\), where"):
        tm.Interactions(rows)
    with pytest.raises(DataError, match=r"'item' mixes types: row 2 holds .*\(dict\)"):
        tm.Interactions(rows[::-1])


def test_objects_without_fields_and_too_deep_ones_are_no_columns() -> None:
    with pytest.raises(DataError, match=r"column 'item' cannot be used: row 1 holds '\{\}'"):
        tm.Interactions([{"user": 1, "item": {}}])
    value: object = 3
    for _ in range(DEEPEST):
        value = {"a": value}
    name = "item" + ".a" * DEEPEST
    rows, deeper = [{"user": 1, "item": value}], [{"user": 1, "item": {"a": value}}]
    for make in (list, frame, pd.DataFrame):
        assert len(tm.Interactions(make(rows), item=name)) == 1
        with pytest.raises(DataError, match=f"'{name}' (holds|cannot be used)"):
            tm.Interactions(make(deeper), item=name)
