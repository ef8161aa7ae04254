"""The softmax objective in closed form: gradients, whole epochs, candidates, bits, odd users."""

import hashlib
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from centroid_twin import (
    BASE,
    Has,
    Twin,
    candidates_of,
    make_session,
    owners,
    uniform,
    unit,
)
from descents import run_epoch
from scipy import stats

import trimetric as tm
from trimetric import counter
from trimetric.engine.centroid_session import composed
from trimetric.engine.centroids import draw_candidates
from trimetric.engine.compile import INTERPRETED, kernel
from trimetric.engine.session import Session
from trimetric.engine.threads import ThreadTeam, ThreadTuner

pytestmark = [pytest.mark.twin, pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")]
HAS = owners()
CLOSE = {"rtol": 1e-3, "atol": 1e-3}
VARIED = [
    replace(BASE, own=own, kappa=kappa, candidates=candidates)
    for own, kappa, candidates in product((0.0, 0.5, 1.0), (0.0, 0.7), (0, 6))
]


def some_pool(has: Has) -> Has:
    """Draw a pool for each user; users 2 and 3 have none."""
    pool = uniform(92, has.shape) < 0.6
    pool[2:4] = False
    return pool


def run_block(session: Session, epoch: int, block: int) -> None:
    parts = session.positives, session.state, session.epoch_settings(epoch), session.workspace(1)
    session.kernel(0, 1, (block, block + 1), *parts, session.params)


def arrays_of(session: Session) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return points, ln h and b, with their sums of squares, in float64."""
    state, dim = session.state, session.settings.dim
    listed = {
        "items": (state.items[:, :dim], state.item_squares),
        "own": (state.own[:, :dim], state.own_squares),
        "weights": (np.log(state.weights.astype(np.float64)), state.weight_squares),
        "biases": (state.items[:, dim], state.bias_squares),
    }
    return {name: (a.astype(np.float64), b.astype(np.float64)) for name, (a, b) in listed.items()}


def implied_gradients(session: Session, epoch: int, block: int) -> dict[str, np.ndarray]:
    """Run a block, and return the gradients that its steps of Adagrad come from."""
    s, before = session.settings, arrays_of(session)
    run_block(session, epoch, block)
    lr = float(session.epoch_settings(epoch).lr)
    rates = {"items": lr, "own": lr * s.own_rate}
    rates |= {"weights": lr * s.weight_rate, "biases": lr * s.bias_rate}
    made = {}
    for name, (x, squares) in arrays_of(session).items():
        old, old_squares = before[name]
        if x.ndim == 2:  # the point before it was brought back onto the sphere
            x = x / (x * old).sum(axis=1, keepdims=True)
        g = ((old - x).T * np.sqrt(squares)).T / rates[name]
        added = (g**2).mean(axis=1) if g.ndim == 2 else g**2
        assert np.allclose(
            squares - old_squares, added, rtol=2e-3, atol=1e-5 * (1 + added.max(initial=0))
        )
        made[name] = g
    return made


def assert_gradients(
    session: Session, twin: Twin, blocks: int = 2, rows: dict[str, Any] | None = None
) -> None:
    """Blocks of epoch 1, of which only the first computes Q."""
    for block in range(blocks):
        twin = Twin(session, twin.has, twin.pool) if block == 0 else twin.moved_to(session)
        expected = twin.gradients(*twin.start_block(1, block), rows)
        for name, got in implied_gradients(session, 1, block).items():
            wanted = expected[name][: len(got)]
            checked = slice(None) if rows is None else rows[name]
            size = np.abs(wanted).max(initial=0)
            assert np.allclose(got[checked], wanted[checked], rtol=1e-3, atol=2e-4 * size + 1e-6)


# --- gradients and epochs ------------------------------------------------------------------------


@pytest.mark.parametrize("settings", VARIED, ids=lambda s: f"{s.own}-{s.kappa}-{s.candidates}")
def test_steps_follow_the_gradients_of_the_loss(settings):
    for pool in (None, some_pool(HAS)):
        session = make_session(settings, HAS, pool)
        assert_gradients(session, Twin(session, HAS, pool))


@pytest.mark.parametrize(
    "given",
    [
        {"temperature": 0.02, "margin": 1.0},
        {"temperature": 0.02, "margin": -1.5},
        {"temperature": 30.0, "margin": 0.0},
        {"kappa": 0.01, "shrink": 1e-3},
        {"kappa": 4.0, "shrink": 2.0},
    ],
    ids=str,
)
def test_gradients_at_the_ends_of_settings(given):
    session = make_session(replace(BASE, **given), HAS)
    assert_gradients(session, Twin(session, HAS))


@pytest.mark.slow
@pytest.mark.compiled  # too slow interpreted
def test_steps_follow_the_gradients_over_many_tiles_and_panels():
    """Five tiles of users, twelve panels of candidates, two chunks of columns; some rows of it."""
    has = owners(40, 210, 0.08, seed=4)
    settings = replace(BASE, dim=17, batch_size=37, candidates=180, temperature=1.0)
    session = make_session(settings, has)
    rows = {"items": [0, 4, 70, 209], "own": [1, 2, 38], "weights": [2, 100], "biases": [3, 4, 150]}
    assert_gradients(session, Twin(session, has), 1, rows)


def test_the_gradient_where_lengths_are_held():
    """The mean without an item is short, and so is a mean itself: lengths count as constants."""
    has = np.zeros((6, 8), dtype=bool)
    has[0, :2] = has[1, 2:4] = has[2, 4:7] = has[3, [0, 7]] = has[4, 0] = has[5, 1:6] = True
    settings = replace(BASE, candidates=0, batch_size=6)
    for own, kappa in product((0.0, 0.5), (0.0, 0.7)):
        session = make_session(replace(settings, own=own, kappa=kappa), has)
        state = session.state
        state.weights[[0, 1]] = 0.15, 0.1  # of user 0: shorter than √.05 without either
        state.weights[[2, 3]] = 3e-4, 2e-4  # of user 1: shorter than 0.001 with both
        lengths = np.linalg.norm((has * state.weights) @ state.items[:, : settings.dim], axis=1)
        assert lengths[1] < 0.001 < 0.05 < lengths[0] < 0.05**0.5
        assert_gradients(session, Twin(session, has), 1)


def assert_equal_runs(session: Session, twin: Twin, epochs: int = 2) -> None:
    dim = session.settings.dim
    for epoch in range(epochs):
        run_epoch(session, epoch)
        twin.epoch(epoch)
        for name, (got, squares) in arrays_of(session).items():
            assert np.allclose(got, getattr(twin, name)[: len(got)], **CLOSE)
            assert np.allclose(squares, twin.squares[name][: len(got)], rtol=3e-3, atol=1e-3)
        state, totals = session.state, session.totals
        if session.settings.kappa > 0 and epoch > 0:
            assert np.allclose(state.user_terms[:, :dim], twin.terms, **CLOSE)
            assert np.allclose(state.item_sums[:, :dim], twin.has.T @ twin.terms, **CLOSE)
        assert np.isclose(totals.loss, twin.loss, rtol=1e-3)
        assert np.isclose(totals.active, twin.active, rtol=1e-3)
        assert (totals.item_hinges, totals.samples) == (0, twin.samples)
        for table in (state.items[:, dim + 1 :], state.own[:, dim:], state.item_sums[:, dim:]):
            assert not table.any()
        for points in (state.items[:, :dim], state.own[:, :dim]):
            assert np.allclose(np.linalg.norm(points.astype(np.float64), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("settings", VARIED, ids=lambda s: f"{s.own}-{s.kappa}-{s.candidates}")
def test_epochs_equal_the_twin(settings):
    session = make_session(settings, HAS)
    assert session.samples == len(HAS) - 2 - (settings.own == 0)
    assert session.n_batches == 2
    assert session.samples % settings.batch_size == (0 if settings.own else 4)
    assert_equal_runs(session, Twin(session, HAS))


@pytest.mark.parametrize("kappa", [0.0, 0.7])
def test_epochs_with_pools_equal_the_twin(kappa):
    pool = some_pool(HAS)
    session = make_session(replace(BASE, kappa=kappa), HAS, pool)
    assert session.params.candidates == 10  # the pools choose
    assert_equal_runs(session, Twin(session, HAS, pool))


@pytest.mark.parametrize("batch_size", [1, 3, 8, 9, 10_000])
@pytest.mark.parametrize("dim", [1, 2, 15, 16])
def test_any_batch_size_and_width(batch_size, dim):
    """Also blocks of more users than there are."""
    has = owners(7, 7, 0.4, seed=batch_size)
    settings = replace(BASE, batch_size=batch_size, dim=dim, candidates=4, schedule="constant")
    session = make_session(settings, has)
    assert_equal_runs(session, Twin(session, has))


@pytest.mark.parametrize("rate", ["own_rate", "weight_rate", "bias_rate"])
def test_what_has_no_rate_rests(rate):
    session = make_session(replace(BASE, **{rate: 0.0}), HAS)
    before = arrays_of(session)
    assert_equal_runs(session, Twin(session, HAS))
    for name, (x, _) in arrays_of(session).items():
        rests = name == {"own_rate": "own", "weight_rate": "weights", "bias_rate": "biases"}[rate]
        assert np.allclose(x, before[name][0], atol=1e-6) == rests


# --- the start, and what is left -----------------------------------------------------------------


def test_the_start():
    session = make_session(BASE, HAS)
    state, dim = session.state, BASE.dim
    for points, stream in ((state.items, 21), (state.own, 22)):
        drawn = counter.normal(counter.key(BASE.seed, stream), (len(points), dim))
        assert np.allclose(points[:, :dim], unit(drawn), rtol=1e-5, atol=1e-7)
        assert not points[:, dim + 1 :].any()
    for name in ("item_squares", "own_squares", "bias_squares", "weight_squares"):
        assert (getattr(state, name) == np.float32(0.1)).all()
    assert (len(state.own_squares), len(state.user_terms), len(state.item_sums)) == (12, 12, 10)
    plain = make_session(replace(BASE, own=0.0, kappa=0.0), HAS).state
    assert len(plain.own) == len(plain.own_squares) == len(plain.user_terms) == 0
    assert (plain.items[:, :dim] == state.items[:, :dim]).all()


@pytest.mark.parametrize("settings", VARIED[::2], ids=lambda s: f"{s.own}-{s.kappa}")
def test_composed_points_equal_their_formulas(settings):
    session = make_session(settings, HAS)
    run_epoch(session, 0)
    run_epoch(session, 1)
    users, items, _ = composed(session.state, session.positives, session.params)
    dim, twin = settings.dim, Twin(session, HAS)
    twin.kappa = settings.kappa
    twin.hold_users()
    close = {"rtol": 1e-5, "atol": 1e-6}
    assert users.shape == (12, 16)
    assert users.dtype == items.dtype == np.float32
    assert np.allclose(users[:, :dim], twin.users(), **close)
    assert np.allclose(items[:, :dim], twin.targets(HAS.T @ twin.terms), **close)
    assert np.allclose(items[:, dim], twin.biases, rtol=1e-7)
    assert not users[:, dim:].any()
    assert not items[:, dim + 1 :].any()
    if settings.own == 0:
        assert not users[0].any()  # who has nothing


@pytest.mark.parametrize("kappa", [0.0, 0.7])
def test_composing_changes_nothing_within_an_epoch(kappa):
    session = make_session(replace(BASE, kappa=kappa), HAS)
    run_epoch(session, 0)
    run_block(session, 1, 0)
    before = bits(session)
    first = composed(session.state, session.positives, session.params)
    assert bits(session) == before
    with tm.threads(3):  # which interpreted is one
        again = composed(session.state, session.positives, session.params)
    for one, other in zip(first, again, strict=True):
        assert (one == other).all()


# --- candidates ----------------------------------------------------------------------------------


@kernel
def fill_candidates(out, epoch_draws, state, settings, workspace, params):
    for block in range(len(out)):
        draw_candidates(
            0, 1, block, np.int64(block), state, settings, workspace, params, np.float32(0)
        )
        for j in range(out.shape[1]):
            out[block, j] = workspace.candidates[j]


def drawn_candidates(session: Session, blocks: int, epoch: int = 0) -> np.ndarray:
    out = np.zeros((blocks, int(session.params.candidates)), dtype=np.int64)
    parts = session.epoch_settings(epoch), session.workspace(1), session.params
    fill_candidates(out, 0, session.state, *parts)
    return out


@pytest.mark.parametrize(("n_items", "size"), [(11, 5), (16, 3), (33, 32)])
def test_candidates_are_uniform_without_repeats(n_items, size):
    session = make_session(replace(BASE, candidates=size), owners(4, n_items))
    blocks = 300 if INTERPRETED else 20_000
    drawn = drawn_candidates(session, blocks)
    assert ((drawn >= 0) & (drawn < n_items)).all()
    assert (np.diff(np.sort(drawn, axis=1), axis=1) > 0).all()
    for block in (0, 1, blocks - 1):
        assert drawn[block].tolist() == candidates_of(session, 0, block).tolist()
    share = size / n_items
    spread = blocks * share * (1 - share) * n_items / (n_items - 1)
    off = ((np.bincount(drawn.ravel(), minlength=n_items) - blocks * share) ** 2).sum() / spread
    assert 1e-4 < stats.chi2.sf(off, n_items - 1) < 1 - 1e-4
    first = np.bincount(drawn[:, 0], minlength=n_items)
    assert stats.chisquare(first).pvalue > 1e-4
    assert (drawn_candidates(session, 30, 1) != drawn[:30]).any(axis=1).sum() > 25


@pytest.mark.parametrize("size", [0, 10, 11, 1_000])
def test_the_whole_catalogue(size):
    session = make_session(replace(BASE, candidates=size), HAS)
    assert (drawn_candidates(session, 3) == np.arange(10)).all()


# --- odd users and items -------------------------------------------------------------------------


def test_a_user_without_candidates_pulls_nothing():
    """All candidates of a block may be the user's own, or none in the user's pool."""
    has = np.array([[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 0]], dtype=bool)
    session = make_session(replace(BASE, candidates=1, batch_size=2), has)
    block = next(e for e in range(20) if candidates_of(session, e, 0)[0] != 5)
    before = {name: array.copy() for name, array in session.arrays.items()}
    run_epoch(session, block)
    for name in ("items", "own", "weights", "item_squares", "own_squares", "weight_squares"):
        assert (session.arrays[name] == before[name]).all()
    assert (session.totals.loss, session.totals.active, session.totals.samples) == (0, 0, 10)
    nothing = np.zeros_like(has)
    session = make_session(BASE, has, nothing)
    for epoch in range(2):
        run_epoch(session, epoch)
        assert (session.state.items == before["items"]).all()
        assert (session.totals.loss, session.totals.samples) == (0, 10)


def test_who_is_trained_on():
    """Users of every item never are; of one item, if they have points of their own."""
    for own, first in ((0.5, 1), (0.0, 2)):
        session = make_session(replace(BASE, own=own), HAS)
        assert session.params.users.tolist() == list(range(first, 11))
        assert session.params.users.dtype == np.int32
    session = make_session(BASE, HAS)
    before = session.state.own.copy()
    run_epoch(session, 0)
    run_epoch(session, 1)
    moved = (session.state.own != before).any(axis=1)
    assert moved.tolist() == [False, *[True] * 10, False]


def test_nobody_to_train_on():
    for has in (np.ones((3, 4), dtype=bool), np.zeros((3, 4), dtype=bool)):
        session = make_session(BASE, has)
        before = session.state.items.copy()
        assert session.samples == session.n_batches == 0
        run_epoch(session, 0)
        assert (session.state.items == before).all()
        users, items, _ = composed(session.state, session.positives, session.params)
        assert np.isfinite(users).all()
        assert np.isfinite(items).all()


def test_an_item_that_nobody_has_is_only_a_candidate():
    has = HAS.copy()
    has[-1] = False
    assert not has[:, 4].any()
    session = make_session(replace(BASE, candidates=0), has)
    weight = session.state.weights[4]
    assert_equal_runs(session, Twin(session, has))
    state = session.state
    assert state.weights[4] == weight
    assert state.weight_squares[4] == np.float32(0.1)
    assert state.item_squares[4] > 0.1
    assert not state.item_sums[4].any()
    items = composed(state, session.positives, session.params)[1]
    assert np.allclose(items[4], state.items[4], atol=1e-6)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(
    ("name", "row"),
    [("items", 2), ("own", 1), ("weights", 2), ("items", slice(None)), ("own", slice(None))],
)
def test_nan_shows_in_the_loss(name, row):
    session = make_session(replace(BASE, candidates=0), HAS)
    session.arrays[name][row] = np.nan
    run_epoch(session, 0)
    assert np.isnan(session.totals.loss)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_nan_of_all_biases_shows_in_the_loss():
    session = make_session(BASE, HAS)
    session.state.items[:, BASE.dim] = np.nan
    run_epoch(session, 0)
    assert np.isnan(session.totals.loss)


# --- bits ----------------------------------------------------------------------------------------


def bits(session: Session) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in session.arrays.items()}


def all_at_once(patch: pytest.MonkeyPatch) -> None:
    """Let every thread of a team take part in every step, and a step be one block."""
    patch.setattr("trimetric.engine.threads.WORK_PER_STEP", 1)
    patch.setattr(ThreadTuner, "suggest", lambda self: self._choices[0])


LARGER: list[tuple[dict[str, Any], bool]] = [
    ({}, False),
    ({"own": 0.0, "candidates": 0}, False),
    ({"own": 1.0, "dim": 16}, False),
    ({"kappa": 0.0, "batch_size": 7}, False),
    ({}, True),
]


@pytest.mark.compiled
@pytest.mark.parametrize(("given", "pools"), LARGER, ids=str)
def test_threads_do_not_change_a_bit(given, pools, monkeypatch):
    all_at_once(monkeypatch)
    has = owners(70, 150, 0.1, seed=2)
    settings = replace(BASE, **{"batch_size": 30, "candidates": 100} | given)
    made = []
    for threads in (1, 2, 3, 5):
        session = make_session(settings, has, some_pool(has) if pools else None)
        with ThreadTeam(threads) as team:
            for epoch in range(3):
                assert session.run(epoch, 0, team, lambda batch: False) == session.n_batches
        made.append(bits(session))
    assert all(one == made[0] for one in made)


@pytest.mark.compiled
def test_few_rows_on_many_threads(monkeypatch):
    all_at_once(monkeypatch)
    has, made = owners(4, 6, 0.5), []
    for threads in (1, 5):
        session = make_session(BASE, has)
        with ThreadTeam(threads) as team:
            for epoch in range(2):
                session.run(epoch, 0, team, lambda batch: False)
        made.append(bits(session))
    assert made[0] == made[1]


@pytest.mark.parametrize("settings", [VARIED[0], VARIED[1], VARIED[7]], ids=str)
def test_it_goes_on_from_its_arrays_at_any_block(settings, monkeypatch):
    """Each block in a new session; compiled, on another number of threads than the one before."""
    all_at_once(monkeypatch)
    settings = replace(settings, batch_size=3)
    whole = make_session(settings, HAS)
    for epoch in range(3):
        run_epoch(whole, epoch)
    saved: dict[str, np.ndarray] = {}
    assert whole.n_batches > 2
    for epoch in range(3):
        for block in range(whole.n_batches):
            session = make_session(settings, HAS)
            for name, array in saved.items():
                session.arrays[name][...] = array
            with ThreadTeam(1 if INTERPRETED else 1 + block % 3) as team:
                assert session.run(epoch, block, team, lambda _: True) == block + 1
            saved = session.arrays
    assert bits(session) == bits(whole)
    assert session.summary() == whole.summary()


def digest(session: Session) -> str:
    """The bits of all that is trained; not of the loss, whose `log1p` is the library's."""
    total = hashlib.sha256()
    for name, array in session.arrays.items():
        total.update(b"" if name == "totals" else array.tobytes())
    return total.hexdigest()[:16]


RECORDED = [
    "6fd7336cefe1bfa4",
    "27a6b946be1e9086",
    "d42af4d9f8e74692",
    "f8c443446d9ef3d7",
    "72d202f5bfcd7ce2",
    "732e222aced7f23d",
    "36781e89dd2dee58",
    "f6f804d02e9acb9e",
    "6a37510452e3127a",
    "17a53cf6156a08d7",
    "41a1e01f5792c0da",
    "5c95f346b40fa852",
    "ae25cf4e1eca8dc5",
    "50ecbe24a81f4210",
]
"""Checksums of what two epochs train, recorded with this code."""


@pytest.mark.parametrize("run", range(len(RECORDED)))
def test_the_bits_stay(run):
    """Compiled or interpreted, on any machine."""
    pool = some_pool(HAS) if run == len(VARIED) else None
    settings = [*VARIED, BASE, replace(BASE, dim=16, batch_size=9)][run]
    session = make_session(settings, HAS, pool)
    run_epoch(session, 0)
    run_epoch(session, 1)
    assert digest(session) == RECORDED[run]
