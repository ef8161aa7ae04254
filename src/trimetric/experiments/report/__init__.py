"""Write a report to a folder: a page, the same as Markdown and JSON, and its figures.

A report is a JSON document; `write` documents its form.
"""

import json
import logging
import re
from pathlib import Path

from trimetric.errors import MissingExtra, ParameterError
from trimetric.experiments.report import figures, render, tables
from trimetric.storage.atomic import finite, output_errors, output_folder, replacing

KINDS = ("text", "table", "figure")
PLOTS = ("lines", "scatter", "histogram", "bars")
_INSTALL = "pip install 'trimetric[plots]'"


def write(report: dict, folder: Path) -> list[Path]:
    """Write report.html, report.md, report.json and a PNG of each figure.

    `subtitle`, `spread`, captions, warnings and paragraphs may have **bold** and `code`; other
    texts are shown as they are. Numbers that are not finite count as missing. PNGs need a Chrome or
    Chromium on this machine; without one they are left out, and the report says so.

    Parameters
    ----------
    report : dict
        `title`, and optionally `subtitle`, `date`, `command`, `seconds`, `seeds` (list), `spread`
        (what ± means, if not the standard deviation over seeds), `machine`, `versions`, `budget`
        and `data` (dictionaries; of `data`, `name`, `users`, `items` and `interactions` are also
        shown at the top), and `sections`, a list of

        - {"kind": "text", "title", "paragraphs": [str]}
        - {"kind": "table", "title", "caption", "warning", "label": of the first column, "best":
          embolden the best of each column, "format": "{:.4f}", "columns", "rows"}, where a column
          is {"key", "label", "group", "higher_is_better": true, false or null, "leak": bool,
          "format"}, a row {"label", "cells": {key: cell}} and a cell {"value": float, int, str or
          null, "spread", "mark", "source": where it is from, or why it is missing}. Without
          "leak", a column leaks if the name of its group says so.
        - {"kind": "figure", "name": of its file, "title", "caption", "warning", "panels"}, where a
          panel is {"title", "plot": one of `PLOTS`, "x": {"label", "log"}, "y": the same,
          "series", "marks"}, a series {"name", "x", "y", "spread", "text": of each point,
          "source", "dash": bool, "model": whose colour it has, if not its name's} and a mark,
          a line or band across, {"from", "to", "label", "source", "model"}. A histogram takes raw
          values as x, or with y its bins and their counts.
    folder : Path
        Made if need be. Files of the same names are replaced, each in one step.

    Returns
    -------
    list of Path
        What was written, the page first.

    Raises
    ------
    ParameterError
        If a section is not as above.
    MissingExtra
        If there are figures but no plotly; everything but the page is then written.
    OutputError
        If a file cannot be written.
    """
    report = finite(report)
    _check(report)
    drawn = [section for section in report["sections"] if section["kind"] == "figure"]
    require_templates()
    with output_errors(folder), output_folder(folder):
        plotly, missing = _plotly(drawn)
        images, omitted = ({}, str(missing)) if missing else _images(drawn)
        names = {name: f"{name}.png" for name in images}
        files = {names[name]: image for name, image in images.items()}
        files["report.json"] = readable(report).encode()
        files["report.md"] = render.markdown(report, names, omitted).encode()
        for name, content in files.items():
            _put(folder / name, content)
        if missing:
            raise missing
        _put(folder / "report.html", render.html(report, plotly, omitted).encode())
    return [folder / name for name in ("report.html", "report.md", "report.json", *names.values())]


def check_installed() -> None:
    """Raise MissingExtra unless reports can be written; call it before long work."""
    require_templates()
    plotly_js()


def require_templates() -> None:
    """Raise MissingExtra if jinja2 is not installed."""
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise MissingExtra(f"reports need jinja2, which is not installed: {_INSTALL}") from None


