"""Explanations, against what NumPy finds and against really taking items away."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from command import document, done, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from threads_helper import on_threads

import trimetric as tm
from trimetric.errors import ParameterError, UnknownIds, Unsupported
from trimetric.space.explanation import Counterfactual

DATA = tm.synthetic.planted(150, 60, dim=4, clusters=4, per_user=9, seed=1).interactions
FRAME = DATA.to_frame()
METRIC = ("sml", "cml", "base", "base+u", "base+s", "base+s+p", "base+s+u", "fml")
USERS, ITEMS = DATA.user_ids.values.to_list(), DATA.item_ids.values.to_list()


def trained(name: str) -> Any:
    given = {"temperature": 0.2} if name == "sml" else {}
    return tm.create(name, dim=8, epochs=6, **given).fit(DATA)


@pytest.fixture(scope="module")
def model() -> tm.SML:
    return trained("sml")


@pytest.fixture(scope="module")
def with_margins() -> tm.SML:
    model = tm.SML(dim=8, epochs=6, temperature=0.2, variant="all", gamma=200).fit(DATA)
    assert model.user_margins.std() > 0
    return model


def liked(user: Any) -> list:
    return FRAME.filter(pl.col("user") == user)["item"].to_list()


def by_hand(model: Any, position: np.ndarray, theirs: list, item: Any) -> dict:
    """What an explanation should say, by sorting everything in float64."""
    points = model.item_embeddings.astype(float)
    d2 = ((points - position.astype(float)) ** 2).sum(axis=1)
    at = {one: row for row, one in enumerate(ITEMS)}
    left = [one for one in ITEMS if one not in theirs or one == item]
    order = sorted(left, key=lambda one: (d2[at[one]], at[one]))
    place = order.index(item)
    to_item = ((points - points[at[item]]) ** 2).sum(axis=1)
    near = sorted((one for one in theirs if one != item), key=lambda one: to_item[at[one]])
    return {
        "d2": d2[at[item]],
        "rank": place + 1,
        "candidates": len(left),
        "negative": order[place + 1] if place + 1 < len(order) else None,
        "reasons": [(one, to_item[at[one]], d2[at[one]]) for one in near],
        "to_item": {one: to_item[at[one]] for one in ITEMS},
        "to_user": {one: d2[at[one]] for one in ITEMS},
    }


def agrees(why: Any, told: dict) -> None:
    assert (why.rank, why.candidates) == (told["rank"], told["candidates"])
    assert why.d2 == pytest.approx(told["d2"], abs=1e-5)
    assert [one.item for one in why.reasons] == [one for one, *_ in told["reasons"]][:5]
    for one, (_, to_item, to_user) in zip(why.reasons, told["reasons"], strict=False):
        assert (one.d2_item, one.d2_user) == pytest.approx((to_item, to_user), abs=1e-5)
    assert (why.triple and why.triple.negative) == told["negative"]
    if why.triple:
        found = why.triple
        behind = told["to_user"][found.negative], told["to_item"][found.negative]
        assert (found.d2_un, found.d2_vn) == pytest.approx(behind, abs=1e-5)
        assert found.d2_uv == why.d2


@given(user=st.sampled_from(USERS), item=st.sampled_from(ITEMS))
@settings(max_examples=60)
def test_it_says_what_numpy_finds(model: tm.SML, user: Any, item: Any) -> None:
    says_what_numpy_finds(model, user, item)


@given(user=st.sampled_from(USERS), item=st.sampled_from(ITEMS))
@settings(max_examples=20)
def test_it_says_learned_margins(with_margins: tm.SML, user: Any, item: Any) -> None:
    says_what_numpy_finds(with_margins, user, item)


def says_what_numpy_finds(model: tm.SML, user: Any, item: Any) -> None:
    why, row = model.explain(user, item, examine=0), USERS.index(user)
    agrees(why, by_hand(model, model.user_embeddings[row], liked(user), item))
    assert (why.user, why.item, why.seen) == (user, item, item in liked(user))
    assert why.counterfactual is None
    fans = dict(FRAME.group_by("item").len().rows())
    more = sum(count > fans[item] for count in fans.values())
    assert (why.popularity.count, why.popularity.rank) == (fans[item], 1 + more)
    assert why.popularity.share == fans[item] / len(USERS)
    if why.triple:
        one, at = why.triple, ITEMS.index(item)
        m, n = model.config.margin, model.config.item_margin
        if model.user_margins is not None:
            m, n = float(model.user_margins[row]), float(model.item_margins[at])
        assert (one.user_margin, one.item_margin) == (m, n)
        assert one.user_hinge == pytest.approx(max(one.d2_uv - one.d2_un + m, 0))
        assert one.item_hinge == pytest.approx(max(one.d2_uv - one.d2_vn + n, 0))
        assert one.d2_un >= one.d2_uv


def test_ranks_and_distances_are_those_of_the_list(model: tm.SML) -> None:
    for user, item, rank, _, distance in model.recommend(USERS[:6], k=4).rows():
        why = model.explain(user, item, examine=0)
        assert (why.rank, np.float32(why.d2), why.seen) == (rank, np.float32(distance), False)


def test_counterfactuals_hold_when_the_item_is_really_taken_away(model: tm.SML) -> None:
    dropped = 0
    for user in USERS[:25]:
        theirs = liked(user)
        for item in model.recommend_for(theirs, k=10)["item"][[0, 9]]:
            why = model.explain(user, item, reasons=len(theirs))
            stood = model.recommend_for(theirs, k=60)["item"].to_list().index(item) + 1
            other, without = why.counterfactual, {}
            assert (other.rank_with, other.examined, other.liked) == (stood, *2 * [len(theirs)])
            for one in theirs:
                rest = [kept for kept in theirs if kept != one]
                order = model.recommend_for(rest, k=60)["item"].to_list()
                without[one] = [kept for kept in order if kept != one].index(item) + 1
            assert {one.item: one.rank_without for one in why.reasons} == without
            worst = max(without.values())
            assert (other.item is not None) == (worst > 10)
            if other.item is not None:
                dropped += 1
                assert other.rank_without == without[other.item] == worst
                rest = [kept for kept in theirs if kept != other.item]
                assert item not in model.recommend_for(rest, k=10)["item"]
    assert dropped > 3


def test_only_the_nearest_are_examined(model: tm.SML) -> None:
    user = USERS[0]
    item = model.recommend([user], k=1)["item"][0]
    few, all_of_them = model.explain(user, item, examine=2), model.explain(user, item)
    assert few.counterfactual.examined == 2 < all_of_them.counterfactual.liked
    assert [one.rank_without for one in few.reasons[2:]] == [None] * 3
    assert few.reasons[:2] == all_of_them.reasons[:2]
    assert on_threads(1, lambda: model.explain(user, item)) == on_threads(
        2, lambda: model.explain(user, item)
    )


def test_a_new_user(model: tm.SML, with_margins: tm.SML) -> None:
    theirs, weights = ITEMS[:5], [1.0, 2.0, 1.0, 1.0, 3.0]
    for item in ITEMS[3:9]:
        why = model.explain_for(theirs, item, weights=weights)
        agrees(why, by_hand(model, model.fold_in(theirs, weights), theirs, item))
        assert why.user is None
        assert why.triple.user_margin == model.config.margin  # all users have the same
        assert why.triple.item_margin is not None
        if not why.seen:
            assert why.counterfactual.rank_with == why.rank
    learned = with_margins.explain_for(theirs, ITEMS[7]).triple
    assert learned.user_margin is learned.user_hinge is None  # a new user has learned none
    assert learned.item_margin is not None
    item = model.recommend_for(theirs, k=1)["item"][0]
    assert model.explain_for(theirs[::-1], item) == model.explain_for(theirs, item)
    assert model.explain_for(theirs[0], item).counterfactual is None  # nothing would be left


@pytest.mark.parametrize("name", METRIC)
def test_the_margins_are_those_in_force(name: str) -> None:
    model = trained(name)
    item = model.recommend([USERS[0]], k=1)["item"][0]
    one = model.explain(USERS[0], item).triple
    has_item_side = name == "sml" or "+s" in name
    assert (one.user_margin is not None) == (name != "fml")
    assert (one.item_hinge is not None) == (one.item_margin is not None) == has_item_side
    assert model.explain(USERS[0], item).counterfactual is not None
    if name == "fml":
        return
    settings = model.get_params()
    new = model.explain_for(ITEMS[:3], ITEMS[5]).triple
    assert new.user_margin == (None if settings["adaptive_users"] else settings["margin"])
    if not settings["adaptive_users"]:
        assert one.user_margin == pytest.approx(settings["margin"])


def test_placing_needs_a_model_that_can() -> None:
    with pytest.raises(Unsupported, match=r"cannot place .* trained through the network"):
        trained("mlp").fold_in(ITEMS[:2])
    with pytest.raises(Unsupported, match=r"cannot say why: .* neither a distance nor a sum"):
        trained("ncf").explain_for(ITEMS[:2], ITEMS[5])
    with pytest.raises(Unsupported, match="not trained"):
        tm.SML().explain(1, 2)


def test_refusals(model: tm.SML) -> None:
    with pytest.raises(UnknownIds, match="nobody"):
        model.explain("nobody", ITEMS[0])
    with pytest.raises(UnknownIds, match="nowhere"):
        model.explain(USERS[0], "nowhere")
    with pytest.raises(UnknownIds, match="nowhere"):
        model.explain_for(["nowhere"], ITEMS[0])
    for wrong in ({"k": 0}, {"reasons": -1}, {"reasons": 1.5}, {"examine": 1001}):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            model.explain(USERS[0], ITEMS[0], **wrong)
    with pytest.raises(ParameterError, match="give one item, got 2"):
        model.explain(USERS[0], ITEMS[:2])


def test_edges() -> None:
    few = tm.Interactions.from_arrays(["a", "a", "b"], ["x", "y", "x"])
    with pytest.warns(UserWarning, match="every item"):
        model = tm.SML(dim=4, epochs=1, temperature=0.2).fit(few)
    why = model.explain("b", "y")
    assert (why.rank, why.candidates, why.triple, why.counterfactual) == (1, 1, None, None)
    seen = model.explain("b", "x")
    assert seen.seen
    assert seen.reasons == ()
    assert "already" in seen.sentence()


def test_as_data_as_a_sentence_and_as_html(model: tm.SML) -> None:
    user, titles = USERS[0], {one: f"<{one}>" for one in ITEMS}
    dropped = None
    for item in model.recommend([user], k=10)["item"]:
        why = model.explain(user, item)
        told = json.loads(json.dumps(why.to_dict(), allow_nan=False))
        assert told == why.to_dict() | {"reasons": told["reasons"]}
        assert told["sentence"] == why.sentence()
        said = why.sentence(titles)
        assert f"“<{item}>” is number {why.rank} for user {user}" in said
        assert f"“<{why.reasons[0].item}>” ({why.reasons[0].d2_item:.3f})" in said
        if why.counterfactual.item:
            dropped = why
            assert f"without “<{why.counterfactual.item}>” it would be" in said.lower()
        page = why._repr_html_()
        assert page.count("<table") == 2
        assert str(why.triple.negative) in page
    assert dropped
    assert "this new user" in model.explain_for(ITEMS[:2], ITEMS[5]).sentence()
    last = model.recommend([user], k=60)["item"][-1]
    assert "not in the top 10" in model.explain(user, last).sentence()


def test_the_sentence_says_which_items_were_left_out(model: tm.SML) -> None:
    """They are the nearest, or where a user's point is a sum those that add most."""
    why = model.explain(USERS[0], ITEMS[5])
    stays = Counterfactual(None, rank_with=1, rank_without=None, k=10, examined=3, liked=20)
    near = replace(why, reasons=(), counterfactual=stays)
    assert "single one of the 3 nearest of their items." in near.sentence()
    assert "single one of the 3 of their items that add most." in replace(near, own=0.5).sentence()


