"""Filters by the columns of the items table: which there are, and the rows that one leaves."""

from collections import Counter
from difflib import get_close_matches
from typing import Any

import numpy as np
import polars as pl

from trimetric.errors import ParameterError
from trimetric.serve.items import MOST_GROUPS, ItemsTable
from trimetric.serve.schemas import Span, Where

HIDDEN = ("title", "picture")


def columns(table: ItemsTable, rows: np.ndarray) -> list[dict[str, Any]]:
    """Describe the columns that items can be chosen by.

    Parameters
    ----------
    table : ItemsTable
    rows : int64 (n_items,)
        The row in the table of each of the model's items, -1 where it has none.

    Returns
    -------
    list of dict
        Of text: its values, most frequent first, if they are few. Of numbers: the span they are in.
    """
    there = rows[rows >= 0]
    found: list[dict[str, Any]] = []
    for name in table.columns:
        column = table.column(name).gather(there)
        if name in HIDDEN or column.null_count() == len(column):
            continue
        if column.dtype.is_numeric():
            low, high = column.min(), column.max()
            if low != high:
                found.append({"name": name, "span": {"min": low, "max": high}})
            continue
        counts = Counter(_values(column).explode().drop_nulls().to_list())
        if 2 <= len(counts) <= MOST_GROUPS:
            values = [{"value": value, "items": n} for value, n in counts.most_common()]
            found.append({"name": name, "values": values})
    return found


def chosen(table: ItemsTable, rows: np.ndarray, where: Where) -> np.ndarray:
    """Return the rows of the model's items that a filter leaves, int64 ascending.

    Parameters
    ----------
    table, rows
        As for `columns`.
    where : dict
        By column: values, of which an item must have one, or a `Span` that its number is in.

    Raises
    ------
    ParameterError
        A column is not there, is no number, or no item has any of the values.
    """
    left = np.flatnonzero(rows >= 0)
    for name, wanted in where.items():
        if name not in table.columns:
            there = ", ".join(column for column in table.columns if column not in HIDDEN)
            raise ParameterError(
                f"the items table has no column {name!r}; where takes {there}"
                if there
                else f"there are no columns to choose items by ({name!r}); start the server with"
                " --items FILE"
            )
        column = table.column(name)
        if isinstance(wanted, Span):
            one = _within(column, name, wanted)
        else:
            one = _having(column, name, wanted)
        left = left[one[rows[left]]]
    return left


def _within(column: pl.Series, name: str, span: Span) -> np.ndarray:
    if not column.dtype.is_numeric():
        raise ParameterError(f"column {name!r} holds no numbers; give a list of values for it")
    inside = pl.repeat(True, len(column), eager=True) & column.is_not_null()
    if span.min is not None:
        inside = inside & (column >= span.min)
    if span.max is not None:
        inside = inside & (column <= span.max)
    return inside.fill_null(False).to_numpy()


def _having(column: pl.Series, name: str, wanted: list[Any]) -> np.ndarray:
    texts = [_text(value) for value in wanted]
    if column.dtype.is_numeric():
        numbers = [_number(value, name) for value in wanted]
        same = column.cast(pl.Float64).is_in(numbers).fill_null(False)
        if not same.any():
            span = f"from {column.min()!s} to {column.max()!s}"
            raise ParameterError(f"no item has {name} {', '.join(texts)}; they go {span}")
        return same.to_numpy()
    values = _values(column)
    known = set(values.explode().drop_nulls().unique())
    if not known.intersection(texts):
        near = get_close_matches(texts[0], known, 3, 0.5) if texts else []
        hint = f"; near to it: {', '.join(near)}" if near else ""
        raise ParameterError(f"no item has {name} {', '.join(map(repr, texts))}{hint}")
    frame = pl.DataFrame({"value": values}).with_row_index("row").explode("value")
    mask = np.zeros(len(column), dtype=bool)
    mask[frame.filter(pl.col("value").is_in(texts))["row"].to_numpy()] = True
    return mask


def _values(column: pl.Series) -> pl.Series:
    """Return what each item has of a column: lists of text, also of `A|B`."""
    if isinstance(column.dtype, pl.List):
        return column
    if column.dtype == pl.Boolean:
        column = column.cast(pl.String)
    return column.str.split("|").list.eval(pl.element().str.strip_chars())


def _number(value: Any, name: str) -> float:
    try:
        if not isinstance(value, bool):
            return float(value)
    except ValueError:
        pass
    raise ParameterError(f"column {name!r} holds numbers, and {value!r} is none")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
