"""FML: a naive twin of its epochs, its cells and its dropout, and that it learns."""

from typing import Any

import numpy as np
import pytest
import reference
from descents import (
    SGD,
    draws,
    fitted,
    follow,
    interactions,
    negative,
    places,
    quality,
    run_epoch,
    some_pool,
    started,
)

import trimetric as tm
from trimetric import counter
from trimetric.data.csr import Csr
from trimetric.engine.compile import kernel
from trimetric.engine.session import Session
from trimetric.errors import ParameterError
from trimetric.models.fml import drop_columns

pytestmark = pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")

DATA = interactions()
OWNED = set(zip(DATA.users.tolist(), DATA.items.tolist(), strict=True))
Cell = tuple[int, int, int]


def cells(model: tm.FML, session: Session, pool: Csr | None, epoch: int) -> list[Cell | None]:
    """User, item and y of each sample."""
    made, each = list[Cell | None](), 1 + model.config.negatives
    for sample, place in enumerate(places(session, epoch)):
        if model.config.cells == "all":
            u, item = divmod(place, DATA.n_items)
            made.append((u, item, int((u, item) in OWNED)))
            continue
        u, item = int(DATA.users[place // each]), int(DATA.items[place // each])
        drawn = negative(draws(session, epoch), sample, u, DATA, pool)
        unlike = None if drawn is None else (u, drawn, 0)
        made.append(unlike if place % each else (u, item, 1))
    return made


def kept(model: tm.FML, session: Session, sample: int, epoch: int) -> np.ndarray:
    """1/keep or 0 for each column: 16 bits a column, four columns a draw."""
    first = sample * reference.ATTEMPTS + 8
    words = counter.bits(draws(session, epoch), first + np.arange(-(-model.config.dim // 4)))
    coins = [int(word) >> 16 * part & 0xFFFF for word in words for part in range(4)]
    stays = np.array(coins[: model.config.dim]) < round(model.config.keep * 65536)
    return stays / model.config.keep


@pytest.mark.twin
@pytest.mark.parametrize(
    ("given", "pool"),
    [
        ({"cells": "all"}, None),
        ({"cells": "all", "keep": 1, "confidence": 2, "distance": 1}, None),
        ({"negatives": 2, "keep": 0.6}, None),
        ({"negatives": 1, "confidence": 0.7}, some_pool(DATA)),
    ],
    ids=str,
)
def test_epochs_equal_the_twin(given: dict[str, Any], pool: Csr | None) -> None:
    model = tm.FML(**{**SGD, "lr": 0.01, "init_std": 0.4, **given})
    session, config = model.learner(DATA, pool, {}), model.config
    begun = started(3, 21, 5, std=0.4, radius=1)
    assert np.allclose(session.state.table[:, : config.dim], begun, atol=1e-6)
    for epoch in range(2):
        drawn = cells(model, session, pool, epoch)
        masks = [kept(model, session, sample, epoch) for sample in range(len(drawn))]

        def loss(samples: range, table: np.ndarray, _: np.ndarray) -> float:
            total = 0.0
            for t in samples:
                if drawn[t] is not None:  # noqa: B023
                    u, item, y = drawn[t]  # noqa: B023
                    d2 = (masks[t] * (table[u] - table[DATA.n_users + item]) ** 2).sum()  # noqa: B023
                    total += (1 + config.confidence * y) * (config.distance * (1 - y) - d2) ** 2
            return total

        table, _, total = follow(model, session, loss)
        run_epoch(session, epoch)
        assert np.allclose(session.state.table[:, : config.dim], table, atol=1e-5)
        assert np.isclose(session.totals.loss, total, rtol=1e-4)


def test_every_cell_once_an_epoch() -> None:
    model = tm.FML(cells="all")
    session = model.learner(DATA, None, {})
    drawn = cells(model, session, None, 0)
    assert len(set(drawn)) == len(drawn) == session.samples == DATA.n_users * DATA.n_items
    assert sum(cell[2] for cell in drawn) == len(DATA)


def test_a_user_without_interactions_has_no_cells() -> None:
    data = DATA.take(DATA.users != 3)
    model = tm.FML(cells="all", dim=4)
    session = model.learner(data, None, {})
    start = session.state.table.copy()
    run_epoch(session)
    moved = (session.state.table != start).any(axis=1)
    assert not moved[3]
    assert moved[: data.n_users].sum() == data.n_users - 1
    assert session.totals.active == (data.n_users - 1) * data.n_items


def test_all_cells_and_a_pool_exclude_each_other() -> None:
    with pytest.raises(ParameterError, match=r"cells='all' .* a pool .* use cells='sampled'"):
        tm.FML(cells="all").fit(DATA, pool=some_pool(DATA))


@pytest.mark.twin
@pytest.mark.parametrize("row", [3, DATA.n_users + 3])
def test_nan_shows_in_the_loss(row: int) -> None:
    session = tm.FML(**SGD).learner(DATA, None, {})
    session.state.table[row, 1] = np.nan
    run_epoch(session)
    assert np.isnan(session.summary()["loss"])


@kernel
def fill_masks(out, draws, params):
    for sample in range(len(out)):
        drop_columns(out[sample], 1, sample, draws, params)


@pytest.mark.twin
@pytest.mark.parametrize("keep", [0.05, 0.5, 0.95, 1])
def test_each_column_is_kept_as_often_as_wanted(keep: float) -> None:
    """And by itself: squared differences are right in the mean, and vary as coins would have it."""
    params = tm.FML(**SGD, keep=keep).learner(DATA, None, {}).params
    n, width = 1500, 16
    scratch = np.full((n, 2, width), np.nan, dtype=np.float32)
    fill_masks(scratch, np.uint64(7), params)
    masks = scratch[:, 1].astype(np.float64)
    assert np.isnan(scratch[:, 0]).all()
    assert set(np.unique(scratch[:, 1]).tolist()) <= {0.0, float(np.float32(1 / keep))}
    spread = np.sqrt((1 - keep) / keep)  # of one column
    assert np.abs(masks.mean(axis=0) - 1).max() <= 4.5 * spread / np.sqrt(n)
    assert np.abs(masks.sum(axis=1).std() - spread * 4) <= 0.1 * spread * 4
    if keep < 1:
        alike = np.corrcoef(masks.T) - np.eye(width)
        assert np.abs(alike).max() < 4.5 / np.sqrt(n)


def test_it_learns() -> None:
    def measured(epochs: int, **given: Any) -> float:
        model = fitted(tm.FML, epochs, **given)
        assert (
            np.linalg.norm(
                np.concatenate([model.user_embeddings, model.item_embeddings]), axis=1
            ).max()
            <= 1.00001
        )
        return quality(model)

    start = measured(0)
    assert measured(30) > 4 * start
    assert measured(30, preset="paper") > 4 * start


def test_settings() -> None:
    paper = tm.FML(preset="paper").get_params()
    wanted = {"cells": "all", "optimizer": "adagrad", "lr": 0.1, "confidence": 0.1, "keep": 0.95}
    assert paper.items() >= (wanted | {"distance": 1.5, "dim": 100, "init_std": None}).items()
    for bad in ({"keep": 0}, {"keep": 1.1}, {"cells": "some"}, {"negatives": 0}, {"distance": 0}):
        with pytest.raises(ParameterError, match=next(iter(bad))):
            tm.FML(**bad)
