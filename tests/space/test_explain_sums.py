"""Explanations of scores that are sums, against dense arithmetic and really taking items away."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from command import document, done, refused
from hypothesis import given, settings
from hypothesis import strategies as st

import trimetric as tm
from trimetric.errors import Unsupported

DATA = tm.synthetic.planted(150, 60, dim=4, clusters=4, per_user=9, seed=1).interactions
WEIGHTED = DATA.changed(
    weights=np.random.default_rng(3).choice([1, 2, 4], len(DATA)).astype(np.float32)
)
ITEMS, USERS = DATA.item_ids.values.to_list(), DATA.user_ids.values.to_list()
SETTINGS: dict[str, dict[str, Any]] = {
    "ease": {"reg": 5},
    "itemknn": {"neighbours": 20, "shrink": 2},
    "ials": {"dim": 8, "alpha": 5, "reg": 0.5},
    "bpr": {"dim": 8, "epochs": 30},
}
SUMS = list(SETTINGS)
EXACT = ["ease", "itemknn"]


@pytest.fixture(scope="module")
def trained() -> Callable[..., Any]:
    kept: dict[Any, Any] = {}

    def model(name: str, weights: bool = False) -> Any:
        if name == "ials":
            pytest.importorskip("implicit")
        if (name, weights) not in kept:
            made = tm.create(name, **SETTINGS[name])
            kept[name, weights] = made.fit(WEIGHTED if weights else DATA)
        return kept[name, weights]

    return model


def theirs(user: Any) -> list:
    return WEIGHTED.to_frame().filter(user=user)["item"].to_list()


def parts(why: Any) -> dict:
    return {reason.item: reason.adds for reason in why.reasons}


# --- contributions --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SUMS)
@given(user=st.sampled_from(USERS), item=st.sampled_from(ITEMS), weights=st.booleans())
@settings(max_examples=25, deadline=None)
def test_parts_and_what_is_left_sum_to_the_score(
    trained: Callable, name: str, user: Any, item: Any, weights: bool
) -> None:
    model = trained(name, weights)
    why = model.explain(user, item, reasons=1000, examine=0)
    [score] = model.score([(user, item)])
    assert why.score == score
    assert sum(parts(why).values()) + why.own == pytest.approx(score, abs=1e-5)
    assert parts(why).keys() <= set(theirs(user))
    if name in EXACT:
        assert why.own == 0


@pytest.mark.parametrize("name", SUMS)
@given(
    basket=st.dictionaries(st.sampled_from(ITEMS), st.sampled_from([0.5, 1, 3]), min_size=1),
    item=st.sampled_from(ITEMS),
)
@settings(max_examples=25, deadline=None)
def test_the_parts_of_a_new_user_are_the_whole_score(
    trained: Callable, name: str, basket: dict, item: Any
) -> None:
    model = trained(name)
    why = model.explain_for(basket, item, reasons=1000, examine=0)
    whole = model.recommend_for(basket, 60, exclude_given=False)
    [score] = whole.filter(item=item)["score"]
    assert (why.score, why.own) == (score, 0)
    assert sum(parts(why).values()) == pytest.approx(score, abs=2e-5)


def test_ease_adds_its_weights(trained: Callable) -> None:
    model, rows = trained("ease", weights=True), dict(zip(ITEMS, range(60), strict=True))
    counts = {(user, item): weight for user, item, weight in WEIGHTED.to_frame().rows()}
    for user in USERS[:9]:
        for item in ITEMS[::7]:
            expected = {
                one: counts[user, one] * float(model.weights[rows[one], rows[item]])
                for one in theirs(user)
            }
            found = parts(model.explain(user, item, reasons=1000, examine=0))
            assert found == pytest.approx({k: v for k, v in expected.items() if v}, abs=1e-7)


def test_itemknn_adds_similarities(trained: Callable) -> None:
    """What an item adds is how similar it is to the other, as `similar_items` says it."""
    model = trained("itemknn")
    for item in ITEMS[::9]:
        near = {one: score for _, one, _, score in model.similar_items(item, 60).rows()}
        for user in USERS[:9]:
            found = parts(model.explain(user, item, reasons=1000, examine=0))
            assert found == pytest.approx({one: near[one] for one in theirs(user) if one in near})


def test_ials_adds_what_its_authors_say(trained: Callable) -> None:
    """Hu, Koren and Volinsky 2008, section 5: s^u_ij c_uj with s^u_ij = y_i W^u y_j."""
    model = trained("ials", weights=True)
    factors = model.item_factors.astype(np.float64)
    rows = dict(zip(ITEMS, range(60), strict=True))
    for user in USERS[:9]:
        mine = WEIGHTED.to_frame().filter(user=user)
        confidence = np.ones(60)
        at = [rows[item] for item in mine["item"]]
        confidence[at] = 1 + 4 * mine["weight"].to_numpy()
        inverse = np.linalg.inv(factors.T @ (confidence[:, None] * factors) + 0.5 * np.eye(8))
        for item in ITEMS[::11]:
            terms = factors[at] @ inverse @ factors[rows[item]] * confidence[at]
            why = model.explain(user, item, reasons=1000, examine=0)
            assert parts(why) == pytest.approx(dict(zip(mine["item"], terms, strict=True)))
            assert abs(why.own) < 0.05  # training stops before its last step is exact


def test_bpr_places_new_users_where_its_loss_is_least(trained: Callable) -> None:
    model = trained("bpr")
    factors, reg = model.item_factors.astype(np.float64), model.config.reg
    basket = {ITEMS[3]: 2.0, ITEMS[8]: 1.0}
    mine, weights = factors[[3, 8]], np.array([2.0, 1.0])
    others = np.delete(factors, [3, 8], axis=0)

    def loss(point: np.ndarray) -> float:
        apart = (mine @ point)[:, None] - others @ point
        each = np.logaddexp(0, -apart).mean(axis=1) + reg / 2 * point @ point
        return float(weights @ each)

    found = model.fold_in(basket).astype(np.float64)
    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-1, 1):
        for _ in range(20):
            assert loss(found + size * rng.normal(size=8)) > loss(found)


@pytest.mark.parametrize("name", ["ials", "bpr"])
def test_a_new_user_of_factors_is_near_to_the_same_trained_user(
    trained: Callable, name: str
) -> None:
    """Scores of a user placed by their own history go with those that they were trained to."""
    model, together = trained(name), []
    for user in USERS[:30]:
        placed = model.item_factors @ model.fold_in(theirs(user))
        scores = model.item_factors @ model.user_factors[model.user_ids.encode([user])[0]]
        together.append(np.corrcoef(placed, scores)[0, 1])
    assert np.median(together) > (0.99 if name == "ials" else 0.9)


# --- ranks and what-ifs ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", SUMS)
def test_ranks_are_those_of_the_list(trained: Callable, name: str) -> None:
    model = trained(name)
    for user, item, rank, score in model.recommend(USERS[:4], k=60).rows():
        why = model.explain(user, item, examine=0)
        assert (why.rank, np.float32(why.score), why.seen) == (rank, score, False)
        assert why.candidates == 60 - len(theirs(user))
    for item in theirs(USERS[0]):
        assert model.explain(USERS[0], item).seen


@pytest.mark.parametrize("name", SUMS)
def test_counterfactuals_hold_when_the_item_is_really_taken_away(
    trained: Callable, name: str
) -> None:
    model, dropped = trained(name), 0
    for user in USERS[:12]:
        mine = theirs(user)
        stands = model.recommend_for(mine, k=60)["item"].to_list()
        for item in (stands[0], stands[2]):
            why = model.explain_for(mine, item, k=3, reasons=len(mine))
            assert why.counterfactual.rank_with == stands.index(item) + 1
            without = {}
            for one in parts(why):
                rest = [kept for kept in mine if kept != one]
                order = model.recommend_for(rest, k=60, deny=[one])["item"].to_list()
                without[one] = order.index(item) + 1
            assert {one.item: one.rank_without for one in why.reasons} == without
            worst = max(without.values())
            assert (why.counterfactual.item is not None) == (worst > 3)
            if worst > 3:
                dropped += 1
                assert without[why.counterfactual.item] == why.counterfactual.rank_without == worst
    assert dropped > 3


def test_only_what_adds_most_is_examined(trained: Callable) -> None:
    model = trained("ease")
    item = model.recommend(USERS[0], 1)["item"][0]
    few, whole = (model.explain(USERS[0], item, examine=n, reasons=100) for n in (2, 100))
    assert [reason.rank_without is None for reason in few.reasons[:3]] == [False, False, True]
    assert few.counterfactual.examined == 2 < whole.counterfactual.examined
    assert few.reasons[:2] == whole.reasons[:2]


@pytest.mark.parametrize("name", SUMS)
def test_what_is_unavailable_does_not_compete(trained: Callable, name: str) -> None:
    model = trained(name).snapshot()
    first, second = model.recommend(USERS[0], 2)["item"]
    model.set_unavailable([first])
    assert model.explain(USERS[0], second).rank == 1


# --- words ----------------------------------------------------------------------------------------


def test_sentences(trained: Callable) -> None:
    model, user = trained("ease"), USERS[0]
    item = model.recommend(user, 1)["item"][0]
    why = model.explain(user, item)
    first = why.reasons[0]
    assert why.sentence().startswith(
        f"Item {item} is number 1 for user {user}, with a score of {why.score:.3f}; of what they"
        f" have, most of it is added by item {first.item} ({first.adds:+.3f})"
    )
    titles = {item: "The One", first.item: "The Other"}
    assert "“The One” is number 1" in why.sentence(titles)
    assert "added by “The Other” (+" in why.sentence(titles)
    assert "own factors" not in why.sentence()
    html = why._repr_html_()
    assert "adds" in html
    assert "d²" not in html
    assert json.loads(json.dumps(why.to_dict()))["by"] == "sum"
    far = model.recommend(user, 60)["item"][-1]
    assert model.explain(user, far).sentence().startswith(f"Item {far} is not in the top 10 for")
    alone = trained("itemknn").explain_for(ITEMS[0], ITEMS[0])
    assert "nothing they have adds to it" in alone.sentence()


def test_what_training_left_is_told(trained: Callable) -> None:
    model = trained("bpr")
    whys = [model.explain(user, ITEMS[5], examine=0) for user in USERS[:20]]
    told = ["is of the user's own factors" in why.sentence() for why in whys]
    assert told == [abs(why.own) >= 0.01 * abs(why.score) for why in whys]
    assert any(told)


def test_popularity_is_explained_by_its_count() -> None:
    model = tm.Popularity().fit(DATA)
    best = model.recommend(USERS[0], 1)["item"][0]
    count = DATA.to_frame().filter(item=best).height
    for why in (model.explain(USERS[0], best), model.explain_for(theirs(USERS[0]), best)):
        assert (why.by, why.score, why.own, why.reasons) == ("count", count, count, ())
        assert why.counterfactual is None
        assert f"with a score of {count}: popularity counts how many have an item" in why.sentence()
    popular = model.recommend_for(ITEMS[:2], 58)
    assert popular["score"].is_sorted(descending=True)
    assert not set(popular["item"]) & set(ITEMS[:2])


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "ask", "reason"),
    [
        ("ease", lambda m: m.similar_users(USERS[0]), "of a user it keeps only what they have"),
        ("itemknn", lambda m: m.similar_users(USERS[0]), "how items go together"),
        ("ease", lambda m: m.fold_in(ITEMS[:2]), "no points; recommend_for scores items by what"),
        ("popularity", lambda m: m.similar_items(ITEMS[0]), "how many users have an item, not"),
        ("popularity", lambda m: m.similar_users(USERS[0]), "offers all users the same"),
        ("popularity", lambda m: m.fold_in(ITEMS[:2]), "it has no points"),
    ],
)
def test_refusals_give_the_reason(trained: Callable, name: str, ask: Callable, reason: str) -> None:
    model = tm.Popularity().fit(DATA) if name == "popularity" else trained(name)
    with pytest.raises(Unsupported, match=f"^{name} .*{reason}"):
        ask(model)


# --- the command ----------------------------------------------------------------------------------


def test_the_command_says_what_the_library_says(tmp_path: Any) -> None:
    DATA.to_frame().write_csv(tmp_path / "log.csv")
    done("fit", "log.csv", "--model", "ease", "--out", "m", cwd=tmp_path)
    model = tm.load(tmp_path / "m")
    item = model.recommend(USERS[0], 1)["item"][0]
    why = model.explain(USERS[0], item)
    found = document("explain", "m", "--user", f"{USERS[0]}", "--item", f"{item}", cwd=tmp_path)
    assert found == {"folder": "m", **json.loads(json.dumps(why.to_dict()))}
    shown = done("explain", "m", "--user", f"{USERS[0]}", "--item", f"{item}", cwd=tmp_path)
    assert why.sentence()[:60] in shown.replace("\n", " ")
    assert "adds" in shown
    assert "d²" not in shown
    liked = [argument for one in ITEMS[:3] for argument in ("--liked", f"{one}")]
    found = document("explain", "m", *liked, "--item", f"{item}", cwd=tmp_path)
    assert found == {
        "folder": "m",
        **json.loads(json.dumps(model.explain_for(ITEMS[:3], item).to_dict())),
    }
    done("fit", "log.csv", "--model", "popularity", "--out", "p", cwd=tmp_path)
    told = refused("similar-items", "p", "--item", f"{item}", cwd=tmp_path)
    assert "how many users have an item, not which" in " ".join(told.split())
