"""The epoch loop: validation, best weights, checkpoints, and going on after any interruption."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import COMMAND

import trimetric as tm
from trimetric import progress, training
from trimetric.errors import (
    ArtifactError,
    CheckpointMismatch,
    Diverged,
    Interrupted,
    OutputError,
    ParameterError,
)
from trimetric.models import temperature
from trimetric.progress import Silent
from trimetric.storage import artifact
from trimetric.training import Checkpoints, Plan

SPLIT = tm.split_per_user(
    tm.synthetic.planted(80, 50, dim=4, clusters=4, per_user=6, seed=1).interactions,
    test=0.2,
    valid=0.2,
)
SMALL = {
    "dim": 8,
    "epochs": 3,
    "batch_size": 64,
    "validate_every": 2,
    "lr": 0.05,
    "schedule": "constant",
    "temperature": 0.2,
}


def learned(model: tm.SML) -> bytes:
    return b"".join(array.tobytes() for array in model.tensors().values())


class Descent:
    """Steps down x² from 1: with lr above 1 it climbs instead, for ever."""

    saved = ("x",)
    n_batches, samples = 10, 100

    def __init__(self, lr: float = 0.1) -> None:
        self.lr, self.arrays = lr, {"x": np.ones(3), "steps": np.zeros(1)}

    def run(self, epoch: int, first_batch: int, team: Any, pause: Callable[[int], bool]) -> int:
        for batch in range(first_batch, self.n_batches):
            with np.errstate(over="ignore", invalid="ignore"):
                self.arrays["x"] -= self.lr * 2 * self.arrays["x"]
            self.arrays["steps"] += 1
            if pause(batch + 1):
                return batch + 1
        return self.n_batches

    def summary(self) -> dict[str, float]:
        with np.errstate(over="ignore"):
            return {"loss": float((self.arrays["x"] ** 2).sum()), "active": 1.0, "triplets": 100}


class At(Silent):
    """Does something when training reaches a place."""

    def __init__(self, place: tuple[int, int], act: Callable[[], Any]) -> None:
        self.place, self.act = place, act

    def batch(self, epoch: int, batch: int) -> None:
        if (epoch, batch) == self.place:
            self.act()


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


# --- validation ---------------------------------------------------------------------------------


def validations(values: list[float]) -> Callable[[], float]:
    return iter(values).__next__


def test_early_stopping_returns_the_best_weights() -> None:
    learner = Descent()
    run = training.train(
        learner, Plan(epochs=100, every=2, patience=3), validations([0.1, 0.5, 0.5, 0.4, 0.3, 0.9])
    )
    assert (run.epoch, run.best_epoch, run.best_value) == (10, 4, 0.5)
    assert run.stopped == "no better ndcg@10 in the last 3 validations"
    same = Descent()
    training.train(same, Plan(epochs=4))
    assert (learner.arrays["x"] == same.arrays["x"]).all()


def test_history_has_a_row_an_epoch() -> None:
    run = training.train(Descent(), Plan(5, "map", every=2, patience=0), validations([3, 2, 1]))
    assert [row["epoch"] for row in run.history] == [1, 2, 3, 4, 5]
    assert [row.get("map") for row in run.history] == [None, 3, None, 2, 1]
    assert all(row["loss"] > 0 and row["seconds"] >= 0 for row in run.history)
    assert (run.stopped, run.best_epoch) == ("", 2)


def test_a_monitor_may_return_any_finite_number(tmp_path: Path) -> None:
    short = SMALL | {"validate_every": 1}
    model = tm.SML(**short).fit(
        SPLIT.train, out=tmp_path / "model", monitor=lambda model: np.float32(0.5)
    )
    assert [type(row["ndcg@10"]) for row in model.history] == [float] * 3
    assert tm.load(tmp_path / "model").history == model.history
    for value in (float("nan"), float("inf"), None, "much"):
        with pytest.raises(ParameterError, match=r"gave .* it must be a finite number"):
            tm.SML(**short).fit(SPLIT.train, monitor=lambda model, value=value: value)


def test_the_weights_kept_are_those_measured_best() -> None:
    model = tm.SML(**SMALL | {"epochs": 30, "lr": 1.0, "validate_every": 1, "patience": 3})
    model.fit(SPLIT.train, valid=SPLIT.valid)
    measured = [row["ndcg@10"] for row in model.history]
    assert len(measured) < 30
    assert model.provenance["best_epoch"] == 1 + int(np.argmax(measured)) == len(measured) - 3
    assert "no better ndcg@10" in model.provenance["stopped"]
    best = tm.SML(**SMALL | {"epochs": model.provenance["best_epoch"], "lr": 1.0}).fit(SPLIT.train)
    assert learned(best) == learned(model)
    fresh = tm.evaluate(model, SPLIT, tm.FullRanking(at=(10,)), part="valid")
    assert fresh.metrics["ndcg@10"] == max(measured)


def test_no_epochs() -> None:
    model = tm.SML(**SMALL | {"epochs": 0}).fit(SPLIT.train, valid=SPLIT.valid)
    assert model.history == []
    assert model.recommend(SPLIT.train.user_ids.values[0]).height == 10


# --- going on after an interruption -------------------------------------------------------------

VARIETY = [
    {"schedule": "linear"},
    {"optimizer": "adam", "negatives": "uniform", "lam": 0.01, "gamma": 10.0, "temperature": None},
    {
        "optimizer": "adagrad",
        "negatives": "popularity",
        "patience": 1,
        "epochs": 9,
        "lr": 3.0,
        "temperature": None,
    },
]


@pytest.mark.parametrize("given", VARIETY, ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_interrupted_anywhere(
    given: dict, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "trimetric.engine.threads.WORK_PER_STEP", 1
    )  # one mini-batch between two pauses

    def fit(threads: int = threads, **more: Any) -> tm.SML:
        model = tm.SML(**SMALL | given)
        return model.fit(SPLIT.train, SPLIT.valid, threads=threads, progress=False, **more)

    whole = fit()
    epochs, batches = len(whole.history), -(-len(SPLIT.train) // SMALL["batch_size"])
    places = [(epoch, batch) for epoch in range(epochs) for batch in range(1, batches + 1)]
    assert batches > 3
    for place in places[:-1]:
        with monkeypatch.context() as patch:
            patch.setattr(progress, "Silent", lambda place=place: At(place, ctrl_c))
            epoch = 1 + place[0] + place[1] // batches
            with pytest.raises(Interrupted, match=f"in epoch {epoch}; saved in"):
                fit(out=tmp_path)
        resumed = fit(out=tmp_path, resume=True, threads=3)
        assert learned(resumed) == learned(whole), place
        for one, two in zip(resumed.history, whole.history, strict=True):
            assert one | {"seconds": 0} == two | {"seconds": 0}
        assert resumed.provenance == whole.provenance


def test_a_crash_goes_back_to_the_last_checkpoint(tmp_path: Path) -> None:
    whole = Descent()
    training.train(whole, Plan(4))
    checkpoints = Checkpoints(tmp_path / "c", {"of": "a test"}, seconds=0)
    with pytest.raises(RuntimeError, match="power cut"):
        training.train(Descent(), Plan(4), checkpoints=checkpoints, progress=At((2, 7), power_cut))
    again = Descent()
    training.train(again, Plan(4), checkpoints=checkpoints, resume=True, progress=At((2, 6), fail))
    assert all((again.arrays[name] == whole.arrays[name]).all() for name in whole.arrays)


def power_cut() -> None:
    raise RuntimeError("power cut")


def fail() -> None:
    raise AssertionError("this place was reached before the crash")


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import trimetric as tm
from trimetric.storage import artifact
from trimetric import training
from trimetric.engine import threads
from trimetric.models import triplet

threads.WORK_PER_STEP = 1
data = tm.synthetic.planted(300, 100, dim=4, clusters=4, per_user=15, seed=1).interactions
split = tm.split_per_user(data, test=0.2, valid=0.1)
model = tm.SML(
    dim=16, epochs=8, batch_size=256, validate_every=2, patience=0, temperature=0.2
)
# Loads the kernels, and no more: the threads that polars starts would not survive a fork.
training.train(model.learner(split.train, None, {}), training.Plan(1))

def fit(out, **more):
    child = os.fork()
    if child == 0:
        model.fit(split.train, split.valid, out=out, progress=False, **more)
        os._exit(0)
    return child

def tensors(folder):
    [path] = folder.glob("tensors-*.safetensors")
    return path.name  # it is named by its content

whole, out = Path(sys.argv[1]) / "whole", Path(sys.argv[1]) / "killed"
began = time.monotonic()
os.waitpid(fit(whole, checkpoint_seconds=0), 0)
took = time.monotonic() - began
luck, places, killed = random.Random(7), set(), 0
while killed < 20:
    child = fit(out, resume=True, checkpoint_seconds=0)
    time.sleep(luck.uniform(0.02, 0.3) * took)
    os.kill(child, signal.SIGKILL)
    killed += os.waitpid(child, 0)[1] == signal.SIGKILL
    if (out / "checkpoint/model.json").exists():
        run = artifact.load(out / "checkpoint").meta["run"]
        places.add((run["epoch"], run["batch"]))
os.waitpid(fit(out, resume=True), 0)
assert tensors(out) == tensors(whole)
assert sorted(path.suffix for path in out.iterdir()) == [".json", ".safetensors"]
print(len(places))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_killed_at_twenty_moments(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 1, "killed too soon to have gone on from anywhere"


def test_ctrl_c_without_a_place_to_save(tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="epoch 2; nothing was saved") as stopped:
        training.train(Descent(), Plan(9), progress=At((1, 3), ctrl_c))
    assert stopped.value.exit_code == 130
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_second_ctrl_c_is_immediate() -> None:
    def twice() -> None:
        ctrl_c()
        ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        training.train(Descent(), Plan(9), progress=At((1, 3), twice))


def test_ctrl_c_in_the_last_moment_is_too_late() -> None:
    run = training.train(Descent(), Plan(2), progress=At((1, 10), ctrl_c))
    assert run.epoch == 2


def test_training_in_another_thread() -> None:
    models: list[tm.SML] = []
    thread = threading.Thread(target=lambda: models.append(tm.SML(**SMALL).fit(SPLIT.train)))
    thread.start()
    thread.join()
    assert learned(models[0]) == learned(tm.SML(**SMALL).fit(SPLIT.train))


# --- checkpoints that do not fit ----------------------------------------------------------------


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a run that was interrupted in its second epoch."""
    with monkeypatch.context() as patch:
        patch.setattr("trimetric.engine.threads.WORK_PER_STEP", 1)
        patch.setattr(progress, "Silent", lambda: At((1, 1), ctrl_c))
        with pytest.raises(Interrupted):
            tm.SML(**SMALL).fit(SPLIT.train, SPLIT.valid, out=tmp_path / "m", progress=False)
    return tmp_path / "m"


