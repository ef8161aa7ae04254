"""A new day's interactions brought into a trained space: new users and items join, others give way.

New users and items are placed by fold-in: users by the items that are known, then items by their
users, then the users left by the items just placed. A few short epochs follow, at a falling
learning rate, over all interactions of the users that the day touches and, so that the space does
not drift after them alone, over those of other users, drawn at random. Adagrad goes on as if it had
never stopped: its accumulators of old points are estimated by one epoch in which nothing moves, as
those of a point that has been visited once an interaction and epoch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from trimetric import counter, training
from trimetric.data.csr import Csr, keys
from trimetric.data.ids import Vocabulary
from trimetric.data.interactions import Interactions
from trimetric.errors import DataError, Interrupted, ParameterError
from trimetric.models.fitted import Fitted
from trimetric.progress import make_reporter
from trimetric.space.known import Known
from trimetric.space.metric import MetricSpace

EPOCHS = 10
RATE = 0.25  # of the learning rate that the model was trained with
REPLAY = 1.0  # interactions of other users, for each one of those whom the day touches
_REPLAYED = 301  # stream of random numbers
_STILL = 1e-30  # a learning rate that moves nothing


Weighted = tuple[Csr, np.ndarray]
"""Lists, and how much each entry counts, float32."""


@dataclass(frozen=True)
class Plan:
    """How to take in new interactions.

    Parameters
    ----------
    epochs : int
        0 places new users and items and moves nothing else.
    lr : float, optional
        Learning rate to begin with; a quarter of the model's unless given.
    replay : float
        How many interactions of other users to go over, for each one of those whom the day
        touches; at least 0.
    """

    epochs: int = EPOCHS
    lr: float | None = None
    replay: float = REPLAY

    def __post_init__(self) -> None:
        replay = self.replay
        number = isinstance(replay, int | float | np.number)
        if not (number and np.isfinite(replay) and replay >= 0):
            raise ParameterError(
                f"replay must be at least 0 and finite, got {replay!r}; 1 is usual"
            )


@dataclass(frozen=True)
class Day:
    """A model's interactions and a new day's, in joint rows.

    Parameters
    ----------
    data : Interactions
        All of them.
    user_rows, item_rows : int32 (n_old_users,), int32 (n_old_items,)
        Where the model's rows are now.
    fresh : bool (len(data),)
        Which of the pairs are new, or count more than they did.
    """

    data: Interactions
    user_rows: np.ndarray
    item_rows: np.ndarray
    fresh: np.ndarray

    @property
    def points(self) -> np.ndarray:
        """Where the rows of the model's table of points are now."""
        return np.concatenate([self.user_rows, self.item_rows + self.data.n_users])

    @property
    def by_user(self) -> Weighted:
        """The items of each user, and how much they count."""
        return Csr.of(self.data), _ones_unless(self.data.weights, len(self.data))

    @property
    def by_item(self) -> Weighted:
        """The users of each item, and how much they count."""
        lists, weights = self.by_user
        turned, order = lists.transposed(self.data.n_items)
        return turned, weights[order]


def partial_fit(
    model: Any, fitted: Fitted, new: Any, plan: Plan, progress: bool | None = None
) -> Fitted:
    """Return what is left of a model after new interactions; `model` and `fitted` stay as they are.

    What was there already is ignored, and where nothing is new `fitted` is returned. With weights,
    those of a pair add up.

    Parameters
    ----------
    model : SML or CML
        Its settings, and how it learns.
    fitted : Fitted
    new : Interactions, path, data set name, frame, sparse matrix or (users, items)
    plan : Plan
    progress : bool, optional
        Show progress on standard error; by default only on a terminal.

    Raises
    ------
    DataError
        The ids are of another type than the model's, or the data cannot be read.
    ParameterError
        A number of the plan is out of range.
    Diverged, Interrupted
        See `training.train`.
    """
    updates = fitted.provenance.get("updates", [])
    config = replace(
        model.config,
        epochs=plan.epochs,
        lr=model.config.lr * RATE if plan.lr is None else plan.lr,
        seed=counter.key(model.config.seed, _REPLAYED, len(updates)) >> 1,
        schedule="linear",
    )
    new_data = Interactions.of(new)
    day = joined(fitted.known, new_data)
    if not day.fresh.any():
        return fitted
    data, tuned = day.data, fitted.provenance.get("tuned", {})
    mix = _mix(day, plan.replay, config.seed)
    learner = _learner(model, replace(config, epochs=max(plan.epochs, 1)), data.take(mix), tuned)
    space = cast(MetricSpace, fitted.scorer)
    _carry_over(space, fitted.known, learner, day)
    if plan.epochs:
        if config.optimizer != "adam":
            still = replace(config, lr=_STILL, epochs=1)
            probe = _learner(model, still, data.take(mix), tuned)
            _carry_accumulators(fitted, learner, probe, day, mix)
        train_on_day(learner, plan.epochs, make_reporter(progress))
    return updated(model, fitted, learner, day, new_data, plan.epochs)


