"""The epoch loop: progress, validation, early stopping, best weights, checkpoints, Ctrl-C.

A checkpoint holds everything that training changes and the place it has reached, so that a run
killed at any moment and resumed gives the same bits as one that was never interrupted.
"""

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from trimetric.engine.threads import ThreadTeam, thread_count
from trimetric.errors import CheckpointMismatch, Diverged, Interrupted, ParameterError
from trimetric.progress import Silent
from trimetric.storage import artifact

CHECKPOINT_SECONDS = 30.0
_BEST = "best/"


class Learner(Protocol):
    """What the loop trains."""

    @property
    def n_batches(self) -> int:
        """Mini-batches in an epoch."""

    @property
    def samples(self) -> int:
        """Samples in an epoch: triplets, or pairs."""

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Live views of all that training changes."""

    @property
    def saved(self) -> tuple[str, ...]:
        """The names of the arrays that make up the model."""

    def run(
        self, epoch: int, first_batch: int, team: ThreadTeam, pause: Callable[[int], bool]
    ) -> int:
        """Train from a batch of an epoch until its end or a pause; return the batch reached."""

    def summary(self) -> dict[str, float]:
        """Describe the epoch: "loss", "active" and "triplets"; the loss is NaN if it diverged."""


@dataclass(frozen=True)
class Plan:
    """How long to train and when to look.

    Parameters
    ----------
    epochs : int
        The most epochs.
    metric : str
        What validation measures.
    every : int
        Epochs between two validations.
    patience : int
        Validations without a new best after which training stops; 0 never stops early.
    """

    epochs: int
    metric: str = "ndcg@10"
    every: int = 5
    patience: int = 4


@dataclass
class Run:
    """Where a run stands, and its past."""

    epoch: int = 0
    batch: int = 0
    best_epoch: int = 0
    best_value: float | None = None
    misses: int = 0
    stopped: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoints:
    """Where checkpoints go, and what they must belong to.

    Parameters
    ----------
    folder : Path
        A folder of its own, removed when training is complete.
    identity : mapping
        Name to JSON value: the configuration and the data's fingerprint. Resuming under another
        identity is refused.
    seconds : float
        The least time between two checkpoints.
    notes : mapping
        Name to JSON value: what was found before training, so that resuming need not find it again.
    """

    folder: Path
    identity: Mapping[str, Any]
    seconds: float = CHECKPOINT_SECONDS
    notes: Mapping[str, Any] = field(default_factory=dict)


class Keeper(Protocol):
    """Where a run is kept: its place, its best state, and whether it can go on later.

    Attributes
    ----------
    folder : Path or None
        Where checkpoints go, if anywhere.
    seconds : float
        The least time between two checkpoints.
    """

    @property
    def folder(self) -> Path | None:
        """Where checkpoints go, if anywhere."""

    @property
    def seconds(self) -> float:
        """The least time between two checkpoints."""

    def load(self) -> Run | None:
        """Bring the learner to where its checkpoint stands, if there is one."""

    def save(self, run: Run) -> None:
        """Write a checkpoint."""

    def keep_best(self) -> None:
        """Keep the learner's state as the best so far."""

    def restore_best(self) -> None:
        """Bring the learner to its best state, if one was kept."""

    def is_finite(self) -> bool:
        """Tell whether all that was learned is finite."""


