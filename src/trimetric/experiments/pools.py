"""Where the jobs of a study run: worker processes of this machine, or tasks of a Ray cluster."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Collection, Hashable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from trimetric.engine.threads import thread_count, threads
from trimetric.errors import Interrupted, ParameterError, WorkerLost
from trimetric.experiments.jobs import Job, execute
from trimetric.scale.cluster import Cluster, connect

if TYPE_CHECKING:
    from trimetric.data.splits import Split


UNGUARDED = (
    "worker processes import {script} anew, and so start what it starts: put what it does under"
    ' `if __name__ == "__main__":`'
)


class Pool(Protocol):
    """Runs jobs, each on one thread; results do not depend on which pool it is."""

    capacity: int | None
    """Jobs at a time, None where the pool itself holds back what cannot run yet."""

    def submit(self, job: Job) -> Hashable:
        """Start a job; return what stands for its result."""

    def done(self, running: Collection[Any]) -> Collection[Any]:
        """Wait for at least one of these; return those that are done."""

    def result(self, started: Any) -> dict[str, Any]:
        """Return the result of a job that is done."""


@contextmanager
def pool(
    splits: "Mapping[str, Split]", workers: int | None = None, ray: str | None = None
) -> Iterator[Pool]:
    """Start worker processes, or connect to Ray; where the body ends early, jobs are stopped.

    Parameters
    ----------
    splits : mapping of str to Split
        Sent to each worker process or machine once.
    workers : int, optional
        Jobs at a time; all processors of the machine or the cluster unless given.
    ray : str, optional
        Address of a Ray cluster: see `cluster.connect`.

    Raises
    ------
    WorkerLost
        The system ended a worker process; on Ray, again and again.
    ParameterError
        A script called this without `if __name__ == "__main__":`.
    ClusterError, MissingExtra
        See `cluster.connect`.
    """
    with threads(workers):
        if ray is None:
            with ProcessPoolExecutor(
                thread_count(),
                multiprocessing.get_context("spawn"),
                initialize_worker,
                (dict(splits),),
            ) as executor:
                yield from _processes(executor)
        else:
            with connect(ray) as cluster:
                yield _Tasks(cluster, splits, workers)


class _Processes:
    """Jobs on worker processes of this machine."""

    capacity: int | None = None

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self._executor = executor

    def submit(self, job: Job) -> Future:
        try:
            return self._executor.submit(_work, job)
        except RuntimeError as error:
            script = getattr(sys.modules.get("__mp_main__"), "__file__", None)
            if isinstance(error, BrokenProcessPool) or "bootstrapping" not in str(error):
                raise
            raise ParameterError(UNGUARDED.format(script=script or "the script")) from None

    def done(self, running: Collection[Future]) -> Collection[Future]:
        return wait(running, return_when=FIRST_COMPLETED).done

    def result(self, started: Future) -> dict[str, Any]:
        return started.result()


def _unguarded_script() -> str | None:
    """Return the script that this process runs if nothing keeps workers from running it too."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None) if main.__spec__ is None else None  # else by python -m
    with suppress(OSError, UnicodeDecodeError):
        if file and "__main__" not in Path(file).read_text(encoding="utf-8"):
            return Path(file).name
    return None


def _processes(executor: ProcessPoolExecutor) -> Iterator[Pool]:
    others = set(multiprocessing.active_children())
    try:
        yield _Processes(executor)
    except BrokenProcessPool:
        if script := _unguarded_script():
            raise ParameterError(UNGUARDED.format(script=script)) from None
        raise WorkerLost(
            "a worker process was killed, most likely because memory ran out;"
            " run the same command again with fewer --threads"
        ) from None
    except (KeyboardInterrupt, Interrupted):
        left = set(multiprocessing.active_children()) - others
        executor.shutdown(wait=False, cancel_futures=True)
        for process in left:
            # On SIGTERM training would stop in good order, and the worker then wait for its next
            # job behind a lock that an idle worker held when it died. This process has the
            # results, so nothing is lost.
            process.kill()
        raise


class _Tasks:
    """Jobs as tasks of Ray."""

    def __init__(
        self, cluster: Cluster, splits: "Mapping[str, Split]", workers: int | None
    ) -> None:
        self._cluster, self.capacity = cluster, workers
        self._splits = {name: cluster.share(split) for name, split in splits.items()}

    def submit(self, job: Job) -> Any:
        return self._cluster.submit(execute, job, self._splits[job.split])

    def done(self, running: Collection[Any]) -> Collection[Any]:
        return self._cluster.ready(list(running))

    def result(self, started: Any) -> dict[str, Any]:
        return self._cluster.result(started)


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
