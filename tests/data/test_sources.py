"""Where data comes from: many files, packed files, streams, URIs; and what is refused."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import COMMAND, document, environment, refused

import trimetric as tm
from trimetric.data import Interactions
from trimetric.errors import DataError, ParameterError
from trimetric.scale.prepare import prepare

CSV = b"user,item\na,1\nb,2\n"
ROWS = [("a", 1), ("b", 2)]


def rows(given, **options):
    return Interactions.read(given, **options).to_frame().rows()


def packed(name):
    if name == "zst":
        import zstandard

        return zstandard.compress(CSV)
    if name == "zip":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("folder/log.csv", CSV)
            archive.writestr("__MACOSX/log.csv", b"x")
        return out.getvalue()
    return {"gz": gzip, "bz2": bz2, "xz": lzma}[name].compress(CSV)


@pytest.mark.parametrize("how", ["gz", "bz2", "xz", "zst", "zip"])
def test_packed_files(tmp_path, how):
    path = tmp_path / f"log.csv.{how}"
    path.write_bytes(packed(how))
    assert rows(path) == ROWS
    assert rows(io.BytesIO(packed(how))) == ROWS
    path.write_bytes(packed(how)[:-9])
    with pytest.raises(DataError, match=r"damaged or cut short"):
        rows(path)


def test_a_zip_of_several_files(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as archive:
        archive.writestr("a.csv", CSV)
        archive.writestr("b.csv", CSV)
    with pytest.raises(DataError, match=r"2 files \(a.csv, b.csv\)"):
        rows(tmp_path / "t.csv.zip")


@pytest.fixture
def folder(tmp_path):
    for day, user in (("2020-01-01", "a"), ("2020-01-02", "b")):
        part = tmp_path / "log" / f"day={day}"
        part.mkdir(parents=True)
        pl.DataFrame({"user": [user], "item": [1]}).write_parquet(part / "0.parquet")
    (tmp_path / "log" / "_SUCCESS").write_bytes(b"")
    (tmp_path / "log" / ".hidden.csv").write_bytes(CSV)
    return tmp_path / "log"


def test_folders_patterns_and_lists(folder, monkeypatch):
    assert rows(folder) == [("a", 1), ("b", 1)]
    days = rows(folder, timestamp="day")
    assert days == [("a", 1, 1577836800), ("b", 1, 1577923200)]
    assert rows(f"{folder}/*/*.parquet", timestamp="day") == days
    assert rows(f"{folder}/**/*.parquet") == [("a", 1), ("b", 1)]
    files = sorted(folder.glob("*/*.parquet"))
    assert rows(files) == rows(tuple(map(str, files))) == [("a", 1), ("b", 1)]
    assert Interactions.of(files).n_users == Interactions.of(tuple(files)).n_users == 2
    assert Interactions.of(f"{folder}/*/*.parquet").n_users == 2
    with pytest.raises(DataError, match="matches no file"):
        rows(f"{folder}/*.csv")
    with pytest.raises(ParameterError, match="empty"):
        rows([])
    monkeypatch.setenv("HOME", str(folder.parent))
    assert rows("~/log") == [("a", 1), ("b", 1)]


def test_files_that_do_not_fit_together(tmp_path):
    (tmp_path / "a.csv").write_bytes(CSV)
    (tmp_path / "b.csv").write_bytes(b"user,item\nc,3\n")
    pl.DataFrame({"user": [1], "item": [1]}).write_parquet(tmp_path / "c.parquet")
    pl.DataFrame({"user": ["x"], "item": [1]}).write_parquet(tmp_path / "d.parquet")
    data = Interactions.read([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert (data.n_users, data.report.rows_read) == (3, 3)
    with pytest.raises(DataError, match="csv and parquet"):
        rows([tmp_path / "a.csv", tmp_path / "c.parquet"])
    with pytest.raises(DataError, match=r"d\.parquet does not fit .*c\.parquet"):
        rows([tmp_path / "c.parquet", tmp_path / "d.parquet"])


@pytest.mark.parametrize("name", ["log.txt", "u.data", "ratings.dat", "log"])
def test_other_names(tmp_path, name):
    (tmp_path / name).write_bytes(CSV)
    assert rows(tmp_path / name) == ROWS


def test_a_format_that_is_said(tmp_path):
    (tmp_path / "log.export").write_bytes(CSV)
    with pytest.raises(DataError, match="format="):
        rows(tmp_path / "log.export")
    assert rows(tmp_path / "log.export", format="csv") == ROWS
    out = io.BytesIO()
    pl.DataFrame({"user": ["a", "b"], "item": [1, 2]}).write_parquet(out)
    assert rows(io.BytesIO(out.getvalue())) == ROWS


def test_standard_input_and_pipes(tmp_path):
    for text in (CSV, packed("gz"), b'{"user":"a","item":1}\n{"user":"b","item":2}'):
        ran = subprocess.run(
            [*COMMAND, "data", "inspect", "-", "--json"], input=text, env=environment(),
            capture_output=True, timeout=60,
        )  # fmt: skip
        assert b'"pairs": 2' in ran.stdout, ran.stderr
    os.mkfifo(tmp_path / "pipe")
    writer = subprocess.Popen(["sh", "-c", f"printf 'user,item\\na,1\\nb,2\\n' > {tmp_path}/pipe"])
    assert rows(tmp_path / "pipe") == ROWS
    writer.wait()


@pytest.mark.slow
def test_uris(tmp_path):
    (tmp_path / "a b.csv").write_bytes(CSV)
    assert rows((tmp_path / "a b.csv").as_uri()) == ROWS
    import fsspec

    with fsspec.open("memory://logs/log.csv.gz", "wb") as out:
        out.write(packed("gz"))
    assert rows("memory://logs/log.csv.gz") == ROWS
    assert Interactions.of("memory://logs/log.csv.gz").n_users == 2
    for uri, part in (
        ("memory://logs/none.csv", "does not exist"),
        ("memory://logs/*.tsv", "matches no file"),
        ("nosuch://key:secret@host/log.csv", "nosuch://host/log.csv"),
        ("http://127.0.0.1:1/log.csv", "cannot be read"),
        ("s3:/bucket/log.csv", "s3"),
        (f"file://elsewhere{tmp_path}/a.csv", "URI"),
    ):
        with pytest.raises(DataError) as caught:
            rows(uri)
        assert part in str(caught.value)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "given", [None, 5, b"x.csv", {"a": 1}, [None], object(), Interactions, [[], 3]]
)
def test_what_is_no_place(given):
    with pytest.raises(ParameterError):
        Interactions.read(given)


def test_places_that_cannot_be(tmp_path):
    loop = tmp_path / "loop.csv"
    loop.symlink_to(loop)
    for given, part in (
        (loop, "loop of symbolic links"),
        (tmp_path / "loop.csv" / "x.csv", "loop of symbolic links"),
        ("x" * 5000, "longer than the system allows"),
        (tmp_path / ("y" * 300), "longer than the system allows"),
        ("a\0b.csv", "character"),
        ("\ud800.csv", "character"),
        ("/dev/zero", "device"),
        ("/dev/null", "device"),
    ):
        with pytest.raises(DataError, match=part):
            rows(given)
    assert "loop of symbolic links" in refused("data", "inspect", loop)
    assert "device" in refused("data", "inspect", "/dev/zero")


def test_folders_that_are_no_log_are_refused(tmp_path: Path) -> None:
    """A split's parts are not joined by mistake; a pattern says that all are meant."""
    data = tm.synthetic.planted(60, 40, dim=4, clusters=4, per_user=6, seed=1).interactions
    split = tm.split_per_user(data, test=0.2, valid=0.2, seed=0)
    split.save(tmp_path / "parts")
    with pytest.raises(DataError, match=r"holds a split.* give a part, such as .*train\.parquet"):
        tm.Interactions.read(tmp_path / "parts")
    assert len(tm.Interactions.read(str(tmp_path / "parts" / "*.parquet"))) == len(data)
    split.train.to_frame().write_parquet(tmp_path / "log.parquet")
    prepare(str(tmp_path / "log.parquet"), out=tmp_path / "prepared", partitions=2)
    with pytest.raises(DataError, match="holds prepared parts, which fit, estimate"):
        tm.Interactions.read(tmp_path / "prepared")


