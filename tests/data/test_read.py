"""Reading well-formed data: every format and container, ids kept, rows counted."""

import gzip
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp

from trimetric.data import Interactions, ReadReport
from trimetric.errors import ParameterError

TABLE = pl.DataFrame(
    {
        "user": [2**53 + 1, 2**53, 5, 5],
        "item": ["007", "b", "7", "é,\"x'"],
        "rating": [4.0, 3.5, 5.0, 1.0],
        "timestamp": [10, 20, 30, 40],
        "split": ["train", "train", "test", "valid"],
    }
)
ROWS = sorted(TABLE.rows())


def write(folder, name, text):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(data):
    return data.to_frame().rows()


@pytest.mark.parametrize(
    "name", ["t.csv", "t.tsv", "t.jsonl", "t.ndjson", "t.csv.gz", "T.TSV.GZ", "t.jsonl.gz"]
)
def test_text_formats(tmp_path, name):
    inner = name.lower().removesuffix(".gz")
    if "json" in inner:
        text = TABLE.write_ndjson().encode()
    else:
        text = TABLE.write_csv(separator="\t" if "tsv" in inner else ",").encode()
    path = write(tmp_path, name, gzip.compress(text) if inner != name.lower() else text)
    data = Interactions.read(path)
    assert rows(data) == ROWS
    assert data.name == name


def test_parquet(tmp_path):
    TABLE.with_columns(extra=pl.lit(1)).write_parquet(tmp_path / "t[1].parquet")
    assert rows(Interactions.read(tmp_path / "t[1].parquet")) == ROWS


@pytest.mark.parametrize(
    "make",
    [
        lambda t: t,
        lambda t: t.lazy(),
        lambda t: t.to_arrow(),
        lambda t: pd.DataFrame(t.to_dict(as_series=False)),
        lambda t: pd.DataFrame(t.to_dict(as_series=False), dtype=object),
        lambda t: t.to_dict(as_series=False),
        lambda t: {name: t[name].to_numpy() for name in t.columns},
        lambda t: t.to_dicts(),
    ],
)
def test_frames(make):
    frame = make(TABLE)
    before = repr(frame)
    assert rows(Interactions.from_frame(frame)) == ROWS
    assert rows(Interactions.of(frame)) == ROWS
    assert repr(frame) == before


def test_rows_as_tuples():
    table = TABLE.select("user", "item", "rating", "timestamp")
    for width in (2, 3, 4):
        given = table.select(table.columns[:width])
        assert rows(Interactions.of(given.rows())) == rows(Interactions.of(given))
    pairs = [("a.csv", "b"), ("b", "c")]  # text in rows is no path
    assert rows(Interactions.of(pairs)) == pairs


def test_rows_as_mappings_need_not_have_the_same_keys():
    given = [{"user": 1, "item": 2}, {"rating": 3.0, "item": 1, "user": 2, "shelf": "x"}]
    data = Interactions.of(given, nulls="drop")
    assert rows(data) == [(2, 1, 3.0)]
    assert data.report.nulls == 1


def test_arrays_are_read_only_copies_or_views_that_leave_the_callers_alone():
    users, items = np.array([1, 0], dtype=np.int64), np.array([3, 4], dtype=np.int64)
    data = Interactions.of((users, items, [1.0, 2.0], [5, 6]))
    assert rows(data) == [(0, 4, 2.0, 6), (1, 3, 1.0, 5)]
    users[0] = 9
    assert users.flags.writeable
    assert not data.users.flags.writeable
    assert (data.users.dtype, data.ratings.dtype) == (np.int32, np.float32)
    direct = np.zeros(1, dtype=np.int32)
    Interactions.from_rows(data.user_ids, data.item_ids, direct, direct)
    assert direct.flags.writeable


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.coo_array, sp.csc_array, sp.lil_matrix])
def test_scipy(form):
    matrix = form(np.array([[1, 0, 2], [0, 0, 0], [0, 0, 3]]))
    data = Interactions.of(matrix, item_ids=["a", "b", "c"])
    assert rows(data) == [(0, "a", 1.0), (0, "c", 2.0), (2, "c", 3.0)]


def test_scipy_explicit_zeros_are_dropped_and_counted_and_repeats_summed():
    matrix = sp.coo_matrix(([1, 2, 0], ([0, 0, 1], [0, 0, 1])), shape=(2, 2))
    data = Interactions.from_scipy(matrix)
    assert rows(data) == [(0, 0, 3.0)]
    assert data.report == ReadReport(rows_read=2, zeros=1)
    assert matrix.nnz == 3


def test_scipy_values_cannot_be_ignored():
    with pytest.raises(ParameterError, match="which are explicit zeros; leave rating out"):
        Interactions.from_scipy(sp.csr_array(np.eye(3)), rating=False)


