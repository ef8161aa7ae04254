"""Runs logged to MLflow: settings, curves, the data's fingerprints and the artifact."""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimetric._version import __version__
from trimetric.errors import MissingExtra, ParameterError
from trimetric.models.callbacks import Callback, TrainingRun

if TYPE_CHECKING:
    from trimetric.models.recommender import Recommender

TRACKERS = ("mlflow",)
EXPERIMENT = "trimetric"


def tracker(name: str) -> Callback:
    """Return the callback that logs to a tracker by its name.

    Raises
    ------
    ParameterError
        There is no such tracker.
    MissingExtra
        Its package is not installed.
    """
    if name not in TRACKERS:
        raise ParameterError(f"track must be {' or '.join(TRACKERS)}, got {name!r}")
    return MLflow()


class MLflow(Callback):
    """Log a run to MLflow, where MLFLOW_TRACKING_URI says: one run of MLflow a training.

    Logged are the settings and what trials found as parameters; names, fingerprints and sizes of
    the data as tags; each number of the history as a metric, whose step is the epoch ("@" in a name
    becomes "_at_", which MLflow allows); and the saved model, if it is saved. A run that is active
    already is used, and left open; otherwise one is made in the experiment that
    MLFLOW_EXPERIMENT_NAME names, or in "trimetric".

    Parameters
    ----------
    tags : dict, optional
        More tags of the run.

    Raises
    ------
    MissingExtra
        MLflow is not installed: pip install 'trimetric[track]'.
    """

    def __init__(self, tags: dict[str, str] | None = None) -> None:
        try:
            import mlflow
        except ImportError:
            raise MissingExtra(
                "tracking needs MLflow, which is not installed: pip install 'trimetric[track]'"
            ) from None
        self._mlflow, self._tags, self._ours = mlflow, tags or {}, False
        self._out: str | None = None

    def on_start(self, run: TrainingRun) -> None:
        """Begin a run of MLflow, and log what is known."""
        if self._mlflow.active_run() is None:
            if "MLFLOW_EXPERIMENT_NAME" not in os.environ:
                self._mlflow.set_experiment(EXPERIMENT)
            self._mlflow.start_run(run_name=run.model)
            self._ours = True
        self._out, found = run.out, run.data.get("tuned", {})
        known = {name: value for name, value in found.items() if not isinstance(value, list)}
        self._mlflow.log_params(
            {**run.settings, **{f"tuned.{name}": value for name, value in known.items()}}
        )
        described = {
            f"{part}.{name}": str(value)
            for part in ("train", "valid")
            for name, value in (run.data.get(part) or {}).items()
        }
        tags = {"model": run.model, "trimetric": __version__, **described, **self._tags}
        self._mlflow.set_tags(tags)

    def on_epoch(self, row: dict[str, Any]) -> None:
        """Log the numbers of an epoch."""
        numbers = {
            name.replace("@", "_at_"): float(value)
            for name, value in row.items()
            if name != "epoch" and isinstance(value, int | float) and math.isfinite(value)
        }
        self._mlflow.log_metrics(numbers, step=row["epoch"])

    def on_end(self, model: "Recommender") -> None:
        """Log the saved model, and end the run."""
        if self._out is not None:
            self._mlflow.log_artifacts(str(Path(self._out)), artifact_path="model")
        self._end("FINISHED")

    def on_error(self, error: BaseException) -> None:
        """End the run as failed, or as killed by Ctrl-C."""
        self._mlflow.set_tag("error", f"{type(error).__name__}: {error}"[:500])
        stopped = type(error).__name__ in ("Interrupted", "KeyboardInterrupt")
        self._end("KILLED" if stopped else "FAILED")

    def _end(self, status: str) -> None:
        if self._ours:
            self._mlflow.end_run(status)
            self._ours = False
