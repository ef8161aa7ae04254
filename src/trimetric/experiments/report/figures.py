"""The figures of a report: plotly figures in the colours of the light theme, and their values.

In the dark the page replaces each colour by its counterpart in `DARK`.
"""

import html
import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from trimetric.experiments.report.tables import number

if TYPE_CHECKING:
    import plotly.graph_objects as go

# These models always have the same colour; others take the remaining ones in order of appearance.
MODELS = ("sml", "cml", "bpr", "transcf", "lrml", "fml", "ncf", "mlp")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "star", "x")
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif'
N_BINS = 40
MAX_LABELS = 12  # of points; more of them are shown on hovering only

SERIES = [
    "#1d5fd0", "#c2570c", "#12805c", "#8b3fd1", "#c8283c",
    "#0b7285", "#b4237f", "#6b6a00", "#7a4b25", "#56627a",
]  # fmt: skip
INK, MUTED, LINE, SURFACE = "#171b22", "#586273", "#dfe4eb", "#ffffff"
DARK_SERIES = [
    "#74a9ff", "#ff9d57", "#45c795", "#c08bff", "#ff7f86",
    "#50c4da", "#f47cc0", "#cdc64b", "#d6a377", "#a9b6cb",
]  # fmt: skip
DARK = dict(zip(SERIES, DARK_SERIES, strict=True)) | {
    INK: "#e7eaf0", MUTED: "#9ba6b6", LINE: "#2c343f", SURFACE: "#171c23",
}  # fmt: skip


def slots(figures: list[dict]) -> dict[str, int]:
    """Assign each model of a report a colour, the same in all figures."""
    models = dict.fromkeys(
        model(series) for f in figures for panel in f["panels"] for series in panel["series"]
    )
    fixed = {name: MODELS.index(name) for name in models if name in MODELS}
    rest = [name for name in models if name not in fixed]
    free = [slot for slot in range(len(SERIES)) if slot not in fixed.values()]
    free += [slot % len(SERIES) for slot in range(len(rest))]
    return fixed | dict(zip(rest, free, strict=False))


def model(series: dict) -> str:
    """Return the model that a series is about: its `model`, or else its name."""
    return str(series.get("model") or series["name"]).lower()


def legend(figure: dict) -> list[dict]:
    """Return the first series of each name; none if no panel has more than one series."""
    if not any(len(panel["series"]) > 1 for panel in figure["panels"]):
        return []
    first: dict[str, dict] = {}
    for panel in figure["panels"]:
        for series in panel["series"]:
            first.setdefault(series["name"], series)
    return [*first.values()]


def draw(panel: dict, colours: dict[str, int]) -> "go.Figure":
    """Return one panel as a figure without title and legend."""
    import plotly.graph_objects as go

    figure = go.Figure(layout=_layout(margin={"l": 56, "r": 16, "t": 32, "b": 48}))
    _add_panel(figure, panel, colours, showlegend=False)
    return figure


def composite(figure: dict, colours: dict[str, int]) -> "go.Figure":
    """Return all panels side by side in one figure."""
    from plotly.subplots import make_subplots

    panels = figure["panels"]
    whole = make_subplots(cols=len(panels), horizontal_spacing=0.09)
    whole.update_layout(
        _layout(margin={"l": 64, "r": 24, "t": 64, "b": 60}),
        width=max(640, 520 * len(panels)),
        height=460,
        showlegend=bool(legend(figure)),
        legend={"orientation": "h", "yanchor": "top", "y": -0.18, "x": 0.5, "xanchor": "center"},
    )
    names: set[str] = set()
    for column, panel in enumerate(panels, 1):
        place: dict[str, Any] = {"row": 1, "col": column}
        _add_panel(whole, panel, colours, **place)
        whole.add_annotation(
            text=f"<b>{literal(panel.get('title') or '')}</b>", showarrow=False,
            **{"x": 0, "xref": "x domain", "xanchor": "left"},
            **{"y": 1.08, "yref": "y domain", "yanchor": "bottom"}, **place,
        )  # fmt: skip
    for trace in whole.data:
        trace.update(legendgroup=trace.name, showlegend=trace.name not in names)
        names.add(trace.name)
    return whole


