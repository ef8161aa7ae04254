"""Margins over epochs: where they go, by γ and kind of training."""

from typing import Any

from trimetric.experiments.paper.cells import CAUTION


def figure(
    outcomes: dict[str, Any], kinds: dict[str, str], gammas: tuple[float, ...]
) -> list[dict[str, Any]]:
    """Return the figure of mean user margins and of active user hinges over epochs, first seeds.

    A learned margin m_u has the gradient (share of its active hinges) − γ/512: it falls while more
    than γ/512 of the user's triplets are active, and is at its limit while fewer are.
    """
    panels = []
    for kind, title in kinds.items():
        traces = {
            gamma: outcomes[f"fig5 {kind} {gamma}"][0].get("trace")
            for gamma in gammas
            if outcomes[f"fig5 {kind} {gamma}"]
        }
        panels += [
            _panel(traces, "user", f"{title}: mean user margin", "mean m_u"),
            _panel(traces, "active", f"{title}: share of active user hinges", "share"),
        ]
    panels = [panel for panel in panels if panel["series"]]
    if not panels:
        return []
    return [
        {
            "kind": "figure",
            "name": "margins-over-epochs",
            "title": "Margins over epochs",
            "caption": "User margins start at l = 1, and m_u has the gradient (share of the user's"
            " active hinges) − γ/512. It falls while more hinges than that are active, and as"
            " margins fall hinges rest: what they come to is where the share is γ/512. First"
            " seed.",
            "warning": CAUTION,
            "panels": panels,
        }
    ]


def _panel(traces: dict[float, Any], name: str, title: str, label: str) -> dict[str, Any]:
    series = [
        {
            "name": f"γ = {gamma:g}",
            "x": trace["epoch"],
            "y": trace[name],
            "source": f"this run, {title}, seed 0",
        }
        for gamma, trace in traces.items()
        if trace and trace["epoch"]
    ]
    return {
        "title": title,
        "plot": "lines",
        "x": {"label": "epoch"},
        "y": {"label": label},
        "series": series,
    }
