"""TransCF: a naive twin of its epochs and scores, the means, and that it learns."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from descents import (
    SGD,
    fitted,
    follow,
    interactions,
    lengths,
    quality,
    run_epoch,
    some_pool,
    started,
    triplets,
)
from taking import take

import trimetric as tm
from trimetric.data.csr import Csr
from trimetric.engine.threads import ThreadTeam
from trimetric.errors import ParameterError

pytestmark = pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")

DATA = interactions()


def naive_means(table: np.ndarray, data: tm.Interactions) -> np.ndarray:
    """ᾱ, then β̄."""
    means, n = np.zeros_like(table), data.n_users
    for u in range(n):
        if (data.users == u).any():
            means[u] = table[n + data.items[data.users == u]].mean(axis=0)
    for v in range(data.n_items):
        if (data.items == v).any():
            means[n + v] = table[data.users[data.items == v]].mean(axis=0)
    return means


def distance(table: np.ndarray, means: np.ndarray, u: int, v: int) -> float:
    """D(u,v), v a row."""
    return float(((table[u] + means[u] * means[v] - table[v]) ** 2).sum())


@pytest.mark.twin
@pytest.mark.parametrize("pool", [None, some_pool(DATA)], ids=["all", "pool"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"reg_distance": 0, "reg_neighbours": 0},
        {"mean": True, "reg_distance": 0.3, "reg_neighbours": 0.2},
        {"projection": "epoch", "lr": 0.3},
    ],
    ids=str,
)
def test_epochs_equal_the_twin(given: dict[str, Any], pool: Csr | None) -> None:
    model = tm.TransCF(**{**SGD, "init_std": 0.4, **given})
    session, config = model.learner(DATA, pool, {}), model.config
    by_batch = config.projection == "batch"
    begun = started(3, 21, 5, std=0.4, radius=1)
    assert np.allclose(session.state.table[:, : config.dim], begun, atol=1e-6)
    for epoch in range(2):
        drawn = triplets(session, DATA, pool, epoch)
        means = naive_means(session.state.table[:, : config.dim].astype(float), DATA)
        assert np.allclose(session.state.means[:, : config.dim], means, atol=1e-6)

        def loss(samples: range, table: np.ndarray, _: np.ndarray) -> float:
            total = 0.0
            for u, v, n in filter(None, (drawn[t] for t in samples)):  # noqa: B023
                near, far = distance(table, means, u, v), distance(table, means, u, n)  # noqa: B023
                hinge = max(config.margin + near - far, 0)
                total += hinge / len(samples) if config.mean else hinge
                total += config.reg_distance * near
                stray = ((table[[u, v]] - means[[u, v]]) ** 2).sum()  # noqa: B023
                total += config.reg_neighbours * stray
            return total

        table, _, total = follow(model, session, loss, radius=1.0 if by_batch else np.inf)
        run_epoch(session, epoch)
        table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1)
        assert np.allclose(session.state.table[:, : config.dim], table, atol=1e-5)
        assert np.isclose(session.totals.loss, total, rtol=1e-4)


@pytest.mark.twin
def test_scores_equal_the_twin() -> None:
    model = tm.TransCF(dim=20, epochs=2, init_std=0.3)
    take(model, session := model.learner(DATA, None, {}), DATA)
    run_epoch(session)
    users, items = (side.ravel().astype(np.int32) for side in np.indices((9, 12)))
    reach = model.user_vectors[users] + model.user_neighbours[users] * model.item_neighbours[items]
    d = ((reach - model.item_vectors[items]) ** 2).sum(axis=1)
    scores = model.scorer.score(users, items)
    assert np.allclose(scores, -d, rtol=1e-5)
    assert model.scorer.table(users[:24:12]).tobytes() == scores[:24].tobytes()


def test_means_wait_for_the_end_of_the_epoch() -> None:
    """A run stopped after its last mini-batch, before the means, takes them when it goes on."""
    model = tm.TransCF(dim=4, batch_size=16)
    session, saved = model.learner(DATA, None, {}), {}
    before = session.state.means.copy()

    def pause(batch: int) -> bool:
        saved.update({name: array.copy() for name, array in session.arrays.items()})
        return False

    with ThreadTeam(1) as team:
        session.run(0, 0, team, pause)
        assert (saved["means"] == before).all()
        assert (session.state.means != before)[:, :4].mean() > 0.9
        again = model.learner(DATA, None, {})
        for name, array in saved.items():
            again.arrays[name][...] = array
        again.run(0, again.n_batches, team, pause)
    assert again.state.means.tobytes() == session.state.means.tobytes()


@pytest.mark.twin
@pytest.mark.parametrize("row", [3, DATA.n_users + 3])
def test_nan_shows_in_the_loss(row: int) -> None:
    session = tm.TransCF(**SGD).learner(DATA, None, {})
    session.state.table[row, 1] = np.nan
    run_epoch(session)
    assert np.isnan(session.summary()["loss"])


def all_scores(model: tm.TransCF) -> bytes:
    return model.scorer.table(np.arange(len(model.user_ids), dtype=np.int32)).tobytes()


@pytest.mark.parametrize("projection", ["batch", "epoch"])
def test_the_artifact_keeps_the_means_of_the_training_data(projection: str, tmp_path: Path) -> None:
    """Those of the epoch that validation chose, whatever the user is known to have seen later."""
    split = tm.split_random(DATA, test=0.2, valid=0.2, seed=0)
    given = {"dim": 4, "epochs": 8, "lr": 2.0, "validate_every": 1, "patience": 0}
    model = tm.TransCF(**given, projection=projection).fit(split.train, split.valid)
    assert model.provenance["best_epoch"] < 8
    table = np.concatenate([model.user_vectors, model.item_vectors]).astype(float)
    means = np.concatenate([model.user_neighbours, model.item_neighbours])
    assert np.allclose(means, naive_means(table, split.train), atol=1e-6)
    before = all_scores(model)
    model.mark_seen(split.test)
    assert all_scores(model) == before
    model.save(tmp_path)
    loaded = tm.load(tmp_path)
    assert all_scores(loaded) == before
    assert loaded.seen.items.tobytes() == model.seen.items.tobytes()
    assert loaded.user_neighbours.tobytes() == model.user_neighbours.tobytes()


@pytest.mark.parametrize("projection", ["batch", "epoch"])
def test_vectors_stay_in_the_ball(projection: str) -> None:
    assert 0.99 < lengths(tm.TransCF, projection=projection).max() <= 1.00001


def test_it_learns() -> None:
    assert quality(fitted(tm.TransCF, 40)) > 4 * quality(fitted(tm.TransCF, 0))


def test_settings() -> None:
    released = tm.TransCF(preset="released").get_params()
    wanted = {"dim": 10, "optimizer": "sgd", "lr": 0.001, "mean": True, "projection": "epoch"}
    assert released.items() >= (wanted | {"batch_size": 1000, "init_std": 0.01}).items()
    for bad in ({"margin": 0}, {"reg_distance": -1}, {"projection": "never"}, {"mean": "yes"}):
        with pytest.raises(ParameterError, match=next(iter(bad))):
            tm.TransCF(**bad)
