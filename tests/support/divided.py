"""Small models of every kind that can be saved in parts."""

from typing import Any

import numpy as np
import polars as pl

import trimetric as tm

P = 4
KINDS = {
    "sml": ("sml", {"variant": "all", "temperature": 0.2}),
    "cml": ("cml", {}),
    "base+s": ("base+s", {"temperature": 0.2}),
    "centroid": ("centroid", {"temperature": 0.2, "kappa": 1.0, "reconstruction": 0.25}),
    "means": ("centroid", {"temperature": 0.2, "own": 0.0, "kappa": 0.0, "reconstruction": 0.0}),
}


def interactions(kind: str = "int", weighted: bool = False) -> tm.Interactions:
    data = tm.synthetic.planted(n_users=90, n_items=50, per_user=7).interactions
    users, items = data.users * 7 - 100, data.items * 3
    if kind == "str":
        users, items = (
            [f"{sign}{row}" for row in rows] for sign, rows in (("ü", users), ("i", items))
        )
    weights = 1.0 + np.arange(len(data)) % 3
    frame = pl.DataFrame({"user": users, "item": items, "weight": weights})
    return tm.Interactions.from_frame(frame, weight="weight" if weighted else None)


def trained(name: str, data: tm.Interactions, **more: Any) -> Any:
    model, known = KINDS[name]
    quick = {"dim": 8, "epochs": 2, **known, **more}
    if model == "centroid":
        quick["reconstruction_dim"] = 4
    return tm.create(model, **quick).fit(data, progress=False)
