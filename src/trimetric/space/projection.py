"""A map of a metric space: its items and users on a plane, and how much of the space it keeps.

Items are laid out by `space.tsne`; of more than `LAID_OUT` only the most popular, among whom
the others are placed. A user is placed among the items nearest to it, so that on the map too the
nearest items are what is recommended. `benchmarks/projection.py` measures it beside principal
components and libraries.
"""

from typing import NamedTuple

import numpy as np

from trimetric.engine.topk import held_out_ranks, top_k
from trimetric.space.known import Known
from trimetric.space.metric import MetricSpace
from trimetric.space.scorer import with_itself
from trimetric.space.tsne import lay_out, principal_plane

LAID_OUT = 8192
MAX_SHOWN = 20_000
"""How many items, the most popular, and how many users, the most active, are on the map."""

NEIGHBOURS = 15  # of the layout
AMONG = 10  # the items that place a user
K = 10  # of the quality
METHOD = "t-SNE of the items, users among their nearest items"


class Projection(NamedTuple):
    """A space on a plane.

    Parameters
    ----------
    items, users : int64
        Rows of the model that are shown, most popular and most active first.
    item_places, user_places : float32 (n, 2)
        Where they are; the scale has no meaning.
    quality : dict
        See `quality`.
    """

    items: np.ndarray
    users: np.ndarray
    item_places: np.ndarray
    user_places: np.ndarray
    quality: dict[str, float]


def project(space: MetricSpace, known: Known) -> Projection:
    """Lay the items and users of a space out on a plane.

    The most popular items and the most active users are shown.
    """
    items = np.argsort(-known.popularity, kind="stable")[:MAX_SHOWN]
    users = np.argsort(-known.seen.counts, kind="stable")[:MAX_SHOWN]
    points, people = space.items[items], space.users[users]
    core = points[:LAID_OUT]
    nearest, _ = top_k(core, core, NEIGHBOURS, with_itself(np.arange(len(core)), None))
    laid_out = lay_out(nearest[:, : len(core) - 1], principal_plane(core))
    item_places = np.concatenate([laid_out, among(points[LAID_OUT:], core, laid_out)])
    user_places = among(people, points, item_places)
    measured = quality((points, people), (item_places, user_places))
    return Projection(items, users, item_places, user_places, measured)


def among(queries: np.ndarray, points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Place queries (m, d) on a plane where points (n, d) have places (n, 2).

    Each goes where most of its nearest points are: from their median by ten steps to the centre
    of a Cauchy distribution fitted to them, which a few far away do not move.
    """
    nearest, _ = top_k(queries, points, AMONG)
    theirs = places[nearest]
    centre = np.median(theirs, axis=1).astype(np.float32)
    for _ in range(10):
        away = theirs - centre[:, None]
        weights = 1 / (1 + away[..., 0] ** 2 + away[..., 1] ** 2)
        total = weights.sum(axis=1)
        for axis in range(2):
            centre[:, axis] = (weights * theirs[..., axis]).sum(axis=1) / total
    return centre


def quality(
    space: tuple[np.ndarray, np.ndarray],
    plane: tuple[np.ndarray, np.ndarray],
) -> dict[str, float]:
    """Measure what a plane keeps of a space, both given as (items, users).

    Returns
    -------
    dict
        neighbours: how many are looked at, k, 10 or all others.
        items, users: the share of an item's, a user's k nearest items in the space that are among
        its k nearest on the plane, mean over all.
        trustworthiness: 1 − 2 / (n k (2n − 3k − 1)) Σ_i Σ_j max(0, r(i, j) − k), where j runs over
        the k items nearest to i on the plane and r is the rank of j in the space (Venna and Kaski,
        ICANN 2001); 1 is perfect, .5 is chance. Only for k < n / 2, where it is between 0 and 1.
    """
    (items, users), (item_places, user_places) = space, plane
    n = len(items)
    k, itself = min(K, n - 1), with_itself(np.arange(n), None)
    measured: dict[str, float] = {"neighbours": k}
    if k < 1:
        return measured
    near, _ = top_k(items, items, k, itself)
    shown, _ = top_k(item_places, item_places, k, itself)
    measured["items"] = _shared(near, shown)
    near, _ = top_k(users, items, k)
    measured["users"] = _shared(near, top_k(user_places, item_places, k)[0])
    if 2 * k < n:
        held = np.arange(n + 1, dtype=np.int64) * k, np.sort(shown, axis=1).ravel()
        ranks = held_out_ranks(items, items, held, itself)
        beyond = int(np.maximum(ranks.astype(np.int64) - k, 0).sum())
        measured["trustworthiness"] = 1 - 2 * beyond / (n * k * (2 * n - 3 * k - 1))
    return measured


def _shared(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean share of a row of `first` that is in the same row of `second`."""
    hits = (first[:, :, None] == second[:, None, :]).any(axis=2)
    return float(hits.mean()) if hits.size else 1.0