class ArrayKeeper:
    """Keeps a learner whose arrays are in memory, its checkpoints as artifacts: a `Keeper`."""

    def __init__(self, learner: Learner, checkpoints: Checkpoints | None) -> None:
        self._learner, self._checkpoints = learner, checkpoints
        self._best: dict[str, np.ndarray] = {}

    @property
    def folder(self) -> Path | None:
        """Where checkpoints go, if anywhere."""
        return self._checkpoints.folder if self._checkpoints else None

    @property
    def seconds(self) -> float:
        """The least time between two checkpoints."""
        return self._checkpoints.seconds if self._checkpoints else np.inf

    def load(self) -> Run | None:
        """Bring the learner to where its checkpoint stands, if there is one."""
        if self._checkpoints is None or not (self._checkpoints.folder / "model.json").exists():
            return None
        loaded = artifact.load(self._checkpoints.folder, "checkpoint")
        same_identity(loaded.meta["identity"], self._checkpoints)
        live = self._learner.arrays
        self._best = {
            name.removeprefix(_BEST): array
            for name, array in loaded.tensors.items()
            if name.startswith(_BEST)
        }
        tensors = {name: a for name, a in loaded.tensors.items() if not name.startswith(_BEST)}
        expected = {name: (array.shape, array.dtype) for name, array in live.items()}
        artifact.check(tensors, expected, str(self._checkpoints.folder))
        for name, array in tensors.items():
            live[name][...] = array
        return Run(**loaded.meta["run"])

    def save(self, run: Run) -> None:
        """Write a checkpoint."""
        assert self._checkpoints is not None
        best = {_BEST + name: array for name, array in self._best.items()}
        meta = {
            "identity": dict(self._checkpoints.identity),
            "run": vars(run),
            "notes": dict(self._checkpoints.notes),
        }
        tensors = dict(self._learner.arrays) | best
        artifact.save(self._checkpoints.folder, "checkpoint", meta, tensors)

    def keep_best(self) -> None:
        """Keep the learner's state as the best so far."""
        live = self._learner.arrays
        self._best = {name: live[name].copy() for name in self._learner.saved}

    def restore_best(self) -> None:
        """Bring the learner to its best state, if one was kept."""
        for name, array in self._best.items():
            self._learner.arrays[name][...] = array

    def is_finite(self) -> bool:
        """Tell whether all that was learned is finite."""
        arrays = (self._learner.arrays[name] for name in self._learner.saved)
        return all(bool(np.isfinite(array).all()) for array in arrays)


def train(
    learner: Learner,
    plan: Plan,
    validate: Callable[[], float] | None = None,
    *,
    checkpoints: Checkpoints | None = None,
    keeper: Keeper | None = None,
    resume: bool = False,
    progress: Any = None,
    after_epoch: Callable[[], None] | None = None,
) -> Run:
    """Train to the plan's end, or to where validation stops improving.

    With `validate` the learner is left with the weights of its best validation, otherwise with the
    last ones. `after_epoch` may change the learner's arrays, before validation. A learner whose
    state is not in arrays in memory has a `keeper` of its own, in the place of `checkpoints`.

    Returns
    -------
    Run
        Its history has one row an epoch: epoch, loss, active, triplets, seconds, and the metric
        where it was measured.

    Raises
    ------
    CheckpointMismatch
        `resume` found a checkpoint of other data or another configuration.
    Diverged
        The loss became NaN or infinite.
    Interrupted
        Ctrl-C; a checkpoint was saved first, if there is a place for one.
    ParameterError
        A validation gave no finite number.
    """
    keeper = keeper or ArrayKeeper(learner, checkpoints)
    run = (keeper.load() if resume else None) or Run()
    progress = progress or Silent()
    with ThreadTeam(thread_count()) as team, _stop_signal() as stop, progress:
        progress.start(plan, run, learner)
        saved = time.monotonic()

        def pause(batch: int) -> bool:
            nonlocal saved
            progress.batch(run.epoch, batch)
            if stop.is_set() or not np.isfinite(learner.summary()["loss"]):
                return True
            if keeper.folder and time.monotonic() - saved >= keeper.seconds:
                keeper.save(replace(run, batch=batch))
                saved = time.monotonic()
            return False

        while run.epoch < plan.epochs and not run.stopped:
            began = time.monotonic()
            run.batch = learner.run(run.epoch, run.batch, team, pause)
            if stop.is_set() and run.batch < learner.n_batches:
                break
            row = {"epoch": run.epoch + 1, **learner.summary()}
            row["seconds"] = round(time.monotonic() - began, 4)
            _check_finite(row, keeper)
            if after_epoch:
                after_epoch()
            run.epoch, run.batch = run.epoch + 1, 0
            if validate and (run.epoch % plan.every == 0 or run.epoch == plan.epochs):
                row[plan.metric] = _measured(validate(), plan.metric)
                _judge(run, row[plan.metric], plan, keeper)
            run.history.append(row)
            progress.epoch(row, run)
            if stop.is_set():
                break
        if stop.is_set() and run.epoch < plan.epochs and not run.stopped:
            if keeper.folder:
                keeper.save(run)
            raise Interrupted(_farewell(run, keeper.folder))
    keeper.restore_best()
    return run


