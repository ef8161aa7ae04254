"""Checks of lists and scores."""

from copy import copy
from typing import Any

import numpy as np
import polars as pl

from trimetric.data.csr import Csr
from trimetric.errors import ParameterError, UnknownIds, Unsupported
from trimetric.testing.cases import (
    Case,
    close,
    folder,
    installed,
    learned,
    lists,
    on_threads,
    planted,
    raises,
    under,
    warns,
)


@under(k=(1, 7, 1000), exclude_seen=(True, False))
def check_lists_are_brute_force(case: Case, k: int, exclude_seen: bool) -> None:
    """A list is what scoring all items one by one and sorting them gives, ties by item order."""
    model, data = case.model, case.data
    items, users = data.item_ids.values.to_list(), data.user_ids.values.to_list()
    answer = model.recommend(users, k=k, exclude_seen=exclude_seen)
    metric = "metric space" in model.capabilities
    assert answer.columns == ["user", "item", "rank", "score", *["distance"] * metric]
    seen = lists(data.to_frame().select("user", "item"))
    expected = []
    for user in users:
        has = set(seen[user]) if exclude_seen else set()
        left = [item for item in items if item not in has]
        scores = model.score([(user, item) for item in left])
        best = np.argsort(-scores, kind="stable")[:k]
        expected += [
            (user, left[at], rank, scores[at], *[-scores[at]] * metric)
            for rank, at in enumerate(best.tolist(), start=1)
        ]
    assert answer.rows() == expected


def check_allowed_and_denied_items(case: Case) -> None:
    """Filtered lists are the whole lists without what is filtered out, as long as they can be."""
    model, data = case.model, case.data
    users, items = [*data.user_ids.values[:9], "who"], data.item_ids.values
    allow, deny = [*items[3:30:2], "no item"], items[5:12].to_list()
    whole = model.recommend(users, k=1000, on_unknown="popular")
    forms: list[dict[str, Any]] = [
        {"allow": allow},
        {"deny": deny},
        {"deny": pl.Series(deny)},
        {"allow": allow, "deny": np.array(deny)},
        {"allow": []},
    ]
    for form in forms:
        kept = set(form.get("allow", items)) - set(form.get("deny", []))
        expected = lists(whole.filter(pl.col("item").is_in(list(kept))))
        for k in (2, 1000):
            answer = lists(model.recommend(users, k, on_unknown="popular", **form))
            assert answer == {user: listed[:k] for user, listed in expected.items()}
        if {"fold-in", "new users"} & model.capabilities:
            placed = model.recommend_for(items[:3], k=1000)["item"]
            listed = model.recommend_for(items[:3], k=5, **form)["item"].to_list()
            assert listed == [item for item in placed if item in kept][:5]
    for wrong, message in (([7], "allow holds 7, and .* ids are str"), (items[0], "give \\['")):
        with raises(ParameterError, message):
            model.recommend(users[:1], allow=wrong)


def check_approximate(case: Case) -> None:
    """Approximate lists are as long, of what they may hold; models without a space refuse."""
    model, data = case.model, case.data
    users, items = data.user_ids.values, data.item_ids.values
    if "metric space" not in model.capabilities:
        with raises(Unsupported, r"no distance.*leave approximate out"):
            model.recommend(users, approximate=True)
        return
    if not installed("faiss"):
        return
    form: dict[str, Any] = {"k": 7, "allow": items[:30], "deny": items[:3]}
    exact = model.recommend(users, **form)
    answer = model.recommend(users, **form, approximate=True)
    assert answer.select("user", "rank").equals(exact.select("user", "rank"))
    assert set(answer["item"]) <= set(items[3:30])
    seen = data.to_frame().select("user", "item")
    assert answer.join(seen, on=["user", "item"]).is_empty()
    assert (answer["score"].to_numpy() == model.score(answer.select("user", "item"))).all()
    if "fold-in" in model.capabilities:
        placed = model.recommend_for(items[:3], **form, approximate=True)
        assert placed["rank"].to_list() == [1, 2, 3, 4, 5, 6, 7]
        assert set(placed["item"]) <= set(items[3:30])
    model.item_embeddings[:] = model.item_embeddings[
        ::-1
    ].copy()  # live views: an index of them is out of date
    fresh = model.recommend(users, **form, approximate=True)
    assert (fresh["score"].to_numpy() == model.score(fresh.select("user", "item"))).all()
    model.item_embeddings[:] = model.item_embeddings[::-1].copy()


