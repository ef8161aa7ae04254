"""Functions that run as tasks of a Ray cluster in tests; workers import them by this name."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trimetric.engine.threads import thread_count
from trimetric.errors import DataError, UnknownIds
from trimetric.scale import preparing_on_ray


def square(number: int) -> int:
    return number * number


def slow_first(number: int) -> int:
    time.sleep(0.5 if number == 0 else 0.0)
    return number


def total(array: np.ndarray, scale: int) -> float:
    return float(array.sum() * scale)


def halves(number: int) -> tuple[int, int]:
    return number // 2, number - number // 2


def add(left: int, right: int) -> int:
    return left + right


def threads_here() -> tuple[int, str | None]:
    return thread_count(), os.environ.get("OMP_NUM_THREADS")


def refuse(number: int) -> int:
    if number == 3:
        raise DataError("row 3: not a number; mend the file")
    if number == 5:
        raise UnknownIds("user", ["u1"], "name others")
    if number == 7:
        raise KeyError("a bug")
    return number


def die_once(folder: str, number: int) -> int:
    """End the worker process by SIGKILL the first time."""
    mark = Path(folder) / f"died-{number}"
    if number % 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def start_unless_first(folder: str, number: int) -> int:
    """Leave a mark, and take a minute unless it is the first."""
    (Path(folder) / f"started-{number}").touch()
    time.sleep(60 if number else 0)
    (Path(folder) / f"ended-{number}").touch()
    return number


def dying_pass(function: Callable, task: Any, work: Path) -> dict:
    """Run a task of `prepare`; end the worker once before the first, once after the second."""
    mark = work.parent.parent / f"died-{function.__name__}-{task.record.stem}"
    first, second = (task.record.stem.endswith(n) for n in ("0", "1"))
    if first and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    result = preparing_on_ray._on_worker(function, task, work)
    if second and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return result


class dying_block:  # noqa: N801  a function with a folder
    """Compute a block of recommendations; end the worker once before each but the first."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, shared: Any, name: Any, sent: Any, span: Any, users: Any) -> Any:
        mark = Path(self.folder) / f"died-{span[0]}"
        if span[0] and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        from trimetric.models.on_ray import _block

        return _block(shared, name, sent, span, users)
