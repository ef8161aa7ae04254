"""Made-up interactions whose truth is known, equal to the last bit on every machine.

Only draws of `trimetric.counter` and the operations + - * / and square root are used, each rounded
alone, because logarithms, powers and sums over an axis differ between libraries and processors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from trimetric import counter
from trimetric.data.bookshop import Bookshop, bookshop
from trimetric.data.ids import Vocabulary
from trimetric.data.interactions import Interactions
from trimetric.errors import ParameterError
from trimetric.keywords import check_count, check_seed, is_number

__all__ = ["Bookshop", "Planted", "bookshop", "planted", "scale"]

PLANTED, SCALE = 201, 202


@dataclass(frozen=True, eq=False)
class Planted:
    """Interactions drawn from a space, and that space.

    Attributes
    ----------
    interactions : Interactions
        Ids are "u0", "u1", ... and "i0", "i1", ..., padded with zeros; row r of an array below is
        row r of the vocabulary.
    users, items : float64[n, dim]
        True positions, in the unit ball.
    user_margins, item_margins : float64[n]
        In (0, 1]. The larger the margin, the narrower the taste, or the more particular the item.
    radii : float64[n_users]
        A user likes only items within this distance.
    user_clusters, item_clusters : int64[n]
        The cluster whose centre each was drawn around.
    """

    interactions: Interactions
    users: np.ndarray
    items: np.ndarray
    user_margins: np.ndarray
    item_margins: np.ndarray
    radii: np.ndarray
    user_clusters: np.ndarray
    item_clusters: np.ndarray


def planted(
    n_users: int = 2000,
    n_items: int = 800,
    *,
    dim: int = 8,
    clusters: int = 10,
    per_user: float = 30.0,
    spread: float = 0.25,
    seed: int = 0,
) -> Planted:
    """Plant users and items in a metric space and let each user like items nearby.

    Centres, users and items lie in the unit ball, the latter two scattered around centres. The
    catalogue has a popularity: the item of popularity rank r is noticed by a user with chance
    1 / (1 + 8 r / n_items). User u has a margin m_u, even in [.2, 1], and a taste that spans its
    closest b·(1.6 - m_u) items, b such that users like `per_user` items on average; it likes those
    of them that it notices, and its closest item. An item that nobody likes is liked by the closest
    user, so `radii` holds the farthest liked item where that lies outside the taste.

    Parameters
    ----------
    n_users, n_items : int
        At least 2 each.
    dim : int
        Dimensions of the space.
    clusters : int
        Number of centres; few users share one where it exceeds n_users.
    per_user : float
        Items liked by a user on average, at most n_items / 4.
    spread : float
        Distance scale of users and items around their centre, in (0, 1].
    seed : int

    Raises
    ------
    ParameterError
        If a setting is out of range.
    """
    _check_planted(n_users, n_items, dim, clusters, per_user, spread)
    n_users, n_items, dim, clusters = int(n_users), int(n_items), int(dim), int(clusters)
    per_user, spread, seed = float(per_user), float(spread), check_seed(seed)
    keys = [counter.key(seed, PLANTED, stream) for stream in range(8)]
    centres = _into_ball(counter.normal(keys[0], (clusters, dim)), 0.8)
    user_clusters = (counter.bits(keys[1], np.arange(n_users)) % np.uint64(clusters)).astype(int)
    item_clusters = (counter.bits(keys[2], np.arange(n_items)) % np.uint64(clusters)).astype(int)
    scale = spread / np.sqrt(dim)
    users = _into_ball(centres[user_clusters] + scale * counter.normal(keys[3], (n_users, dim)))
    items = _into_ball(centres[item_clusters] + scale * counter.normal(keys[4], (n_items, dim)))
    user_margins = 0.2 + 0.8 * counter.uniform(keys[5], np.arange(n_users))
    notice = np.empty(n_items)
    notice[counter.permutation(keys[6], n_items)] = 1 / (1 + 8 * np.arange(n_items) / n_items)
    # .275 is the mean chance of notice, ln(9)/8; 1 is the mean of 1.6 - m.
    reach = (per_user / 0.275 * (1.6 - user_margins)).astype(np.int64)
    liked, radii = _likes(users, items, np.clip(reach, 1, n_items), notice, keys[7])
    _befriend(liked, radii, users, items)
    rows, columns = np.nonzero(liked)
    interactions = Interactions.from_rows(
        _named("u", n_users), _named("i", n_items), rows, columns, name="planted"
    )
    return Planted(
        interactions,
        users,
        items,
        user_margins,
        item_margins=1 - 0.8 * notice,
        radii=radii,
        user_clusters=user_clusters,
        item_clusters=item_clusters,
    )


def scale(
    n_users: int, n_items: int, n_interactions: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a large set of pairs with skewed popularity, for measuring speed.

    User and item are independent; each is number floor(n·x²) for even x, and then renumbered at
    random, so the r-th most frequent has a chance close to 1 / sqrt(r). Repeats are redrawn.

    Returns
    -------
    users, items : int32[n_interactions]
        Sorted by (user, item), without repeats. Some users or items may have no pair.

    Raises
    ------
    ParameterError
        If more than a quarter of all pairs is asked for, or an argument is no whole number.
    """
    counts = {"n_users": n_users, "n_items": n_items, "n_interactions": n_interactions}
    for name, value in counts.items():
        check_count(name, value)
    n_users, n_items, n_interactions = map(int, counts.values())
    seed = check_seed(seed)
    if not 1 <= n_interactions <= n_users * n_items / 4:
        raise ParameterError(
            f"n_interactions must be in 1..n_users*n_items/4 = {n_users * n_items // 4:,},"
            f" got {n_interactions:,}"
        )
    of_user = counter.permutation(counter.key(seed, SCALE, 0), n_users)
    of_item = counter.permutation(counter.key(seed, SCALE, 1), n_items)
    pairs, start = np.empty(0, dtype=np.int64), 0
    while len(pairs) < n_interactions:
        # Drawing a tenth too many makes a second round rare.
        draws = np.arange(start, start + (n_interactions - len(pairs)) * 11 // 10 + 16)
        start += len(draws)
        user, item = (
            of[_squared(counter.uniform(counter.key(seed, SCALE, stream), draws), len(of))]
            for stream, of in ((2, of_user), (3, of_item))
        )
        pairs = np.unique(np.concatenate([pairs, user * n_items + item]))
    if len(pairs) > n_interactions:
        surplus = len(pairs) - n_interactions
        left_out = counter.permutation(counter.key(seed, SCALE, 4), len(pairs))[:surplus]
        pairs = np.delete(pairs, left_out)
    return (pairs // n_items).astype(np.int32), (pairs % n_items).astype(np.int32)


def _squared(even: np.ndarray, n: int) -> np.ndarray:
    return (even * even * n).astype(np.int64)


def _likes(
    users: np.ndarray, items: np.ndarray, reach: np.ndarray, notice: np.ndarray, key: np.uint64
) -> tuple[np.ndarray, np.ndarray]:
    """Return bool[n_users, n_items] of likes and the distance that each user's taste reaches."""
    n_users, n_items = len(users), len(items)
    liked = np.zeros((n_users, n_items), dtype=bool)
    radii = np.empty(n_users)
    for start in range(0, n_users, 256):
        block = np.arange(start, min(start + 256, n_users))
        d2 = _squared_distances(users[block], items)
        order = np.argsort(d2, axis=1, kind="stable")
        place = np.empty_like(order)
        np.put_along_axis(place, order, np.arange(n_items)[None, :], axis=1)
        cells = block[:, None] * n_items + np.arange(n_items)
        noticed = counter.uniform(key, cells) < notice
        liked[block] = ((place < reach[block, None]) & noticed) | (place == 0)
        last = np.take_along_axis(order, reach[block, None] - 1, axis=1)
        radii[block] = np.sqrt(np.take_along_axis(d2, last, axis=1)[:, 0])
    return liked, radii


def _befriend(liked: np.ndarray, radii: np.ndarray, users: np.ndarray, items: np.ndarray) -> None:
    """Give each item that nobody likes to the closest user; changes `liked` and `radii`."""
    for item in np.flatnonzero(~liked.any(axis=0)):
        d2 = _squared_distances(users, items[item : item + 1])[:, 0]
        user = int(np.argmin(d2))
        liked[user, item] = True
        radii[user] = max(radii[user], np.sqrt(d2[user]))


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    total = np.zeros((len(a), len(b)))
    for left, right in zip(a.T, b.T, strict=True):
        difference = left[:, None] - right[None, :]
        total += difference * difference
    return total


def _into_ball(points: np.ndarray, radius: float = 1.0) -> np.ndarray:
    norms = np.sqrt(_squared_distances(points, np.zeros((1, points.shape[1]))))
    return points * np.minimum(1.0, radius / np.maximum(norms, 1e-300))


def _named(letter: str, n: int) -> Vocabulary:
    width = len(str(n - 1))
    return Vocabulary(pl.Series("id", [f"{letter}{row:0{width}}" for row in range(n)]))


def _check_planted(
    n_users: int, n_items: int, dim: int, clusters: int, per_user: float, spread: float
) -> None:
    for name, value, least in (
        ("n_users", n_users, 2),
        ("n_items", n_items, 2),
        ("dim", dim, 1),
        ("clusters", clusters, 1),
    ):
        check_count(name, value, least=least)
    if not is_number(per_user) or not 0 < per_user <= n_items / 4:
        most = f"n_items/4 = {n_items / 4}"
        raise ParameterError(f"per_user must be in (0, {most}], got {per_user!r}")
    if not is_number(spread) or not 0 < spread <= 1:
        raise ParameterError(f"spread must be in (0, 1], got {spread!r}")
