"""Exact nearest items, and exact ranks of held-out items, for many users with bounded memory.

For a user q the order by d²(q, v) is the order by falling G(v) = q·v − ‖v‖²/2. BLAS computes G tile
by tile, quickly but with rounding that depends on the library, the block and the machine. Rounding
is bounded (`_slack`), so that G only makes a shortlist: every item whose G could belong to the
answer is compared by `squared_distance`, which has the same bits everywhere. The result is thus
that of brute force over all d², ties by item number, for any tiles and threads.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from trimetric.engine.compile import inline, kernel
from trimetric.engine.rows import (
    COUNTED,
    count_above,
    count_at_least,
    padded_table,
    squared_distance,
)
from trimetric.engine.threads import ThreadTeam, thread_count

USERS_AT_ONCE = 1024
ITEMS_AT_ONCE = 4096
_EXTRA = 480  # places of a shortlist beyond k, before items below the threshold are dropped


class _Shortlist(NamedTuple):
    """Shortlists of one block of users, carried from tile to tile."""

    best: np.ndarray  # float32[b, k]: a min-heap of the k largest G so far
    items: np.ndarray  # int32[b, k + _EXTRA]
    scores: np.ndarray  # float32[b, k + _EXTRA]
    filled: np.ndarray  # int64[b]; -1 where so many items tie that the list overflowed
    slack: np.ndarray  # float32[b]: twice the rounding bound of G


class Prepared(NamedTuple):
    """Points laid out for any number of calls of `top_k`: see `prepared`."""

    points: np.ndarray  # float32[n, padded d]
    factors: np.ndarray  # float32[n, d + 1]: (v, −‖v‖²/2)
    largest: float  # of all ‖v‖

    def __len__(self) -> int:
        return len(self.points)


def prepared(points: np.ndarray) -> Prepared:
    """Lay out points, float32 (n, d), for any number of calls of `top_k`."""
    padded = padded_table(points)
    return Prepared(padded, *_factors(padded, points.shape[1]))


def top_k(
    queries: np.ndarray,
    points: np.ndarray | Prepared,
    k: int,
    excluded: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest points of each query.

    Parameters
    ----------
    queries : float32 (m, d)
    points : float32 (n, d), or Prepared
    k : int
        At least 1.
    excluded : (indptr int64 (m + 1), items int32 ascending within a query), optional
        Points that may not be returned.

    Returns
    -------
    items : int32 (m, min(k, n))
        Nearest first, equal distances by item number; -1 where fewer remain.
    distances : float32, same shape
        d², equation (1); NaN where `items` is -1.
    """
    space = points if isinstance(points, Prepared) else prepared(points)
    m, n = len(queries), len(space)
    k, threads = min(k, n), thread_count()
    items = np.full((m, k), -1, dtype=np.int32)
    distances = np.full((m, k), np.nan, dtype=np.float32)
    if k == 0:
        return items, distances
    indptr, hidden = excluded or (np.zeros(m + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))
    with ThreadTeam(threads) as team, _blas(threads):
        for start in range(0, m, USERS_AT_ONCE):
            block = slice(start, min(m, start + USERS_AT_ONCE))
            q = padded_table(queries[block])
            shortlist = _Shortlist(
                np.full((len(q), k), -np.inf, dtype=np.float32),
                np.zeros((len(q), k + _EXTRA), dtype=np.int32),
                np.zeros((len(q), k + _EXTRA), dtype=np.float32),
                np.zeros(len(q), dtype=np.int64),
                2 * _slack(q, space.largest),
            )
            lists = indptr[block.start : block.stop + 1], hidden
            for first, scores in _tiles(q, space.factors):
                _in_parallel(team, len(q), _update_shortlists, first, scores, lists, shortlist)
            tables, answer = (q, space.points), (items[block], distances[block])
            _in_parallel(team, len(q), _rank_shortlists, tables, lists, shortlist, answer)
    return items, distances


