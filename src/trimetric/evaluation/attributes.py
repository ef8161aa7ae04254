"""Columns of an items table as codes by item row."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trimetric.data import in_memory, item_tables
from trimetric.data.baskets import is_list
from trimetric.errors import DataError

if TYPE_CHECKING:
    from trimetric.data.ids import Vocabulary


def attributes(
    table: Any,
    ids: Vocabulary,
    columns: Sequence[str],
    *,
    item: str | None = None,
    separator: str | None = None,
) -> dict[str, np.ndarray]:
    """Return the values of items as codes.

    Parameters
    ----------
    table : path or frame
        One row for each item, read as by `item_tables.read`; of a repeated id the last row counts.
        Ids match by their text. Items that the vocabulary does not have are left out.
    ids : Vocabulary
    columns : sequence of str
        Columns of single values (text, numbers, booleans), or of lists.
    item : str, optional
        The column of the ids; by default item, id or item_id, or one whose name usually means it.
    separator : str, optional
        Parts the values of a text: "|" for "Comedy|Drama". Without it a text is one value.

    Returns
    -------
    dict of str to int32 (n_items, w)
        Codes of each item's distinct values, ascending, filled up with -1.

    Raises
    ------
    DataError
        The table cannot be read, a column is missing, or no item of it is known.
    """
    is_path = isinstance(table, str | os.PathLike)
    where = str(table) if is_path else "items"

    def choose(existing: list[str], _: str) -> dict[str, str]:
        for name in columns:
            if name not in existing:
                shown = ", ".join(map(repr, existing[:20]))
                raise DataError(f"{where} has no column {name!r}; there are {shown}")
        return {f"column {name}": name for name in columns}

    def pick(existing: list[str]) -> dict[str, str]:
        found = item_tables.find_id_column(existing, item, where)
        return {"item": found, **choose(existing, found)}

    frame = item_tables.read(table, item, choose) if is_path else in_memory.load(table, pick, where)
    rows = ids.encode(ids.parse(frame["item"].cast(pl.String).fill_null("").to_list()))
    if not (rows >= 0).any():
        raise DataError(f"{where}: none of its {len(rows):,} items is known; are these the ids?")
    known = frame.filter(pl.Series(rows >= 0))
    return {
        name: _codes(known[f"column {name}"], rows[rows >= 0], len(ids), separator)
        for name in columns
    }


def _codes(values: pl.Series, rows: np.ndarray, n_items: int, separator: str | None) -> np.ndarray:
    if values.dtype == pl.String and separator is not None:
        values = values.str.split(separator)
    last = {row: position for position, row in enumerate(rows.tolist())}
    if is_list(values.dtype):
        cells = [value if value is None else list(value) for value in values.to_list()]
    else:
        cells = [None if value is None else [value] for value in values.to_list()]
    texts = {
        row: sorted({_text(v) for v in cells[position] or () if _text(v)})
        for row, position in last.items()
    }
    names = {
        text: code for code, text in enumerate(sorted({t for ts in texts.values() for t in ts}))
    }
    out = np.full((n_items, max(map(len, texts.values())) or 1), -1, dtype=np.int32)
    for row, found in texts.items():
        out[row, : len(found)] = [names[text] for text in found]
    return out


def _text(value: Any) -> str:
    """Return a value as text; empty where it is missing."""
    missing = value is None or (isinstance(value, float) and value != value)
    return "" if missing else str(value).strip()
