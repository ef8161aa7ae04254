"""Rows that hold a list of items, such as baskets and sessions: each item gets a row of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from trimetric.errors import DataError


class ByItem(NamedTuple):
    """A table with one item in each row.

    Attributes
    ----------
    frame : polars.DataFrame
        A missing list has a row without an item.
    source : str
        What to call the table in errors.
    notes : tuple of str
        What was done.
    empty : int
        Empty lists, which have no row.
    """

    frame: pl.DataFrame
    source: str
    notes: tuple[str, ...] = ()
    empty: int = 0


def is_list(kind: pl.DataType | None) -> bool:
    """Tell whether values of this type are lists, of any or of a fixed length."""
    return isinstance(kind, pl.List | pl.Array)


def by_item(frame: pl.DataFrame, source: str, columns: Mapping[str, str] | None = None) -> ByItem:
    """Give each listed item a row; what stands beside a list is repeated, or a list as long.

    Parameters
    ----------
    frame : polars.DataFrame
        Columns named by their roles. One without lists of items is returned as it is.
    source : str
        What to call the table in errors.
    columns : mapping, optional
        {role: column of the table}, for errors.

    Raises
    ------
    DataError
        Ratings or times beside a list are a list of another length.
    """
    if not is_list(frame.schema.get("item")):
        return ByItem(frame, source)
    name = (columns or {}).get("item", "item")
    lists = [role for role, kind in frame.schema.items() if is_list(kind)]
    frame = frame.with_columns(
        pl.col(role).arr.to_list() for role in lists if isinstance(frame.schema[role], pl.Array)
    )
    beside = [role for role in lists if role not in ("user", "item")]
    lengths = frame["item"].list.len()
    for role in beside:
        other = frame[role].list.len()
        apart = lengths.ne_missing(other)
        if apart.any():
            row = int(apart.arg_max() or 0)
            raise DataError(
                f"{source}: column {(columns or {}).get(role, role)!r} lists {other[row] or 0}"
                f" values in row {row + 1}, where column {name!r} lists {lengths[row] or 0}; give"
                " as many, or one value for all"
            )
    full = frame.filter((lengths > 0).fill_null(True))
    return ByItem(
        full.explode("item", *beside),
        f"{source}, with a row for each listed item",
        (f"column {name!r} holds lists: each item is a row",),
        frame.height - full.height,
    )
