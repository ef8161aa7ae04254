"""Arrow files and streams, and the files of RecBole."""

import gzip
from pathlib import Path

import polars as pl
import pytest

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
