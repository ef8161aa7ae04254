"""A hash of original ids, equal on every machine, by which they are divided into parts."""

import numpy as np

from trimetric import counter
from trimetric.data.ids import Vocabulary
from trimetric.engine.compile import kernel

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
    return (counter.bits(counter.key(salt), hashes(ids)) % np.uint64(n_parts)).astype(np.int32)


def hashes(ids: Vocabulary) -> np.ndarray:
    """Return a number of each id, uint64 (n_ids,): a whole number itself, and a hash of text."""
    arrays = ids.to_arrays()
    if "ids" in arrays:
        return arrays["ids"].astype(np.uint64)
    hashed = np.empty(len(ids), dtype=np.uint64)
    _fnv1a(arrays["utf8"], arrays["offsets"], hashed)
    return hashed


@kernel
def _fnv1a(utf8, offsets, out):
    """Write the 64-bit FNV-1a hash of each text."""
    for i in range(len(out)):
        state = _BASIS
        for at in range(offsets[i], offsets[i + 1]):
            state = (state ^ np.uint64(utf8[at])) * _PRIME
        out[i] = state
