"""Whole epochs of SML against the naive twin trainer, for every combination of settings."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import reference
from triplet_runs import BASE, interactions, make_session, run_epoch

from trimetric import counter
from trimetric.engine import rng
from trimetric.engine.compile import kernel
from trimetric.engine.objective import rank_weights

pytestmark = [pytest.mark.twin, pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")]


@kernel
def fill_order(out, order):
    for i in range(len(out)):
        out[i] = rng.shuffled(i, order)


def twin_of(session, data, pools=None):
    """The twin of a session at its start."""
    users, items, indptr, n_items = data
    settings = session.settings
    dim = settings.dim
    space = {name: a.astype(np.float64) for name, a in session.state._asdict().items()}
    for name in ("points", "first", "second"):
        space[name] = space[name][:, :dim]
    sizes = len(indptr) - 1, n_items
    memory, margins = space.pop("margin_moments"), space.pop("margins")
    del space["totals"]
    if len(margins) == 0:  # both are fixed
        margins = (
            np.float32([settings.margin, settings.item_margin]).repeat(sizes).astype(np.float64)
        )
        memory = np.zeros((sum(sizes), 2))
    space |= {"memory": memory, "margins": margins}
    return reference.Twin(settings, users, items, *sizes, **space, pools=pools)


def order_of(settings, epoch, n):
    out = np.empty(n, dtype=np.int64)
    key = counter.key(settings.seed, reference.ORDER, epoch)
    fill_order(out, rng.order(key, n))
    return out


def assert_equal_runs(settings, data, epochs=2):
    session = make_session(settings, *data)
    below = np.random.default_rng(8).uniform(0.3, 1, len(session.state.margins))
    session.state.margins[:] *= below  # as after some training, so that they can also grow
    learned = settings.adaptive_users or settings.adaptive_items
    assert len(session.state.margins) == learned * len(session.state.points)
    start, twin = session.state.margins.copy(), twin_of(session, data)
    close = {"rtol": 1e-3, "atol": 1e-4}
    for epoch in range(epochs):
        run_epoch(session, epoch)
        twin.epoch(epoch, order_of(settings, epoch, len(data[0])))
        got = session.state
        assert np.allclose(got.points[:, : settings.dim], twin.points, **close)
        if learned:
            assert np.allclose(got.margins, twin.margins, **close)
            assert np.allclose(got.margin_moments, twin.memory, **close)
        else:
            assert twin.margins.tolist() == twin_of(session, data).margins.tolist()
        assert np.allclose(got.second[:, : settings.dim], twin.second, **close)
        assert np.allclose(got.first[:, : settings.dim], twin.first, **close)
        assert not got.points[:, settings.dim :].any()
        totals = session.totals
        assert np.isclose(totals.loss, twin.totals[0], rtol=1e-4)
        assert [totals.active, totals.item_hinges, totals.samples] == twin.totals[1:]
    assert session.totals.samples == len(data[0]) - data[3]  # one user has every item
    users = np.arange(len(start)) < len(data[2]) - 1
    assert settings.adaptive_users or (session.state.margins == start)[users].all()
    assert settings.adaptive_items or (session.state.margins == start)[~users].all()
    return session


NEGATIVES = [
    ("uniform", False, 0.0),
    ("popularity", False, 0.0),
    ("hardest", False, 0.0),
    ("hardest", True, 0.0),
    ("hardest", False, 0.15),
    ("hardest", False, 5.0),
]


CASES = [
    pytest.param(
        *way,
        optimizer,
        # As plain Python each takes seconds: one optimizer goes with all, the others with one.
        marks=() if optimizer == "rowwise-adagrad" or way == NEGATIVES[0] else pytest.mark.compiled,
    )
    for way in NEGATIVES
    for optimizer in ("rowwise-adagrad", "adagrad", "adam")
]


@pytest.mark.parametrize(("negatives", "rank_weight", "temperature", "optimizer"), CASES)
def test_epochs_equal_the_twin(negatives, rank_weight, temperature, optimizer):
    data = interactions()
    assert len(data[0]) % BASE.batch_size  # the last batch is a partial one
    for lam, users, items, sphere in product((0.0, 0.3), *[(False, True)] * 3):
        settings = replace(
            BASE,
            negatives=negatives,
            rank_weight=rank_weight,
            temperature=temperature,
            optimizer=optimizer,
            lam=lam,
            adaptive_users=users,
            adaptive_items=items,
            sphere=sphere,
        )
        session = assert_equal_runs(settings, data)
        if lam == 0:
            assert session.totals.item_hinges == 0


@pytest.mark.parametrize(("negatives", "rank_weight", "temperature"), NEGATIVES)
def test_epochs_with_pools_equal_the_twin(negatives, rank_weight, temperature):
    data = interactions()
    settings = replace(
        BASE, negatives=negatives, rank_weight=rank_weight, temperature=temperature, lam=0.3
    )
    pools = [[0, 1, 5, 7, 11], [], *[[2, 3, 4, 9, 10]] * 7]
    indptr = np.concatenate([[0], np.cumsum([len(pool) for pool in pools])])
    pool = indptr, np.array([item for pool in pools for item in pool], dtype=np.int32)
    session = make_session(settings, *data, pool)
    twin = twin_of(session, data, pools)
    for epoch in range(2):
        run_epoch(session, epoch)
        twin.epoch(epoch, order_of(settings, epoch, len(data[0])))
    close = {"rtol": 1e-3, "atol": 1e-4}
    assert np.allclose(session.state.points[:, : settings.dim], twin.points, **close)
    assert np.allclose(session.state.margins, twin.margins, **close)
    assert session.totals.samples == twin.totals[3] < len(data[0])


@pytest.mark.parametrize("batch_size", [1, 2, 7, 53, 10_000])
@pytest.mark.parametrize("dim", [1, 16, 33])
def test_any_batch_size_and_width(batch_size, dim):
    settings = replace(
        BASE,
        batch_size=batch_size,
        dim=dim,
        negatives="hardest",
        init_std=dim**-0.5,
        schedule="constant",
    )
    assert_equal_runs(settings, interactions(seed=batch_size))


def test_small_balls_and_large_steps():
    for radius, lr in ((0.2, 0.5), (3.0, 0.5), (0.05, 0.01)):
        margin = min(radius, 0.3)
        settings = replace(BASE, radius=radius, lr=lr, margin=margin, item_margin=margin)
        session = assert_equal_runs(settings, interactions(), epochs=1)
        lengths = np.linalg.norm(session.state.points.astype(np.float64), axis=1)
        assert lengths.max() <= radius * (1 + 1e-6)


def test_the_start():
    data = interactions()
    for optimizer, sphere in product(("rowwise-adagrad", "adagrad", "adam"), (False, True)):
        settings = replace(BASE, dim=20, optimizer=optimizer, sphere=sphere, radius=0.9)
        session = make_session(settings, *data)
        state, n_users = session.state, len(data[2]) - 1
        drawn = 0.1 + 0.3 * counter.normal(counter.key(3, 3), (n_users + 12, 20))
        expected = [reference.projected(row, 0.9, sphere) for row in drawn]
        assert np.allclose(state.points[:, :20], expected, rtol=1e-5, atol=1e-7)
        assert not state.points[:, 20:].any()
        assert (state.margins[:n_users] == np.float32(0.3)).all()
        assert (state.margins[n_users:] == np.float32(0.2)).all()
        start = np.float32(0 if optimizer == "adam" else 0.1)
        assert (state.second == start).all()
        assert (state.margin_moments == start).all()
        assert not state.first.any()


def test_rank_weights_are_those_of_cml():
    got = rank_weights(1000, 20)
    assert got.dtype == np.float32
    assert np.allclose(got, [np.log(1 + 1000 * hits / 20) for hits in range(21)])


def single(margin, item_margin, **changes):
    """One user, who has item 0 of two: a single triplet, at exact distances.

    d²(u,v) = 1/4, d²(u,v⁻) = 1/2, d²(v,v⁻) = 1/4.
    """
    settings = replace(
        BASE,
        dim=2,
        margin=margin,
        item_margin=item_margin,
        adaptive_users=False,
        adaptive_items=False,
        **changes,
    )
    one, two = np.zeros(1, dtype=np.int32), np.array([0, 1], dtype=np.int64)
    session = make_session(settings, one, one, two, 2)
    session.state.points[:, :2] = [[0, 0], [0.5, 0], [0.5, 0.5]]
    return session


@pytest.mark.parametrize("negatives", ["uniform", "popularity", "hardest"])
def test_a_hinge_at_zero_rests(negatives):
    session = single(0.25, 0.2, lam=0.0, negatives=negatives)
    before = session.state.points.copy()
    run_epoch(session, 0)
    assert session.totals.active == 0
    assert session.totals.samples == 1
    assert session.totals.loss == 0
    assert (session.state.points == before).all()
    assert (session.state.second == np.float32(0.1)).all()


def test_a_hinge_just_above_zero_pulls():
    above = float(np.nextafter(np.float32(0.25), np.float32(1)))
    session = single(above, 0.2, lam=0.0)
    before = session.state.points.copy()
    run_epoch(session, 0)
    assert session.totals.active == 1
    assert session.totals.loss == above - 0.25
    assert (session.state.points != before).any()


def test_the_item_hinge_alone_moves_all_three_points():
    session = single(0.25, 0.125, lam=0.5)
    before = session.state.points.copy()
    run_epoch(session, 0)
    assert session.totals.active == 0
    assert session.totals.item_hinges == 1
    assert session.totals.loss == 0.5 * 0.125
    assert (session.state.points != before).any(axis=1).all()


@pytest.mark.parametrize(("negatives", "rank_weight", "temperature"), NEGATIVES)
def test_nan_shows_in_the_loss(negatives, rank_weight, temperature):
    for point in range(3):
        how = {"negatives": negatives, "rank_weight": rank_weight, "temperature": temperature}
        session = single(0.25, 0.2, lam=0.0, **how)
        session.state.points[point, 0] = np.nan
        run_epoch(session, 0)
        assert np.isnan(session.totals.loss)


@pytest.mark.parametrize("batch_size", [1, 3, 64, 5_000])
def test_gamma_means_the_same_at_any_batch_size(batch_size):
    # Far negatives: no hinge is active, so margins feel γ alone. Each user has one positive.
    n = 40
    settings = replace(BASE, batch_size=batch_size, gamma=20.0, dim=2)
    users, items = np.arange(n, dtype=np.int32), np.zeros(n, dtype=np.int32)
    session = make_session(settings, users, items, np.arange(n + 1, dtype=np.int64), 2)
    session.state.points[:n] = 0
    session.state.points[n:] = 0
    session.state.points[n + 1, 0] = 1
    session.state.margins[:] = 0.01
    run_epoch(session, 0)
    assert session.totals.active == session.totals.item_hinges == 0
    step = 20 / 512
    grown = 0.01 + 0.05 * step / np.sqrt(0.1 + step**2)
    assert np.allclose(session.state.margins[:n], grown, rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["rowwise-adagrad", "adagrad", "adam"])
@pytest.mark.parametrize("adaptive", [False, True])
def test_epochs_with_the_covariance_penalty_equal_the_twin(optimizer, adaptive):
    settings = replace(
        BASE, negatives="hardest", rank_weight=True, optimizer=optimizer, adaptive_users=adaptive,
        adaptive_items=False, covariance=200.0, batch_size=9,
    )  # fmt: skip
    session = assert_equal_runs(settings, interactions(), epochs=1)
    without = make_session(replace(settings, covariance=0.0), *interactions())
    run_epoch(without, 0)
    assert not np.allclose(session.state.points, without.state.points, atol=1e-4)