def check_held_out_ranks_agree_with_the_lists(case: Case) -> None:
    """The rank of each item that a user has not seen is its place in the user's list."""
    model, data = case.model, case.data
    users, items = np.indices((data.n_users, data.n_items)).reshape(2, -1)
    everything = Csr.from_pairs(users, items, data.n_users)
    held = everything.keep(~model.seen.contains(everything))
    ranks = on_threads(1, lambda: model.scorer.ranks(held, model.seen))
    listed = lists(model.recommend(data.user_ids.values, k=data.n_items))
    for row, user in enumerate(data.user_ids.values):
        mine = slice(held.indptr[row], held.indptr[row + 1])
        by_rank = held.items[mine][np.argsort(ranks[mine])]
        assert listed[user] == data.item_ids.decode(by_rank).to_list()


def check_ties_go_by_item_order(case: Case) -> None:
    """Of a model that has learned nothing but zeros, all lists begin with the first items."""
    model = case.new().fit(case.data)
    for tensor in model.tensors().values():
        tensor[...] = 0  # live views: now all items score alike
    if any(tensor.any() for tensor in model.tensors().values()):
        return  # copies, which the contract allows
    answer = model.recommend(case.data.user_ids.values[:4], k=5, exclude_seen=False)
    assert set(map(tuple, lists(answer).values())) == {tuple(case.data.item_ids.values[:5])}
    assert answer["score"].n_unique() <= 4


def check_forms_of_asking(case: Case) -> None:
    """Users come in any form, in any order and more than once, without a change of the answer."""
    model = case.model
    ids = case.data.user_ids.values[[3, 0, 7]]
    answer = model.recommend(ids, k=4)
    assert answer["user"].unique(maintain_order=True).to_list() == ids.to_list()
    forms = [ids.to_list(), tuple(ids), iter(ids), ids.to_numpy(), np.array(ids.to_list())]
    for form in forms:
        assert model.recommend(form, k=4).equals(answer)
    if installed("pandas"):
        import pandas as pd

        in_pandas = model.recommend(pd.Series(ids.to_list()), k=4)
        assert isinstance(in_pandas, pd.DataFrame)
        assert in_pandas.to_dict("list") == answer.to_dict(as_series=False)
    alone = [model.recommend(user, k=4) for user in ids]
    assert pl.concat(alone).equals(answer)
    again = model.recommend([ids[0], ids[1], ids[0]], k=4)
    assert again.equals(pl.concat([alone[0], alone[1], alone[0]]))
    nothing = model.recommend([], k=4)
    assert (nothing.height, nothing.schema) == (0, answer.schema)
    assert len(model.score([])) == 0


@under(threads=(1, 2, 3))
def check_answers_do_not_depend_on_threads(case: Case, threads: int) -> None:
    """Lists are equal to the bit on any number of threads."""
    model, users = case.model, case.data.user_ids.values
    assert on_threads(threads, lambda: model.recommend(users)).equals(model.recommend(users))


