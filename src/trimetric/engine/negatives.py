"""Negative items: drawn where the user has no training interaction.

They come from the whole catalogue, or from a pool of items that each user is given.

Every draw is a pure function of (key, triplet, attempt): see `trimetric.engine.rng`.
"""

from typing import NamedTuple

import numpy as np

from trimetric.data.csr import Csr
from trimetric.engine.compile import inline, kernel
from trimetric.engine.rng import below, bits, mix, scaled

UNIFORM, POPULARITY, HARDEST = 0, 1, 2
ATTEMPTS = 1 << 16  # counters kept apart for one triplet; the last one is the exact fallback's
OWN_NOISE = ATTEMPTS - 2  # the counter that gives the noise of the positive
UNIFORM_ATTEMPTS = 8
POPULARITY_ATTEMPTS = 32
_BITS = 16  # of the filter, for each interaction
_SIX, _WORD, _ONE, _SHIFT = np.uint64(6), np.uint64(63), np.uint64(1), np.uint64(32)


class Positives(NamedTuple):
    """The training interactions, sorted by (user, item), and a filter that knows most absences.

    With pools, a user's negatives are drawn from nothing else; without, `pool_indptr` has length
    0. Pool entry number i holds `pool_mass[i + 1] - pool_mass[i]` training interactions.
    """

    users: np.ndarray  # int32[p]
    items: np.ndarray  # int32[p]
    indptr: np.ndarray  # int64[n_users + 1]
    filter: np.ndarray  # uint64[2**k], 16 to 32 bits an interaction
    pool_indptr: np.ndarray  # int64[n_users + 1], or [0] without pools
    pool_items: np.ndarray  # int32[q], ascending within a user, none of them the user's own
    pool_mass: np.ndarray  # int64[q + 1]: running sum of the interactions of `pool_items`


def positives(
    users: np.ndarray,
    items: np.ndarray,
    indptr: np.ndarray,
    pool: tuple[np.ndarray, np.ndarray] | None = None,
) -> Positives:
    """Return the interactions with their filter: one hashed bit each (Bloom, 1970).

    Parameters
    ----------
    users, items : int32[p]
        Pairs, ascending by (user, item), distinct.
    indptr : int64[n_users + 1]
        Where each user's pairs begin.
    pool : (int64[n_users + 1], int32[q]), optional
        In compressed rows, the only items that each user's negatives may be; ascending and
        distinct within a user. Those that the user has interacted with are taken out. A user left
        with none has no negative.
    """
    words = 1 << max(0, (len(users) * _BITS - 1).bit_length() - 6)
    bits = np.zeros(words, dtype=np.uint64)
    _fill_filter(users, items, bits)
    if pool is None:
        nothing = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32)
        return Positives(users, items, indptr, bits, *nothing, np.zeros(1, dtype=np.int64))
    given = Csr(*pool)
    pools = given.keep(~Csr(indptr, items).contains(given))
    popularity = np.bincount(items, minlength=int(pools[1].max(initial=-1)) + 1)
    mass = np.concatenate([[0], np.cumsum(popularity[pools[1]])]).astype(np.int64)
    return Positives(users, items, indptr, bits, *pools, mass)


@inline
def _place(user, item, bits):
    """Return the word and the bit of the filter that stand for a pair."""
    hashed = mix((np.uint64(user) << _SHIFT) | np.uint64(item))
    return (hashed >> _SIX) & np.uint64(len(bits) - 1), _ONE << (hashed & _WORD)


@kernel
def _fill_filter(users, items, bits):
    for i in range(len(users)):
        word, bit = _place(users[i], items[i], bits)
        bits[word] |= bit


@inline
def interacted(item, user, positives):
    """Tell whether `item` is among the user's training items.

    The filter answers most questions with one look; a search confirms the rest.
    """
    word, bit = _place(user, item, positives.filter)
    if positives.filter[word] & bit == 0:
        return False
    indptr, items = positives.indptr, positives.items
    low, count = indptr[user], indptr[user + 1] - indptr[user]
    if count == 0:
        return False
    while count > 1:  # halving without a branch on the comparison, which would be a coin toss
        half = count >> 1
        low += half * (items[low + half] <= item)
        count -= half
    return items[low] == item


@inline
def missing_item(rank, user, indptr, items):
    """Return the item with `rank` (from 0) among those the user has not interacted with.

    It is `rank` more than how many of the user's items come before it: item number i of the user,
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
def drawn_from(user, positives, n_items):
    """Return where the user's pool starts and its size; without pools, 0 and `n_items`."""
    if len(positives.pool_indptr) == 0:
        return np.int64(0), np.int64(n_items)
    start = positives.pool_indptr[user]
    return start, positives.pool_indptr[user + 1] - start


@inline
def proposed(word, start, size, positives):
    """Return one of the items that `drawn_from` delimits, by the upper half of a random word.

    Each is equally likely; `size` is not 0. Without pools it may be an item of the user.
    """
    item = scaled(word, size)
    if len(positives.pool_indptr) == 0:
        return item
    return np.int64(positives.pool_items[start + item])


@inline
def uniform_negative(key, triplet, user, positives, n_items):
    """Draw one item the user has not interacted with, each equally likely; -1 if there is none.

    Eight uniform items are proposed, of which the user's own are rejected; after that (a user who
    has most items) one draw among the missing items decides, so that none costs more. A pool
    holds none of the user's own: its first proposal stands.
    """
    start, size = drawn_from(user, positives, n_items)
    if size == 0:
        return np.int64(-1)
    for attempt in range(UNIFORM_ATTEMPTS):
        word = bits(key, triplet * ATTEMPTS + attempt)
        item = proposed(word, start, size, positives)
        if not interacted(item, user, positives):
            return item
    indptr, items = positives.indptr, positives.items
    missing = n_items - (indptr[user + 1] - indptr[user])
    if missing <= 0:
        return np.int64(-1)
    rank = below(key, triplet * ATTEMPTS + ATTEMPTS - 1, missing)
    return missing_item(rank, user, indptr, items)


@inline
def popular_negative(key, triplet, user, positives, n_items):
    """Draw an item in proportion to its training interactions, among those the user lacks.

    The item of a random interaction is proposed; the user's own are rejected. After 32 rejections
    (a user who has all that is popular) the draw is uniform. From a pool the draw is exact, and
    uniform where none of its items has an interaction.
    """
    if len(positives.pool_indptr) > 0:
        return popular_of_pool(key, triplet, user, positives, n_items)
    items = positives.items
    for attempt in range(POPULARITY_ATTEMPTS):
        item = np.int64(items[below(key, triplet * ATTEMPTS + attempt, len(items))])
        if not interacted(item, user, positives):
            return item
    return uniform_negative(key, triplet, user, positives, n_items)


@inline
def popular_of_pool(key, triplet, user, positives, n_items):
    """Draw one interaction of the items of the user's pool, and return its item."""
    mass, start = positives.pool_mass, positives.pool_indptr[user]
    count = positives.pool_indptr[user + 1] - start
    total = mass[start + count] - mass[start]
    if total == 0:
        return uniform_negative(key, triplet, user, positives, n_items)
    place = mass[start] + below(key, triplet * ATTEMPTS, total)
    while count > 1:
        half = count >> 1
        start += half * (mass[start + half] <= place)
        count -= half
    return np.int64(positives.pool_items[start])
