"""Measures of lists that do not ask whether they were right.

Every function takes `lists`, int32 (m, k): item rows by rank for each of m users, -1 past the end
of a short list, as `Scorer.nearest` returns them. Unless it says otherwise, the mean is taken over
a user's list first and then over the users, each counting the same; users with an empty list, or
for whom a measure has no value, do not count, and the result is NaN where nobody counts. Sums are
in a fixed order: no result depends on the number of threads.
"""

import numpy as np

from trimetric.data.csr import Csr, among, keys
from trimetric.errors import ParameterError

SMOOTHING = 0.01  # α of Steck 2018
CELLS = 2**22  # numbers handled at a time, to bound memory; changes no result


def item_coverage(lists: np.ndarray, n_items: int) -> float:
    """Catalogue coverage: |union of all lists| / n_items.

    In 0..1; 1 if every item is in somebody's list. Lists of k for m users can reach m·k / n_items
    at most. Ge, Delgado-Battenfeld and Jannach, RecSys 2010.
    """
    return float(np.count_nonzero(exposure(lists, n_items)) / n_items) if n_items else float("nan")


def gini(lists: np.ndarray, n_items: int) -> float:
    """Gini index of exposure: Σ_i (2i − n − 1) x_i / (n Σ x).

    x_1 <= ... <= x_n are the numbers of lists that hold each of the n items, those of items that
    nobody gets being 0. From 0, all items equally often, to (n − 1) / n, one item alone. NaN
    without a listed item. Gini 1912; for recommenders Fleder and Hosanagar, Management Science
    2009.
    """
    counts = np.sort(exposure(lists, n_items)).astype(np.float64)
    total = counts.sum()
    if total == 0:
        return float("nan")
    place = np.arange(1, n_items + 1)
    return float(((2 * place - n_items - 1) * counts).sum() / (n_items * total))


def novelty(lists: np.ndarray, popularity: np.ndarray, n_users: int) -> float:
    """Mean self-information, in bits: −log2 p(i), p(i) = popularity_i / n_users.

    From 0, everybody has the items, to log2 n_users. Items that nobody has count as if one user
    had them. Zhou et al., PNAS 2010; Vargas and Castells, RecSys 2011.

    Parameters
    ----------
    popularity : int64 (n_items,)
        How many users of the training data have each item.
    n_users : int
        How many users the training data has.
    """
    bits = -np.log2(np.maximum(popularity, 1) / max(n_users, 1))
    return _mean(_means(lists, bits))


def average_popularity(lists: np.ndarray, popularity: np.ndarray) -> float:
    """Average popularity of what is listed: how many users have it.

    At least 0. Yin et al., VLDB 2012 (ARP).

    Parameters
    ----------
    popularity : int64 (n_items,)
    """
    return _mean(_means(lists, popularity.astype(np.float64)))


def popularity_lift(lists: np.ndarray, histories: Csr, popularity: np.ndarray) -> float:
    """Popularity lift: (GAP of lists − GAP of histories) / GAP of histories.

    GAP, the group average popularity, is the mean over users of the mean popularity of the items in
    their list, or history. 0 if lists are as popular as what these users have, 1 if twice as
    popular, at least -1. Users with an empty list or history do not count. Abdollahpouri et al.,
    RMSE workshop at RecSys 2019.

    Parameters
    ----------
    histories : Csr with m rows
        What each of the m users has.
    popularity : int64 (n_items,)
    """
    mine = _means(lists, popularity.astype(np.float64))
    totals = np.bincount(
        histories.users, weights=popularity[histories.items], minlength=histories.n_users
    )
    theirs = _divided(totals, histories.counts)
    both = ~np.isnan(mine) & ~np.isnan(theirs)
    before = theirs[both].sum()
    return float((mine[both].sum() - before) / before) if before > 0 else float("nan")


