"""How many threads run, and threads that walk through one compiled loop in step.

Each thread runs the same kernel; `meet` holds it until all have arrived. A kernel call thus spans
many mini-batches, and a step of a few hundred nanoseconds replaces a fork and join. The count of
arrivals only grows, so nothing has to be reset.
"""

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from trimetric.engine.compile import INTERPRETED, inline
from trimetric.errors import ParameterError

SPINS = 500
WORK_A_STEP = 400_000  # distances between two looks at the clock and at Ctrl-C
MAX_THREADS = 256
VARIABLE = "TRIMETRIC_THREADS"
_limit: ContextVar[int | None] = ContextVar("threads", default=None)
_yield_processor = types.ExternalFunction(
    "SwitchToThread" if sys.platform == "win32" else "sched_yield", types.int32()
)


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Run everything in the body on at most `count` threads; results do not depend on it.

    Contexts nest, and each thread has its own. Without one, the environment variable
    TRIMETRIC_THREADS counts, and without that the processors that the process may use.

    Parameters
    ----------
    count : int or None
        1..256; None changes nothing.

    Raises
    ------
    ParameterError
        The count is out of range.
    """
    if count is None:
        yield
        return
    token = _limit.set(_checked("threads", count))
    try:
        yield
    finally:
        _limit.reset(token)


def limit_this_thread(count: int) -> None:
    """Do as `threads`, for the rest of the life of the calling thread: for workers of a pool."""
    _limit.set(_checked("threads", count))


def thread_count() -> int:
    """Return how many threads to run: see `threads`. Interpreted kernels run on one.

    Raises
    ------
    ParameterError
        TRIMETRIC_THREADS is no whole number in 1..256.
    """
    count = _limit.get()
    if count is None and (text := os.environ.get(VARIABLE, "").strip()):
        count = _checked(VARIABLE, int(text) if text.isdecimal() else text)
    if INTERPRETED:
        return 1
    return count or processors()


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _checked(name: str, count: Any) -> int:
    whole = isinstance(count, int | np.integer) and not isinstance(count, bool)
    if not whole or not 1 <= count <= MAX_THREADS:
        raise ParameterError(f"{name} must be a whole number in 1..{MAX_THREADS}, got {count!r}")
    return int(count)


@intrinsic
def _arrive(typing, counter):
    """Add one to counter[0] as one indivisible step."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, values[0])
        builder.atomic_rmw("add", array.data, ir.Constant(ir.IntType(64), 1), "seq_cst")
        return context.get_dummy_value()

    return types.void(counter), code


@intrinsic
def _arrivals(typing, counter):
    """Read counter[0] as the other threads last wrote it."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, values[0])
        return builder.load_atomic(array.data, "acquire", align=8)

    return types.int64(counter), code


@intrinsic
def _breathe(typing):
    """Tell the processor that this is a waiting loop, so that a sibling thread gets its units."""
    machine = platform.machine().lower()

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if machine in ("x86_64", "amd64"):
            kind = ir.FunctionType(ir.VoidType(), [])
            name, arguments = "llvm.x86.sse2.pause", []
        elif machine in ("aarch64", "arm64"):
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(32)])
            name, arguments = "llvm.aarch64.hint", [ir.Constant(ir.IntType(32), 1)]
        else:
            return context.get_dummy_value()
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)
        return context.get_dummy_value()

    return types.void(), code


def _meet_compiled(counter, target):
    _arrive(counter)
    spins = 0
    while _arrivals(counter) < target:
        _breathe()
        spins += 1
        if spins > SPINS:
            _yield_processor()


def _meet_alone(counter, target):
    pass


meet = _meet_alone if INTERPRETED else inline(_meet_compiled)
"""meet(counter, target): arrive, then wait until `target` arrivals have been counted."""


def arrivals() -> np.ndarray:
    """Return a fresh arrival counter, alone on its cache lines."""
    return np.zeros(16, dtype=np.int64)


class Pace:
    """Finds how many threads get most done, by trying; for work whose result is the same for any.

    On a machine that is busy with something else, threads in step wait for the slowest, and fewer
    can be faster. Each choice (all, half, ..., one) is tried, the best is kept, and now and then
    the others are tried again; the first time soon, since the first trials meet cold memory.
    """

    RETRY = 100  # steps
    SOON = 12

    def __init__(self, threads: int) -> None:
        self._choices = [threads]
        while self._choices[-1] > 1:
            self._choices.append(self._choices[-1] // 2)
        self._steps = 0
        self._trials: list[int] = []
        self._speeds: dict[int, float] = {}

    def choose(self) -> int:
        """Return how many threads to run next."""
        if len(self._choices) == 1:
            return self._choices[0]
        if self._steps == self.SOON or self._steps % self.RETRY == 0:
            # Twice each, of which the faster counts: a first try may find its memory cold.
            self._trials, self._speeds = self._choices[::-1] * 2, {}
        self._steps += 1
        return (
            self._trials.pop() if self._trials else max(self._speeds, key=self._speeds.__getitem__)
        )

    def learn(self, threads: int, speed: float) -> None:
        """Take note of the work done a second by so many threads."""
        self._speeds[threads] = max(speed, self._speeds.get(threads, 0.0))


class Team:
    """A fixed number of threads that run a kernel together, once per `run`."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None

    def run(self, work: Callable[[int], Any], threads: int | None = None) -> list:
        """Call work(0) .. work(threads - 1) at the same time; return their results in order.

        `threads` is the whole team unless given.
        """
        if self._pool is None:
            return [work(0)]
        others = [self._pool.submit(work, number) for number in range(1, threads or self.threads)]
        first = work(0)
        return [first, *(other.result() for other in others)]

    def close(self) -> None:
        """Let the threads go."""
        if self._pool is not None:
            self._pool.shutdown()

    def __enter__(self) -> "Team":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def in_steps(
    step: Callable[[int, tuple[int, int]], Any],
    batches: tuple[int, int],
    work: float,
    team: Team,
    paces: dict[int, Pace],
    pause: Callable[[int], bool],
) -> int:
    """Run mini-batches in steps of bounded length; return the batch reached.

    Parameters
    ----------
    step : callable
        step(threads, (first, stop)) runs these mini-batches on so many threads.
    batches : (int, int)
        The first batch and the end.
    work : float
        What a batch costs, in distances computed; `WORK_A_STEP` bounds a step.
    team : Team
    paces : dict
        The `Pace` for each size of team, kept by the caller from epoch to epoch.
    pause : callable
        Asked with the next batch after each step; may end the run early.
    """
    (batch, end), stride = batches, max(1, int(WORK_A_STEP / work))
    pace = paces.setdefault(team.threads, Pace(team.threads))
    while batch < end:
        span = (batch, min(batch + stride, end))
        threads, began = pace.choose(), time.perf_counter()
        step(threads, span)
        pace.learn(threads, (span[1] - span[0]) / (time.perf_counter() - began))
        batch = span[1]
        if pause(batch):
            break
    return batch
