"""New users and items in a trained space."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from command import document, done, refused

import trimetric as tm
from trimetric.errors import ParameterError, UnknownIds

DATA = tm.synthetic.planted(400, 120, dim=4, clusters=4, per_user=20, seed=1).interactions
SPLIT = tm.split_per_user(DATA, test=0.25, valid=0)


@pytest.fixture(scope="module")
def model() -> tm.SML:
    return tm.SML(dim=16, epochs=20, temperature=0.2).fit(SPLIT.train)


def history(user: Any) -> list:
    frame = SPLIT.train.to_frame()
    return frame.filter(pl.col("user") == user)["item"].to_list()


def test_a_known_history_gets_much_the_same_list(model: tm.SML) -> None:
    shared = []
    for user in DATA.user_ids.values[:60]:
        usual = set(model.recommend([user], k=10)["item"])
        shared.append(len(usual & set(model.recommend_for(history(user), k=10)["item"])))
    assert np.mean(shared) > 6


def test_users_left_out_are_served_as_well_as_users_trained() -> None:
    users = DATA.user_ids.values
    left_out = set(users[::10])
    frame = SPLIT.train.to_frame()
    rest = frame.filter(~pl.col("user").is_in(list(left_out)))
    model = tm.SML(dim=16, epochs=20, temperature=0.2).fit(rest)
    full = tm.SML(dim=16, epochs=20, temperature=0.2).fit(SPLIT.train)
    held = SPLIT.test.to_frame().group_by("user").agg("item")
    wanted = dict(zip(held["user"], held["item"], strict=True))

    def hits(answer: pl.DataFrame, user: Any) -> int:
        return len(set(answer["item"]) & set(wanted[user]))

    folded = sum(hits(model.recommend_for(history(u), k=10), u) for u in left_out)
    trained = sum(hits(full.recommend([u], k=10), u) for u in left_out)
    assert folded > 0.85 * trained > 0


def test_weights_pull(model: tm.SML) -> None:
    first, second = DATA.item_ids.values[:2]
    at = {one: model.item_embeddings[row] for row, one in enumerate(model.item_ids.values)}
    for heavy in (0, 1):
        weights = [1.0, 1.0]
        weights[heavy] = 50.0
        x = model.fold_in([first, second], weights)
        d = [((x - at[one]) ** 2).sum() for one in (first, second)]
        assert d[heavy] < d[1 - heavy]
    assert (model.fold_in([first, second]) == model.fold_in([second, first])).all()
    assert np.allclose(model.fold_in([first], [7]), model.fold_in(first), atol=1e-5)


def test_a_new_item_is_near_its_users(model: tm.SML) -> None:
    item = DATA.item_ids.values[3]
    theirs = SPLIT.train.to_frame().filter(pl.col("item") == item)["user"].to_list()
    x = model.fold_in_item(theirs)
    d = ((model.item_embeddings - x) ** 2).sum(axis=1)
    assert item in model.item_ids.decode(np.argsort(d)[:10]).to_list()


def test_a_new_item_from_items_like_it(model: tm.SML) -> None:
    items, weights = DATA.item_ids.values[:3].to_list(), [1.0, 2.0, 5.0]
    at = np.array(weights) @ model.item_embeddings[:3] / 8
    assert np.allclose(model.fold_in_item_from(items, weights), at, atol=1e-6)
    turned = model.fold_in_item_from(items[::-1], weights[::-1])
    assert (turned == model.fold_in_item_from(items, weights)).all()
    assert (model.fold_in_item_from(items[1]) == model.item_embeddings[1]).all()
    near = model.similar_items(items[:1], k=8)["similar"].to_list()
    d = ((model.item_embeddings - model.fold_in_item_from(near)) ** 2).sum(axis=1)
    found = model.item_ids.decode(np.argsort(d)[:12]).to_list()
    assert len(set(found) & set(near)) >= 6
    with pytest.raises(UnknownIds, match="nowhere"):
        model.fold_in_item_from(["nowhere"])
    round_ = tm.SML(dim=6, epochs=2, temperature=0.2, sphere=True, radius=2.0).fit(SPLIT.train)
    assert np.linalg.norm(round_.fold_in_item_from(items)) == pytest.approx(2, abs=1e-5)
    assert np.linalg.norm(round_.fold_in(items)) == pytest.approx(2, abs=1e-5)


def test_given_items_can_stay(model: tm.SML) -> None:
    items = DATA.item_ids.values[:4]
    assert not set(model.recommend_for(items, k=120)["item"]) & set(items)
    assert model.recommend_for(items, k=500, exclude_given=False).height == 120


@pytest.mark.parametrize(
    ("items", "weights", "told"),
    [
        ([], None, "at least one item"),
        ({"i000": 1.0}, [1.0], "given twice"),
        (["i000"], [1, 2], "weights must be one number for each of 1"),
        (["i000"], 3.0, "weights must be one number for each of 1"),
        (["i000"], ["heavy"], "above 0 and finite, .*got 'heavy'"),
        (["i000", "i001"], [[1], [2, 3]], "above 0 and finite"),
        (["i000"], [1e39], "above 0 and finite"),
        (["i000", "i001"], [1, 0], "above 0"),
        (["i000", "i001"], [1, float("nan")], "above 0"),
    ],
)
def test_refusals(model: tm.SML, items: list, weights: Any, told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        model.fold_in(items, weights)


def test_unknown_ids(model: tm.SML) -> None:
    with pytest.raises(UnknownIds, match="nowhere"):
        model.recommend_for(["i000", "nowhere"])
    with pytest.raises(UnknownIds, match="nobody"):
        model.fold_in_item(["nobody"])


def test_hinge_models_too() -> None:
    model = tm.CML(dim=8, epochs=3).fit(SPLIT.train)
    assert model.recommend_for(DATA.item_ids.values[:2], k=3).height == 3


def test_the_command(model: tm.SML, tmp_path: Any) -> None:
    model.save(tmp_path / "m")
    asked = ("recommend", "m", "--item", "i000", "--item", "i004", "-k", "3")
    told = document(*asked, cwd=tmp_path)
    expected = model.recommend_for(["i000", "i004"], k=3)["item"].to_list()
    assert [row["item"] for row in told["recommendations"]] == expected
    done(*asked, "--out", "new.parquet", cwd=tmp_path)
    assert pl.read_parquet(tmp_path / "new.parquet")["item"].to_list() == expected
    assert "nowhere" in refused("recommend", "m", "--item", "nowhere", cwd=tmp_path)
    assert "--item" in refused("recommend", "m", "--item", "i000", "--all", cwd=tmp_path)