def _layout(**more: Any) -> dict[str, Any]:
    axis = {"gridcolor": LINE, "linecolor": LINE, "zerolinecolor": LINE, "automargin": True}
    axis |= {"tickfont": {"color": MUTED}, "ticks": ""}
    font = {"family": FONT, "color": INK}
    shared = {
        "xaxis": axis,
        "yaxis": axis,
        "font": {**font, "size": 13},
        "paper_bgcolor": SURFACE,
        "plot_bgcolor": SURFACE,
        "hoverlabel": {"bgcolor": SURFACE, "bordercolor": MUTED, "font": font, "align": "left"},
    }
    return {"template": {"layout": shared}, "hovermode": "closest", **more}


def _add_panel(
    figure: "go.Figure", panel: dict, colours: dict[str, int], showlegend: bool = True, **place: Any
) -> None:
    """Draw a panel into a figure, or into the subplot at `row` and `col`."""
    crowded = sum(len(series.get("text") or []) for series in panel["series"]) > MAX_LABELS
    for series in panel["series"]:
        figure.add_trace(_trace(series, panel, colours[model(series)], crowded), **place)
    for mark in panel.get("marks") or []:
        figure.add_shape(_shape(mark, colours), yref="y domain", **place)
        figure.add_annotation(_label(mark, panel), yref="y domain", **place)
    figure.update_xaxes(_axis(panel, "x"), **place)
    figure.update_yaxes(_axis(panel, "y"), **place)
    raw = is_raw(panel)
    bars = {"barmode": "overlay", "bargap": 0} if raw else {"barmode": "group", "bargap": 0.2}
    figure.update_layout(**bars, showlegend=showlegend)


def _trace(series: dict, panel: dict, slot: int, crowded: bool) -> Any:
    import plotly.graph_objects as go

    plot, colour, dashed = panel["plot"], SERIES[slot], bool(series.get("dash"))
    look: dict[str, Any] = {"name": literal(series["name"])}
    look["hovertemplate"] = _hover(series, panel)
    if is_raw(panel):
        opacity = 0.62 if len(panel["series"]) > 1 else 0.9
        return go.Histogram(
            x=_finite(series["x"]).tolist(), nbinsx=N_BINS, bingroup="1",
            marker_color=colour, opacity=opacity, **look,
        )  # fmt: skip
    look["x"] = [literal(x) if isinstance(x, str) else x for x in series["x"]]
    look["y"] = series["y"]
    if series.get("spread"):
        look["error_y"] = {"array": series["spread"], "color": colour, "thickness": 1.2, "width": 4}
    if series.get("text"):
        look["text"] = [f"\u2002{literal(text)}\u2002" for text in _texts(series)]
    if plot in ("bars", "histogram"):
        pattern = {"shape": "/", "fgcolor": SURFACE} if dashed else {}
        return go.Bar(marker={"color": colour, "pattern": pattern}, textposition="none", **look)
    symbol = SYMBOLS[slot % len(SYMBOLS)] + ("-open" if dashed else "")
    marker = {"color": colour, "size": 9 if plot == "scatter" else 7, "symbol": symbol}
    mode = "markers"
    if plot == "lines":
        mode = "lines+markers"
        look["line"] = {"color": colour, "width": 2, "dash": "dash" if dashed else "solid"}
    elif series.get("text") and not crowded:
        mode = "markers+text"
        sides = ["left" if _position(x, panel) > 0.7 else "right" for x in series["x"]]
        look |= {"textposition": [f"middle {side}" for side in sides], "textfont": {"size": 12}}
    return go.Scatter(mode=mode, marker=marker, cliponaxis=False, **look)


def _hover(series: dict, panel: dict) -> str:
    """Return the template of what hovering a point shows."""
    lines = [f"<b>{_fixed(series['name'])}</b>"]
    lines += ["%{text}"] if series.get("text") else []
    lines += [f"{_fixed(panel['x'].get('label') or 'x')}: %{{x}}", "<b>%{y}</b>"]
    lines += [_fixed(line) for line in textwrap.wrap(series.get("source") or "", 48)]
    return "<br>".join(lines) + "<extra></extra>"


def _axis(panel: dict, which: str) -> dict[str, Any]:
    axis = panel[which]
    options: dict[str, Any] = {"title": {"text": literal(axis.get("label") or ""), "standoff": 10}}
    values = [v for s in panel["series"] for v in s.get(which) or [] if v is not None]
    if which == "x" and panel["plot"] in ("bars", "histogram"):
        options["showgrid"] = False
    if which == "y":
        options["hoverformat"] = ".4f" if any(isinstance(v, float) for v in values) else ",d"
    if axis.get("log"):
        positive = [v for v in values if v > 0]
        ticks = _log_ticks(min(positive), max(positive)) if positive else []
        options |= {"type": "log", "tickvals": ticks, "ticktext": [f"{v:g}" for v in ticks]}
    return options


