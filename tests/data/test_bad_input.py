"""Whatever is wrong with the data, one clear error says what, where and what to do."""

import gzip
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

import trimetric as tm
from trimetric.data import Interactions
from trimetric.errors import DataError, ParameterError

GZ = gzip.compress(
    b"user,item\n" + b"".join(b"%d,%d\n" % (i, i * 7 % 97) for i in range(3000)), mtime=0
)


def refused(call, *parts, error=DataError):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    for part in parts:
        assert part in message
    assert len(message) < 500


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("t.csv", b"", ["is empty"]),
        ("t.csv", b"\n \n", ["is empty"]),
        ("t.jsonl", b"", ["is empty"]),
        ("t.csv", b"user,item\n", ["no rows"]),
        ("t.csv", b"users,item\n1,2\n", ["no column 'user'", "'users'", "user='users'"]),
        ("t.csv", b"user,item,rating\n1,2,3\n3,4,good\n", ["'good'", "row 2", "rating=False"]),
        ("t.csv", b"user,item,rating\n1,2,3\n3,4,nan\n", ["nan", "row 2", "nulls='drop'"]),
        ("t.csv", b"user,item,rating\n1,2,1e39\n", ["1e+39", "not a finite"]),
        ("t.csv", b"user,item,rating\n1,2,3\n3,4\n", ["'rating'", "no value", "row 2"]),
        ("t.csv", b"user,item\n1,2\n,4\n,5\n", ["'user'", "row 2", "2 such rows"]),
        ("t.csv", b"user,item,rating\n1,2,3\n3,4,-1\n", ["-1", "row 2", "give min_rating"]),
        ("t.csv", b"user,item,rating\n1,2,3,4\n", ["row 1", "4 fields", "3"]),
        ("t.csv", b"user,item,timestamp\n1,2,later\n", ["'later'", "row 1", "timestamp=False"]),
        ("t.csv", b"user,item,timestamp\n1,2,\n", ["'timestamp'", "no value"]),
        ("t.csv", b"user,item\n\xe9,1\n", ["line 2", "UTF-8"]),
        ("t.csv", bytes(range(256)), ["t.csv"]),
        ("t.csv", b'user,item\n"1,2\n3,4\n', ["'\"1'", "row 1", "quote=False"]),
        ("t.csv.gz", GZ[: len(GZ) // 2], ["cut short"]),
        ("t.csv.gz", b"user,item\n1,2\n", ["damaged"]),
        ("t.csv.gz", GZ[:-8] + bytes(8), ["damaged"]),
        ("t.parquet", b"PAR1 no such thing", ["not a whole parquet"]),
        ("t.parquet", b"", ["not a whole parquet"]),
        ("t.jsonl", b'{"user": 1, "item": 2}\n{"user"\n', ["line 2"]),
        ("t.jsonl", b"[1, 2]\n", ["line 1", "object"]),
        ("t.jsonl", b'{"user":1,"item":2}\n{"user":"1","item":2}\n', ["mixes", "row 2", "'1'"]),
        ("t.jsonl", b'{"user":[1],"item":2}\n', ["'user' holds List"]),
        ("t.jsonl", b'{"user":99999999999999999999,"item":2}\n', ["64 bits", "row 1"]),
        ("t.jsonl", b'{"user":true,"item":2}\n', ["Boolean"]),
        ("t.jsonl", b'{"user":1.5,"item":2}\n', ["1.5", "row 1"]),
        ("t.pdf", b"%PDF", [".csv", ".parquet"]),
        ("t.xlsx", b"PK", ["not a workbook", "save"]),
        ("t.parquet.gz", GZ, ["not a whole parquet"]),
    ],
    ids=lambda given: f"{len(given)} bytes" if isinstance(given, bytes) else None,
)
def test_files(tmp_path, name, content, parts):
    (tmp_path / name).write_bytes(content)
    refused(lambda: Interactions.read(tmp_path / name), str(tmp_path / name), *parts)