def test_text_ids_become_ints_only_if_all_come_back_the_same(tmp_path):
    ids = "1\n-2\n9223372036854775807\n", "1\n007\n", "1\n+2\n", "1\n9223372036854775808\n"
    kinds = []
    for text in ids:
        lines = [f"{line},x" for line in text.split()]
        path = write(tmp_path, "t.csv", "\n".join(["user,item", *lines]))
        data = Interactions.read(path)
        assert set(map(str, data.user_ids.values)) == set(text.split())
        kinds.append(data.user_ids.kind)
    assert kinds == ["int", "str", "str", "str"]


def test_pandas_null_holding_ints():
    frame = pd.DataFrame({"user": [1, 2, None], "item": ["a", "b", "c"]})
    assert frame["user"].dtype == float
    data = Interactions.from_frame(frame, nulls="drop")
    assert rows(data) == [(1, "a"), (2, "b")]
    assert data.report.nulls == 1


def test_extensions_of_pandas_and_arrow():
    frame = pd.DataFrame(
        {
            "user": pd.array([1, pd.NA], dtype="Int64"),
            "item": pd.Categorical(["x", "y"]),
            "timestamp": pd.to_datetime(["2020-01-01", "2020-01-02"]).tz_localize("Europe/Berlin"),
        }
    )
    assert rows(Interactions.from_frame(frame, nulls="drop")) == [(1, "x", 1577833200)]
    letters = pa.array(["a"]).dictionary_encode()
    table = pa.table({"user": pa.array([1], pa.uint64()), "item": letters})
    assert rows(Interactions.from_frame(table)) == [(1, "a")]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1577836800", 1577836800),
        ("1577836800.75", 1577836800),
        ("2020-01-01", 1577836800),
        ("2020-01-01 00:00:01", 1577836801),
        ("2020-01-01T01:00:00+01:00", 1577836800),
        ("2020-01-01T00:00:00Z", 1577836800),
    ],
)
def test_timestamps_become_unix_seconds(tmp_path, written, seconds):
    path = write(tmp_path, "t.csv", f"user,item,timestamp\n1,1,{written}\n1,2,{written}\n")
    assert Interactions.read(path).timestamps.tolist() == [seconds, seconds]


def test_columns_by_name_and_columns_ignored(tmp_path):
    path = write(tmp_path, "t.csv", "who,what,stars,rating\n1,2,3,PG\n")
    data = Interactions.read(path, user="who", item="what", rating="stars")
    assert rows(data) == [(1, 2, 3.0)]
    assert Interactions.read(path, user="who", item="what", rating=False).ratings is None


def test_min_rating_applies_to_rows_and_then_the_latest_is_kept(tmp_path):
    timed = "user,item,rating,timestamp\n1,1,5,20\n1,1,2,10\n2,1,1,5\n2,1,5,5\n"
    data = Interactions.read(write(tmp_path, "t.csv", timed))
    assert rows(data) == [(1, 1, 5.0, 20), (2, 1, 5.0, 5)]
    assert data.report == ReadReport(rows_read=4, duplicates=2)
    untimed = Interactions.read(tmp_path / "t.csv", timestamp=False, min_rating=4)
    assert rows(untimed) == [(1, 1, 5.0), (2, 1, 5.0)]
    assert untimed.report == ReadReport(rows_read=4, below_min_rating=2)
    assert untimed.report.lines()[0] == "4 rows read"


def test_nulls_dropped_and_counted(tmp_path):
    text = "user,item,rating\n1,1,5\n,1,5\n1,2,\n1,3,nan\n1,4,inf\n1,5,1e39\n\n1,6,4\n"
    data = Interactions.read(write(tmp_path, "t.csv", text), nulls="drop")
    assert rows(data) == [(1, 1, 5.0), (1, 6, 4.0)]
    assert data.report == ReadReport(rows_read=7, nulls=5)


def test_negative_ratings_are_fine_with_min_rating():
    data = Interactions.from_arrays([1, 2], [1, 1], [-1, 1], min_rating=0)
    assert rows(data) == [(2, 1, 1.0)]


def test_one_user_one_item_and_a_user_with_every_item():
    assert rows(Interactions.from_arrays(["u"], ["i"])) == [("u", "i")]
    full = Interactions.from_arrays([0] * 5 + [1], [*range(5), 3])
    assert full.indptr.tolist() == [0, 5, 6]


def test_of_returns_interactions_as_they_are():
    data = Interactions.from_arrays([1], [2])
    assert Interactions.of(data) is data
    with pytest.raises(ParameterError, match="min_rating"):
        Interactions.of(data, min_rating=3)


