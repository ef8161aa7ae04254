"""The best of candidates that each user has by themselves."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from trimetric.data.csr import Csr
from trimetric.errors import Unsupported
from trimetric.space.filters import ItemFilter
from trimetric.space.function import NO_SPACE
from trimetric.space.scorer import Lists, Scorer

PAIRS_AT_ONCE = 4_000_000


def nearest(
    scorer: Scorer, users: np.ndarray, k: int, exclude: Csr, items: ItemFilter, approximate: bool
) -> Lists:
    """Return the k best items of each user that a filter leaves: see `Scorer.nearest`.

    Where each user has candidates of their own, they are scored one by one; the lists are those
    that the whole catalogue without the other items would give.
    """
    candidates = items.candidates(exclude)
    if candidates is None:
        hidden = items.hidden(exclude)
        return scorer.nearest(users, k, exclude=hidden, only=items.rows, approximate=approximate)
    if approximate and "metric space" not in scorer.capabilities:
        raise Unsupported(NO_SPACE)
    return best_of(scorer.score, users, candidates, k)


def neighbours(
    scorer: Scorer, kind: Literal["item", "user"], rows: np.ndarray, k: int, items: ItemFilter
) -> Lists:
    """Return the k nearest of each row that a filter leaves: see `Scorer.neighbours`."""
    candidates = items.candidates(Csr.empty(len(rows)))
    if candidates is None:
        return scorer.neighbours(kind, rows, k, exclude=items.denied, only=items.rows)
    parts = [
        scorer.neighbours(kind, rows[at : at + 1], k, only=candidates.take(np.array([at])).items)
        for at in range(len(rows))
    ]
    return stacked(parts)


def best_of(
    score: Callable[[np.ndarray, np.ndarray], np.ndarray],
    users: np.ndarray,
    candidates: Csr,
    k: int,
) -> Lists:
    """Return the k best of each user's candidates, ties by item row.

    Parameters
    ----------
    score : callable
        As `Scorer.score`.
    users : int32 (m,)
    candidates : Csr with m lists
    k : int
    """
    counts, indptr = candidates.counts, candidates.indptr
    width = min(k, int(counts.max(initial=0)))
    items = np.full((len(users), width), -1, dtype=np.int32)
    scores = np.full((len(users), width), np.nan, dtype=np.float32)
    low = 0
    while low < len(users):
        high = int(np.searchsorted(indptr, indptr[low] + PAIRS_AT_ONCE, side="right")) - 1
        high = min(max(high, low + 1), len(users))
        block = candidates.take(np.arange(low, high))
        found = score(users[low:high][block.users], block.items)
        order = np.lexsort((block.items, -found, block.users))
        place = np.arange(len(order)) - block.indptr[block.users]  # users ascend, ordered or not
        kept = place < width
        items[low + block.users[kept], place[kept]] = block.items[order][kept]
        scores[low + block.users[kept], place[kept]] = found[order][kept]
        low = high
    return items, scores


def stacked(parts: list[Lists]) -> Lists:
    """Return lists one below the other, the shorter ones filled up with −1."""
    if not parts:
        return np.zeros((0, 0), dtype=np.int32), np.zeros((0, 0), dtype=np.float32)
    width = max(rows.shape[1] for rows, _ in parts)
    wide = [
        (
            np.pad(rows, ((0, 0), (0, width - rows.shape[1])), constant_values=-1),
            np.pad(scores, ((0, 0), (0, width - scores.shape[1])), constant_values=np.nan),
        )
        for rows, scores in parts
    ]
    return np.concatenate([part[0] for part in wide]), np.concatenate([part[1] for part in wide])
