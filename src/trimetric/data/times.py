"""Times as whole Unix seconds; what could mean two things is refused until it is said."""

from __future__ import annotations

import polars as pl

from trimetric.data.refusing import refuse
from trimetric.data.seen import Seen
from trimetric.errors import DataError

UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
LAST_SECOND = 10**11  # the year 5138; what is beyond is in a smaller unit
_CLOCK = r"([T ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?)?"
_ISO = rf"^\d{{4}}[-/]\d{{1,2}}[-/]\d{{1,2}}{_CLOCK}\s*(Z|z|[+-]\d{{2}}:?(\d{{2}})?)?$"
_UTC = r"\s*(UTC|GMT|utc|gmt|Etc/UTC)$"
_IGNORE = "timestamp=False ignores the column"
_DATES = (
    (19_000_101, 21_001_231, "%Y%m%d"),
    (190_001_010_000, 210_012_312_359, "%Y%m%d%H%M"),
    (19_000_101_000_000, 21_001_231_235_959, "%Y%m%d%H%M%S"),
)


def seconds(
    series: pl.Series, where: str, time_format: str | None, seen: Seen | None = None
) -> pl.Series:
    """Return a column of times as Int64 seconds since 1970, null where a value is missing.

    Parameters
    ----------
    series : polars.Series
        Numbers, dates, or text.
    where : str
        How errors call the column.
    time_format : str or None
        "s", "ms", "us", "ns" or a pattern of `strptime`; None takes seconds and ISO dates.
    seen : Seen, optional
        Of a column that comes in batches; keeps what only all of them can tell.

    Raises
    ------
    DataError
        A value is no time, or could mean several: 20101201, 12/1/2010, or milliseconds.
    """
    if series.dtype in (pl.Datetime, pl.Date):
        return series.cast(pl.Datetime("us")).dt.epoch("us") // 1_000_000
    if series.dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    if time_format is not None and time_format not in UNITS:
        return _by_pattern(series, where, time_format)
    if series.dtype == pl.String:
        texts = series.str.strip_chars()
        texts = texts.set(texts == "", None)
        whole = texts.cast(pl.Int64, strict=False)
        if whole.null_count() == texts.null_count():
            return _of_numbers(whole, where, time_format, _noting(seen, whole, "numbers"))
        floats = texts.cast(pl.Float64, strict=False)
        if floats.null_count() == texts.null_count():
            floats = floats.fill_nan(None)
            return _of_numbers(floats, where, time_format, _noting(seen, floats, "numbers"))
        if time_format is not None:
            remedy = f"with time_format={time_format!r}, times are numbers; {_IGNORE}"
            refuse(series, floats.is_null() & texts.is_not_null(), where, remedy)
        _noting(seen, texts, "dates")
        return _of_dates(texts, where)
    if series.dtype.is_numeric() or series.dtype == pl.Null:
        numbers = series.fill_nan(None) if series.dtype.is_float() else series
        if series.dtype.is_decimal():
            numbers = numbers.cast(pl.Float64)
        return _of_numbers(numbers, where, time_format, seen)
    raise DataError(
        f"{where} holds {series.dtype}; timestamps are Unix seconds or dates; {_IGNORE}"
    )


def refuse_dates(example: object, pattern: str, where: str) -> None:
    """Refuse a column of whole numbers that are all dates by a pattern."""
    raise DataError(
        f"{where} holds {example}, which may be a date or a number of seconds; say"
        f" time_format={pattern!r}, or time_format='s'; {_IGNORE}"
    )


def _noting(seen: Seen | None, times: pl.Series, kind: str) -> Seen | None:
    if seen is not None and times.null_count() < len(times):
        seen.times.add(kind)
    return seen


def _of_numbers(
    numbers: pl.Series, where: str, unit: str | None, seen: Seen | None = None
) -> pl.Series:
    each = UNITS[unit or "s"]
    if numbers.dtype.is_float():
        scaled = (numbers / each).floor()
    else:
        scaled = numbers // each if each > 1 else numbers
    whole = scaled.cast(pl.Int64, strict=False)
    remedy = f"timestamps are Unix seconds within int64; {_IGNORE}"
    refuse(numbers, whole.is_null() & numbers.is_not_null(), where, remedy)
    if unit is None and whole.null_count() < len(whole):
        patterns, example = _patterns(whole)
        if seen is not None:
            seen.may_be_dates(patterns, example)
        elif patterns:
            refuse_dates(example, patterns[0], where)
        _refuse_small_units(whole, where)
    return whole