def updated(
    model: Any, fitted: Fitted, learner: Any, day: Day, new: Interactions, epochs: int
) -> Fitted:
    """Return what is left of a model after a day, which its provenance then names."""
    data = day.data
    update = {
        "fingerprint": new.fingerprint,
        "pairs": int(day.fresh.sum()),
        "users": data.n_users - len(fitted.known.user_ids),
        "items": data.n_items - len(fitted.known.item_ids),
        "epochs": int(epochs),  # which may be a number of NumPy, and JSON holds none
    }
    return Fitted(
        Known(
            data.user_ids,
            data.item_ids,
            Csr.of(data),
            data.weights,
            _unavailable(fitted.known, day),
            validated=_validated(fitted.known.validated, day),
        ),
        model.scorer_of(learner),
        fitted.history,
        {
            **fitted.provenance,
            "updates": [*fitted.provenance.get("updates", []), update],
        },
    )


def _unavailable(known: Known, day: Day) -> np.ndarray:
    return day.item_rows[known.unavailable].astype(np.int32)  # in the order of ids, as before


def _validated(validated: Csr | None, day: Day) -> Csr | None:
    if validated is None:
        return None
    users, items = day.user_rows[validated.users], day.item_rows[validated.items]
    return Csr.from_pairs(users, items, day.data.n_users)


def _learner(model: Any, config: Any, data: Interactions, tuned: dict[str, Any]) -> Any:
    """Return what trains `data` under other settings than the model's."""
    other = type(model)()
    other.config = config
    return other.learner(data, None, tuned)


def train_on_day(learner: Any, epochs: int, progress: Any = None) -> None:
    """Train a learner that holds a model and a day; say that an interruption loses only the day."""
    try:
        training.train(learner, training.Plan(epochs), progress=progress)
    except Interrupted:
        raise Interrupted("interrupted; the model is as it was before the new day") from None


def joined(known: Known, new: Interactions) -> Day:
    """Put a model's interactions and new ones into joint rows."""
    new = new.in_kinds_of(known.user_ids, known.item_ids)
    users = _union("user", known.user_ids, new.user_ids)
    items = _union("item", known.item_ids, new.item_ids)
    user_rows, item_rows = users.encode(known.user_ids.values), items.encode(known.item_ids.values)
    old = keys(user_rows[known.seen.users], item_rows[known.seen.items])
    new_users = users.encode(new.user_ids.values)[new.users]
    added = keys(new_users, items.encode(new.item_ids.values)[new.items])
    both = np.union1d(old, added)
    pairs = (both >> 32).astype(np.int32), (both & 0xFFFFFFFF).astype(np.int32)
    fresh = ~np.isin(both, old, assume_unique=True)
    weights = None
    if known.weights is not None or new.weights is not None:
        sums = np.zeros(len(both))
        place = np.searchsorted(both, added)
        for at, given in ((np.searchsorted(both, old), known.weights), (place, new.weights)):
            sums[at] += 1.0 if given is None else given
        fresh[place] = True
        weights = sums.astype(np.float32)
    data = Interactions.from_rows(users, items, *pairs, weights=weights, name=new.name)
    return Day(data, user_rows, item_rows, fresh)


def _ones_unless(weights: np.ndarray | None, n: int) -> np.ndarray:
    return np.ones(n, dtype=np.float32) if weights is None else weights


