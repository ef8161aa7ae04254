"""Mini-batches of `engine.gradients`: a naive twin of each optimiser, chunks, threads, pauses."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import pytest
import reference
from descents import interactions, numeric, run_epoch, triplets
from hypothesis import example, given
from hypothesis import strategies as st

import trimetric as tm
from trimetric import counter
from trimetric.engine.compile import inline, kernel
from trimetric.engine.elementary import sigmoid, softplus
from trimetric.engine.gradients import (
    CHUNK,
    apply_updates,
    assign_samples,
    clear_sample,
    gradient_session,
    sample_triplet,
)
from trimetric.engine.negatives import positives
from trimetric.engine.optimizers import OPTIMIZERS
from trimetric.engine.rows import add_scaled, copy, dot, multiply, scale
from trimetric.engine.session import RunSettings, Session
from trimetric.engine.threads import ThreadTeam, ThreadTuner

pytestmark = [
    pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:1 of the users have every item"),
]
DATA = interactions(16, 20)  # the last user has every item
SETTINGS: dict[str, Any] = {
    "dim": 20,
    "batch_size": 100,
    "optimizer": "sgd",
    "lr": 0.05,
    "schedule": "linear",
    "epochs": 4,
    "seed": 3,
}
Sample = tuple[int, int, int] | None


# --- a small model with dense weights: BPR whose inner product is weighted ------------------------


@kernel
def train_weighted(me, threads, span, positives, state, settings, workspace, params):
    weights, scratch = state.weights.reshape(1, state.table.shape[1]), workspace.scratch[me]
    for batch in range(span[0], span[1]):
        low, high = assign_samples(me, threads, batch, settings, workspace)
        for t in range(low, high):
            u, v, n = sample_triplet(t, batch, positives, state, settings, workspace)
            if n >= 0:
                weighted_gradient(t, u, v, n, state.table, weights, workspace, scratch)
        apply_updates(me, threads, batch, state, settings, workspace)


@inline
def weighted_gradient(t, u, v, n, table, weights, workspace, scratch):
    g, k = workspace.gradients, 3 * t
    copy(scratch, 0, table, v, np.float32(1))
    add_scaled(scratch, 0, table, n, np.float32(-1))
    multiply(scratch, 1, table, u, scratch, 0)
    margin = dot(scratch, 1, weights, 0)
    c = sigmoid(-margin)
    multiply(g, k, weights, 0, scratch, 0)
    scale(g, k, -c)
    multiply(g, k + 1, weights, 0, table, u)
    copy(g, k + 2, g, k + 1, c)
    scale(g, k + 1, -c)
    add_scaled(workspace.dense, t // CHUNK, scratch, 1, -c)
    workspace.rows[k], workspace.rows[k + 1], workspace.rows[k + 2] = u, v, n
    workspace.loss[t], workspace.active[t] = softplus(-margin), margin < 0


def weighted(**changes: Any) -> Session:
    """Return a session of that model."""
    settings = RunSettings(**SETTINGS | {"init_mean": 0.1, "init_std": 0.4} | changes)
    start = np.zeros(32, dtype=np.float32)
    start[:20] = np.linspace(0.5, 1.5, 20)
    pairs = positives(DATA.users, DATA.items, DATA.indptr)
    return gradient_session(train_weighted, settings, pairs, DATA.n_items, weights=start, scratch=2)


def plain(**changes: Any) -> Session:
    """Return a session of BPR: no dense weights, and a regulariser."""
    return tm.BPR(**SETTINGS | {"init_std": 0.4, "reg": 0.3} | changes).learner(DATA, None, {})


# --- its twin ------------------------------------------------------------------------------------


class Twin:
    """A run in float64; rows that a mini-batch does not touch rest, dense weights never do."""

    def __init__(self, session: Session, reg: float = 0.0) -> None:
        self.settings, self.reg = session.settings, reg
        self.table = session.state.table[:, : self.settings.dim].astype(np.float64)
        self.learned = len(session.state.weights) > 0
        flat = session.state.weights if self.learned else np.ones(self.settings.dim)
        self.weights = flat[: self.settings.dim].astype(np.float64)
        start = 0.0 if self.settings.optimizer == "adam" else 0.1
        self.first, self.second = np.zeros_like(self.table), np.full_like(self.table, start)
        self.of_weights = np.zeros_like(self.weights), np.full_like(self.weights, start)
        self.steps, self.shared, self.clipped, self.loss, self.active = 0, 0, 0, 0.0, 0

    def loss_of(self, rows: tuple[int, int, int]) -> float:
        """−ln σ(Σ_k w_k·α_k·(β_k − β⁻_k)) + reg/2·‖rows‖²."""
        a, b, c = self.table[list(rows)]
        ridge = self.reg / 2 * (self.table[list(rows)] ** 2).sum()
        return np.logaddexp(0, -(self.weights * a * (b - c)).sum()) + ridge

    def slopes(self, rows: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Return ∂/∂rows (3, dim) and ∂/∂w (dim,) of a sample's loss."""
        (a, b, c), w = self.table[list(rows)], self.weights
        pull = -1 / (1 + np.exp((w * a * (b - c)).sum()))
        of_rows = pull * np.stack([w * (b - c), w * a, -w * a])
        return of_rows + self.reg * np.stack([a, b, c]), pull * a * (b - c)

    def epoch(self, number: int, samples: list[Sample]) -> None:
        s, self.loss, self.active = self.settings, 0.0, 0
        lr = s.lr * (1 - number / s.epochs) if s.schedule == "linear" else s.lr
        for start in range(0, len(samples), s.batch_size):
            self.steps += 1
            self.batch(filter(None, samples[start : start + s.batch_size]), lr)

    def batch(self, samples: Iterable[tuple[int, int, int]], lr: float) -> None:
        of_rows, of_weights = dict[int, np.ndarray](), np.zeros_like(self.weights)
        for rows in samples:
            loss = self.loss_of(rows)
            self.loss, self.active = self.loss + loss, self.active + (loss > np.log(2))
            slopes, slope = self.slopes(rows)
            of_weights += slope
            for row, one in zip(rows, slopes, strict=True):
                self.shared += row in of_rows
                of_rows[row] = of_rows.get(row, 0) + one
        for row, g in of_rows.items():
            self.clipped += np.linalg.norm(g) > self.settings.clip
            g = g * min(1, self.settings.clip / np.linalg.norm(g))
            moved = self.step(self.table[row], g, self.first[row], self.second[row], lr)
            self.table[row] = reference.projected(moved, self.settings.radius, False)
        if self.learned:
            dense = (
                "adagrad"
                if self.settings.optimizer == "rowwise-adagrad"
                else self.settings.optimizer
            )
            self.weights = self.step(self.weights, of_weights, *self.of_weights, lr, dense)

    def step(
        self,
        x: np.ndarray,
        g: np.ndarray,
        first: np.ndarray,
        second: np.ndarray,
        lr: float,
        optimizer: str = "",
    ) -> np.ndarray:
        name = optimizer or self.settings.optimizer
        if name == "adam":
            return reference.adam(x, g, first, second, lr, self.steps)
        if name == "rowwise-adagrad":
            return reference.rowwise_adagrad(x, g, second, lr)
        return reference.adagrad(x, g, second, lr) if name == "adagrad" else x - lr * g


