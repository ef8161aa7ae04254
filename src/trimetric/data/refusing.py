"""Refuse values: the error names the first, its row, and how many there are."""

from __future__ import annotations

import polars as pl

from trimetric.errors import DataError


def refuse(series: pl.Series, bad: pl.Series, where: str, remedy: str) -> None:
    """Raise DataError if any value is bad.

    Parameters
    ----------
    series, bad : polars.Series
        The values, and whether each is bad.
    where : str
        How to call the column.
    remedy : str
        What to do about it.
    """
    if bad.any():
        row = int(bad.arg_max() or 0)
        shown = repr(series[row])
        shown = shown if len(shown) <= 80 else f"{shown[:80]}..."
        raise DataError(
            f"{where} holds {shown} in row {row + 1} ({bad.sum():,} such rows); {remedy}"
        )
