"""Counts that describe a set of interactions."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import numpy as np

from trimetric.data.interactions import Interactions
from trimetric.data.report import ReadReport

MAX_VALUES = 12  # of a histogram; more distinct values are binned


def summarize(data: Interactions) -> dict[str, Any]:
    """Count users, items and pairs, how they are distributed, and what was left out.

    Returns
    -------
    dict
        Plain values, fit for JSON: name, columns, users, items, pairs, density, ids (kinds of id),
        pairs_a_user and pairs_an_item (min, median, mean, max), read_as,
        notes and rows (see `ReadReport`),
        fingerprint; and where the data has them ratings and weights (histograms), time (first and
        last), and split (pairs by label).
    """
    columns = {
        "ratings": "rating",
        "timestamps": "timestamp",
        "labels": "split",
        "weights": "weight",
    }
    present = [column for name, column in columns.items() if getattr(data, name) is not None]
    summary: dict[str, Any] = {
        "name": data.name,
        "columns": ["user", "item", *present],
        "users": data.n_users,
        "items": data.n_items,
        "pairs": len(data),
        "density": len(data) / (data.n_users * data.n_items),
        "ids": {"user": data.user_ids.kind, "item": data.item_ids.kind},
        "pairs_a_user": _distribution(np.bincount(data.users, minlength=data.n_users)),
        "pairs_an_item": _distribution(np.bincount(data.items, minlength=data.n_items)),
        "read_as": data.report.read_as,
        "notes": list(data.report.notes),
        "rows": _counts(data.report),
        "fingerprint": data.fingerprint,
    }
    if data.ratings is not None:
        summary["ratings"] = _histogram(data.ratings)
    if data.timestamps is not None:
        first, last = int(data.timestamps.min()), int(data.timestamps.max())
        summary["time"] = {"from": _date(first), "to": _date(last), "seconds": [first, last]}
    if data.weights is not None:
        summary["weights"] = _histogram(data.weights)
    if data.labels is not None:
        labels, counts = np.unique(data.labels, return_counts=True)
        summary["split"] = {str(n): int(c) for n, c in zip(labels, counts, strict=True)}
    return summary


def _counts(report: ReadReport) -> dict[str, Any]:
    told = {name: v for name, v in vars(report).items() if name not in ("read_as", "notes")}
    return told if report.duplicates else {n: v for n, v in told.items() if n != "repeats"}


def _distribution(counts: np.ndarray) -> dict[str, Any]:
    return {
        "min": int(counts.min()),
        "median": float(np.median(counts)),
        "mean": round(float(counts.mean()), 2),
        "max": int(counts.max()),
    }


def _histogram(ratings: np.ndarray) -> dict[str, int]:
    values, counts = np.unique(ratings, return_counts=True)
    if len(values) <= MAX_VALUES:
        return {f"{v:g}": int(c) for v, c in zip(values, counts, strict=True)}
    counts, edges = np.histogram(ratings.astype(np.float64), bins=MAX_VALUES - 2)
    bins = zip(edges, edges[1:], counts, strict=False)
    return {f"{low:g}..{high:g}": int(c) for low, high, c in bins}


def _date(seconds: int) -> str | None:
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return None