def test_markup_in_ids_is_no_markup() -> None:
    ids = [f"<i>{one}" for one in DATA.items]
    model = tm.SML(dim=4, epochs=1, temperature=0.2).fit((DATA.users, ids))
    assert "<i>" not in model.explain(0, ids[-1])._repr_html_()


def test_the_command(model: tm.SML, tmp_path: Any) -> None:
    model.save(tmp_path / "m")
    item = model.recommend([USERS[0]], k=1)["item"][0]
    asked = ("explain", "m", "--user", USERS[0], "--item", item)
    why = model.explain(USERS[0], item)
    expected = json.loads(json.dumps({"folder": "m", **why.to_dict()}))
    assert document(*asked, cwd=tmp_path) == expected
    pl.DataFrame({"item": ITEMS, "title": [f"T{one}" for one in ITEMS]}).write_csv(
        tmp_path / "t.csv"
    )
    told = done(*asked, "--items", "t.csv", cwd=tmp_path)
    assert f"“T{item}” is number 1" in told
    assert "Equation (6)" in told
    titled = document(*asked, "--items", "t.csv", cwd=tmp_path)["titles"]
    assert titled == {one: f"T{one}" for one in why.items}
    pl.read_csv(tmp_path / "t.csv").rename({"item": "id"}).write_parquet(tmp_path / "t.parquet")
    assert document(*asked, "--items", "t.parquet", cwd=tmp_path)["titles"] == titled
    new = ("explain", "m", "--item", item, "--liked", ITEMS[0], "--liked", ITEMS[1])
    again = model.explain_for(ITEMS[:2], item).to_dict()
    assert document(*new, cwd=tmp_path) == json.loads(json.dumps({"folder": "m", **again}))
    (tmp_path / "bare.csv").write_text("item,brand\n1,2\n")
    assert "has no column title" in refused(*asked, "--items", "bare.csv", cwd=tmp_path)


def test_what_takes_from_a_score_is_not_said_to_add_to_it() -> None:
    found = tm.CentroidML(dim=4, epochs=4, temperature=0.2, kappa=0, reconstruction=0.25, seed=1)
    found.fit(DATA)
    seen = 0
    for user in USERS[:40]:
        for item in ITEMS[::7]:
            why = found.explain(user, item, reasons=3, examine=0)
            told, added = why.sentence(), [one.adds for one in why.reasons]
            assert "(-" not in told
            assert ("nothing adds to its score" in told) == (max(added) <= 0)
            seen += min(added) < 0
    assert seen > 20
