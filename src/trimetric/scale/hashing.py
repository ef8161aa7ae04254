"""A hash of original ids, equal on every machine, by which they are divided into parts."""

import numpy as np
import polars as pl

from trimetric import counter
from trimetric.data.ids import Vocabulary
from trimetric.engine.compile import kernel
from trimetric.engine.rng import bits

USERS, ITEMS = 1, 2
_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


def part_of(ids: Vocabulary, n_parts: int, salt: int) -> np.ndarray:
    """Return which of `n_parts` each id belongs to, int32 (n_ids,).

    It depends on the id alone: on the number of a whole number, on the UTF-8 bytes of text.

    Parameters
    ----------
    ids : Vocabulary
    n_parts : int
    salt : int
        USERS or ITEMS, so that equal ids of both need not go together.
    """
    return part_of_hashed(hashes(ids), n_parts, salt)


def hashes(ids: Vocabulary) -> np.ndarray:
    """Return a number of each id, uint64 (n_ids,): a whole number itself, and a hash of text."""
    arrays = ids.to_arrays()
    if "ids" in arrays:
        return arrays["ids"].astype(np.uint64)
    hashed = np.empty(len(ids), dtype=np.uint64)
    _fnv1a(arrays["utf8"], arrays["offsets"], hashed)
    return hashed


def part_of_hashed(hashed: np.ndarray, n_parts: int, salt: int) -> np.ndarray:
    """Return which of `n_parts` ids belong to, from `hash_values` of them, int32 (n_ids,)."""
    out = np.empty(len(hashed), dtype=np.int32)
    _part(hashed, counter.key(salt), np.uint64(n_parts), out)
    return out


def hash_values(ids: pl.Series) -> np.ndarray:
    """Return a hash of each id of an Int64 or String series without nulls, uint64 (n,).

    It is the number itself of whole numbers, and the 64-bit FNV-1a hash of text. PyArrow must be
    installed.
    """
    if ids.dtype != pl.String:
        return ids.to_numpy().astype(np.uint64)
    texts = ids.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, utf8 = texts.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(ids) + 1]
    data = np.frombuffer(utf8 or b"", dtype=np.uint8)
    hashed = np.empty(len(ids), dtype=np.uint64)
    _fnv1a(data, bounds, hashed)
    return hashed


@kernel
def _part(hashed, key, n_parts, out):
    """Write the part of each hash: `counter.bits` of it, modulo the number of parts."""
    for i in range(len(out)):
        out[i] = np.int32(bits(key, hashed[i]) % n_parts)


@kernel
def _fnv1a(utf8, offsets, out):
    """Write the 64-bit FNV-1a hash of each text."""
    for i in range(len(out)):
        state = _BASIS
        for at in range(offsets[i], offsets[i + 1]):
            state = (state ^ np.uint64(utf8[at])) * _PRIME
        out[i] = state
