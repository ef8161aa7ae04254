"""From a table to numbered pairs: each pair once, in order of user and then item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from trimetric.data.baskets import by_item
from trimetric.data.clean import complete, typed
from trimetric.data.form import Form
from trimetric.data.ids import Vocabulary
from trimetric.data.labels import codes
from trimetric.data.repeats import RepeatedRows, Rule, in_order, merge
from trimetric.data.report import ReadReport
from trimetric.data.rules import Rules
from trimetric.data.weighting import weighted
from trimetric.errors import DataError


def assemble(
    raw: pl.DataFrame,
    rules: Rules,
    source: str,
    text: bool,
    columns: Mapping[str, str] | None = None,
    form: Form | None = None,
) -> dict[str, Any]:
    """Clean the columns, number the ids, order the pairs, and let each pair in once.

    Parameters
    ----------
    raw : polars.DataFrame
        Columns named by their roles, values as found.
    rules : Rules
        What to drop and what to refuse. `min_rating` and weights are applied to rows, and then
        repeats are merged.
    source : str
        What to call the table in errors.
    text : bool
        Whether the values are text whose types are still to be found.
    columns : mapping, optional
        {role: column of the table}, for errors.
    form : Form, optional
        How the values are written.

    Returns
    -------
    dict
        The fields of `Interactions`, but its name.
    """
    raw, source, notes, empty = by_item(raw, source, columns)
    if not raw.height:
        raise DataError(f"{source} has no rows; it needs at least one interaction")
    frame, more = typed(raw, source, text, columns, form)
    frame, nulls = complete(frame, rules, source, columns)
    rows = frame.height
    if rules.drop_zeros:
        frame = frame.filter(pl.col("rating") != 0)
    zeros = rows - frame.height
    if not frame.height:
        raise DataError(f"{source}: none of {raw.height:,} rows holds a whole interaction")
    below = 0
    if rules.min_rating is not None and "rating" in frame.columns:
        frame, below = _liked(frame, rules.min_rating, source)
    frame, zero_weights, events = weighted(frame, rules, source)
    user_ids, item_ids = (Vocabulary.from_values(frame[role]) for role in ("user", "item"))
    users, items = user_ids.encode(frame["user"]), item_ids.encode(frame["item"])
    ratings, timestamps, weights = (
        frame[role].to_numpy() if role in frame.columns else None
        for role in ("rating", "timestamp", "weight")
    )
    labels = _labels(frame["split"]) if "split" in frame.columns else None
    rule = rules.merging(weights is not None)
    keys = users.astype(np.int64) * len(item_ids) + items
    order = in_order(keys, timestamps, weights if rule == "sum" else None)
    across = 0
    if labels is not None and rules.duplicates != "error":
        order = _of_first_part(keys[order], labels[order], order)
        across = frame.height - len(order)
    of_rows = None if weights is None else weights[order]
    kept, merged, starts = merge(keys[order], of_rows, rule)
    duplicates = len(order) - len(kept)
    if duplicates and rules.duplicates == "error":
        raise DataError(
            f"{source} repeats {duplicates:,} (user, item) pairs;"
            " duplicates='last' keeps the latest of each, or merges them as repeats= says"
        )
    if merged is not None and not np.isfinite(merged).all():
        raise DataError(f"{source}: the weights of a repeated pair add up beyond 3.4e38")
    repeated = None
    if duplicates and timestamps is not None:
        repeated = _repeated(
            starts, timestamps[order], None if ratings is None else ratings[order], of_rows, rule
        )
    at = order[kept]
    return {
        "user_ids": user_ids,
        "item_ids": item_ids,
        "users": users[at],
        "items": items[at],
        "ratings": None if ratings is None else ratings[at],
        "timestamps": None if timestamps is None else timestamps[at],
        "labels": None if labels is None else labels[at],
        "weights": merged,
        "repeated": repeated,
        "report": ReadReport(
            raw.height,
            nulls,
            zeros,
            duplicates,
            below,
            zero_weights=zero_weights,
            events=events,
            repeats=rule,
            across_parts=across,
            empty_lists=empty,
            notes=(*notes, *more),
        ),
    }


def _of_first_part(keys: np.ndarray, labels: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return the rows of each pair that are in its first part of a shipped split.

    All are in order of key. What a pair is in a later part is no news to who trains on the first.
    """
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    parts = codes(labels) if len(starts) < len(keys) else None
    if parts is None:
        return order
    first = np.minimum.reduceat(parts, starts)
    return order[parts == np.repeat(first, np.diff(np.append(starts, len(keys))))]


def _liked(frame: pl.DataFrame, least: float, source: str) -> tuple[pl.DataFrame, int]:
    """Return the rows rated at least `least`, and the number of the others."""
    liked = frame.filter(pl.col("rating") >= least)
    if not liked.height:
        raise DataError(
            f"{source}: no rating reaches min_rating={least:g};"
            f" the highest is {frame['rating'].to_numpy().max():g}"
        )
    return liked, frame.height - liked.height


def _repeated(
    starts: np.ndarray,
    timestamps: np.ndarray,
    ratings: np.ndarray | None,
    weights: np.ndarray | None,
    rule: Rule,
) -> RepeatedRows:
    """Return the rows of the pairs that have several; all are in order of pair and time."""
    counts = np.diff(np.append(starts, len(timestamps)))
    pairs = np.repeat(np.arange(len(starts)), counts)
    return RepeatedRows(rule, pairs, timestamps, ratings, weights).take(counts[pairs] > 1)


def _labels(split: pl.Series) -> np.ndarray:
    """Return the labels as fixed-width text, which compares and takes memory like numbers."""
    names = split.unique().sort()
    return np.array(names.to_list(), dtype=str)[names.search_sorted(split).to_numpy()]
