"""The item-centric term: gradients against finite differences, bits against threads."""

from dataclasses import replace

import numpy as np
import pytest

from trimetric.engine.centroid_foldin import place_users
from trimetric.engine.centroid_session import CentroidSettings, centroid_session
from trimetric.engine.centroids import LEAST_SQUARE
from trimetric.engine.negatives import Positives, positives, read_only
from trimetric.engine.session import Session
from trimetric.engine.threads import ThreadTeam

pytestmark = [pytest.mark.twin, pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")]
N_USERS, N_ITEMS, DIM = 12, 40, 6
RUNS = [range(16), range(16, 32), range(32, 40)]  # I in the first, second and third block
LAMBDA, N_MARGIN, TAU = 0.7, 0.4, 0.8


def some_positives(n_users: int, n_items: int) -> Positives:
    """Return 3-5 items a user, the first of them common."""
    rng = np.random.default_rng(3)
    share = 1 / (1 + np.arange(n_items))
    lists = [
        np.sort(rng.choice(n_items, rng.integers(3, 6), replace=False, p=share / share.sum()))
        for _ in range(n_users)
    ]
    indptr = np.concatenate([[0], np.cumsum([len(items) for items in lists])])
    users = np.repeat(np.arange(n_users, dtype=np.int32), np.diff(indptr))
    return positives(users, np.concatenate(lists).astype(np.int32), indptr)


def settings(**more) -> CentroidSettings:
    values = {
        "dim": DIM, "batch_size": N_USERS, "optimizer": "rowwise-adagrad", "lr": 0.1,
        "schedule": "constant", "epochs": 3, "seed": 5, "own": 0.4, "kappa": 0.6, "shrink": 0.5,
        "temperature": TAU, "margin": 0.3, "candidates": 0, "own_rate": 1.0, "weight_rate": 1.0,
        "bias_rate": 1.0, "item_weight": LAMBDA, "item_margin": N_MARGIN, "item_candidates": 16,
    }  # fmt: skip
    return CentroidSettings(**values | more)


def run_epochs(session: Session, epochs: range, threads: int = 1) -> None:
    with ThreadTeam(threads) as team:
        for epoch in epochs:
            session.run(epoch, 0, team, lambda batch: False)


# --- the objective as the module states it --------------------------------------------------------


def unit(points: np.ndarray) -> np.ndarray:
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


class Objective:
    """Σ τ·(ℓ + λ·ℓ_item) over all positives, in float64; points of users in Q are held still.

    A positive of a user counts as much as `counts` says at its item.
    """

    def __init__(self, session: Session, kappa: float, run: range) -> None:
        self.settings, self.kappa, self.run = session.settings, kappa, np.array(run)
        indptr, items = session.positives.indptr, session.positives.items
        self.histories = np.split(items, indptr[1:-1])
        self.counts = np.ones((N_USERS, N_ITEMS))
        if len(session.positives.weights):
            self.counts[session.positives.users, items] = session.positives.weights
        self.values = {
            "items": session.state.items[:, :DIM].astype(np.float64),
            "own": session.state.own[:, :DIM].astype(np.float64),
            "weights": session.state.weights.astype(np.float64),
            "biases": session.state.items[:, DIM].astype(np.float64),
        }
        self.terms = np.array(
            [
                unit(self.user(u)) / np.sqrt(self.counts[u, h].sum())
                for u, h in enumerate(self.histories)
            ]
        )
        self.sums = np.zeros((N_ITEMS, DIM))
        for u, history in enumerate(self.histories):
            self.sums[history] += self.counts[u, history, None] * self.terms[u]

    def user(self, u: int, without: int = -1) -> np.ndarray:
        """Return x_u, a positive left out of it."""
        own, history = self.settings.own, self.histories[u]
        history = history[history != without]
        weights = self.counts[u, history] * self.values["weights"][history]
        mean = weights @ self.values["items"][history]
        length = np.sqrt(max(mean @ mean, LEAST_SQUARE if without >= 0 else 0))
        return own * self.values["own"][u] + (1 - own) * mean / length

    def targets(self, sums: np.ndarray, items: np.ndarray | slice = slice(None)) -> np.ndarray:
        length = np.linalg.norm(sums, axis=-1, keepdims=True)
        factor = self.kappa / (length + self.settings.shrink)
        return unit(self.values["items"][items] + factor * sums)

    def user_losses(self, u: int, targets: np.ndarray) -> float:
        s, history, b = self.settings, self.histories[u], self.values["biases"]
        whole, total = self.user(u), 0.0
        others = np.setdiff1d(np.arange(N_ITEMS), history)
        reference = np.sqrt(N_ITEMS)
        of_others = 2 * targets[others] @ whole + b[others]
        for v in history:
            count = self.counts[u, v]
            x, t = self.user(u, without=v), self.targets(self.sums[v] - count * self.terms[u], v)
            gaps = (of_others - 2 * x @ t - b[v] + s.margin) / TAU
            total += count * np.log1p(reference / N_ITEMS * np.exp(gaps).sum())
            d_user = whole @ whole + 1 - 2 * x @ t
            negatives = self.run[self.run != v]
            d_items = ((targets[v] - targets[negatives]) ** 2).sum(axis=1)
            gaps = (d_user - d_items + N_MARGIN) / TAU
            odds = reference / len(self.run) * np.exp(gaps).sum()
            total += count * LAMBDA * np.log1p(odds)
        return total

    def loss(self) -> float:
        """Return Σ (ℓ + λ·ℓ_item)."""
        targets = self.targets(self.sums)
        return sum(self.user_losses(u, targets) for u in range(N_USERS))

    def slope(self, name: str, row: int, direction: np.ndarray | float) -> float:
        """Return the derivative of τ·loss as a row moves in a direction."""
        kept, ends = self.values[name], []
        for step in (1e-4, -1e-4):
            self.values[name] = kept.copy()
            self.values[name][row] += step * direction
            ends.append(self.loss())
        self.values[name] = kept
        return TAU * (ends[0] - ends[1]) / 2e-4


# --- gradients, read from the steps that the loop takes -------------------------------------------


def step_of(before: np.ndarray, after: np.ndarray, squares: np.ndarray, rate: float) -> np.ndarray:
    """Return the gradients whose row-wise Adagrad steps along the sphere lead there."""
    before, after = before.astype(np.float64), after.astype(np.float64)
    flat = after / (before * after).sum(axis=1, keepdims=True)
    return (before - flat) * np.sqrt(squares)[:, None] / rate


@pytest.fixture(
    params=[(0, False), (1, False), (2, False), (1, True)],
    ids=["users alone", "with sums", "short run", "counts"],
)
def stepped(request) -> tuple[Objective, dict[str, np.ndarray], float]:
    """Return the objective before a block, and the gradients and mean loss of the block."""
    (epoch, counted), pairs = request.param, some_positives(N_USERS, N_ITEMS)
    counts = np.random.default_rng(4).choice([0.5, 1, 2], len(pairs.items)).astype(np.float32)
    if counted:
        pairs = pairs._replace(weights=read_only(counts))
    session = centroid_session(settings(), pairs, N_ITEMS)
    run_epochs(session, range(epoch))
    before = {name: values.copy() for name, values in session.arrays.items()}
    objective = Objective(session, kappa=0.6 if epoch else 0.0, run=RUNS[epoch])
    run_epochs(session, range(epoch, epoch + 1))
    after, rate = session.arrays, 0.1
    slopes = -np.log(after["weights"] / before["weights"]) * np.sqrt(after["weight_squares"]) / rate
    moved = before["items"][:, DIM] - after["items"][:, DIM]
    gradients = {
        "items": step_of(
            before["items"][:, :DIM], after["items"][:, :DIM], after["item_squares"], rate
        ),
        "own": step_of(before["own"][:, :DIM], after["own"][:, :DIM], after["own_squares"], rate),
        "weights": slopes / before["weights"],
        "biases": moved * np.sqrt(after["bias_squares"]) / rate,
    }
    return objective, gradients, session.summary()["loss"]


@pytest.mark.parametrize("name", ["items", "own"])
def test_gradients_of_points(stepped, name):
    objective, gradients, _ = stepped
    rng = np.random.default_rng(1)
    for row, gradient in enumerate(gradients[name]):
        point = objective.values[name][row]
        direction = rng.normal(size=DIM)
        direction -= (direction @ point) * point
        expected = objective.slope(name, row, direction)
        assert gradient @ direction == pytest.approx(expected, rel=1e-3, abs=2e-4)


@pytest.mark.parametrize("name", ["weights", "biases"])
def test_gradients_of_numbers(stepped, name):
    objective, gradients, _ = stepped
    expected = [objective.slope(name, v, 1.0) for v in range(N_ITEMS)]
    np.testing.assert_allclose(gradients[name], expected, rtol=1e-3, atol=2e-4)


def test_loss(stepped):
    objective, _, mean = stepped
    count = sum(map(len, objective.histories))
    assert mean == pytest.approx(objective.loss() / count, rel=1e-5)


# --- bits and memory ------------------------------------------------------------------------------


@pytest.mark.compiled
@pytest.mark.parametrize("candidates", [0, 50])
def test_same_bits_on_any_number_of_threads(candidates):
    def train(threads: int) -> dict[str, np.ndarray]:
        config = settings(batch_size=24, candidates=candidates, item_candidates=32)
        session = centroid_session(config, some_positives(90, 70), 70)
        run_epochs(session, range(3), threads)
        return session.arrays

    alone = train(1)
    for threads in (2, 3):
        for name, values in train(threads).items():
            np.testing.assert_array_equal(values, alone[name], err_msg=name)


def test_costs_nothing_without_weight():
    def session_of(**more) -> Session:
        session = centroid_session(settings(**more), some_positives(N_USERS, N_ITEMS), N_ITEMS)
        run_epochs(session, range(2))
        return session

    without = session_of(item_weight=0.0)
    assert all(array.size <= N_USERS + 4 for array in without.workspace(1).term)
    other = session_of(item_weight=0.0, item_margin=0.9, item_candidates=32)
    np.testing.assert_array_equal(without.state.items, other.state.items)
    assert not np.array_equal(without.state.items, session_of().state.items)


# --- where it is left out -------------------------------------------------------------------------


def test_pools_leave_it_out():
    plain, everything = some_positives(N_USERS, N_ITEMS), np.arange(N_ITEMS, dtype=np.int32)
    pool = np.arange(N_USERS + 1) * N_ITEMS, np.tile(everything, N_USERS)
    pooled = positives(plain.users, plain.items, plain.indptr, pool)
    made = []
    for weight in (0.0, LAMBDA):
        session = centroid_session(settings(item_weight=weight), pooled, N_ITEMS)
        run_epochs(session, range(2))
        made.append(session)
    np.testing.assert_array_equal(made[0].state.items, made[1].state.items)
    assert made[0].cost == made[1].cost


def test_new_users_have_none():
    session = centroid_session(settings(), some_positives(N_USERS, N_ITEMS), N_ITEMS)
    run_epochs(session, range(1))
    lists = np.array([0, 2, 5]), np.array([1, 4, 0, 7, 9], dtype=np.int32)
    counts = np.ones(5, dtype=np.float32)
    placed = [
        place_users(lists, counts, session.state, replace(settings(), item_weight=weight))
        for weight in (LAMBDA, 0.0)
    ]
    for one, other in zip(*placed, strict=True):
        np.testing.assert_array_equal(one, other)


def test_its_cost_counts():
    def cost(**more) -> float:
        return centroid_session(settings(**more), some_positives(N_USERS, N_ITEMS), N_ITEMS).cost

    assert cost(item_weight=0.0) < cost() < cost(item_candidates=32)
