"""Ask something on a given number of threads."""

from collections.abc import Callable
from typing import TypeVar

import trimetric as tm

T = TypeVar("T")


def on_threads(count: int | None, ask: Callable[[], T]) -> T:
    """Return what `ask` returns on `count` threads."""
    with tm.threads(count):
        return ask()
