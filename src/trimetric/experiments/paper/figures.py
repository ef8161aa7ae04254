"""Figures 4 to 6: λ, γ and the learned margins, with and without the leak."""

from dataclasses import replace
from typing import Any

import numpy as np

from trimetric.errors import ParameterError
from trimetric.evaluation.significance import spread
from trimetric.experiments.jobs import LEAKED
from trimetric.experiments.paper import published, trajectories
from trimetric.experiments.paper.cells import CAUTION, Result, cell
from trimetric.experiments.paper.nominal import frozen
from trimetric.experiments.paper.recipes import (
    FRESH,
    GAMMAS,
    HARD,
    LAMBDA,
    LAMBDAS,
    TUNED_FOR,
    UNIFORM,
    gamma_of,
    honest,
    leaked,
    printed_sweep,
    runs,
)
from trimetric.experiments.study import Plan
from trimetric.experiments.tune import Budget


def sweep_plans(spend: Budget, seeds: int, dataset: str | None) -> dict[str, Plan]:
    """Return the plans of Figure 4: λ with γ as in the paper."""
    gamma, plans = gamma_of(dataset), {}
    for lam in LAMBDAS:
        point = {"lam": lam, "gamma": gamma}
        plans[f"fig4 leaked {lam}"] = runs(leaked("sml", spend, **point), seeds)
        plans[f"fig4 honest {lam}"] = runs(honest("sml", {**UNIFORM, "lr": 0.05, **point}), seeds)
    plans["fig4 printed"] = printed_sweep("lam", LAMBDAS, dataset, seeds)
    return plans


def margin_plans(spend: Budget, seeds: int, dataset: str | None) -> dict[str, Plan]:
    """Return the plans of Figures 5 and 6: γ with λ as in the paper, and the margins kept."""
    plans: dict[str, Plan] = {}
    for gamma in GAMMAS:
        point = {"lam": LAMBDA, "gamma": gamma}
        leaked_job = replace(leaked("sml", spend, **point), margins=True)
        plans[f"fig5 leaked {gamma}"] = runs(leaked_job, seeds)
        plain = honest("sml", {**UNIFORM, "lr": 0.05, **point}, margins=True)
        plans[f"fig5 honest {gamma}"] = runs(plain, seeds)
        hard = honest("sml", {**HARD, "gamma": gamma}, margins=True)
        plans[f"fig5 hard {gamma}"] = runs(hard, seeds)
    plans["fig5 printed"] = printed_sweep("gamma", GAMMAS, dataset, seeds)
    return plans


def spread_out(outcomes: dict[str, Any]) -> dict[str, Any]:
    """Give each point of a sweep as printed a key of its own, as the other sweeps have."""
    swept = [
        (key, found) for key, found in outcomes.items() if key in ("fig4 printed", "fig5 printed")
    ]
    points = {f"{key} {value}": results for key, found in swept for value, results in found.items()}
    return {**outcomes, **points}


def figure4(outcomes: dict[str, Any], dataset: str | None) -> list[dict[str, Any]]:
    """Return the section of Figure 4."""
    return [_sweep(outcomes, dataset, "fig4", LAMBDAS, "λ", published.figure4)]


def figure5(outcomes: dict[str, Any], dataset: str | None) -> list[dict[str, Any]]:
    """Return the section of Figure 5."""
    return [_sweep(outcomes, dataset, "fig5", GAMMAS, "γ", published.figure5)]


