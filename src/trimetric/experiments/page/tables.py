"""What the cells, columns and facts of a report say, however they are laid out."""

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

    It says so itself by `leak`; otherwise the name of its group does.
    """
    return bool(column.get("leak", "leak" in (column.get("group") or "").lower()))


def groups(table: dict) -> list[tuple[str, list[dict]]]:
    """Return the runs of neighbouring columns that share a group; "" is no group."""
    runs = groupby(table["columns"], key=lambda column: column.get("group") or "")
    return [(name, list(columns)) for name, columns in runs]


def shown(cell: dict | None, column: dict, table: dict) -> str:
    """Return the value of a cell as text; "" if it is missing."""
    return number((cell or {}).get("value"), _format(column, table))


def spread(cell: dict, column: dict, table: dict) -> str:
    """Return the spread of a cell as text; "" if there is none."""
    return number(cell.get("spread"), _format(column, table))


def number(value: Any, form: str = "{:.4f}") -> str:
    """Write a value: floats as `form` says, whole numbers in full, text as it is, None as ""."""
    if value is None:
        return ""
    if isinstance(value, float):
        return form.format(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def best(table: dict) -> dict[str, str]:
    """Return the text of the best value of each column that has a better and a worse."""
    if not table.get("best"):
        return {}
    found = {}
    for column in table["columns"]:
        higher = column.get("higher_is_better")
        cells = [row["cells"].get(column["key"]) or {} for row in table["rows"]]
        values = [c["value"] for c in cells if isinstance(c.get("value"), int | float)]
        if higher is not None and len(values) > 1:
            top = max(values) if higher else min(values)
            found[column["key"]] = number(top, _format(column, table))
    return found


def missing(table: dict) -> list[str]:
    """Return the reasons why values are missing, each once."""
    return _sources(table, wanted=False)


def sources(table: dict) -> list[str]:
    """Return where the values that are there come from, each once."""
    return _sources(table, wanted=True)


def has_spread(section: dict) -> bool:
    """Tell whether any value of a section comes with a spread."""
    if section["kind"] == "table":
        cells = [cell for row in section["rows"] for cell in row["cells"].values() if cell]
        return any(cell.get("spread") is not None for cell in cells)
    panels = section.get("panels", [])
    return any(series.get("spread") for panel in panels for series in panel["series"])


def warning(table: dict) -> str:
    """Return the warning of a table; one with columns that leak always has one."""
    leaks = any(is_leak(column) for column in table["columns"])
    return table.get("warning") or (LEAK if leaks else "")


def facts(report: dict) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return how a report came about, as titled lists of names and values."""
    run: dict = {"date": report.get("date"), "took": duration(report.get("seconds"))}
    run["seeds"] = ", ".join(map(str, report.get("seeds") or []))
    data = dict(report.get("data") or {})
    named = {"Data": data, "Run": run}
    for key in ("budget", "machine", "versions"):
        named[key.capitalize()] = dict(report.get(key) or {})
    lists = [(title, [(k, _plain(v)) for k, v in d.items()]) for title, d in named.items()]
    lists = [(title, [(k, v) for k, v in pairs if v]) for title, pairs in lists]
    return [(title, pairs) for title, pairs in lists if pairs]


def duration(seconds: float | None) -> str:
    """Write a time in the two units that matter: "2 h 05 min", "3 min 20 s", "1.4 s"."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = math.floor(seconds + 0.5)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def check_format(form: str) -> None:
    """Refuse a number format that is not one simple field."""
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


def _sources(table: dict, wanted: bool) -> list[str]:
    found: dict[str, None] = {}
    for row in table["rows"]:
        for column in table["columns"]:
            cell = row["cells"].get(column["key"]) or {}
            if cell.get("source") and (cell.get("value") is not None) is wanted:
                found[cell["source"]] = None
    return list(found)
