"""Workbooks of Excel and OpenDocument, and files of Avro and ORC."""

import gzip
import io
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter
from pyarrow import orc

import trimetric as tm
from trimetric.data import item_tables
from trimetric.errors import DataError, MissingExtra, ParameterError

NIGHT = datetime(2010, 12, 1, 8, 26)
SHEET = [
    ["CustomerID", "StockCode", "Quantity", "InvoiceDate"],
    [17850, "85123A", 6, NIGHT],
    [13047.0, 71053, 2.5, datetime(2010, 12, 1, 8, 28)],
    [None, None, None, None],
    [17850, "007", 1, datetime(2010, 12, 2)],
]


def book(*sheets: tuple[str, list[list[Any]]], hidden: str | None = None) -> bytes:
    """Return a workbook of these sheets."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"default_date_format": "yyyy-mm-dd hh:mm"}) as written:
        for name, rows in sheets:
            sheet = written.add_worksheet(name)
            for place, row in enumerate(rows):
                sheet.write_row(place, 0, row)
            if name == hidden:
                sheet.hide()
    return out.getvalue()


def open_document(rows: list[list[str]]) -> bytes:
    """Return a workbook of OpenDocument with a sheet of text."""
    cell = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
    lines = ("".join(map(cell.format, row)) for row in rows)
    table = "".join(f"<table:table-row>{line}</table:table-row>" for line in lines)
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text")
    )
    files = {
        "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
        "META-INF/manifest.xml": "<manifest/>",
        "content.xml": (
            f"<office:document-content {spaces}><office:body><office:spreadsheet>"
            f'<table:table table:name="S">{table}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>"
        ),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def test_a_sheet_is_read_as_a_csv_of_its_cells(tmp_path: Path) -> None:
    (tmp_path / "shop.xlsx").write_bytes(book(("2010", SHEET), ("notes", [])))
    data = tm.Interactions.read(tmp_path / "shop.xlsx", timestamp="InvoiceDate", weight="Quantity")
    assert data.report.read_as == "excel; sheet '2010', header"
    assert (len(data), data.report.blank) == (3, 1)
    assert data.user_ids.values.to_list() == [13047, 17850]
    assert data.item_ids.values.to_list() == ["007", "71053", "85123A"]
    assert data.timestamps is not None
    assert data.timestamps.max() == datetime(2010, 12, 2, tzinfo=UTC).timestamp()
    text = "CustomerID,StockCode,Quantity,InvoiceDate\n17850,85123A,6,2010-12-01 08:26:00\n"
    text += "13047,71053,2.5,2010-12-01 08:28:00\n17850,007,1,2010-12-02 00:00:00\n"
    same = tm.Interactions.read(io.StringIO(text), timestamp="InvoiceDate", weight="Quantity")
    assert data.fingerprint == same.fingerprint


@pytest.mark.parametrize("how", ["file", "file object", "no ending", "gzip", "zip", "format"])
def test_however_it_comes(how: str, tmp_path: Path) -> None:
    content = book(("a", [["user", "item"], ["ann", "tea"]]))
    options = {}
    if how == "file object":
        given: Any = io.BytesIO(content)
    elif how == "zip":
        given = tmp_path / "log.zip"
        with zipfile.ZipFile(given, "w") as archive:
            archive.writestr("log.xlsx", content)
    else:
        name = {"file": "log.XLSX", "gzip": "log.xlsx.gz", "format": "log.report"}
        given = tmp_path / name.get(how, "log")
        given.write_bytes(gzip.compress(content) if how == "gzip" else content)
        options = {"format": "excel"} if how == "format" else {}
    assert tm.Interactions.read(given, **options).to_frame().select("user", "item").rows() == [
        ("ann", "tea")
    ]


def test_open_document_and_a_folder(tmp_path: Path) -> None:
    for day, user in enumerate(["ann", "bob"]):
        content = open_document([["user", "item"], [user, "tea"]])
        (tmp_path / f"{day}.ods").write_bytes(content)
    assert tm.Interactions.read(tmp_path).n_users == 2
    (tmp_path / "log.csv").write_text("user,item\neve,tea\n")  # beside which workbooks are notes
    assert tm.Interactions.read(tmp_path).user_ids.values.to_list() == ["eve"]


def test_which_sheet(tmp_path: Path) -> None:
    rows = [["user", "item"], ["ann", "tea"]]
    file = tmp_path / "log.xlsx"
    file.write_bytes(book(("old", [*rows, ["bob", "tea"]]), ("new", rows), ("empty", [])))
    with pytest.raises(DataError, match="2 sheets with rows, 'old', 'new'; name one with"):
        tm.Interactions.read(file)
    assert len(tm.Interactions.read(file, sheet="old")) == 2
    with pytest.raises(DataError, match="no sheet 'New'; it has 'old', 'new', 'empty'"):
        tm.Interactions.read(file, sheet="New")
    with pytest.raises(DataError, match="sheet 'empty' is empty"):
        tm.Interactions.read(file, sheet="empty")
    file.write_bytes(book(("old", rows), ("new", rows), hidden="new"))
    assert tm.Interactions.read(file).report.read_as.startswith("excel; sheet 'old'")
    file.write_bytes(book(("old", []), ("new", [])))
    with pytest.raises(DataError, match="is empty: no visible sheet holds a row"):
        tm.Interactions.read(file)
    with pytest.raises(ParameterError, match="sheet must be text, got 1"):
        tm.Interactions.read(file, sheet=1)
    with pytest.raises(DataError, match="is csv, which has no sheets; leave out sheet="):
        tm.Interactions.read(io.StringIO("user,item\n1,2\n"), sheet="old")


@pytest.mark.parametrize(
    ("count", "shown"), [(10, "'s9'$"), (11, "'s9', ...$"), (12, "'s9', ...$")]
)
def test_ten_sheets_are_named(count: int, shown: str) -> None:
    rows = [["user", "item"], ["u", "i"]]
    file = io.BytesIO(book(*((f"s{n}", rows) for n in range(count))))
    with pytest.raises(DataError, match=shown.replace("...", "[.]{3}")):
        tm.Interactions.read(file, sheet="none")


def test_a_sheet_of_one_column_holds_rows() -> None:
    file = io.BytesIO(book(("one", [["user"], ["u"]]), ("log", [["user", "item"], ["u", "i"]])))
    with pytest.raises(DataError, match="2 sheets with rows, 'one', 'log'"):
        tm.Interactions.read(file)


def test_names_of_columns_and_what_is_missing() -> None:
    twice = book(("a", [["user", "item", "item"], ["ann", "tea", "jam"]]))
    with pytest.raises(DataError, match="sheet 'a' has 2 columns called 'item'"):
        tm.Interactions.read(io.BytesIO(twice))
    bare = book(("a", [["ann", "tea, green"], ["bob", 'the "jam"']]))
    data = tm.Interactions.read(io.BytesIO(bare), header=False, user="1", item="2")
    assert data.item_ids.values.to_list() == ["tea, green", 'the "jam"']
    assert data.report.read_as == "excel; sheet 'a', no header"
    hole = book(("a", [["user", "item"], ["ann", "tea"], ["bob", None]]))
    with pytest.raises(DataError, match="row 2"):
        tm.Interactions.read(io.BytesIO(hole))
    assert tm.Interactions.read(io.BytesIO(hole), nulls="drop").report.nulls == 1


def test_a_table_of_items() -> None:
    table = item_tables.read(io.BytesIO(book(("a", [["sku", "price"], [7, 2.5]]))), "sku")
    assert table.rows() == [(7, 2.5)]


def test_what_is_no_workbook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = book(("a", [["user", "item"], ["ann", "tea"]]))
    file = tmp_path / "log.xlsx"
    for content in (b"user,item\n1,2\n", b"PK", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"log\.xlsx is not a workbook that can be read"):
            tm.Interactions.read(file)
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged or cut short"):
        tm.Interactions.read(file)
    file.write_bytes(whole)
    monkeypatch.setenv("TRIMETRIC_MAX_UNPACKED", "3000")
    with pytest.raises(DataError, match="unpacks to more than 3,000 bytes"):
        tm.Interactions.read(file)
    monkeypatch.delenv("TRIMETRIC_MAX_UNPACKED")
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    with pytest.raises(MissingExtra, match=r"needs fastexcel; install.*trimetric\[files\]"):
        tm.Interactions.read(file)


LOG = pl.DataFrame(
    {
        "user": ["ann", "bob", "ann"],
        "item": [{"sku": 7}, {"sku": 8}, {"sku": 8}],
        "timestamp": [datetime(2020, 1, 1, tzinfo=UTC)] * 3,
    }
)


def avro(path: Path) -> None:
    LOG.with_columns(pl.col("timestamp").dt.replace_time_zone(None)).write_avro(path)


def columns_of_orc(path: Path) -> None:
    orc.write_table(LOG.to_arrow(), path)


@pytest.mark.parametrize(("write", "kind"), [(avro, "avro"), (columns_of_orc, "orc")])
@pytest.mark.parametrize("ending", [True, False])
def test_avro_and_orc(write: Callable, kind: str, ending: bool, tmp_path: Path) -> None:
    file = tmp_path / (f"log.{kind}" if ending else "log")
    write(file)
    data = tm.Interactions.read(file, item="item.sku")
    assert data.report.read_as == kind
    assert data.fingerprint == tm.Interactions(LOG, item="item.sku").fingerprint
    cut = tmp_path / f"cut.{kind}"
    cut.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match=rf"cut\.{kind} cannot be read as {kind} \(.*again"):
        tm.Interactions.read(cut)
    prepared = tm.prepare(str(file), tmp_path / "parts", partitions=1, item="item.sku")
    assert prepared.n_users == 2


def test_orc_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match="ORC needs pyarrow"):
        tm.Interactions.read(io.BytesIO(b"ORC and more"))
