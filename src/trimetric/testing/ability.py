"""Checks of what some models can do and others refuse: a space, fold-in, explanations, new data."""

from copy import copy

import numpy as np

from trimetric.errors import Unsupported
from trimetric.testing.cases import Case, folder, learned, lists, raises


def check_space(case: Case) -> None:
    """Models declare a metric space or refuse an L2 index; the scorer can do what they declare."""
    model, data = case.model, case.data
    assert model.capabilities == model.scorer.capabilities
    if "metric space" in model.capabilities:
        assert model.items.shape[0] == data.n_items
        assert model.users.shape[0] == data.n_users
        return
    for side in ("users", "items"):
        with raises(Unsupported, "no distance between two points"):
            getattr(model, side)


def check_fold_in(case: Case) -> None:
    """Models place new users and stay as they are, or refuse to place them."""
    model, ids = case.model, case.data.item_ids.values
    items = ids[:3]
    if "fold-in" not in model.capabilities:
        with raises(Unsupported, "new user without being trained again"):
            model.recommend_for(items)
        with raises(Unsupported, "new user without being trained again"):
            model.explain_for(items, ids[5])
        return
    before = learned(model)
    answer = model.recommend_for(items, k=4)
    assert answer.columns == ["item", "rank", "score", "distance"]
    assert answer["rank"].to_list() == [1, 2, 3, 4]
    assert not set(answer["item"]) & set(items)
    assert answer["distance"].is_sorted()
    assert learned(model) == before


def check_explanations(case: Case) -> None:
    """Models explain the list that they give, or refuse to."""
    model, user = case.model, case.data.user_ids.values[0]
    answer = model.recommend([user], k=3)
    if "metric space" not in model.capabilities:
        with raises(Unsupported, "cannot say why"):
            model.explain(user, answer["item"][0])
        return
    for _, item, rank, _, distance in answer.rows():
        why = model.explain(user, item)
        assert (why.rank, np.float32(why.d2), why.seen) == (rank, np.float32(distance), False)


def check_new_interactions(case: Case) -> None:
    """Models take in new users and items and keep their promises, or refuse to take them in."""
    users, items = case.data.user_ids.values, case.data.item_ids.values
    if "fold-in" not in case.model.capabilities:
        with raises(Unsupported, "fit it anew"):
            case.model.partial_fit((users[:1], items[:1]))
        return
    day = (["a new one", *users[:2], "\x01"], [items[0], "zz", items[7], "zz"])
    newer = copy(case.model).partial_fit(day)
    assert {"a new one", "\x01"} < set(newer.user_ids.values)
    assert len(newer.item_ids) == len(items) + 1
    with folder() as out:
        newer.save(out)
        again = case.load(out)
    assert learned(again) == learned(newer)
    assert again.provenance["updates"][0]["users"] == 2
    answer = again.recommend(["a new one", "\x01"], k=50)
    assert answer.equals(newer.recommend(["a new one", "\x01"], k=50))
    assert items[0] not in lists(answer)["a new one"]
    assert learned(case.model) == case.weights
