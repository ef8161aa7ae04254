"""Read files that hold tables with types: Arrow, Avro and ORC."""

from __future__ import annotations

import io
from typing import Any

import polars as pl

from trimetric.data import in_memory
from trimetric.data.delimited import FAILURES, Pick, first_line
from trimetric.errors import DataError, MissingExtra

ARROW_FILE = b"ARROW1"
STARTS = {ARROW_FILE: "arrow", b"Obj\x01": "avro", b"ORC": "orc"}
"""How such files begin; a stream of Arrow has no such mark."""


def columnar(data: bytes, name: str, pick: Pick, format_: str) -> pl.DataFrame:
    """Read a whole file; values keep their types.

    Parameters
    ----------
    data : bytes
        Unpacked.
    name : str
        What to call it in errors.
    pick : callable
        Given the columns that exist, returns {role: column}.
    format_ : "arrow", "avro" or "orc"
        Arrow may be a file or a stream, as the data sets of Hugging Face are kept.

    Raises
    ------
    DataError
        It is cut short, or of another kind.
    MissingExtra
        It is ORC, and PyArrow is not installed.
    """
    read: Any = {"arrow": _arrow, "avro": pl.read_avro, "orc": _orc}[format_]
    try:
        frame = read(io.BytesIO(data))
    except FAILURES as error:
        if in_memory.lacks_type(error):
            raise DataError(f"{name}: {in_memory.unread(error)}") from None
        raise DataError(
            f"{name} cannot be read as {format_} ({first_line(error)}); write it again, or as"
            " parquet"
        ) from None
    return in_memory.load(frame, pick, name)


def _arrow(stream: io.BytesIO) -> pl.DataFrame:
    if stream.getbuffer()[: len(ARROW_FILE)] == ARROW_FILE:
        return pl.read_ipc(stream)
    return pl.read_ipc_stream(stream)


def _orc(stream: io.BytesIO) -> Any:
    try:
        from pyarrow import orc
    except ImportError:
        raise MissingExtra(
            "reading ORC needs pyarrow; install it with pip install 'trimetric[files]'"
        ) from None
    return pl.from_arrow(orc.read_table(stream))
