"""Reads artifacts one after another, as a process of its own that a fault may end.

Each argument is a folder; a line is printed before and after each: what came of it.
"""

import sys
import traceback
import warnings
from typing import Any

import numpy as np
import polars as pl

import trimetric as tm
from trimetric.errors import ArtifactError, TrimetricError
from trimetric.models.sharded import ShardedModel


def finite(frame: pl.DataFrame) -> None:
    for name in ("score", "distance"):
        if name in frame.columns:
            values = frame[name].drop_nulls().to_numpy()
            assert np.isfinite(values).all(), (name, values[:5])


def check(values: np.ndarray) -> None:
    assert np.isfinite(values).all(), values


def ask(model: Any) -> None:
    """Ask a model for all that it can answer; every figure must be finite."""
    able = model.capabilities
    users, items = (ids.values[:20].to_list() for ids in (model.user_ids, model.item_ids))
    for request in (
        lambda: finite(model.recommend(users, 1000)),
        lambda: finite(model.recommend(users, 10, exclude_seen=False, diversity=0.5)),
        lambda: finite(model.recommend_for(items[:3], 1000)),
        lambda: finite(model.similar_items(items, 1000)) if "similar items" in able else None,
        lambda: finite(model.similar_users(users, 1000)),
        lambda: model.explain(users[0], items[0]).sentence() if "explanations" in able else None,
        lambda: check(model.score([(users[0], items[0])])),
        lambda: model.user_embeddings,
        lambda: repr(model) + str(model.history) + str(model.provenance),
        lambda: model.partial_fit((users[:1], items[:1]), epochs=1),
    ):
        try:
            request()
        except ArtifactError:
            raise
        except TrimetricError:
            pass  # what this model cannot do, and says so


def read(folder: str) -> str:
    try:
        model = tm.load(folder)
    except ArtifactError:
        found = "refused"
    else:
        ask(model)
        found = "answers"
    try:
        sharded = ShardedModel.open(folder)
        for part in range(sharded.n_parts):
            sharded.part(part)
        ask(sharded.whole(mapped=True))
    except ArtifactError:
        pass
    return found


def main() -> None:
    """Read all that is named on standard input."""
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        folder = line.rstrip("\n")
        try:
            found = read(folder)
        except BaseException:
            found = "fault " + traceback.format_exc().replace("\n", " | ")[-1500:]
        print(found, flush=True)


if __name__ == "__main__":
    main()
