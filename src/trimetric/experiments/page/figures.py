"""Figures as plotly's own JSON, with colours by role: "@s0" is that of the first model.

A theme gives each role its colour, here for the PNG and in the page for light and dark.
"""

import html
import math
import re
import textwrap
from itertools import pairwise
from typing import Any

import numpy as np

from trimetric.experiments.page.tables import number

# These always have the same colour; others take what is left, in order of appearance.
MODELS = ("sml", "cml", "bpr", "transcf", "lrml", "fml", "ncf", "mlp")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "star", "x")
N_BINS = 40
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif'

_SERIES_LIGHT = "#1d5fd0 #c2570c #12805c #8b3fd1 #c8283c #0b7285 #b4237f #6b6a00 #7a4b25 #56627a"
_SERIES_DARK = "#74a9ff #ff9d57 #45c795 #c08bff #ff7f86 #50c4da #f47cc0 #cdc64b #d6a377 #a9b6cb"
N_COLOURS = 10
THEMES = {
    name: {
        **{f"@s{i}": colour for i, colour in enumerate(series.split())},
        **dict(zip(("@ink", "@muted", "@line", "@surface"), roles.split(), strict=True)),
    }
    for name, series, roles in (
        ("light", _SERIES_LIGHT, "#171b22 #586273 #dfe4eb #ffffff"),
        ("dark", _SERIES_DARK, "#e7eaf0 #9ba6b6 #2c343f #171c23"),
    )
}


def slots(figures: list[dict]) -> dict[str, int]:
    """Give each model of a report its colour, the same in all figures."""
    models = dict.fromkeys(
        model(series) for f in figures for panel in f["panels"] for series in panel["series"]
    )
    given = {name: MODELS.index(name) for name in models if name in MODELS}
    free = [slot for slot in range(N_COLOURS) if slot not in given.values()]
    rest = [name for name in models if name not in given]
    free += [slot % N_COLOURS for slot in range(len(rest))]
    return given | dict(zip(rest, free, strict=False))


def model(series: dict) -> str:
    """Return the model a series is about: its `model`, or else its name."""
    return str(series.get("model") or series["name"]).lower()


def names(figure: dict) -> dict[str, dict]:
    """Return the series of a figure by name, the first of each name."""
    found: dict[str, dict] = {}
    for panel in figure["panels"]:
        for series in panel["series"]:
            found.setdefault(series["name"], series)
    return found


def has_legend(figure: dict) -> bool:
    """Tell whether any panel shows more than one series; otherwise its title says which."""
    return any(len(panel["series"]) > 1 for panel in figure["panels"])


def spec(panel: dict, colours: dict[str, int]) -> dict:
    """Return a panel as plotly's {"data": traces, "layout": layout}."""
    edges = _edges(panel)
    crowded = sum(len(series.get("text") or []) for series in panel["series"]) > 12
    data = [_trace(s, panel, edges, colours[model(s)], crowded) for s in panel["series"]]
    axis: dict[str, Any] = {"gridcolor": "@line", "linecolor": "@line", "zerolinecolor": "@line"}
    axis |= {"automargin": True, "tickfont": {"color": "@muted"}, "ticks": ""}
    layout = {
        "xaxis": axis | _axis(panel, "x"),
        "yaxis": axis | _axis(panel, "y"),
        "shapes": [_shape(mark, colours) for mark in panel.get("marks") or []],
        "annotations": [_label(mark, panel) for mark in panel.get("marks") or []],
        "barmode": "overlay" if panel["plot"] == "histogram" else "group",
        "font": {"family": FONT, "size": 13, "color": "@ink"},
        "paper_bgcolor": "@surface",
        "plot_bgcolor": "@surface",
        "hoverlabel": {
            "bgcolor": "@surface",
            "bordercolor": "@muted",
            "font": {"color": "@ink", "family": FONT},
            "align": "left",
        },
        "hovermode": "closest",
        "margin": {"l": 56, "r": 16, "t": 32, "b": 48},
        "showlegend": False,
    }
    return {"data": data, "layout": layout}


