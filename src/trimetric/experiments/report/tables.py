"""The content of a report's tables and facts as text, whatever the layout."""

import math
from itertools import groupby
from typing import Any

from trimetric.errors import ParameterError

LEAK = (
    "Values in marked columns come with a leak: training was told which candidates are not"
    " answers. They compare with one another only."
)
SPREAD = "± is the standard deviation over seeds."


def is_leak(column: dict) -> bool:
    """Tell whether a column's values come from an evaluation with a leak.

    Its key "leak" tells; without one, the name of its group does.
    """
    return bool(column.get("leak", "leak" in (column.get("group") or "").lower()))


def groups(table: dict) -> list[tuple[str, list[dict]]]:
    """Return the runs of neighbouring columns that share a group; "" is no group."""
    runs = groupby(table["columns"], key=lambda column: column.get("group") or "")
    return [(name, list(columns)) for name, columns in runs]


def rows(table: dict) -> list[dict[str, Any]]:
    """Return the rows as {"label", "cells"}.

    Each cell has its `column`, `value`, `source`, `mark`, `text` ("" if the value is missing),
    `spread` as text, `best` (whether it is the best of its column) and `edge` (whether its column
    is the first of a group).
    """
    columns = [(column, i == 0) for _, group in groups(table) for i, column in enumerate(group)]
    best = _best(table)

    def shown(cell: dict, column: dict, edge: bool) -> dict[str, Any]:
        form = _format(column, table)
        text, spread = number(cell.get("value"), form), number(cell.get("spread"), form)
        return {
            **{name: cell.get(name) for name in ("value", "source", "mark")},
            **{"column": column, "edge": edge, "text": text, "spread": spread},
            "best": text != "" and text == best.get(column["key"]),
        }

    return [
        {
            "label": row["label"],
            "cells": [shown(row["cells"].get(c["key"]) or {}, c, edge) for c, edge in columns],
        }
        for row in table["rows"]
    ]


def number(value: Any, form: str = "{:.4f}") -> str:
    """Format a value: floats by `form`, whole numbers in full, text as it is, None as ""."""
    if value is None:
        return ""
    if isinstance(value, float):
        return form.format(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _best(table: dict) -> dict[str, str]:
    """Return the text of the best value of each column that has a better and a worse."""
    texts = {}
    for column in table["columns"] if table.get("best") else ():
        higher = column.get("higher_is_better")
        cells = [row["cells"].get(column["key"]) or {} for row in table["rows"]]
        values = [c["value"] for c in cells if isinstance(c.get("value"), int | float)]
        if higher is not None and len(values) > 1:
            top = max(values) if higher else min(values)
            texts[column["key"]] = number(top, _format(column, table))
    return texts


def missing(table: dict) -> list[str]:
    """Return the reasons why values are missing, each once."""
    return _sources(table, present=False)


def sources(table: dict) -> list[str]:
    """Return the sources of the values, each once."""
    return _sources(table, present=True)


def _sources(table: dict, present: bool) -> list[str]:
    cells = (
        row["cells"].get(column["key"]) or {}
        for row in table["rows"]
        for column in table["columns"]
    )
    return [
        *dict.fromkeys(
            cell["source"]
            for cell in cells
            if cell.get("source") and (cell.get("value") is not None) is present
        )
    ]


def has_spread(report: dict) -> bool:
    """Tell whether any value of a report comes with a spread."""
    for section in report["sections"]:
        cells = [c for row in section.get("rows", ()) for c in row["cells"].values() if c]
        series = [s for panel in section.get("panels", ()) for s in panel["series"]]
        if any(cell.get("spread") is not None for cell in cells):
            return True
        if any(entry.get("spread") for entry in series):
            return True
    return False


def warning(section: dict) -> str:
    """Return the warning of a section; a table with columns that leak always has one."""
    leaks = any(is_leak(column) for column in section.get("columns", ()))
    return section.get("warning") or (LEAK if leaks else "")


def glance(report: dict) -> list[tuple[str, str]]:
    """Return the facts at the top of the page."""
    data = report.get("data") or {}
    facts = [
        ("Data", data.get("name")),
        *((key.capitalize(), data.get(key)) for key in ("users", "items", "interactions")),
        ("Seeds", len(report.get("seeds") or []) or None),
        ("Took", duration(report.get("seconds"))),
        ("Date", report.get("date")),
    ]
    return [(name, number(value)) for name, value in facts if value]


def facts(report: dict) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return how the report was made, as titled lists of names and values."""
    run: dict = {"date": report.get("date"), "took": duration(report.get("seconds"))}
    run["seeds"] = ", ".join(map(str, report.get("seeds") or []))
    lists = {"Data": report.get("data"), "Run": run}
    made_by = ("budget", "machine", "versions", "origin")
    lists |= {key.capitalize(): report.get(key) for key in made_by}
    shown = [
        (title, [(name, text) for name, value in (values or {}).items() if (text := _plain(value))])
        for title, values in lists.items()
    ]
    return [(title, pairs) for title, pairs in shown if pairs]


def duration(seconds: float | None) -> str:
    """Format a duration in its two largest units: "2 h 05 min", "3 min 20 s", "1.4 s"."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = math.floor(seconds + 0.5)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def check_format(form: str) -> None:
    """Raise ParameterError unless a number format is one simple field."""
    try:
        if form.count("{") != 1 or "{:" not in form:
            raise ValueError
        form.format(0.5)
    except (ValueError, IndexError, KeyError):
        raise ParameterError(
            f"format must be one field for a float, such as {{:.4f}}, got {form!r}"
        ) from None


def _format(column: dict, table: dict) -> str:
    return column.get("format") or table.get("format") or "{:.4f}"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return number(value, "{:g}")
