"""The one place that decides how kernels are compiled."""

from collections.abc import Callable
from typing import Any

from numba import config, njit

INTERPRETED = bool(config.DISABLE_JIT)
"""True under NUMBA_DISABLE_JIT=1: kernels run as plain Python, on one thread."""

NO_RUNTIME: dict[str, Any] = {"_nrt": False}
"""Compile without Numba's memory management: kernels allocate nothing.

A kernel that allocated would then not compile, and none counts references to the arrays that it
slices. Numba does not document the option; benchmarks/results/row_arithmetic.json records what it
is worth.
"""

FORCE_INLINE: dict[str, Any] = {"forceinline": True}
"""Compile a function into its callers whatever its size; undocumented and recorded likewise."""


def accepted(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that this Numba knows; others would keep a kernel from compiling."""

    def nothing() -> None:
        pass

    target = getattr(njit(nothing), "targetdescr", None)
    known = getattr(target, "options", None)
    return {name: value for name, value in options.items() if hasattr(known, name)}


KERNEL_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"} | accepted(NO_RUNTIME)
INLINE_OPTIONS: dict[str, Any] = KERNEL_OPTIONS | accepted(FORCE_INLINE)


def kernel(function: Callable) -> Any:
    """Compile `function` lazily, without the interpreter lock, cached on disk where that works.

    No fast-math and no fused multiply-add: each operation rounds as IEEE 754 says, hence the same
    bits on every machine. Kernels must not divide integers by zero: the result is undefined.
    """
    try:
        return njit(cache=True, **KERNEL_OPTIONS)(function)
    except RuntimeError:  # neither the install nor the home folder can be written
        return njit(**KERNEL_OPTIONS)(function)


def inline(function: Callable) -> Any:
    """Compile a function that only kernels call, into its callers."""
    return njit(**INLINE_OPTIONS)(function)