def composite(figure: dict, colours: dict[str, int]) -> tuple[dict, int, int]:
    """Return all panels side by side in one light figure, with its width and height."""
    count = len(figure["panels"])
    gap = 0.09
    width = (1 - gap * (count - 1)) / count
    whole: dict[str, Any] = {"data": [], "layout": {"annotations": [], "shapes": []}}
    layout = whole["layout"]
    named: set[str] = set()
    for i, panel in enumerate(figure["panels"]):
        one, n = spec(panel, colours), str(i + 1) if i else ""
        domain = [i * (width + gap), i * (width + gap) + width]
        axes = {key: one["layout"].pop(key) for key in ("xaxis", "yaxis")}
        layout[f"xaxis{n}"] = axes["xaxis"] | {"domain": domain, "anchor": f"y{n}"}
        layout[f"yaxis{n}"] = axes["yaxis"] | {"anchor": f"x{n}"}
        for key in ("shapes", "annotations"):
            own = one["layout"].pop(key)
            layout[key] += [mark | {"xref": f"x{n}", "yref": f"y{n} domain"} for mark in own]
        title = {"text": f"<b>{literal(panel.get('title') or '')}</b>", "showarrow": False}
        place = {"x": domain[0], "y": 1.08, "xref": "paper", "yref": "paper"}
        layout["annotations"].append(title | place | {"xanchor": "left", "yanchor": "bottom"})
        layout.update(one["layout"])
        for trace, series in zip(one["data"], panel["series"], strict=True):
            first = series["name"] not in named
            named.add(series["name"])
            trace |= {"xaxis": f"x{n}", "yaxis": f"y{n}", "showlegend": first}
            whole["data"].append(trace | {"legendgroup": literal(series["name"])})
    legend = {"orientation": "h", "yanchor": "top", "y": -0.18, "x": 0.5, "xanchor": "center"}
    layout |= {"showlegend": has_legend(figure), "legend": legend}
    layout["margin"] = {"l": 64, "r": 24, "t": 64, "b": 60}
    return themed(whole, "light"), max(640, 520 * count), 460


def themed(value: Any, theme: str) -> Any:
    """Put the colours of a theme where their roles stand."""
    if isinstance(value, dict):
        return {key: themed(one, theme) for key, one in value.items()}
    if isinstance(value, list):
        return [themed(one, theme) for one in value]
    return THEMES[theme].get(value, value) if isinstance(value, str) else value


def values(panel: dict) -> tuple[list[str], list[list[str]]]:
    """Return a panel as a table: its header and its rows."""
    x_label, y_label = panel["x"].get("label") or "x", panel["y"].get("label") or "y"
    if panel["plot"] == "histogram" and _edges(panel) is not None:
        header = ["series", "count", "least", "median", "mean", "greatest"]
        return header, [[s["name"], *_summary(_finite(s["x"]))] for s in panel["series"]]
    if panel["plot"] == "scatter":
        labelled = any(series.get("text") for series in panel["series"])
        rows = [
            [series["name"], *([label] if labelled else []), _tick(x), value]
            for series in panel["series"]
            for x, value, label in zip(series["x"], _values(series), _texts(series), strict=True)
        ]
        return ["series", *(["point"] if labelled else []), x_label, y_label], rows
    columns = [dict(zip(s["x"], _values(s), strict=True)) for s in panel["series"]]
    xs = list(dict.fromkeys(x for s in panel["series"] for x in s["x"]))
    if all(isinstance(x, int | float) for x in xs):
        xs.sort()
    header = [x_label, *(s["name"] for s in panel["series"])]
    return header, [[_tick(x), *(column.get(x, "") for column in columns)] for x in xs]


