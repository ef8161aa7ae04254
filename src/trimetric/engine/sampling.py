"""Negative items: drawn where the user has no training interaction.

`indptr` (int64) and `items` (int32, ascending within a user) are the training interactions by
user. Every draw is a pure function of (key, triplet, attempt): see `trimetric.engine.random`.
"""

import numpy as np

from trimetric.engine.policy import inline
from trimetric.engine.random import below

UNIFORM, POPULARITY, HARDEST = 0, 1, 2
ATTEMPTS = 1 << 16  # counters kept apart for one triplet; the last one is the uniform fallback's
POPULARITY_ATTEMPTS = 32


@inline
def interacted(item, user, indptr, items):
    """Tell whether `item` is among the user's training items."""
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
def uniform_negative(key, triplet, user, positives, n_items):
    """Draw one item the user has not interacted with, each equally likely; -1 if there is none.

    One draw and one search: nothing is rejected, so a user with nearly every item costs no more.
    """
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
    (a user who has all that is popular) the draw is uniform.
    """
    indptr, items = positives.indptr, positives.items
    for attempt in range(POPULARITY_ATTEMPTS):
        item = np.int64(items[below(key, triplet * ATTEMPTS + attempt, len(items))])
        if not interacted(item, user, indptr, items):
            return item
    return uniform_negative(key, triplet, user, positives, n_items)
