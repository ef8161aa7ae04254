"""LRML: a naive twin of its epochs and scores, and that it learns."""

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
from trimetric import counter
from trimetric.data.csr import Csr
from trimetric.engine.compile import kernel
from trimetric.engine.rows import padded_table
from trimetric.errors import ParameterError
from trimetric.models.lrml import attend
from trimetric.models.lrml_answers import Relations
from trimetric.models.lrml_scores import all_scores, pair_scores

pytestmark = pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")

DATA = interactions()


def relation(a: np.ndarray, b: np.ndarray, keys: np.ndarray, memory: np.ndarray) -> np.ndarray:
    """r = Σ a_s·M_s, a = softmax((α ⊙ β)·K_s)."""
    attention = np.exp(keys @ (a * b))
    return attention / attention.sum() @ memory


@pytest.mark.twin
@pytest.mark.parametrize("pool", [None, some_pool(DATA)], ids=["all", "pool"])
@pytest.mark.parametrize(
    "given",
    [
        {"clip": 1000},
        {"clip": 1000, "shared_relation": True},
        {"slots": 20, "margin": 0.1, "batch_size": 50},
        {"slots": 1, "lr": 0.5, "clip": 0.5},
        {"clip": 2, "init_std": 0.3},
    ],
    ids=str,
)
def test_epochs_equal_the_twin(given: dict[str, Any], pool: Csr | None) -> None:
    model = tm.LRML(**{**SGD, "lr": 0.05, "slots": 3, "init_std": 0.6, **given})
    session, config = model.learner(DATA, pool, {}), model.config
    take(model, session, DATA)
    slots = counter.normal(counter.key(3, 4), (2 * config.slots, config.dim))
    assert np.allclose(np.concatenate([model.keys, model.memory_slots]), config.init_std * slots)
    begun = started(3, 21, 5, std=config.init_std, radius=1)
    assert np.allclose(session.state.table[:, : config.dim], begun, atol=1e-6)
    drawn = triplets(session, DATA, pool, 0)

    def loss(samples: range, table: np.ndarray, weights: np.ndarray) -> float:
        total = 0.0
        keys, memory = np.split(weights.reshape(2 * config.slots, -1)[:, : config.dim], 2)
        for u, v, n in filter(None, (drawn[t] for t in samples)):
            near = far = relation(table[u], table[v], keys, memory)
            if not config.shared_relation:
                far = relation(table[u], table[n], keys, memory)
            d_near = ((table[u] + near - table[v]) ** 2).sum()
            d_far = ((table[u] + far - table[n]) ** 2).sum()
            total += max(config.margin + d_near - d_far, 0)
        return total

    table, weights, total = follow(model, session, loss)
    start = session.state.weights.copy()
    run_epoch(session)
    assert np.allclose(session.state.table[:, : config.dim], table, atol=1e-5)
    assert np.allclose(session.state.weights, weights, atol=1e-5)
    assert np.isclose(session.totals.loss, total, rtol=1e-4)
    assert np.abs(session.state.weights - start).max() > 0.01
    assert not model.scorer.learned.slots[:, config.dim :].any()


@pytest.mark.twin
@pytest.mark.parametrize("slots", [1, 7, 40])
def test_scores_equal_the_twin(slots: int) -> None:
    model = tm.LRML(dim=20, slots=slots, init_std=0.4)
    take(model, session := model.learner(DATA, None, {}), DATA)
    run_epoch(session)
    users, items = (side.ravel().astype(np.int32) for side in np.indices((9, 12)))
    expected = []
    for a, b in zip(model.user_vectors[users], model.item_vectors[items], strict=True):
        reach = a.astype(float) + relation(a.astype(float), b, model.keys, model.memory_slots)
        expected.append(-((reach - b) ** 2).sum())
    scores = model.scorer.score(users, items)
    assert np.allclose(scores, expected, rtol=1e-4)
    assert model.scorer.table(users[:24:12]).tobytes() == scores[:24].tobytes()
    for count in (0, 1, 15, 16, 17):
        alone = model.scorer.score(users[5 : 5 + count], items[5 : 5 + count])
        assert alone.tobytes() == scores[5 : 5 + count].tobytes()


