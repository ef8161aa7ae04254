"""HTML for notebooks, without scripts: how data, models and results are displayed.

It has no colours of its own, so that it suits light and dark themes.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import isfinite
from typing import Any

WIDTH, HEIGHT = 260, 56
_CELL = "padding:.15em .8em .15em 0;border:0;background:none;vertical-align:top"


def card(title: str, facts: Mapping[str, Any], *parts: str) -> str:
    """Return a titled block: facts by name, then parts, which are HTML."""
    listed = table((), ((name, value) for name, value in facts.items())) if facts else ""
    body = "".join((f"<strong>{escape(title)}</strong>", listed, *parts))
    return f'<div style="max-width:60em">{body}</div>'


def table(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table; the first column and text are left-aligned, numbers right-aligned."""
    head = "".join(_cell("th", cell, place) for place, cell in enumerate(header))
    body = "".join(
        f"<tr>{''.join(_cell('td', cell, place) for place, cell in enumerate(row))}</tr>"
        for row in rows
    )
    return (
        '<table style="border-collapse:collapse;margin:.4em 0">'
        f"{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"
    )


def note(text: str) -> str:
    """Return a small line of text."""
    return f'<div style="opacity:.7;font-size:.9em">{escape(text)}</div>'


def curve(label: str, values: Sequence[float]) -> str:
    """Draw values over epochs as a small line; "" for fewer than two finite values."""
    points = [(at, value) for at, value in enumerate(values) if isfinite(value)]
    if len(points) < 2:
        return ""
    low, high = min(v for _, v in points), max(v for _, v in points)
    across, up = (WIDTH - 4) / (points[-1][0] - points[0][0]), (HEIGHT - 4) / ((high - low) or 1)
    drawn = " ".join(
        f"{2 + (at - points[0][0]) * across:.1f},{HEIGHT - 2 - (value - low) * up:.1f}"
        for at, value in points
    )
    caption = f"{label}: {_shown(points[0][1])} at first, {_shown(points[-1][1])} at last"
    return (
        f'<figure style="display:inline-block;margin:.3em 1.5em .3em 0"><svg role="img"'
        f' aria-label="{escape(caption)}" width="{WIDTH}" height="{HEIGHT}"><polyline fill="none"'
        f' stroke="currentColor" stroke-width="1.5" points="{drawn}"/></svg>'
        f'<figcaption style="opacity:.7;font-size:.9em">{escape(caption)}</figcaption></figure>'
    )


def _cell(tag: str, value: Any, place: int) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    side = "right" if place and (number or tag == "th") else "left"
    return f'<{tag} style="{_CELL};text-align:{side}">{escape(_shown(value))}</{tag}>'


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}" if isfinite(value) else "–"
    return str(value)
