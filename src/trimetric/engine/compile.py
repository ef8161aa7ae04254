"""The one place that decides how kernels are compiled."""

from collections.abc import Callable
from typing import Any

from numba import config, njit
from numba.extending import register_jitable

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

NO_FUNCTION_POINTER: dict[str, Any] = {"no_cfunc_wrapper": True}
"""Compile no form that can be passed as a function pointer, which nothing here does.

Undocumented too; without it compiling CentroidML takes an eighth longer.
"""


def accepted(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that this Numba knows; others would keep a kernel from compiling."""

    def nothing() -> None:
        pass

    target = getattr(njit(nothing), "targetdescr", None)
    known = getattr(target, "options", None)
    return {name: value for name, value in options.items() if hasattr(known, name)}


KERNEL_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"} | accepted(
    NO_RUNTIME | NO_FUNCTION_POINTER
)
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
    """Compile a function that kernels call, into its callers. Called from Python it is Python."""
    return register_jitable(**INLINE_OPTIONS)(function)


def callee(function: Callable) -> Any:
    """Compile a large function that kernels call, once for each, with no way in from Python.

    A way in unpacks each array of each argument: for the many of CentroidML that took more than
    half as long to compile as the functions. Called from Python it is Python, as with `inline`.
    """
    return register_jitable(**KERNEL_OPTIONS)(function)