def notes(figure: dict) -> list[str]:
    """Return what a figure cannot show: where exactly its marks are, what a log axis omits."""
    found = []
    for panel in figure["panels"]:
        where = f"{panel['title']}, " if len(figure["panels"]) > 1 and panel.get("title") else ""
        for mark in panel.get("marks") or []:
            low, high = _tick(mark["from"]), _tick(mark["to"])
            origin = f" ({mark['source']})" if mark.get("source") else ""
            extent = low if low == high else f"{low} to {high}"
            found.append(f"{where}{mark['label']}: {extent}{origin}")
        omitted: dict[str, list[str]] = {}
        drawn = [s for s in panel["series"] if panel["x"].get("log") and s.get("y")]
        for series in drawn:
            for x, value in zip(series["x"], _values(series), strict=True):
                if isinstance(x, int | float) and x <= 0:
                    omitted.setdefault(_tick(x), []).append(f"{series['name']} {value}")
        for x, points in omitted.items():
            label = panel["x"].get("label") or "x"
            found.append(f"{where}not on the log axis, {label} = {x}: {'; '.join(points)}")
    return [note[:1].upper() + note[1:] for note in dict.fromkeys(found)]


def _trace(series: dict, panel: dict, edges: Any, slot: int, crowded: bool) -> dict:
    plot, colour = panel["plot"], f"@s{slot}"
    trace: dict[str, Any] = {"name": literal(series["name"]), "hoverinfo": "text"}
    if plot == "histogram" and edges is not None:
        counts, _ = np.histogram(_finite(series["x"]), edges)
        spans = [f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges)]
        hover = [_hover(series, span, f"{n:,}") for span, n in zip(spans, counts, strict=True)]
        trace |= {"type": "bar", "x": ((edges[:-1] + edges[1:]) / 2).tolist()}
        trace |= {"y": counts.tolist(), "width": np.diff(edges).tolist(), "hovertext": hover}
        opacity = 0.62 if len(panel["series"]) > 1 else 0.9
        return trace | {"marker": {"color": colour, "line": {"width": 0}}, "opacity": opacity}
    x_label = panel["x"].get("label") or "x"
    points = zip(series["x"], _values(series), _texts(series), strict=True)
    trace["hovertext"] = [_hover(series, f"{x_label}: {_tick(x)}", v, t) for x, v, t in points]
    trace |= {"x": [literal(x) if isinstance(x, str) else x for x in series["x"]], "y": series["y"]}
    if series.get("spread"):
        error = {"type": "data", "array": series["spread"], "color": colour, "thickness": 1.2}
        trace["error_y"] = error | {"visible": True, "width": 4}
    marker = {"color": colour, "size": 9 if plot == "scatter" else 7}
    if plot in ("bars", "histogram"):
        pattern = {"pattern": {"shape": "/", "fgcolor": "@surface"}} if series.get("dash") else {}
        return trace | {"type": "bar", "marker": {"color": colour, **pattern}}
    marker["symbol"] = SYMBOLS[slot % len(SYMBOLS)] + ("-open" if series.get("dash") else "")
    trace |= {"type": "scatter", "marker": marker, "mode": "markers", "cliponaxis": False}
    if plot == "lines":
        line = {"color": colour, "width": 2, "dash": "dash" if series.get("dash") else "solid"}
        trace |= {"mode": "lines+markers", "line": line}
    elif series.get("text") and not crowded:
        trace |= {
            "mode": "markers+text",
            "text": [f"\u2002{literal(t)}\u2002" for t in _texts(series)],
        }
        sides = [f"middle {'left' if _place(x, panel) > 0.7 else 'right'}" for x in series["x"]]
        trace |= {"textposition": sides, "textfont": {"size": 12, "color": "@ink"}}
    return trace


def _axis(panel: dict, which: str) -> dict:
    axis = panel[which]
    made: dict[str, Any] = {"title": {"text": literal(axis.get("label") or ""), "standoff": 10}}
    if which == "x" and panel["plot"] in ("bars", "histogram"):
        made["showgrid"] = False
    if not axis.get("log"):
        return made
    values = sorted({v for s in panel["series"] for v in s.get(which) or [] if v and v > 0})
    ticks = _log_ticks(values[0], values[-1]) if values else []
    return made | {"type": "log", "tickvals": ticks, "ticktext": [f"{v:g}" for v in ticks]}


