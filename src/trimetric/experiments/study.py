"""Run many plans at once on worker processes or Ray; results do not depend on the order.

A plan is a generator: it yields lists of jobs, receives their results in the same order, and
returns its outcome. Each worker runs one job at a time, on one thread.
"""

import json
import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimetric.errors import Interrupted, WorkerLost
from trimetric.experiments.jobs import Job, Ledger
from trimetric.experiments.pools import Pool, pool
from trimetric.storage.atomic import replacing

if TYPE_CHECKING:
    from trimetric.data.splits import Split

_CLOCK = "seconds"  # file in the folder of results: how long they took

Plan = Generator[list[Job], list[dict[str, Any]], Any]
Log = Callable[[str], None]


def run(
    plans: Mapping[str, Plan],
    splits: "Mapping[str, Split]",
    folder: Path,
    *,
    workers: int | None = None,
    ray: str | None = None,
    log: Log = lambda text: None,
) -> dict[str, Any]:
    """Run all plans to their ends.

    Parameters
    ----------
    plans : mapping of str to Plan
    splits : mapping of str to Split
        Sent to each worker once.
    folder : Path
        Folder of the results; jobs whose results are there already are not run again.
    workers : int, optional
        Jobs at a time; all processors unless given. The results do not depend on it.
    ray : str, optional
        Run the jobs on the Ray cluster at this address: see `cluster.connect`.
    log : callable
        Receives a line for each finished job.

    Returns
    -------
    dict
        The outcome of each plan.

    Raises
    ------
    Interrupted
        Ctrl-C; finished jobs are kept.
    WorkerLost
        The system ended a worker; finished jobs are kept.
    ClusterError, MissingExtra
        See `cluster.connect`.
    """
    before, began = seconds(folder), time.monotonic()

    def keep_time() -> None:
        if not folder.exists():  # nothing is kept yet
            return
        with replacing(folder / _CLOCK) as out:
            out.write(json.dumps(before + time.monotonic() - began).encode())

    try:
        with pool(splits, workers, ray) as jobs:
            return _run(_Study(plans, Ledger(folder, splits), jobs, log, keep_time), plans, folder)
    except WorkerLost as error:
        raise WorkerLost(f"{error}; finished results are kept in {folder}") from None
    finally:
        keep_time()


def seconds(folder: Path) -> float:
    """Return the total duration of all runs in a folder; of a killed one, up to its last result."""
    with suppress(OSError, ValueError):
        return float(json.loads((folder / _CLOCK).read_bytes()))
    return 0.0


def _run(study: "_Study", names: Iterable[str], folder: Path) -> dict[str, Any]:
    try:
        for name in names:
            study.advance(name, None)
        while study.running:
            study.wait()
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted(
            f"interrupted; {study.done} results are kept in {folder}: run the same command"
            " again to go on"
        ) from None
    return study.outcomes


class _Study:
    """The plans and their running jobs."""

    def __init__(
        self,
        plans: Mapping[str, Plan],
        ledger: Ledger,
        pool: Pool,
        log: Log,
        keep_time: Callable[[], None],
    ) -> None:
        self._plans, self._ledger, self._pool, self._log = plans, ledger, pool, log
        self._keep_time = keep_time
        self.running: dict[Any, Job] = {}
        self.outcomes: dict[str, Any] = {}
        self.done = 0
        self._results: dict[str, list[dict[str, Any] | None]] = {}
        self._waiting: dict[Path, list[tuple[str, int]]] = {}
        self._queue: deque[Job] = deque()

    def advance(self, name: str, results: Any) -> None:
        """Send a plan its results and start its next jobs."""
        while True:
            try:
                jobs = self._plans[name].send(results)
            except StopIteration as end:
                self.outcomes[name] = end.value
                return
            self._results[name] = [self._ledger.get(job) for job in jobs]
            for place, job in enumerate(jobs):
                if self._results[name][place] is None:
                    self._request(job, (name, place))
                else:
                    self.done += 1
            if None in self._results[name]:
                return
            results = self._results[name]

    def _request(self, job: Job, waiting: tuple[str, int]) -> None:
        """Start a job as soon as may be, or wait for the same job of another plan."""
        path = self._ledger.path(job)
        if path in self._waiting:
            self._waiting[path].append(waiting)
            return
        self._waiting[path] = [waiting]
        self._queue.append(job)
        self._start()

    def _start(self) -> None:
        while self._queue and len(self.running) < (self._pool.capacity or math.inf):
            job = self._queue.popleft()
            self.running[self._pool.submit(job)] = job

    def wait(self) -> None:
        """Wait for a job, store the results of those that are done, and pass them to plans."""
        for started in self._pool.done(self.running):
            result, job = self._pool.result(started), self.running.pop(started)
            self._start()
            if not result.get("of_machine"):
                self._ledger.put(job, result)
            self._keep_time()
            self.done += 1
            self._log(_describe(job, result))
            for name, place in self._waiting.pop(self._ledger.path(job)):
                self._results[name][place] = result
                if None not in self._results[name]:
                    self.advance(name, self._results[name])


def _describe(job: Job, result: dict[str, Any]) -> str:
    if "error" in result:
        return f"{job.describe()}: {result['error']}"
    name, metrics = next(iter(result["metrics"].items()))
    shown = next(m for m in ("ndcg@10", "micro_recall@5", *metrics) if m in metrics)
    value = metrics[shown]
    text = "-" if value is None else f"{value:.4f}"
    return f"{job.describe()}: {shown} {text} ({name}), {result['seconds']:.1f} s"
