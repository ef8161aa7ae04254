"""Learned margins of a trained model, and on their way there."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from trimetric.data.splits import Split

LOW = 0.1  # below it a margin counts as collapsed


def margins_of(model: Any, split: "Split") -> dict[str, Any]:
    """Return margins, limits and activity of users and items that have training interactions.

    Where margins are fixed, all have the same.
    """
    columns: dict[str, Any] = {}
    for side, learned, fixed, rows, n in (
        ("user", model.user_margins, model.config.margin, split.train.users, split.train.n_users),
        (
            *("item", model.item_margins, model.config.item_margin),
            *(split.train.items, split.train.n_items),
        ),
    ):
        margins = np.full(n, fixed) if learned is None else learned
        activity = np.bincount(rows, minlength=n)
        active = activity > 0
        columns[f"{side}_activity"] = activity[active].tolist()
        columns[f"{side}_margin"] = [round(value, 5) for value in margins[active].tolist()]
        columns[f"{side}_limit"] = round(float(fixed), 5)
    return columns


class MarginTrace:
    """Means of learned margins wherever training is validated."""

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []

    def around(self, measure: Callable[[Any], float]) -> Callable[[Any], float]:
        """Return what `fit(monitor=...)` asks for: it notes the margins and returns `measure`."""

        def noted(model: Any) -> float:
            row = {}
            for side, learned, fixed in (
                ("user", model.user_margins, model.config.margin),
                ("item", model.item_margins, model.config.item_margin),
            ):
                margins = np.array([fixed]) if learned is None else learned
                row[side] = round(float(np.mean(margins, dtype=np.float64)), 5)
                row[f"{side} low"] = round(float(np.mean(margins < LOW)), 5)
            self._rows.append(row)
            return measure(model)

        return noted

    def columns(self, history: list[dict[str, Any]], metric: str) -> dict[str, list]:
        """Return epoch, share of active user hinges, and means and shares below .1, by name."""
        looked = [row for row in history if metric in row]
        rows = [
            {"epoch": row["epoch"], "active": round(row["active"], 5), **margins}
            for row, margins in zip(looked, self._rows, strict=False)
        ]
        names = rows[0] if rows else ("epoch", "active", "user", "item", "user low", "item low")
        return {name: [row[name] for row in rows] for name in names}