def intra_list_distance(lists: np.ndarray, points: np.ndarray) -> float:
    """Intra-list distance: mean of d² = ‖β_i − β_j‖² over the pairs of items in a list.

    At least 0; its scale is that of the space, so that only lists measured in one space compare.
    Users with fewer than two items that have points do not count. Ziegler et al., WWW 2005;
    Zhang and Hurley, RecSys 2008; d² is equation (1) of Li et al., AAAI 2020.

    Parameters
    ----------
    points : float (n_items, dim)
        NaN where an item has no point.
    """
    table = points.astype(np.float64)

    def distance(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return np.square(table[left] - table[right]).sum(axis=-1)

    return _mean(_over_pairs(lists, distance, table.shape[1]))


def intra_list_dissimilarity(lists: np.ndarray, values: np.ndarray) -> float:
    """Intra-list diversity by a column: mean of 1 − |A ∩ B| / |A ∪ B| over the pairs in a list.

    A and B are the values of two items: one each makes it the share of pairs with different ones.
    In 0..1. Pairs of which an item has no value do not count. Jaccard 1912; Vargas and Castells,
    RecSys 2011.

    Parameters
    ----------
    values : int32 (n_items, w)
        Codes of each item's distinct values, filled up with -1.
    """
    sizes = (values >= 0).sum(axis=1)

    def dissimilarity(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        a, b = values[left], values[right]
        common = ((a[:, :, None] == b[:, None, :]) & (a >= 0)[:, :, None]).sum(axis=(1, 2))
        n_left, n_right = sizes[left], sizes[right]
        similar = _divided(common.astype(np.float64), n_left + n_right - common)
        return np.where((n_left > 0) & (n_right > 0), 1 - similar, np.nan)

    return _mean(_over_pairs(lists, dissimilarity, values.shape[1] ** 2))


def calibration(
    lists: np.ndarray, histories: Csr, values: np.ndarray, smoothing: float = SMOOTHING
) -> float:
    """Miscalibration by a column: KL(p, q) = Σ_g p(g) ln(p(g) / ((1 − α) q(g) + α p(g))).

    p is the distribution of the values g over a user's history, q over the list; an item with
    several values gives an equal share to each, one without any gives none. 0 if the list has the
    proportions of the history; −ln α at most. Users with no value in either do not count. Steck,
    RecSys 2018, equations (2)-(5), with weights of 1.

    Parameters
    ----------
    histories : Csr with m rows
    values : int32 (n_items, w)
        Codes of each item's distinct values, filled up with -1.
    smoothing : float
        α, in (0, 1).

    Raises
    ------
    ParameterError
        `smoothing` is not in (0, 1).
    """
    if not 0 < smoothing < 1:
        raise ParameterError(f"smoothing must be above 0 and below 1, got {smoothing!r}")
    n_values = int(values.max(initial=-1)) + 1
    found = np.full(len(lists), np.nan)
    step = max(1, CELLS // max(n_values, 1))
    for low in range(0, len(lists), step):
        rows = np.arange(low, min(low + step, len(lists)))
        block = lists[rows]
        owners, _ = np.nonzero(block >= 0)
        mine = histories.take(rows)
        p = _shares(mine.users, mine.items, values, (len(rows), n_values))
        q = _shares(owners, block[block >= 0], values, (len(rows), n_values))
        mixed = (1 - smoothing) * q + smoothing * p
        ratio = np.divide(p, mixed, out=np.ones_like(p), where=p > 0)
        divergence = (p * np.log(ratio)).sum(axis=1)
        valued = (p.sum(axis=1) > 0) & (q.sum(axis=1) > 0)
        found[rows] = np.where(valued, np.maximum(divergence, 0), np.nan)
    return _mean(found)


def serendipity(lists: np.ndarray, held: Csr, reference: np.ndarray) -> float:
    """Serendipity: |L ∩ held \\ R| / |L|, R being a reference's list for the same user.

    What was right in a list and would not have been in that of the reference, such as the most
    popular items. In 0..1, and never above the share of a list that was right. Ge,
    Delgado-Battenfeld and Jannach, RecSys 2010, with a hit as what is useful.

    Parameters
    ----------
    held : Csr with m rows
        Held-out items of each of the m users.
    reference : int32 (m, r)
        Lists as `lists`.
    """
    users = np.broadcast_to(np.arange(len(lists))[:, None], lists.shape)
    entries = keys(users, np.maximum(lists, 0))
    others = np.broadcast_to(np.arange(len(reference))[:, None], reference.shape)
    expected = np.sort(keys(others[reference >= 0], reference[reference >= 0]))
    useful = among(keys(held.users, held.items), entries) & ~among(expected, entries)
    useful &= lists >= 0
    return _mean(_divided(useful.sum(axis=1).astype(np.float64), (lists >= 0).sum(axis=1)))


def exposure(lists: np.ndarray, n_items: int) -> np.ndarray:
    """Return the number of lists that hold each item, int64 (n_items,)."""
    return np.bincount(lists[lists >= 0], minlength=n_items)


def _shares(
    owners: np.ndarray, items: np.ndarray, values: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Return the distribution of values over each owner's items, float64 `shape`; 0 without."""
    codes = values[items]
    entry, _ = np.nonzero(codes >= 0)
    weight = 1 / np.maximum((codes >= 0).sum(axis=1), 1)
    cells = owners[entry].astype(np.int64) * shape[1] + codes[codes >= 0]
    sums = np.bincount(cells, weights=weight[entry], minlength=shape[0] * shape[1])
    sums = sums.reshape(shape).astype(np.float64)  # of no weights the sums are int64
    total = sums.sum(axis=1, keepdims=True)
    return np.divide(sums, total, out=np.zeros_like(sums), where=total > 0)


def _over_pairs(lists: np.ndarray, between: object, width: int) -> np.ndarray:
    """Return the mean of a function of two items over the pairs of each list, float64 (m,)."""
    m, k = lists.shape
    totals, counts = np.zeros(m), np.zeros(m, dtype=np.int64)
    step = max(1, CELLS // max(width, 1))
    for low in range(0, m, step):
        block = lists[low : low + step]
        for i in range(k):
            for j in range(i + 1, k):
                rows = np.flatnonzero((block[:, i] >= 0) & (block[:, j] >= 0))
                value = between(block[rows, i], block[rows, j])  # type: ignore[operator]
                there = ~np.isnan(value)
                totals[low + rows[there]] += value[there]
                counts[low + rows[there]] += 1
    return _divided(totals, counts)


def _means(lists: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the mean of a value of items over each list, NaN for an empty one: float64 (m,)."""
    there = lists >= 0
    return _divided(np.where(there, values[lists], 0).sum(axis=1), there.sum(axis=1))


def _divided(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)


def _mean(values: np.ndarray) -> float:
    counted = values[~np.isnan(values)]
    return float(counted.mean()) if len(counted) else float("nan")
