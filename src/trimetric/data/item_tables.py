"""Tables of items: their ids, and what else is known of them."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable
from typing import Any

import polars as pl

from trimetric.data import names, readers
from trimetric.data.clean import typed
from trimetric.data.forks import check_threads
from trimetric.data.form import Form
from trimetric.data.ids import Vocabulary
from trimetric.errors import DataError, warn

ID_COLUMNS = ("item", "id", "item_id")
_TITLES = (
    *("title", "itemtitle", "producttitle", "movietitle", "booktitle", "songtitle", "tracktitle"),
    *("name", "itemname", "productname", "moviename", "bookname", "songname", "trackname"),
    *("articletitle", "articlename", "artistname", "gamename", "businessname"),
)
_OPTION = re.compile(r"\b(format|separator|quote|escape|encoding|header|sheet)=")  # of logs alone


def read(
    path: Any,
    id_column: str | None = None,
    choose: Callable[[list[str], str], dict[str, str]] | None = None,
    tell: Callable[[str], None] | None = None,
) -> pl.DataFrame:
    """Read a table of items.

    Parameters
    ----------
    path : str, path or open file
        As `Interactions.read` takes it; or the name of a data set whose items are known, such as
        "bookshop", unless a file is called so (a folder does not count).
    id_column : str, optional
        The column of the ids; by default item, id or item_id, or one whose name usually means it.
    choose : callable, optional
        Given all columns and that of the ids, returns {name: column} of the others to read; by
        default all.
    tell : callable, optional
        Called with a line that names the column of the ids, where it is not called item and was
        not named.

    Returns
    -------
    polars.DataFrame
        Column item (Int64 or String), and the others; numbers in text files are numbers.

    Raises
    ------
    DataError
        The file cannot be read, lacks a column, or lacks an id.
    """
    check_threads()
    found: dict[str, str] = {}

    def pick(columns: list[str]) -> dict[str, str]:
        found["item"] = find_id_column(columns, id_column, str(path))
        others = [name for name in columns if name != found["item"]]
        chosen = {name: name for name in others}
        if choose is not None:
            chosen = choose(columns, found["item"])
        if "item" in chosen:
            raise DataError(
                f"{path}: column 'item' is not that of the ids, {found['item']!r}; rename it"
            )
        return {"item": found["item"], **chosen}

    known = _of_data_set(path)
    if known is None:
        table = _plain(path, pick)
        frame, text = table.frame, table.text
    else:
        chosen = pick(known.columns)
        frame, text = known.select(pl.col(name).alias(to) for to, name in chosen.items()), False
    if tell is not None and id_column is None and found["item"] != "item":
        tell(f"{path}: the ids of items are in its column {found['item']!r}")
    ids = typed(frame.select("item"), str(path), text, {"item": found["item"]})[0]["item"]
    if ids.null_count():
        row = int(ids.is_null().arg_true()[0]) + 1
        raise DataError(f"{path}: row {row} has no id; give each item its own")
    if text:
        frame = frame.with_columns(_numbers(frame[name]) for name in frame.columns[1:])
    return frame.with_columns(ids.alias("item"))


def _plain(path: Any, pick: Callable[[list[str]], dict[str, str]]) -> readers.Table:
    """Read a table whose form is found; where it is not, no option could tell."""
    try:
        return readers.read(path, pick, Form())
    except DataError as error:
        told = str(error)
        option = _OPTION.search(told)
        if option is None:
            raise
        end = max(told.rfind(mark, 0, option.start()) for mark in ("; ", ". "))
        raise DataError(
            f"{told[:end]}; save the table of items as csv in UTF-8, with commas and a line of"
            " column names, or as Parquet"
        ) from None


def match(items: Vocabulary, table: pl.Series, source: str) -> None:
    """Warn if a table knows none of a model's items, which then stay without titles.

    Parameters
    ----------
    items : Vocabulary
        The model's items.
    table : polars.Series
        The ids in the table; they match by their text.
    source : str
        What to call the table.
    """
    if not len(items) or not len(table):
        return
    known = items.values.cast(pl.String).is_in(table.cast(pl.String).implode()).sum()
    if not known:
        warn(
            f"{source}: it has none of the model's {len(items):,} items; the model has such as"
            f" {items.values[0]!r}, the table {table[0]!r}. Is another column that of"
            " the ids (id_column=)?"
        )


def _of_data_set(path: Any) -> pl.DataFrame | None:
    """Return the items of the data set that is named, None where a file or nothing is.

    Raises
    ------
    DataError
        It is a known data set whose items are not on this machine.
    """
    from trimetric.data import datasets

    name = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(name, str) or os.path.isfile(name):
        return None
    known = datasets.items(name)
    if known is not None or os.path.exists(name):
        return known
    near = difflib.get_close_matches(name, datasets.NAMES, n=1)
    if near and name not in datasets.NAMES and "." not in name:
        raise DataError(f"no file or data set is called {name!r}; did you mean {near[0]!r}?")
    if name in datasets.NAMES:
        where = " or ".join(str(folder) for folder in datasets.folders())
        raise DataError(
            f"the items of data set {name!r} are not on this machine; put {name}_items.parquet,"
            f" with columns item and title, into {where}, or give a file"
        )
    return known


def find_id_column(columns: list[str], wanted: str | None, source: str) -> str:
    """Return the column that holds the ids: the wanted one, or by its name.

    Raises
    ------
    DataError
        There is none, or more than one may be meant.
    """
    shown = ", ".join(map(repr, columns[:20]))
    if wanted is not None:
        if wanted not in columns:
            raise DataError(f"{source} has no column {wanted!r}; there are {shown}")
        return wanted
    named = next((name for name in ID_COLUMNS if name in columns), None)
    alike = [name for name in columns if names.plain(name) in map(names.plain, ID_COLUMNS)]
    if named is not None or len(alike) == 1:
        return named or alike[0]
    usual = alike or names.candidates("item", columns)
    if len(usual) == 1:
        return usual[0]
    if usual:
        may = " or ".join(map(repr, usual))
        raise DataError(f"{source}: the ids may be {may}; say which with id_column=")
    raise DataError(
        f"{source} has no column {' or '.join(ID_COLUMNS)}; there are {shown}; say with id_column="
        " which holds the ids"
    )


def find_title_column(columns: list[str]) -> str | None:
    """Return the column called title, or else the only one whose name usually means it."""
    usual = [name for name in columns if names.plain(name) in _TITLES]
    return "title" if "title" in columns else usual[0] if len(usual) == 1 else None


def _numbers(texts: pl.Series) -> pl.Series:
    """Return numbers that were read from text as numbers, if they come back the same."""
    if texts.null_count() == len(texts) or texts.name in ("title", "picture"):
        return texts
    whole = texts.cast(pl.Int64, strict=False)
    if whole.cast(pl.String).eq_missing(texts).all():
        return whole
    plain = texts.str.contains(r"^-?(0|[1-9]\d*)(\.\d+)?$").fill_null(True)
    return texts.cast(pl.Float64, strict=False) if plain.all() else texts
