"""What may watch training: callbacks, of which one that fails does not lose the run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from trimetric.errors import ParameterError, warn
from trimetric.progress import Silent

if TYPE_CHECKING:
    from trimetric.models.recommender import Recommender


@dataclass(frozen=True)
class TrainingRun:
    """What is known of a run when it starts, all of it JSON values.

    Parameters
    ----------
    model : str
        The model's name.
    settings : dict
    data : dict
        Names, fingerprints and numbers of pairs of "train" and "valid", and "tuned": what short
        trials found before.
    epochs : int
        At most; 1 for a model that learns in one go.
    batches : int
        Mini-batches of an epoch.
    first_epoch : int
        From 1; larger where a run is resumed.
    out : str or None
        The folder that the model is saved to.
    """

    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    epochs: int = 1
    batches: int = 1
    first_epoch: int = 1
    out: str | None = None


class Callback:
    """Base class of what `fit(callbacks=[...])` calls; override what is wanted.

    All are called in the process and thread of `fit`. Training waits for them, and they change
    nothing of it. One that raises an error is left out of the rest of the run, with a warning.
    """

    def on_start(self, run: TrainingRun) -> None:
        """Training starts or resumes."""

    def on_step(self, epoch: int, batch: int) -> None:
        """Mini-batches before `batch` of `epoch`, from 1, are done; a few times a second."""

    def on_epoch(self, row: dict[str, Any]) -> None:
        """Take a row of the history: epoch, loss, active, triplets, seconds, and the metric if due.

        Models that learn in one go have a single row: epoch and seconds.
        """

    def on_validation(self, epoch: int, metric: str, value: float) -> None:
        """A validation is done; called after `on_epoch`."""

    def on_end(self, model: "Recommender") -> None:
        """Training is done, and the model saved if there is a folder for it."""

    def on_error(self, error: BaseException) -> None:
        """Training ends by an error, or by Ctrl-C."""


class Observers(Silent):
    """A reporter that passes on what happens, to another reporter and to callbacks."""

    def __init__(self, callbacks: Sequence[Callback], reporter: Silent, run: TrainingRun) -> None:
        if isinstance(callbacks, Callback):
            raise ParameterError(f"callbacks must be a list, got {callbacks!r}; give [callback]")
        self._callbacks, self._reporter, self._run = [*callbacks], reporter, run
        for callback in self._callbacks:
            if not isinstance(callback, Callback):
                raise ParameterError(
                    f"callbacks must be instances of trimetric.Callback, got {callback!r}"
                )

    @property
    def shown(self) -> bool:
        """Whether a person sees anything of it."""
        return type(self._reporter) is not Silent

    def describe(self, data: dict[str, Any]) -> None:
        """Note what the run is trained on, and what trials found, before it starts."""
        self._run = replace(self._run, data=data)

    def __enter__(self) -> "Observers":
        self._reporter.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._reporter.__exit__(*error)

    def start(self, plan: Any, run: Any, learner: Any) -> None:
        """Training starts, or resumes, at `run`."""
        self._reporter.start(plan, run, learner)
        self._metric = plan.metric
        told = {**vars(self._run), "epochs": plan.epochs, "batches": learner.n_batches}
        self.call("on_start", TrainingRun(**{**told, "first_epoch": run.epoch + 1}))

    def batch(self, epoch: int, batch: int) -> None:
        """All batches before `batch` of `epoch` (both from 0) are done."""
        self._reporter.batch(epoch, batch)
        self.call("on_step", epoch + 1, batch)

    def epoch(self, row: dict[str, Any], run: Any) -> None:
        """An epoch is done; `row` is its row of the history."""
        self._reporter.epoch(row, run)
        self.call("on_epoch", dict(row))
        if self._metric in row:
            self.call("on_validation", row["epoch"], self._metric, row[self._metric])

    def log(self, text: str) -> None:
        """Show a message."""
        self._reporter.log(text)

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Tell the callbacks of whatever the body raises."""
        try:
            yield
        except BaseException as error:
            self.call("on_error", error)
            raise

    def call(self, hook: str, *values: Any) -> None:
        """Call a hook of all callbacks that have not failed."""
        for callback in [*self._callbacks]:
            try:
                getattr(callback, hook)(*values)
            except Exception as error:
                self._callbacks.remove(callback)
                warn(
                    f"the callback {type(callback).__name__} failed in {hook} with"
                    f" {type(error).__name__}: {error}; training goes on without it"
                )
