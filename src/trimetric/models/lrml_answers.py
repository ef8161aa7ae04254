"""What LRML has learned, and who is alike, new or explained by it."""

from typing import NamedTuple

import numpy as np

from trimetric.engine.foldin import fold_in
from trimetric.engine.rows import padded_table
from trimetric.space.function import negative_distances
from trimetric.space.metric import Margins, MetricSpace

RADIUS = 1.0  # of the ball that rows are kept in
TEMPERATURE = 0.5  # of the softmax that places new users
ROUNDS = 5  # of a new user's relations and their place in turn
NO_POINTS = {
    "fold-in": "each user has a space of their own; recommend_for places a new user in theirs",
}


class Relations(NamedTuple):
    """What is learned."""

    rows: np.ndarray  # float32[n_users + n_items, width]
    slots: np.ndarray  # float32[2 · slots, width]: the keys, then the memory
    n_users: int
    n_slots: int
    dim: int
    margin: float


def similar_items(learned: Relations, items: np.ndarray) -> np.ndarray:
    """Return −‖β_v − β_w‖² of items, float32 (b, n_items)."""
    return negative_distances(learned.rows[learned.n_users :, : learned.dim], items)


def similar_users(learned: Relations, users: np.ndarray) -> np.ndarray:
    """Return −‖α_u − α_w‖² of users, float32 (b, n_users)."""
    return negative_distances(learned.rows[: learned.n_users, : learned.dim], users)


def seen_by(
    learned: Relations, user: int | None, items: np.ndarray, weights: np.ndarray
) -> MetricSpace:
    """Return the space as a user sees it, items at β_v − r_uv: D is d² to α_u there.

    For a new user the relations follow from α_u, and α_u is placed among the points that follow
    from the relations: both in turn, from the weighted mean of their items.
    """
    rows = learned.rows[:, : learned.dim].astype(np.float64)
    vectors = rows[learned.n_users :]
    if user is not None:
        point = rows[user].astype(np.float32)
        points = seen_from(learned, point, vectors)
    else:
        given = np.array([0, len(items)]), items, weights
        point = np.average(vectors[items], axis=0, weights=weights).astype(np.float32)
        points = seen_from(learned, point, vectors)
        for _ in range(ROUNDS):
            placed = fold_in(given, padded_table(points), TEMPERATURE, RADIUS, False)
            point = placed[0, : learned.dim]
            points = seen_from(learned, point, vectors)
    table = padded_table(np.concatenate([point[None], points]))
    return MetricSpace(table, 1, learned.dim, Margins(user_margin=learned.margin))


def seen_from(learned: Relations, user: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return β_v − r_uv of a user (dim,) and items (n, dim), float32 (n, dim)."""
    slots = learned.slots[:, : learned.dim].astype(np.float64)
    logits = (items * user) @ slots[: learned.n_slots].T
    attention = np.exp(logits - logits.max(axis=1, keepdims=True))
    attention /= attention.sum(axis=1, keepdims=True)
    return (items - attention @ slots[learned.n_slots :]).astype(np.float32)
