"""Files whose lines are a user and then its items."""

import io
from pathlib import Path

import pytest

import trimetric as tm
from trimetric.errors import DataError


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("0 7 8 9\n1 7\n2\n\n", {}),
        ("0\t7 8  9 \r\n1 7\r\n2", {}),
        ("0 7\n1 7\n0 8 9\n2\n", {}),
        ("0,7,8,9\n1,7\n2\n", {"separator": ","}),
        ("\ufeff0 7 8 9\n1 7\n2\n", {}),
    ],
)
def test_each_item_of_a_line_is_a_row(text: str, options: dict, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes(text.encode())
    data = tm.Interactions.read(tmp_path / "train.txt", format="lists", **options)
    assert data.to_frame().select("user", "item").rows() == [(0, 7), (0, 8), (0, 9), (1, 7)]
    assert (data.report.read_as, data.report.empty_lists) == ("lists", 1)
    assert data.report.notes == ("column 'item' holds lists: each item is a row",)
    prepared = tm.prepare(
        str(tmp_path / "*.txt"), tmp_path / "parts", partitions=1, format="lists", **options
    )
    assert (prepared.n_users, prepared.n_items) == (2, 3)


def test_ids_are_text_where_one_is() -> None:
    data = tm.Interactions.read(io.StringIO("ann 007 8\nbob 8\n"), format="lists")
    assert data.item_ids.values.to_list() == ["007", "8"]


def test_what_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "train.txt"
    file.write_text("0 7 8 9\n1 7\n")
    with pytest.raises(DataError, match="a user and then its items, give format='lists'"):
        tm.Interactions.read(file)
    with pytest.raises(DataError, match="no column 'customer'"):
        tm.Interactions.read(file, format="lists", user="customer")
    file.write_bytes(b"0 7\n1 \xff\n")
    with pytest.raises(DataError, match="line 2 is not UTF-8"):
        tm.Interactions.read(file, format="lists")
    file.write_text("0\n1\n")
    with pytest.raises(DataError, match="no rows; it needs at least one"):
        tm.Interactions.read(file, format="lists")
