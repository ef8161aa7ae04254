"""The one place that decides how kernels are compiled."""

from collections.abc import Callable
from typing import Any

from numba import config, njit

INTERPRETED = bool(config.DISABLE_JIT)
"""True under NUMBA_DISABLE_JIT=1: kernels run as plain Python, on one thread."""

# Kernels allocate nothing. Without Numba's run time they cannot (compiling one that does fails),
# and take no atomic reference counts on the arrays they are given, which cost half of the speed.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}


def kernel(function: Callable) -> Any:
    """Compile `function` lazily, without the interpreter lock, cached on disk where that works.

    No fast-math and no fused multiply-add: each operation rounds as IEEE 754 says, hence the same
    bits on every machine. Integer division by zero is the kernels' own care.
    """
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # neither the install nor the home folder can be written
        return njit(**_OPTIONS)(function)


def inline(function: Callable) -> Any:
    """Compile a function that only kernels call, into its callers."""
    return njit(forceinline=True, **_OPTIONS)(function)
