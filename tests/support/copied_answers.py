"""Answers of models as bytes, asked here, in a process of its own, or in a fork of that."""

import os
import pickle
from typing import Any

from trimetric.errors import TrimetricError, Unsupported


def bits(model: Any) -> dict[str, bytes]:
    """Return what a model answers, and what it holds, to the last bit."""
    users, items = (ids[:][::7].to_list() for ids in (model.user_ids, model.item_ids))
    asked = {
        "recommend": lambda: model.recommend(users, 7),
        "recommend diverse": lambda: model.recommend(users, 7, diversity=0.5),
        "recommend_for": lambda: model.recommend_for(items[:3], 7),
        "similar_items": lambda: model.similar_items(items, 7),
        "similar_users": lambda: model.similar_users(users, 7),
        "score": lambda: model.score(list(zip(users, items, strict=False))).tobytes(),
        "fold_in": lambda: model.fold_in(items[:3]).tobytes(),
        "explain": lambda: model.explain(users[0], items[0]).sentence().encode(),
        "repr": lambda: repr(model).encode(),
    }
    found = {}
    for name, ask in asked.items():
        try:
            answer = ask()
        except Unsupported as error:
            if "spawn" in str(error):
                raise
            answer = f"{type(error).__name__}: {error}".encode()
        found[name] = (
            answer if isinstance(answer, bytes) else pickle.dumps(answer.to_dict(as_series=False))
        )
    found |= {f"tensor {name}": array.tobytes() for name, array in model.tensors().items()}
    return found


def bits_in_a_fork(model: Any) -> dict[str, bytes] | str:
    """Return the same from a fork of this process, or the error there."""
    into, out = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            found: Any = bits(model)
        except TrimetricError as error:
            found = str(error)
        with open(out, "wb") as file:
            pickle.dump(found, file)
        os._exit(0)
    os.close(out)
    with open(into, "rb") as file:
        found = pickle.load(file)
    os.waitpid(child, 0)
    return found
