"""The space of centroids: users are means of their items, so that new ones need no training.

A point has up to three parts side by side, whose squared distances add up: `dim` columns of the
softmax objective (`engine.centroids`); one column √(max b − b_v) of the items, which turns their
bias into distance; and the columns of the second objective (`engine.reconstruction`), times √w.
"""

from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np

from trimetric.engine.centroid_foldin import place_items, place_users
from trimetric.engine.centroid_session import CentroidSettings, State
from trimetric.engine.centroids import LEAST_LENGTH
from trimetric.engine.rows import table
from trimetric.space.metric import Margins, MetricSpace, Weighted


@dataclass(frozen=True, eq=False)
class SecondPart:
    """The points of the second objective.

    Parameters
    ----------
    items : float32 (n_items, dim)
        On the unit sphere.
    weights : float32 (n_items,)
        What each counts in the mean of a user.
    scale : float
        w: squared distances of this part are multiplied by it.
    """

    items: np.ndarray
    weights: np.ndarray
    scale: float


@dataclass(frozen=True, eq=False)
class Centroids:
    """Placement by the mean of a user's items, or of an item's users.

    Parameters
    ----------
    trained : engine.centroid_session.State
        Points, weights and sums of the items.
    settings : CentroidSettings
    sizes : float64 (n_users,)
        How much the items of each user of the space count together, in units of weight.
    second : SecondPart, optional
    """

    trained: State
    settings: CentroidSettings
    sizes: np.ndarray
    second: SecondPart | None = None

    def in_units(self, weights: np.ndarray) -> np.ndarray:
        """Return how much weights count in the objective, float32."""
        return (weights / np.float32(self.settings.weight_unit)).astype(np.float32, copy=False)

    def place(
        self, space: MetricSpace, lists: Weighted, among: Literal["item", "user"]
    ) -> np.ndarray:
        """Return the points of new users by their items, or of new items by their users.

        A new item gets the mean bias of all items.
        """
        (indptr, rows), weights = lists
        weights = self.in_units(weights)
        out = np.zeros((len(indptr) - 1, space.dim), dtype=np.float32)
        dim, filled = self.settings.dim, np.diff(indptr) > 0
        if among == "item":
            placed, _ = place_users((indptr, rows), weights, self.trained, self.settings)
            out[:, :dim] = placed[:, :dim]
            if self.second is not None:
                second = self.second
                weighted = second.items[rows] * (weights * second.weights[rows])[:, None]
                out[:, dim + 1 :] = unit_sums(weighted, indptr, second.scale**0.5)
            return out
        users = table(space.n_users, dim)
        users[:, :dim] = space.users[:, :dim]
        out[:, :dim] = place_items((indptr, rows), weights, users, self.sizes)[:, :dim]
        biases = self.trained.items[:, dim]
        out[filled, dim] = np.sqrt(biases.max() - biases.mean(dtype=np.float64))
        if self.second is not None:
            others = space.users[rows, dim + 1 :] * weights[:, None]
            out[:, dim + 1 :] = unit_sums(others, indptr, self.second.scale**0.5)
        return out

    def on_surface(self, points: np.ndarray) -> np.ndarray:
        """Return means of items with each part as long as that of an item; the bias stays."""
        dim, out = self.settings.dim, points.copy()
        out[:, :dim] = _unit(points[:, :dim], 1.0)
        if self.second is not None:
            out[:, dim + 1 :] = _unit(points[:, dim + 1 :], self.second.scale**0.5)
        return out

    def contributions(
        self, space: MetricSpace, item: int, items: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Return what each of a user's items adds to the score −d² of `item`, float32 (n,).

        The score is their sum, what the own point adds, the bias, and a number of the user.
        """
        trained, dim, target = self.trained, self.settings.dim, space.items[item]
        weights = self.in_units(weights)
        parts = trained.items[items, :dim] * (weights * trained.weights[items])[:, None]
        length = max(float(np.linalg.norm(parts.sum(axis=0))), float(LEAST_LENGTH))
        added = 2 * (1 - self.settings.own) / length * (parts @ target[:dim])
        second = self.second
        if second is not None:
            parts = second.items[items] * (weights * second.weights[items])[:, None]
            length = max(float(np.linalg.norm(parts.sum(axis=0))), 1e-30)
            added = added + 2 * second.scale**0.5 / length * (parts @ target[dim + 1 :])
        return added.astype(np.float32)


def side_by_side(
    users: np.ndarray, targets: np.ndarray, dim: int, second: tuple[np.ndarray, np.ndarray] | None
) -> np.ndarray:
    """Return the points of a space, the users' rows first.

    Parameters
    ----------
    users : float32 (n_users, at least dim)
        x_u.
    targets : float32 (n_items, at least dim + 1)
        t_v, and b_v in column `dim`.
    dim : int
    second : (float32 (n_users, d), float32 (n_items, d)), optional
        The points of the second objective, √w long.
    """
    n_users, more = len(users), 0 if second is None else second[0].shape[1]
    points = table(n_users + len(targets), dim + 1 + more)
    points[:n_users, :dim] = users[:, :dim]
    points[n_users:, :dim] = targets[:, :dim]
    biases = targets[:, dim]
    points[n_users:, dim] = np.sqrt(biases.max(initial=-np.inf) - biases)
    if second is not None:
        points[:n_users, dim + 1 : dim + 1 + more] = second[0]
        points[n_users:, dim + 1 : dim + 1 + more] = second[1]
    return points


def centroid_space(points: np.ndarray, n_users: int, placement: Centroids) -> MetricSpace:
    """Return the space of such points."""
    settings, second = placement.settings, placement.second
    dim = settings.dim + 1 + (0 if second is None else second.items.shape[1])
    item_margin = settings.item_margin if settings.item_weight > 0 else None
    margins = Margins(user_margin=settings.margin, item_margin=item_margin)
    return MetricSpace(points, n_users, dim, margins, placement)


def reweighted(space: MetricSpace, scale: float) -> MetricSpace:
    """Return a space of both objectives with another w, above 0 in `space`; 0 drops the second."""
    placement = cast(Centroids, space.fold_in)
    second, dim = placement.second, placement.settings.dim
    assert second is not None
    kept = None if scale == 0 else replace(second, scale=scale)
    points = table(len(space.points), space.dim if kept else dim + 1)
    points[:, : dim + 1] = space.points[:, : dim + 1]
    if kept is not None:
        factor = np.float32((scale / second.scale) ** 0.5)
        points[:, dim + 1 : space.dim] = factor * space.points[:, dim + 1 : space.dim]
    return centroid_space(points, space.n_users, replace(placement, second=kept))


def unit_sums(values: np.ndarray, indptr: np.ndarray, length: float = 1.0) -> np.ndarray:
    """Return sums of consecutive rows of values as directions, float64 (m, d), `length` long."""
    sums = np.zeros((len(indptr) - 1, values.shape[1]))
    np.add.at(sums, np.repeat(np.arange(len(sums)), np.diff(indptr)), values)
    return _unit(sums, length)


def _unit(points: np.ndarray, length: float) -> np.ndarray:
    """Return the points at a distance from the origin; those at the origin stay there."""
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    return points * (length / np.where(lengths > 0, lengths, 1.0))
