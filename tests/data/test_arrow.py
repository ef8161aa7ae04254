"""Arrow files and streams, and the files of RecBole."""

import gzip
from decimal import Decimal
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

import trimetric as tm
from trimetric.data import item_tables
from trimetric.errors import DataError

LOG = pl.DataFrame({"user": ["ann", "bob", "ann"], "item": [7, 8, 8], "rating": [1.0, 2.0, 3.0]})


def file(path: Path) -> None:
    LOG.write_ipc(path)


def stream(path: Path) -> None:
    LOG.write_ipc_stream(path)


def packed(path: Path) -> None:
    file(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (file, "log.arrow"),
        (file, "log.feather"),
        (file, "log.ipc"),
        (file, "log"),
        (stream, "log.arrow"),
        (packed, "log.arrow.gz"),
    ],
)
def test_arrow(write, name: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    data = tm.Interactions.read(tmp_path / name)
    assert data.report.read_as == "arrow"
    assert data.fingerprint == tm.Interactions(LOG).fingerprint


def test_a_folder_and_a_store_of_arrow(tmp_path: Path) -> None:
    for part in range(2):
        LOG.with_columns(item=pl.col("item") + part).write_ipc(tmp_path / f"{part}.arrow")
    assert tm.Interactions.read(tmp_path).n_items == 3
    prepared = tm.prepare(str(tmp_path / "*.arrow"), tmp_path / "parts", partitions=1)
    assert (prepared.n_users, prepared.n_items) == (2, 3)


def test_a_file_that_is_cut_short_or_none(tmp_path: Path) -> None:
    file(tmp_path / "log.arrow")
    (tmp_path / "cut.arrow").write_bytes((tmp_path / "log.arrow").read_bytes()[:100])
    (tmp_path / "none.arrow").write_text("user,item\n1,2\n")
    for name in ("cut", "none"):
        with pytest.raises(DataError, match=rf"{name}\.arrow cannot be read as arrow \(.*again"):
            tm.Interactions.read(tmp_path / f"{name}.arrow")


def test_a_folder_of_recbole(tmp_path: Path) -> None:
    (tmp_path / "ml.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "1\t9\t3\t881250949\n2\t8\t4\t881250950\n"
    )
    (tmp_path / "ml.item").write_text(
        'item_id:token\tmovie_title:token_seq\tclass:token_seq\n8\tThe "Old" One\ta b\n9\tTwo\tc\n'
    )
    for given in (tmp_path, tmp_path / "ml.inter"):
        data = tm.Interactions.read(given)
        rows = data.to_frame().select("user", "item", "rating", "timestamp").rows()
        assert rows == [(1, 9, 3.0, 881250949), (2, 8, 4.0, 881250950)]
    items = item_tables.read(tmp_path / "ml.item")
    assert items["item"].to_list() == [8, 9]
    assert items["movie_title:token_seq"].to_list() == ['The "Old" One', "Two"]


# --- types that Polars lacks ----------------------------------------------------------------------

STRANGE = {
    "an interval": lambda: pa.array([pa.MonthDayNano([1, 2, 3])] * 3),
    "a union": lambda: pa.UnionArray.from_sparse(
        pa.array([0] * 3, pa.int8()), [pa.array([1, 2, 3])]
    ),
    "runs": lambda: pa.RunEndEncodedArray.from_arrays([3], ["x"]),
    "a view of lists": lambda: pa.array([[1]] * 3, pa.list_view(pa.int64())),
    "a wide decimal": lambda: pa.array([Decimal(10) ** 50] * 3, pa.decimal256(60, 0)),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_column_that_is_not_needed_may_be_of_any_type(kind: str, tmp_path: Path) -> None:
    table = LOG.to_arrow().append_column("more", STRANGE[kind]())
    assert tm.Interactions(table).fingerprint == tm.Interactions(LOG).fingerprint
    with pytest.raises(DataError, match=r"column 'more' is of the type .* which Polars does not"):
        tm.Interactions(table, item="more")
    with pytest.raises(DataError, match=r"no column 'sku'; columns: 'user', 'item', .*'more'"):
        tm.Interactions(table, item="sku")
    feather.write_feather(table, tmp_path / "log.arrow", compression="uncompressed")
    with pytest.raises(DataError, match=r"log\.arrow: a column is of a type .* leave it out"):
        tm.Interactions.read(tmp_path / "log.arrow")


def test_a_parquet_file_with_such_a_column_is_not_called_damaged(tmp_path: Path) -> None:
    table = LOG.to_arrow().append_column("more", STRANGE["a view of lists"]())
    parquet.write_table(table, tmp_path / "log.parquet")
    with pytest.raises(DataError, match=r"log\.parquet: a column is of a type .* leave it out"):
        tm.Interactions.read(tmp_path / "log.parquet")


def test_what_speaks_arrow_alone_is_refused_in_words() -> None:
    class Stream:
        def __init__(self, table: pa.Table) -> None:
            self.table, self.columns = table, table.column_names

        def __arrow_c_stream__(self, requested: object = None) -> object:
            return self.table.__arrow_c_stream__(requested)

    table = LOG.to_arrow()
    assert tm.Interactions(Stream(table)).fingerprint == tm.Interactions(LOG).fingerprint
    with pytest.raises(DataError, match="a column is of a type that Polars does not read"):
        tm.Interactions(Stream(table.append_column("more", STRANGE["an interval"]())))
    with pytest.raises(DataError, match="several columns called 'item'; rename all but one"):
        tm.Interactions(Stream(table.append_column("item", pa.array([1, 2, 3]))))


def test_views_of_text_in_pandas() -> None:
    table = LOG.to_arrow().cast(
        pa.schema([("user", pa.string_view()), ("item", pa.int64()), ("rating", pa.float64())])
    )
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    assert tm.Interactions(frame).fingerprint == tm.Interactions(LOG).fingerprint
