"""Callbacks see what happens in training, and change nothing of it."""

from typing import Any

import numpy as np
import pytest

import trimetric as tm
from trimetric.errors import Diverged, ParameterError
from trimetric.models.callbacks import TrainingRun
from trimetric.testing.cases import learned, planted

QUICK = {"dim": 8, "epochs": 4, "validate_every": 2, "patience": 0, "temperature": 0.2}


class Diary(tm.Callback):
    """Writes down everything."""

    def __init__(self) -> None:
        self.pages: list[tuple[str, Any]] = []

    def on_start(self, run: TrainingRun) -> None:
        self.pages.append(("start", run))

    def on_step(self, epoch: int, batch: int) -> None:
        self.pages.append(("step", (epoch, batch)))

    def on_epoch(self, row: dict[str, Any]) -> None:
        self.pages.append(("epoch", row))
        row.clear()  # it is a copy

    def on_validation(self, epoch: int, metric: str, value: float) -> None:
        self.pages.append(("validation", (epoch, metric, value)))

    def on_end(self, model: Any) -> None:
        self.pages.append(("end", model))

    def on_error(self, error: BaseException) -> None:
        self.pages.append(("error", error))

    def of(self, kind: str) -> list[Any]:
        return [what for name, what in self.pages if name == kind]


@pytest.fixture
def split() -> tm.Split:
    return tm.split_random(planted(), test=0.1, valid=0.2, seed=0)


@pytest.mark.parametrize("name", ["sml", "bpr", "centroid", "ncf"])
def test_everything_is_told_in_order(name: str, split: tm.Split, tmp_path: Any) -> None:
    diary = Diary()
    settings = {k: v for k, v in QUICK.items() if k in tm.create(name).get_params()}
    if name == "centroid":
        settings |= {"kappa": 1.0, "reconstruction": 0.25}
    model = tm.create(name, **settings)
    model.fit(split.train, split.valid, out=tmp_path / "m", callbacks=[diary])
    [run] = diary.of("start")
    assert run.model == name
    assert run.settings == model.get_params()
    assert run.data["train"]["fingerprint"] == split.train.fingerprint
    assert (run.epochs, run.first_epoch, run.out) == (4, 1, str(tmp_path / "m"))
    assert [row for row in model.history if row] == model.history
    assert [epoch for epoch, _, _ in diary.of("validation")] == [2, 4]
    assert [value for _, _, value in diary.of("validation")] == [
        row["ndcg@10"] for row in model.history if "ndcg@10" in row
    ]
    assert len(diary.of("epoch")) == 4
    assert {epoch for epoch, _ in diary.of("step")} == {1, 2, 3, 4}
    assert all(batch <= run.batches for _, batch in diary.of("step"))
    assert diary.of("end") == [model]
    assert [name for name, _ in diary.pages if name != "step"][-1] == "end"
    plain = tm.create(name, **settings).fit(split.train, split.valid)
    assert learned(plain) == learned(model)


def test_a_model_in_one_go(split: tm.Split) -> None:
    diary = Diary()
    tm.EASE().fit(split.train, callbacks=iter([diary]))
    assert [name for name, _ in diary.pages] == ["start", "epoch", "end"]


@pytest.mark.parametrize(
    "hook", ["on_start", "on_step", "on_epoch", "on_validation", "on_end", "on_error"]
)
def test_a_callback_that_fails_does_not_lose_the_run(
    hook: str, split: tm.Split, tmp_path: Any
) -> None:
    def fail(self: object, *_: object) -> None:
        raise OSError("no route to the tracking server")

    diary, model = Diary(), tm.SML(**QUICK)
    failing = type("Failing", (tm.Callback,), {hook: fail})()
    expected = learned(tm.SML(**QUICK).fit(split.train, split.valid))
    given = {"out": tmp_path / "m", "callbacks": [failing, diary]}
    if hook == "on_error":
        model.fit(split.train, split.valid, **given)
    else:
        told = f"the callback Failing failed in {hook} with OSError: no route .*goes on without it"
        with pytest.warns(UserWarning, match=told) as warned:
            model.fit(split.train, split.valid, **given)
        assert len(warned) == 1
    assert learned(model) == expected
    assert learned(tm.load(tmp_path / "m")) == expected
    assert len(diary.of("epoch")) == 4
    assert len(diary.of("end")) == 1


def test_an_error_of_training_is_told(split: tm.Split) -> None:
    diary = Diary()

    def monitor(model: Any) -> float:
        raise Diverged("as if")

    with pytest.raises(Diverged):
        tm.SML(**QUICK).fit(split.train, monitor=monitor, callbacks=[diary])
    [error] = diary.of("error")
    assert isinstance(error, Diverged)
    assert not diary.of("end")


def test_one_callback_is_told_to_be_given_in_a_list(split: tm.Split) -> None:
    with pytest.raises(
        ParameterError, match=r"callbacks must be a list, got .*; give \[callback\]"
    ):
        tm.BPR(dim=4, epochs=1).fit(split.train, callbacks=tm.Callback(), progress=False)


def test_what_is_no_callback_is_refused() -> None:
    for wrong in (print, Diary, "mlflow"):
        with pytest.raises(ParameterError, match=r"instances of trimetric\.Callback, got"):
            tm.SML(**QUICK).fit(planted(), callbacks=[wrong])
    assert np.isfinite(tm.SML(**QUICK).fit(planted(), callbacks=()).user_embeddings).all()
