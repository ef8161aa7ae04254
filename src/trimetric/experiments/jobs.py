"""One fit and its evaluation as a job: done by any process, once, and kept in a folder.

A result depends on the job and the data alone, never on how many jobs run at once. So a study that
was interrupted goes on where it was, and two that share a job share its result.
"""

import hashlib
import json
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import trimetric
from trimetric.engine.threads import threads
from trimetric.errors import Interrupted, TrimetricError
from trimetric.evaluation import BestPerMetric, evaluate, leaked_pool, protocol
from trimetric.models import create
from trimetric.storage.atomic import output_folder, replacing

if TYPE_CHECKING:
    from trimetric.data.splits import Split
    from trimetric.evaluation import Result
    from trimetric.models.recommender import Recommender

LEAKED = "as-released"


@dataclass(frozen=True)
class Job:
    """What to fit, on which of the study's splits, and what to measure.

    Parameters
    ----------
    split : str
        A name in the study's splits.
    model : str
        A registered name.
    settings : dict
        JSON values.
    seed : int
        Of the model, where it has one.
    part : "valid" or "test"
        What is evaluated; a model is never fitted on either.
    protocols : tuple of str
        By which protocols.
    per_user : tuple of str
        Metrics of the first protocol whose values for each user are kept, for tests over users.
    leaked : bool
        Train and choose as the SML paper's released code does: negatives come from the pools of
        the test, and each metric is the best over evaluations on the test part.
    margins : bool
        Keep the learned margins, with the users' and items' training interactions.
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

    def named(self) -> str:
        """Say it in a few words."""
        how = ", leaked" if self.leaked else ""
        return f"{self.model} on {self.part}, seed {self.seed}{how}"


def seeded(job: Job, seeds: int) -> list[Job]:
    """Return a job for each seed, or one for a model without chance."""
    return [replace(job, seed=seed) for seed in range(seeds if _has_seed(job) else 1)]


def _has_seed(job: Job) -> bool:
    return "seed" in create(job.model).get_params()


class Ledger:
    """The results of a study's jobs, one JSON file each.

    Parameters
    ----------
    folder : Path
        Made if need be.
    splits : mapping
        The study's splits by name; a result is kept for a split's content, not for its name.
    """

    def __init__(self, folder: Path, splits: "Mapping[str, Split]") -> None:
        self._folder = folder
        self._prints = {name: _fingerprint(split) for name, split in splits.items()}

    def path(self, job: Job) -> Path:
        """Return the file of a job's result."""
        key = {**asdict(job), "split": self._prints[job.split], "version": trimetric.__version__}
        with suppress(TrimetricError):  # settings that the model refuses are a result, too
            key["settings"] = create(job.model, **job.settings).get_params()
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        return self._folder / f"{job.model}-{digest[:20]}.json"

    def get(self, job: Job) -> dict[str, Any] | None:
        """Return the result of a job, None if it is not done."""
        with suppress(OSError, ValueError):
            return json.loads(self.path(job).read_bytes())
        return None

    def put(self, job: Job, result: dict[str, Any]) -> None:
        """Keep a result, in one step."""
        with output_folder(self._folder), replacing(self.path(job)) as out:
            out.write(json.dumps({"job": asdict(job), **result}, allow_nan=False).encode())


def execute(job: Job, split: "Split") -> dict[str, Any]:
    """Do a job on one thread.

    Returns
    -------
    dict
        "metrics" by protocol and name, "seconds" of fitting, "epochs", "best_epoch", "found" (what
        the model chose from the data, if anything), "memory" (the peak of the process while
        fitting, in MiB) and what else the job asks to keep. If the model refuses the data or
        diverges: "error", and nothing else.
    """
    try:
        with threads(1):
            return _done(job, split)
    except Interrupted:
        raise
    except TrimetricError as error:
        return {"error": str(error)}


def _done(job: Job, split: "Split") -> dict[str, Any]:
    settings = dict(job.settings)
    if _has_seed(job):
        settings["seed"] = job.seed
    model, best = create(job.model, **settings), BestPerMetric()
    _forget_peak()
    began = time.perf_counter()
    if job.leaked:
        monitor = best.monitor(lambda m: evaluate(m, split, LEAKED), "hr@5")
        model.fit(split.train, pool=leaked_pool(split), monitor=monitor, progress=False)
        best.add(evaluate(model, split, LEAKED))
    else:
        model.fit(split.train, split.valid, progress=False)
    seconds, memory = time.perf_counter() - began, _peak()
    found: dict[str, Any] = {
        "seconds": round(seconds, 3),
        "memory": memory,
        "epochs": len(model.history),
        "best_epoch": model._data["best_epoch"],
    }
    if model._data.get("found"):
        found["found"] = model._data["found"]
    results = {name: _measured(model, split, name, job.part) for name in job.protocols}
    found["metrics"] = {name: _plain(result.metrics) for name, result in results.items()}
    if job.leaked:
        found["metrics"][LEAKED] = _plain(best.values)
        found["evaluations"] = best.evaluations
    if job.per_user:
        first = results[job.protocols[0]]
        found["per_user"] = {
            name: [None if np.isnan(v) else v for v in first.values(name).tolist()]
            for name in job.per_user
        }
    if job.margins:
        found["margins"] = _margins(model, split)
    return found


def _measured(model: "Recommender", split: "Split", name: str, part: Any) -> "Result":
    return evaluate(model, split, protocol(name), part=part)


def _plain(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else float(value) for name, value in metrics.items()}


def _margins(model: Any, split: "Split") -> dict[str, list]:
    """Return margins beside activity, users and items without a training interaction left out."""
    found: dict[str, list] = {}
    for side, margins, rows, n in (
        ("user", model.user_margins, split.train.users, split.train.n_users),
        ("item", model.item_margins, split.train.items, split.train.n_items),
    ):
        activity = np.bincount(rows, minlength=n)
        active = activity > 0
        found[f"{side}_activity"] = activity[active].tolist()
        found[f"{side}_margin"] = [round(value, 5) for value in margins[active].tolist()]
    return found


def _fingerprint(split: "Split") -> str:
    parts = (split.train, split.valid, split.test)
    return "-".join("none" if part is None else part.fingerprint for part in parts)


def _forget_peak() -> None:
    """Let the peak of this process's memory count from now, where the system can (Linux)."""
    with suppress(OSError), open("/proc/self/clear_refs", "w") as reset:
        reset.write("5")


def _peak() -> float | None:
    """Return the peak of this process's memory in MiB, None where the system does not say."""
    with suppress(OSError), open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
        return round(int(line.split()[1]) / 1024, 1)
    try:
        import resource
    except ImportError:
        return None
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)
