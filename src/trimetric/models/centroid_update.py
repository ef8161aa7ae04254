"""A new day's interactions brought into a space of centroids.

Users move by what is added to their mean, and items by what is added to theirs; points y_v and p_u
that are known stay. New items are placed by their users, new users by their items, in turn, as each
becomes known. Epochs of training over all interactions can follow, from where that leaves the
space.
"""

from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np

from trimetric.data.interactions import Interactions
from trimetric.engine.centroid_foldin import place_items, place_users
from trimetric.engine.centroid_session import composed
from trimetric.engine.centroids import Composition, compose_items
from trimetric.engine.rows import table
from trimetric.engine.session_pair import SessionPair
from trimetric.models.fitted import Fitted
from trimetric.models.forgetting import Kept, interactions_of
from trimetric.models.partial_fit import (
    RATE,
    Day,
    joined,
    lists_to_place,
    train_on_day,
    updated,
)
from trimetric.progress import make_reporter
from trimetric.space.centroid import (
    Centroids,
    SecondPart,
    centroid_space,
    side_by_side,
    unit_sums,
)
from trimetric.space.known import Known
from trimetric.space.metric import MetricSpace

EPOCHS = 5  # from which on more bring nothing
ROUNDS = 2  # new items by known users, new users by known items, and once more


def take_in(
    model: Any, fitted: Fitted, new: Any, epochs: int, lr: float | None, progress: bool | None
) -> Fitted:
    """Return what is left of a model after new interactions; `model` and `fitted` stay as they are.

    What was there already is ignored, and where nothing is new `fitted` is returned. With weights,
    those of a pair add up.

    Parameters
    ----------
    model : CentroidML
        Its settings, and how it learns.
    fitted : Fitted
    new : Interactions, path, data set name, frame, sparse matrix or (users, items)
    epochs : int
        Of training afterwards; 0 for none.
    lr : float, optional
        Learning rate to begin with; a quarter of the model's unless given.
    progress : bool, optional
        Show progress on standard error; by default only on a terminal.

    Raises
    ------
    DataError
        The ids are of another type than the model's, or the data cannot be read.
    ParameterError
        A number is out of range.
    Diverged, Interrupted
        See `training.train`.
    """
    config = model.config
    if lr is not None:
        lr = replace(config, lr=lr).lr
    rate = RATE if lr is None else lr / config.lr
    slower = {"lr": rate * config.lr, "reconstruction_lr": rate * config.reconstruction_lr}
    other = type(model)(**{**model.get_params(), "epochs": epochs, **slower})
    new_data = Interactions.of(new)
    day = joined(fitted.known, new_data)
    if not day.fresh.any():
        return fitted
    learner = other.learner(day.data, None, fitted.provenance.get("tuned", {}))
    space, known = cast(MetricSpace, fitted.scorer), fitted.known
    if isinstance(learner, SessionPair):
        _carry_over(space, known, learner.first.state, day)
        _carry_over_second(space, known, learner.second.state, day)
    else:
        _carry_over(space, known, learner.state, day)
    if epochs:
        train_on_day(learner, epochs, make_reporter(progress))
    return updated(model, fitted, learner, day, new_data, epochs)


class Share(NamedTuple):
    """What items have of the users of a model, or of one part of it, who are left."""

    sums: np.ndarray  # float32 (n_items, width): Q_v
    changed: np.ndarray  # bool (n_items,): whose users went, or moved

    def with_others(self, other: "Share") -> "Share":
        """Return what items have of the users of both."""
        return Share(self.sums + other.sums, self.changed | other.changed)


def share_left(model: Any, state: Fitted, left: Fitted, kept: Kept) -> Share:
    """Return what items have of the users who are left."""
    return _users_left(_learner_left(model, state, left, kept), state, left, kept)[2]


def _users_left(
    learner: Any, state: Fitted, left: Fitted, kept: Kept
) -> tuple[np.ndarray, np.ndarray, Share]:
    """Return the table of x_u, who of them had an item that goes, and what items have of them."""
    space, seen = cast(MetricSpace, state.scorer), left.known.seen
    dim = int(learner.params.dim)
    users, _, sums = composed(learner.state, learner.positives, learner.params)
    moved = state.known.seen.counts[kept.users] > seen.counts
    users[~moved, :dim] = space.users[kept.users[~moved], :dim]
    changed = np.zeros(len(kept.items), dtype=bool)
    changed[seen.items[moved[seen.users]]] = True
    gone = np.setdiff1d(np.arange(space.n_users), kept.users)
    had = np.zeros(space.n_items, dtype=bool)
    had[state.known.seen.take(gone).items] = True
    return users, moved, Share(sums, changed | had[kept.items])


