"""Kernels compile by any Numba, whether or not it knows the options that it does not document."""

from importlib import reload
from typing import Any

import numba
import numpy as np
import pytest

from trimetric.engine import compile as compiling

pytestmark = pytest.mark.compiled
WITHOUT = compiling.NO_RUNTIME | compiling.NO_FUNCTION_POINTER
UNDOCUMENTED = WITHOUT | compiling.FORCE_INLINE


def test_this_numba_knows_them() -> None:
    assert compiling.accepted(UNDOCUMENTED) == UNDOCUMENTED
    assert compiling.KERNEL_OPTIONS.items() >= WITHOUT.items()
    assert compiling.INLINE_OPTIONS.items() >= UNDOCUMENTED.items()
    assert compiling.accepted({"no_such_option": True, "nogil": True}) == {"nogil": True}


@pytest.fixture
def another_numba(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let Numba know them no longer, and decide on the options anew."""
    known = numba.njit(lambda: None).targetdescr.options
    with monkeypatch.context() as patch:
        for name in UNDOCUMENTED:
            [owner] = [kind for kind in known.__mro__ if name in vars(kind)]
            patch.delattr(owner, name)
        yield reload(compiling)
    reload(compiling)


def test_a_numba_that_refuses_them_still_compiles_kernels(another_numba: Any) -> None:
    with pytest.raises(KeyError, match="Unrecognized options"):
        numba.njit(**UNDOCUMENTED)(lambda: None).compile(())
    assert not another_numba.INLINE_OPTIONS.keys() & UNDOCUMENTED.keys()
    assert another_numba.KERNEL_OPTIONS["nogil"]

    @another_numba.inline
    def half(x):
        return x / np.float32(2)

    @another_numba.callee
    def fill_all(out, x):
        for i in range(len(out)):
            out[i] = half(x[i])

    @another_numba.kernel
    def fill(out, x):
        fill_all(out, x)

    out = np.zeros(3, dtype=np.float32)
    fill(out, np.arange(3, dtype=np.float32))
    assert out.tolist() == [0, 0.5, 1]