def _log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 of each decade, or 1 alone if that would be many."""
    first, last = math.floor(math.log10(low)), math.floor(math.log10(high))
    steps = (1, 2, 5) if last - first < 2 else (1,)
    return [step * 10.0**decade for decade in range(first, last + 2) for step in steps]


def _shape(mark: dict, colours: dict[str, int]) -> dict[str, Any]:
    """Return a range of x as a band, or a single x as a line, over the whole height."""
    slot = colours.get(str(mark.get("model")).lower())
    colour = MUTED if slot is None else SERIES[slot]
    shape = {"x0": mark["from"], "x1": mark["to"], "y0": 0, "y1": 1}
    if mark["from"] == mark["to"]:
        return shape | {"type": "line", "line": {"color": colour, "width": 1.5, "dash": "dot"}}
    fill = {"fillcolor": colour, "opacity": 0.14, "line": {"width": 0}, "layer": "below"}
    return shape | fill | {"type": "rect"}


def _label(mark: dict, panel: dict) -> dict[str, Any]:
    """Return the label of a mark, above the plot, extending to the side that has space."""
    low, high = mark["from"], mark["to"]
    position = _position((low + high) / 2, panel)
    anchor = "left" if position < 0.25 else "right" if position > 0.75 else "center"
    if panel["x"].get("log"):  # annotations take logarithms, shapes do not
        low, high = math.log10(low), math.log10(high)
    place = {"x": (low + high) / 2, "xanchor": anchor, "y": 1, "yanchor": "bottom"}
    text = {"text": literal(mark["label"]), "font": {"size": 11, "color": MUTED}}
    return place | text | {"showarrow": False}


def _position(x: Any, panel: dict) -> float:
    """Return the position of x along its axis, 0..1; .5 if there is none."""
    values = [v for s in panel["series"] for v in s["x"] if isinstance(v, int | float)]
    if not isinstance(x, int | float):
        return 0.5
    values += [mark[end] for mark in panel.get("marks") or [] for end in ("from", "to")]
    if panel["x"].get("log"):
        x, values = math.log10(x) if x > 0 else None, [math.log10(v) for v in values if v > 0]
    if x is None or not values or min(values) == max(values):
        return 0.5
    return (x - min(values)) / (max(values) - min(values))


def literal(text: Any) -> str:
    """Escape a text, so that plotly reads no markup in it and the page no colour."""
    escaped = html.escape(str(text), quote=False)
    return "&#35;" + escaped[1:] if escaped.startswith("#") else escaped


def _fixed(text: Any) -> str:
    """Escape a text for a template of plotly's."""
    return literal(text).replace("%", "&#37;")


# --- values as text -------------------------------------------------------------------------------


def values(panel: dict) -> tuple[list[str], list[list[str]]]:
    """Return a panel as a table: its header and its rows."""
    x_label, y_label = panel["x"].get("label") or "x", panel["y"].get("label") or "y"
    if is_raw(panel):
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
    """Return what a figure cannot show: the exact place of its marks, what a log axis omits."""
    lines = []
    for panel in figure["panels"]:
        where = f"{panel['title']}, " if len(figure["panels"]) > 1 and panel.get("title") else ""
        for mark in panel.get("marks") or []:
            low, high = _tick(mark["from"]), _tick(mark["to"])
            source = f" ({mark['source']})" if mark.get("source") else ""
            extent = low if low == high else f"{low} to {high}"
            lines.append(f"{where}{mark['label']}: {extent}{source}")
        omitted: dict[str, list[str]] = {}
        for series in panel["series"] if panel["x"].get("log") else ():
            for x, value in zip(series["x"], _values(series), strict=True) if series["y"] else ():
                if isinstance(x, int | float) and x <= 0:
                    omitted.setdefault(_tick(x), []).append(f"{series['name']} {value}")
        for x, points in omitted.items():
            label = panel["x"].get("label") or "x"
            lines.append(f"{where}not on the log axis, {label} = {x}: {'; '.join(points)}")
    return [f"{note[:1].upper()}{note[1:]}." for note in dict.fromkeys(lines)]


def is_raw(panel: dict) -> bool:
    """Tell whether a panel is a histogram of raw values, rather than of counts."""
    return panel["plot"] == "histogram" and not any(series.get("y") for series in panel["series"])


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