def assert_equal_runs(session: Session, twin: Twin, epochs: int = 2) -> None:
    close, dim = {"rtol": 1e-3, "atol": 1e-4}, session.settings.dim
    for epoch in range(epochs):
        drawn = triplets(session, DATA, None, epoch)
        twin.loss, state = 0.0, session.state
        run_epoch(session, epoch)
        twin.epoch(epoch, drawn)
        assert np.allclose(state.table[:, :dim], twin.table, **close)
        assert not state.table[:, dim:].any()
        for ours, theirs in ((state.first, twin.first), (state.second, twin.second)):
            columns = min(ours.shape[1], dim)
            assert np.allclose(ours[:, :columns], theirs[: len(ours), :columns], **close)
        if twin.learned:
            assert np.allclose(state.weights[:dim], twin.weights, **close)
            assert not state.weights[dim:].any()
    assert session.summary()["triplets"] == len(DATA)
    assert None in drawn
    if twin.reg == 0:
        assert session.summary()["loss"] == pytest.approx(twin.loss / len(DATA), rel=1e-4)
        assert session.summary()["active"] == pytest.approx(twin.active / len(DATA), rel=1e-2)


OPTIMIZERS = list(OPTIMIZERS)


@pytest.mark.twin
def test_the_twin_knows_its_slopes() -> None:
    for twin in (Twin(weighted()), Twin(plain(), reg=0.3)):
        rows = (2, 17, 30)
        of_rows, of_weights = twin.slopes(rows)
        loss = partial(twin.loss_of, rows)
        assert numeric(loss, twin.table)[list(rows)] == pytest.approx(of_rows, abs=1e-8)
        assert numeric(loss, twin.weights) == pytest.approx(of_weights, abs=1e-8)


@pytest.mark.twin
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"batch_size": 1, "schedule": "constant"},
        {"batch_size": 2 * CHUNK},
        {"batch_size": CHUNK + 1, "clip": 0.5, "radius": 1.0},
        {"batch_size": 10_000, "clip": 2.0},
        {"radius": 0.8, "lr": 0.3},
    ],
    ids=str,
)
def test_batches_equal_the_twin(given: dict[str, Any], optimizer: str) -> None:
    """One to four chunks of 32 samples; a last batch that is not full."""
    session = weighted(optimizer=optimizer, **given)
    size = session.settings.batch_size
    assert size == 1 or len(DATA) % size
    twin = Twin(session)
    assert_equal_runs(session, twin)
    assert (twin.shared > 0) == (size > 1)
    assert (twin.clipped > 0) == ("clip" in given)
    lengths = np.linalg.norm(session.state.table.astype(np.float64), axis=1)
    assert 0.79 < lengths.max() <= session.settings.radius * 1.00001


