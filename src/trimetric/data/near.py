"""Known ids that are spelled almost like an unknown one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import numpy as np
import polars as pl

from trimetric.data.ids import Vocabulary

MOST_IDS = 2_000_000  # of the right length that are compared: about a second
LONGEST = 200
_BLOCK, _SORTED = 1 << 16, 10_000


def near_ids(vocabulary: Vocabulary, unknown: Any, n: int = 3) -> list[int | str]:
    """Return the known ids whose spelling is closest to that of an unknown one.

    Spellings are compared without regard to case, by the number of characters to insert, delete,
    replace, or swap with a neighbour: at most one for every three characters, and three in all.
    Where none is so close, ids that contain the unknown one are returned, such as "reader-0042" for
    "0042".

    Parameters
    ----------
    vocabulary : Vocabulary
    unknown : id
        Compared by its text.
    n : int
        The most ids to return.

    Returns
    -------
    list
        All equally close; first those that begin and end alike, then by row.
    """
    text = str(unknown).casefold()
    if not text or len(text) > LONGEST or not len(vocabulary):
        return []
    ids = vocabulary.values.cast(pl.String).str.to_lowercase()
    most = min(3, len(text) // 3)
    lengths = ids.str.len_chars().cast(pl.Int64).to_numpy()
    rows = np.flatnonzero(np.abs(lengths - len(text)) <= most)[:MOST_IDS]
    apart = np.concatenate(
        [
            edit_distances(text, ids.gather(rows[start : start + _BLOCK]).to_list())
            for start in range(0, max(len(rows), 1), _BLOCK)
        ]
    )
    close = np.flatnonzero(apart <= min(most, apart.min(initial=most)))[:_SORTED]
    alike = [_alike(text, one) for one in ids.gather(rows[close])]
    order = sorted(range(len(close)), key=lambda place: alike[place], reverse=True)
    found = rows[close[order[:n]]]
    if not len(found) and len(text) > 1:
        found = np.flatnonzero(ids.str.contains(text, literal=True).to_numpy())[:n]
    return vocabulary.decode(found).to_list()


def meant(vocabulary: Vocabulary, unknown: Sequence[Any]) -> str:
    """Return a question for errors: which known ids the first of some unknown ones may stand for.

    It is "did you mean 'a' or 'b'?", and empty where no known id is near.
    """
    near = near_ids(vocabulary, unknown[0]) if len(unknown) else []
    if not near:
        return ""
    of = f" for {unknown[0]!r}" if len(unknown) > 1 else ""
    return f"did you mean {' or '.join(map(repr, near))}{of}?"


def _alike(one: str, other: str) -> tuple[int, int]:
    """Return how many characters two texts share at both ends, and how many at their beginning."""
    ways = (zip(one, other, strict=False), zip(one[::-1], other[::-1], strict=False))
    begin, end = (sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], way)) for way in ways)
    return begin + end, begin


def edit_distances(text: str, others: list[str]) -> np.ndarray:
    """Return how many edits lie between a text and each of others, int16.

    An edit inserts, deletes or replaces a character, or swaps two neighbours that no other edit
    touches: the optimal string alignment distance, by dynamic programming (Wagner and Fischer,
    1974) over all others at once.
    """
    if not others:
        return np.zeros(0, dtype=np.int16)
    lengths = np.array([len(other) for other in others])
    width = max(int(lengths.max()), 1)
    letters = np.array(others, dtype=f"<U{width}").view(np.uint32).reshape(len(others), width)
    before = np.zeros((width + 1, len(others)), dtype=np.int16)
    row = np.repeat(np.arange(width + 1, dtype=np.int16)[:, None], len(others), axis=1)
    for i, letter in enumerate(text):
        above, row = row, np.empty_like(row)
        row[0] = i + 1
        for j in range(width):
            replaced = above[j] + (letters[:, j] != ord(letter))
            row[j + 1] = np.minimum(np.minimum(above[j + 1], row[j]) + 1, replaced)
            if i and j:
                swapped = (letters[:, j] == ord(text[i - 1])) & (letters[:, j - 1] == ord(letter))
                row[j + 1] = np.where(
                    swapped, np.minimum(row[j + 1], before[j - 1] + 1), row[j + 1]
                )
        before = above
    return row[lengths, np.arange(len(others))]
