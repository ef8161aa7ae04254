"""Sampling of positive pairs and of negative items, those the user has no interaction with.

Positives come once an epoch each, or in proportion to their weights. Negatives come from the whole
catalogue, or from a pool of items of each user's own. Every draw is a pure function of (key,
triplet, attempt): see `trimetric.engine.rng`.
"""

from typing import NamedTuple

import numpy as np

from trimetric.data.csr import Csr
from trimetric.engine.compile import inline, kernel
from trimetric.engine.rng import below, bits, mix, scaled, shuffled

UNIFORM, POPULARITY, HARDEST = 0, 1, 2
NEGATIVES = {"uniform": UNIFORM, "popularity": POPULARITY, "hardest": HARDEST}
DRAWS_PER_TRIPLET = 1 << 16  # counters of one triplet; the last one is the exact fallback's
POSITIVE_NOISE = DRAWS_PER_TRIPLET - 2  # the counter that gives the noise of the positive
POSITIVE_DRAW = DRAWS_PER_TRIPLET - 3  # the counter that draws the positive by its weight
UNIFORM_ATTEMPTS = 8
POPULARITY_ATTEMPTS = 32
_FILTER_BITS = 16  # per interaction
_SIX, _WORD, _ONE, _SHIFT = np.uint64(6), np.uint64(63), np.uint64(1), np.uint64(32)
_UPPER, _STEP = np.uint64(40), 2.0**-24  # the upper 24 bits of a word as a number below 1


class Positives(NamedTuple):
    """The training interactions, sorted by (user, item), and a filter that rules most pairs out.

    With pools, a user's negatives are drawn from the user's pool alone; without, `pool_indptr` has
    length 0. Item i of the pools has `pool_mass[i + 1] - pool_mass[i]` training interactions.
    """

    users: np.ndarray  # int32[p]
    items: np.ndarray  # int32[p]
    indptr: np.ndarray  # int64[n_users + 1]
    filter: np.ndarray  # uint64[2**k], 16 to 32 bits per interaction
    pool_indptr: np.ndarray  # int64[n_users + 1], or [0] without pools
    pool_items: np.ndarray  # int32[q], ascending within a user, none of them the user's own
    pool_mass: np.ndarray  # int64[q + 1]: running sum of the interactions of `pool_items`
    weights: np.ndarray  # float32[p]: how much each interaction counts; [0] where all count 1
    mass: np.ndarray  # float64[p + 1]: running sum of `weights`; [0] without


def positives(
    users: np.ndarray,
    items: np.ndarray,
    indptr: np.ndarray,
    pool: tuple[np.ndarray, np.ndarray] | None = None,
    weights: np.ndarray | None = None,
) -> Positives:
    """Return the interactions with their filter: one hashed bit each (Bloom, 1970).

    Parameters
    ----------
    users, items : int32[p]
        Pairs, ascending by (user, item), distinct.
    indptr : int64[n_users + 1]
        Where each user's pairs begin.
    pool : (int64[n_users + 1], int32[q]), optional
        In compressed rows, the items that each user's negatives are drawn from, ascending and
        distinct within a user. Those that the user has interacted with are removed. A user left
        with none has no negative.
    weights : float32[p], optional
        How much each interaction counts, above 0: 2 is as if it were there twice.
    """
    users, items, indptr = (read_only(array) for array in (users, items, indptr))
    words = 1 << max(0, (len(users) * _FILTER_BITS - 1).bit_length() - 6)
    bits = np.zeros(words, dtype=np.uint64)
    _fill_filter(users, items, bits)
    counted = np.zeros(0, dtype=np.float32), np.zeros(0)
    if weights is not None:
        counted = weights, np.concatenate([[0.0], np.cumsum(weights, dtype=np.float64)])
    if pool is None:
        pools = Csr(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32))
        mass = np.zeros(1, dtype=np.int64)
    else:
        pools = Csr(*pool)
        pools = pools.keep(~Csr(indptr, items).contains(pools))
        popularity = np.bincount(items, minlength=int(pools[1].max(initial=-1)) + 1)
        mass = np.concatenate([[0], np.cumsum(popularity[pools[1]])]).astype(np.int64)
    rest = (bits, *pools, mass, *counted)
    return Positives(users, items, indptr, *(read_only(array) for array in rest))


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a view that is read only: with writable arrays kernels would be compiled once more."""
    view = array.view()
    view.flags.writeable = False
    return view


@inline
def positive_pair(sample, positives, settings):
    """Return which interaction is the positive of sample number `sample` of an epoch.

    Each comes once, in the epoch's random order. With weights the n samples of the epoch stand for
    n equal parts of their sum, in that order, and a random point of the part decides: an
    interaction comes n·w/Σw times on average. Equal weights give the same samples as none, where
    n is the number of interactions.
    """
    place = shuffled(sample, settings.order)
    if len(positives.mass) == 0:
        return place
    mass, count = positives.mass, len(positives.users)
    word = bits(settings.draws, sample * DRAWS_PER_TRIPLET + POSITIVE_DRAW)
    point = (place + np.float64(word >> _UPPER) * _STEP) * (mass[count] / settings.samples)
    found = 0
    while count > 1:  # no branch on the comparison: it could not be predicted
        half = count >> 1
        found += half * (mass[found + half] <= point)
        count -= half
    return np.int64(found)


@inline
def _filter_bit(user, item, bits):
    """Return the filter's word for a pair, and the bit within it."""
    hashed = mix((np.uint64(user) << _SHIFT) | np.uint64(item))
    return (hashed >> _SIX) & np.uint64(len(bits) - 1), _ONE << (hashed & _WORD)


