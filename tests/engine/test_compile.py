"""Kernels compile whatever a version of Numba thinks of the options that it does not document."""

from collections.abc import Callable
from importlib import reload
from typing import Any

import numba
import numpy as np
import pytest

from trimetric.engine import compile as compiling

UNDOCUMENTED = compiling.NO_RUNTIME | compiling.FORCE_INLINE


@pytest.fixture
def another_numba(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let Numba refuse the undocumented options, as it refuses those that it does not know."""
    njit = numba.njit

    def refusing(**options: Any) -> Callable:
        def decorate(function: Callable) -> Any:
            if unknown := options.keys() & UNDOCUMENTED.keys():
                raise KeyError(f"Unrecognized options: {unknown}")
            return njit(**options)(function)

        return decorate

    with monkeypatch.context() as patch:
        patch.setattr(numba, "njit", refusing)
        yield reload(compiling)
    reload(compiling)


def test_options_unknown_to_numba_are_left_out(another_numba: Any) -> None:
    assert not another_numba.KERNEL_OPTIONS.keys() & UNDOCUMENTED.keys()
    assert not another_numba.INLINE_OPTIONS.keys() & UNDOCUMENTED.keys()
    assert another_numba.KERNEL_OPTIONS["nogil"]

    @another_numba.inline
    def half(x):
        return x / np.float32(2)

    @another_numba.kernel
    def fill(out, x):
        for i in range(len(out)):
            out[i] = half(x[i])

    out = np.zeros(3, dtype=np.float32)
    fill(out, np.arange(3, dtype=np.float32))
    assert out.tolist() == [0, 0.5, 1]


def test_todays_numba_accepts_them() -> None:
    assert compiling.accepted(UNDOCUMENTED) == UNDOCUMENTED
    assert compiling.INLINE_OPTIONS.items() >= UNDOCUMENTED.items()


@pytest.mark.compiled
def test_numba_refuses_unknown_options_at_once() -> None:
    """What the choice of options rests on: the error comes before anything is compiled."""
    assert compiling.accepted({"no_such_option": True, "nogil": True}) == {"nogil": True}
