"""Run many plans at once on worker processes; results do not depend on the order.

A plan is a generator: it yields lists of jobs, receives their results in the same order, and
returns its outcome. Each worker runs one job at a time, on one thread.
"""

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimetric.engine.threads import thread_count, threads
from trimetric.errors import Interrupted, WorkerLost
from trimetric.experiments.jobs import Job, Ledger, execute
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
    """
    began = time.monotonic()
    try:
        with threads(workers):
            count = thread_count()
        return _run(plans, splits, folder, count, log)
    finally:
        if folder.exists():
            with replacing(folder / _CLOCK) as out:
                out.write(json.dumps(seconds(folder) + time.monotonic() - began).encode())


def seconds(folder: Path) -> float:
    """Return the total duration of all runs in a folder, except those ended by kill -9."""
    with suppress(OSError, ValueError):
        return float(json.loads((folder / _CLOCK).read_bytes()))
    return 0.0


def _run(
    plans: Mapping[str, Plan],
    splits: "Mapping[str, Split]",
    folder: Path,
    workers: int,
    log: Log,
) -> dict[str, Any]:
    study = _Study(plans, Ledger(folder, splits), log)
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, context, initialize_worker, (dict(splits),)) as pool:
        try:
            for name in plans:
                study.advance(name, None, pool)
            while study.running:
                done, _ = wait(study.running, return_when=FIRST_COMPLETED)
                for future in done:
                    study.finished(future, pool)
        except BrokenProcessPool:
            raise WorkerLost(
                "a worker process was killed, most likely because memory ran out; finished results"
                f" are kept in {folder}: run the same command again with fewer --threads"
            ) from None
        except (KeyboardInterrupt, Interrupted):
            workers_left = set(multiprocessing.active_children()) - others
            pool.shutdown(wait=False, cancel_futures=True)
            for process in workers_left:
                # On SIGTERM training would stop in good order, and the worker then wait for its
                # next job behind a lock that an idle worker held when it died. This process has
                # the results, so nothing is lost.
                process.kill()
            raise Interrupted(
                f"interrupted; {study.done} results are kept in {folder}: run the same command"
                " again to go on"
            ) from None
    return study.outcomes


class _Study:
    """The plans and their running jobs."""

    def __init__(self, plans: Mapping[str, Plan], ledger: Ledger, log: Log) -> None:
        self._plans, self._ledger, self._log = plans, ledger, log
        self.running: dict[Future, list[tuple[str, int]]] = {}
        self.outcomes: dict[str, Any] = {}
        self.done = 0
        self._jobs: dict[str, list[Job]] = {}
        self._results: dict[str, list[dict[str, Any] | None]] = {}
        self._futures: dict[Path, tuple[Future, Job]] = {}

    def advance(self, name: str, results: Any, pool: ProcessPoolExecutor) -> None:
        """Send a plan its results and start its next jobs."""
        while True:
            try:
                jobs = self._plans[name].send(results)
            except StopIteration as end:
                self.outcomes[name] = end.value
                return
            self._jobs[name] = jobs
            self._results[name] = [self._ledger.get(job) for job in jobs]
            for place, job in enumerate(jobs):
                if self._results[name][place] is None:
                    self._start(job, (name, place), pool)
                else:
                    self.done += 1
            if None in self._results[name]:
                return
            results = self._results[name]

    def _start(self, job: Job, waiting: tuple[str, int], pool: ProcessPoolExecutor) -> None:
        """Start a job, or wait for the same job of another plan."""
        path = self._ledger.path(job)
        if path in self._futures:
            self.running[self._futures[path][0]].append(waiting)
            return
        future = pool.submit(_work, job)
        self._futures[path] = future, job
        self.running[future] = [waiting]

    def finished(self, future: Future, pool: ProcessPoolExecutor) -> None:
        """Store a result and pass it to the plans that wait for it."""
        result, waiting = future.result(), self.running.pop(future)
        job = self._jobs[waiting[0][0]][waiting[0][1]]
        self._ledger.put(job, result)
        del self._futures[self._ledger.path(job)]
        self.done += 1
        self._log(_describe(job, result))
        for name, place in waiting:
            self._results[name][place] = result
            if None not in self._results[name]:
                self.advance(name, self._results[name], pool)


def _describe(job: Job, result: dict[str, Any]) -> str:
    if "error" in result:
        return f"{job.describe()}: {result['error']}"
    name, metrics = next(iter(result["metrics"].items()))
    shown = next(m for m in ("ndcg@10", "micro_recall@5", *metrics) if m in metrics)
    value = metrics[shown]
    text = "-" if value is None else f"{value:.4f}"
    return f"{job.describe()}: {shown} {text} ({name}), {result['seconds']:.1f} s"


_splits: "dict[str, Split]" = {}


def initialize_worker(splits: "dict[str, Split]") -> None:
    """Prepare a worker process: it has the splits, and ends with its parent."""
    _splits.update(splits)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends the workers
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End this worker with the process that started it, however that ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(job: Job) -> dict[str, Any]:
    return execute(job, _splits[job.split])
