"""Tables in memory, of any library, as Polars columns; the tables are not changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping, Sequence, Set
from datetime import UTC
from decimal import Decimal
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import polars as pl

from trimetric.data import nested
from trimetric.data.delimited import Pick, first_line
from trimetric.data.foreign_arrays import as_numpy, is_from, is_missing
from trimetric.data.ids import INT64_MAX, INT64_MIN
from trimetric.errors import DataError

_OF_TYPES = (
    *("could not import", "not supported", "not yet implemented", "does not support"),
    "precision must be",
)


def load(frame: Any, pick: Pick, source: str) -> pl.DataFrame:
    """Return the columns of `frame` that `pick` chooses, named by their roles.

    Parameters
    ----------
    frame : polars, pandas or pyarrow table, mapping of columns, list of mappings (one a row), or
        anything that speaks Arrow
        Left as it is.
    pick : callable
        Given the columns that exist, returns {role: column}.
    source : str
        What to call the table in errors.
    """
    if isinstance(frame, pl.LazyFrame | pl.DataFrame):
        picked = nested.pick_fields(frame.collect_schema(), pick, source)
        return frame.lazy().select(f.value.alias(role) for role, f in picked.items()).collect()
    if isinstance(frame, list) and frame and all(isinstance(row, Mapping) for row in frame):
        return of_rows(frame, pick, source)
    if isinstance(frame, Mapping) or (is_from(frame, "pandas") and hasattr(frame, "iterrows")):
        names = [str(name) for name in frame.keys()]  # noqa: SIM118 (a data frame has keys too)
        _refuse_twice(names, source)
        keys = dict(zip(names, frame.keys(), strict=True))
        paths = _paths({n: partial(_objects, frame[key]) for n, key in keys.items()}, source)
        columns = _picked(pick, list(paths), getattr(frame, "index", None))
        return table(
            {
                role: _values(frame[keys[paths[c][0]]], paths[c][1], f"{source}: {c!r}")
                for role, c in columns.items()
            }
        )
    if hasattr(frame, "__arrow_c_stream__"):
        return _of_arrow(frame, pick, source)
    if hasattr(frame, "__dataframe__"):
        return load(pl.from_dataframe(frame), pick, source)
    raise DataError(_refusal(frame, source))


def _of_arrow(frame: Any, pick: Pick, source: str) -> pl.DataFrame:
    """Return the columns that `pick` chooses of what speaks Arrow.

    Polars takes all columns or none: where one of a PyArrow table has a type that it lacks, it is
    left out, and only refused where it is chosen.
    """
    names = getattr(frame, "column_names", None) or getattr(frame, "columns", None) or []
    _refuse_twice([name for name in names if isinstance(name, str)], source)
    strange: dict[str, str] = {}
    try:
        converted = pl.DataFrame(frame)
    except pl.exceptions.SchemaError:
        raise DataError(_refusal(frame, source)) from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        strange = _strange(frame) if is_from(frame, "pyarrow") and names else {}
        if not strange:
            raise DataError(f"{source}: {unread(error)}") from None
        converted = pl.DataFrame(frame.select([name for name in names if name not in strange]))

    def among(columns: list[str]) -> dict[str, str]:
        chosen = pick([*columns, *strange])
        for column_ in chosen.values():
            if column_ in strange:
                raise DataError(
                    f"{source}: column {column_!r} is of the type {strange[column_]}, which Polars"
                    " does not read; give its values as text or numbers"
                )
        return chosen

    return load(converted, among, source)


def _strange(table: Any) -> dict[str, str]:
    """Return the columns of a PyArrow table that Polars has no type for, and their types."""
    found = {}
    for name in table.column_names:
        try:
            pl.DataFrame(table.select([name]))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            found[name] = str(table.schema.field(name).type)
    return found


def lacks_type(error: BaseException) -> bool:
    """Tell whether Polars failed by the type of a column, which it names in words alone."""
    return any(words in str(error) for words in _OF_TYPES)


def unread(error: BaseException) -> str:
    """Say that a column is of a type that Polars lacks."""
    return (
        f"a column is of a type that Polars does not read ({first_line(error)}); leave it out, or"
        " give its values as text or numbers"
    )


def of_rows(rows: Sequence[Mapping], pick: Pick, source: str) -> pl.DataFrame:
    """Return the columns that `pick` chooses, of rows that are mappings; see `load`."""
    keys = list(dict.fromkeys(chain.from_iterable(rows)))
    names = [str(key) for key in keys]
    _refuse_twice(names, source)
    of = {name: partial(_of_key, rows, key) for name, key in zip(names, keys, strict=True)}
    paths = _paths(of, source)
    return pl.DataFrame(
        {
            role: _values(list(of[paths[c][0]]()), paths[c][1], f"{source}: column {c!r}")
            for role, c in pick(list(paths)).items()
        }
    )


def _of_key(rows: Sequence[Mapping], key: Any) -> Iterator[Any]:
    return (row.get(key) for row in rows)


def _objects(values: Any) -> Iterable[Any]:
    """Return the values of a column that may hold objects or lists of them, else nothing."""
    if is_from(values, "pyarrow"):
        values = pl.Series(values)
    if isinstance(values, pl.Series):
        return values.to_list() if nested.has_fields(values.dtype) else ()
    if isinstance(values, list | tuple) or getattr(values, "dtype", np.dtype(int)).kind == "O":
        return values
    return ()


def _paths(
    columns: Mapping[str, Callable[[], Iterable[Any]]], source: str
) -> dict[str, tuple[str, tuple[Any, ...]]]:
    """Return {name: (column, keys that lead to its values)}."""
    found: dict[str, tuple[str, tuple[Any, ...]]] = {}
    for column_, values in columns.items():
        for name, keys in nested.paths(column_, values).items():
            if name in found:
                raise DataError(nested.twice(name, source))
            found[name] = column_, keys
    return found


def _values(values: Any, keys: tuple[Any, ...], where: str) -> pl.Series:
    return column(nested.along(_objects(values), keys, where) if keys else values, where)


def _picked(pick: Pick, names: list[str], index: Any) -> dict[str, str]:
    """Pick columns; where some are missing, name the levels of the index, which are not read."""
    try:
        return pick(names)
    except DataError as error:
        indexed = [str(level) for level in getattr(index, "names", ()) if level is not None]
        if not indexed:
            raise
        raise DataError(
            f"{error}; {', '.join(map(repr, indexed))} in its index: give table.reset_index()"
        ) from None


def _refusal(frame: Any, source: str) -> str:
    if isinstance(frame, np.ndarray):
        what = f"an array of shape {frame.shape}"
    elif isinstance(frame, list) and frame:
        what = f"a list of {' and '.join(sorted({type(row).__name__ for row in frame}))}"
    else:
        what = f"a {type(frame).__name__}"
    return (
        f"{source}: cannot read {what} as a table; give a polars, pandas or pyarrow table, a scipy"
        " sparse matrix, a tuple of arrays (users, items), a list of rows as tuples or mappings, or"
        " a path"
    )


def table(columns: dict[str, pl.Series]) -> pl.DataFrame:
    """Put columns side by side; their lengths must agree."""
    lengths = {name: len(series) for name, series in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {n:,}" for name, n in lengths.items())
        raise DataError(f"columns must be of one length, got {shown}")
    return pl.DataFrame(columns)


def column(values: Any, where: str) -> pl.Series:
    """Return one column of any make as a series of one type, null where a value is missing.

    Raises
    ------
    DataError
        If the values are of mixed or unusable types; names the first row that differs.
    """
    if isinstance(values, pl.Series):
        return values
    values = as_numpy(values)
    shape = getattr(values, "shape", None)
    if isinstance(shape, tuple) and len(shape) != 1:
        raise DataError(f"{where} must have one dimension, got shape {shape}")
    is_column = isinstance(values, Iterable) and not isinstance(values, str | bytes)
    if not is_column:
        raise DataError(f"{where} must be a column of values, got a {type(values).__name__}")
    if isinstance(values, Set) and not isinstance(values, KeysView):
        raise DataError(f"{where} is a set, which has no order; give a list")
    if is_from(values, "pandas"):
        missing = np.asarray(values.isna())
        if getattr(values.dtype, "kind", "O") in "iu":  # the nullable ones become floats or objects
            wide = np.uint64 if values.dtype.kind == "u" else np.int64
            return _masked(values.to_numpy(dtype=wide, na_value=0), missing)
        plain = _array_of(values)
        if plain.dtype.kind in "iufbM":
            return pl.Series(np.ascontiguousarray(plain))
        return _from_objects([None if m else v for v, m in zip(plain, missing, strict=True)], where)
    if is_from(values, "pyarrow"):
        return pl.Series(values)
    if isinstance(values, np.ma.MaskedArray):
        return _masked(np.asarray(values.data), np.ma.getmaskarray(values), where)
    array = values if isinstance(values, np.ndarray) else None
    if array is not None and array.dtype.kind in "iufbM":
        return pl.Series(np.ascontiguousarray(array))
    return _from_objects(array.tolist() if array is not None else list(values), where)


def _array_of(values: Any) -> np.ndarray:
    """Return a column of pandas as an array; of objects where it knows no type, as for views."""
    try:
        return values.to_numpy()
    except NotImplementedError:
        return values.to_numpy(dtype=object)


def _masked(values: np.ndarray, missing: np.ndarray, where: str = "") -> pl.Series:
    series = column(values, where)
    return series.set(pl.Series(missing), None) if missing.any() else series


def _refuse_twice(names: Sequence[str], source: str) -> None:
    twice = sorted({name for name in names if list(names).count(name) > 1}) if names else []
    if twice:
        raise DataError(nested.twice(twice[0], source))


def _from_objects(values: list, where: str) -> pl.Series:
    values = [None if is_missing(value) else value for value in values]
    kinds = [_kind(value) for value in values]
    present = [(row, kind) for row, kind in enumerate(kinds) if kind is not None]
    if not present:
        return pl.Series(values, dtype=pl.Null)
    first = present[0][1]
    names = {kind for _, kind in present}
    if "decimal" in names and names <= {"int", "float", "decimal"}:
        return _decimals(values, where)
    if names == {"int", "float"}:
        return _floats(values, where)
    for row, kind in present:
        if kind != first or kind == "other":
            fault = "mixes types" if kind != first else "cannot be used"
            raise DataError(
                f"{where} {fault}: row {row + 1} holds {str(values[row])[:80]!r}"
                f" ({type(values[row]).__name__}); use numbers alone, or text alone, for all rows"
            )
    if first == "int":
        _within_int64(values, where)
        return pl.Series([None if v is None else int(v) for v in values], dtype=pl.Int64)
    if first == "str":
        return _texts(values, where)
    if first == "time":
        return _times(values, where)
    if first == "list":
        return _lists(values, where)
    return pl.Series(values, strict=False)


def _decimals(values: list, where: str) -> pl.Series:
    """Decimals, such as those of a database, beside other numbers: whole ones are kept exactly."""
    whole = all(v is None or (math.isfinite(v) and v == int(v)) for v in values)
    if whole:
        return _from_objects([None if v is None else int(v) for v in values], where)
    return pl.Series([None if v is None else float(v) for v in values], dtype=pl.Float64)


def _texts(values: list, where: str) -> pl.Series:
    try:
        return pl.Series([None if v is None else str(v) for v in values], dtype=pl.String)
    except UnicodeEncodeError:
        for row, value in enumerate(values):
            if value is not None and _is_broken(str(value)):
                raise DataError(
                    f"{where} holds {value!r} in row {row + 1}, which is half of a surrogate pair"
                    " and no text; mend it"
                ) from None
        raise


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _times(values: list, where: str) -> pl.Series:
    """Times with zones become UTC, whatever their zones; they cannot stand beside others."""
    zoned = [v is not None and getattr(v, "tzinfo", None) is not None for v in values]
    if not any(zoned):
        return pl.Series(values, strict=False)
    for row, value in enumerate(values):
        if value is not None and not zoned[row]:
            raise DataError(
                f"{where} mixes times with and without a zone: row {row + 1} holds {value}; give"
                " all of them zones, or none"
            )
    utc = [None if v is None else v.astimezone(UTC).replace(tzinfo=None) for v in values]
    return pl.Series(utc, dtype=pl.Datetime("us"))


def _lists(values: list, where: str) -> pl.Series:
    """Lists, all of whose entries are of one type."""
    entries = column([entry for one in values if one is not None for entry in one], where)
    ends = np.cumsum([0 if one is None else len(one) for one in values]).tolist()
    cut = [
        None if one is None else entries[end - len(one) : end]
        for one, end in zip(values, ends, strict=True)
    ]
    return pl.Series(cut, dtype=pl.List(entries.dtype))


def _floats(values: list, where: str) -> pl.Series:
    """Ints among floats become floats, as NumPy would have them, if none loses a digit."""
    for row, value in enumerate(values):
        if value is not None and _kind(value) == "int" and int(float(value)) != value:
            raise DataError(
                f"{where} mixes types: row {row + 1} holds {value!r}, which does not fit the"
                " floats of other rows; use whole numbers or text for all rows"
            )
    return pl.Series([None if v is None else float(v) for v in values], dtype=pl.Float64)


def _within_int64(values: list, where: str) -> None:
    for row, value in enumerate(values):
        if value is not None and not INT64_MIN <= value <= INT64_MAX:
            raise DataError(
                f"{where} holds {value} in row {row + 1}, beyond 64 bits; give such ids as text"
            )


def _kind(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool | np.bool_):
        return "bool"
    if isinstance(value, int | np.integer) and not isinstance(value, np.timedelta64):
        return "int"
    if isinstance(value, float | np.floating):
        return "float"
    if isinstance(value, str):
        return "str"
    if isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim == 1):
        return "list"
    if isinstance(value, Decimal):
        return "decimal"
    return "time" if hasattr(value, "isoformat") else "other"
