"""BPR: a naive twin of its epochs and scores, negatives from a pool, optimisers."""

from typing import Any

import numpy as np
import pytest

import trimetric as tm
from descents import SGD, follow, interactions, run_epoch, some_pool, triplets
from trimetric.data.csr import Csr
from trimetric.engine.threads import Team

pytestmark = [
    pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:1 of the users have every item"),
]
DATA = interactions()


@pytest.mark.twin
@pytest.mark.parametrize("pool", [None, some_pool(DATA)], ids=["all", "pool"])
@pytest.mark.parametrize("reg", [0.0, 0.3])
def test_epochs_equal_the_twin(reg: float, pool: Csr | None) -> None:
    session = tm.BPR(**SGD, reg=reg, init_std=0.4)._learner(DATA, pool)
    for epoch in range(2):
        drawn = triplets(session, DATA, pool, epoch)

        def loss(samples: range, table: np.ndarray, _: np.ndarray) -> float:
            total = 0.0
            for u, v, n in filter(None, (drawn[t] for t in samples)):  # noqa: B023
                total += np.logaddexp(0, -(table[u] @ table[v] - table[u] @ table[n]))
                total += reg / 2 * (table[[u, v, n]] ** 2).sum()
            return total

        table, _, _ = follow(session, loss, np.inf)
        run_epoch(session, epoch)
        assert np.allclose(session.state.table[:, : SGD["dim"]], table, atol=2e-6)
        assert session.summary()["triplets"] == len(DATA)
        assert session.summary()["active"] == len(list(filter(None, drawn))) / len(DATA)


def test_scores_are_inner_products() -> None:
    model = tm.BPR(dim=7, epochs=2).fit(DATA)
    exact = model.user_factors.astype(float) @ model.item_factors.astype(float).T
    users, items = np.indices(exact.shape).reshape(2, -1).astype(np.int32)
    assert np.allclose(model.score_rows(users, items), exact.ravel(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("optimizer", ["adagrad", "rowwise-adagrad", "adam", "sgd"])
def test_paused_anywhere_it_ends_in_the_same_bits(optimizer: str) -> None:
    """For each optimiser: whole epochs, and epochs of single mini-batches on 1 to 3 threads."""

    def trained(threads: int, paused: bool) -> dict[str, bytes]:
        settings: dict[str, Any] = {**SGD, "optimizer": optimizer, "lr": 0.05, "dim": 20}
        session = tm.BPR(**settings)._learner(DATA, None)
        with Team(threads) as team:
            for epoch in range(3):
                batch = 0
                while batch < session.n_batches:
                    batch = session.run(epoch, batch, team, lambda _: paused)
        return {name: array.tobytes() for name, array in session.arrays.items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trimetric.engine.threads.WORK_A_STEP", 1)
        whole = trained(1, False)
        assert all(trained(threads, True) == whole for threads in (1, 2, 3))
