"""Tables of float32 rows, and arithmetic on rows in sixteen lanes.

A table is C-contiguous, its width a multiple of 16 (`padded`), unused columns zero. A sum over a
row is kept as 16 partial sums, one a lane, added pairwise at the end in a fixed order. The compiled
forms (`lanes_llvm`) use 16-lane vectors, which LLVM lowers to whatever the processor has (one
AVX-512 register, two of AVX, four of SSE or NEON) lane by lane and without reassociation; the NumPy
forms (`lanes_numpy`) do the same sums in the same order. So a result has the same bits everywhere.
"""

from importlib import import_module

import numpy as np

from trimetric.engine.compile import INTERPRETED
from trimetric.engine.rows_numpy import ALONG, GROUP, RUN  # noqa: F401  others take them from here

LANES = 16

_forms = import_module(f"{__package__}.{'rows_numpy' if INTERPRETED else 'rows_llvm'}")
squared_distance = _forms.squared_distance
squared_distances = _forms.squared_distances
distances_along = _forms.distances_along
add_along = _forms.add_along
count_above = _forms.count_above
count_at_least = _forms.count_at_least
squared_norm = _forms.squared_norm
dot = _forms.dot
pull = _forms.pull
add_pull = _forms.add_pull
descend = _forms.descend
adagrad = _forms.adagrad
adam = _forms.adam
scale = _forms.scale
add_scaled = _forms.add_scaled
multiply = _forms.multiply
copy = _forms.copy
prefetch = _forms.prefetch


def padded(dim: int) -> int:
    """Return the table width for `dim` columns: the next multiple of 16."""
    return -(-dim // LANES) * LANES


def grouped(n: int) -> int:
    """Return how much room `squared_distances` needs for `n` rows: the next multiple of GROUP."""
    return -(-n // GROUP) * GROUP


def table(n_rows: int, dim: int) -> np.ndarray:
    """Return a zeroed float32 table (n_rows, padded(dim)) that starts on a cache line."""
    width = padded(dim)
    room = np.zeros(n_rows * width + LANES, dtype=np.float32)
    start = (-room.ctypes.data % 64) // 4
    return room[start : start + n_rows * width].reshape(n_rows, width)


def padded_table(values: np.ndarray) -> np.ndarray:
    """Copy `values` (n, d) into a fresh float32 table (n, padded(d))."""
    out = table(*values.shape)
    out[:, : values.shape[1]] = values
    return out


def as_table(values: np.ndarray) -> np.ndarray:
    """Return `values` (n, d) as a table: itself where it is one, else a copy."""
    is_table = values.dtype == np.float32 and values.flags.c_contiguous
    return values if is_table and values.shape[1] % LANES == 0 else padded_table(values)
