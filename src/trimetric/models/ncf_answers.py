"""What NCF and MLP have learned, and which users and items are alike by it."""

from typing import NamedTuple

import numpy as np

from trimetric.models.mlp_tower import Tower
from trimetric.space.function import cosines

NETWORK = {
    "new users": "their embedding would have to be trained through the network",
    "explanations": "the score is what a network makes of two embeddings, and neither a distance"
    " nor a sum over what a user has",
}


class Network(NamedTuple):
    """What is learned."""

    rows: np.ndarray  # float32[n_users + n_items, width]: [GMF part | MLP part]
    weights: np.ndarray  # float32[n_weights]: see `mlp_tower`
    n_users: int
    tower: Tower


def similar_items(learned: Network, items: np.ndarray) -> np.ndarray:
    """Return the cosines of items, float32 (b, n_items): see `views`."""
    return cosines(views(learned)[learned.n_users :], items)


def similar_users(learned: Network, users: np.ndarray) -> np.ndarray:
    """Return the cosines of users, float32 (b, n_users): see `views`."""
    return cosines(views(learned)[: learned.n_users], users)


def views(learned: Network) -> np.ndarray:
    """Return what the network makes of a row before it meets another, float32 (n, d).

    With a GMF part √|h| ⊙ p, of which the part's share of the logit is an inner product, up to the
    signs of h. The tower alone sees a row by its half of the first layer: rows of one half have the
    same scores.
    """
    table, weights, n_users, tower = learned
    factors, dim = int(tower.factors), int(tower.dim)
    if factors:
        *_, matrix, _ = tower.layers[-1].tolist()
        return table[:, :factors] * np.sqrt(np.abs(weights[matrix : matrix + factors]))
    halves = []
    for rows, (_, n_in, _, n_out, matrix, _) in zip(
        (table[:n_users], table[n_users:]), tower.layers[:2].tolist(), strict=True
    ):
        halves.append(rows[:, :dim] @ weights[matrix : matrix + n_in * n_out].reshape(n_in, n_out))
    return np.concatenate(halves)
