"""Which items are liked by the same users: exact counts, nearest neighbours, sums over a history.

Counts are whole numbers, so that neither the order of summation nor the number of threads matters.
A thread holds one row of counts at a time, never the square matrix.
"""

from typing import NamedTuple

import numpy as np

from trimetric.data.csr import Csr, keys
from trimetric.engine.compile import inline, kernel
from trimetric.engine.scores import precedes, sift_down, sift_up
from trimetric.engine.threads import ThreadTeam, thread_count


def by_item(by_user: Csr, n_items: int) -> Csr:
    """Return the users of each item, ascending."""
    return Csr.from_pairs(by_user.items, by_user.users, n_items)


@kernel
def add_counts(first, likers, liked, out):
    """Add to out[r, j], zeros before, how many users have both item first + r and item j.

    `likers` has the users of each item, `liked` the items of each user, both a `Csr`.
    """
    for row in range(len(out)):
        for p in range(likers.indptr[first + row], likers.indptr[first + row + 1]):
            user = likers.items[p]
            for q in range(liked.indptr[user], liked.indptr[user + 1]):
                out[row, liked.items[q]] += 1


class Sparse(NamedTuple):
    """Weights from item to item, most of them zero.

    Parameters
    ----------
    lists : Csr
        For each item, those to which its weight is not zero.
    weights : float32, one for each of `lists.items`
    """

    lists: Csr
    weights: np.ndarray


class Similarity(NamedTuple):
    """How alike two items are; see `similarity`."""

    power: float
    shrink: float


def nearest_items(by_user: Csr, n_items: int, k: int, kind: Similarity) -> Sparse:
    """Return `similarity` from item to item, where the first is among the k nearest of the second.

    Nearest are those of the largest similarity, equal ones by item number. Items without a user in
    common are not near.

    Parameters
    ----------
    by_user : Csr
        The items of each user.
    n_items, k : int
    kind : Similarity
    """
    k = max(0, min(k, n_items - 1))
    items = np.full((n_items, k), -1, dtype=np.int32)
    similarities = np.zeros((n_items, k), dtype=np.float32)
    likers = by_item(by_user, n_items)
    users = likers.counts.astype(np.float64)
    norms = (users**kind.power, users ** (1 - kind.power), kind.shrink)
    with ThreadTeam(min(thread_count(), max(n_items, 1))) as team:

        def work(me: int) -> None:
            scratch = np.zeros((2, n_items), dtype=np.int32)
            _nearest((me, team.threads), (likers, by_user), norms, scratch, (items, similarities))

        team.run(work)
    return _turned(items, similarities)


def _turned(items: np.ndarray, similarities: np.ndarray) -> Sparse:
    """Turn the nearest of each item, -1 where there are none, into the items that it is near to."""
    to, place = np.nonzero(items >= 0)
    pairs = keys(items[to, place], to)
    order = np.argsort(pairs)
    return Sparse(Csr.from_keys(pairs[order], len(items)), similarities[to, place][order])


@inline
def similarity(together, a, b, norms):
    """|U_i ∩ U_j| / (|U_i|^a |U_j|^(1−a) + shrink), U_i being the users of item i.

    The asymmetric cosine of Aiolli, RecSys 2013; the cosine at a = ½. Shrinkage (Bell and Koren,
    ICDM 2007) keeps pairs that a few users happen to share from outranking well-supported ones.
    """
    first, second, shrink = norms
    return np.float32(together / (first[a] * second[b] + shrink))


@kernel
def _nearest(share, lists, norms, scratch, answer):
    """Fill rows me, me + step, .. of the answer; counts of all items wait in `room`, at zero."""
    (me, step), (likers, liked), (counts, touched) = share, lists, scratch
    items, similarities = answer
    k = items.shape[1]
    for item in range(me, len(items), step):
        met = _meet(item, likers, liked, counts, touched)
        nearest, points, size = items[item], similarities[item], 0
        for t in range(met):
            b = touched[t]
            near = similarity(counts[b], b, item, norms)
            counts[b] = 0
            if b == item:
                continue
            if size < k:
                nearest[size], points[size] = b, near
                sift_up(nearest, points, size)
                size += 1
            elif k > 0 and precedes(near, b, points[0], nearest[0]):
                nearest[0], points[0] = b, near
                sift_down(nearest, points, size)


@inline
def _meet(item, likers, liked, counts, touched):
    """Count the users that each item shares with `item`; return how many items were touched."""
    met = 0
    for p in range(likers.indptr[item], likers.indptr[item + 1]):
        user = likers.items[p]
        for q in range(liked.indptr[user], liked.indptr[user + 1]):
            b = liked.items[q]
            if counts[b] == 0:
                touched[met] = b
                met += 1
            counts[b] += 1
    return met


@kernel
def sum_rows(users, liked, rows, out):
    """Add rows[i] for each item i of each user to the user's row of `out`, in ascending order."""
    for place in range(len(users)):
        for q in range(liked.indptr[users[place]], liked.indptr[users[place] + 1]):
            row = rows[liked.items[q]]
            for j in range(len(row)):
                out[place, j] += row[j]


@kernel
def sum_sparse(users, liked, rows, out):
    """Do as `sum_rows` with the rows of a `Sparse`."""
    (indptr, items), weights = rows
    for place in range(len(users)):
        for q in range(liked.indptr[users[place]], liked.indptr[users[place] + 1]):
            item = liked.items[q]
            for slot in range(indptr[item], indptr[item + 1]):
                out[place, items[slot]] += weights[slot]