@pytest.mark.twin
@pytest.mark.parametrize("slots", [1, 2, 9])
@pytest.mark.parametrize("size", [0.3, 60.0])
def test_scores_of_several_sixteens_of_items(slots: int, size: float) -> None:
    """Of logits too large for exp as well: the largest is taken off first."""
    rng, n_users, dim = np.random.default_rng(slots), 3, 5
    table, memory = rng.normal(0, 1, (n_users + 37, dim)), rng.normal(0, 1, (2 * slots, dim))
    memory[:slots] *= size
    learned = Relations(padded_table(table), padded_table(memory), n_users, slots, dim, 1.0)
    users, items = (side.ravel().astype(np.int32) for side in np.indices((n_users, 37)))
    table, memory = table.astype(np.float32), memory.astype(np.float32).astype(float)
    expected = []
    for u, v in zip(users, items, strict=True):
        a, b = table[u].astype(float), table[n_users + v].astype(float)
        logits = memory[:slots] @ (a * b)
        attention = np.exp(logits - logits.max())
        moved = a + attention / attention.sum() @ memory[slots:]
        expected.append(-((moved - b) ** 2).sum())
    scores = pair_scores(learned, users, items)
    assert scores == pytest.approx(np.array(expected), rel=1e-4, abs=1e-5)
    everything = all_scores(learned, np.arange(n_users, dtype=np.int32)[::-1].copy())
    assert everything[::-1].tobytes() == scores.tobytes()


@kernel
def fill_attention(scratch, slots, attention):
    attend(scratch, 0, slots, attention)


@pytest.mark.twin
@pytest.mark.parametrize("n", [1, 2, 20, 300])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_attention_is_a_softmax(n: int, size: float) -> None:
    """Of logits of any size: what exp cannot hold is taken off first."""
    rng = np.random.default_rng(n)
    scratch, slots = (padded_table(rng.normal(0, 1, (rows, 20))) for rows in (1, 2 * n))
    scratch *= np.float32(size)
    attention = np.full(n, np.nan, dtype=np.float32)
    fill_attention(scratch, slots, attention)
    logits = slots[:n].astype(float) @ scratch[0].astype(float)
    expected = np.exp(logits - logits.max())
    assert attention.sum(dtype=float) == pytest.approx(1, abs=1e-6)
    assert attention.min() >= 0
    assert attention == pytest.approx(expected / expected.sum(), rel=1e-4, abs=1e-3 * min(size, 1))


@pytest.mark.twin
@pytest.mark.parametrize("row", [3, DATA.n_users + 3])
def test_nan_shows_in_the_loss(row: int) -> None:
    session = tm.LRML(**SGD).learner(DATA, None, {})
    session.state.table[row, 1] = np.nan
    run_epoch(session)
    assert np.isnan(session.summary()["loss"])


@pytest.mark.twin
@pytest.mark.parametrize("part", [0, 1], ids=["keys", "memory"])
def test_nan_in_the_slots_shows_in_the_loss(part: int) -> None:
    session = tm.LRML(**SGD, slots=3).learner(DATA, None, {})
    session.state.weights.reshape(2, 3, 16)[part, 1, 2] = np.nan
    run_epoch(session)
    assert np.isnan(session.summary()["loss"])


def test_vectors_stay_in_the_ball() -> None:
    assert 0.99 < lengths(tm.LRML).max() <= 1.00001


def test_it_learns() -> None:
    start = quality(fitted(tm.LRML, 0))
    assert quality(fitted(tm.LRML, 40)) > 4 * start
    assert quality(fitted(tm.LRML, 40, shared_relation=True)) > 4 * start


def test_settings() -> None:
    assert not tm.LRML().config.shared_relation
    assert tm.LRML(preset="released").config == tm.LRML(shared_relation=True).config
    for bad in ({"slots": 0}, {"margin": 0}, {"clip": 0}, {"shared_relation": 1.5}):
        with pytest.raises(ParameterError, match=next(iter(bad))):
            tm.LRML(**bad)
