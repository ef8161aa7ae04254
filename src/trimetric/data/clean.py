"""Clean the columns of a table: which values are accepted, dropped or refused."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from trimetric.data.ids import EXACT_FLOAT
from trimetric.data.repeats import RULES, WORDS, Rule
from trimetric.data.weighting import check_event_weights
from trimetric.errors import DataError, ParameterError

ROLES = ("user", "item", "rating", "timestamp", "split", "weight", "event")
Column = str | Literal[False] | None


@dataclass(frozen=True)
class Rules:
    """How to read a table: which columns, and what to do with imperfect rows.

    Attributes
    ----------
    user, item : str
        The columns of the ids.
    rating, timestamp, split : str, None or False
        A column that must exist; None takes the column of that name if there is one; False
        ignores it.
    weight : str, None or False
        A column of numbers: how much each row counts. It is only taken when it is named here, and
        may be the column of the ratings.
    event : str, None or False
        A column of event types, which `event_weights` turns into weights.
    event_weights : mapping, optional
        {event type: weight above 0}; 0 or "drop" leaves the rows of that type out. The column is
        then "event" unless `event` names another.
    min_rating : float or None
        Keep only interactions rated at least this.
    nulls : "error" or "drop"
        What to do with rows that lack a value or whose rating is not finite.
    duplicates : "last" or "error"
        Whether a (user, item) pair may be repeated.
    repeats : "latest", "first", "sum", "max" or None
        How the rows of a repeated pair become one: the latest by timestamp, or without timestamps
        the last row; the first; or the latest with the sum or the largest of the weights. Without
        weights, "sum" counts the rows. None is "sum" with weights and "latest" without.
    drop_zeros : bool
        Whether a rating of 0 means that there was no interaction.
    """

    user: str = "user"
    item: str = "item"
    rating: Column = None
    timestamp: Column = None
    split: Column = None
    weight: Column = None
    event: Column = None
    event_weights: Mapping[str, float | str] | None = None
    min_rating: float | None = None
    nulls: Literal["error", "drop"] = "error"
    duplicates: Literal["last", "error"] = "last"
    repeats: Rule | None = None
    drop_zeros: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (("nulls", ("error", "drop")), ("duplicates", ("last", "error"))):
            if getattr(self, name) not in allowed:
                raise ParameterError(
                    f"{name} must be one of {allowed}, got {getattr(self, name)!r}"
                )
        number = isinstance(self.min_rating, int | float | np.number)
        if self.min_rating is not None and not (number and np.isfinite(self.min_rating)):
            raise ParameterError(f"min_rating must be a finite number, got {self.min_rating!r}")
        if self.repeats is not None and self.repeats not in RULES:
            raise ParameterError(f"repeats must be one of {RULES} or None, got {self.repeats!r}")
        if self.event_weights is not None:
            check_event_weights(self.event_weights)
            if self.weight not in (None, False):
                raise ParameterError("give weight or event_weights, not both")
            if self.event is False:
                raise ParameterError("event_weights needs the event column; leave event=False out")

    def merging(self, weights: bool) -> Rule:
        """Return how to merge repeats in data with or without weights."""
        if self.repeats == "max" and not weights:
            raise ParameterError("repeats='max' needs weights; give weight= or event_weights=")
        return self.repeats or ("sum" if weights else "latest")

    def columns(self, existing: Sequence[str], source: str) -> dict[str, str]:
        """Return {role: column} for the roles to read from a table that has these columns.

        Raises
        ------
        DataError
            If a column that must exist is missing, or one column has two roles.
        """
        columns: dict[str, str] = {}
        for role in ROLES:
            column = getattr(self, role)
            wanted = self.event_weights is not None if role == "event" else role != "weight"
            if column is False or (column is None and not (wanted and role in existing)):
                if role == "event" and self.event_weights is not None:
                    raise DataError(_missing(role, role, existing, source))
                continue
            column = role if column is None or column is True else column
            if column not in existing:
                raise DataError(_missing(role, column, existing, source))
            if column in (c for r, c in columns.items() if (r, role) != ("rating", "weight")):
                raise DataError(f"{source}: column {column!r} is given two roles; name another one")
            columns[role] = column
        if self.min_rating is not None and "rating" not in columns:
            raise DataError(
                f"{source}: min_rating={self.min_rating:g} needs a rating column and there is none;"
                f" columns: {_listed(existing)}; name it with rating=, or leave min_rating out"
            )
        return columns


@dataclass(frozen=True)
class ReadReport:
    """How many rows were read, and how many of them were left out and why.

    Attributes
    ----------
    rows_read : int
        Rows of the table, header not counted.
    nulls : int
        Rows without a value, or with a rating that is not finite.
    zeros : int
        Explicit zeros of a sparse matrix.
    duplicates : int
        Repeats of a (user, item) pair.
    below_min_rating : int
        Rows rated below `min_rating`.
    below_core : int
        Interactions left out by `k_core`.
    zero_weights : int
        Rows of weight 0.
    events : int
        Rows of event types that `event_weights` leaves out.
    repeats : "latest", "first", "sum" or "max"
        How repeated pairs were merged.
    """

    rows_read: int
    nulls: int = 0
    zeros: int = 0
    duplicates: int = 0
    below_min_rating: int = 0
    below_core: int = 0
    zero_weights: int = 0
    events: int = 0
    repeats: Rule = "latest"

    def lines(self) -> list[str]:
        """Return a readable line for each count that is not zero."""
        reasons = {
            "nulls": "without a value, left out",
            "zeros": "explicit zeros, left out",
            "below_min_rating": "below the least rating, left out",
            "zero_weights": "of weight 0, left out",
            "events": "of event types that do not count, left out",
            "duplicates": WORDS[self.repeats],
            "below_core": "of users or items with too few, left out",
        }
        lines = [f"{self.rows_read:,} rows read"]
        return lines + [
            f"{getattr(self, name):,} {text}"
            for name, text in reasons.items()
            if getattr(self, name)
        ]


def typed(raw: pl.DataFrame, source: str, text: bool) -> pl.DataFrame:
    """Give the role-named columns of `raw` their dtypes; values of the wrong kind raise.

    Returns user and item (Int64 or String), rating and weight (Float64), timestamp (Int64), split
    and event (String), those that `raw` has, with null where a value is missing. With `text`, all
    columns are String as found in a text file, and an id column becomes Int64 only if every id
    comes back the same ("007" does not).
    """
    done = {}
    for series in raw:
        where = f"{source}: column {series.name!r}"
        if series.name in ("user", "item"):
            done[series.name] = _ids(series, where, text)
        elif series.name in ("rating", "weight"):
            done[series.name] = _numbers(series, where)
        elif series.name == "timestamp":
            done[series.name] = _seconds(series, where)
        else:
            done[series.name] = series.cast(pl.String)
    return pl.DataFrame(done)


def complete(frame: pl.DataFrame, rules: Rules, source: str) -> tuple[pl.DataFrame, int]:
    """Refuse or drop the rows that lack a value or whose rating is not finite; count the dropped.

    Ratings must also survive as float32. Without `min_rating`, negative ratings are refused: it
    would be a guess that they count as likes.
    """
    missing = {
        name: ~frame[name].cast(pl.Float32).is_finite().fill_null(False)
        if name in ("rating", "weight")
        else frame[name].is_null()
        for name in frame.columns
    }
    for name, mask in missing.items():
        if rules.nulls == "error" and mask.any():
            row = int(mask.arg_max() or 0)
            value = frame[name][row]
            what = "no value" if value is None else f"{value}, not a finite number,"
            raise DataError(
                f"{source}: column {name!r} holds {what} in row {row + 1}"
                f" ({mask.sum():,} such rows); mend them, or give nulls='drop' to leave them out"
            )
    bad = pl.Series(np.zeros(frame.height, dtype=bool))
    for mask in missing.values():
        bad = bad | mask
    kept = frame.filter(~bad) if bad.any() else frame
    if "rating" in kept.columns and rules.min_rating is None and (kept["rating"] < 0).any():
        below = (frame["rating"] < 0).fill_null(False) & ~bad
        row = int(below.arg_max() or 0)
        raise DataError(
            f"{source}: column 'rating' is negative in {below.sum():,} rows, first"
            f" {frame['rating'][row]:g} in row {row + 1};"
            " give min_rating to say which ratings count as a like"
        )
    return kept, frame.height - kept.height


def _ids(series: pl.Series, where: str, text: bool) -> pl.Series:
    if series.dtype == pl.Null:
        return series.cast(pl.String)
    if series.dtype in (pl.Categorical, pl.Enum):
        return series.cast(pl.String)
    if series.dtype == pl.String:
        ints = series.cast(pl.Int64, strict=False) if text else None
        exact = ints is not None and (ints.cast(pl.String).eq_missing(series)).all()
        return ints if exact and ints is not None else series
    if series.dtype.is_integer():
        ints = series.cast(pl.Int64, strict=False)
        _refuse(series, ints.is_null() & series.is_not_null(), where, "give ids above 2^63 as text")
        return ints
    if series.dtype.is_float():
        floats = series.cast(pl.Float64).fill_nan(None)
        whole = (floats.abs() <= EXACT_FLOAT) & (floats.floor() == floats)
        remedy = "ids must be whole numbers within 2^53 or text"
        _refuse(series, ~whole.fill_null(True), where, remedy)
        return floats.cast(pl.Int64)
    raise DataError(f"{where} holds {series.dtype}; ids must be whole numbers or text")


def _numbers(series: pl.Series, where: str) -> pl.Series:
    if series.dtype == pl.String:
        numbers = series.str.strip_chars().cast(pl.Float64, strict=False)
        blank = series.is_null() | (series.str.strip_chars() == "").fill_null(True)
        remedy = "ratings must be numbers; rating=False ignores the column"
        _refuse(series, numbers.is_null() & ~blank, where, remedy)
        return numbers
    if series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
        return series.cast(pl.Float64)
    raise DataError(f"{where} holds {series.dtype}; ratings must be numbers")


def _seconds(series: pl.Series, where: str) -> pl.Series:
    if series.dtype == pl.String:
        series = _parsed_time(series, where)
    if series.dtype in (pl.Datetime, pl.Date):
        return series.cast(pl.Datetime("us")).dt.epoch("us") // 1_000_000
    if series.dtype.is_numeric() or series.dtype == pl.Null:
        numbers = series.fill_nan(None) if series.dtype.is_float() else series
        seconds = (numbers.floor() if series.dtype.is_float() else numbers).cast(
            pl.Int64, strict=False
        )
        remedy = "timestamps are Unix seconds within int64; timestamp=False ignores the column"
        _refuse(series, seconds.is_null() & numbers.is_not_null(), where, remedy)
        return seconds
    raise DataError(f"{where} holds {series.dtype}; timestamps are Unix seconds or dates")


def _parsed_time(series: pl.Series, where: str) -> pl.Series:
    """Read text as whole seconds, else as seconds with a fraction, else as ISO dates (UTC)."""
    texts = series.str.strip_chars()
    texts = texts.set(texts == "", None)
    best = texts.cast(pl.Int64, strict=False)
    for attempt in (
        lambda: texts.cast(pl.Float64, strict=False),
        lambda: texts.str.to_datetime(time_unit="us", time_zone="UTC", strict=False),
        lambda: texts.str.to_datetime(time_unit="us", strict=False),
    ):
        if best.null_count() == texts.null_count():
            break
        try:
            tried = attempt()
        except pl.exceptions.PolarsError:
            continue
        best = tried if tried.null_count() < best.null_count() else best
    remedy = "timestamps are Unix seconds or ISO dates; timestamp=False ignores the column"
    _refuse(series, best.is_null() & texts.is_not_null(), where, remedy)
    return best


def _refuse(series: pl.Series, bad: pl.Series, where: str, remedy: str) -> None:
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise DataError(
            f"{where} holds {series[row]!r} in row {row + 1} ({bad.sum():,} such rows); {remedy}"
        )


def _missing(role: str, column: str, existing: Sequence[str], source: str) -> str:
    lowered = {name.casefold(): name for name in existing}
    near = difflib.get_close_matches(column.casefold(), lowered, n=1, cutoff=0.5)
    hint = f"; did you mean {role}={lowered[near[0]]!r}?" if near else f"; name it with {role}="
    return f"{source} has no column {column!r}; columns: {_listed(existing)}{hint}"


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(repr(c if len(c) <= 40 else c[:40] + "...") for c in columns[:20])
    return shown + (", ..." if len(columns) > 20 else "") if columns else "(none)"
