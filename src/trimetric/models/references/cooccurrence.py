"""Which items are liked by the same users: exact counts, nearest neighbours, sums over a history.

Without weights counts are whole numbers; with them sums go by ascending user, in one thread a row.
Either way the number of threads does not matter. A thread holds one row of counts at a time, never
the square matrix.
"""

from typing import NamedTuple, Self

import numpy as np

from trimetric.data.csr import Csr, keys
from trimetric.engine.blocks import count_at
from trimetric.engine.compile import inline, kernel
from trimetric.engine.scores import precedes, sift_down, sift_up
from trimetric.engine.threads import ThreadTeam, thread_count

ITEMS_ONLY = {
    "similar users": "it learns how items go together, and of a user it keeps only what they have",
    "fold-in": "it has no points; recommend_for scores items by what a new user has",
}
"""What models of items alone cannot do, and why."""


class Counted(NamedTuple):
    """Lists of what users or items have, and how much each entry counts.

    Parameters
    ----------
    lists : Csr
    weights : float32, one for each of `lists.items`; none where each counts 1
    """

    lists: Csr
    weights: np.ndarray

    @classmethod
    def of(cls, lists: Csr, weights: np.ndarray | None) -> Self:
        """Return lists with their weights, if they have some."""
        return cls(lists, np.zeros(0, dtype=np.float32) if weights is None else weights)


def by_item(by_user: Counted, n_items: int) -> Counted:
    """Return the users of each item, ascending."""
    lists, weights = by_user
    turned, order = lists.transposed(n_items)
    return Counted(turned, weights[order] if len(weights) else weights)


def squares(likers: Counted) -> np.ndarray:
    """Return Σ_u w_ui² of each item, float64: the number of its users without weights."""
    lists, weights = likers
    if len(weights) == 0:
        return lists.counts.astype(np.float64)
    return np.bincount(lists.users, weights.astype(np.float64) ** 2, minlength=lists.n_users)


@kernel
def add_counts(first, likers, liked, out):
    """Add to out[r, j], zeros before, Σ_u w_ui·w_uj of item i = first + r and item j.

    That is the number of users who have both, without weights. `likers` has the users of each item,
    `liked` the items of each user, both `Counted`.
    """
    (users, of_users), (items, of_items) = likers, liked
    for row in range(len(out)):
        for p in range(users.indptr[first + row], users.indptr[first + row + 1]):
            user = users.items[p]
            for q in range(items.indptr[user], items.indptr[user + 1]):
                if len(of_items) == 0:
                    out[row, items.items[q]] += 1
                else:
                    out[row, items.items[q]] += np.float64(of_users[p]) * of_items[q]


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


def nearest_items(by_user: Counted, n_items: int, k: int, kind: Similarity) -> Sparse:
    """Return `similarity` from item to item, where the first is among the k nearest of the second.

    Nearest are those of the largest similarity, equal ones by item number. Items without a user in
    common are not near.

    Parameters
    ----------
    by_user : Counted
        The items of each user.
    n_items, k : int
    kind : Similarity
    """
    k = min(k, n_items - 1)
    items = np.full((n_items, k), -1, dtype=np.int32)
    similarities = np.zeros((n_items, k), dtype=np.float32)
    likers = by_item(by_user, n_items)
    users = squares(likers)
    norms = (users**kind.power, users ** (1 - kind.power), kind.shrink)
    with ThreadTeam(min(thread_count(), n_items)) as team:

        def work(me: int) -> None:
            exact = np.int32 if len(by_user.weights) == 0 else np.float64
            scratch = np.zeros(n_items, dtype=exact), np.zeros(n_items, dtype=np.int32)
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

    With weights |U_i ∩ U_j| is Σ_u w_ui·w_uj, and |U_i| is Σ_u w_ui². The asymmetric cosine of
    Aiolli, RecSys 2013; the cosine at a = ½. Shrinkage (Bell and Koren, ICDM 2007) keeps
    pairs that a few users happen to share from outranking well-supported ones.
    """
    first, second, shrink = norms
    return np.float32(together / (first[a] * second[b] + shrink))


@kernel
def _nearest(share, lists, norms, scratch, answer):
    """Fill rows me, me + step, .. of the answer; `scratch` has counts of all items, at zero."""
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
            elif precedes(near, b, points[0], nearest[0]):
                nearest[0], points[0] = b, near
                sift_down(nearest, points, size)


@inline
def _meet(item, likers, liked, counts, touched):
    """Count the users that each item shares with `item`; return how many items were touched."""
    met = 0
    (users, of_users), (items, of_items) = likers, liked
    for p in range(users.indptr[item], users.indptr[item + 1]):
        user = users.items[p]
        for q in range(items.indptr[user], items.indptr[user + 1]):
            b = items.items[q]
            if counts[b] == 0:
                touched[met] = b
                met += 1
            if len(of_items) == 0:
                counts[b] += 1
            else:
                counts[b] += np.float64(of_users[p]) * of_items[q]
    return met


@kernel
def sum_rows(users, liked, rows, out):
    """Add w_ui·rows[i] for each item i of each user to the user's row of `out`, i ascending."""
    lists, counts = liked
    for place in range(len(users)):
        for q in range(lists.indptr[users[place]], lists.indptr[users[place] + 1]):
            row, count = rows[lists.items[q]], count_at(counts, q)
            for j in range(len(row)):
                out[place, j] += count * row[j]


@kernel
def sum_sparse(users, liked, rows, out):
    """Do as `sum_rows` with the rows of a `Sparse`."""
    (indptr, items), weights = rows
    lists, counts = liked
    for place in range(len(users)):
        for q in range(lists.indptr[users[place]], lists.indptr[users[place] + 1]):
            item, count = lists.items[q], count_at(counts, q)
            for slot in range(indptr[item], indptr[item + 1]):
                out[place, items[slot]] += count * weights[slot]
