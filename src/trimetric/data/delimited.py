"""Read text with separators; Polars parses, and here is what it needs to be told."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import polars as pl

from trimetric.data import sniff
from trimetric.data.encodings import as_utf8, check_utf8, unix_lines
from trimetric.data.form import Form
from trimetric.data.sources import few_descriptors
from trimetric.errors import DataError

Pick = Callable[[list[str]], dict[str, str]]
MOST_COLUMNS = 100_000
LONGEST_HEADER = 10 * 2**20  # bytes
MOST_BLANK_LINES = 1_000_000  # in a file with quotes, where they may be part of a field
_SEP_LINE = re.compile(rb"sep=(.)\r?\n", re.IGNORECASE)
_BLANK = re.compile(rb"\n(?>[ \t\r]*+\n)++")  # possessive: nothing is kept to go back to
_UNUSED = (b"\x1f", b"\x1e", b"\x1d", b"\x1c", b"\x02", b"\x03", b"\x04", b"\x05")
FAILURES = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
    ValueError,
    MemoryError,
)


def delimited(data: bytes, name: str, pick: Pick, form: Form) -> tuple[pl.DataFrame, Form, int]:
    """Read text with separators; every column is String.

    Parameters
    ----------
    data : bytes
        The whole file, unpacked.
    name : str
        What to call it in errors.
    pick : callable
        Given the columns that exist, returns {role: column}.
    form : Form
        What is known of the file; its format is csv or tsv.

    Returns
    -------
    frame : polars.DataFrame
        One column a role.
    form : Form
        With what was found out.
    blank : int
        Rows with separators and nothing else, which are left out.
    """
    data, encoding = as_utf8(data, name, form.encoding)
    data = unix_lines(data)
    if not data.strip():
        raise DataError(f"{name} is empty; it needs a line with the column names and rows below it")
    told = _SEP_LINE.match(data)
    if told:
        data = data[told.end() :]
    sign = form.separator or (told and told[1].decode("latin-1"))
    if not sign:
        preferred = "\t" if form.format == "tsv" else ","
        if form.header is False:
            sign = sniff.separator(data, preferred, lambda columns: False, name)
        else:
            sign = sniff.separator(data, preferred, lambda columns: _fits(pick, columns), name)
    form = form.found(separator=sign, encoding=encoding, header=form.header is not False)
    _check_header(data, name, sign)
    data, form, doubtful = _quoting(data, name, form)
    text = _plain(data, form, name)
    try:
        # Reading all columns, not only those picked, makes polars check the width of each row.
        frame = pl.read_csv(
            text.data,
            separator=text.separator,
            infer_schema=False,
            has_header=bool(form.header),
            quote_char=form.quote or None,
        )
    except FAILURES as error:
        raise DataError(f"{name}: {_why(text, data, name, form, error)}") from None
    names = _names(frame.columns, data, form)
    columns = _picked(pick, names, name, form)
    frame = frame.rename(dict(zip(frame.columns, _distinct(names), strict=True)))
    rows = frame.height
    frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))  # blank lines too
    blank = rows - frame.height and max(0, rows - frame.height - _blank_lines(data))
    frame = frame.select(pl.col(column).alias(role) for role, column in columns.items())
    frame = text.restored(frame)
    if doubtful:
        _refuse_quotes(frame, columns, name, form)
    return frame, form, blank


def first_line(error: BaseException) -> str:
    """Return what a library says of a failure, without the lines below."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _fits(pick: Pick, columns: list[str]) -> bool:
    try:
        pick(columns)
    except DataError:
        return False
    return True


def _check_header(data: bytes, name: str, sign: str) -> None:
    end = data.find(b"\n")
    length = len(data) if end < 0 else end
    columns = data.count(sign.encode(), 0, length) + 1
    if length > LONGEST_HEADER or columns > MOST_COLUMNS:
        raise DataError(
            f"{name}: the first line has {length:,} bytes and {columns:,} fields; at most"
            f" {LONGEST_HEADER:,} and {MOST_COLUMNS:,} are read. Is this a table?"
        )


