"""Blocks of `engine.reconstruction`: a naive twin in float64, threads, pauses."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import reference
from descents import draws, interactions, numeric, places, run_epoch, some_pool

import trimetric as tm
from trimetric import counter
from trimetric.data.csr import Csr
from trimetric.engine.centroids import candidate_order
from trimetric.engine.compile import kernel
from trimetric.engine.negatives import positives
from trimetric.engine.reconstruction import (
    ReconstructionSettings,
    reconstructed,
    reconstruction_session,
)
from trimetric.engine.rng import shuffled
from trimetric.engine.session import Session
from trimetric.engine.threads import ThreadTeam, ThreadTuner

pytestmark = [pytest.mark.twin, pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")]
compiled = pytest.mark.compiled  # interpreted kernels run on one thread, and slowly
DATA = Csr.of(interactions(15, 12))  # the last user has every item, and the one before lacks one
SETTINGS: dict[str, Any] = {
    "dim": 5,
    "batch_size": 6,
    "lr": 0.05,
    "schedule": "linear",
    "epochs": 4,
    "seed": 3,
    "candidates": 0,
    "weight_rate": 1.5,
}


def make(
    data: Csr = DATA,
    pool: Csr | None = None,
    n_items: int = 0,
    weights: np.ndarray | None = None,
    **changes: Any,
) -> Session:
    """Return a session; the catalogue ends with the last item that somebody has, or at n_items."""
    chosen = ReconstructionSettings(**SETTINGS | changes)
    users = np.repeat(np.arange(len(data.counts), dtype=np.int32), data.counts)
    pairs = positives(users, data.items, data.indptr, pool, weights)
    return reconstruction_session(chosen, pairs, n_items or int(data.items.max()) + 1)


# --- its twin -------------------------------------------------------------------------------------


@kernel
def fill_candidates(out, draws, block, n):
    order = candidate_order(draws, block, n)
    for j in range(len(out)):
        out[j] = shuffled(j, order)


class Twin:
    """A run in float64, the gradients by finite differences."""

    def __init__(self, session: Session) -> None:
        self.session, self.settings = session, session.settings
        indptr, items = session.positives.indptr, session.positives.items
        self.owned = [set(items[a:b].tolist()) for a, b in pairwise(indptr)]
        given = session.positives.weights
        counts = given.astype(np.float64) if len(given) else np.ones(len(items))
        self.counts = [counts[a:b] for a, b in pairwise(indptr)]
        self.items = session.state.items[:, : self.settings.dim].astype(np.float64)
        self.logarithms = np.zeros(len(self.items))  # ln h
        self.squares, self.of_weights = (np.full((len(self.items), 1), 1e-4) for _ in range(2))
        self.loss = 0.0

    @property
    def weights(self) -> np.ndarray:
        return np.exp(self.logarithms)

    def negatives(self, user: int) -> list[int]:
        """Items that the user does not have, of the pool where there is one."""
        pairs = self.session.positives
        if len(pairs.pool_indptr):
            return pairs.pool_items[pairs.pool_indptr[user] : pairs.pool_indptr[user + 1]].tolist()
        return [v for v in range(len(self.items)) if v not in self.owned[user]]

    def loss_of(self, user: int, candidates: list[int]) -> float:
        """1 − cos(f_u, r_u); of the negatives, `candidates` stand for all."""
        a, own, r = self.items, sorted(self.owned[user]), self.counts[user]
        h = r * self.weights[own]
        z = h @ a[own]
        # ‖a‖ is 1 where it stands, not on the way there: the item itself is left out in words
        mine = np.array([max((z - h[k] * a[v]) @ a[v], 0) for k, v in enumerate(own)])
        others = self.negatives(user)
        drawn = [v for v in others if v in candidates]
        scores = np.maximum(a[drawn] @ z, 0)
        total = len(self.items) - len(own)  # of which `outside` are candidates
        outside = len([v for v in candidates if v not in self.owned[user]])
        square = (mine**2).sum() + total / max(outside, 1) * (scores**2).sum()
        return 1.0 if square == 0 else 1 - mine @ r / np.sqrt(square * (r @ r))

    def epoch(self, number: int) -> None:
        s, self.loss = self.settings, 0.0
        lr = s.lr * (1 - number / s.epochs) if s.schedule == "linear" else s.lr
        users = self.session.params.users[places(self.session, number)]
        candidates = np.arange(len(self.items))
        for block, start in enumerate(range(0, len(users), s.batch_size)):
            size = int(self.session.params.candidates)
            if size < len(self.items):
                candidates = np.empty(size, dtype=np.int64)
                fill_candidates(candidates, draws(self.session, number), block, len(self.items))
            self.block(users[start : start + s.batch_size].tolist(), candidates.tolist(), lr)

    def block(self, users: list[int], candidates: list[int], lr: float) -> None:
        def loss() -> float:
            return sum(self.loss_of(user, candidates) for user in users)

        self.loss += loss()
        of_items, of_logarithms = numeric(loss, self.items), numeric(loss, self.logarithms)
        for v in set(candidates).union(*(self.owned[user] for user in users)):
            a, g = self.items[v], of_items[v]
            moved = reference.rowwise_adagrad(a, g - (g @ a) * a, self.squares[v], lr)
            self.items[v] = moved / np.linalg.norm(moved)
            one, rate = slice(v, v + 1), lr * self.settings.weight_rate
            self.logarithms[one] = reference.rowwise_adagrad(
                self.logarithms[one], of_logarithms[one], self.of_weights[v], rate
            )


def assert_equal_runs(session: Session, epochs: int) -> None:
    twin, state, dim = Twin(session), session.state, session.settings.dim
    start = twin.items.copy()
    for epoch in range(epochs):
        run_epoch(session, epoch)
        twin.epoch(epoch)
        assert np.allclose(state.items[:, :dim], twin.items, rtol=1e-3, atol=2e-4)
        assert not state.items[:, dim:].any()
        assert np.allclose(state.weights, twin.weights, rtol=1e-3)
        assert np.allclose(state.item_squares, twin.squares[:, 0], rtol=1e-3)
        if session.settings.weight_rate > 0:
            assert np.allclose(state.weight_squares, twin.of_weights[:, 0], rtol=1e-3)
        assert session.summary()["triplets"] == session.samples
        assert session.summary()["loss"] == pytest.approx(twin.loss / session.samples, rel=1e-4)
    assert np.abs(start - twin.items).max() > 0.02


@pytest.mark.parametrize("candidates", [0, 5])
def test_the_gradient_of_one_block(candidates: int) -> None:
    """All users in one block: the sums of squares say how long each gradient is."""
    session = make(batch_size=100, candidates=candidates)
    assert session.n_batches == 1
    assert_equal_runs(session, epochs=1)


@pytest.mark.parametrize("schedule", ["linear", "constant"])
@pytest.mark.parametrize("candidates", [0, 5, 12])
def test_epochs_equal_the_twin(candidates: int, schedule: str) -> None:
    """Blocks of six users, the last one of two."""
    assert_equal_runs(make(candidates=candidates, schedule=schedule), epochs=2)


def test_an_epoch_with_pools_equals_the_twin() -> None:
    """What a user lacks outside the pool counts for nothing; candidates are the catalogue."""
    session = make(pool=some_pool(interactions(15, 12)), candidates=5)
    assert session.params.candidates == 12
    assert_equal_runs(session, epochs=1)


@compiled
def test_wide_rows_and_blocks_of_several_tiles() -> None:
    """Rows of two vectors, blocks of two tiles of users, three panels of items."""
    data = Csr.of(interactions(24, 40))
    assert_equal_runs(make(data, dim=20, batch_size=13), epochs=1)


@pytest.mark.parametrize("candidates", [0, 5])
def test_interactions_with_weights_equal_the_twin(candidates: int) -> None:
    weights = np.random.default_rng(5).choice([0.5, 1, 3], len(DATA.items)).astype(np.float32)
    assert_equal_runs(make(candidates=candidates, weights=weights), epochs=2)


def test_equal_weights_change_nothing() -> None:
    plain, weighted = make(), make(weights=np.ones(len(DATA.items), dtype=np.float32))
    for session in (plain, weighted):
        run_epoch(session)
    for name, array in plain.arrays.items():
        assert np.array_equal(array, weighted.arrays[name])


def test_weights_that_do_not_move() -> None:
    session = make(weight_rate=0)
    assert_equal_runs(session, epochs=1)
    assert (session.state.weights == 1).all()


# --- the start, and who is trained on ------------------------------------------------------------


def test_the_start() -> None:
    state = make().state
    drawn = counter.normal(counter.key(3, 3), (12, 5))
    expected = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    assert np.allclose(state.items[:, :5], expected, rtol=1e-5)
    assert (state.weights == 1).all()


def test_users_who_say_nothing_are_skipped() -> None:
    """One without items, one with a single one, one with all."""
    session = make(Csr.from_pairs(np.int64([0, 1, 1, 3, 3, 3]), np.int64([0, 0, 1, 0, 1, 2]), 4))
    assert session.params.users.tolist() == [1]
    run_epoch(session)
    assert session.summary()["triplets"] == 1


def test_a_user_whose_items_point_away_from_each_other_moves_nothing() -> None:
    """No item is reconstructed: the loss is 1 and flat."""
    session = make(Csr.from_pairs(np.int64([0, 0]), np.int64([0, 1]), 1), n_items=4, dim=2)
    session.state.items[:, :2] = [[1, 0], [-1, 0], [0, 1], [0, -1]]
    before = session.state.items.copy()
    run_epoch(session)
    assert session.summary()["loss"] == 1
    assert (session.state.items == before).all()
    assert (session.state.weights == 1).all()


# --- what training leaves ------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, pytest.param(3, marks=compiled)])
def test_the_points_that_training_leaves(threads: int) -> None:
    """A user without items has none."""
    session = make(Csr(np.append(DATA.indptr, DATA.indptr[-1]), DATA.items))
    run_epoch(session)
    with tm.threads(threads):
        users, items = reconstructed(session.state, session.positives, session.params)
    weighted = session.state.weights[:, None] * session.state.items.astype(np.float64)
    has = np.zeros((16, 12))
    has[np.repeat(np.arange(15), DATA.counts), DATA.items] = 1
    sums = has @ weighted
    expected = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    assert np.allclose(users, expected, atol=1e-5)
    assert not users[-1].any()
    assert items.tobytes() == session.state.items.tobytes()
    assert items is not session.state.items


@compiled
def test_it_learns_which_items_go_together() -> None:
    """Two groups of items, each user of one: what a user lacks of its group is nearest."""
    has = np.zeros((40, 12), dtype=bool)
    for user in range(40):
        group = 6 * (user % 2)
        has[user, group : group + 6] = True
        has[user, group + user % 6] = False
    session = make(Csr.from_pairs(*np.nonzero(has), 40), dim=16, lr=0.3, epochs=30, batch_size=8)
    for epoch in range(30):
        run_epoch(session, epoch)
    users, items = reconstructed(session.state, session.positives, session.params)
    scores = np.where(has, -np.inf, users @ items.T)
    assert (scores.argmax(axis=1) == [6 * (user % 2) + user % 6 for user in range(40)]).all()
    assert session.summary()["loss"] < 0.1


# --- threads and pauses --------------------------------------------------------------------------


@pytest.fixture
def _all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every thread of a team take part in every step, and a step be one block."""
    monkeypatch.setattr("trimetric.engine.threads.WORK_PER_STEP", 1)
    monkeypatch.setattr(ThreadTuner, "suggest", lambda self: self._choices[0])


