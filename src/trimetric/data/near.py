"""Known ids that are spelled almost like an unknown one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import numpy as np
import polars as pl
from rapidfuzz.distance import OSA
from rapidfuzz.process import cdist

from trimetric.data.ids import Vocabulary

MOST_IDS = 2_000_000  # of the right length that are compared: about a second
LONGEST = 200
_SORTED = 10_000


def near_ids(vocabulary: Vocabulary, unknown: Any, n: int = 3) -> list[int | str]:
    """Return the known ids whose spelling is closest to that of an unknown one.

    Spellings are compared without regard to case, by their optimal string alignment distance: the
    number of characters to insert, delete, replace, or swap with a neighbour. At most one for every
    three characters, and three in all, may differ. Where none is so close, ids that contain the
    unknown one are returned, such as "reader-0042" for "0042".

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
        All equally close; first those that begin and end alike, then by row. Never the id itself,
        which may be known and yet have no interactions.
    """
    text = str(unknown).casefold()
    if len(text) > LONGEST or not len(vocabulary):
        return []
    ids = vocabulary.values.cast(pl.String).str.to_lowercase()
    most = min(3, len(text) // 3)
    lengths = ids.str.len_chars().cast(pl.Int64).to_numpy()
    itself = vocabulary.encode([unknown])[0]
    rows = np.flatnonzero(np.abs(lengths - len(text)) <= most)[:MOST_IDS]
    rows = rows[rows != itself]
    others = ids.gather(rows).to_list()
    apart = cdist([text], others, scorer=OSA.distance, score_cutoff=most)[0] if others else rows
    close = np.flatnonzero(apart <= min(most, apart.min(initial=most)))[:_SORTED]
    alike = [_alike(text, one) for one in ids.gather(rows[close])]
    order = sorted(range(len(close)), key=lambda place: alike[place], reverse=True)
    found = rows[close[order[:n]]]
    if not len(found) and len(text) > 1:
        found = np.flatnonzero(ids.str.contains(text, literal=True).to_numpy())
        found = found[found != itself][:n]
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
