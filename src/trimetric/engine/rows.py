"""Tables of float32 rows, and arithmetic on rows in sixteen lanes.

A table is C-contiguous, its width a multiple of 16 (`padded`), unused columns zero. A sum over a
row is kept as 16 partial sums, one per lane, added pairwise at the end in a fixed order. The
compiled forms (`rows_llvm`) use 16-lane vectors, which LLVM lowers to whatever the processor has
(one AVX-512 register, two of AVX, four of SSE or NEON) lane by lane and without reassociation; the
NumPy forms (`rows_numpy`) do the same sums in the same order. A result thus has the same bits
everywhere. Each operation is documented in `rows_numpy`.
"""

from importlib import import_module

import numpy as np

from trimetric.engine.compile import INTERPRETED
from trimetric.engine.rows_numpy import CONSECUTIVE, COUNTED, GROUP, TILE  # noqa: F401  exported

LANES = 16

_forms = import_module(f"{__package__}.{'rows_numpy' if INTERPRETED else 'rows_llvm'}")
squared_distance = _forms.squared_distance
squared_distances = _forms.squared_distances
consecutive_distances = _forms.consecutive_distances
squared_norm = _forms.squared_norm
dot = _forms.dot
triplet_gradient = _forms.triplet_gradient
add_triplet_gradient = _forms.add_triplet_gradient
sgd_step = _forms.sgd_step
adagrad_step = _forms.adagrad_step
adam_step = _forms.adam_step
copy = _forms.copy
scale = _forms.scale
add_scaled = _forms.add_scaled
add_consecutive = _forms.add_consecutive
multiply = _forms.multiply
count_above = _forms.count_above
count_at_least = _forms.count_at_least
product = _forms.product
add_product = _forms.add_product
transposed_product = _forms.transposed_product
largest = _forms.largest
exp_row = _forms.exp_row
prefetch = _forms.prefetch


def padded(dim: int) -> int:
    """Return the table width for `dim` columns: the next multiple of 16."""
    return -(-dim // LANES) * LANES


def grouped(n: int) -> int:
    """Return the length of the lists that `squared_distances` takes: `n` rounded up to GROUP."""
    return -(-n // GROUP) * GROUP


def table(n_rows: int, dim: int) -> np.ndarray:
    """Return a zeroed float32 table (n_rows, padded(dim)) that starts on a cache line."""
    width = padded(dim)
    memory = np.zeros(n_rows * width + LANES, dtype=np.float32)
    start = (-memory.ctypes.data % 64) // 4
    return memory[start : start + n_rows * width].reshape(n_rows, width)


def padded_table(values: np.ndarray) -> np.ndarray:
    """Copy `values` (n, d) into a fresh float32 table (n, padded(d))."""
    out = table(*values.shape)
    out[:, : values.shape[1]] = values
    return out


def as_table(values: np.ndarray) -> np.ndarray:
    """Return `values` (n, d) as a table: itself where it is one, else a copy."""
    is_table = values.dtype == np.float32 and values.flags.c_contiguous
    return values if is_table and values.shape[1] % LANES == 0 else padded_table(values)