def without(
    model: Any, state: Fitted, left: Fitted, kept: Kept, total: Share | None = None
) -> MetricSpace:
    """Return the space without users and items, whose share of others' means goes with them.

    A user who had an item that goes is the mean of the others; an item that such users, or users
    who go, have is composed anew of those who stay. Everything else keeps its bits. `total` is
    what items have of the users of all parts, where the model is one of them.
    """
    space, known = cast(MetricSpace, state.scorer), left.known
    old = cast(Centroids, space.fold_in)
    learner, dim = _learner_left(model, state, left, kept), old.settings.dim
    users, moved, share = _users_left(learner, state, left, kept)
    sums, changed = share if total is None else total
    trained, params = learner.state._replace(item_sums=sums.copy()), learner.params
    items = table(len(kept.items), dim + 1)
    compose_items(trained, Composition(params.dim, params.kappa, params.shrink), items)
    items[~changed, :dim] = space.items[kept.items[~changed], :dim]
    if old.settings.kappa > 0:
        trained.item_sums[~changed] = old.trained.item_sums[kept.items[~changed]]
    second, points, data = None, None, known.seen
    if old.second is not None:
        length = np.float32(old.second.scale**0.5)
        second = SecondPart(
            old.second.items[kept.items], old.second.weights[kept.items], old.second.scale
        )
        counts = second.weights[data.items] * (1 if known.weights is None else known.weights)
        weighted = second.items[data.items] * counts[:, None]
        theirs = unit_sums(weighted, data.indptr, float(length)).astype(np.float32)
        theirs[~moved] = space.users[kept.users[~moved], dim + 1 :]
        points = theirs, length * second.items
    sizes = known.sizes / old.settings.weight_unit
    placement = Centroids(trained, old.settings, sizes, second)
    return centroid_space(side_by_side(users, items, dim, points), len(kept.users), placement)


def _learner_left(model: Any, state: Fitted, left: Fitted, kept: Kept) -> Any:
    """Return a learner of what is left, with the points and weights that it had."""
    old = cast(Centroids, cast(MetricSpace, state.scorer).fold_in)
    config = {**model.get_params(), "reconstruction": 0.0}
    tuned = state.provenance.get("tuned", {})
    learner = type(model)(**config).learner(interactions_of(left.known), None, tuned)
    learner.state.items[:] = old.trained.items[kept.items]
    learner.state.weights[:] = old.trained.weights[kept.items]
    if old.settings.own > 0:
        learner.state.own[:] = old.trained.own[kept.users]
    return learner


def _carry_over(space: MetricSpace, known: Known, state: Any, day: Day) -> None:
    """Give a state of `engine.centroids` the old points, and place new users and items."""
    placement = cast(Centroids, space.fold_in)
    trained, settings = placement.trained, placement.settings
    dim, data = settings.dim, day.data
    state.items[day.item_rows] = trained.items
    state.weights[day.item_rows] = trained.weights
    if settings.own > 0:
        state.own[day.user_rows] = trained.own
    if settings.kappa > 0:
        state.item_sums[day.item_rows] = trained.item_sums
    lists, counts = day.by_user
    sizes = np.bincount(lists.users, counts, minlength=data.n_users) / settings.weight_unit
    users = table(data.n_users, dim)
    users[day.user_rows, :dim] = space.users[:, :dim]
    known_users = np.zeros(data.n_users, dtype=bool)
    known_users[day.user_rows[known.seen.counts > 0]] = True
    known_items = np.zeros(data.n_items, dtype=bool)
    known_items[day.item_rows[known.popularity > 0]] = True
    bias, weight = trained.items[:, dim].mean(), trained.weights.mean()
    for _ in range(ROUNDS):
        rows, lists, counts = lists_to_place(day.by_item, known_items, known_users)
        if len(rows):
            counts = placement.in_units(counts)
            placed = place_items((lists.indptr, lists.items), counts, users, sizes)
            state.items[rows, :dim] = placed[:, :dim]
            state.items[rows, dim], state.weights[rows] = bias, weight
            known_items[rows] = True
        rows, lists, counts = lists_to_place(day.by_user, known_users, known_items)
        if len(rows):
            counts = placement.in_units(counts)
            points, own = place_users((lists.indptr, lists.items), counts, state, settings)
            users[rows, :dim] = points[:, :dim]
            if settings.own > 0:
                state.own[rows] = own
            known_users[rows] = True


def _carry_over_second(space: MetricSpace, known: Known, state: Any, day: Day) -> None:
    """Give a state of `engine.reconstruction` the old points; new items get their users' mean."""
    placement = cast(Centroids, space.fold_in)
    second, data = placement.second, day.data
    assert second is not None
    dim = second.items.shape[1]
    state.items[day.item_rows, :dim] = second.items
    state.weights[day.item_rows] = second.weights
    old_users = np.full(data.n_users, -1)
    old_users[day.user_rows] = np.arange(len(day.user_rows))
    is_old = np.zeros(data.n_items, dtype=bool)
    is_old[day.item_rows[known.popularity > 0]] = True
    had = old_users >= 0
    had[day.user_rows[known.seen.counts == 0]] = False
    rows, lists, counts = lists_to_place(day.by_item, is_old, had)
    if len(rows) == 0:
        return
    points = space.users[old_users[lists.items], placement.settings.dim + 1 :] * counts[:, None]
    state.items[rows, :dim] = unit_sums(points, lists.indptr)
    state.weights[rows] = second.weights.mean()