def _sweep(
    outcomes: dict[str, Any], dataset: str | None, name: str, values: Any, sign: str, stated: Any
) -> dict[str, Any]:
    number = name[-1]
    other = f"γ = {gamma_of(dataset):g}" if sign == "λ" else f"λ = {LAMBDA:g}"
    try:
        statement = stated(dataset) if dataset else None
    except ParameterError:
        statement = None  # the paper has no such figure of this data set
    marks = []
    if statement:
        marks.append(
            {
                "from": statement.optimum,
                "to": statement.optimum,
                "label": f"published optimum, {sign} ≈ {statement.optimum:g}",
                "source": statement.source,
                "model": "sml",
            }
        )
    panels = [
        _lines(outcomes, f"{name} leaked", values, sign, "as-released (leak)", LEAKED, marks),
        _lines(
            outcomes, f"{name} honest", values, sign, "honest, 499 fresh candidates", FRESH, marks
        ),
        _lines(
            outcomes,
            f"{name} printed",
            values,
            sign,
            "as printed, 499 fresh candidates",
            FRESH,
            marks,
        ),
    ]
    fixed = _fixed_points(outcomes, name, values) if sign == "γ" else ""
    quoted = f" The paper: {statement.text} ({statement.source})." if statement else ""
    return {
        "kind": "figure",
        "name": f"figure{number}",
        "title": f"Figure {number}: SML by {sign}",
        "caption": f"The paper's form of SML, {other}; as released, trained without the leak at"
        " learning rate .05, and as printed (Adam, N(.1, variance .03), rate by validation). Means"
        f" over seeds, whiskers the standard deviation.{quoted}{fixed}",
        "warning": CAUTION,
        "panels": panels,
    }


def _lines(
    outcomes: dict[str, Any],
    key: str,
    values: Any,
    sign: str,
    title: str,
    protocol: str,
    marks: Any,
) -> dict[str, Any]:
    series = []
    for metric in ("micro_recall@5", "micro_recall@10"):
        points = [cell(outcomes[f"{key} {v}"], protocol, metric, title) for v in values]
        series.append(
            {
                "name": published.shown(metric),
                "x": list(values),
                "y": [point["value"] for point in points],
                "spread": [point.get("spread") for point in points],
                "source": points[0]["source"],
                "dash": metric == "micro_recall@10",
                "model": "sml",
            }
        )
    return {
        "title": title,
        "plot": "lines",
        "x": {"label": sign, "log": True},
        "y": {"label": "HR (paper)@K"},
        "series": series,
        "marks": marks,
    }


def _fixed_points(outcomes: dict[str, Any], name: str, values: Any) -> str:
    """Say at which γ no margin ever left its limit, so that the point is one of fixed margins."""
    found = []
    for kind in ("leaked", "honest", "printed"):
        at = [v for v in values if all(frozen(r) for r in outcomes[f"{name} {kind} {v}"])]
        if at:
            found.append(f"{KINDS[kind]} at γ = {', '.join(f'{v:g}' for v in at)}")
    if not found:
        return ""
    told = "; ".join(found)
    return f" No margin ever left its limit, so that these points are fixed margins: {told}."


BINS = 40  # of the histograms of margins
SHOWN = 600  # points of a scatter


# --- margins --------------------------------------------------------------------------------------

KINDS = {
    "leaked": "as-released (leak)",
    "honest": "honest, uniform negatives",
    "printed": "honest, as printed",
    "hard": "honest, hardest of 10",
}


def figure6(outcomes: dict[str, Any], dataset: str | None) -> list[dict[str, Any]]:
    """Return the sections of Figure 6: margins against activity, and when they collapse."""
    gamma = gamma_of(dataset)
    how = f"γ = {gamma:g}, λ = {LAMBDA:g} (hard negatives: trimetric's λ), l = 1, first seed"
    margins = {
        "kind": "figure",
        "name": "figure6",
        "title": "Figure 6: the learned margins",
        "caption": f"How many users and items have which margin; {how}.",
        "warning": CAUTION,
        "panels": [_histogram(outcomes, side, gamma, dataset) for side in ("user", "item")],
    }
    activity = {
        "kind": "figure",
        "name": "figure6-activity",
        "title": "Margins against activity",
        "caption": f"Each user's and item's margin by its training interactions; {how}.",
        "warning": CAUTION,
        "panels": [_scatter(outcomes[f"fig5 {k} {gamma}"][0], title) for k, title in KINDS.items()],
    }
    return [margins, activity, *trajectories.figure(outcomes, KINDS, GAMMAS), *_collapse(outcomes)]