def test_another_run_is_refused(interrupted: Path) -> None:
    def resume(model: tm.SML, train: Any = SPLIT.train, valid: Any = SPLIT.valid) -> None:
        model.fit(train, valid, out=interrupted, resume=True)

    for change, told in (
        ({"lr": 0.1}, r"belongs to another run: lr was 0\.05, is 0\.1; resume with the same"),
        ({"seed": 5, "dim": 9}, "dim was 8, is 9; seed was 0, is 5;"),
        ({"epochs": 99}, "epochs was 3, is 99"),
    ):
        with pytest.raises(CheckpointMismatch, match=told):
            resume(tm.SML(**SMALL | change))
    with pytest.raises(CheckpointMismatch, match="model was 'sml', is 'cml'"):
        resume(tm.CML(**SMALL | {"temperature": 0.0}))
    with pytest.raises(CheckpointMismatch, match=r"run: train was '[0-9a-f]+', is '[0-9a-f]+'"):
        resume(tm.SML(**SMALL), SPLIT.train.take(np.arange(100)))
    with pytest.raises(CheckpointMismatch, match=r"run: valid was '[0-9a-f]+', is None"):
        resume(tm.SML(**SMALL), valid=None)
    with pytest.raises(ArtifactError, match=r"it has no model\.json"):
        tm.load(interrupted)
    resume(tm.SML(**SMALL))


