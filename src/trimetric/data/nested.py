"""Fields of objects inside a row as columns, named with a dot: {"user": {"id": 5}} has user.id.

Objects in a list, such as {"lines": [{"sku": 7}, {"sku": 9}]}, make a column of lists, lines.sku.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from trimetric.data.baskets import is_list
from trimetric.data.foreign_arrays import is_missing
from trimetric.errors import DataError

DEEPEST = 8
"""Levels of objects inside objects that are looked into."""


class Field(NamedTuple):
    """A column of a table, or a field inside one.

    Attributes
    ----------
    column : str
        The column of the table.
    value : polars.Expr
        Its values, or those of the field.
    """

    column: str
    value: pl.Expr


def fields(schema: Mapping[str, pl.DataType], source: str) -> dict[str, Field]:
    """Return the columns of a table by name, with those of the fields in place of their objects.

    Raises
    ------
    DataError
        A column is called as a field is.
    """
    found: dict[str, Field] = {}
    for column, kind in schema.items():
        for name, value in _inside(column, pl.col(column), kind, DEEPEST):
            if name in found:
                raise DataError(twice(name, source))
            found[name] = Field(column, value)
    return found


def pick_fields(
    schema: Mapping[str, pl.DataType], pick: Callable[[list[str]], dict[str, str]], source: str
) -> dict[str, Field]:
    """Return {role: field} as `pick` chooses, {role: name}, among the names of `fields`."""
    existing = fields(schema, source)
    return {role: existing[name] for role, name in pick(list(existing)).items()}


def has_fields(kind: Any) -> bool:
    """Tell whether values of a Polars type are objects, or lists of objects."""
    objects = kind.inner if is_list(kind) else kind
    return isinstance(objects, pl.Struct) and bool(objects.fields)


def _inside(name: str, value: pl.Expr, kind: Any, deepest: int) -> Iterator[tuple[str, pl.Expr]]:
    if not (has_fields(kind) and deepest):
        yield name, value
        return
    objects = kind.inner if is_list(kind) else kind
    if isinstance(kind, pl.Array):
        value = value.arr.to_list()
    for field in objects.fields:
        inner, type_ = value.struct.field(field.name), field.dtype
        if objects is not kind:
            inner = value.list.eval(pl.element().struct.field(field.name))
            type_ = pl.List(field.dtype)
        yield from _inside(f"{name}.{field.name}", inner, type_, deepest - 1)


def paths(name: str, values: Callable[[], Iterable[Any]]) -> dict[str, tuple[Any, ...]]:
    """Return {name: keys that lead to it} of the fields in a column of Python objects.

    Parameters
    ----------
    name : str
        The column's, which is returned where there are no objects.
    values : callable
        Returns a value for each row; called again if the first that is there is an object.
    """
    return dict(_paths(name, (), values, DEEPEST))


def _paths(
    name: str, keys: tuple[Any, ...], values: Callable[[], Iterable[Any]], deepest: int
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    objects = list(_objects(values())) if deepest and _has_objects(values()) else []
    inner = dict.fromkeys(chain.from_iterable(objects))
    if not inner:
        yield name, keys
    for key in inner:
        of_key = [one.get(key) for one in objects]
        yield from _paths(f"{name}.{key}", (*keys, key), partial(iter, of_key), deepest - 1)


def _has_objects(values: Iterable[Any]) -> bool:
    """Tell by the first value that is there: mixed columns are refused as such."""
    for value in values:
        if isinstance(value, Mapping):
            return True
        if isinstance(value, list | np.ndarray):
            if len(value):
                return isinstance(value[0], Mapping)
        elif not is_missing(value):
            return False
    return False


def _objects(values: Iterable[Any]) -> Iterator[Mapping]:
    for value in values:
        if isinstance(value, Mapping):
            yield value
        elif isinstance(value, list | np.ndarray):
            yield from (one for one in value if isinstance(one, Mapping))


def along(values: Iterable[Any], keys: tuple[Any, ...], where: str) -> list[Any]:
    """Return what keys lead to in each row, a list where objects are in a list; None if nothing.

    Raises
    ------
    DataError
        A row holds something else where other rows have objects.
    """
    found = list(values)
    for key in keys:
        found = [_one(value, key, where, row) for row, value in enumerate(found, 1)]
    return found


def _one(value: Any, key: Any, where: str, row: int) -> Any:
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(value, list | np.ndarray):
        return [_one(one, key, where, row) for one in value]
    if is_missing(value):
        return None
    raise DataError(
        f"{where} mixes types: row {row} holds {str(value)[:80]!r} ({type(value).__name__}), where"
        " others hold objects; give objects in all rows"
    )


def twice(name: str, source: str) -> str:
    """Say that two columns have one name."""
    return f"{source} has several columns called {name!r}; rename all but one"
