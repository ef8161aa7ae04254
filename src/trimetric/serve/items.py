"""The items table: titles, pictures and whatever else people should see of an item."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trimetric.data import item_tables
from trimetric.errors import DataError
from trimetric.progress import tell

MOST_GROUPS = 64
TAKEN = ("user", "rank", "score", "popularity", "margin", "activity", "model", "version")


class ItemsTable:
    """Columns to show of each item, found by its id's text, so that 7 and "7" are one.

    Parameters
    ----------
    frame : DataFrame
        Column item, and those to show.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        keys = frame["item"].cast(pl.String).to_list()
        self._row = {key: row for row, key in enumerate(keys)}
        self._shown = frame.drop("item")
        self.columns = self._shown.columns
        self.has_pictures = "picture" in self.columns

    def __len__(self) -> int:
        return len(self._row)

    def ids(self) -> pl.Series:
        """Return the ids in the table, as text."""
        return pl.Series(list(self._row), dtype=pl.String)

    def of(self, item: int | str) -> dict[str, Any]:
        """Return what is known of an item, without empty cells."""
        row = self._row.get(str(item))
        if row is None:
            return {}
        return {name: v for name, v in self._shown.row(row, named=True).items() if v is not None}

    def column(self, name: str) -> pl.Series:
        """Return a column, by the table's rows."""
        return self._shown[name]

    def rows(self, items: pl.Series) -> np.ndarray:
        """Return the row of each item, int64, -1 where the table has none."""
        keys = items.cast(pl.String).to_list()
        return np.array([self._row.get(key, -1) for key in keys], dtype=np.int64)

    def titles_of(self, items: Iterable[Any]) -> dict[Any, str]:
        """Return the titles of items by id, without those that have none."""
        titles = {item: self.of(item).get("title") for item in items}
        return {item: title for item, title in titles.items() if title is not None}

    def titles(self, items: pl.Series) -> pl.Series | None:
        """Return the titles of items, null where there is none; None without such a column."""
        if "title" not in self.columns:
            return None
        rows = [self._row.get(key) for key in items.cast(pl.String).to_list()]
        return self._shown["title"].gather(pl.Series(rows, dtype=pl.Int64))

    def groups(self, items: pl.Series) -> dict[str, list[str | None]]:
        """Return the columns of text by which items fall into a few groups.

        Of several values, as a list or as `A|B`, an item has the first.
        """
        rows = pl.Series([self._row.get(key) for key in items.cast(pl.String)], dtype=pl.Int64)
        groups = {}
        for name in self.columns:
            column = self._shown[name]
            if name in ("title", "picture"):
                continue
            if column.dtype == pl.String:
                first = column.str.splitn("|", 2).struct.field("field_0")
            elif column.dtype == pl.List:
                first = column.list.first()
            else:
                continue
            if 2 <= first.n_unique() <= MOST_GROUPS:
                groups[name] = first.gather(rows).to_list()
        return groups


NO_ITEMS = ItemsTable(pl.DataFrame({"item": pl.Series([], dtype=pl.String)}))


def read(path: Path, id_column: str | None = None, say: Callable[[str], None] = tell) -> ItemsTable:
    """Read a table of items from a file: item (or id), title, picture (https), and others.

    Columns of bytes, durations or lists of lists are left out: an answer cannot show them.

    Parameters
    ----------
    path : Path
    id_column : str, optional
        The column of the ids, if it is called otherwise.
    say : callable
        Told which column the ids were found in.

    Raises
    ------
    DataError
        The file cannot be read, has no column of ids, repeats or lacks one, has a column that an
        answer has too, a picture that is no https address, or titles or pictures that are no text.
    """

    def choose(columns: list[str], item_column: str) -> dict[str, str]:
        others = [name for name in columns if name != item_column]
        taken = next((name for name in others if name in (*TAKEN, "item")), None)
        if taken:
            raise DataError(f"{path}: answers have a {taken!r} already; rename that column")
        return {name: name for name in others}

    frame = item_tables.read(path, id_column, choose, say)
    titles = item_tables.find_title_column(frame.columns)
    if titles is not None and titles != "title":
        say(f"{path}: the titles of items are in its column {titles!r}")
        frame = frame.with_columns(frame[titles].alias("title"))
    ids = frame["item"]
    if ids.n_unique() != len(ids):
        twice = ids.filter(ids.is_duplicated())[0]
        raise DataError(f"{path}: item {twice!r} is there twice; keep one row an item")
    plain = [_plain(column) for column in frame]
    return ItemsTable(_checked(pl.DataFrame([entry for entry in plain if entry is not None]), path))


def _plain(column: pl.Series) -> pl.Series | None:
    """Return a column as JSON has it, None if it has no such form.

    Numbers and booleans are as they are, lists are of text, and the rest is text.
    """
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    inner = column.dtype.inner if isinstance(column.dtype, pl.List) else column.dtype
    if inner.is_nested() or inner in (pl.Binary, pl.Duration, pl.Object):
        return None
    if isinstance(column.dtype, pl.List):
        return column.cast(pl.List(pl.String), strict=False)
    if column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.String):
        return column
    return column.cast(pl.String, strict=False)


def _checked(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    for name in ("title", "picture"):
        if name in frame.columns and isinstance(frame[name].dtype, pl.List):
            raise DataError(f"{path}: column {name!r} holds lists; give one text an item")
    if "title" in frame.columns:
        frame = frame.with_columns(pl.col("title").cast(pl.String))
    if "picture" in frame.columns:
        frame = frame.with_columns(pl.col("picture").cast(pl.String).replace("", None))
        odd = frame.filter(~pl.col("picture").str.starts_with("https://"))
        if len(odd):
            raise DataError(
                f"{path}: the picture of item {odd['item'][0]!r} is {odd['picture'][0]!r};"
                " pictures must be https:// addresses"
            )
    return frame
