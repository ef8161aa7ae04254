"""BPR: a naive twin of its epochs and scores, negatives from a pool, and that it learns."""

import numpy as np
import pytest
from descents import (
    SGD,
    fitted,
    follow,
    interactions,
    quality,
    run_epoch,
    some_pool,
    started,
    triplets,
)

import trimetric as tm
from trimetric.data.csr import Csr
from trimetric.errors import ParameterError

pytestmark = [
    pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:1 of the users have every item"),
]
DATA = interactions()


@pytest.mark.twin
@pytest.mark.parametrize("pool", [None, some_pool(DATA)], ids=["all", "pool"])
@pytest.mark.parametrize("reg", [0.0, 0.3])
def test_epochs_equal_the_twin(reg: float, pool: Csr | None) -> None:
    model = tm.BPR(**SGD, reg=reg, init_std=0.4)
    session, begun = model.learner(DATA, pool, {}), started(3, 21, 5, std=0.4)
    assert np.allclose(session.state.table[:, : SGD["dim"]], begun, atol=1e-6)
    for epoch in range(2):
        drawn = triplets(session, DATA, pool, epoch)

        def loss(samples: range, table: np.ndarray, _: np.ndarray) -> float:
            total = 0.0
            for u, v, n in filter(None, (drawn[t] for t in samples)):  # noqa: B023
                total += np.logaddexp(0, -(table[u] @ table[v] - table[u] @ table[n]))
                total += reg / 2 * (table[[u, v, n]] ** 2).sum()
            return total

        table, _, _ = follow(model, session, loss, np.inf)
        run_epoch(session, epoch)
        assert np.allclose(session.state.table[:, : SGD["dim"]], table, atol=2e-6)
        assert session.summary()["triplets"] == len(DATA)
        assert session.summary()["active"] == len(list(filter(None, drawn))) / len(DATA)


def test_scores_are_inner_products() -> None:
    model = tm.BPR(dim=7, epochs=2).fit(DATA)
    exact = model.user_factors.astype(float) @ model.item_factors.astype(float).T
    users, items = np.indices(exact.shape).reshape(2, -1).astype(np.int32)
    assert np.allclose(model.scorer.score(users, items), exact.ravel(), rtol=1e-5, atol=1e-7)


@pytest.mark.twin
@pytest.mark.parametrize("row", [3, DATA.n_users + 3])
def test_nan_shows_in_the_loss(row: int) -> None:
    session = tm.BPR(**SGD).learner(DATA, None, {})
    session.state.table[row, 1] = np.nan
    run_epoch(session)
    assert np.isnan(session.summary()["loss"])


def test_it_learns() -> None:
    start = quality(fitted(tm.BPR, 0))
    assert quality(fitted(tm.BPR, 40)) > 4 * start
    assert quality(fitted(tm.BPR, 40, optimizer="sgd", lr=0.2)) > 4 * start


def test_settings() -> None:
    released = tm.BPR(preset="released").get_params()
    wanted = {"dim": 30, "optimizer": "adam", "lr": 0.001, "reg": 0.1, "schedule": "constant"}
    assert released.items() >= (wanted | {"init_std": 0.01}).items()
    for bad in ({"reg": -1}, {"init_std": -1}, {"optimizer": "newton"}):
        with pytest.raises(ParameterError, match=next(iter(bad))):
            tm.BPR(**bad)
