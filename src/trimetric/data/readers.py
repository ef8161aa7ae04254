"""Read tables from files; errors name the file and what is wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from trimetric.data import columnar, in_memory, sources, unpack
from trimetric.data.baskets import is_list
from trimetric.data.delimited import FAILURES, Pick, delimited, first_line
from trimetric.data.encodings import BOMS, as_utf8
from trimetric.data.form import Form
from trimetric.data.json_rows import json_array, json_lines
from trimetric.data.lines_of_items import lines_of_items
from trimetric.data.nested import pick_fields
from trimetric.data.sources import Source, few_descriptors
from trimetric.data.workbook import workbook
from trimetric.errors import DataError

LISTS_OF = "lists of "  # before the kind of their entries
_FIRST = re.compile(rb"[\s\0]*+(.)", re.DOTALL)  # UTF-16 has zeros between


@dataclass(frozen=True)
class Table:
    """Columns read from files.

    Attributes
    ----------
    frame : polars.DataFrame
        One column a role, values as found.
    text : bool
        Whether the values are all text whose types are still to be found.
    form : Form
        The form of the files, as given and as found out.
    name : str
        What to call the data.
    blank : int
        Rows that held nothing, which are left out.
    """

    frame: pl.DataFrame
    text: bool
    form: Form
    name: str
    blank: int = 0


def load(given: Any, pick: Pick) -> tuple[pl.DataFrame, bool]:
    """Read the columns that `pick` selects; return them, and whether they are all text."""
    table = read(given, pick, Form())
    return table.frame, table.text


def read(given: Any, pick: Pick, form: Form) -> Table:
    """Read the columns that `pick` selects, named by their roles.

    Parameters
    ----------
    given : path, file object, URI, or a list of them
        As `sources.find` takes them; several files are read one below the other.
    pick : callable
        Given the columns that exist, returns {role: column}.
    form : Form
        What is known of how the files are written.

    Raises
    ------
    DataError
        If a file is missing, empty, damaged or of another kind, or its form has to be said.
    """
    files = sources.find(given)
    tables = [one(file, pick, form) for file in files]
    name = Path(files[0].name).name if files[0].path else files[0].name
    if len(tables) == 1:
        return Table(*tables[0][:3], name, tables[0][3])
    different = [t[2].format for t in tables if t[2].format != tables[0][2].format]
    if different:
        raise DataError(
            f"{files[0].name} and others are {tables[0][2].format} and {different[0]}; read files"
            " of one format at a time"
        )
    kinds = [[kind_of(series) for series in table[0]] for table in tables]
    try:
        if any(kind != kinds[0] for kind in kinds):
            raise ValueError("text and other values do not mix")
        frame = pl.concat([table[0] for table in tables], how="vertical_relaxed")
    except FAILURES as error:
        columns = [dict(table[0].schema) for table in tables]
        at = next((n for n, c in enumerate(columns) if c != columns[0]), 0)
        raise DataError(
            f"{files[at].name} does not fit {files[0].name}: {columns[at]} and {columns[0]}"
            f" ({first_line(error)})"
        ) from None
    blank = sum(table[3] for table in tables)
    return Table(frame, tables[0][1], tables[0][2], f"{name} and {len(files) - 1} more", blank)


def kind_of(series: pl.Series) -> str:
    """Return what values are, as files that are read together must agree on."""
    if is_list(series.dtype):
        return LISTS_OF + kind_of(series[:0].explode())
    if series.dtype in (pl.String, pl.Categorical, pl.Enum):
        return "text"
    return "number" if series.dtype.is_numeric() else str(series.dtype.base_type())


def mark(file: Source, key: str) -> str | None:
    """Return an entry of the metadata of a Parquet file; None if there is none."""
    if sources.ENDINGS.get(file.endings[0] if file.endings else "") != "parquet":
        return None
    try:
        with file.open() as stream:
            return pl.read_parquet_metadata(stream).get(key)
    except FAILURES:
        return None  # what is wrong with the file is said when it is read


def kind(file: Source, form: Form) -> str:
    """Return the format of a file: the one given, or by its name, or by how it starts."""
    if form.format:
        return form.format
    ends = [end for end in file.endings if end not in unpack.ENDINGS]
    if ends and ends[0] in sources.ENDINGS:
        return sources.ENDINGS[ends[0]]
    if ends and file.path is not None and not _is_pipe(file.path):
        shown = "".join(reversed(file.endings[:2]))
        raise DataError(
            f"{file.name}: cannot tell the format from the extension {shown!r}; use .csv, .tsv,"
            " .jsonl, .json (each also packed, as .gz, .bz2, .zst or .zip), .parquet, .arrow,"
            " .avro, .orc or .xlsx, or name it with format="
        )
    return ""


def _is_pipe(path: Path) -> bool:
    return path.is_fifo()


def contents(path: Path) -> bytes:
    """Return the bytes of a file, unpacked if its name ends in .gz or it is packed otherwise."""
    return Source(str(path), path).read()


def one(file: Source, pick: Pick, form: Form) -> tuple[pl.DataFrame, bool, Form, int]:
    """Read all of a file: its columns, whether they are text, its form, and blank rows."""
    format_ = kind(file, form)
    choose, constant = with_folders(pick, file)
    if format_ == "parquet" and not any(end in unpack.ENDINGS for end in file.endings):
        frame = _parquet(file, choose)
        return with_constants(frame, constant), False, form.found(format="parquet"), 0
    data = file.read()
    format_ = format_ or _by_content(data)
    if format_ == "parquet":
        frame = _parquet(Source(file.name, content=data), choose)
        return with_constants(frame, constant), False, form.found(format="parquet"), 0
    if not data.strip():
        raise DataError(f"{file.name} is empty; it needs rows, and csv a line of column names")
    if form.sheet is not None and format_ != "excel":
        raise DataError(f"{file.name} is {format_}, which has no sheets; leave out sheet=")
    if format_ == "excel":
        frame, found, blank = workbook(data, file.name, choose, form)
        return with_constants(frame, constant), True, found, blank
    if format_ in columnar.STARTS.values():
        frame = columnar.columnar(data, file.name, choose, format_)
        return with_constants(frame, constant), False, form.found(format=format_), 0
    if format_ == "lists":
        frame, found = lines_of_items(data, file.name, choose, form)
        return with_constants(frame, constant), True, found, 0
    if format_ in ("jsonl", "json"):
        data, encoding = as_utf8(data, file.name, form.encoding)
        array = data.lstrip()[:1] == b"["
        parse = json_array if array else json_lines
        found = form.found(format="json" if array else "jsonl", encoding=encoding)
        return with_constants(parse(data, file.name, choose), constant), False, found, 0
    frame, found, blank = delimited(data, file.name, choose, form.found(format=format_))
    return with_constants(frame, constant), True, found, blank


def _by_content(data: bytes) -> str:
    mark = next((len(bom) for bom, _ in BOMS if data.startswith(bom)), 0)
    if data.startswith(b"PAR1"):
        return "parquet"
    for start, format_ in columnar.STARTS.items():
        if data.startswith(start):
            return format_
    if data.startswith(unpack.WORKBOOKS):
        return "excel"
    first = _FIRST.match(data, mark)
    return "jsonl" if first and first[1] in (b"{", b"[") else "csv"


def with_folders(pick: Pick, file: Source) -> tuple[Pick, dict[str, str]]:
    """Let `pick` also see the columns that the names of folders hold; they become constants."""
    constant: dict[str, str] = {}

    def choose(columns: list[str]) -> dict[str, str]:
        more = [name for name in file.columns if name not in columns]
        chosen = pick([*columns, *more])
        constant.clear()
        constant.update({role: file.columns[c] for role, c in chosen.items() if c in more})
        return {role: column for role, column in chosen.items() if role not in constant}

    return choose, constant


def with_constants(frame: pl.DataFrame, constant: dict[str, str]) -> pl.DataFrame:
    """Add the columns that the names of folders hold, {role: value}."""
    if not constant:
        return frame
    return frame.with_columns(pl.lit(v, dtype=pl.String).alias(k) for k, v in constant.items())


def _parquet(file: Source, pick: Pick) -> pl.DataFrame:
    try:
        with file.open() as stream:
            schema = pl.read_parquet_schema(stream)
    except FAILURES as error:
        raise no_parquet(file, error) from None
    picked = pick_fields(schema, pick, file.name)
    try:
        with file.open() as stream:
            columns = list(dict.fromkeys(field.column for field in picked.values()))
            frame = pl.read_parquet(stream, columns=columns)
    except FAILURES as error:
        raise no_parquet(file, error) from None
    return frame.select(field.value.alias(role) for role, field in picked.items())


def no_parquet(file: Source, error: BaseException) -> DataError:
    """Say what is wrong with a Parquet file."""
    if isinstance(error, DataError):
        return error
    if few := few_descriptors():
        return DataError(f"{file.name} cannot be read: {few}")
    if in_memory.lacks_type(error):
        return DataError(f"{file.name}: {in_memory.unread(error)}")
    return DataError(
        f"{file.name} is not a whole parquet file ({first_line(error)}); fetch or write it again"
    )
