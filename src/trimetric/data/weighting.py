"""Weights of rows: a column of numbers, or a table of event types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trimetric.errors import DataError, ParameterError

if TYPE_CHECKING:
    from trimetric.data.rules import Rules

DROP = "drop"
EVENTS_COUNT = "has an event type that counts; give more of them a weight"
MOST_LISTED = 10
TINY, HUGE = (float(getattr(np.finfo(np.float32), name)) for name in ("smallest_subnormal", "max"))


def check_event_weights(table: Any) -> None:
    """Raise ParameterError unless `table` is {event type: weight of at least 0, or "drop"}."""
    if not isinstance(table, Mapping) or not table:
        raise ParameterError(
            "event_weights must be {event type: weight}, such as {'view': 1, 'buy': 5},"
            f" got {table!r}"
        )
    for event, weight in table.items():
        number = isinstance(weight, int | float | np.number) and not isinstance(weight, bool)
        good = number and (weight == 0 or TINY <= weight <= HUGE)
        if weight != DROP and not good:
            raise ParameterError(
                f"event_weights: the weight of {event!r} must be a finite number of at least 0, or"
                f" 'drop' to leave its rows out; got {weight!r}"
            )
    if all(weight in (0, DROP) for weight in table.values()):
        raise ParameterError("event_weights leaves every event type out; give one a weight above 0")


def weighted(
    frame: pl.DataFrame, rules: Rules, source: str, batch: bool = False
) -> tuple[pl.DataFrame, int, int]:
    """Give rows their weights (column weight, Float64) and leave out those that count nothing.

    Parameters
    ----------
    frame : polars.DataFrame
    rules : Rules
    source : str
        What to call the table in errors.
    batch : bool
        Whether the rows are some of the table's, of which none need count.

    Returns
    -------
    frame : polars.DataFrame
        Without the column of events.
    zero_weights, events : int
        The rows left out, for `ReadReport`.

    Raises
    ------
    DataError
        An event type has no weight, a weight is negative, or no row counts.
    """
    rows = frame.height
    if "event" in frame.columns:
        if rules.event_weights is None:
            raise DataError(
                f"{source}: column {rules.event!r} holds event types ({_counted(frame['event'])});"
                " say what each counts with event_weights={'view': 1, ...}"
            )
        frame = _by_event(frame, rules.event_weights, source, rules.event or "event")
        if not batch:
            _some(frame, rows, EVENTS_COUNT, source)
        return frame, 0, rows - frame.height
    if "weight" not in frame.columns:
        return frame, 0, 0
    weights = frame["weight"]
    if (weights < 0).any():
        negative = weights < 0
        raise DataError(
            f"{source}: column {rules.weight!r} is negative in {negative.sum():,} rows, the least"
            f" {float(np.min(weights.to_numpy())):g}; weights must be above 0, and rows of weight 0"
            " are left out"
        )
    positive = weights.cast(pl.Float32) > 0
    frame = frame if positive.all() else frame.filter(positive)
    if not batch:
        _some(frame, rows, f"has a weight above 0 in column {rules.weight!r}", source)
    return frame, rows - frame.height, 0


def _by_event(
    frame: pl.DataFrame, table: Mapping[Any, Any], source: str, column: str
) -> pl.DataFrame:
    weights = {str(event): 0.0 if w == DROP else float(w) for event, w in table.items()}
    found = frame["event"].replace_strict(weights, default=None, return_dtype=pl.Float64)
    if found.null_count():
        unknown = frame["event"].filter(found.is_null())
        raise DataError(
            f"{source}: event_weights has no weight for these of column {column!r}:"
            f" {_counted(unknown)}; give each a weight, or 0 to leave its rows out"
        )
    frame = frame.drop("event").with_columns(found.alias("weight"))
    return frame.filter(pl.col("weight") > 0)


def _some(frame: pl.DataFrame, rows: int, what: str, source: str) -> None:
    if not frame.height:
        raise DataError(f"{source}: none of {rows:,} rows {what}")


def _counted(events: pl.Series) -> str:
    """Name the distinct values and their rows, the most frequent first."""
    counts = events.value_counts(sort=True, name="rows")
    shown = [f"{event!r} {rows:,}" for event, rows in counts.head(MOST_LISTED).iter_rows()]
    return ", ".join(shown) + (", ..." if len(counts) > MOST_LISTED else "")