@under(side=("item", "user"))
def check_similar(case: Case, side: str) -> None:
    """What is similar is what is nearest in the space; models without one refuse."""
    model, data = case.model, case.data
    ids = data.item_ids.values if side == "item" else data.user_ids.values
    similar = model.similar_items if side == "item" else model.similar_users
    if f"similar {side}s" not in model.capabilities:
        with raises(Unsupported, f"no similar {side}s"):
            similar([ids[0]])
        return
    whole = lists(similar(ids, k=len(ids)))
    others = ids[2:9].to_list()
    for form in ({"allow": others}, {"deny": others}, {"allow": dict.fromkeys(ids, others)}):
        kept = set(others) if "allow" in form else set(ids) - set(others)
        found = lists(similar(ids, k=4, **form))
        assert found == {
            one: [other for other in listed if other in kept][:4]
            for one, listed in whole.items()
            if set(listed) & kept
        }
    with raises(UnknownIds, f"1 unknown {side}: 'nobody'"):
        similar(["nobody", ids[0]])
    with warns(f"1 of 2 {side}s are unknown and left out: 'nobody'"):
        assert similar(["nobody", ids[0]], on_unknown="skip").equals(similar(ids[0]))
    answer = similar(ids, k=5)
    assert answer.filter(answer[side] == answer["similar"]).is_empty()
    if "metric space" not in model.capabilities:
        assert answer.columns == [side, "similar", "rank", "score"]
        for group in answer.partition_by(side):
            assert group["rank"].to_list() == list(range(1, len(group) + 1))
            assert group["score"].is_sorted(descending=True)
        return
    assert answer.columns == [side, "similar", "rank", "score", "distance"]
    assert (answer["score"] == -answer["distance"]).all()
    points = (model.item_embeddings if side == "item" else model.user_embeddings).astype(np.float64)
    d2 = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(d2, np.inf)
    assert close(answer["distance"], np.sort(d2)[:, :5].ravel(), rel=1e-5)
    assert answer["rank"].to_list() == [1, 2, 3, 4, 5] * len(ids)
    listed = answer["similar"].to_numpy().reshape(len(ids), 5)
    exact = [ids.to_numpy()[np.argsort(row)[:5]] for row in d2]
    assert (listed == exact).mean() > 0.99  # roundings may swap neighbours
    assert similar(ids[0], k=10**6).height == len(ids) - 1


def check_a_prepared_copy_answers_alike(case: Case) -> None:
    """A prepared copy gives the same answers, and forgets what it prepared when trained again."""
    model, data = case.model, case.data
    users, items = data.user_ids.values, data.item_ids.values
    before, ready = model.recommend(users), model.prepared()
    for _ in range(2):
        assert on_threads(2, lambda: ready.recommend(users)).equals(before)
        if "similar users" in model.capabilities:
            assert ready.similar_users(users).equals(model.similar_users(users))
        if "similar items" in model.capabilities:
            assert ready.similar_items(items).equals(model.similar_items(items))
        if {"fold-in", "new users"} & model.capabilities:
            liked = items[:2].to_list()
            assert ready.recommend_for(liked).equals(model.recommend_for(liked))
    part = planted(n_users=50)
    again, fresh = copy(ready).fit(part), case.new().fit(part)
    assert again.recommend(users[:1]).equals(fresh.recommend(users[:1]))
    assert ready.recommend(users).equals(before)
    assert learned(model) == case.weights


@under(k=(0, -1, 1.5, "3", None, True, 10**7))
def check_bad_k(case: Case, k: Any) -> None:
    """A length that is no whole number in range is refused."""
    with raises(ParameterError, "k must be a whole number in 1"):
        case.model.recommend([case.data.user_ids.values[0]], k=k)


def check_scoring(case: Case) -> None:
    """Pairs come in any form; what is no pair, or of unknown ids, is refused."""
    model, pairs = case.model, case.data.to_frame()[:9]
    scores = model.score(pairs.rows())
    assert scores.dtype == np.float32
    forms = [pairs, pairs.to_numpy(), [list(pair) for pair in pairs.rows()]]
    if installed("pandas"):
        forms.append(pairs.to_pandas())
    for form in forms:
        assert (model.score(form) == scores).all()
    with raises(UnknownIds, "1 unknown item: 'it'"):
        model.score([(case.data.user_ids.values[0], "it")])
    for bad in (["ab"], [("a",)], [("a", "b", "c")], [7], pairs.rename({"item": "movie"})):
        with raises(ParameterError, "pairs"):
            model.score(bad)


