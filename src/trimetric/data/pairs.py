"""From a table to numbered pairs: each pair once, in order of user and then item."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from trimetric.data.clean import ReadReport, Rules, complete, typed
from trimetric.data.ids import Vocabulary
from trimetric.errors import DataError


def assemble(raw: pl.DataFrame, rules: Rules, source: str, text: bool) -> dict[str, Any]:
    """Clean the columns, number the ids, order the pairs, and let each pair in once.

    Parameters
    ----------
    raw : polars.DataFrame
        Columns named by their roles, values as found.
    rules : Rules
        What to drop and what to refuse; repeats are settled before `min_rating` is applied.
    source : str
        What to call the table in errors.
    text : bool
        Whether the values are text whose types are still to be found.

    Returns
    -------
    dict
        The fields of `Interactions`, but its name.
    """
    if not raw.height:
        raise DataError(f"{source} has no rows; it needs at least one interaction")
    frame, nulls = complete(typed(raw, source, text), rules, source)
    rows = frame.height
    if rules.drop_zeros:
        frame = frame.filter(pl.col("rating") != 0)
    zeros = rows - frame.height
    if not frame.height:
        raise DataError(f"{source}: none of {raw.height:,} rows holds a whole interaction")
    user_ids, item_ids = (Vocabulary.from_values(frame[role]) for role in ("user", "item"))
    users, items = user_ids.encode(frame["user"]), item_ids.encode(frame["item"])
    ratings, timestamps = (
        frame[role].to_numpy() if role in frame.columns else None
        for role in ("rating", "timestamp")
    )
    labels = _labels(frame["split"]) if "split" in frame.columns else None
    kept = _latest(users.astype(np.int64) * len(item_ids) + items, timestamps)
    duplicates = frame.height - len(kept)
    if duplicates and rules.duplicates == "error":
        raise DataError(
            f"{source} repeats {duplicates:,} (user, item) pairs;"
            " duplicates='last' keeps the latest of each"
        )
    liked = kept
    if rules.min_rating is not None and ratings is not None:
        liked = kept[ratings[kept] >= rules.min_rating]
        if not len(liked):
            raise DataError(
                f"{source}: no rating reaches min_rating={rules.min_rating:g};"
                f" the highest is {ratings[kept].max():g}"
            )
    return {
        "user_ids": user_ids,
        "item_ids": item_ids,
        "users": users[liked],
        "items": items[liked],
        "ratings": None if ratings is None else ratings[liked],
        "timestamps": None if timestamps is None else timestamps[liked],
        "labels": None if labels is None else labels[liked],
        "report": ReadReport(raw.height, nulls, zeros, duplicates, len(kept) - len(liked)),
    }


def _latest(keys: np.ndarray, timestamps: np.ndarray | None) -> np.ndarray:
    """Return the positions that put the keys in order, of equal keys only the latest."""
    if (keys[1:] > keys[:-1]).all():
        return np.arange(len(keys))
    if timestamps is None:
        order = np.argsort(keys, kind="stable")
    else:
        order = np.lexsort((timestamps, keys))
    ordered = keys[order]
    return order[np.append(ordered[1:] != ordered[:-1], True)]


def _labels(split: pl.Series) -> np.ndarray:
    """Return the labels as fixed-width text, which compares and takes memory like numbers."""
    names = split.unique().sort()
    return np.array(names.to_list(), dtype=str)[names.search_sorted(split).to_numpy()]
