"""Cells, columns and rows of a report's tables, from the results of jobs."""

from typing import Any

import numpy as np

from trimetric.evaluation.metrics import recorded
from trimetric.evaluation.released import WARNING
from trimetric.evaluation.significance import spread
from trimetric.experiments.paper import published as printed

Result = dict[str, Any]
CAUTION = WARNING.removeprefix("WARNING, a leak: ").capitalize() + "."
"""The warning, where its place already says that it is one."""


def cell(results: list[Result], protocol: str, metric: str, what: str) -> dict[str, Any]:
    """Return the mean and spread of a metric over runs, or why there is none."""
    failed = [result["error"] for result in results if "error" in result]
    if failed or not results:
        return {"value": None, "source": failed[0] if failed else "not run"}
    values = [recorded(result["metrics"][protocol], metric) for result in results]
    if any(value is None for value in values):
        return {"value": None, "source": f"{printed.shown(metric)} is not defined here"}
    mean, deviation = spread([value for value in values if value is not None])
    seeds = f"{len(values)} seeds" if len(values) > 1 else "1 run, no chance in it"
    source = f"this run, {what}, {seeds}"
    return {"value": mean, "spread": deviation, "source": source}


def columns(
    metrics: tuple[str, ...], prefix: str, group: str, *, leak: bool = False
) -> list[dict[str, Any]]:
    """Return a column for each metric, under one head; its key is "prefix metric"."""
    return [
        {
            "key": f"{prefix} {metric}",
            "label": printed.shown(metric),
            "group": group,
            "higher_is_better": True,
            "leak": leak,
        }
        for metric in metrics
    ]


def cells(
    results: list[Result], protocol: str, metrics: tuple[str, ...], prefix: str, what: str
) -> dict[str, Any]:
    """Return the cells of `columns` with the same prefix."""
    return {f"{prefix} {m}": cell(results, protocol, m, what) for m in metrics}


def published(
    values: dict[str, float] | None, metrics: tuple[str, ...], prefix: str, source: str
) -> dict[str, Any]:
    """Return the cells of printed values."""
    found = values or {}
    return {
        f"{prefix} {m}": {
            "value": found.get(m),
            "source": source if m in found else "not printed",
        }
        for m in metrics
    }


def value(results: list[Result], protocol: str, metric: str) -> float:
    """Return the mean of a metric over runs, NaN if there is none."""
    mean = cell(results, protocol, metric, "")["value"]
    return float("nan") if mean is None else mean


def ranked(pairs: dict[str, float]) -> str:
    """Return names from the highest value to the lowest: "a > b > c"."""
    known = {name: v for name, v in pairs.items() if not np.isnan(v)}
    return " > ".join(sorted(known, key=lambda name: -known[name]))
