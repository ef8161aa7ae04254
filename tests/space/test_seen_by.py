"""Models in which each user sees the items at other points: who is alike, new and why."""

from typing import Any

import numpy as np
import pytest

import trimetric as tm
from trimetric.errors import Unsupported

DATA = tm.synthetic.planted(150, 60, dim=4, clusters=4, per_user=9, seed=1).interactions
USERS, ITEMS = DATA.user_ids.values.to_list(), DATA.item_ids.values.to_list()


@pytest.fixture(scope="module", params=["transcf", "lrml"])
def model(request: pytest.FixtureRequest) -> Any:
    return tm.create(request.param, dim=8, epochs=20).fit(DATA)


def seen(model: Any, user: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a user is, and where they see the items, by the equations of the papers."""
    users, items = (t.astype(np.float64) for t in (model.user_vectors, model.item_vectors))
    if model.name == "transcf":
        translation = model.user_neighbours[user].astype(np.float64) * model.item_neighbours
        return users[user], items - translation
    logits = (users[user] * items) @ model.keys.astype(np.float64).T
    attention = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return users[user], items - attention @ model.memory_slots.astype(np.float64)


def theirs(user: Any) -> list:
    return DATA.to_frame().filter(user=user)["item"].to_list()


def d2(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return ((a - b) ** 2).sum(axis=-1)


def test_explanations_are_of_the_space_as_the_user_sees_it(model: Any) -> None:
    for row, user in enumerate(USERS[:5]):
        point, points = seen(model, row)
        for item, rank, score in model.recommend(user, 4)["item", "rank", "score"].rows():
            why = model.explain(user, item, reasons=100, examine=0)
            at = ITEMS.index(item)
            assert (why.by, why.rank, why.score) == ("distance", rank, score)
            assert why.d2 == pytest.approx(d2(point, points[at]), rel=1e-4)
            assert {one.item for one in why.reasons} == set(theirs(user))
            near = [one.d2_item for one in why.reasons]
            assert near == sorted(near)
            for one in why.reasons:
                its = points[ITEMS.index(one.item)]
                expected = d2(its, points[at]), d2(its, point)
                assert (one.d2_item, one.d2_user) == pytest.approx(expected, rel=1e-3, abs=1e-5)
            assert why.triple.user_margin == model.config.margin
            assert why.triple.user_hinge == pytest.approx(
                max(why.triple.d2_uv - why.triple.d2_un + model.config.margin, 0)
            )


def test_counterfactuals_hold_when_the_item_is_really_taken_away(model: Any) -> None:
    dropped = 0
    for user in USERS[:8]:
        mine = theirs(user)
        stands = model.recommend_for(mine, k=60)["item"].to_list()
        why = model.explain_for(mine, stands[1], k=3, reasons=100)
        assert (why.rank, why.counterfactual.rank_with) == (2, 2)
        for one in why.reasons:
            rest = [kept for kept in mine if kept != one.item]
            order = model.recommend_for(rest, k=60, deny=[one.item])["item"].to_list()
            assert order.index(stands[1]) + 1 == one.rank_without
        dropped += why.counterfactual.item is not None
    assert dropped > 0


def test_new_users_get_what_trained_ones_of_their_history_get(model: Any) -> None:
    """Most of the ten best are the same, and what they have is near."""
    shared = [
        len(set(model.recommend_for(theirs(u), 10)["item"]) & set(model.recommend(u, 10)["item"]))
        for u in USERS[:20]
    ]
    assert np.mean(shared) > 5
    for user in USERS[:5]:
        everything = model.recommend_for(theirs(user), 60, exclude_given=False)
        ranks = everything.filter(everything["item"].is_in(theirs(user)))["rank"]
        assert ranks.mean() < 20


def test_what_is_alike_is_what_others_see_alike(model: Any) -> None:
    if model.name == "transcf":
        seen_items = np.array([seen(model, row)[1] for row in range(len(USERS))])
        expected = d2(seen_items[:, 7], seen_items.transpose(1, 0, 2)).mean(axis=1)
        places = np.array(
            [model.user_vectors + model.user_neighbours * item for item in model.item_neighbours]
        )
        of_users = d2(places[:, 7], places.transpose(1, 0, 2)).mean(axis=1)
    else:
        expected = d2(model.item_vectors, model.item_vectors[7])
        of_users = d2(model.user_vectors, model.user_vectors[7])
    for ids, similar, wanted in (
        (ITEMS, model.similar_items, expected),
        (USERS, model.similar_users, of_users),
    ):
        found = {one: -score for _, one, _, score in similar(ids[7], 200).rows()}
        assert found == pytest.approx(
            {one: wanted[at] for at, one in enumerate(ids) if at != 7}, rel=1e-4
        )


def test_there_is_no_point_of_a_new_user(model: Any) -> None:
    with pytest.raises(Unsupported, match="each user has a space of their own; recommend_for"):
        model.fold_in(ITEMS[:2])


@pytest.mark.parametrize("name", ["transcf", "lrml", "fml", "ials", "bpr"])
def test_users_held_out_whole_are_evaluated(name: str) -> None:
    if name == "ials":
        pytest.importorskip("implicit")
    split = tm.split_users(DATA, test=0.2, valid=0, seed=0)
    model = tm.create(name, dim=8, **({} if name == "ials" else {"epochs": 20})).fit(split.train)
    found = tm.evaluate(model, split)
    popular = tm.evaluate(tm.Popularity().fit(split.train), split)
    assert found.counts.users == popular.counts.users > 20
    assert found["ndcg@10"] > 0.9 * popular["ndcg@10"]


# --- NCF and MLP ----------------------------------------------------------------------------------


def test_ncf_is_alike_by_its_gmf_part() -> None:
    """Without a tower the logit is an inner product of what the cosines are of."""
    gmf = tm.create("ncf", dim=4, factors=6, epochs=5, parts="gmf").fit(DATA)
    users, items = gmf.user_embeddings, gmf.item_embeddings
    h = gmf.tensors()["weights"][-6:]
    logits = (users * h) @ items.T
    scores = gmf.score([(USERS[3], item) for item in ITEMS])
    assert scores - logits[3] == pytest.approx(np.full(60, scores[0] - logits[3][0]), abs=1e-5)
    weighted = (items * np.sqrt(np.abs(h))).astype(np.float64)
    unit = weighted / np.linalg.norm(weighted, axis=1, keepdims=True)
    found = {one: score for _, one, _, score in gmf.similar_items(ITEMS[7], 60).rows()}
    assert found == pytest.approx(
        {one: unit[at] @ unit[7] for at, one in enumerate(ITEMS) if at != 7}, abs=1e-5
    )


@pytest.mark.parametrize("name", ["mlp", "ncf"])
def test_twins_are_alike_and_score_alike(name: str) -> None:
    """Two items of one embedding have the same scores for all, and a cosine of 1."""
    model = tm.create(name, dim=4, epochs=5).fit(DATA)
    for of, ids, similar in (
        ("item_embeddings", ITEMS, model.similar_items),
        ("user_embeddings", USERS, model.similar_users),
    ):
        table = model.tensors()[of]  # a live view
        table[9] = table[7]
        assert similar(ids[7], 1)["similar"][0] == ids[9]
        assert similar(ids[7], 1)["score"][0] == pytest.approx(1)
    pairs = [[(user, ITEMS[at]) for user in USERS[:20]] for at in (7, 9)]
    assert (model.score(pairs[0]) == model.score(pairs[1])).all()
