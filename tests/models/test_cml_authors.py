"""CML as its own authors have it: rank weights, W candidates, Adagrad, the ball, the penalty."""

from pathlib import Path

import numpy as np
import pytest

import trimetric as tm
from trimetric.errors import ParameterError

DATA = tm.synthetic.planted(150, 80, dim=4, clusters=4, per_user=8, seed=2).interactions
SMALL = {"dim": 12, "epochs": 6, "patience": 0, "batch_size": 128}


def covaries(model) -> float:
    """‖C‖_F/‖diag C‖₂ − 1 of all points: 0 where no two columns covary."""
    c = np.cov(np.concatenate([model.scorer.users, model.scorer.items]).T, bias=True)
    return np.sqrt((c**2).sum()) / np.sqrt((np.diag(c) ** 2).sum()) - 1


def test_the_preset_is_that_of_the_authors() -> None:
    config = tm.CML(preset="authors").config
    assert (config.negatives, config.candidates, config.rank_weight) == ("hardest", 20, True)
    assert (config.optimizer, config.lr, config.schedule) == ("adagrad", 0.1, "constant")
    assert (config.margin, config.radius, config.temperature) == (1.9, 1.0, 0.0)
    assert config.covariance == 1
    assert (config.lam, config.adaptive_users, config.adaptive_items) == (0, False, False)
    assert tm.CML(preset="authors", covariance=0).config.covariance == 0
    for preset in (None, "paper", "released"):
        assert tm.CML(preset=preset).config.covariance == 0


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "much", None])
def test_a_weight_that_cannot_be_is_refused(value) -> None:
    with pytest.raises(ParameterError, match="covariance must be"):
        tm.CML(covariance=value)


def test_what_is_no_triplet_model_has_no_penalty() -> None:
    with pytest.raises(ParameterError, match="unknown setting 'covariance'"):
        tm.create("bpr", covariance=1.0)


def test_a_heavy_penalty_takes_the_columns_apart() -> None:
    free, held = (
        tm.CML(preset="authors", covariance=weight, **SMALL).fit(DATA, progress=False)
        for weight in (0.0, 1e9)
    )
    assert covaries(held) < covaries(free) / 2


def test_no_bit_depends_on_the_threads_and_it_is_saved(tmp_path: Path) -> None:
    given = SMALL | {"preset": "authors", "covariance": 1e5, "dim": 17}
    one = tm.CML(**given).fit(DATA, threads=1, progress=False)
    three = tm.CML(**given).fit(DATA, threads=3, progress=False)
    assert one.scorer.points.tobytes() == three.scorer.points.tobytes()
    one.save(tmp_path / "m")
    assert tm.load(tmp_path / "m").config == one.config


def test_trained_in_parts_it_has_the_penalty_too() -> None:
    given = SMALL | {"preset": "authors", "covariance": 1e6}
    parts = tm.CML(**given).fit(DATA, partitions=2, progress=False)
    without = tm.CML(**{**given, "covariance": 0.0}).fit(DATA, partitions=2, progress=False)
    assert not np.allclose(parts.scorer.points, without.scorer.points, atol=1e-3)
