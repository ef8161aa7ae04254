"""What TransCF has learned, and who is alike, new or explained by it."""

from typing import NamedTuple

import numpy as np

from trimetric.engine.foldin import fold_in
from trimetric.engine.rows import padded_table
from trimetric.space.function import negative_distances
from trimetric.space.metric import Margins, MetricSpace

RADIUS = 1.0  # of the ball that rows are kept in
TEMPERATURE = 0.5  # of the softmax that places new users
NO_POINTS = {
    "fold-in": "each user has a space of their own; recommend_for places a new user in theirs",
}


class Translations(NamedTuple):
    """What is learned, and the means that follow from it: float32[n_users + n_items, width]."""

    rows: np.ndarray
    means: np.ndarray
    n_users: int
    dim: int
    margin: float

    def sides(self, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of users and of items of `rows` or `means`, float64."""
        wide = table[:, : self.dim].astype(np.float64)
        return wide[: self.n_users], wide[self.n_users :]


def similar_items(learned: Translations, items: np.ndarray) -> np.ndarray:
    """Return −d² between items as users see them, on average: float32 (b, n_items).

    A user u sees an item v at β_v − ᾱ_u ⊙ β̄_v; the mean of d² over users is that of `averaged`.
    """
    (_, vectors), (of_users, of_items) = learned.sides(learned.rows), learned.sides(learned.means)
    return negative_distances(averaged(vectors, -of_items, of_users), items)


def similar_users(learned: Translations, users: np.ndarray) -> np.ndarray:
    """Return −d² between users as items see them, at α_u + ᾱ_u ⊙ β̄_v, on average: (b, n_users)."""
    (vectors, _), (of_users, of_items) = learned.sides(learned.rows), learned.sides(learned.means)
    return negative_distances(averaged(vectors, of_users, of_items), users)


def averaged(points: np.ndarray, moves: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return points whose d² is the mean over rows o of `others` of that of points + o ⊙ moves.

    In each column the mean of (x + o·y)² is (x + m·y)² + s²·y², m and s being the mean and the
    standard deviation of o: float64 (n, 2·dim).
    """
    return np.hstack([points + others.mean(axis=0) * moves, others.std(axis=0) * moves])


def seen_by(
    learned: Translations, user: int | None, items: np.ndarray, weights: np.ndarray
) -> MetricSpace:
    """Return the space as a user sees it, items at β_v − ᾱ_u ⊙ β̄_v: D is d² to α_u there.

    For a new user ᾱ_u is the weighted mean of their items, and α_u is placed among these points.
    """
    users, vectors = learned.sides(learned.rows)
    of_users, of_items = learned.sides(learned.means)
    new = user is None
    mean = np.average(vectors[items], axis=0, weights=weights) if new else of_users[user]
    points = (vectors - mean * of_items).astype(np.float32)
    if new:
        given = np.array([0, len(items)]), items, weights
        point = fold_in(given, padded_table(points), TEMPERATURE, RADIUS, False)[0, : learned.dim]
    else:
        point = users[user].astype(np.float32)
    table = padded_table(np.concatenate([point[None], points]))
    return MetricSpace(table, 1, learned.dim, Margins(user_margin=learned.margin))