def plotly_js() -> str:
    """Return the code of plotly.js.

    Raises
    ------
    MissingExtra
        If plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise MissingExtra(f"figures need plotly, which is not installed: {_INSTALL}") from None
    return get_plotlyjs()


def _plotly(drawn: list[dict]) -> tuple[str, MissingExtra | None]:
    """Return the code of plotly.js if needed, or the error to raise once the rest is written."""
    try:
        return (plotly_js() if drawn else ""), None
    except MissingExtra as error:
        return "", error


def _images(drawn: list[dict]) -> tuple[dict[str, bytes], str]:
    """Return a PNG for each figure, or none and the reason."""
    if not drawn:
        return {}, ""
    try:
        import kaleido
    except ImportError:
        return {}, f"Figures are not there as PNG: kaleido is not installed ({_INSTALL})."
    for name in ("kaleido", "choreographer", "asyncio"):  # failures are mentioned in the report
        logging.getLogger(name).setLevel(logging.CRITICAL)
    colours, images = figures.slots(drawn), {}
    try:
        for figure in drawn:
            image = figures.composite(figure, colours)
            size = {"width": image.layout.width, "height": image.layout.height, "scale": 2}
            options = {"mathjax": False, "timeout": 60}  # MathJax would come from the network
            images[figure["name"]] = kaleido.calc_fig_sync(
                image.to_dict(), opts={"format": "png", **size}, kopts=options
            )
    except Exception as error:  # the page has the figures; a failing browser is no reason to stop
        if type(error).__name__ == "ChromeNotFoundError":
            return {}, "Figures are not there as PNG: they need Chrome or Chromium, found neither."
        return {}, f"Figures are not there as PNG: the browser failed ({type(error).__name__})."
    return images, ""


def readable(report: dict) -> str:
    """Return a report as indented JSON, lists of plain values in one line each."""
    text = json.dumps(report, indent=1, ensure_ascii=False)
    # A string holds no line break in JSON, so that these brackets are those of lists.
    lists, breaks = re.compile(r"\[\n\s*([^\[\]{}]*?)\n\s*\]"), re.compile(r",\n *")
    return lists.sub(lambda found: "[" + breaks.sub(", ", found[1]) + "]", text) + "\n"


def _put(path: Path, content: bytes) -> None:
    with replacing(path) as out:
        out.write(content)


def _check(report: dict) -> None:
    names: set[str] = set()
    for i, section in enumerate(report["sections"], 1):
        kind = section.get("kind")
        if kind not in KINDS:
            raise ParameterError(f"section {i}: kind must be one of {KINDS}, got {kind!r}")
        if kind == "table":
            for form in [section.get("format"), *(c.get("format") for c in section["columns"])]:
                tables.check_format(form or "{:.4f}")
        if kind == "figure":
            name = section["name"]
            if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name) or name in names or name == "report":
                raise ParameterError(
                    f"section {i}: a figure's name must be unique, of a-z, 0-9, - and _,"
                    f" got {name!r}; it becomes the name of a file"
                )
            names.add(name)
            for panel in section["panels"]:
                _check_panel(panel, f"figure {name}")


def _check_panel(panel: dict, where: str) -> None:
    plot = panel.get("plot")
    if plot not in PLOTS:
        raise ParameterError(f"{where}: plot must be one of {PLOTS}, got {plot!r}")
    for mark in panel.get("marks") or []:
        if panel["x"].get("log") and mark["from"] <= 0:
            raise ParameterError(
                f"{where}, mark {mark['label']}: on a log axis it must be above 0,"
                f" got {mark['from']}"
            )
    for series in panel["series"]:
        n = len(series["x"])
        for key in ("y", "spread", "text"):
            given = series.get(key)
            if (given or (key == "y" and plot != "histogram")) and len(given or ()) != n:
                raise ParameterError(
                    f"{where}, series {series['name']}: {key} must be as long as x,"
                    f" {n}, got {len(given or ())}"
                )
