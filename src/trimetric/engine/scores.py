"""Top-k lists and ranks from tables of scores, higher is better, ties by item number.

For models whose score is not a distance: the model fills float32 tables (users, all items), and
their scores are ranked as they are. Also the scores of pairs by inner products.
"""

from collections.abc import Callable

import numpy as np

from trimetric.data.csr import Csr
from trimetric.engine.compile import inline, kernel
from trimetric.engine.rows import dot
from trimetric.engine.threads import ThreadTeam, thread_count
from trimetric.engine.topk import mask_excluded

CELLS_AT_ONCE = 1 << 20  # scores that a thread holds at a time

Table = Callable[[np.ndarray], np.ndarray]
"""User rows int32 (b,) -> scores float32 (b, n_items), a fresh array that may be written to."""


def top_scores(
    table: Table,
    users: np.ndarray,
    n_items: int,
    k: int,
    excluded: Csr,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k best items of each user.

    Parameters
    ----------
    table : callable
        See `Table`.
    users : int32 (m,)
    n_items, k : int
    excluded : Csr
        Items that may not be returned, by position in `users`.

    Returns
    -------
    items : int32 (m, min(k, n_items))
        Best first, equal scores by item number; -1 where fewer remain.
    scores : float32, same shape
        NaN where `items` is -1.
    """
    k = min(k, n_items)
    items = np.full((len(users), k), -1, dtype=np.int32)
    scores = np.full((len(users), k), np.nan, dtype=np.float32)

    def block(low: int, high: int) -> None:
        _best(table(users[low:high]), low, excluded, items, scores)

    if k:
        _in_blocks(block, len(users), n_items)
    return items, scores


def ranks_by_score(table: Table, n_items: int, held: Csr, excluded: Csr) -> np.ndarray:
    """Return the rank, from 1, of each held-out item among the items not excluded.

    Returns
    -------
    int32, one for each held-out item
        1 + the number of items with a higher score, or an equal score and a lower number.
    """
    ranks = np.ones(len(held.items), dtype=np.int32)
    ranked = np.flatnonzero(held.counts).astype(np.int32)

    def block(low: int, high: int) -> None:
        users = ranked[low:high]
        _count(table(users), users, held, excluded, ranks)

    _in_blocks(block, len(ranked), n_items)
    return ranks


def pair_products(
    table: np.ndarray, users: np.ndarray, items: np.ndarray, n_users: int
) -> np.ndarray:
    """Return table[users[i]]·table[n_users + items[i]] for each i, float32.

    Each product has the same bits however many are computed at once.

    Parameters
    ----------
    table : float32 (n_users + n_items, width)
        As made by `rows.table`.
    users, items : int32 (n,)
    """
    out = np.empty(len(users), dtype=np.float32)
    _pair_products(table, users, items, n_users, out)
    return out


@kernel
def _pair_products(table, users, items, n_users, out):
    for i in range(len(users)):
        out[i] = dot(table, users[i], table, items[i] + n_users)


def _in_blocks(block: Callable[[int, int], None], rows: int, n_items: int) -> None:
    size = max(1, CELLS_AT_ONCE // max(n_items, 1))
    starts = list(range(0, rows, size))
    with ThreadTeam(min(thread_count(), max(len(starts), 1))) as team:

        def work(me: int) -> None:
            for start in starts[me :: team.threads]:
                block(start, min(start + size, rows))

        team.run(work)


@inline
def precedes(score, item, other, other_item):
    """Return whether an item comes before another: higher scores first, ties by item number."""
    return score > other or (score == other and item < other_item)


@inline
def sift_down(items, scores, size):
    """Restore a heap of `size` items, whose root comes last in order, after a new root."""
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and precedes(
            scores[child], items[child], scores[child + 1], items[child + 1]
        ):
            child += 1
        if not precedes(scores[place], items[place], scores[child], items[child]):
            break
        items[place], items[child] = items[child], items[place]
        scores[place], scores[child] = scores[child], scores[place]
        place = child


@inline
def sift_up(items, scores, place):
    """Restore such a heap after an item was added at `place`."""
    while place > 0:
        parent = (place - 1) >> 1
        if not precedes(scores[parent], items[parent], scores[place], items[place]):
            break
        items[place], items[parent] = items[parent], items[place]
        scores[place], scores[parent] = scores[parent], scores[place]
        place = parent


@kernel
def _best(table, low, excluded, items, scores):
    """Fill rows low .. of `items` and `scores` from the rows of `table`."""
    indptr, hidden = excluded
    k = items.shape[1]
    for row in range(len(table)):
        best, best_scores = items[low + row], scores[low + row]
        mask_excluded(table[row], 0, indptr[low + row], indptr[low + row + 1], hidden)
        size = 0
        for item in range(table.shape[1]):
            score = table[row, item]
            if score == -np.inf:
                continue
            if size < k:
                best[size], best_scores[size] = item, score
                sift_up(best, best_scores, size)
                size += 1
            elif score > best_scores[0]:  # at an equal score the earlier item stays
                best[0], best_scores[0] = item, score
                sift_down(best, best_scores, size)
        for last in range(size - 1, 0, -1):
            best[0], best[last] = best[last], best[0]
            best_scores[0], best_scores[last] = best_scores[last], best_scores[0]
            sift_down(best, best_scores, last)


@kernel
def _count(table, users, held, excluded, ranks):
    """Rank the held-out items of each of `users`, whose scores are the rows of `table`."""
    (held_indptr, held_items), (indptr, hidden) = held, excluded
    for row in range(len(users)):
        user, scores = users[row], table[row]
        mask_excluded(scores, 0, indptr[user], indptr[user + 1], hidden)
        for place in range(held_indptr[user], held_indptr[user + 1]):
            item = held_items[place]
            score, before = scores[item], 0
            for j in range(item):
                before += scores[j] >= score
            for j in range(item + 1, len(scores)):
                before += scores[j] > score
            ranks[place] += before
