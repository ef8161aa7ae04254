"""One fit and its evaluation as a job: run once, by any process, its result kept in a folder.

A result depends on the job and the data alone, never on how many jobs run at once. So an
interrupted study goes on where it was, and two studies that share a job share its result.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trimetric._version import __version__
from trimetric.engine.threads import threads
from trimetric.errors import Interrupted, MissingExtra, TrimetricError
from trimetric.evaluation import BestPerMetric, evaluate, leaked_pool, protocol, validator
from trimetric.evaluation import metric as named_metric
from trimetric.experiments import origin
from trimetric.experiments.machine import peak_memory, reset_peak_memory
from trimetric.experiments.margins import MarginTrace, margins_of
from trimetric.models import create
from trimetric.storage.atomic import output_folder, replacing

if TYPE_CHECKING:
    from trimetric.data.splits import Split
    from trimetric.evaluation import Result
    from trimetric.models.recommender import Recommender

LEAKED = "as-released"


@dataclass(frozen=True)
class Job:
    """What to fit, on which split of the study, and what to measure.

    Parameters
    ----------
    split : str
        A name in the study's splits.
    model : str
        A registered name.
    settings : dict
        JSON values.
    seed : int
        Seed of the model, if it has one.
    part : "valid" or "test"
        The part to evaluate on; a model is never fitted on either.
    protocols : tuple of str
        Protocols to evaluate by.
    per_user : tuple of str
        Metrics of the first protocol to keep for each user, for tests over users.
    leaked : bool
        Train and select as the SML paper's released code does: negatives come from the pools of
        the test, and each metric is the best over evaluations on the test part.
    margins : bool
        Keep the learned margins, how many training interactions each user and item has, and the
        means of the margins at each validation.
    """

    split: str
    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    part: str = "test"
    protocols: tuple[str, ...] = ("full",)
    per_user: tuple[str, ...] = ()
    leaked: bool = False
    margins: bool = False

    def describe(self) -> str:
        """Return a short description."""
        how = ", leaked" if self.leaked else ""
        return f"{self.model} on {self.part}, seed {self.seed}{how}"


def seeded(job: Job, seeds: int) -> list[Job]:
    """Return a job for each seed, or a single one for a deterministic model."""
    return [replace(job, seed=seed) for seed in range(seeds if _has_seed(job) else 1)]


def _has_seed(job: Job) -> bool:
    return "seed" in create(job.model).get_params()


class Ledger:
    """The results of a study's jobs, one JSON file each.

    A result belongs to the code that computed it: see `origin.code`.

    Parameters
    ----------
    folder : Path
        Made if absent.
    splits : mapping
        The study's splits by name; a result belongs to the content of a split, not to its name.
    """

    def __init__(self, folder: Path, splits: "Mapping[str, Split]") -> None:
        self._folder = folder
        self._fingerprints = {name: _fingerprint(split) for name, split in splits.items()}

    def path(self, job: Job) -> Path:
        """Return the file of a job's result."""
        key = {
            **asdict(job),
            "split": self._fingerprints[job.split],
            "version": __version__,
            "code": origin.code(),
        }
        with suppress(TrimetricError):  # the model refuses the settings, which is a result too
            key["settings"] = create(job.model, **job.settings).get_params()
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        return self._folder / f"{job.model}-{digest[:20]}.json"

    def get(self, job: Job) -> dict[str, Any] | None:
        """Return the result of a job, None if there is none yet."""
        with suppress(OSError, ValueError):
            return json.loads(self.path(job).read_bytes())
        return None

    def put(self, job: Job, result: dict[str, Any]) -> None:
        """Store a result, in one step."""
        with output_folder(self._folder), replacing(self.path(job)) as out:
            out.write(json.dumps({"job": asdict(job), **result}, allow_nan=False).encode())