def bits(session: Session) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in session.arrays.items()}


WIDE = Csr.of(interactions(60, 90))


@compiled
@pytest.mark.usefixtures("_all_at_once")
@pytest.mark.parametrize("candidates", [0, 20])
def test_threads_do_not_change_a_bit(candidates: int) -> None:
    made = []
    for threads in (1, 2, 3):
        session = make(WIDE, batch_size=25, candidates=candidates)
        with ThreadTeam(threads) as team:
            for epoch in range(2):
                session.run(epoch, 0, team, lambda batch: False)
        made.append(bits(session))
    assert made[0] == made[1] == made[2]


@compiled
@pytest.mark.usefixtures("_all_at_once")
@pytest.mark.parametrize("candidates", [0, 5])
def test_it_goes_on_from_its_arrays_at_any_block(candidates: int) -> None:
    """Each block in a new session, on another number of threads than the one before."""
    whole = make(candidates=candidates)
    for epoch in range(2):
        run_epoch(whole, epoch)
    saved: dict[str, np.ndarray] = {}
    for epoch in range(2):
        for block in range(whole.n_batches):
            session = make(candidates=candidates)
            for name, array in saved.items():
                session.arrays[name][...] = array
            with ThreadTeam(1 + block % 3) as team:
                assert session.run(epoch, block, team, lambda _: True) == block + 1
            saved = session.arrays
    assert bits(session) == bits(whole)
    assert session.summary() == whole.summary()
