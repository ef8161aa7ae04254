"""Read a sheet of a workbook of Excel or OpenDocument, as the text of a csv file.

What its cells show as numbers and dates is text then, so that everything else is as with csv: names
of columns, ids such as 17850.0, blank rows, words for missing values.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from trimetric.data.delimited import FAILURES, Pick, delimited, first_line
from trimetric.data.form import Form
from trimetric.errors import DataError, MissingExtra


def workbook(data: bytes, name: str, pick: Pick, form: Form) -> tuple[pl.DataFrame, Form, int]:
    """Read a sheet; every column is String: see `delimited`.

    The sheet is `form.sheet`, or the only one that is visible and holds something.

    Raises
    ------
    DataError
        The workbook is damaged or needs a password, has no such sheet, or more than one that may
        be meant.
    MissingExtra
        fastexcel is not installed.
    """
    try:
        import fastexcel
    except ImportError:
        raise MissingExtra(
            f"{name} is a workbook, which needs fastexcel; install it with"
            " pip install 'trimetric[files]', or save the sheet as csv"
        ) from None
    try:
        book = fastexcel.read_excel(data)
        found = _named(book, form.sheet, name) if form.sheet else _only(book, name)
        sheet, cells = found.name, found.to_polars()
    except (fastexcel.FastExcelError, *FAILURES) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{name} is not a workbook that can be read ({first_line(error)}); save"
            " it again, without a password, or save its sheet as csv"
        ) from None
    text = cells.write_csv(include_header=False).encode()
    as_csv = form.found(format="csv", separator=",", quote='"', escape=None, encoding=None)
    frame, read_as, blank = delimited(text, f"{name}, sheet {sheet!r}", pick, as_csv)
    return frame, form.found(format="excel", sheet=sheet, header=read_as.header), blank


def _cells(book: Any, sheet: str) -> Any:
    return book.load_sheet(sheet, header_row=None, dtypes="string")


def _named(book: Any, sheet: str, name: str) -> Any:
    if sheet not in book.sheet_names:
        raise DataError(f"{name} has no sheet {sheet!r}; it has {_listed(book.sheet_names)}")
    return _cells(book, sheet)


def _only(book: Any, name: str) -> Any:
    sheets = [_cells(book, sheet) for sheet in book.sheet_names]
    filled = [sheet for sheet in sheets if sheet.visible == "visible" and sheet.width > 0]
    if not filled:
        raise DataError(f"{name} is empty: no visible sheet holds a row")
    if len(filled) > 1:
        raise DataError(
            f"{name} has {len(filled)} sheets with rows, {_listed([s.name for s in filled])}; name"
            " one with sheet=, or save it in a file of its own"
        )
    return filled[0]


def _listed(sheets: list[str]) -> str:
    shown = ", ".join(map(repr, sheets[:10]))
    return f"{shown}, ..." if len(sheets) > 10 else shown