def _patterns(numbers: pl.Series) -> tuple[list[str], str]:
    """Return the patterns by which all numbers may be dates, and one of the numbers."""
    low, high = int(numbers.min()), int(numbers.max())  # type: ignore[arg-type]
    fit = [pattern for least, most, pattern in _DATES if least <= low and high <= most]
    if not fit:
        return [], str(low)
    texts = numbers.drop_nulls().unique().cast(pl.String)
    parsed = [p for p in fit if not texts.str.to_datetime(p, strict=False).null_count()]
    return parsed, texts[0]


def _refuse_small_units(numbers: pl.Series, where: str) -> None:
    """Refuse numbers that are probably of a smaller unit than seconds."""
    beyond = (numbers >= LAST_SECOND) | (numbers <= -LAST_SECOND)
    if beyond.any():
        row = int(beyond.arg_max() or 0)
        size = abs(float(numbers[row]))
        unit = "ms" if size < LAST_SECOND * 1_000 else "us" if size < LAST_SECOND * 10**6 else "ns"
        raise DataError(
            f"{where} holds {numbers[row]} in row {row + 1} ({beyond.sum():,} such rows), which as"
            f" Unix seconds is after the year 5000; say time_format={unit!r} (or 's', if it is"
            f" meant so); {_IGNORE}"
        )


def _of_dates(texts: pl.Series, where: str) -> pl.Series:
    """Read ISO dates, UTC unless they name an offset."""
    bare = texts.str.replace(_UTC, "")
    bare = bare.str.replace_all("/", "-", literal=True).str.replace(r"[.,](\d+)", ".$1")
    iso = texts.str.replace(_UTC, "").str.contains(_ISO)
    refuse(texts, (~iso).fill_null(False), where, _hint(texts, iso))
    parsed = _parsed(bare, None)
    remedy = f"timestamps are Unix seconds or ISO dates, all written alike; {_IGNORE}"
    refuse(texts, parsed.is_null() & texts.is_not_null(), where, remedy)
    return parsed.dt.epoch("us") // 1_000_000


def _hint(texts: pl.Series, iso: pl.Series) -> str:
    """Suggest a pattern for the first value that is no ISO date."""
    first = texts.filter((~iso).fill_null(False)).head(1).to_list()
    if first:
        orders = ("%m/%d/", "%d/%m/", "%d.%m.", "%m-%d-")
        for date in (order + year for year in ("%y", "%Y") for order in orders):  # %Y takes 10 too
            for time in ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p"):
                if _parsed(pl.Series(first), date + time).null_count() == 0:
                    day = {"%m": "%d", "%d": "%m"}
                    swapped = "".join(day.get(p, p) for p in _tokens(date)) + time
                    both = f"{date + time!r} or {swapped!r}"
                    return (
                        f"say which is day and month with time_format=, such as {both}; {_IGNORE}"
                    )
    return (
        "timestamps are Unix seconds or ISO dates; another way of writing is said with"
        f" time_format=, such as '%d/%m/%Y %H:%M'; {_IGNORE}"
    )


def _tokens(pattern: str) -> list[str]:
    return [pattern[0:2], pattern[2:3], pattern[3:5], pattern[5:]]


def _by_pattern(series: pl.Series, where: str, pattern: str) -> pl.Series:
    texts = series if series.dtype == pl.String else series.cast(pl.String)
    texts = texts.str.strip_chars()
    texts = texts.set(texts == "", None)
    parsed = _parsed(texts, pattern)
    remedy = f"it does not follow time_format={pattern!r}; {_IGNORE}"
    refuse(texts, parsed.is_null() & texts.is_not_null(), where, remedy)
    return parsed.dt.epoch("us") // 1_000_000


def _parsed(texts: pl.Series, pattern: str | None) -> pl.Series:
    """Read times by a pattern, or ISO dates, all of one form; null where one does not fit."""
    try:
        return texts.str.to_datetime(pattern, time_unit="us", strict=False)
    except pl.exceptions.PolarsError:
        return pl.Series([None] * len(texts), dtype=pl.Datetime("us"))
