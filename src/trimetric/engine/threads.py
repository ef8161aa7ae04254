"""The number of threads, and teams of threads that run one compiled loop together.

Every thread of a team runs the same kernel; `barrier` holds it until all have arrived. One kernel
call thus spans many mini-batches, and a barrier of a few hundred nanoseconds takes the place of a
fork and join.
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

SPINS = 500  # of a waiting thread, before it yields its processor at each further one
WORK_PER_STEP = 400_000  # distances computed between two looks at the clock and at Ctrl-C
_LINE = 8  # int64 numbers in a cache line
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
    """Limit the calling thread for as long as it lives: for workers of a pool; see `threads`."""
    _limit.set(_checked("threads", count))


def thread_count() -> int:
    """Return the number of threads to run: see `threads`. Interpreted kernels run on one.

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
    """Return the number of processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _checked(name: str, count: Any) -> int:
    whole = isinstance(count, int | np.integer) and not isinstance(count, bool)
    if not whole or not 1 <= count <= MAX_THREADS:
        raise ParameterError(f"{name} must be a whole number in 1..{MAX_THREADS}, got {count!r}")
    return int(count)


@intrinsic
def _add_one(typing, counts):
    """Add one to counts[0] as one indivisible operation."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, values[0])
        builder.atomic_rmw("add", array.data, ir.Constant(ir.IntType(64), 1), "seq_cst")
        return context.get_dummy_value()

    return types.void(counts), code


@intrinsic
def _read(typing, counts):
    """Read counts[0] as the other threads last wrote it."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, values[0])
        return builder.load_atomic(array.data, "acquire", align=8)

    return types.int64(counts), code


@intrinsic
def _pause(typing):
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


def _barrier_compiled(counts, me, threads):
    expected = counts[_LINE * (1 + me)] + threads
    counts[_LINE * (1 + me)] = expected
    _add_one(counts)
    spins = 0
    while _read(counts) < expected:
        _pause()
        spins += 1
        if spins > SPINS:
            _yield_processor()


def _barrier_alone(counts, me, threads):
    pass


barrier = _barrier_alone if INTERPRETED else inline(_barrier_compiled)
"""barrier(counts, me, threads): wait as thread `me` until all `threads` threads have arrived."""


def barrier_counts(threads: int) -> np.ndarray:
    """Return the counts of a barrier of at most `threads` threads, all zero.

    The first number counts arrivals; the others hold, for each thread, the count that it waits for
    next. Each is alone on a cache line. Counts only grow: set all to zero where threads may have
    stopped between two barriers, or where another number of threads goes on.
    """
    return np.zeros(_LINE * (1 + threads), dtype=np.int64)


class ThreadTuner:
    """Finds the number of threads that is fastest, by trying; results must not depend on it.

    On a machine that is busy with something else, threads wait at barriers for the slowest, and
    fewer can be faster. Each choice (all, half, ..., one) is tried and the best is kept. The others
    are tried again every `RETRY` steps, and once after `FIRST_RETRY`, since the first trials meet
    cold memory.
    """

    RETRY = 100
    FIRST_RETRY = 12

    def __init__(self, threads: int) -> None:
        self._choices = [threads]
        while self._choices[-1] > 1:
            self._choices.append(self._choices[-1] // 2)
        self._steps = 0
        self._trials: list[int] = []
        self._speeds: dict[int, float] = {}

    def suggest(self) -> int:
        """Return the number of threads for the next step."""
        if len(self._choices) == 1:
            return self._choices[0]
        if self._steps == self.FIRST_RETRY or self._steps % self.RETRY == 0:
            # Twice each, of which the faster counts: a first try may find its memory cold.
            self._trials, self._speeds = self._choices[::-1] * 2, {}
        self._steps += 1
        if self._trials:
            return self._trials.pop()
        return max(self._speeds, key=self._speeds.__getitem__)

    def record(self, threads: int, speed: float) -> None:
        """Take note of the work per second that this number of threads did."""
        self._speeds[threads] = max(speed, self._speeds.get(threads, 0.0))


class ThreadTeam:
    """A fixed number of threads that run a kernel together, once per `run`."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None

    def run(self, work: Callable[[int], Any], threads: int | None = None) -> list:
        """Call work(0) .. work(threads - 1) at the same time; return their results in order.

        `threads` defaults to the whole team.
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

    def __enter__(self) -> "ThreadTeam":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def run_in_steps(
    step: Callable[[int, tuple[int, int]], Any],
    batches: tuple[int, int],
    cost: float,
    tuner: ThreadTuner,
    pause: Callable[[int], bool],
) -> int:
    """Run mini-batches in steps of bounded length; return the batch reached.

    Parameters
    ----------
    step : callable
        step(threads, (first, stop)) runs these mini-batches on that many threads.
    batches : (int, int)
        The first batch and the end.
    cost : float
        Cost of a batch, in distances computed; `WORK_PER_STEP` bounds that of a step.
    tuner : ThreadTuner
    pause : callable
        Called with the next batch after each step; may end the run early by returning True.
    """
    (batch, end), stride = batches, max(1, int(WORK_PER_STEP / cost))
    while batch < end:
        span = (batch, min(batch + stride, end))
        threads, began = tuner.suggest(), time.perf_counter()
        step(threads, span)
        tuner.record(threads, (span[1] - span[0]) / (time.perf_counter() - began))
        batch = span[1]
        if pause(batch):
            break
    return batch
