"""What a bucket knows of the other buckets, for the objectives in closed form."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from centroid_twin import BASE, make_session, owners
from descents import interactions

from trimetric.data.csr import Csr
from trimetric.engine import centroid_session, centroids, reconstruction
from trimetric.engine.negatives import positives
from trimetric.engine.rows import table
from trimetric.engine.session import Session
from trimetric.scale.averages import repeats_of_visits, shares_of_visits

TURN = np.float32(0.25)  # a visit is one of four
pytestmark = [pytest.mark.twin, pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")]


def run_block(session: Session) -> dict[str, np.ndarray]:
    """Run a block of epoch 1; return how far points, weights and own points moved."""
    before = {name: value.copy() for name, value in session.state._asdict().items()}
    parts = session.positives, session.state, session.epoch_settings(1), session.workspace(1)
    session.kernel(0, 1, (0, 1), *parts, session.params)
    return {name: value - before[name] for name, value in session.state._asdict().items()}


def centroid_bucket(state: Any, settings: Any, has: np.ndarray) -> Session:
    """Return a session of all pairs, as one of four visits, the first ever."""
    (n, n_items), width = has.shape, settings.dim + 1
    whole = make_session(settings, has)
    users = whole.params.users
    elsewhere = centroid_session.Elsewhere(
        rests=table(n, width),
        users=users,
        n_items=n_items,
        turns=np.full(n, TURN),
        log_sums=np.full(n, centroids.UNKNOWN),
        actives=np.full(n, -1, dtype=np.float32),
        pulls=table(n, width),
        radials=np.zeros(n, dtype=np.float32),
        repeats=np.ones(n, dtype=np.float32),
    )
    return centroid_session.centroid_session(
        settings, whole.positives, n_items, state=state, elsewhere=elsewhere
    )


def reconstruction_bucket(state: Any, settings: Any) -> Session:
    """Return the same of the other objective."""
    data = Csr.of(interactions(15, 12))
    users = np.repeat(np.arange(len(data.counts), dtype=np.int32), data.counts)
    pairs = positives(users, data.items, data.indptr)
    n, n_items = len(data.counts), int(data.items.max()) + 1
    counts = data.counts.astype(np.float32)
    elsewhere = reconstruction.Elsewhere(
        rests=table(n, settings.dim),
        users=np.flatnonzero((counts > 1) & (counts < n_items)).astype(np.int32),
        n_items=n_items,
        sizes=counts,
        norms=counts,
        turns=np.full(n, TURN),
        squares=np.full(n, -1, dtype=np.float32),
        alongs=np.zeros(n, dtype=np.float32),
        pulls=table(n, settings.dim),
        radials=np.zeros(n, dtype=np.float32),
    )
    state = state or reconstruction.start_state(settings, n_items)
    return reconstruction.reconstruction_session(
        settings, pairs, n_items, state=state, elsewhere=elsewhere
    )


def again(session: Session, first: Session, repeats: float = 1.0) -> Session:
    """Return a bucket that knows what the first visit left, with as many repeats."""
    names = {"log_sums", "actives", "squares", "alongs", "pulls", "radials"} & {
        *first.params._fields
    }
    kept = {name: getattr(first.params, name).copy() for name in names}
    if "repeats" in first.params._fields:
        kept["repeats"] = np.full_like(first.params.repeats, repeats)
    session.params = session.params._replace(**kept)
    return session


def copied(state: Any) -> Any:
    return type(state)(*(value.copy() for value in state))


@pytest.mark.parametrize("own", [0.0, 0.5])
def test_a_first_visit_to_everything_is_training_whole(own: float) -> None:
    has = owners()
    settings = replace(BASE, own=own, candidates=0, batch_size=len(has))
    whole = make_session(settings, has)
    expected = run_block(whole)
    begun = make_session(settings, has).state
    sums = {"user_terms": whole.state.user_terms, "item_sums": whole.state.item_sums}
    found = run_block(centroid_bucket(begun._replace(**sums), settings, has))
    for name in ("items", "own"):
        assert np.allclose(found[name], expected[name], rtol=1e-3, atol=1e-5), name
    # weights take what is here for all visits
    assert np.allclose(
        found["weight_squares"], expected["weight_squares"] / TURN**2, rtol=1e-3, atol=1e-5
    )


def weight_gradients(session: Session) -> np.ndarray:
    """Return |∂ℓ/∂ln h| of the block, from what Adagrad adds up."""
    return np.sqrt(run_block(session)["weight_squares"])


@pytest.mark.parametrize("objective", ["centroids", "reconstruction"])
def test_weights_follow_the_interactions_here_alone(objective: str) -> None:
    """What was known before changes nothing: old gradients let weights grow with popularity."""
    if objective == "centroids":
        has = owners()
        settings: Any = replace(BASE, kappa=0.0, candidates=0, batch_size=len(has))
        start = make_session(settings, has).state
        first, second = (centroid_bucket(copied(start), settings, has) for _ in range(2))
    else:
        settings = reconstruction.ReconstructionSettings(
            dim=5, batch_size=15, lr=0.05, schedule="linear", epochs=4, seed=3,
            candidates=0, weight_rate=1.5,
        )  # fmt: skip
        start = reconstruction_bucket(None, settings).state
        start.weights[:] = np.linspace(0.5, 2, len(start.weights))
        first, second = (reconstruction_bucket(copied(start), settings) for _ in range(2))
    once = weight_gradients(first)
    assert once.max() > 0
    assert np.abs(first.params.pulls).max() > 0
    assert np.allclose(weight_gradients(again(second, first)), once, rtol=1e-3, atol=1e-6)


def item_gradients(session: Session) -> np.ndarray:
    """Run a block; return the gradients of the points, along the sphere, in float64."""
    dim = session.settings.dim
    old = session.state.items[:, :dim].astype(np.float64)
    run_block(session)
    new = session.state.items[:, :dim].astype(np.float64)
    new /= (new * old).sum(axis=1, keepdims=True)
    squares = np.sqrt(session.state.item_squares.astype(np.float64))
    return (old - new) * squares[:, None] / float(session.epoch_settings(1).lr)


def own_gradients(session: Session) -> np.ndarray:
    """Return Σ_u h_v·∂ℓ(u, v)/∂z_u along the sphere, where ω = κ = 0, by the formulas."""
    s, state = session.settings, session.state
    y = state.items[:, : s.dim].astype(np.float64)
    b, h = state.items[:, s.dim].astype(np.float64), state.weights.astype(np.float64)
    total = np.zeros_like(y)
    for u in session.params.users:
        low, high = session.positives.indptr[u : u + 2]
        owned = session.positives.items[low:high]
        z = h[owned] @ y[owned]
        others = np.setdiff1d(np.arange(len(y)), owned)
        x = z / np.linalg.norm(z)
        scores = (2 * y[others] @ x + b[others]) / s.temperature
        log_sum = np.log(np.exp(scores).sum()) + float(session.params.log_share)
        for v in owned:
            rest = z - h[v] * y[v]
            held = rest @ rest < centroids.LEAST_SQUARE
            length = np.sqrt(max(rest @ rest, centroids.LEAST_SQUARE))
            cosine = rest @ y[v] / length
            gap = (2 * cosine + b[v] - s.margin) / s.temperature - log_sum
            turn = 0 if held else cosine
            q = 1 / (1 + np.exp(gap))
            total[v] -= h[v] * 2 * q / length * (y[v] - turn * rest / length)
    return total - (total * y).sum(axis=1, keepdims=True) * y


def test_an_item_is_not_pulled_by_its_own_old_gradient() -> None:
    """It is taken off as often as it is there, since no item is part of the mean that scores it."""
    has = owners()
    settings = replace(BASE, own=0.0, kappa=0.0, candidates=0, batch_size=len(has))
    start = make_session(settings, has).state
    first, once, often = (centroid_bucket(copied(start), settings, has) for _ in range(3))
    own = own_gradients(first)
    run_block(first)
    difference = item_gradients(again(often, first, 3.0)) - item_gradients(again(once, first))
    size = np.abs(own).max()
    assert size > 0.1
    assert np.allclose(difference, -2 * own, rtol=2e-3, atol=1e-3 * size)


def test_an_old_gradient_does_not_lengthen_the_sum_that_moved_since() -> None:
    """Its product with z_u stays what it was when it was taken."""
    has = owners()
    settings = replace(BASE, own=0.0, kappa=0.0, candidates=0, batch_size=len(has))
    first = centroid_bucket(make_session(settings, has).state, settings, has)
    run_block(first)
    moved = copied(first.state)
    moved.items[:, : settings.dim] = np.roll(moved.items[:, : settings.dim], 1, axis=1)
    sums = (has * moved.weights) @ moved.items[:, : settings.dim]
    second = again(centroid_bucket(moved, settings, has), first)
    alone = centroid_bucket(copied(moved), settings, has)
    alone = again(alone, first)
    alone.params.pulls[:] = alone.params.radials[:] = 0
    run_block(second)
    run_block(alone)
    trained, dim = second.params.users, settings.dim
    old = (second.params.pulls - alone.params.pulls)[trained, :dim]
    along = (old * sums[trained]).sum(axis=1)
    assert np.abs(first.params.radials).max() > 0.01
    assert np.allclose(along, (1 - TURN) * first.params.radials[trained], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("n_parts", [2, 8, 32])
def test_how_often_an_average_has_what_an_item_gave(n_parts: int) -> None:
    """A moving average over visits in an order drawn anew each epoch, taken at each visit."""
    rng = np.random.default_rng(n_parts)
    sizes = np.array([1, 10**9])
    f = float(shares_of_visits(sizes, n_parts)[1])
    assert f == pytest.approx(1 / n_parts)
    found = np.zeros((400, 5))
    for run in found:
        average = np.zeros(n_parts)  # how often it has what each part gave
        for epoch in range(5):
            at_visits = []
            for part in rng.permutation(n_parts):
                average *= 1 - f
                average[part] += 1
                at_visits.append(average[part])
            run[epoch] = np.mean(at_visits)
    for epoch in range(5):
        repeats = repeats_of_visits(sizes, n_parts, epoch)[1]
        assert repeats == pytest.approx(found[:, epoch].mean(), rel=0.02)


def test_who_has_a_single_item_meets_it_once() -> None:
    assert repeats_of_visits(np.array([1]), 8, 30).tolist() == [1.0]
