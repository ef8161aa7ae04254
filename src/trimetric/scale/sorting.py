"""Sorting of many rows by whole numbers in linear time, where NumPy would compare them."""

import numpy as np

from trimetric.engine.compile import kernel

_BITS = 11
_DIGITS = 1 << _BITS


def sort_keys(keys: np.ndarray, below: int) -> np.ndarray:
    """Sort keys from 0 to before `below`, int64 (n,); the array given is used as workspace."""
    counts, other = np.empty(_DIGITS, dtype=np.int64), np.empty_like(keys)
    for shift in range(0, max(1, (below - 1).bit_length()), _BITS):
        _by_digit(keys, other, shift, counts)
        keys, other = other, keys
    return keys


def starts_of(parts: np.ndarray, n_parts: int) -> np.ndarray:
    """Return where the rows of each part begin once they are in order, int64 (n_parts + 1,)."""
    starts = np.zeros(n_parts + 1, dtype=np.int64)
    np.cumsum(np.bincount(parts, minlength=n_parts), out=starts[1:])
    return starts


def by_part(values: np.ndarray, parts: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return values in order of their part; those of one part keep their order.

    Parameters
    ----------
    values : array (n,)
    parts : int32 (n,)
    starts : int64 (n_parts + 1,)
        Of `starts_of`.
    """
    out = np.empty(len(values), dtype=values.dtype)
    _scatter(values, parts, starts[:-1].copy(), out)
    return out


@kernel
def _by_digit(keys, out, shift, counts):
    """Put keys in order of one digit; those of equal digits keep their order."""
    counts[:] = 0
    for i in range(len(keys)):
        counts[(keys[i] >> shift) & (_DIGITS - 1)] += 1
    at = 0
    for digit in range(_DIGITS):
        n = counts[digit]
        counts[digit] = at
        at += n
    for i in range(len(keys)):
        digit = (keys[i] >> shift) & (_DIGITS - 1)
        out[counts[digit]] = keys[i]
        counts[digit] += 1


@kernel
def _scatter(values, parts, at, out):
    """Write each value where the next of its part goes."""
    for i in range(len(values)):
        out[at[parts[i]]] = values[i]
        at[parts[i]] += 1
