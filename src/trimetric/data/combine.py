"""Put logs together, choose parts of them, and hand them to other libraries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trimetric import frames
from trimetric.data.foreign_arrays import is_missing
from trimetric.data.ids import Vocabulary
from trimetric.data.repeats import Rule, within
from trimetric.data.report import ReadReport
from trimetric.errors import DataError, MissingExtra, ParameterError, UnknownIds
from trimetric.keywords import is_number, is_one_of

if TYPE_CHECKING:
    from trimetric.data.interactions import Interactions

VALUES = ("weights", "ratings", "timestamps")
LEAST_RATING = float(np.finfo(np.float32).min)  # of what was accepted when it was first read


def to_scipy(data: Interactions, values: str | None = None) -> Any:
    """Return a scipy.sparse.csr_array of users by items; see `Interactions.to_scipy`."""
    try:
        from scipy.sparse import csr_array
    except ImportError:
        raise MissingExtra("to_scipy needs scipy; install it with pip install scipy") from None
    if values is None:
        entries = np.ones(len(data), np.float32) if data.weights is None else data.weights
    elif not is_one_of(values, VALUES):
        raise ParameterError(f"values must be one of {VALUES} or None, got {values!r}")
    else:
        entries = getattr(data, values)
        if entries is None:
            raise DataError(f"{data.name} has no {values}; leave values out for ones")
    shape = (data.n_users, data.n_items)
    return csr_array((entries.copy(), data.items.copy(), data.indptr.copy()), shape=shape)


def to_pandas(data: Interactions) -> Any:
    """Return the pairs as a pandas frame; see `Interactions.to_frame`."""
    return frames.in_pandas(data.to_frame())


def concat(logs: Sequence[Interactions], repeats: Rule | None = None) -> Interactions:
    """Put logs together; see `Interactions.concat`."""
    from trimetric.data.interactions import Interactions

    for log in logs:
        if not isinstance(log, Interactions):
            raise ParameterError(
                f"logs to put together must be Interactions, got a {type(log).__name__}; read it"
                " with Interactions(...), as in log.concat(Interactions(other))"
            )
    for side in ("user", "item"):
        kinds = {getattr(log, f"{side}_ids").kind for log in logs}
        if len(kinds) > 1:
            logs = [_as_text(log, side) for log in logs]
    weights = any(log.weights is not None for log in logs)
    for name in ("ratings", "timestamps", "labels"):
        having = [log for log in logs if getattr(log, name) is not None]
        if having and len(having) < len(logs):
            lacking = next(log for log in logs if getattr(log, name) is None)
            column = {"labels": "split"}.get(name, name.removesuffix("s"))
            raise DataError(
                f"{lacking.name} has no {name} and {having[0].name} has; read both with them, or"
                f" both with {column}=False"
            )
    rows = pl.concat([_rows(log, weights) for log in logs], how="vertical_relaxed")
    options: dict[str, Any] = {"weight": "weight"} if weights else {}
    rules = [log.report.repeats for log in logs if log.weights is not None]
    rule = repeats or (rules[0] if rules else None)
    if rule == "count" and rules and set(rules) == {"count"}:
        rule = "sum"  # of what each log counted
    if "rating" in rows.columns and rows["rating"].min() < 0:  # type: ignore[operator]
        options["min_rating"] = LEAST_RATING
    if "timestamp" in rows.columns:
        options["time_format"] = "s"  # as they are kept, also where a reader would ask
    name = " + ".join(dict.fromkeys(log.name for log in logs))
    both = Interactions.from_frame(rows, name=name, repeats=rule, **options)
    reports = [log.report for log in logs]
    counts = {
        field: sum(getattr(report, field) for report in reports)
        for field in ("rows_read", "nulls", "zeros", "below_min_rating", "below_core",
                      "zero_weights", "events", "across_parts", "blank", "empty_lists")
    }  # fmt: skip
    report = ReadReport(
        **counts,
        duplicates=sum(log.report.duplicates + len(log) for log in logs) - len(both),
        repeats=both.report.repeats,
        notes=tuple(note for r in reports for note in r.notes),
    )
    return both.changed(report=report, text=all(log.text for log in logs))


def select(
    data: Interactions,
    users: Iterable[Any] | None,
    items: Iterable[Any] | None,
    since: Any,
    until: Any,
    min_rating: float | None,
) -> Interactions:
    """Keep some of the pairs; see `Interactions.filter`."""
    if since is not None or until is not None:
        data = _between(data, since, until)
    keep = np.ones(len(data), dtype=bool)
    for kind, ids, rows, vocabulary in (
        ("user", users, data.users, data.user_ids),
        ("item", items, data.items, data.item_ids),
    ):
        if ids is not None:
            ids = _listed(ids)
            wanted = np.zeros(len(vocabulary), dtype=bool)
            known = vocabulary.encode(ids)
            unknown = [one for one, row in zip(ids, known, strict=True) if row < 0]
            if unknown:
                raise UnknownIds(kind, unknown, "leave them out")
            wanted[known] = True
            keep &= wanted[rows]
    if min_rating is not None:
        if data.ratings is None:
            raise DataError(f"{data.name} has no ratings, which min_rating needs")
        if not is_number(min_rating):
            raise ParameterError(f"min_rating must be a finite number, got {min_rating!r}")
        keep &= data.ratings >= float(min_rating)
    if not keep.any():
        raise DataError(f"{data.name}: no interaction is left by this filter")
    return data.take(keep).compact()


def _listed(ids: Any) -> Any:
    """Return ids as a list where they are several, those of PyArrow as plain values."""
    if isinstance(ids, np.ndarray) and ids.ndim == 0:
        return ids.item()
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        return ids
    return [one.as_py() if hasattr(one, "as_py") else one for one in ids]


def _between(data: Interactions, since: Any, until: Any) -> Interactions:
    """Keep the rows from `since` to before `until`, and merge repeats from what is left."""
    if data.timestamps is None:
        raise DataError(f"{data.name} has no timestamps, which since and until need")
    first = -np.inf if since is None else _seconds("since", since)
    last = np.inf if until is None else _seconds("until", until)
    inside = (data.timestamps >= first) & (data.timestamps < last)
    rows = data.repeated
    if rows is not None:
        kept = (rows.timestamps >= first) & (rows.timestamps < last)
        inside[rows.pairs] = False
        inside[rows.pairs[kept]] = True
        timestamps, ratings, weights, repeated = within(
            data.timestamps, data.ratings, data.weights, rows, kept
        )
        data = data.changed(
            timestamps=timestamps, ratings=ratings, weights=weights, repeated=repeated
        )
    if not inside.any():
        raise DataError(f"{data.name}: no interaction lies between since={since} and until={until}")
    return data.take(inside)


def _seconds(name: str, time: Any) -> float:
    number = isinstance(time, int | float | np.number) and not isinstance(time, np.timedelta64)
    if number and not isinstance(time, bool) and time == time:
        return float(time)
    if isinstance(time, np.datetime64) and not np.isnat(time):
        time = time.astype("M8[us]").item()
    try:
        parsed = datetime.fromisoformat(time) if isinstance(time, str) else time
    except ValueError:
        parsed = None
    if isinstance(parsed, date) and not isinstance(parsed, datetime):
        parsed = datetime(parsed.year, parsed.month, parsed.day)
    if not isinstance(parsed, datetime) or is_missing(parsed):
        raise ParameterError(
            f"{name} must be Unix seconds, a datetime or an ISO date, got {time!r:.60}"
        )
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _rows(log: Interactions, weights: bool) -> pl.DataFrame:
    """Return the rows of a log, those of repeated pairs each for itself."""
    frame = log.to_frame()
    if weights and log.weights is None:
        frame = frame.with_columns(pl.lit(1.0, dtype=pl.Float32).alias("weight"))
    repeated = log.repeated
    if repeated is None:
        return frame
    once = np.ones(len(log), dtype=bool)
    once[repeated.pairs] = False
    several = frame[repeated.pairs].with_columns(timestamp=repeated.timestamps)
    if repeated.ratings is not None:
        several = several.with_columns(rating=repeated.ratings.astype(np.float32))
    if "weight" in frame.columns:
        each = np.ones(len(several))
        if repeated.weights is not None and repeated.rule != "count":
            each = repeated.weights
        several = several.with_columns(weight=each.astype(np.float32))
    return pl.concat([frame.filter(pl.Series(once)), several.select(frame.columns)])


def _as_text(log: Interactions, side: str) -> Interactions:
    """Return a log whose whole-number ids, read from text, are text."""
    ids = getattr(log, f"{side}_ids")
    if ids.kind == "str":
        return log
    if not log.text:
        raise DataError(
            f"the {side} ids of {log.name} are whole numbers and those of the other log text; read"
            " both with ids of one kind"
        )
    texts = {f"{side}_ids": Vocabulary.from_values(ids.values.cast(pl.String))}
    return log.in_kinds_of(texts.get("user_ids", log.user_ids), texts.get("item_ids", log.item_ids))