def nearest_of(
    queries: np.ndarray, space: Prepared, rows: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest of the points listed for each query.

    Parameters
    ----------
    queries : float32 (m, d)
    space : Prepared
    rows : int32 (m, w)
        Distinct within a query; -1 for none.
    k : int
        At least 1.

    Returns
    -------
    items : int32 (m, k)
        Nearest first, equal distances by item number; -1 where fewer are listed.
    distances : float32, same shape
        d², NaN where `items` is -1.
    """
    items = np.full((len(rows), k), -1, dtype=np.int32)
    distances = np.full((len(rows), k), np.nan, dtype=np.float32)
    tables = padded_table(queries), space.points
    with ThreadTeam(thread_count()) as team:
        _in_parallel(team, len(rows), _rank_listed, tables, rows, (items, distances))
    return items, distances


def held_out_ranks(
    queries: np.ndarray,
    points: np.ndarray,
    held: tuple[np.ndarray, np.ndarray],
    excluded: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Return the rank, from 1, of each held-out item among the items not excluded.

    Parameters
    ----------
    queries, points : float32 (m, d), (n, d)
    held, excluded : (indptr int64 (m + 1), items int32 ascending within a query)
        An item that is both held out and excluded has no meaningful rank.

    Returns
    -------
    int32, one for each held-out item
        1 + the number of items that are nearer, or as near and of a lower number.
    """
    m, threads = len(queries), thread_count()
    ranks = np.ones(len(held[1]), dtype=np.int32)
    points = padded_table(points)
    factors, largest = _factors(points, queries.shape[1])
    with ThreadTeam(threads) as team, _blas(threads):
        for start in range(0, m, USERS_AT_ONCE):
            block = slice(start, min(m, start + USERS_AT_ONCE))
            q = padded_table(queries[block])
            lists = tuple(
                (indptr[block.start : block.stop + 1], items) for indptr, items in (held, excluded)
            )
            slack = _slack(q, largest)
            for first, scores in _tiles(q, factors):
                _in_parallel(team, len(q), _count, first, scores, lists, (q, points, slack), ranks)
    return ranks


def pair_distances(
    queries: np.ndarray, points: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Return d²(queries[rows[i]], points[columns[i]]) for each i, float32."""
    out = np.empty(len(rows), dtype=np.float32)
    _pairs(padded_table(queries), padded_table(points), rows, columns, out)
    return out


@cache
def _libraries() -> ThreadpoolController:
    """Find the thread pools of the process once: it takes longer than a small product."""
    return ThreadpoolController()


def _blas(threads: int) -> AbstractContextManager:
    """Let BLAS use this number of threads for a while, unless it does already."""
    blas = _libraries().select(user_api="blas")
    if all(library.num_threads == threads for library in blas.lib_controllers):
        return nullcontext()
    return blas.limit(limits=threads)


def _factors(points: np.ndarray, dim: int) -> tuple[np.ndarray, float]:
    """Return the rows (v, −‖v‖²/2), whose product with (q, 1) is G, and the largest ‖v‖."""
    squares = np.einsum("ij,ij->i", points, points)
    factors = np.empty((len(points), dim + 1), dtype=np.float32)
    factors[:, :dim], factors[:, dim] = points[:, :dim], -squares / 2
    return factors, float(np.sqrt(squares.max(initial=0.0)))


def _slack(queries: np.ndarray, largest: float) -> np.ndarray:
    """Bound |G computed − G| plus half the rounding of d² (Higham 2002, section 3.1)."""
    norms = np.sqrt(np.einsum("ij,ij->i", queries, queries, dtype=np.float64))
    width, unit = queries.shape[1], 2.0**-24
    product = (width + 4) * (norms * largest + largest * largest / 2)
    distance = (width / 16 + 8) * (norms + largest) ** 2
    return (unit * (product + distance)).astype(np.float32)


def _tiles(queries: np.ndarray, factors: np.ndarray) -> Any:
    """Yield (first item, G of a tile of items), the same memory each time."""
    buffer = np.empty((len(queries), min(ITEMS_AT_ONCE, len(factors))), dtype=np.float32)
    augmented = np.ones((len(queries), factors.shape[1]), dtype=np.float32)  # rows (q, 1)
    augmented[:, :-1] = queries[:, : factors.shape[1] - 1]
    for first in range(0, len(factors), ITEMS_AT_ONCE):
        tile = factors[first : first + ITEMS_AT_ONCE]
        scores = (
            buffer[:, : len(tile)]
            if len(tile) == buffer.shape[1]
            else np.empty((len(queries), len(tile)), dtype=np.float32)
        )
        np.matmul(augmented, tile.T, out=scores)
        yield first, scores


def _in_parallel(team: ThreadTeam, rows: int, work: Any, *arguments: Any) -> None:
    size = -(-rows // team.threads)
    team.run(lambda me: work((me * size, min(rows, (me + 1) * size)), *arguments))


@inline
def _first_at_least(value, items, low, high):
    while low < high:
        middle = (low + high) >> 1
        if items[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@inline
def mask_excluded(scores, first, low, high, items):
    """Set the scores of the excluded items of a tile to minus infinity.

    The tile starts at item `first`; the excluded ones are items[low:high], ascending.
    """
    last = first + len(scores)
    for i in range(_first_at_least(first, items, low, high), high):
        if items[i] >= last:
            break
        scores[items[i] - first] = -np.inf


@kernel
def _update_shortlists(span, first, scores, excluded, shortlist):
    """Add a tile to the shortlists of users span[0] .. span[1] - 1."""
    indptr, hidden = excluded
    for user in range(span[0], span[1]):
        if shortlist.filled[user] < 0:
            continue
        row = scores[user]
        mask_excluded(row, first, indptr[user], indptr[user + 1], hidden)
        shortlist.filled[user] = _shortlist_tile(
            row, first, shortlist.best[user], shortlist.items[user], shortlist.scores[user],
            shortlist.slack[user], shortlist.filled[user],
        )  # fmt: skip


@inline
def _shortlist_tile(row, first, best, items, scores, slack, filled):
    """Shortlist the items that reach the k-th best G so far, less the slack."""
    width = len(row)
    threshold = best[0] - slack
    for low in range(0, width, COUNTED):
        high = min(low + COUNTED, width)
        if high == low + COUNTED and count_at_least(row, low, threshold) == 0:
            continue
        for j in range(low, high):
            score = row[j]
            if score < threshold or score == -np.inf:
                continue
            if score > best[0]:
                _replace_least(best, score)
                threshold = best[0] - slack
            if filled == len(items):
                filled = _drop_below(items, scores, filled, threshold)
                if filled == len(items):
                    return np.int64(-1)
            items[filled] = first + j
            scores[filled] = score
            filled += 1
    return np.int64(filled)


@inline
def _replace_least(heap, value):
    """Replace the root of a min-heap and sift down."""
    size, place = len(heap), 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = value


@inline
def _drop_below(items, scores, filled, threshold):
    count = 0
    for i in range(filled):
        if scores[i] >= threshold:
            items[count], scores[count] = items[i], scores[i]
            count += 1
    return count


@kernel
def _rank_shortlists(span, tables, excluded, shortlist, answer):
    """Order each shortlist by exact distance into the answer's rows."""
    queries, points = tables
    indptr, hidden = excluded
    items, distances = answer
    k = items.shape[1]
    for user in range(span[0], span[1]):
        size = 0
        threshold = shortlist.best[user, 0] - shortlist.slack[user]
        overflow = shortlist.filled[user] < 0
        candidates = len(points) if overflow else shortlist.filled[user]
        place, end = indptr[user], indptr[user + 1]
        for i in range(candidates):
            item = np.int64(i)
            if overflow:
                place = _first_at_least(i, hidden, place, end)
                if place < end and hidden[place] == i:
                    continue
            else:
                item = np.int64(shortlist.items[user, i])
                if shortlist.scores[user, i] < threshold:
                    continue
            d = squared_distance(queries, user, points, item)
            if size == k and not d < distances[user, k - 1]:
                continue
            at = size if size < k else k - 1
            while at > 0 and d < distances[user, at - 1]:
                items[user, at], distances[user, at] = items[user, at - 1], distances[user, at - 1]
                at -= 1
            items[user, at], distances[user, at] = item, d
            size = min(size + 1, k)


@kernel
def _count(span, first, scores, lists, space, ranks):
    """Add to each held-out item's rank the items of this tile that come before it."""
    (held_indptr, held), (indptr, hidden) = lists
    queries, points, slack = space
    width = scores.shape[1]
    for user in range(span[0], span[1]):
        low, high = held_indptr[user], held_indptr[user + 1]
        if low == high:
            continue
        row = scores[user]
        mask_excluded(row, first, indptr[user], indptr[user + 1], hidden)
        square = _squared_length(queries, user)
        for place in range(low, high):
            item = np.int64(held[place])
            d = squared_distance(queries, user, points, item)
            g = np.float32((square - d) / 2)
            sure, maybe = g + 2 * slack[user], g - 2 * slack[user]
            before = 0
            for start in range(0, width, COUNTED):
                stop = min(start + COUNTED, width)
                if stop == start + COUNTED:
                    above = count_above(row, start, sure)
                    if above == count_at_least(row, start, maybe):
                        before += above
                        continue
                for j in range(start, stop):
                    if row[j] > sure:
                        before += 1
                    elif row[j] >= maybe:
                        other = squared_distance(queries, user, points, first + j)
                        before += other < d or (other == d and first + j < item)
            ranks[place] += before


@inline
def _squared_length(a, i):
    total = 0.0
    for k in range(a.shape[1]):
        total += np.float64(a[i, k]) * a[i, k]
    return total


@kernel
def _rank_listed(span, tables, rows, answer):
    """Order the listed points of queries span[0] .. span[1] - 1 into the answer's rows."""
    queries, points = tables
    items, distances = answer
    k = items.shape[1]
    for query in range(span[0], span[1]):
        best, d2, size = items[query], distances[query], 0
        for place in range(rows.shape[1]):
            item = np.int64(rows[query, place])
            if item < 0:
                continue
            d = squared_distance(queries, query, points, item)
            at = size
            if size == k:
                at = k - 1
                if d > d2[at] or (d == d2[at] and item > best[at]):
                    continue
            while at > 0 and (d < d2[at - 1] or (d == d2[at - 1] and item < best[at - 1])):
                best[at], d2[at] = best[at - 1], d2[at - 1]
                at -= 1
            best[at], d2[at] = item, d
            size = min(size + 1, k)


@kernel
def _pairs(queries, points, rows, columns, out):
    for i in range(len(rows)):
        out[i] = squared_distance(queries, rows[i], points, columns[i])