def test_a_damaged_checkpoint(interrupted: Path) -> None:
    [tensors] = (interrupted / "checkpoint").glob("*.safetensors")
    content = bytearray(tensors.read_bytes())
    content[-5] ^= 1
    for bad, told in ((bytes(content), "is damaged"), (content[:-9], "is truncated")):
        tensors.write_bytes(bad)
        with pytest.raises(ArtifactError, match=told):
            tm.SML(**SMALL).fit(SPLIT.train, SPLIT.valid, out=interrupted, resume=True)
    tensors.unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        tm.SML(**SMALL).fit(SPLIT.train, SPLIT.valid, out=interrupted, resume=True)
    (interrupted / "checkpoint/model.json").write_text("{}")
    with pytest.raises(ArtifactError, match="is not a trimetric artifact"):
        tm.SML(**SMALL).fit(SPLIT.train, SPLIT.valid, out=interrupted, resume=True)


def test_without_resume_training_starts_anew(interrupted: Path) -> None:
    model = tm.SML(**SMALL | {"seed": 4}).fit(SPLIT.train, SPLIT.valid, out=interrupted)
    assert learned(model) == learned(tm.SML(**SMALL | {"seed": 4}).fit(SPLIT.train, SPLIT.valid))
    assert sorted(path.suffix for path in interrupted.iterdir()) == [".json", ".safetensors"]