def _log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 of each decade, or 1 alone where that would be many."""
    first, last = math.floor(math.log10(low)), math.floor(math.log10(high))
    steps = (1, 2, 5) if last - first < 2 else (1,)
    return [step * 10.0**decade for decade in range(first, last + 2) for step in steps]


def _shape(mark: dict, colours: dict[str, int]) -> dict:
    """Draw a range of x as a band, or a single x as a line, over the whole height."""
    slot = colours.get(str(mark.get("model")).lower())
    colour = "@muted" if slot is None else f"@s{slot}"
    shape = {"x0": mark["from"], "x1": mark["to"], "y0": 0, "y1": 1, "yref": "y domain"}
    if mark["from"] == mark["to"]:
        return shape | {"type": "line", "line": {"color": colour, "width": 1.5, "dash": "dot"}}
    look = {"fillcolor": colour, "opacity": 0.14, "line": {"width": 0}, "layer": "below"}
    return shape | look | {"type": "rect"}


def _label(mark: dict, panel: dict) -> dict:
    """Write the name of a mark above the plot, towards the side that has room."""
    log = bool(panel["x"].get("log"))
    low, high = (math.log10(x) if log else x for x in (mark["from"], mark["to"]))
    place = _place((mark["from"] + mark["to"]) / 2, panel)
    anchor = "left" if place < 0.25 else "right" if place > 0.75 else "center"
    where = {"x": (low + high) / 2, "y": 1, "yref": "y domain", "yanchor": "bottom"}
    look = {"showarrow": False, "font": {"size": 11, "color": "@muted"}, "xanchor": anchor}
    return where | look | {"text": literal(mark["label"])}


def _place(x: Any, panel: dict) -> float:
    """Return how far along its axis x is, 0..1; .5 where there is no telling."""
    values = [v for s in panel["series"] for v in s["x"] if isinstance(v, int | float)]
    if not isinstance(x, int | float):
        return 0.5
    values += [mark[end] for mark in panel.get("marks") or [] for end in ("from", "to")]
    if panel["x"].get("log"):
        x, values = math.log10(x) if x > 0 else None, [math.log10(v) for v in values if v > 0]
    if x is None or not values or min(values) == max(values):
        return 0.5
    return (x - min(values)) / (max(values) - min(values))


def _edges(panel: dict) -> Any:
    """Return the bins shared by the raw values of a histogram; None where counts are given."""
    if panel["plot"] != "histogram" or any(series.get("y") for series in panel["series"]):
        return None
    raw = np.concatenate([_finite(series["x"]) for series in panel["series"]] or [np.empty(0)])
    return np.histogram_bin_edges(raw, N_BINS)


def _finite(raw: list) -> np.ndarray:
    return np.array([value for value in raw if value is not None], dtype=np.float64)


def _summary(raw: np.ndarray) -> list[str]:
    if not len(raw):
        return ["0", "", "", "", ""]
    shown = (raw.min(), np.median(raw), raw.mean(), raw.max())
    return [f"{len(raw):,}", *(f"{value:.4f}" for value in shown)]


def _values(series: dict) -> list[str]:
    spreads = series.get("spread") or [None] * len(series["y"])
    pairs = zip(series["y"], spreads, strict=True)
    return [number(y) + (f" ± {number(s)}" if s is not None else "") for y, s in pairs]


def _texts(series: dict) -> list[str]:
    return [str(text or "") for text in series.get("text") or [""] * len(series["x"])]


def _tick(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else number(value)


def _hover(series: dict, x: str, value: str, text: str = "") -> str:
    lines = [f"<b>{literal(series['name'])}</b>", *([literal(text)] if text else [])]
    lines += [literal(x), f"<b>{literal(value)}</b>"]
    lines += [literal(line) for line in textwrap.wrap(series.get("source") or "", 48)]
    return "<br>".join(lines)


def literal(text: str) -> str:
    """Keep plotly from reading markup in a text, and from taking it for the name of a colour."""
    escaped = html.escape(str(text), quote=False)
    return re.sub(r"^@", "&#64;", escaped)