@contextlib.contextmanager
def not_root():
    """Be somebody else in the body, since root reads all files."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(54321)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_files_without_permission():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        for name in ("t.parquet", "t.csv"):
            path = Path(folder) / name
            path.write_bytes(CSV)
            with pytest.raises(DataError) if name == "t.parquet" else contextlib.nullcontext():
                rows(path)  # imports all that reading needs
            path.chmod(0)
            with not_root(), pytest.raises(DataError, match="permission denied"):
                rows(path)


def test_few_open_files(tmp_path):
    pl.DataFrame({"user": [1], "item": [1]}).write_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_bytes(CSV)
    code = (
        "import resource, sys; import trimetric as tm; from trimetric.data import Interactions\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 64))\n"
        "try: Interactions.read(sys.argv[1])\n"
        "except tm.errors.DataError as error: print(error)"
    )
    for name in ("t.parquet", "t.csv"):
        ran = subprocess.run([sys.executable, "-c", code, tmp_path / name], capture_output=True,
                             text=True, timeout=60)  # fmt: skip
        assert "ulimit -n" in ran.stdout, ran.stderr


def test_bombs(tmp_path, monkeypatch):
    path = tmp_path / "zeros.csv.gz"
    with gzip.open(path, "wb") as out:
        for _ in range(64):
            out.write(bytes(2**20))
    monkeypatch.setattr("trimetric.data.unpack.LEAST_LIMIT", 2**20)
    with pytest.raises(DataError, match=r"unpacks to more than .* TRIMETRIC_MAX_UNPACKED"):
        rows(path)
    monkeypatch.setenv("TRIMETRIC_MAX_UNPACKED", str(2**30))
    with pytest.raises(DataError, match=r"first line has 67,108,864 bytes"):
        rows(path)
    monkeypatch.setenv("TRIMETRIC_MAX_UNPACKED", "much")
    with pytest.raises(DataError, match="TRIMETRIC_MAX_UNPACKED must be"):
        rows(path)


def test_blank_lines_and_headers_without_end(tmp_path):
    blank = b"user,item\na,1\n" + b"\n" * 5_000_000 + b"b,2\n" + b" \r\n" * 1_000_000
    assert rows(io.BytesIO(gzip.compress(blank, 1))) == ROWS
    with pytest.raises(DataError, match="blank lines"):
        rows(io.BytesIO(blank.replace(b"a,1", b'"a",1')))
    with pytest.raises(DataError, match=r"fields; at most .* 100,000"):
        rows(io.BytesIO(b"," * 5_000_000 + b"\n1,2\n"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.jsonl", b'{"user": "a", "item": 1}\n{"user": "\\ud800", "item": 2}\n'),
        ("t.json", b'[{"user": "\\udfff!", "item": 2}]'),
    ],
)
def test_halves_of_surrogate_pairs(tmp_path, name, text):
    (tmp_path / name).write_bytes(text)
    with pytest.raises(DataError, match=r"'user' holds .* in row \d, .*surrogate"):
        rows(tmp_path / name)
    assert "surrogate" in refused("data", "inspect", tmp_path / name)


def test_halves_of_surrogate_pairs_as_ids():
    data = Interactions.from_arrays(["a", "b"], [1, 2])
    for ids in (
        ["a", "\ud800"],
        np.array(["a", "\ud800"]),
        pd.Series(["a", "\udcff"], dtype=object),
    ):
        assert data.user_ids.encode(ids).tolist() == [0, -1]
    with pytest.raises(DataError, match="surrogate"):
        Interactions.from_arrays(["a", "\ud800"], [1, 2])
    with pytest.raises(DataError, match="UTF-8"):
        rows(io.BytesIO(b"user,item\n\xed\xa0\x80,1\n"))


def test_parquet_types(tmp_path):
    table = pa.table(
        {
            "user": pa.array([Decimal(1), Decimal(2**60)], pa.decimal128(38, 0)),
            "item": pa.array(["x", "y"]).dictionary_encode(),
            "rating": pa.array([True, False]),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    assert rows(tmp_path / "t.parquet") == [(1, "x", 1.0), (2**60, "y", 0.0)]
    for bad in (Decimal("1.5"), Decimal(2**70)):
        column = pa.array([bad], pa.decimal128(38, 1))
        pq.write_table(pa.table({"user": column, "item": [1]}), tmp_path / "t.parquet")
        with pytest.raises(DataError, match=r"'user'.*row 1"):
            rows(tmp_path / "t.parquet")


def test_numbers_that_a_frame_has_lost():
    big = 2**53 + 1
    nullable = pd.DataFrame({"user": pd.array([1, None, big], "Int64"), "item": [1, 2, 3]})
    data = Interactions.from_frame(nullable, nulls="drop")
    assert data.user_ids.values.to_list() == [1, big]
    unsigned = pd.DataFrame({"user": pd.array([1, None, big], "UInt64"), "item": [1, 2, 3]})
    assert Interactions.from_frame(unsigned, nulls="drop").user_ids.values.to_list() == [1, big]
    arrow = pd.DataFrame({"user": pd.array([1, None, big], "int64[pyarrow]"), "item": [1, 2, 3]})
    assert Interactions.from_frame(arrow, nulls="drop").user_ids.values.to_list() == [1, big]
    narrow = {"user": np.array([1, 2**24 + 2], np.float32), "item": [1, 2]}
    with pytest.raises(DataError, match=r"2\^24"):
        Interactions.from_frame(narrow)
    narrow["user"] = np.array([1, 2**24 - 1], np.float32)
    assert Interactions.from_frame(narrow).user_ids.values.to_list() == [1, 2**24 - 1]


def test_masked_values_are_missing():
    users = np.ma.masked_array([1, 2, 3], [0, 1, 0])
    assert Interactions.from_arrays(users, [1, 2, 3], nulls="drop").n_users == 2
    with pytest.raises(DataError, match="no value in row 2"):
        Interactions.from_arrays(users, [1, 2, 3])
    ratings = np.ma.masked_invalid([1.0, np.nan])
    assert len(Interactions.from_frame({"user": [1, 2], "item": [1, 2], "rating": ratings},
                                       nulls="drop")) == 1  # fmt: skip
    texts = np.ma.masked_array(["a", "b"], [1, 0])
    assert Interactions.from_arrays(texts, [1, 2], nulls="drop").user_ids.values.to_list() == ["b"]


def test_times_of_several_zones():
    times = [pd.Timestamp("2020-01-01", tz="UTC"), pd.Timestamp("2020-01-01", tz="Asia/Tokyo")]
    frame = pd.DataFrame({"user": [1, 2], "item": [1, 2]})
    frame["timestamp"] = pd.Series(times, dtype=object)
    assert Interactions.from_frame(frame).timestamps.tolist() == [1577836800, 1577804400]
    frame["timestamp"] = pd.Series([times[0], pd.Timestamp("2020-01-01")], dtype=object)
    with pytest.raises(DataError, match=r"with and without a zone.*row 2"):
        Interactions.from_frame(frame)


def test_tables_with_two_columns_of_one_name(tmp_path):
    twice = pd.DataFrame([[1, 2, 3]], columns=["user", "item", "item"])
    table = pa.table([pa.array([1]), pa.array([2]), pa.array([3])], names=["user", "item", "item"])
    for frame in (twice, table):
        with pytest.raises(DataError, match="'item'"):
            Interactions.from_frame(frame)


def test_a_tar_is_no_table(tmp_path):
    with tarfile.open(tmp_path / "t.tar.gz", "w:gz") as archive:
        (tmp_path / "a.csv").write_bytes(CSV)
        archive.add(tmp_path / "a.csv")
    with pytest.raises(DataError, match="format"):
        rows(tmp_path / "t.tar.gz")


def test_inspect_shows_the_form_and_the_first_pairs(tmp_path):
    (tmp_path / "t.csv").write_text("userId;movieId;timestamp\na;1;10\nb;;20\n,,\n")
    shown = document("data", "inspect", tmp_path / "t.csv")
    assert shown["read_as"] == "csv; ';', utf-8, header"
    assert shown["notes"] == ["users from column 'userId'", "items from column 'movieId'"]
    assert shown["first"] == [{"user": "a", "item": 1, "timestamp": 10}]
    assert shown["rows"]["nulls"] == 2


def test_a_saved_model_is_no_log(tmp_path):
    tm.Popularity().fit(ROWS).save(tmp_path / "m")
    for read in (Interactions, tm.split_random, tm.Popularity().fit):
        with pytest.raises(DataError, match="is a saved model, and no log"):
            read(tmp_path / "m")


def test_a_link_to_nowhere_is_told(tmp_path):
    (tmp_path / "log.csv").symlink_to("gone.csv")
    with pytest.raises(DataError, match=r"log.csv is a link to gone.csv, which does not exist"):
        Interactions.read(tmp_path / "log.csv")
