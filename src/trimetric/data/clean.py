"""Clean the columns of a table: which values are accepted, dropped or refused."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from trimetric.data.form import Form
from trimetric.data.ids import EXACT_FLOAT
from trimetric.data.refusing import refuse
from trimetric.data.rules import Rules
from trimetric.data.seen import Mixed, Seen
from trimetric.data.times import seconds
from trimetric.errors import DataError, warn

NULL_WORDS = ("NULL", "null", "\\N", "NA", "N/A", "n/a", "<NA>", "NaN", "nan", "None", "nil", "")
EXACT_FLOAT32 = 2**24


def typed(
    raw: pl.DataFrame,
    source: str,
    text: bool,
    columns: Mapping[str, str] | None = None,
    form: Form | None = None,
    seen: Seen | None = None,
) -> tuple[pl.DataFrame, list[str]]:
    """Give the role-named columns of `raw` their dtypes; values of the wrong kind raise.

    Parameters
    ----------
    raw : polars.DataFrame
        Columns named by their roles.
    source : str
        What to call the table in errors.
    text : bool
        Whether all columns are String as found in a text file. An id column then becomes Int64 if
        every id comes back the same ("007" does not), or has .0 behind it.
    columns : mapping, optional
        {role: column of the table}, for errors.
    form : Form, optional
        How values are written: its decimal sign, words for missing values, and times.
    seen : Seen, optional
        Of a table that comes in batches, of which `raw` is one: what only all of them can tell is
        noted in it instead of being decided.

    Returns
    -------
    frame : polars.DataFrame
        user and item (Int64 or String), rating and weight (Float64), timestamp (Int64), split and
        event (String), those that `raw` has, with null where a value is missing.
    notes : list of str
        What was decided about the values.

    Raises
    ------
    Mixed
        Ids of a text file are of another kind than those of the batches before.
    """
    form = form or Form()
    done: dict[str, pl.Series] = {}
    notes: list[str] = []
    for series in raw:
        role = series.name
        where = f"{source}: column {(columns or {}).get(role, role)!r}"
        series = _without_null_words(series, form.words)
        if role in ("user", "item"):
            done[role] = _ids(series, where, text, notes, seen)
        elif role in ("rating", "weight"):
            done[role] = _numbers(series, where, role, form.decimal, seen)
        elif role == "timestamp":
            done[role] = seconds(series, where, form.time_format, seen)
        else:
            done[role] = _labels(series, where, role)
    return pl.DataFrame(done), notes


def complete(
    frame: pl.DataFrame, rules: Rules, source: str, columns: Mapping[str, str] | None = None
) -> tuple[pl.DataFrame, int]:
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
                f"{source}: column {(columns or {}).get(name, name)!r} holds {what} in row"
                f" {row + 1} ({mask.sum():,} such rows); mend them, or give nulls='drop' to leave"
                " them out"
            )
    bad = pl.Series(np.zeros(frame.height, dtype=bool))
    for mask in missing.values():
        bad = bad | mask
    kept = frame.filter(~bad) if bad.any() else frame
    if "rating" in kept.columns and rules.min_rating is None and (kept["rating"] < 0).any():
        below = (frame["rating"] < 0).fill_null(False) & ~bad
        row = int(below.arg_max() or 0)
        raise DataError(
            f"{source}: column {(columns or {}).get('rating', 'rating')!r} is negative in"
            f" {below.sum():,} rows, first {frame['rating'][row]:g} in row {row + 1};"
            " give min_rating to say which ratings count as a like"
        )
    return kept, frame.height - kept.height


def _without_null_words(series: pl.Series, words: tuple[str, ...]) -> pl.Series:
    if not words or series.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return series
    texts = series.cast(pl.String)
    return texts.set(texts.is_in(list(words)).fill_null(False), None)


def _ids(
    series: pl.Series, where: str, text: bool, notes: list[str], seen: Seen | None
) -> pl.Series:
    if series.dtype == pl.Null:
        return series.cast(pl.String)
    if series.dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    if series.dtype == pl.String:
        if text and seen is not None:
            ints = _as_ints_in_batches(series, where, notes, seen)
        else:
            ints = _as_ints(series, where, notes) if text else None
        if ints is None:
            if seen is not None:
                seen.words(series.name, _null_words(series))
            else:
                warn_of_null_words(where, _null_words(series))
            return series
        return ints
    if series.dtype.is_integer():
        ints = series.cast(pl.Int64, strict=False)
        refuse(series, ints.is_null() & series.is_not_null(), where, "give ids above 2^63 as text")
        return ints
    if series.dtype.is_decimal():
        ints = series.cast(pl.Int64, strict=False)
        same = ints.cast(series.dtype, strict=False).eq_missing(series)
        remedy = "ids must be whole numbers below 2^63, or text"
        refuse(series, ~same, where, remedy)
        return ints
    if series.dtype.is_float():
        narrow = series.dtype == pl.Float32
        floats = series.cast(pl.Float64).fill_nan(None)
        most = EXACT_FLOAT32 if narrow else EXACT_FLOAT
        whole = (floats.abs() <= most) & (floats.floor() == floats)
        kind = "32-bit floats are exact to 2^24: " if narrow else ""
        remedy = f"{kind}ids must be whole numbers within 2^{24 if narrow else 53} or text"
        refuse(series, ~whole.fill_null(True), where, remedy)
        return floats.cast(pl.Int64)
    raise DataError(f"{where} holds {series.dtype}; ids must be whole numbers or text")


def _as_ints(texts: pl.Series, where: str, notes: list[str]) -> pl.Series | None:
    """Return ids from a text file as whole numbers, None where they are not."""
    ints = texts.cast(pl.Int64, strict=False)
    if ints.cast(pl.String).eq_missing(texts).all():
        return ints
    first = texts.drop_nulls().head(1).to_list()
    if not (first and first[0].endswith(".0")):
        return None
    cut = texts.str.strip_suffix(".0")
    ints = cut.cast(pl.Int64, strict=False)
    if not ((cut + ".0").eq_missing(texts) & ints.cast(pl.String).eq_missing(cut)).all():
        return None
    notes.append(f"{where.rsplit(': ', 1)[-1]}: ids such as {first[0]} read as whole numbers")
    return ints


def _as_ints_in_batches(
    texts: pl.Series, where: str, notes: list[str], seen: Seen
) -> pl.Series | None:
    """Return ids of a batch as whole numbers where all batches before hold such, else None."""
    before = seen.ids.get(texts.name)
    if before == "text" or texts.null_count() == len(texts):
        return None if before == "text" else texts.cast(pl.Int64)
    own: list[str] = []
    ints = _as_ints(texts, where, own)
    kind = "text" if ints is None else "point" if own else "whole"
    if before is not None and kind != before:
        raise Mixed(texts.name)
    if before is None:
        seen.ids[texts.name] = kind
        notes += own
    return ints


def _null_words(ids: pl.Series) -> dict[str, int]:
    """Return the words that usually stand for a missing value, and the rows of each."""
    found = ids.filter(ids.is_in(NULL_WORDS).fill_null(False)).value_counts(sort=True, name="rows")
    return dict(found.iter_rows())


def warn_of_null_words(where: str, words: Mapping[str, int]) -> None:
    """Warn of ids that usually stand for a missing value."""
    for word, rows in words.items():
        warn(
            f"{where} holds {word!r} in {rows:,} rows, taken as an id; if it stands for a missing"
            f" value, give null={word!r}"
        )


def _numbers(
    series: pl.Series, where: str, role: str, decimal: str, seen: Seen | None
) -> pl.Series:
    remedy = f"{role}s must be numbers; {role}=False ignores the column"
    if series.dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    if series.dtype == pl.String:
        texts = series.str.strip_chars()
        blank = texts.is_null() | (texts == "").fill_null(True)
        if decimal == ",":
            pointed = texts.str.contains(".", literal=True).fill_null(False)
            refuse(series, pointed, where, f"with decimal=',' numbers hold no point; {remedy}")
            texts = texts.str.replace(",", ".", literal=True)
        numbers = texts.cast(pl.Float64, strict=False)
        bad = numbers.is_null() & ~blank
        if bad.any():
            lower = texts.str.to_lowercase()
            truth = lower.is_in(["true", "false"])
            if (truth | blank).all():
                if seen is not None:
                    seen.numbers.setdefault(role, set()).add("truth")
                return (lower == "true").cast(pl.Float64).set(blank, None)
            value = texts[int(bad.arg_max() or 0)]
            if value in NULL_WORDS:
                remedy = f"if it stands for a missing value, give null={value!r}; {remedy}"
            elif decimal == "." and value.replace(",", ".", 1).replace(".", "", 1).isdigit():
                remedy = f"if the comma is a decimal sign, give decimal=','; {remedy}"
        refuse(series, bad, where, remedy)
        if seen is not None and not blank.all():
            seen.numbers.setdefault(role, set()).add("numbers")
        return numbers
    if series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
        return series.cast(pl.Float64)
    raise DataError(f"{where} holds {series.dtype}; {remedy}")


def _labels(series: pl.Series, where: str, role: str) -> pl.Series:
    if series.dtype.is_nested() or series.dtype in (pl.Binary, pl.Duration, pl.Object):
        kind = "labels of parts" if role == "split" else "event types"
        raise DataError(
            f"{where} holds {series.dtype}; {kind} are text; {role}=False ignores the column"
        )
    return series.cast(pl.String)
