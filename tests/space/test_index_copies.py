"""Copies of what has searched approximately: the index is made again, and answers are the same."""

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trimetric as tm
from trimetric.space.index import Index

pytest.importorskip("faiss")
RNG = np.random.default_rng(0)
POINTS = RNG.normal(0, 1, (600, 6)).astype(np.float32)
QUERIES = RNG.normal(0, 1, (20, 6)).astype(np.float32)


def by_joblib(value: Any) -> Any:
    joblib = pytest.importorskip("joblib")
    import io

    file = io.BytesIO()
    joblib.dump(value, file)
    file.seek(0)
    return joblib.load(file)


WAYS: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "oldest protocol": lambda value: pickle.loads(pickle.dumps(value, protocol=2)),
    "joblib": by_joblib,
    "twice": lambda value: copy.deepcopy(pickle.loads(pickle.dumps(value))),
}


@pytest.fixture(scope="module")
def model() -> tm.SML:
    pairs = tm.synthetic.planted(200, 300, dim=4, clusters=4, per_user=8, seed=1).interactions
    data = tm.Interactions.from_arrays(pairs.users, pairs.items)
    return tm.SML(dim=6, epochs=1, seed=0, temperature=0.2).fit(data, progress=False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["exact", "approximate"])
def test_an_index(way: str, kind: Any) -> None:
    index = Index(POINTS, kind, probes=3, seed=5)
    expected = index.nearest(QUERIES, 10)
    again = WAYS[way](index)
    found = again.nearest(QUERIES, 10)
    assert [one.tobytes() for one in found] == [one.tobytes() for one in expected]
    assert (again.kind, again.dim, len(again)) == (kind, 6, len(POINTS))


def test_a_copy_outlives_the_index_it_is_of() -> None:
    index = Index(POINTS, "approximate")
    expected = index.nearest(QUERIES, 10)[0].tolist()
    again = copy.deepcopy(index)
    del index
    assert again.nearest(QUERIES, 10)[0].tolist() == expected


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_has_answered(model: tm.SML, way: str) -> None:
    expected = model.recommend([5, 6], 5, approximate=True)
    again = WAYS[way](model)
    assert again.recommend([5, 6], 5, approximate=True).equals(expected)
    assert again.recommend([5, 6], 5).equals(model.recommend([5, 6], 5))
    assert again.prepared().recommend([5], 5, approximate=True).equals(expected.filter(user=5))
    more = WAYS[way](again.snapshot())
    assert more.recommend_for([7], 5, approximate=True).equals(
        model.recommend_for([7], 5, approximate=True)
    )


def test_a_prepared_model_and_a_changed_copy(model: tm.SML) -> None:
    model.recommend([5], 5, approximate=True)
    again = copy.deepcopy(model.prepared())
    assert again.recommend([5], 5, approximate=True).equals(
        model.recommend([5], 5, approximate=True)
    )
    other = copy.deepcopy(model)
    before = model.recommend([5], 5, approximate=True)
    other.forget(items=[before["item"][0]])
    assert before["item"][0] not in other.recommend([5], 5, approximate=True)["item"]
    assert model.recommend([5], 5, approximate=True).equals(before)


def ask(model: tm.SML) -> list:
    return model.recommend([5, 6], 5, approximate=True)["item"].to_list()


def test_spawned_processes(model: tm.SML) -> None:
    expected = ask(model)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply_async(ask, (model,)).get(timeout=90) == expected