def check_candidates_of_each_user(case: Case) -> None:
    """Candidates by user are those of one call for each user."""
    model, data = case.model, case.data
    users, items = data.user_ids.values[:5].to_list(), data.item_ids.values.to_list()
    allow = {user: items[at::3] for at, user in enumerate(users)} | {"who": items[:7]}
    deny = {user: items[at : at + 4] for at, user in enumerate(users[:3])}
    forms: list[dict[str, Any]] = [
        {"allow": allow},
        {"deny": deny},
        {"allow": allow, "deny": deny},
        {"allow": allow, "deny": items[:9]},
        {"allow": items[:20], "deny": deny},
    ]
    for form in forms:
        together = model.recommend([*users, "who"], 4, on_unknown="popular", **form)
        alone = [
            model.recommend(
                user,
                4,
                on_unknown="popular",
                **{
                    name: given.get(user, []) if isinstance(given, dict) else given
                    for name, given in form.items()
                },
            )
            for user in [*users, "who"]
        ]
        assert together.equals(pl.concat(alone))
    with raises(ParameterError, "allow names no items for user 'who'"):
        model.recommend(["who"], on_unknown="popular", allow={users[0]: items})
    with raises(ParameterError, "allow holds 7, and the model's user ids are str"):
        model.recommend(users[:1], allow={7: items})


def check_unavailable_items(case: Case) -> None:
    """Items marked as unavailable are in no list, also after saving; scores stay."""
    data = case.data
    items, users = data.item_ids.values.to_list(), data.user_ids.values[:6]
    model = case.model.snapshot().set_unavailable(items[2:12])
    with folder() as out:
        model.save(out)
        again = case.load(out)
    for marked in (model, again):
        assert marked.unavailable.to_list() == items[2:12]
        listed = marked.recommend([*users, "who"], 9, on_unknown="popular", deny=items[:1])
        expected = case.model.recommend(
            [*users, "who"], 9, on_unknown="popular", deny=items[:1] + items[2:12]
        )
        assert listed.equals(expected)
        if "similar items" in model.capabilities:
            assert not set(marked.similar_items(items[:5], 50)["similar"]) & set(items[2:12])
        if {"fold-in", "new users"} & model.capabilities:
            assert not set(marked.recommend_for(items[3], 50)["item"]) & set(items[2:12])
    assert len(case.model.unavailable) == 0
    assert len(model.set_unavailable([]).unavailable) == 0
    with raises(ParameterError, "items holds 7"):
        model.set_unavailable([7])


def check_diversity(case: Case) -> None:
    """Diverse lists hold what may be listed, and say where it stood; without a space refused."""
    model, users = case.model, case.data.user_ids.values
    if "metric space" not in model.capabilities:
        with raises(Unsupported, "more diverse"):
            model.recommend(users[:2], diversity=0.5)
        return
    whole = model.recommend(users, 40)
    for method in ("mmr", "dpp"):
        plain = model.recommend(users, 5, diversity=1e-9, rerank=method)
        assert plain.drop("rank_by_score").equals(model.recommend(users, 5))
        answer = model.recommend(users, 5, diversity=0.7, rerank=method)
        assert answer["rank"].to_list() == [1, 2, 3, 4, 5] * len(users)
        at = answer.join(whole, on=["user", "item"], how="left", maintain_order="left")
        assert (at["rank_right"] == at["rank_by_score"]).all()
        assert (at["score_right"] == at["score"]).all()
    for bad in list[Any]([-0.1, 1.1, float("nan"), "much", None, True]):
        with raises(ParameterError, "diversity must be a number in 0..1"):
            model.recommend(users[:1], diversity=bad)
