"""Make the fields of `Interactions` from files, tables, arrays and matrices."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trimetric import keywords
from trimetric.data import form as forms
from trimetric.data import in_memory, readers, sources
from trimetric.data.clean import typed
from trimetric.data.forks import check_threads
from trimetric.data.form import Form
from trimetric.data.pairs import assemble
from trimetric.data.rules import ROLES, Rules
from trimetric.errors import DataError, ParameterError

WEIGHTS_MARK = "trimetric:weights"  # of a Parquet file: its column of weights
_OPTIONS = tuple(field.name for field in fields(Rules) if field.name != "drop_zeros")


def of_files(given: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the interactions in files."""
    check_threads()
    rules, form = for_files(options)
    files = sources.find(given)
    if rules.weight is None and rules.event_weights is None:
        rules = replace(rules, weight=readers.mark(files[0], WEIGHTS_MARK))
    columns: dict[str, str] = {}
    source = str(given) if isinstance(given, str | Path) else "the data"

    def pick(existing: list[str]) -> dict[str, str]:
        chosen = rules.columns(existing, source)
        columns.clear()
        columns.update(chosen)
        return chosen

    table = readers.read(files, pick, form)
    named = table.name if source == "the data" else source
    made = assemble(table.frame, rules, named, table.text, columns, table.form)
    notes = (*rules.recognised(columns), *made["report"].notes)
    report = replace(made["report"], blank=table.blank, read_as=table.form.described(), notes=notes)
    return {**made, "report": report, "name": table.name, "text": table.text}


def for_files(options: dict[str, Any]) -> tuple[Rules, Form]:
    """Sort the options of `Interactions.read` into rules and form."""
    if options.get("header") is False:
        options = options | {role: _position(options[role]) for role in ROLES if role in options}
    return parted(options, (*_OPTIONS, *forms.NAMES))


def of_table(frame: Any, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the interactions in a table in memory."""
    check_threads()
    rules, form = parted(options, (*_OPTIONS, *forms.OF_VALUES))
    columns: dict[str, str] = {}

    def pick(existing: list[str]) -> dict[str, str]:
        columns.update(rules.columns(existing, name, "Interactions.from_frame(table, {})"))
        return columns

    raw = in_memory.load(frame, pick, name)
    made = assemble(raw, rules, name, False, columns, form)
    notes = (*rules.recognised(columns), *made["report"].notes)
    return {**made, "report": replace(made["report"], notes=notes), "name": name}


def of_arrays(given: dict[str, Any], name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the interactions in arrays, {role: values}."""
    check_threads()
    given = {role: values for role, values in given.items() if values is not None}
    if "weight" in given:
        options = {"weight": "weight", **options}
    series = {role: in_memory.column(v, f"{name}: {role}") for role, v in given.items()}
    return of_table(in_memory.table(series), name, options)


def turned(rows: list[Any], name: str) -> list[tuple[Any, ...]]:
    """Return the columns of rows that are tuples: users, items, and maybe ratings and timestamps.

    Raises
    ------
    DataError
        A row is no tuple of as many values as the first, or there are not 2 to 4.
    """
    width = len(rows[0])
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, tuple) or len(row) != width:
            shown = f"{type(row).__name__} {row!r:.60}"
            raise DataError(f"{name}: row {number} is the {shown}, not a tuple of {width} values")
    if not 2 <= width <= 4:
        raise DataError(
            f"{name} have {width} values each, and not (user, item), (user, item, rating) or (user,"
            " item, rating, timestamp); for others give a list of mappings, or a frame"
        )
    return list(zip(*rows, strict=True))


def of_matrix(matrix: Any, user_ids: Any, item_ids: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the interactions in a scipy sparse matrix."""
    check_threads()
    if not hasattr(matrix, "tocsr"):
        raise DataError(
            f"matrix must be a sparse matrix of scipy, got a {type(matrix).__name__}; wrap a dense"
            " one in scipy.sparse.csr_array"
        )
    if not np.issubdtype(matrix.dtype, np.number) and matrix.dtype != bool:
        raise DataError(f"matrix must hold real numbers, got {matrix.dtype}")
    if np.issubdtype(matrix.dtype, np.complexfloating):
        raise DataError(f"matrix must hold real numbers, got {matrix.dtype}")
    summed = matrix.tocsr(copy=True)
    summed.sum_duplicates()
    entries = summed.tocoo()
    raw = in_memory.table(
        {
            "user": _axis(user_ids, matrix.shape[0], "user_ids").gather(entries.row),
            "item": _axis(item_ids, matrix.shape[1], "item_ids").gather(entries.col),
            "rating": pl.Series(np.asarray(entries.data, dtype=np.float64)),
        }
    )
    rules, form = parted(options, _OPTIONS)
    if rules.rating is False:
        raise ParameterError(
            "the values of a matrix tell which are explicit zeros; leave rating out"
        )
    columns = rules.columns(raw.columns, "matrix")
    raw = raw.select(pl.col(column).alias(role) for role, column in columns.items())
    made = assemble(raw, replace(rules, drop_zeros=True), "matrix", False, columns, form)
    return {**made, "name": "matrix"}


def parted(options: dict[str, Any], known: tuple[str, ...]) -> tuple[Rules, Form]:
    """Sort options into rules and form.

    Raises
    ------
    ParameterError
        An option is unknown, or has an impossible value.
    """
    unknown = sorted(set(options) - set(known))
    if unknown:
        files = " here: it is one of files" if unknown[0] in forms.NAMES else ""
        hint = keywords.meant(unknown[0], known)
        raise ParameterError(
            f"unknown option {unknown[0]!r}{files}; {hint}there are {', '.join(known)}"
        )
    of_form = {name: value for name, value in options.items() if name in forms.NAMES}
    if of_form.get("decimal", "") is None:
        del of_form["decimal"]
    return Rules(**{n: v for n, v in options.items() if n not in of_form and n in _OPTIONS}), Form(
        **of_form
    )


def _position(column: Any) -> Any:
    return str(column) if isinstance(column, int) and not isinstance(column, bool) else column


def _axis(ids: Any, size: int, name: str) -> pl.Series:
    if ids is None:
        return pl.Series(np.arange(size, dtype=np.int64))
    frame = pl.DataFrame({"user": in_memory.column(ids, name)})
    series = typed(frame, name, text=False, columns={"user": name})[0]["user"]
    if len(series) != size:
        raise DataError(f"{name} has {len(series):,} ids for an axis of {size:,}")
    if series.n_unique() != size:
        raise DataError(f"{name} repeats an id; each row and column needs its own")
    return series
