"""Read tables from files; errors name the file and what is wrong with it."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from trimetric.data.in_memory import column
from trimetric.errors import DataError

FORMATS = {".csv": ",", ".tsv": "\t", ".jsonl": "", ".ndjson": "", ".parquet": "", ".pq": ""}
Pick = Callable[[list[str]], dict[str, str]]
FAILURES = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
    ValueError,
    MemoryError,
)


def load(path: Path, pick: Pick) -> tuple[pl.DataFrame, bool]:
    """Read the columns that `pick` selects, named by their roles.

    Parameters
    ----------
    path : Path
        A csv, tsv, jsonl (ndjson) or parquet file; the texts may end in .gz.
    pick : callable
        Given the columns that exist, returns {role: column}.

    Returns
    -------
    frame : polars.DataFrame
        One column a role, values as found.
    text : bool
        Whether the values are all text whose types are still to be found.

    Raises
    ------
    DataError
        If the file is missing, empty, damaged or of another kind.
    """
    suffix = kind(path)
    if suffix in (".parquet", ".pq"):
        return _parquet(path, pick), False
    data = contents(path)
    if not data.strip():
        raise DataError(f"{path} is empty; it needs a line with the column names and rows below it")
    if suffix in (".csv", ".tsv"):
        return delimited(data, path, pick, FORMATS[suffix]), True
    return json_lines(data, path, pick), False


def mark(path: Path, key: str) -> str | None:
    """Return an entry of the metadata of a Parquet file; None if there is none."""
    if path.suffix.lower() not in (".parquet", ".pq") or not path.is_file():
        return None
    try:
        with path.open("rb") as stream:
            return pl.read_parquet_metadata(stream).get(key)
    except FAILURES:
        return None  # what is wrong with the file is said when it is read


def kind(path: Path) -> str:
    """Return the extension that tells the format, after checking that the file can be one."""
    if path.is_dir():
        raise DataError(f"{path} is a folder; give one file in it")
    if not path.exists():
        raise DataError(_absent(path))
    inner = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    suffix = inner.suffix.lower()
    packed = inner is not path and suffix in (".parquet", ".pq")
    if suffix not in FORMATS or packed:
        raise DataError(
            f"{path}: cannot tell the format from the extension {''.join(path.suffixes[-2:])!r};"
            " use .csv, .tsv, .jsonl (each also with .gz) or .parquet"
        )
    return suffix


def contents(path: Path) -> bytes:
    """Return the bytes of the file, unpacked if its name ends in .gz."""
    try:
        if path.suffix.lower() != ".gz":
            return path.read_bytes()
        with gzip.open(path) as stream:
            return stream.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged or cut short ({error}); fetch it again") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def delimited(data: bytes, path: Path, pick: Pick, separator: str) -> pl.DataFrame:
    """Read delimited text with a line of column names; every column is String.

    Where that line has no `separator`, but a semicolon, tab or bar, these separate.
    """
    header = data.split(b"\n", 1)[0]
    if separator.encode() not in header:
        separator = next((other for other in ";\t|" if other.encode() in header), separator)
    try:
        # Reading all columns, not only those picked, makes polars check the width of each row.
        frame = pl.read_csv(data, separator=separator, infer_schema=False)
    except FAILURES as error:
        raise DataError(f"{path}: {_why(data, separator, error)}") from None
    columns = pick(frame.columns)
    frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))  # blank lines
    return frame.select(pl.col(name).alias(role) for role, name in columns.items())


def json_lines(data: bytes, path: Path, pick: Pick) -> pl.DataFrame:
    """Read one JSON object per line; numbers and text keep their types."""
    rows = [_object(line, path, n) for n, line in enumerate(data.splitlines(), 1) if line.strip()]
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = pick(names)
    return pl.DataFrame(
        {
            role: column([row.get(c) for row in rows], f"{path}: {c!r}")
            for role, c in columns.items()
        }
    )


def _object(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: line {number} is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise DataError(f"{path}: line {number} must be a JSON object, got {str(value)[:40]!r}")
    return value


def _parquet(path: Path, pick: Pick) -> pl.DataFrame:
    try:
        with path.open("rb") as stream:
            existing = list(pl.read_parquet_schema(stream))
    except FAILURES as error:
        raise DataError(_no_parquet(path, error)) from None
    columns = pick(existing)
    try:
        with path.open("rb") as stream:
            frame = pl.read_parquet(stream, columns=list(columns.values()))
    except FAILURES as error:
        raise DataError(_no_parquet(path, error)) from None
    return frame.select(pl.col(name).alias(role) for role, name in columns.items())


def _no_parquet(path: Path, error: BaseException) -> str:
    return f"{path} is not a whole parquet file ({_first_line(error)}); fetch or write it again"


def _why(data: bytes, separator: str, error: BaseException) -> str:
    """Describe what the reader could not read, with its row."""
    try:
        text = data.decode()
    except UnicodeDecodeError as bad:
        line = data.count(b"\n", 0, bad.start) + 1
        return f"line {line} is not UTF-8 text; is this a text file? If so, save it as UTF-8"
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        width = len(next(rows))
        for number, row in enumerate(rows, 1):
            if len(row) > width:
                return f"row {number} has {len(row)} fields and the header {width}"
    except (csv.Error, StopIteration):
        pass
    return f"this is no table that can be read ({_first_line(error)})"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _absent(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"{path} does not exist, nor does its folder"
    names = [entry.name for entry in folder.iterdir()]
    near = difflib.get_close_matches(path.name, names, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "check the name"
    return f"{path} does not exist; {hint}"
