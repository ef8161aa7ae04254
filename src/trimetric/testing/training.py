"""Checks of training: forms of data, pools of negatives, monitors."""

from copy import deepcopy
from typing import Any

import numpy as np
import polars as pl

from trimetric.data import synthetic
from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.errors import DataError, ParameterError, Unsupported
from trimetric.models.recommender import Recommender
from trimetric.testing.cases import Case, folder, installed, learned, raises


def check_every_input_form_unchanged(case: Case) -> None:
    """Whatever form the data comes in, the same is learned, and the data stays as it is."""
    pairs = synthetic.planted(60, 40, dim=4, clusters=4, per_user=6, seed=1).interactions
    arrays = (pairs.users.astype(np.int64), pairs.items.astype(np.int64))
    frame = pl.DataFrame({"user": arrays[0], "item": arrays[1]})
    forms: list[Any] = [arrays, frame, frame.to_arrow() if installed("pyarrow") else frame]
    if installed("pandas"):
        forms.append(frame.to_pandas())
    if installed("scipy"):
        from scipy import sparse

        forms.append(sparse.coo_matrix((np.ones(len(pairs)), arrays)).tocsr())
    before = deepcopy(forms)
    expected = learned(case.new().fit(Interactions.of(arrays)))
    shuffled = frame.sample(fraction=1, shuffle=True, seed=1)
    with folder() as at:
        frame.write_csv(at / "pairs.csv")
        frame.write_parquet(at / "pairs.parquet")
        for form in (*forms, at / "pairs.csv", str(at / "pairs.parquet"), shuffled):
            assert learned(case.new().fit(form)) == expected, type(form)
    for form, copied in zip(forms, before, strict=True):
        assert _same(form, copied), type(form)


def _same(form: Any, other: Any) -> bool:
    """Whether two arrays, frames or sparse matrices hold the same; also tuples of arrays."""
    if isinstance(form, tuple):
        return all(np.array_equal(a, b) for a, b in zip(form, other, strict=True))
    if hasattr(form, "equals"):
        return form.equals(other)
    parts = ("indptr", "indices", "data")
    return all(np.array_equal(getattr(form, name), getattr(other, name)) for name in parts)


def check_weights_count(case: Case) -> None:
    """Weights are refused by name, or used and kept; weights of 1 change nothing."""
    data = case.data
    drawn = np.random.default_rng(7).choice([1, 2, 9], len(data)).astype(np.float32)
    given = data.changed(weights=drawn)
    if not case.new().takes_weights:
        with raises(Unsupported, f"{case.new().name} cannot use weights"):
            case.new().fit(given)
        return
    users = data.user_ids.values
    equal = case.new().fit(data.changed(weights=np.ones(len(data), dtype=np.float32)))
    assert equal.recommend(users).equals(case.new().fit(data).recommend(users))
    model = case.new().fit(given)
    assert not model.recommend(users).equals(equal.recommend(users))
    with folder() as at:
        model.save(at / "model")
        again = case.load(at / "model")
    assert again.known.weights is not None
    assert np.array_equal(again.known.weights, drawn)


def check_no_data(case: Case) -> None:
    """Nothing to learn from is an error that says so."""
    with raises(DataError):
        case.new().fit(case.data.take(np.zeros(len(case.data), dtype=bool)))
    with folder() as at, raises(DataError, r"nowhere\.csv"):
        case.new().fit(at / "nowhere.csv")


def check_negatives_come_from_the_pool(case: Case) -> None:
    """A pool of all items changes nothing that is learned in one go, and trains elsewhere."""
    data = case.data
    users, items = np.indices((data.n_users, data.n_items)).reshape(2, -1)
    pool = Csr.from_pairs(users, items, data.n_users)
    model = case.new().fit(data, pool=pool)
    assert model.recommend(data.user_ids.values, k=3).height == 3 * data.n_users
    if not case.in_epochs:
        assert learned(model) == case.weights
        return
    first = Csr.from_pairs(pool.users, np.minimum(pool.items, 4), data.n_users)
    assert learned(case.new().fit(data, pool=first)) != learned(model)
    nothing = pool.keep(np.zeros(len(pool.items), dtype=bool))
    with raises(DataError, "pool leaves no user a negative"):
        case.new().fit(data, pool=nothing)
    with raises(ParameterError, "pool has 1 users"):
        case.new().fit(data, pool=Csr(pool.indptr[:2], pool.items))


def check_monitored(case: Case) -> None:
    """A monitor is asked after each epoch, of a model that answers; the best epoch is kept."""
    models: list[Recommender] = []

    def monitor(model: Recommender) -> float:
        models.append(model)
        assert model.recommend([case.data.user_ids.values[0]], k=2).height == 2
        return -len(models)

    model = case.new().fit(case.data, monitor=monitor)
    assert len(models) == (case.params["epochs"] if case.in_epochs else 0)
    assert model.provenance["best_epoch"] == (1 if case.in_epochs else 0)
