"""What models reach on real data, far from the edge: a fall below this is a defect."""

import numpy as np
import pytest
from popularity import Popularity

import trimetric as tm


@pytest.mark.usefixtures("real_data")
def test_ml_100k() -> None:
    data = tm.datasets.load("ml_100k", min_rating=4)
    split = tm.split_per_user(data, test=0.2, valid=0.1)

    def ndcg(model: object) -> float:
        return tm.evaluate(model, split).metrics["ndcg@10"]

    popular = ndcg(Popularity(split.train))
    assert 0.1 < popular < 0.25
    for model in (tm.SML(epochs=15), tm.CML(epochs=15), tm.SML(epochs=15, optimizer="adagrad")):
        assert ndcg(model.fit(split.train)) > 1.5 * popular
    assert np.isclose(ndcg(tm.SML(epochs=0).fit(split.train)), 0, atol=0.03)


@pytest.mark.slow
@pytest.mark.usefixtures("real_data")
@pytest.mark.parametrize(
    ("name", "settings", "times"),
    [
        ("bpr", {"epochs": 15}, 1.4),
        ("fml", {"epochs": 15}, 1.6),
        ("transcf", {"epochs": 15}, 1.4),
        ("lrml", {"epochs": 15}, 1.4),
        ("ncf", {"epochs": 12}, 1.5),
        ("mlp", {"epochs": 12}, 1.25),
        ("itemknn", {}, 1.5),
        ("ease", {}, 1.5),
        ("ials", {}, 1.5),
    ],
)
def test_no_model_is_a_straw_man(name: str, settings: dict, times: float) -> None:
    data = tm.datasets.load("ml_100k", min_rating=4)
    split = tm.split_per_user(data, test=0.2, valid=0.1)
    popular = tm.evaluate(tm.Popularity().fit(split.train), split)["ndcg@10"]
    reached = tm.evaluate(tm.create(name, **settings).fit(split.train), split)["ndcg@10"]
    assert reached > times * popular