def _histogram(
    outcomes: dict[str, Any], side: str, gamma: float, dataset: str | None
) -> dict[str, Any]:
    series = []
    edges = np.linspace(0, 1, BINS + 1)
    for kind, title in KINDS.items():
        margins = outcomes[f"fig5 {kind} {gamma}"][0]["margins"][f"{side}_margin"]
        counts, _ = np.histogram(np.clip(margins, 0, 1), edges)
        series.append(
            {
                "name": title,
                "x": ((edges[1:] + edges[:-1]) / 2).round(4).tolist(),
                "y": counts.tolist(),
                "source": f"this run, {title}, seed 0, counted in {BINS} bins of 0..l",
            }
        )
    marks = []
    if dataset in ("instant-video", "imdb"):
        ranges = published.figure6(dataset)
        low, high = ranges.users if side == "user" else ranges.items
        marks.append({"from": low, "to": high, "label": "published range", "source": ranges.source})
    return {
        "title": f"{side} margins",
        "plot": "histogram",
        "x": {"label": f"{'m_u' if side == 'user' else 'n_v'}"},
        "y": {"label": f"{side}s", "log": True},
        "series": series,
        "marks": marks,
    }


def _scatter(result: Result, title: str) -> dict[str, Any]:
    margins, series = result["margins"], []
    for side in ("user", "item"):
        x, y = np.array(margins[f"{side}_activity"]), np.array(margins[f"{side}_margin"])
        shown = np.argsort(x, kind="stable")
        if len(shown) > SHOWN:  # enough to see the cloud, few enough to draw
            shown = shown[np.linspace(0, len(shown) - 1, SHOWN).astype(int)]
        series.append(
            {
                "name": f"{side}s",
                "x": x[shown].tolist(),
                "y": y[shown].tolist(),
                "source": f"this run, {title}, seed 0",
            }
        )
    return {
        "title": title,
        "plot": "scatter",
        "x": {"label": "training interactions", "log": True},
        "y": {"label": "margin"},
        "series": series,
    }


def _collapse(outcomes: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a table of where margins end, by γ and kind of negatives."""
    rows, fell = [], []
    for kind, title in KINDS.items():
        for gamma in GAMMAS:
            results = outcomes[f"fig5 {kind} {gamma}"]
            cells: dict[str, Any] = {}
            for side in ("user", "item"):
                margins = [np.array(r["margins"][f"{side}_margin"]) for r in results]
                source = f"this run, {title}, {len(results)} seeds"
                for key, each in (
                    ("mean", [m.mean() for m in margins]),
                    ("low", [(m < 0.1).mean() for m in margins]),
                    ("full", [(m > 0.99).mean() for m in margins]),
                ):
                    mean, deviation = spread([float(v) for v in each])
                    cells[f"{side} {key}"] = {"value": mean, "spread": deviation, "source": source}
            protocol = LEAKED if kind == "leaked" else "full"
            metric = "micro_recall@5" if kind == "leaked" else TUNED_FOR
            cells["quality"] = cell(results, protocol, metric, title)
            cells["measure"] = {"value": f"{published.shown(metric)}, {protocol}", "source": title}
            rows.append({"label": f"{title}, γ = {gamma:g}", "cells": cells})
            if cells["user low"]["value"] > 0.5:
                fell.append(f"{title} at γ = {gamma:g}")
    columns = [
        {"key": f"{side} {key}", "label": label, "group": f"{side} margins", "format": form}
        for side in ("user", "item")
        for key, label, form in (
            ("mean", "mean", "{:.3f}"),
            ("low", "share below .1", "{:.2f}"),
            ("full", "share at l", "{:.2f}"),
        )
    ]
    columns += [
        {"key": "quality", "label": "quality", "group": "test part"},
        {"key": "measure", "label": "measured as", "group": "test part"},
    ]
    table = {
        "kind": "table",
        "title": "Whether and when margins collapse",
        "caption": "Margins start at their limit l = 1. A margin that no γ holds up falls until"
        " its hinge rests. Where the share at l is 1, margins are fixed ones and γ decides nothing."
        " λ as in Figure 6.",
        "warning": CAUTION,
        "label": "training",
        "format": "{:.4f}",
        "columns": columns,
        "rows": rows,
    }
    summary = (
        f"More than half of the users end below a margin of .1 with: {'; '.join(fell)}."
        if fell
        else "In no run did more than half of the users end below a margin of .1."
    )
    text = {
        "kind": "text",
        "title": "Margins, in words",
        "paragraphs": [summary],
    }
    return [table, text]
