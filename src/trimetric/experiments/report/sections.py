"""Sections of a report as the dictionaries that `report.write` documents."""

from typing import Any

Section = dict[str, Any]


def text(title: str, *paragraphs: str) -> Section:
    """Return a section of paragraphs."""
    return {"kind": "text", "title": title, "paragraphs": list(paragraphs)}


def table(title: str, columns: list[dict], rows: list[dict], **options: Any) -> Section:
    """Return a table; options are caption, warning, label, best, format, or further JSON values."""
    return {"kind": "table", "title": title, **options, "columns": columns, "rows": rows}


def figure(name: str, title: str, panels: list[dict], **options: Any) -> Section:
    """Return a figure; options are caption and warning."""
    return {"kind": "figure", "name": name, "title": title, **options, "panels": panels}


def column(key: str, label: str = "", **options: Any) -> dict[str, Any]:
    """Return a column; options are group, higher_is_better, leak and format."""
    return {"key": key, "label": label or key, **options}


def row(label: str, cells: dict[str, Any]) -> dict[str, Any]:
    """Return a row: cells by the keys of columns."""
    return {"label": label, "cells": cells}


def cell(value: Any, source: str, **options: Any) -> dict[str, Any]:
    """Return a cell; options are spread and mark. For None, the source says why it is missing."""
    return {"value": value, "source": source, **options}


def panel(
    title: str, plot: str, x: dict | str, y: dict | str, series: list[dict], **options: Any
) -> dict[str, Any]:
    """Return a panel of a figure; x and y are axes, or their labels."""
    axes = {"x": x, "y": y}
    labelled = {k: {"label": axis} if isinstance(axis, str) else axis for k, axis in axes.items()}
    return {"title": title, "plot": plot, **labelled, "series": series, **options}