def _quoting(data: bytes, name: str, form: Form) -> tuple[bytes, Form, bool]:
    """Decide what quotes mean; the last value tells whether values in quotes are in doubt."""
    quote, sign = form.quote, form.separator or ","
    if quote is False or (quote or '"').encode() not in data:
        return (
            _without_blank_lines(data),
            form if quote is not None else form.found(quote=None),
            False,
        )
    if form.escape is None and not sniff.well_quoted(data, sign, quote or '"'):
        line = sniff.first_odd_quote(data, sign, quote or '"')
        escaped = f"\\{quote or chr(34)}".encode()
        if escaped in data:
            raise DataError(
                f"{name}: line {line} has a quote that neither opens nor closes a field, after a"
                " backslash; say with escape='\\\\' that it is escaped, or with quote=False that"
                " quotes are part of the text"
            )
        if quote:
            return _requoted(data, sign, quote, name), form, False
        if not _even(data, sign):
            raise DataError(
                f"{name}: this is no table that can be read: line {line} has a quote that neither"
                " opens nor closes a field, and without regard to quotes rows differ in their"
                " number of fields; mend it, or say with quote='\"' that quotes inside a field are"
                " text"
            )
        return data, form.found(quote=False), True
    if data.count(b"\n\n") > MOST_BLANK_LINES:
        raise DataError(
            f"{name} has more than {MOST_BLANK_LINES:,} blank lines; remove them, or give"
            " quote=False if it has no quoted fields"
        )
    return data, form.found(quote=quote or '"'), False


def _requoted(data: bytes, sign: str, quote: str, name: str) -> bytes:
    """Double the quotes that stand inside fields without quotes, where they are text."""
    check_utf8(data, name)
    out = io.StringIO(newline="")
    rows = csv.reader(
        io.StringIO(data.decode(), newline=""), delimiter=sign, quotechar=quote, strict=True
    )
    writer = csv.writer(out, delimiter=sign, quotechar=quote, lineterminator="\n")
    try:
        writer.writerows(rows)
    except csv.Error as error:
        raise DataError(
            f"{name}: line {rows.line_num} has a quote that neither opens nor closes a field"
            f" ({error}); mend it, or say with quote=False that quotes are part of the text"
        ) from None
    return out.getvalue().encode()


def _even(data: bytes, sign: str) -> bool:
    """Tell whether all lines have the same number of fields, quotes aside."""
    counts = {line.count(sign.encode()) for line in data.split(b"\n") if line.strip()}
    return len(counts) == 1


def _refuse_quotes(frame: pl.DataFrame, columns: dict[str, str], name: str, form: Form) -> None:
    for role, column in columns.items():
        quoted = frame[role].str.contains(r'^".*"$') | frame[role].str.contains(r'^"[^"]*$')
        quoted = quoted.fill_null(False)
        if quoted.any():
            row = int(quoted.arg_max() or 0)
            raise DataError(
                f"{name}: column {column!r} holds {frame[role][row]!r} in row {row + 1}, while"
                " other quotes in the file do not enclose a field; say with quote=False that"
                " quotes are part of the text, or mend the file"
            )


