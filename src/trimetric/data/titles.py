"""Titles of items, from a table of items."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from trimetric.data import readers
from trimetric.data.ids import Vocabulary
from trimetric.errors import DataError

ID_COLUMNS = ("item", "id", "item_id")


def titles(path: str | Path, ids: Vocabulary) -> dict[int | str, str]:
    """Return the titles of the items of a model.

    Parameters
    ----------
    path : str or Path
        A csv, tsv, jsonl or parquet file with columns item (or id) and title. Ids match by their
        text. Items that the model does not know are left out, and so are items without a title.
    ids : Vocabulary
        The model's items.

    Raises
    ------
    DataError
        The file cannot be read, or lacks a column.
    """

    def pick(columns: list[str]) -> dict[str, str]:
        id_column = next((name for name in ID_COLUMNS if name in columns), None)
        if id_column is None or "title" not in columns:
            missing = "item" if id_column is None else "title"
            raise DataError(
                f"{path} must have columns item and title; {missing!r} is not among"
                f" {', '.join(columns)}"
            )
        return {"item": id_column, "title": "title"}

    frame, _ = readers.load(Path(path), pick)
    named = frame.filter(pl.col("title").is_not_null() & pl.col("item").is_not_null())
    items = ids.parse(named["item"].cast(pl.String).to_list())
    rows = ids.encode(items)
    texts = named["title"].cast(pl.String).to_list()
    return {
        item: title
        for item, row, title in zip(items, rows.tolist(), texts, strict=True)
        if row >= 0
    }