def execute(job: Job, split: "Split") -> dict[str, Any]:
    """Run a job on one thread.

    Returns
    -------
    dict
        "metrics" by protocol and name, "seconds" and "cpu_seconds" of fitting, "epochs",
        "best_epoch", "tuned" (the settings that the model selected by the data, if any), "memory"
        (peak of the process while fitting, in MiB), "per_user", "margins" and "trace" if
        the job keeps them, "held_out" (how many items are of each user) with a micro-averaged
        metric for each user. If the model refuses the data or diverges: only "error"; if a library
        that it needs is not installed, "of_machine" too.
    """
    try:
        with threads(1):
            return _run(job, split)
    except Interrupted:
        raise
    except MissingExtra as error:
        return {"error": str(error), "of_machine": True}
    except TrimetricError as error:
        return {"error": str(error)}


def per_user(results: Sequence[Mapping[str, Any]], metric: str) -> np.ndarray:
    """Return a metric of each user, averaged over the results of jobs: float64 (n_users,)."""
    rows = [[np.nan if v is None else v for v in run["per_user"][metric]] for run in results]
    return np.mean(np.asarray(rows, dtype=np.float64), axis=0)


def user_weights(results: Sequence[Mapping[str, Any]]) -> np.ndarray | None:
    """Return what each user counts in the mean of `per_user`, float64 (n_users,); None for 1."""
    held = results[0].get("held_out") if results else None
    return None if held is None else np.asarray(held, dtype=np.float64)


def _run(job: Job, split: "Split") -> dict[str, Any]:
    settings = dict(job.settings)
    if _has_seed(job):
        settings["seed"] = job.seed
    model, best, trace = create(job.model, **settings), BestPerMetric(), MarginTrace()
    reset_peak_memory()
    began, used = time.perf_counter(), time.process_time()
    if job.leaked:
        monitor = best.monitor(lambda m: evaluate(m, split, LEAKED), "micro_recall@5")
        monitor = trace.around(monitor) if job.margins else monitor
        model.fit(split.train, pool=leaked_pool(split), monitor=monitor, progress=False)
        best.add(evaluate(model, split, LEAKED))
    elif job.margins and split.valid is not None and model.config.temperature is not None:
        most = model.config.validate_users or None
        measure = validator(split.valid, split.train, model.config.metric, max_users=most)
        noted = trace.around(lambda m: measure(m.scorer))
        model.fit(split.train, split.valid, monitor=noted, progress=False)
    else:
        model.fit(split.train, split.valid, progress=False)
    seconds, peak = time.perf_counter() - began, peak_memory()
    used = time.process_time() - used
    result: dict[str, Any] = {
        "seconds": round(seconds, 3),
        "cpu_seconds": round(used, 3),
        "memory": None if peak is None else round(peak / 2**20, 1),
        "epochs": len(model.history),
        "best_epoch": model.provenance["best_epoch"],
    }
    if model.tuned:
        result["tuned"] = model.tuned
    evaluations = {name: _evaluate(model, split, name, job.part) for name in job.protocols}
    result["metrics"] = {name: _plain(found.metrics) for name, found in evaluations.items()}
    if job.leaked:
        result["metrics"][LEAKED] = _plain(best.values)
        result["evaluations"] = best.evaluations
    if job.per_user:
        first = evaluations[job.protocols[0]]
        result["per_user"] = {
            name: [None if np.isnan(v) else v for v in first.values(name).tolist()]
            for name in job.per_user
        }
        if any(named_metric(name).micro for name in job.per_user):
            result["held_out"] = first.ranks.held.tolist()
    if job.margins:
        result["margins"] = margins_of(model, split)
        result["trace"] = trace.columns(model.history, model.config.metric)
    return result


def _evaluate(model: "Recommender", split: "Split", name: str, part: Any) -> "Result":
    return evaluate(model, split, protocol(name), part=part)


def _plain(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else float(value) for name, value in metrics.items()}


def _fingerprint(split: "Split") -> str:
    parts = [split.train, split.valid, split.test]
    parts += [] if split.history is None else [split.history]
    return "-".join("none" if part is None else part.fingerprint for part in parts)