def test_k_core_repeats_until_stable():
    # Item 9 falls below 2 only after user 3 is gone.
    pairs = [(1, 7), (1, 8), (2, 7), (2, 8), (1, 9), (3, 9)]
    data = Interactions.from_arrays(*zip(*pairs, strict=True))
    core = data.k_core(users=2, items=2)
    assert rows(core) == [(1, 7), (1, 8), (2, 7), (2, 8)]
    assert (core.n_users, core.n_items, core.report.below_core) == (2, 2, 2)
    assert data.k_core(users=2).n_items == 3


def test_align_drops_and_counts_unknown_ids():
    train = Interactions.from_arrays(["a", "b", "b"], [1, 2, 3])
    other = Interactions.from_arrays(["b", "b", "c", "d"], [3, 4, 1, 4], [1, 2, 3, 4])
    aligned, report = other.align(train.user_ids, train.item_ids)
    assert rows(aligned) == [("b", 3, 1.0)]
    assert aligned.n_users == train.n_users
    assert (report.unknown_users, report.unknown_items, report.dropped) == (2, 1, 3)


def test_whole_numbers_from_text_are_text_where_others_are(tmp_path):
    (tmp_path / "all.csv").write_text("user,item\nguest,7\n9,7\n10,8\n9,8\n")
    (tmp_path / "part.csv").write_text("user,item,rating\n9,7,1\n10,8,2\n9,8,3\n11,7,4\n")
    whole, part = (Interactions.read(tmp_path / f"{name}.csv") for name in ("all", "part"))
    assert (whole.user_ids.kind, part.user_ids.kind) == ("str", "int")
    aligned, report = part.align(whole.user_ids, whole.item_ids)
    assert rows(aligned) == [("10", 8, 2.0), ("9", 7, 1.0), ("9", 8, 3.0)]
    assert (report.unknown_users, report.unknown_items, report.dropped) == (1, 0, 1)
    typed = Interactions.from_arrays([9, 10], [7, 8])  # numbers that were never text stay numbers
    assert typed.align(whole.user_ids, whole.item_ids)[1].dropped == 2


def test_take_by_mask_and_by_position():
    data = Interactions.from_arrays([0, 1, 2], [0, 1, 2])
    assert rows(data.take(np.array([2, 0]))) == [(0, 0), (2, 2)]
    assert rows(data.take(np.array([False, True, False]))) == [(1, 1)]
    assert data.take(np.array([1])).n_users == 3
    assert data.take(np.array([1])).compact().n_users == 1
    with pytest.raises(ParameterError):
        data.take(np.array([True]))


def test_fingerprint_ignores_row_order_and_sees_every_part():
    base = Interactions.from_arrays([1, 2], ["a", "b"], [1, 2], [3, 4])
    turned = Interactions.from_arrays([2, 1], ["b", "a"], [2, 1], [4, 3])
    assert base.fingerprint == turned.fingerprint
    others = [
        Interactions.from_arrays(["1", "2"], ["a", "b"], [1, 2], [3, 4]),
        Interactions.from_arrays([1, 2], ["a", "c"], [1, 2], [3, 4]),
        Interactions.from_arrays([1, 2], ["b", "a"], [1, 2], [3, 4]),
        Interactions.from_arrays([1, 2], ["a", "b"], [1, 3], [3, 4]),
        Interactions.from_arrays([1, 2], ["a", "b"], [1, 2], [3, 5]),
        Interactions.from_arrays([1, 2], ["a", "b"], [1, 2]),
        Interactions.from_arrays([1, 2], ["a", "b"]),
    ]
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 8
    golden = "375b336576fb90bde2441f91f305f659c8adf4ea40e9fe24b5a0522a2ee16c3c"
    assert base.fingerprint == golden


def test_importing_the_room_imports_no_polars():
    code = "import sys, trimetric.data; assert 'polars' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = (
        "import sys; from trimetric.data import *; assert not {'pandas', 'scipy'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("ending", [".csv", ".tsv"])
def test_the_header_tells_another_separator(tmp_path, separator, ending):
    path = tmp_path / f"likes{ending}"
    rows = ["user", "item"], ["a,b", "x"], ["c", "y"]
    path.write_text("".join(separator.join(row) + "\n" for row in rows))
    assert Interactions.read(path).to_frame().rows() == [("a,b", "x"), ("c", "y")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("text", ['{"user": 1, "item": 2}\n', '\n [{"user": 1, "item": 2}]'])
def test_json_is_known_by_its_content_also_behind_a_mark(tmp_path, encoding, text):
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    data = Interactions.read(write(tmp_path, "log", mark + text.encode(encoding)))
    assert rows(data) == [(1, 2)]
    assert data.report.read_as.startswith("json")
