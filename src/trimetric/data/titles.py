"""Titles of items, from a table of items."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from trimetric.data import item_tables
from trimetric.data.ids import Vocabulary
from trimetric.errors import DataError


def titles(
    path: str | Path,
    ids: Vocabulary,
    id_column: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> dict[int | str, str]:
    """Return the titles of the items of a model.

    Parameters
    ----------
    path : str or Path
        A file with columns item (or id) and title, or the name of a data set whose titles are
        known. Ids match by their text. Items that the model does not know are left out, and so are
        items without a title.
    ids : Vocabulary
        The model's items.
    id_column : str, optional
        The column of the ids, if it is called otherwise.
    tell : callable, optional
        As for `item_tables.read`.

    Raises
    ------
    DataError
        The file cannot be read, or lacks a column.

    Warns
    -----
    UserWarning
        The table has none of the items.
    """

    def choose(columns: list[str], _: str) -> dict[str, str]:
        if "title" not in columns:
            raise DataError(
                f"{path} must have columns item and title; 'title' is not among"
                f" {', '.join(columns)}"
            )
        return {"title": "title"}

    frame = item_tables.read(path, id_column, choose, tell)
    item_tables.match(ids, frame["item"], str(path))
    named = frame.filter(pl.col("title").is_not_null())
    items = ids.parse(named["item"].cast(pl.String).to_list())
    rows = ids.encode(items)
    texts = named["title"].cast(pl.String).to_list()
    return {
        item: title
        for item, row, title in zip(items, rows.tolist(), texts, strict=True)
        if row >= 0
    }