def notes(checkpoints: Checkpoints) -> dict[str, Any]:
    """Return the notes of the run whose checkpoint is there, nothing without one.

    Raises
    ------
    CheckpointMismatch
        It belongs to other data or another configuration.
    """
    if not (checkpoints.folder / "model.json").exists():
        return {}
    meta = artifact.meta(checkpoints.folder, "checkpoint")
    same_identity(meta["identity"], checkpoints)
    return dict(meta.get("notes", {}))


def discard(checkpoints: Checkpoints) -> None:
    """Remove the checkpoint of a run whose model is safely stored, its manifest first.

    Whatever a kill leaves of it is no checkpoint, and is removed with the next.
    """
    with suppress(OSError):
        (checkpoints.folder / "model.json").unlink()
    shutil.rmtree(checkpoints.folder, ignore_errors=True)


@contextmanager
def finishing() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the body has saved what was trained.

    A second one is immediate. After the body, the first is told as `Interrupted`.
    """
    with _stop_signal() as stop:
        yield
    if stop.is_set():
        raise Interrupted("interrupted after the last epoch; the model was saved")


def _measured(value: Any, metric: str) -> float:
    """Return what a validation measured; a monitor may have returned anything."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise ParameterError(
            f"validation gave {value!r} as {metric}; it must be a finite number, the higher the"
            " better: check what the monitor returns, or choose another metric"
        )
    return number


def _judge(run: Run, value: float, plan: Plan, keeper: Keeper) -> None:
    if run.best_value is None or value > run.best_value:
        run.best_value, run.best_epoch, run.misses = value, run.epoch, 0
        keeper.keep_best()
        return
    run.misses += 1
    if plan.patience and run.misses >= plan.patience:
        run.stopped = f"no better {plan.metric} in the last {run.misses} validations"


def _check_finite(row: dict[str, Any], keeper: Keeper) -> None:
    if np.isfinite(row["loss"]) and keeper.is_finite():
        return
    raise Diverged(
        f"training met NaN or infinity in epoch {row['epoch']}; the likely cause is too large a"
        " learning rate: lower lr (0.05 suits most data) or use optimizer='rowwise-adagrad'"
    )


def same_identity(saved: Mapping[str, Any], checkpoints: Checkpoints) -> None:
    """Raise CheckpointMismatch where a checkpoint belongs to another run."""
    run_identity = checkpoints.identity
    differing = [
        f"{name} was {saved.get(name)!r}, is {run_identity.get(name)!r}"
        for name in sorted(saved.keys() | run_identity.keys())
        if saved.get(name) != run_identity.get(name)
    ]
    if differing:
        raise CheckpointMismatch(
            f"the checkpoint in {checkpoints.folder} belongs to another run: "
            + "; ".join(differing)
            + "; resume with the same data and settings, or start anew without resume"
        )


def _farewell(run: Run, folder: Path | None) -> str:
    at = f"interrupted in epoch {run.epoch + 1}"
    if folder is None:
        return f"{at}; nothing was saved, since no output folder was given"
    return f"{at}; saved in {folder}: run the same command with --resume to go on"


@contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into a flag, where this thread may; a second Ctrl-C is immediate."""
    stop = threading.Event()

    def on_signal(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