def test_truncated_parquet(tmp_path):
    path = tmp_path / "t.parquet"
    pl.DataFrame({"user": range(5000), "item": range(5000)}).write_parquet(path)
    whole = path.read_bytes()
    for size in (0, 3, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        refused(lambda: Interactions.read(path), str(path))


def test_missing_files_and_folders(tmp_path):
    (tmp_path / "ratings.csv").write_text("user,item\n1,2\n")
    refused(lambda: Interactions.read(tmp_path / "rating.csv"), "did you mean ratings.csv?")
    refused(lambda: Interactions.read(tmp_path / "no" / "t.csv"), "nor does its folder")
    (tmp_path / "t.parquet").write_bytes(b"")
    refused(lambda: Interactions.read(tmp_path), "is a folder", "1 csv, 1 parquet", "*.csv")
    (tmp_path / "none").mkdir()
    refused(lambda: Interactions.read(tmp_path / "none"), "is a folder without")


@pytest.mark.parametrize(
    ("frame", "parts"),
    [
        ({"user": [1, "x"], "item": [1, 2]}, ["mixes types", "row 2", "'x'"]),
        (pd.DataFrame({"user": [1, "x"], "item": [1, 2]}), ["mixes types", "row 2"]),
        (pd.DataFrame({"user": [1, 2.5], "item": [1, 2]}), ["2.5", "row 2"]),
        ({"user": [float(2**53 + 2), 1.0], "item": [1, 2]}, ["row 1", "2^53"]),
        ({"user": np.array([1, 2**63], np.uint64), "item": [1, 2]}, ["9223372036854775808"]),
        ({"user": [b"a"], "item": [1]}, ["bytes"]),
        ({"user": [1], "item": [1, 2]}, ["one length"]),
        ({"user": np.zeros((2, 2)), "item": [1, 2]}, ["one dimension"]),
        ({"user": [1], "item": [1], "rating": [[5]]}, ["'rating' holds List"]),
        ({"user": [1], "item": [1], "rating": [None]}, ["no value"]),
        ({"user": [1], "item": [1], "timestamp": [1e300]}, ["int64"]),
        (pl.DataFrame({"user": [[1]], "item": [1]}), ["List"]),
        (pl.DataFrame({"user": [], "item": []}), ["no rows"]),
        (pl.DataFrame(), ["(none)"]),
        (42, ["int", "polars"]),
        (None, ["NoneType"]),
        (np.zeros((3, 2)), ["array of shape (3, 2)", "tuple of arrays"]),
        ([[1, 2], [3, 4]], ["list of list", "rows as tuples"]),
        ([{"user": 1, "item": 2}, (1, 2)], ["list of dict and tuple"]),
        ([{"user": 1, "item": 2}, {"user": 1}], ["'item'", "row 2"]),
        ([(1, 2), (1, 2, 3)], ["row 2", "tuple (1, 2, 3)", "2 values"]),
        ([(1, 2), [1, 2]], ["row 2", "list [1, 2]"]),
        ([(1,)], ["1 values", "(user, item)"]),
        ([(1, 2, 3, 4, 5)], ["5 values", "mappings"]),
        (zip([1], [2], strict=True), ["a zip", "list of rows"]),
        (pd.Series(["a", "b"]), ["a Series"]),
        (pd.Series([1, 2]), ["a Series"]),
        (pl.Series("user", [1, 2]), ["no column 'item'"]),
        (pd.DataFrame({"user": [1], "item": [2]}).groupby("user"), ["DataFrameGroupBy"]),
        (
            pd.DataFrame({"user": [1], "item": [2]}).set_index(["user", "item"]),
            ["'user', 'item' in its index", "reset_index()"],
        ),
    ],
)
def test_frames(frame, parts):
    refused(lambda: Interactions.of(frame), *parts)


def test_named_columns_must_exist():
    frame = pl.DataFrame({"user": [1], "item": [2]})
    refused(lambda: Interactions.from_frame(frame, rating="stars"), "'stars'", "'user', 'item'")
    refused(lambda: Interactions.from_frame(frame, item="user"), "two roles")
    refused(lambda: Interactions.from_frame(frame, min_rating=4), "min_rating=4", "rating column")


def test_matrices():
    def matrix(values):
        return sp.csr_matrix(np.array(values))

    refused(lambda: Interactions.of(matrix([[1, -1]])), "-1")
    refused(lambda: Interactions.of(matrix([[1, np.nan]])), "nan")
    refused(lambda: Interactions.of(matrix([[0, 0]])), "no rows")
    refused(lambda: Interactions.of(matrix([[1j, 0]])), "real numbers")
    refused(lambda: Interactions.of(matrix([[1, 2]]), item_ids=[1]), "1 ids", "axis of 2")
    refused(lambda: Interactions.of(matrix([[1, 2]]), item_ids=["a", "a"]), "repeats")


def test_nothing_left():
    refused(lambda: Interactions.from_arrays([1], [2], [3], min_rating=4), "highest is 3")
    refused(lambda: Interactions.from_arrays([None], [2], nulls="drop"), "none of 1 rows")
    refused(lambda: Interactions.from_arrays([], []), "no rows")
    refused(lambda: Interactions.from_arrays([1], [2]).k_core(users=2), "smaller core")
    refused(lambda: Interactions.from_arrays([1, 1], [2, 2], duplicates="error"), "repeats 1")


@pytest.mark.parametrize(
    "options",
    [{"nulls": "ignore"}, {"duplicates": "first"}, {"min_rating": np.nan}, {"min_rating": "4"},
     {"minrating": 4}, {"drop_zeros": True}],
)  # fmt: skip
def test_options(options):
    refused(
        lambda: Interactions.from_arrays([1], [2], [3], **options),
        next(iter(options)),
        error=ParameterError,
    )


def test_names_of_data_are_text():
    for name in (None, 5, b"x", object()):
        for make in (
            lambda name: Interactions.from_frame({"user": [1], "item": [2]}, name=name),
            lambda name: Interactions.from_arrays([1], [2], name=name),
            lambda name: tm.RankedLists.from_dict({1: [2]}, name=name or 0),
        ):
            with pytest.raises(ParameterError, match="name must be text"):
                make(name)


def test_decimals_of_a_database_are_numbers():
    ids = [Decimal("12"), Decimal(7), None]
    rows = {"user": ids[:2], "item": [Decimal("1E+1"), 3], "rating": [Decimal("1.5"), 2]}
    data = Interactions.from_frame(rows)
    assert data.to_frame().rows() == [(7, 3, 2.0), (12, 10, 1.5)]
    with pytest.raises(DataError, match="'user' holds no value in row 3"):
        Interactions.from_frame({"user": ids, "item": [1, 2, 3]})
    with pytest.raises(DataError, match=r"'user' holds 1\.5 in row 1"):
        Interactions.from_frame({"user": [Decimal("1.5")], "item": [1]})
    with pytest.raises(DataError, match="holds nan, not a finite number, in row 1"):
        Interactions.from_frame({"user": [1], "item": [1], "rating": [Decimal("NaN")]})
    with pytest.raises(DataError, match="beyond 64 bits"):
        Interactions.from_frame({"user": [Decimal(2**70)], "item": [1]})


def test_spans_of_time_are_no_times():
    spans = pd.to_timedelta([1, 2], unit="D")
    with pytest.raises(DataError, match=r"'timestamp' cannot be used: row 1 .*timedelta64"):
        Interactions.from_frame({"user": [1, 2], "item": [1, 2], "timestamp": spans})


@pytest.mark.parametrize(("dtype", "power"), [("f4", 24), ("f8", 53)])
def test_floats_that_may_have_been_other_ids_are_refused(dtype, power):
    """2^24 + 1 as a 32-bit float is 2^24."""
    ids = np.array([2**power + 1, 1], dtype)
    with pytest.raises(DataError, match=rf"whole numbers below 2\^{power}"):
        Interactions.from_arrays(ids, [1, 2])
    below = np.array([2**power - 1, 1], dtype)
    assert Interactions.from_arrays(below, [1, 2]).user_ids[1] == 2**power - 1
