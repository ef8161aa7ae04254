"""Tables 1 and 2: the data sets by their counts, and what each system ranks by and minimises."""

from typing import TYPE_CHECKING, Any

from trimetric.experiments.paper import published
from trimetric.models import SYSTEMS, model_class

if TYPE_CHECKING:
    from trimetric.data import Interactions

NAMES = {"instant-video": "Instant Video", "imdb": "IMDB", "yelp": "Yelp"}


def table1(data: "Interactions", released: "Interactions") -> list[dict[str, Any]]:
    """Return the section of Table 1: the paper's data sets, and the one at hand beside them.

    Parameters
    ----------
    data : Interactions
    released : Interactions
        The same as the released code has it: see `evaluation.released_data`.
    """
    rows = []
    counterpart = published.counterpart(data.name)
    for name, counts in published.TABLE1.items():
        label = f"{NAMES[name]}, published"
        rows.append(_counted(label, counts, published.SPARSITY[name], published.source(1)))
        if counterpart and counterpart.dataset == name:
            rows += _at_hand(data, released)
    if counterpart is None:
        rows += _at_hand(data, released)
    note = f" {data.name}: {counterpart.note}." if counterpart else ""
    return [
        {
            "kind": "table",
            "title": "Table 1: the data sets",
            "caption": f"What the paper prints, and what was used here.{note}",
            "label": "data set",
            "columns": [
                {"key": "users", "label": "users"},
                {"key": "items", "label": "items"},
                {"key": "interactions", "label": "interactions"},
                {"key": "sparsity", "label": "sparsity", "format": "{:.4f}"},
            ],
            "rows": rows,
        }
    ]


def table2() -> list[dict[str, Any]]:
    """Return the section of Table 2: as the paper prints it, and as each model's code has it."""
    rows = []
    for name in SYSTEMS:
        formula = model_class(name)[0].formula
        assert formula is not None
        distance, loss = published.TABLE2[name]
        ranked = "largest first" if formula.larger_is_better else "smallest first"
        here = {
            "distance": f"{formula.distance}, {ranked}",
            "loss": formula.loss,
            "note": formula.note or "as printed",
        }
        cells = {key: {"value": text, "source": "the model's code"} for key, text in here.items()}
        for key, text in (("paper distance", distance), ("paper loss", loss)):
            cells[key] = {"value": text, "source": published.source(2)}
        rows.append({"label": name, "cells": cells})
    return [
        {
            "kind": "table",
            "title": "Table 2: distances and losses",
            "caption": "On the left as printed; on the right what the code here ranks by and"
            " minimises, from the formula that each model declares. Losses are of one triplet, or"
            " of one user-item cell (bpr, cml, lrml, sml, transcf; fml, mlp, ncf).",
            "label": "system",
            "columns": [
                {"key": "paper distance", "label": "distance", "group": "published"},
                {"key": "paper loss", "label": "loss", "group": "published"},
                {"key": "distance", "label": "ranks by", "group": "here"},
                {"key": "loss", "label": "loss", "group": "here"},
                {"key": "note", "label": "difference", "group": "here"},
            ],
            "rows": rows,
        }
    ]


def _at_hand(data: "Interactions", released: "Interactions") -> list[dict[str, Any]]:
    rows = [_measured(f"{data.name}, here", data)]
    if len(released) < len(data):
        label = f"{data.name}, as released (ratings of 1 dropped)"
        rows.append(_measured(label, released))
    return rows


def _measured(label: str, data: "Interactions") -> dict[str, Any]:
    counts = data.n_users, data.n_items, len(data)
    return _counted(label, counts, 1 - counts[2] / (counts[0] * counts[1]), "this run, counted")


def _counted(
    label: str, counts: tuple[int, int, int], sparsity: float, source: str
) -> dict[str, Any]:
    names = ("users", "items", "interactions", "sparsity")
    values: dict[str, float] = dict(zip(names, (*counts, sparsity), strict=True))
    return {
        "label": label,
        "cells": {key: {"value": value, "source": source} for key, value in values.items()},
    }