def _union(side: str, old: Vocabulary, new: Vocabulary) -> Vocabulary:
    import polars as pl

    if old.kind != new.kind:
        kinds = {"int": "whole numbers", "str": "text"}
        raise DataError(
            f"the new {side} ids are {kinds[new.kind]} and the model's {kinds[old.kind]}; give ids"
            " of the model's type"
        )
    return Vocabulary.from_values(pl.concat([old.values.rename("id"), new.values.rename("id")]))


def _mix(day: Day, replay: float, seed: int) -> np.ndarray:
    """Return which pairs to train on, bool (n,): whole users, so that negatives stay negative."""
    data = day.data
    counts = np.diff(data.indptr)
    touched = np.bincount(data.users[day.fresh], minlength=data.n_users) > 0
    order = counter.permutation(counter.key(seed, _REPLAYED), data.n_users)
    untouched = order[~touched[order]]
    budget = replay * counts[touched].sum()
    taken = untouched[np.cumsum(counts[untouched]) <= budget]
    touched[taken] = True
    return touched[data.users]


def _margins_of(space: MetricSpace) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield learned margins of users and of items, with the part of a table that is theirs."""
    for part, margins in (
        (slice(0, space.n_users), space.user_margins),
        (slice(space.n_users, None), space.item_margins),
    ):
        if margins is not None:
            yield part, margins


def _carry_over(space: MetricSpace, known: Known, learner: Any, day: Day) -> None:
    """Give the learner the old points and margins, and place new users and items."""
    points, margins = learner.arrays["points"], learner.arrays["margins"]
    points[day.points] = space.points
    for part, values in _margins_of(space):
        margins[day.points[part]] = values
    n_users = day.data.n_users
    users, items = points[:n_users], points[n_users:]
    user_placed, item_placed = (np.zeros(len(side), dtype=bool) for side in (users, items))
    user_placed[day.user_rows[known.seen.counts > 0]] = True
    item_placed[day.item_rows[known.popularity > 0]] = True
    merged = MetricSpace(points, n_users, space.dim, fold_in=space.fold_in)

    def place(lists: Any, side: np.ndarray, placed: np.ndarray, among: Any, ready: Any) -> None:
        rows, to_place, weights = lists_to_place(lists, placed, ready)
        if len(rows) == 0:
            return
        folded_in = merged.place(to_place, weights, among)
        side[rows, : folded_in.shape[1]] = folded_in
        placed[rows] = True

    place(day.by_user, users, user_placed, "item", item_placed)
    place(day.by_item, items, item_placed, "user", user_placed)
    place(day.by_user, users, user_placed, "item", item_placed)


def lists_to_place(
    weighted: Weighted, placed: np.ndarray, ready: np.ndarray
) -> tuple[np.ndarray, Csr, np.ndarray]:
    """Return the rows not yet placed that have something among what is, and their lists of it."""
    lists, weights = weighted
    kept = ~placed[lists.users] & ready[lists.items]
    to_place = lists.keep(kept)
    rows = np.flatnonzero(to_place.counts)
    return rows, to_place.take(rows), weights[kept]


def _carry_accumulators(
    fitted: Fitted, learner: Any, probe: Any, day: Day, mix: np.ndarray
) -> None:
    """Give Adagrad's accumulators of the old points and margins what they would hold."""
    data, known = day.data.take(mix), fitted.known
    start = {name: probe.arrays[name].copy() for name in ("second", "margin_moments")}
    for name in ("points", "margins"):
        probe.arrays[name][...] = learner.arrays[name]
    train_on_day(probe, 1)
    n_users, past = day.data.n_users, len(fitted.history)
    visits = (
        np.bincount(data.users, minlength=n_users),
        np.bincount(data.items, minlength=day.data.n_items),
    )
    before = (known.seen.counts, known.popularity)
    rows = (day.user_rows, n_users + day.item_rows)
    sides = (slice(0, n_users), slice(n_users, None))
    for name, first in start.items():
        gained = probe.arrays[name] - first
        for side, seen, count, mine in zip(sides, visits, before, rows, strict=True):
            if len(gained) == 0:
                continue  # fixed margins have no accumulators
            each = gained[side].sum(axis=0, dtype=np.float64) / max(seen.sum(), 1)
            learner.arrays[name][mine] += (past * count[:, None] * each).astype(np.float32)
