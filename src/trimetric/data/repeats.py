"""Repeated (user, item) pairs: how many rows become one pair, and what is kept of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

Rule = Literal["latest", "first", "sum", "max", "count"]
RULES = ("latest", "first", "sum", "max", "count")
BY_TIME = ("latest", "first", "sum")  # whose result depends on the times of rows
ALIASES: dict[str, Rule] = {"last": "latest"}
WORDS = {
    "latest": "repeated pairs, the latest kept",
    "first": "repeated pairs, the first kept",
    "sum": "repeated pairs, weights summed",
    "max": "repeated pairs, the largest weight kept",
    "count": "repeated pairs, their rows counted",
}


@dataclass(frozen=True, eq=False)
class RepeatedRows:
    """The rows of all pairs that a log with times holds more than once.

    A split in time needs them: what a pair is before the cut comes from its rows before the cut.

    Attributes
    ----------
    rule : "latest", "first", "sum", "max" or "count"
        How the rows of a pair were merged.
    pairs : int64[m]
        The position of each row's pair in the interactions, increasing; of one pair the earliest
        row comes first.
    timestamps : int64[m]
    ratings, weights : float64[m] or None
    """

    rule: Rule
    pairs: np.ndarray
    timestamps: np.ndarray
    ratings: np.ndarray | None = None
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    def take(self, keep: np.ndarray) -> RepeatedRows:
        """Return some of the rows, by a mask or by positions."""
        ratings, weights = (None if v is None else v[keep] for v in (self.ratings, self.weights))
        return RepeatedRows(self.rule, self.pairs[keep], self.timestamps[keep], ratings, weights)

    def moved(self, positions: np.ndarray) -> RepeatedRows | None:
        """Follow the pairs to new positions (int64[n], -1 where a pair is gone)."""
        rows = replace(self, pairs=positions[self.pairs])
        order = np.argsort(rows.pairs, kind="stable")
        rows = rows.take(order[rows.pairs[order] >= 0])
        return rows if len(rows) else None


def in_order(
    keys: np.ndarray, timestamps: np.ndarray | None, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return the positions that put rows in order of key, then time, then weight.

    Rows without times keep the order they have.
    """
    if (keys[1:] > keys[:-1]).all():
        return np.arange(len(keys))
    if timestamps is None:
        return np.argsort(keys, kind="stable")
    by = (timestamps, keys) if weights is None else (weights, timestamps, keys)
    return np.lexsort(by)


def merge(
    ordered: np.ndarray, weights: np.ndarray | None, rule: Rule
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Merge the rows of equal keys.

    Parameters
    ----------
    ordered : int64[m]
        Keys, as `in_order` puts them.
    weights : float64[m] or None
        In the same order; None counts every row as 1.
    rule : "latest", "first", "sum", "max" or "count"
        With sum, max and count, what is not a weight comes from the latest row.

    Returns
    -------
    kept : int64[n]
        The positions of the rows that stay.
    weights : float32[n] or None
    starts : int64[n]
        Where the rows of each key begin.
    """
    changes = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(np.append(True, changes))
    kept = starts if rule == "first" else np.flatnonzero(np.append(changes, True))
    if weights is None and rule not in ("sum", "count"):
        return kept, None, starts
    each = np.ones(len(ordered)) if weights is None or rule == "count" else weights
    if rule in ("sum", "max", "count"):
        merged = (np.maximum if rule == "max" else np.add).reduceat(each, starts)
    else:
        merged = each[kept]
    with np.errstate(over="ignore"):  # infinite is refused by the caller
        return kept, merged.astype(np.float32), starts


def within(
    timestamps: np.ndarray,
    ratings: np.ndarray | None,
    weights: np.ndarray | None,
    rows: RepeatedRows,
    keep: np.ndarray,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None, RepeatedRows | None]:
    """Merge repeated pairs again, from some of their rows.

    Parameters
    ----------
    timestamps, ratings, weights : arrays of n values, or None
        Of all pairs; those of pairs without a kept row stay as they are.
    rows : RepeatedRows
    keep : bool[m]
        The rows to merge.

    Returns
    -------
    timestamps, ratings, weights : arrays of n values, or None
    rows : RepeatedRows or None
        The kept rows of the pairs that still have several.
    """
    kept = rows.take(keep)
    if not len(kept):
        return timestamps, ratings, weights, None
    last, merged, starts = merge(kept.pairs, kept.weights, kept.rule)
    pairs = kept.pairs[starts]
    timestamps = _changed(timestamps, pairs, kept.timestamps[last])
    if ratings is not None and kept.ratings is not None:
        ratings = _changed(ratings, pairs, kept.ratings[last])
    if weights is not None and merged is not None:
        weights = _changed(weights, pairs, merged)
    counts = np.diff(np.append(starts, len(kept)))
    several = kept.take(np.repeat(counts > 1, counts))
    return timestamps, ratings, weights, several if len(several) else None


def _changed(values: np.ndarray, at: np.ndarray, new: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[at] = new
    return values
