"""What items are called, from a table of items."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from trimetric.data import files
from trimetric.data.ids import Vocabulary
from trimetric.errors import DataError


def titles(path: str | Path, ids: Vocabulary) -> dict[int | str, str]:
    """Return the titles of the items of a model.

    Parameters
    ----------
    path : str or Path
        A csv, tsv, jsonl or parquet file with columns item and title. Items that the model does
        not know are left out, and so are items without a title.
    ids : Vocabulary
        The model's items.

    Raises
    ------
    DataError
        The file cannot be read, or lacks a column.
    """

    def pick(columns: list[str]) -> dict[str, str]:
        missing = [name for name in ("item", "title") if name not in columns]
        if missing:
            raise DataError(
                f"{path} must have columns item and title; {missing[0]!r} is not among"
                f" {', '.join(columns)}"
            )
        return {"item": "item", "title": "title"}

    frame, _ = files.load(Path(path), pick)
    named = frame.filter(pl.col("title").is_not_null() & pl.col("item").is_not_null())
    items = named["item"].to_list()
    if named["item"].dtype == pl.String:
        items = ids.parse(items)
    rows = ids.encode(items)
    called = named["title"].cast(pl.String).to_list()
    return {
        one: title for one, row, title in zip(items, rows.tolist(), called, strict=True) if row >= 0
    }
