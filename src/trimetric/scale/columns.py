"""Rows of parts: all that training changes of a user, or of an item, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Columns:
    """Which columns of a row stand for what.

    Parameters
    ----------
    widths : dict of str to int
        How many columns of each name, in order. An array with one column may have one dimension.
    """

    widths: Mapping[str, int]

    @property
    def total(self) -> int:
        """Number of columns of a row."""
        return sum(self.widths.values())

    def pack(
        self,
        arrays: Mapping[str, np.ndarray],
        rows: slice = slice(None),
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return some rows of the arrays as one float32 (n, total), written to `out` if given."""
        n = len(range(*rows.indices(len(arrays[next(iter(self.widths))]))))
        packed = np.empty((n, self.total), dtype=np.float32) if out is None else out
        for name, part in self._parts(packed):
            part[...] = _two_dimensional(arrays[name][rows])[:, : part.shape[1]]
        return packed

    def unpack(
        self, packed: np.ndarray, arrays: Mapping[str, np.ndarray], rows: slice = slice(None)
    ) -> None:
        """Write packed rows into some rows of the arrays; their further columns stay."""
        for name, part in self._parts(packed):
            _two_dimensional(arrays[name][rows])[:, : part.shape[1]] = part

    def get(self, packed: np.ndarray, name: str) -> np.ndarray:
        """Return a view of the columns of a name, float32 (n, width)."""
        return dict(self._parts(packed))[name]

    def _parts(self, packed: np.ndarray) -> list[tuple[str, np.ndarray]]:
        ends = np.cumsum(list(self.widths.values()))
        return [
            (name, packed[:, end - width : end])
            for (name, width), end in zip(self.widths.items(), ends.tolist(), strict=True)
        ]


def columns_of(arrays: Mapping[str, np.ndarray], dim: int) -> Columns:
    """Return the columns of arrays by row: `dim` of padded tables, all of others."""
    widths = {}
    for name, array in arrays.items():
        width = 1 if array.ndim == 1 else array.shape[1]
        widths[name] = dim if width > dim else width
    return Columns(widths)


def _two_dimensional(array: np.ndarray) -> np.ndarray:
    return array[:, None] if array.ndim == 1 else array