def test_nothing_to_resume(tmp_path: Path) -> None:
    model = tm.SML(**SMALL).fit(SPLIT.train, out=tmp_path / "new", resume=True)
    assert learned(tm.load(tmp_path / "new")) == learned(model)
    with pytest.raises(ParameterError, match="resume needs out"):
        tm.SML(**SMALL).fit(SPLIT.train, resume=True)


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "model.json").write_text('{"mine": 1}')
    for out in (tmp_path / "file", tmp_path / "file/model", tmp_path):
        with pytest.raises(OutputError, match=str(out)):
            tm.SML(**SMALL | {"epochs": 100_000}).fit(SPLIT.train, out=out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "model.json"]


# --- NaN and infinity ---------------------------------------------------------------------------


@pytest.mark.parametrize("lr", [1e3, 1e200])
def test_divergence_stops_at_once(lr: float, tmp_path: Path) -> None:
    learner = Descent(lr)
    checkpoints = Checkpoints(tmp_path / "c", {}, seconds=0)
    with pytest.raises(Diverged, match=r"NaN or infinity in epoch \d+; .* learning rate: lower lr"):
        training.train(learner, Plan(1000), checkpoints=checkpoints)
    if lr == 1e3:
        last = artifact.load(tmp_path / "c").tensors
        assert learner.arrays["steps"] == last["steps"] + 1
        assert np.isfinite((last["x"] ** 2).sum())


def test_a_model_is_unharmed_by_a_fit_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tm.SML(**SMALL).fit(SPLIT.train)
    before, rows = learned(model), list(model.history)

    def poison(self: Silent, plan: Plan, run: Any, learner: Any) -> None:
        learner.arrays["points"][0, 0] = np.nan

    for name, act, error in (
        ("start", poison, Diverged),
        ("batch", lambda self, epoch, batch: ctrl_c(), Interrupted),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Silent, name, act)
            with pytest.raises(error, match=r"in epoch \d"):
                model.fit(SPLIT.train, progress=False)
        assert (learned(model), model.history) == (before, rows)


# --- what people see ----------------------------------------------------------------------------


def shown(form: Silent, patience: int = 1) -> None:
    plan = Plan(20, every=2, patience=patience)
    training.train(Descent(), plan, validations([0.25, 0.1, 0.1]), progress=form)


def test_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shown(progress.Lines())
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert [line[:12] for line in lines[:-1]] == ["epoch   1/20", "epoch   2/20", "epoch   4/20"]
    assert all(part in lines[0] for part in ("loss 0.", "active 100%", "M triplets/s"))
    assert lines[1].endswith("ndcg@10 0.2500")
    assert lines[-1] == "stopped: no better ndcg@10 in the last 1 validations"
    checkpoints = Checkpoints(tmp_path / "c", {})
    with pytest.raises(Interrupted):
        training.train(Descent(), Plan(9), checkpoints=checkpoints, progress=At((1, 3), ctrl_c))
    training.train(
        Descent(), Plan(9), checkpoints=checkpoints, resume=True, progress=progress.Lines()
    )
    assert capsys.readouterr().err.splitlines()[0] == "resuming at epoch 2, batch 3"


def test_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    shown(progress.Bar())
    out, err = capsys.readouterr()
    assert out == ""
    for part in ("ndcg@10 0.2500", "stopped: no better", "%", "M triplets/s"):
        assert part in err


def test_messages_are_shown_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    for shown in (progress.Lines(), progress.Bar(), progress.CountingBar("users", 3)):
        shown.log("log[old] [/x] :apple:")
        assert capsys.readouterr().err == "log[old] [/x] :apple:\n"


@pytest.mark.parametrize("form", [progress.Lines, progress.Bar])
def test_what_is_said_before_training_begins(form: type, capsys: pytest.CaptureFixture) -> None:
    form().log("trying")
    assert capsys.readouterr().err == "trying\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_fit_on_a_terminal(tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    out = tmp_path / "m"
    command = [*COMMAND, "fit", "planted", "--set", "epochs=3", "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True) as fitting:
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # Linux reports the end of a terminal so
            while piece := os.read(ours, 4096):
                said += piece
        assert "saved CentroidML" in fitting.stdout.read()
    os.close(ours)
    assert fitting.returncode == 0, said
    assert b"trying settings" in said


@pytest.mark.parametrize("where", ["file", "file/m"])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_tried(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(temperature, "try_out", lambda *_, **__: pytest.fail("tried"))
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        tm.SML().fit(SPLIT.train, SPLIT.valid, out=tmp_path / where)


def test_the_form_that_suits(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, wanted, form in (
        (True, None, progress.Bar),
        (True, True, progress.Bar),
        (True, False, progress.Silent),
        (False, None, progress.Silent),
        (False, True, progress.Lines),
        (False, False, progress.Silent),
    ):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        assert type(progress.make_reporter(wanted)) is form