class _Text:
    """Text that Polars can read: separators of one byte and no escapes, put back later."""

    def __init__(self, data: bytes, separator: str) -> None:
        self.data, self.separator = data, separator
        self.back: list[tuple[str, str]] = []
        self.escape: str | None = None

    def replace(self, old: bytes, new: bytes, meaning: str) -> None:
        if old in self.data:
            self.data = self.data.replace(old, new)
            self.back.append((new.decode(), meaning))

    def restored(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Put back what stood in the values."""
        if self.escape:
            frame = frame.with_columns(pl.all().replace(f"{self.escape}N", None))
            sign = re.escape(self.escape)
            frame = frame.with_columns(pl.all().str.replace_all(rf"{sign}(.)", "$1"))
        for new, meaning in self.back:
            frame = frame.with_columns(pl.all().str.replace_all(new, meaning, literal=True))
        return frame


def _plain(data: bytes, form: Form, name: str) -> _Text:
    sign = form.separator or ","
    if len(sign.encode()) == 1 and not form.escape:
        return _Text(data, sign)
    free = iter(byte for byte in _UNUSED if byte not in data)
    text = _Text(data, sign)
    try:
        if form.escape:
            text.escape = form.escape
            mark = form.escape.encode()
            signs = (form.escape, form.quote or '"', sign, "\n")
            for meant in dict.fromkeys(signs):
                text.replace(mark + meant.encode(), next(free), meant)
        if len(sign.encode()) > 1:
            text.separator = next(free).decode()
            text.replace(sign.encode(), text.separator.encode(), sign)
    except StopIteration:
        raise DataError(
            f"{name} holds control characters, with which neither separators of several characters"
            " nor escapes can be read; write it with separators of one character"
        ) from None
    return text


def _names(columns: list[str], data: bytes, form: Form) -> list[str]:
    """Return the names as they stand in the file, where Polars makes them distinct."""
    if not form.header:
        return [str(number) for number in range(1, len(columns) + 1)]
    if not any("_duplicated_" in column for column in columns):
        return columns
    header = data.lstrip(b"\n").split(b"\n", 1)[0].decode("utf-8", "replace").rstrip("\r")
    names = sniff.fields(header, form.separator or ",")
    return names if len(names) == len(columns) else columns


def _distinct(names: list[str]) -> list[str]:
    seen: set[str] = set()
    return [f"{n}\0{i}" if n in seen or seen.add(n) else n for i, n in enumerate(names)]  # type: ignore[func-returns-value]


def _picked(pick: Pick, names: list[str], source: str, form: Form) -> dict[str, str]:
    try:
        columns = pick(list(dict.fromkeys(names)))
    except DataError as error:
        if form.header and _looks_like_data(names):
            raise DataError(
                f"{error}. The first line looks like data; if it names no columns, give"
                " header=False and name them by position, as in user='1', item='2'; if each line"
                " is a user and then its items, give format='lists'"
            ) from None
        raise
    for column in columns.values():
        if names.count(column) > 1:
            raise DataError(
                f"{source} has {names.count(column)} columns called {column!r}; rename all but one"
            )
    return columns


def _looks_like_data(names: list[str]) -> bool:
    return sum(any(sign.isdigit() for sign in name) for name in names) * 2 >= len(names)


def _without_blank_lines(data: bytes) -> bytes:
    """Leave out blank lines, in memory that does not grow with how many stand together."""
    while b"\n\n" in data:
        data = data.replace(b"\n\n", b"\n")
    return _BLANK.sub(b"\n", data) if re.search(rb"\n[ \t\r]", data) else data


def _blank_lines(data: bytes) -> int:
    return sum(1 for _ in re.finditer(rb"(?m)^\r?\n", data)) if b"\n" in data else 0


def _why(text: _Text, data: bytes, name: str, form: Form, error: BaseException) -> str:
    """Describe what the reader could not read, with its row."""
    if few := few_descriptors():
        return few
    check_utf8(data, name)
    try:
        quoting: Any = csv.QUOTE_NONE if form.quote is False else csv.QUOTE_MINIMAL
        stream = io.StringIO(text.data.decode(), newline="")
        rows = csv.reader(
            stream, delimiter=text.separator, quoting=quoting, quotechar=form.quote or '"'
        )
        width = len(next(rows))
        for number, row in enumerate(rows, 1 if form.header else 2):
            if len(row) > width:
                first = "the header" if form.header else "the first"
                return f"row {number} has {len(row)} fields and {first} {width}"
    except (csv.Error, StopIteration):
        pass
    return f"this is no table that can be read ({first_line(error)})"