@kernel
def _fill_filter(users, items, bits):
    for i in range(len(users)):
        word, bit = _filter_bit(users[i], items[i], bits)
        bits[word] |= bit


@inline
def interacted(item, user, positives):
    """Return whether `item` is among the user's training items.

    The filter rules most pairs out by one read; a binary search decides the rest.
    """
    word, bit = _filter_bit(user, item, positives.filter)
    if positives.filter[word] & bit == 0:
        return False
    indptr, items = positives.indptr, positives.items
    low, count = indptr[user], indptr[user + 1] - indptr[user]
    if count == 0:
        return False
    while count > 1:  # no branch on the comparison: it could not be predicted
        half = count >> 1
        low += half * (items[low + half] <= item)
        count -= half
    return items[low] == item


@inline
def missing_item(rank, user, indptr, items):
    """Return item number `rank`, counted from 0, of those the user has not interacted with.

    It is `rank` plus the number of the user's items that come before it: the user's item number i,
    counted from 0, does if items[i] − i <= rank.
    """
    start, count = indptr[user], indptr[user + 1] - indptr[user]
    before = 0
    while count > 0:
        half = (count + 1) >> 1
        before += half * (items[start + before + half - 1] - (before + half - 1) <= rank)
        count -= half
    return np.int64(rank + before)


@inline
def candidate_range(user, positives, n_items):
    """Return where the user's pool starts and its size; without pools, 0 and `n_items`."""
    if len(positives.pool_indptr) == 0:
        return np.int64(0), np.int64(n_items)
    start = positives.pool_indptr[user]
    return start, positives.pool_indptr[user + 1] - start


@inline
def candidate(word, start, size, positives):
    """Return one item of a `candidate_range`, by the upper half of a random word.

    Each is equally likely; `size` is not 0. Without pools it may be one of the user's own items.
    """
    item = scaled(word, size)
    if len(positives.pool_indptr) == 0:
        return item
    return np.int64(positives.pool_items[start + item])


@inline
def uniform_negative(key, triplet, user, positives, n_items):
    """Draw one item the user has not interacted with, each equally likely; -1 if there is none.

    Up to eight uniform items are drawn, of which the user's own are rejected; after that (a user
    who has most items) one draw among the missing items decides, which bounds the cost. A pool
    holds none of the user's own items, so that its first draw is accepted.
    """
    start, size = candidate_range(user, positives, n_items)
    if size == 0:
        return np.int64(-1)
    for attempt in range(UNIFORM_ATTEMPTS):
        word = bits(key, triplet * DRAWS_PER_TRIPLET + attempt)
        item = candidate(word, start, size, positives)
        if not interacted(item, user, positives):
            return item
    indptr, items = positives.indptr, positives.items
    missing = n_items - (indptr[user + 1] - indptr[user])
    if missing <= 0:
        return np.int64(-1)
    rank = below(key, triplet * DRAWS_PER_TRIPLET + DRAWS_PER_TRIPLET - 1, missing)
    return missing_item(rank, user, indptr, items)


@inline
def popular_negative(key, triplet, user, positives, n_items):
    """Draw an item in proportion to its training interactions, among those the user lacks.

    The item of a random interaction is drawn; the user's own are rejected. After 32 rejections (a
    user who has every popular item) the draw is uniform. From a pool the draw is exact, and uniform
    where none of its items has an interaction.
    """
    if len(positives.pool_indptr) > 0:
        return popular_pool_negative(key, triplet, user, positives, n_items)
    items = positives.items
    for attempt in range(POPULARITY_ATTEMPTS):
        item = np.int64(items[below(key, triplet * DRAWS_PER_TRIPLET + attempt, len(items))])
        if not interacted(item, user, positives):
            return item
    return uniform_negative(key, triplet, user, positives, n_items)


@inline
def popular_pool_negative(key, triplet, user, positives, n_items):
    """Draw one interaction with the items of the user's pool, and return its item."""
    mass, start = positives.pool_mass, positives.pool_indptr[user]
    count = positives.pool_indptr[user + 1] - start
    total = mass[start + count] - mass[start]
    if total == 0:
        return uniform_negative(key, triplet, user, positives, n_items)
    position = mass[start] + below(key, triplet * DRAWS_PER_TRIPLET, total)
    while count > 1:
        half = count >> 1
        start += half * (mass[start + half] <= position)
        count -= half
    return np.int64(positives.pool_items[start])
