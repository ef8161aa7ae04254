"""The temperature that SML finds for itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trimetric as tm
from trimetric import training
from trimetric.errors import Interrupted, ParameterError
from trimetric.models import load, temperature
from trimetric.models.triplet import engine_settings
from trimetric.progress import Silent

DATA = tm.synthetic.planted(300, 100, dim=4, clusters=4, per_user=15, seed=1).interactions
SPLIT = tm.split_per_user(DATA, test=0.2, valid=0.1)
SMALL: dict[str, Any] = {"dim": 8, "epochs": 6, "batch_size": 256, "candidates": 9}


def settings_of(model: tm.SML, n_items: int) -> Any:
    return engine_settings(model.config, n_items, model.temperature)


def learned(model: tm.SML) -> bytes:
    return b"".join(array.tobytes() for array in model.tensors().values())


@pytest.mark.parametrize(
    ("qualities", "found"),
    [
        ([1.0, 2.0, 1.0], 0.2),
        ([1.0, 2.0, 1.5], 0.22),
        ([1.5, 2.0, 1.0], 0.18),
        ([1.0, 2.0, 2.8], 0.57),
        ([3.0, 2.0, 1.0], 0.071),
        ([1.0, 2.0, 3.0], 0.57),
        ([2.0, 1.0, 3.0], 0.57),
        ([1.0, 1.0, 1.0], 0.2),
        ([0.0, 0.0, 0.0], 0.2),
    ],
)
def test_the_top_of_the_parabola(qualities: list[float], found: float) -> None:
    assert temperature.best_of(qualities) == found


def test_a_parabola_is_found_again() -> None:
    for top in (0.09, 0.15, 0.3, 0.45):
        qualities = [1 - np.log(tried / top) ** 2 for tried in temperature.TRIED]
        assert temperature.best_of(qualities) == pytest.approx(top, rel=0.05)


def test_it_is_kept_with_the_model(tmp_path: Path) -> None:
    model = tm.SML(**SMALL).fit(SPLIT.train, SPLIT.valid, out=tmp_path / "m")
    tried = dict(model.tuned["tried"])
    assert list(tried) == [0.1, 0.2, 0.4]
    assert model.temperature == model.tuned["temperature"] == temperature.best_of([*tried.values()])
    assert model.get_params()["temperature"] is None
    again = load(tmp_path / "m")
    assert again.temperature == model.temperature
    assert again.provenance["tuned"] == model.tuned


def test_cml_finds_it_where_rank_weights_are_off() -> None:
    model = tm.CML(**SMALL, rank_weight=False).fit(SPLIT.train, SPLIT.valid)
    assert [tried for tried, _ in model.tuned["tried"]] == [0.1, 0.2, 0.4]
    assert model.temperature == model.tuned["temperature"] > 0


def test_it_is_what_would_be_set() -> None:
    model = tm.SML(**SMALL).fit(SPLIT.train, SPLIT.valid, threads=1)
    same = tm.SML(**SMALL, temperature=model.temperature).fit(SPLIT.train, SPLIT.valid, threads=2)
    assert learned(model) == learned(same)
    assert same.temperature == model.temperature
    assert same.tuned == {}


def test_trials_are_short_and_judged_by_the_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[training.Plan] = []
    train = training.train

    def watched(learner: Any, plan: training.Plan, *rest: Any, **more: Any) -> training.Run:
        plans.append(plan)
        return train(learner, plan, *rest, **more)

    monkeypatch.setattr(training, "train", watched)
    tm.SML(**SMALL, metric="recall@5").fit(SPLIT.train, SPLIT.valid)
    assert [plan.epochs for plan in plans] == [2, 2, 2, 6]
    assert {plan.metric for plan in plans} == {"recall@5"}


def test_without_validation_data_a_tenth_is_held_out_for_the_trials() -> None:
    model = tm.SML(**SMALL).fit(SPLIT.train)
    assert len(model.tuned["tried"]) == 3
    assert model.provenance["train"]["fingerprint"] == SPLIT.train.fingerprint


@pytest.mark.parametrize("valid", [None, SPLIT.valid.take(np.arange(50))])
def test_too_little_data_gets_the_usual(valid: Any) -> None:
    model = tm.SML(**SMALL).fit(SPLIT.train.take(np.arange(400)), valid)
    assert model.tuned == {"temperature": 0.2, "tried": []}


def test_pools_and_monitors_say_nothing_of_the_aim() -> None:
    for more in ({"pool": DATA}, {"monitor": lambda model: 1.0}):
        model = tm.SML(**SMALL).fit(SPLIT.train, **more)
        assert model.tuned == {"temperature": 0.2, "tried": []}


@pytest.mark.parametrize(
    "given", [{"negatives": "uniform"}, {"negatives": "popularity"}, {"rank_weight": True}]
)
def test_it_needs_a_choice_among_candidates(given: dict[str, Any]) -> None:
    model = tm.SML(**SMALL, **given).fit(SPLIT.train)
    assert model.temperature == 0
    with pytest.raises(ParameterError, match="temperature needs negatives='hardest'"):
        tm.SML(**SMALL, **given, temperature=0.1)


def test_interrupted_trials_and_trials_that_are_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tm.SML(**SMALL).fit(SPLIT.train, SPLIT.valid)

    def fit(**more: Any) -> tm.SML:
        return tm.SML(**SMALL).fit(SPLIT.train, SPLIT.valid, out=tmp_path, progress=False, **more)

    stop_in = 1

    def stop(self: Silent, row: dict[str, Any], run: Any) -> None:
        nonlocal stop_in
        stop_in -= 1
        if stop_in == 0:
            raise Interrupted("by the test")

    monkeypatch.setattr(Silent, "epoch", stop)
    with pytest.raises(Interrupted, match="while trying settings; nothing was saved"):
        fit()
    assert not list(tmp_path.iterdir())
    stop_in = 3 * 2 + 4
    with pytest.raises(Interrupted, match="by the test"):
        fit(checkpoint_seconds=0)
    monkeypatch.setattr(temperature, "try_out", lambda *_, **__: pytest.fail("tried again"))
    resumed = fit(resume=True)
    assert learned(resumed) == learned(whole)
    assert resumed.tuned == whole.tuned


@pytest.mark.parametrize(
    ("n_items", "expected"), [(1, 1), (90, 9), (1_700, 41), (10_000, 100), (50_000, 100)]
)
def test_the_number_of_candidates_follows_the_items(n_items: int, expected: int) -> None:
    assert settings_of(tm.SML(temperature=0.3), n_items).candidates == expected
    assert settings_of(tm.SML(temperature=0.3, candidates=7), n_items).candidates == 7
    assert settings_of(tm.SML(temperature=0.0), n_items).candidates == 10
    assert settings_of(tm.CML(), n_items).candidates == 10
