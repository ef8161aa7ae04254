"""NCF and MLP: settings, samples, one step by hand, pre-training, and that they learn."""

import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from descents import started
from popularity import Popularity
from tower_twin import twin_logit

import trimetric as tm
from trimetric.data.csr import Csr
from trimetric.engine.compile import kernel
from trimetric.engine.negatives import positives
from trimetric.engine.session import Session
from trimetric.engine.threads import ThreadTeam
from trimetric.errors import Interrupted, ParameterError
from trimetric.models.mlp import MLP
from trimetric.models.ncf import NCF, NCFConfig, merge, neural_session, sample_pair
from trimetric.progress import Silent

pytestmark = pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")

PAIRS = tm.synthetic.planted(60, 40, dim=4, clusters=4, per_user=6, seed=1).interactions
SMALL = {"dim": 6, "depth": 2, "epochs": 2, "batch_size": 64}


def session(pool: Csr | None = None, **settings: Any) -> Session:
    pairs = positives(PAIRS.users, PAIRS.items, PAIRS.indptr, pool)
    return neural_session(NCFConfig(**{**SMALL, "factors": 3, **settings}), pairs, PAIRS.n_items)


def run_epoch(one: Session, epoch: int = 0) -> None:
    with ThreadTeam(1) as team:
        assert one.run(epoch, 0, team, lambda batch: False) == one.n_batches


def learned(model: tm.MLP) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in model.tensors().items()}