@pytest.mark.twin
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_rows_alone_equal_the_twin(optimizer: str) -> None:
    """BPR, which has no dense weights."""
    session = plain(optimizer=optimizer)
    assert_equal_runs(session, Twin(session, reg=0.3))


# --- the start -----------------------------------------------------------------------------------


@pytest.mark.twin
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_start(optimizer: str) -> None:
    state = weighted(optimizer=optimizer, radius=0.9).state
    drawn = 0.1 + 0.4 * counter.normal(counter.key(3, 3), (36, 20))
    expected = [reference.projected(row, 0.9, False) for row in drawn]
    assert np.allclose(state.table[:, :20], expected, rtol=1e-5, atol=1e-7)
    assert not state.table[:, 20:].any()
    assert np.allclose(state.weights[:20], np.linspace(0.5, 1.5, 20))
    wide = state.table.shape
    shapes = {
        "sgd": ((0, 1), (0, 1)),
        "rowwise-adagrad": ((0, 1), (36, 1)),
        "adagrad": ((0, 1), wide),
        "adam": (wide, wide),
    }
    assert (state.first.shape, state.second.shape) == shapes[optimizer]
    start = np.float32(0 if optimizer == "adam" else 0.1)
    assert (state.second == start).all()
    assert (state.weights_second == start).all()
    assert not state.first.any()
    assert not state.weights_first.any()


# --- threads -------------------------------------------------------------------------------------


@kernel
def fill_parts(out, threads, batch, settings, workspace):
    for me in range(threads):
        out[me, 0], out[me, 1] = assign_samples(me, threads, batch, settings, workspace)


@pytest.mark.twin
@given(st.integers(1, 9), st.integers(1, 300), st.integers(0, 10))
@example(1, len(DATA) - CHUNK, 1)  # its last mini-batch is one whole chunk
def test_threads_are_assigned_whole_chunks_and_every_sample(
    threads: int, batch_size: int, batch: int
) -> None:
    session = weighted(batch_size=batch_size, dim=1)
    batch %= session.n_batches
    workspace, out = session.workspace(threads), np.zeros((threads, 2), dtype=np.int64)
    workspace.dense[:] = 1
    fill_parts(out, threads, batch, session.epoch_settings(0), workspace)
    count = min(batch_size, len(DATA) - batch * batch_size)
    assert [t for low, high in out.tolist() for t in range(low, high)] == list(range(count))
    assert all(low % CHUNK == 0 for low, high in out.tolist() if low < high)
    chunks = -(-count // CHUNK)
    assert not workspace.dense[:chunks].any()
    assert workspace.dense[chunks:].all()


@kernel
def clear(t, workspace):
    clear_sample(t, workspace)


@pytest.mark.twin
def test_a_sample_that_is_cleared_leaves_those_beside_it_alone() -> None:
    """They may be another thread's."""
    workspace = weighted(batch_size=4).workspace(1)
    workspace.rows[:], workspace.loss[:], workspace.active[:] = 7, 1, True
    clear(2, workspace)
    assert workspace.rows.tolist() == [7] * 6 + [-1] * 3 + [7] * 3
    assert workspace.loss.tolist() == workspace.active.tolist() == [1, 1, 0, 1]


def all_at_once(patch: pytest.MonkeyPatch) -> None:
    """Let every thread of a team take part in every step, and a step be one mini-batch."""
    patch.setattr("trimetric.engine.threads.WORK_PER_STEP", 1)
    patch.setattr(ThreadTuner, "suggest", lambda self: self._choices[0])


def bits(session: Session) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in session.arrays.items()}


def any_model(name: str, optimizer: str) -> Session:
    given = SETTINGS | {"optimizer": optimizer, "init_std": 0.4}
    return (
        weighted(optimizer=optimizer)
        if not name
        else tm.create(name, **given).learner(DATA, None, {})
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ["", "bpr", "fml", "transcf", "lrml", "ncf"])
def test_threads_do_not_change_a_bit(
    name: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_at_once(monkeypatch)
    made = []
    for threads in (1, 2, 3, 5):
        session = any_model(name, optimizer)
        with ThreadTeam(threads) as team:
            for epoch in range(3):
                session.run(epoch, 0, team, lambda batch: False)
        made.append(bits(session))
    assert all(one == made[0] for one in made)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [17, 100])
def test_it_goes_on_from_its_arrays_at_any_batch(
    batch_size: int, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mini-batch in a new session, on another number of threads than the one before."""
    all_at_once(monkeypatch)
    whole = weighted(optimizer=optimizer, batch_size=batch_size)
    for epoch in range(2):
        run_epoch(whole, epoch)
    saved: dict[str, np.ndarray] = {}
    for epoch in range(2):
        for batch in range(whole.n_batches):
            session = weighted(optimizer=optimizer, batch_size=batch_size)
            for name, array in saved.items():
                session.arrays[name][...] = array
            with ThreadTeam(1 + batch % 3) as team:
                assert session.run(epoch, batch, team, lambda _: True) == batch + 1
            saved = session.arrays
    assert bits(session) == bits(whole)
    assert session.summary() == whole.summary()
