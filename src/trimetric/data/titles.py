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
        known. Columns of other names are found where those usually mean that. Ids match by their
        text. Items that the model does not know are left out, and so are items without a title.
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

    named_otherwise: list[str] = []

    def choose(columns: list[str], ids: str) -> dict[str, str]:
        others = [name for name in columns if name != ids]
        found = item_tables.find_title_column(others)
        if found is None:
            shown = ", ".join(map(repr, others[:20]))
            raise DataError(
                f"{path} has no column title; beside the ids, {ids!r}, there are {shown}; call that"
                " of the titles so"
            )
        named_otherwise[:] = [found] if found != "title" else []
        return {"title": found}

    frame = item_tables.read(path, id_column, choose, tell)
    if tell is not None and named_otherwise:
        tell(f"{path}: the titles of items are in its column {named_otherwise[0]!r}")
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