# --- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"depth": 0}, r"depth must be in 1\.\.12, got 0; 3 suits most data"),
        ({"depth": 13}, r"depth must be in 1\.\.12, got 13"),
        ({"negatives": 0}, r"negatives must be in 1\.\.1000, got 0; 4 suits most data"),
        ({"negatives": "hardest"}, "negatives must be a whole number, got 'hardest'"),
        ({"factors": 0}, r"factors must be in 1\.\.4096, got 0"),
        ({"pretrain": -1}, r"pretrain must be in 0\.\.100000, got -1"),
        ({"parts": "all"}, "parts must be one of both, mlp, gmf, got 'all'"),
        ({"optimizer": "lbfgs"}, "optimizer must be one of rowwise-adagrad, adagrad, adam, sgd"),
        ({"preset": "best"}, "preset must be one of paper, got 'best'"),
    ],
)
def test_refusals_say_what_would_do(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        tm.NCF(**given)


def test_mlp_has_no_settings_of_the_other_part() -> None:
    for name in ("factors", "parts", "pretrain"):
        assert name in tm.NCF().get_params()
        with pytest.raises(ParameterError, match=f"unknown setting '{name}'; .*mlp has batch_size"):
            tm.MLP(**{name: 1})


def test_the_paper() -> None:
    wanted = {
        "dim": 32,
        "depth": 3,
        "negatives": 4,
        "batch_size": 256,
        "optimizer": "adam",
        "lr": 0.001,
        "schedule": "constant",
        "init_std": 0.01,
        "reg": 0.0,
    }
    assert tm.MLP(preset="paper").get_params().items() >= wanted.items()
    ncf = tm.NCF(preset="paper").get_params()
    assert ncf.items() >= (wanted | {"factors": 8, "parts": "both", "pretrain": 0}).items()


@pytest.mark.parametrize(
    ("parts", "columns", "weights"),
    [("both", 9, 6 + 72 + 3 + 18 + 1 + 6), ("mlp", 6, 6 + 72 + 3 + 18 + 1 + 3), ("gmf", 3, 1 + 3)],
)
def test_what_is_learned(parts: str, columns: int, weights: int) -> None:
    model = NCF(**SMALL, factors=3, parts=parts).fit(PAIRS)
    assert model.user_embeddings.shape == (60, columns)
    assert model.item_embeddings.shape == (40, columns)
    assert model.tensors()["weights"].shape == (weights,)
    assert np.abs(model.user_embeddings).min(axis=1).all()


def test_mlp_is_ncf_without_gmf() -> None:
    mlp = MLP(**SMALL, lr=0.01).fit(PAIRS)
    settings = mlp.get_params()
    assert learned(NCF(**settings, parts="mlp").fit(PAIRS)) == learned(mlp)
    assert learned(NCF(**settings, parts="mlp", factors=5, pretrain=2).fit(PAIRS)) == learned(mlp)
    assert learned(NCF(**settings).fit(PAIRS)) != learned(mlp)


# --- samples ------------------------------------------------------------------------------------


@kernel
def fill_samples(out, positives, sizes, settings, params):
    for position in range(len(out)):
        u, v, y = sample_pair(position, positives, sizes, settings, params)
        out[position, 0], out[position, 1], out[position, 2] = u, v, y


def samples(one: Session, epoch: int = 0) -> np.ndarray:
    """Rows of users and items, and y, of an epoch in order."""
    out = np.empty((one.samples, 3), dtype=np.int64)
    sizes = one.n_users, len(one.state.table) - one.n_users
    fill_samples(out, one.positives, sizes, one.epoch_settings(epoch), one.params)
    return out


@pytest.mark.twin
def test_an_epoch_has_each_positive_once_and_its_negatives() -> None:
    one = session(negatives=3)
    liked = set(zip(PAIRS.users.tolist(), PAIRS.items.tolist(), strict=True))
    first, second = (samples(one, epoch) for epoch in (0, 1))
    for drawn in (first, second):
        assert len(drawn) == 4 * len(PAIRS)
        pairs = [(u, v - 60) for u, v, _ in drawn.tolist()]
        assert sorted(pair for pair, y in zip(pairs, drawn[:, 2], strict=True) if y) == sorted(
            liked
        )
        assert liked.isdisjoint(pair for pair, y in zip(pairs, drawn[:, 2], strict=True) if not y)
        counts = np.bincount(drawn[:, 0])
        assert (counts == 4 * np.diff(PAIRS.indptr)).all()
    assert (np.sort(first, axis=0) != np.sort(second, axis=0)).any()


@pytest.mark.twin
def test_negatives_come_from_the_pool() -> None:
    pool = Csr.from_pairs(np.repeat(np.arange(1, 60), 5), np.tile([0, 9, 17, 25, 39], 59), 60)
    one = session(pool)
    drawn = samples(one)
    negatives = drawn[drawn[:, 2] == 0]
    assert set(negatives[:, 1].tolist()) == {-1, 60, 69, 77, 85, 99}
    assert 0 not in negatives[:, 0]  # its pool is empty
    skipped = int((drawn[:, 0] < 0).sum())
    assert skipped >= 4 * int(PAIRS.indptr[1])
    run_epoch(one)
    assert one.summary()["active"] == pytest.approx(1 - skipped / len(drawn))
    assert np.isfinite(one.summary()["loss"])


# --- one step -----------------------------------------------------------------------------------


def loss_of(drawn: np.ndarray, rows: np.ndarray, weights: np.ndarray, reg: float) -> float:
    """Cross-entropy of σ(logit), and reg/2·‖·‖² of each sample's rows."""
    total = 0.0
    for u, v, y in drawn.tolist():
        logit = twin_logit(rows[u], rows[v], weights, 3, 6, 2)
        total -= math.log(1 / (1 + math.exp(-logit if y else logit)))
        total += reg / 2 * float(rows[u] @ rows[u] + rows[v] @ rows[v])
    return total


@pytest.mark.twin
def test_a_step_goes_down_the_slope_of_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    lr, reg, size = 0.25, 0.1, 77
    one = session(optimizer="sgd", lr=lr, reg=reg, batch_size=size, init_std=0.7, negatives=2)
    drawn, state = samples(one)[:size], one.state
    assert np.allclose(state.table[:, :9], started(0, 100, 9, std=0.7), atol=1e-6)
    state.weights[:] += np.random.default_rng(0).normal(0, 0.3, len(state.weights))
    rows, weights = state.table[:, :9].astype(np.float64), state.weights.astype(np.float64)
    monkeypatch.setattr("trimetric.engine.threads.WORK_PER_STEP", 1)
    with ThreadTeam(1) as team:
        assert one.run(0, 0, team, lambda batch: True) == 1
    assert one.summary()["loss"] == pytest.approx(loss_of(drawn, rows, weights, 0) / size, rel=1e-4)
    step = 1e-5
    for number, (array, after) in enumerate([(rows, state.table), (weights, state.weights)]):
        for place in np.ndindex(*array.shape):
            if number == 0 and (place[0] not in drawn[:9, :2] or place[1] % 4):
                continue
            before, ends = array[place], []
            for s in (step, -step):
                array[place] = before + s
                ends.append(loss_of(drawn, rows, weights, reg))
            array[place] = before
            slope = (ends[0] - ends[1]) / (2 * step)
            assert (before - after[place]) / lr == pytest.approx(slope, rel=1e-3, abs=1e-3)


# --- pre-training -------------------------------------------------------------------------------


def test_merging_halves_both_outputs() -> None:
    both, gmf, mlp = session(), session(parts="gmf", seed=1), session(parts="mlp", seed=2)
    for part in (gmf, mlp):
        part.state.weights[:] += np.arange(len(part.state.weights), dtype=np.float32) / 64
        run_epoch(part)
    merge(both, gmf, mlp)
    for u, v in ((0, 60), (17, 99), (59, 77)):
        logits = [
            twin_logit(part.state.table[u, :width], part.state.table[v, :width], weights, *sizes)
            for part, width, sizes in (
                (gmf, 3, (3, 0, 2)),
                (mlp, 6, (0, 6, 2)),
                (both, 9, (3, 6, 2)),
            )
            for weights in [part.state.weights]
        ]
        assert logits[2] == pytest.approx((logits[0] + logits[1]) / 2, rel=1e-5, abs=1e-6)
    assert not both.state.table[:, 9:].any()


def test_training_starts_from_the_parts() -> None:
    settings = {**SMALL, "factors": 3}
    apart, joined = NCF(**settings).fit(PAIRS), NCF(**settings, pretrain=2).fit(PAIRS)
    assert learned(apart) != learned(joined)
    assert joined.history[0]["loss"] < apart.history[0]["loss"]
    for threads in (1, 2):
        again = NCF(**settings, pretrain=2).fit(PAIRS, threads=threads)
        assert learned(again) == learned(joined)
    none = NCF(**{**settings, "epochs": 0}, pretrain=2).fit(PAIRS)
    assert learned(none) == learned(NCF(**{**settings, "epochs": 0}).fit(PAIRS))


@pytest.mark.parametrize("share", [0.1, 0.7, 1.1])
def test_interrupted_in_pretraining_or_later(
    share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimetric.engine.threads.WORK_PER_STEP", 1)
    model, asked, of_pretraining = NCF(**SMALL, factors=3, pretrain=2), [], 4 * session().n_batches
    whole = NCF(**SMALL, factors=3, pretrain=2).fit(PAIRS)

    def interrupt(self: Silent, epoch: int, batch: int) -> None:
        asked.append((epoch, batch))
        if len(asked) == int(share * of_pretraining):
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Silent, "batch", interrupt)
        with pytest.raises(Interrupted, match="in epoch 1; saved in"):
            model.fit(PAIRS, out=tmp_path, progress=False)
    assert (asked[-1] == (0, 0)) == (share < 1)
    model.fit(PAIRS, out=tmp_path, resume=True)
    assert learned(model) == learned(whole) == learned(tm.load(tmp_path))
    assert [row["loss"] for row in model.history] == [row["loss"] for row in whole.history]


# --- quality ------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"parts": "both"}, {"parts": "mlp"}, {"parts": "gmf"}])
def test_a_planted_space_is_learned(settings: dict[str, Any]) -> None:
    data = tm.synthetic.planted(300, 120, dim=4, clusters=6, per_user=15, seed=3).interactions
    split = tm.split_per_user(data, test=0.2, valid=0.2)
    model = NCF(**settings, epochs=40, lr=0.003, validate_every=1).fit(split.train, split.valid)
    ours, popular = (
        tm.evaluate(ranker, split).metrics["ndcg@10"] for ranker in (model, Popularity(split.train))
    )
    assert ours > 1.3 * popular
