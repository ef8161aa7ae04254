"""Checks of what some models can do and others refuse: a space, fold-in, explanations, new data."""

from contextlib import suppress
from copy import copy
from typing import Any

import numpy as np

from trimetric.errors import ParameterError, UnknownIds, Unsupported
from trimetric.models.recommender import Recommender
from trimetric.testing.cases import Case, folder, learned, lists, raises, warns


def check_space(case: Case) -> None:
    """Models declare a metric space or refuse an L2 index; the scorer can do what they declare."""
    model, data = case.model, case.data
    assert model.capabilities == model.scorer.capabilities
    if "metric space" in model.capabilities:
        assert model.item_embeddings.shape[0] == data.n_items
        assert model.user_embeddings.shape[0] == data.n_users
        return
    for side, n in (("user", data.n_users), ("item", data.n_items)):
        with suppress(Unsupported):  # where the score is made of no embeddings
            assert getattr(model, f"{side}_embeddings").shape[0] == n


def check_fold_in(case: Case) -> None:
    """Models place new users and stay as they are, or refuse to place them."""
    model, ids = case.model, case.data.item_ids.values
    items = ids[:3]
    if "fold-in" not in model.capabilities:
        if "new users" in model.capabilities:
            before = learned(model)
            answer = model.recommend_for(items, k=4)
            assert answer.columns == ["item", "rank", "score"]
            assert not set(answer["item"]) & set(items)
            assert answer["score"].is_sorted(descending=True)
            assert learned(model) == before
        else:
            with raises(Unsupported, "new user without being trained again"):
                model.recommend_for(items)
        if not {"new users", "explanations"} <= model.capabilities:
            with raises(Unsupported, "new user without being trained again|cannot say why"):
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
    """Models explain the list that they give, or refuse to; what adds to a score sums to it."""
    model, user = case.model, case.data.user_ids.values[0]
    answer = model.recommend([user], k=3).drop("user")
    if "explanations" not in model.capabilities:
        with raises(Unsupported, "cannot say why"):
            model.explain(user, answer["item"][0])
        return
    asked: list[Any] = [(answer, lambda item, **given: model.explain(user, item, **given))]
    if {"fold-in", "new users"} & model.capabilities:
        basket = {case.data.item_ids.values[3]: 2, case.data.item_ids.values[8]: 1}
        for_new = model.recommend_for(basket, k=3)
        asked.append((for_new, lambda item, **given: model.explain_for(basket, item, **given)))
    for listed, explain in asked:
        for row in listed.to_dicts():
            why = explain(row["item"], reasons=1000, examine=3)
            assert (why.rank, np.float32(why.score), why.seen) == (row["rank"], row["score"], False)
            assert f"{row['item']} is number {row['rank']} for " in why.sentence()
            if why.by == "distance":
                assert np.float32(why.d2) == -row["score"]
                continue
            assert why.d2 is None
            parts, own = [float(reason.adds or 0) for reason in why.reasons], float(why.own or 0)
            assert all(parts)
            assert parts == sorted(parts, reverse=True)
            assert abs(sum(parts) + own - why.score) < 1e-4 * (abs(own) + sum(map(abs, parts)))
            assert (why.by == "count") == (not parts and why.own == why.score != 0)
            if why.by == "sum" and why.user is None:
                assert why.own == 0
            if why.counterfactual is not None and why.user is None:
                assert why.counterfactual.rank_with == why.rank


def check_new_interactions(case: Case) -> None:
    """Models take in new users and items and keep their promises, or refuse to take them in."""
    users, items = case.data.user_ids.values, case.data.item_ids.values
    if case.kind.partial_fit is Recommender.partial_fit:
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


def check_weights_of_a_basket(case: Case) -> None:
    """Weights are matched by id, repeats added up, and other forms refused."""
    model, ids = case.model, case.data.item_ids.values.to_list()
    if not {"fold-in", "new users"} & model.capabilities:
        return
    a, b, c = ids[:3]
    answer = model.recommend_for([a, b, c], weights=[1, 9, 2])
    forms: list[tuple[Any, Any]] = [
        ({a: 1, b: 9, c: 2}, None),
        ([c, a, b], {a: 1, b: 9, c: 2}),
        (iter([c, b, a]), iter([2, 9, 1])),
        ([a, b, c, c, b], [1, 4, 1, 1, 5]),
        ([c, a, c, *[b] * 9], None),
        (np.array([b, a, c]), np.array([9, 1, 2], dtype=np.uint8)),
    ]
    for given, weights in forms:
        assert model.recommend_for(given, weights=weights).equals(answer)
    refused: list[tuple[Any, str]] = [
        ({a: 1, b: 9}, f"no weight for item '{c}'"),
        ({a: 1, b: 9, c: 2, "x": 1}, "weights for 'x', which are not among"),
        ([1, 9], "one number for each of 3"),
        ([1, 9, 0], "above 0 and finite"),
        ([1, 9, "2"], "above 0 and finite"),
        ({1, 9, 2}, "a set has no order"),
    ]
    for weights, match in refused:
        with raises(ParameterError, match):
            model.recommend_for([a, b, c], weights=weights)
    with raises(ParameterError, "given twice"):
        model.recommend_for({a: 1}, weights=[1])
    with warns("2 of 3 items are unknown and left out: 'x', 'y'"):
        assert model.recommend_for(["x", a, "y"], on_unknown="skip").equals(model.recommend_for(a))
    with raises(UnknownIds, "none of them is known"), warns(""):
        model.recommend_for(["x", "y"], on_unknown="skip")


def check_forgetting(case: Case) -> None:
    """What is forgotten is gone, and what is left answers; also after saving."""
    data = case.data
    users, items = data.user_ids.values.to_list(), data.item_ids.values.to_list()
    model = case.new().fit(data, progress=False)
    receipt = model.forget(users[3], [items[5], items[0]])
    assert receipt.users == [users[3]]
    assert set(receipt.items) == {items[0], items[5]}
    pairs = data.to_frame().rows()
    gone = [pair for pair in pairs if pair[0] == users[3] or pair[1] in (items[0], items[5])]
    assert receipt.interactions == len(gone)
    left = [user for user in users if user != users[3]]
    with folder() as out:
        model.save(out)
        again = case.load(out)
    assert learned(again) == learned(model)
    for answering in (model, again):
        assert answering.user_ids.values.to_list() == left
        answer = answering.recommend(left, 50, exclude_seen=False)
        assert set(answer["item"]) == set(items) - {items[0], items[5]}
        with raises(UnknownIds, "1 unknown user"):
            answering.recommend(users[3])
    with raises(UnknownIds, "1 unknown item"):
        model.forget(items=items[5])
    with raises(ParameterError, "nothing to forget"):
        model.forget()
    with raises(ParameterError, "no user would be left"):
        model.forget(left)
