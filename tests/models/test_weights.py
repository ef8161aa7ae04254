"""Weights of interactions: a weight of 2 counts as the row given twice, in training and after."""

from pathlib import Path

import numpy as np
import pytest

import trimetric as tm
from trimetric.data.csr import Csr, weights_in
from trimetric.testing.cases import planted

WEIGHTED = ["centroid", "sml", "cml"]
QUICK = {"dim": 8, "epochs": 4}


def of_row(data: tm.Interactions, weight: float, more: float = 1.0) -> tm.Interactions:
    """Return the data with one weight for all interactions of the items 0..9, another elsewhere."""
    return data.changed(weights=np.where(data.items < 10, weight, more).astype(np.float32))


def rank_of_first_items(model: tm.CentroidML, data: tm.Interactions) -> float:
    """Return the mean rank of items 0..9 over all users."""
    users, items = np.indices((data.n_users, data.n_items), dtype=np.int32).reshape(2, -1)
    scores = model.scorer.score(users, items).reshape(data.n_users, data.n_items)
    return float((-scores).argsort(axis=1).argsort(axis=1)[:, :10].mean())


@pytest.mark.parametrize(
    "name", ["centroid", "sml", "bpr", "ials", "itemknn", "ease", "popularity"]
)
def test_items_of_more_weight_rank_higher(name: str) -> None:
    if name == "ials":
        pytest.importorskip("implicit")
    data = planted(n_users=90, n_items=60)
    light, heavy = (
        tm.create(name).fit(of_row(data, weight, more)) for weight, more in ((0.2, 5), (5, 0.2))
    )
    assert rank_of_first_items(heavy, data) < rank_of_first_items(light, data) - 1


@pytest.mark.parametrize("name", [*WEIGHTED, "bpr", "itemknn", "ease", "popularity"])
def test_a_loaded_model_answers_as_before(name: str, tmp_path: Path) -> None:
    data = of_row(planted(), 3)
    model = tm.create(name).fit(data, out=tmp_path)
    again = tm.load(tmp_path)
    users = data.user_ids.values
    assert again.recommend(users).equals(model.recommend(users))
    if "fold-in" in model.capabilities:
        new = data.item_ids.values[:3].to_list()
        assert np.array_equal(again.fold_in(new, [1, 2, 3]), model.fold_in(new, [1, 2, 3]))


@pytest.mark.parametrize("name", ["centroid", "sml"])
def test_only_ratios_of_weights_matter(name: str) -> None:
    data = planted()
    ones, thousands = (
        tm.create(name, **QUICK).fit(of_row(data, 2 * scale, scale)) for scale in (1, 1024)
    )
    assert np.array_equal(ones.user_embeddings, thousands.user_embeddings)
    assert np.array_equal(ones.item_embeddings, thousands.item_embeddings)


def test_what_explains_an_item_of_a_weighted_history() -> None:
    """Without own points the parts add up to the score but for the bias."""
    data = of_row(planted(), 3)
    model = tm.CentroidML(own=0.0, kappa=0.0, reconstruction=0.0, bias_rate=0.0, **QUICK).fit(data)
    user = data.user_ids.values[int(np.argmax(np.diff(data.indptr)))]
    [item] = model.recommend([user], 1)["item"]
    told = model.explain(user, item, reasons=1000)
    x = model.user_embeddings[model.user_ids.encode([user])[0]]
    t = model.item_embeddings[model.item_ids.encode([item])[0]]
    assert sum(reason.adds for reason in told.reasons) == pytest.approx(2 * x @ t, rel=1e-4)


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_day_adds_to_weights(name: str) -> None:
    """Pairs that were there count more, new ones count what the day says."""
    data = of_row(planted(), 3)
    model = tm.create(name, **QUICK).fit(data)
    users, items = data.user_ids.values, data.item_ids.values
    known, new = 0, int(np.setdiff1d(np.arange(data.n_items), model.known.items_of(0))[0])
    seen = int(model.known.items_of(0)[0])
    before = model.known.weights_of(0)[0]
    frame = {"user": [users[known]] * 2, "item": [items[seen], items[new]]}
    day = tm.Interactions.from_frame(frame).changed(weights=np.float32([4, 4]))
    model.partial_fit(day, epochs=1)
    history = dict(zip(model.known.items_of(0).tolist(), model.known.weights_of(0), strict=True))
    assert history[seen] == before + 4
    assert history[new] == 4
    assert model.provenance["updates"][0]["pairs"] == 2


def test_what_is_marked_as_seen_counts_1(tmp_path: Path) -> None:
    data = of_row(planted(), 3)
    split = tm.split_random(data, test=0.2, valid=0, seed=0)
    assert split.train.weights is not None
    model = tm.EASE().fit(split.train)
    model.mark_seen(split.test.changed(weights=None))
    model.save(tmp_path)
    again = tm.load(tmp_path)
    for user in range(data.n_users):
        kept = dict(zip(again.known.items_of(user), again.known.weights_of(user), strict=True))
        low, high = split.train.indptr[user : user + 2]
        for item in split.train.items[low:high]:
            assert kept.pop(item) == (3 if item < 10 else 1)
        assert set(kept.values()) <= {1}
    assert again.recommend(data.user_ids.values).equals(model.recommend(data.user_ids.values))


def test_weights_of_rows_from_several_sources() -> None:
    one = Csr.from_pairs(np.int64([0, 0, 1]), np.int64([1, 4, 2]), 2)
    other = Csr.from_pairs(np.int64([0, 1, 1]), np.int64([4, 0, 5]), 2)
    both = one.union(other)
    first, second = np.float32([2, 3, 4]), np.float32([7, 8, 9])
    assert weights_in(both, (one, None), (other, None)) is None
    assert weights_in(both, (one, first), (other, second)).tolist() == [2, 3, 8, 4, 9]
    assert weights_in(both, (other, second), (one, None)).tolist() == [1, 7, 8, 1, 9]
    assert weights_in(one, (other, second)).tolist() == [1, 7, 1]
    empty = Csr.empty(2)
    assert weights_in(empty, (other, second)).tolist() == []
