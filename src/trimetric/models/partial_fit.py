"""A new day's interactions brought into a trained space: newcomers join, the others give way.

Newcomers are placed by `engine.fold_in`: users by the items that are known, then items by their
users, then who is left by the items just placed. A few short epochs follow, at a falling learning
rate, over all interactions of the users that the day touches and, so that the space does not drift
after them alone, over those of other users, drawn at random. Adagrad goes on as if it had never
stopped: what it remembered of old points is estimated by one epoch in which nothing moves, as that
of a point that has been visited once an interaction and epoch.
"""

from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from trimetric import counter, training
from trimetric.data.csr import Csr, keys
from trimetric.data.ids import Vocabulary
from trimetric.data.interactions import Interactions
from trimetric.errors import DataError, Interrupted, ParameterError
from trimetric.models.epoch_trained import Trained
from trimetric.models.newcomers import Newcomers
from trimetric.progress import chosen

EPOCHS = 10
RATE = 0.25  # of the learning rate that the model was trained with
REPLAY = 1.0  # interactions of other users, for each one of those whom the day touches
_REPLAYED = 301  # stream of random numbers
_STILL = 1e-30  # a learning rate that moves nothing


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
        Which of the pairs are new.
    """

    data: Interactions
    user_rows: np.ndarray
    item_rows: np.ndarray
    fresh: np.ndarray

    @property
    def points(self) -> np.ndarray:
        """Where the rows of the model's table of points are now."""
        return np.concatenate([self.user_rows, self.item_rows + self.data.n_users])


class Updated(Newcomers, Trained):
    """A metric space that takes in new interactions without being trained anew."""

    def partial_fit(
        self,
        new: Any,
        *,
        epochs: int = EPOCHS,
        lr: float | None = None,
        replay: float = REPLAY,
        progress: bool | None = None,
    ) -> Self:
        """Take in new interactions, with new users and items; the others give way a little.

        If that fails, the model is as it was before. What was there already is left out, and where
        nothing is new the model stays as it is.

        Parameters
        ----------
        new : Interactions, path, data set name, frame, sparse matrix or (users, items)
        epochs : int
            0 places newcomers and moves nothing else.
        lr : float, optional
            Learning rate to begin with; a quarter of the model's unless given.
        replay : float
            How many interactions of other users to go over, for each one of those whom the day
            touches; at least 0.
        progress : bool, optional
            Show progress on standard error; by default only on a terminal.

        Returns
        -------
        self

        Raises
        ------
        DataError
            The ids are of another type than the model's, or the data cannot be read.
        ParameterError
            `epochs`, `lr` or `replay` is out of range.
        Diverged, Interrupted
            See `training.train`.
        """
        self._require_fit()
        number = isinstance(replay, int | float | np.number)
        if not (number and np.isfinite(replay) and replay >= 0):
            raise ParameterError(
                f"replay must be at least 0 and finite, got {replay!r}; 1 is usual"
            )
        updates = self._data.get("updates", [])
        config = replace(
            self.config,
            epochs=epochs,
            lr=self.config.lr * RATE if lr is None else lr,
            seed=counter.key(self.config.seed, _REPLAYED, len(updates)) >> 1,
            schedule="linear",
        )
        given = Interactions.of(new)
        day = joined(self, given)
        if not day.fresh.any():
            return self
        updated = copy(self)
        updated.config = replace(config, epochs=max(epochs, 1))
        updated._know(day.data)
        mix = _mix(day, replay, config.seed)
        learner = updated._learner(day.data.take(mix), None)
        _carry_over(self, updated, learner, day)
        if epochs:
            _remember(self, updated, learner, day, mix)
            _train(learner, epochs, chosen(progress))
        updated.config = self.config
        updated._adopt(learner)
        told = {
            "fingerprint": given.fingerprint,
            "pairs": int(day.fresh.sum()),
            "users": len(updated.user_ids) - len(self.user_ids),
            "items": len(updated.item_ids) - len(self.item_ids),
            "epochs": epochs,
        }
        updated._data = {**self._data, "updates": [*updates, told]}
        self.__dict__ = updated.__dict__
        return self


def _train(learner: Any, epochs: int, progress: Any = None) -> None:
    try:
        training.train(learner, training.Plan(epochs), progress=progress)
    except Interrupted:
        raise Interrupted("interrupted; the model is as it was before the new day") from None


def joined(model: Newcomers, new: Interactions) -> Day:
    """Put the model's interactions and new ones into joint rows."""
    new = new.in_kinds_of(model.user_ids, model.item_ids)
    users, items = (
        _union(side, old, fresh)
        for side, old, fresh in (
            ("user", model.user_ids, new.user_ids),
            ("item", model.item_ids, new.item_ids),
        )
    )
    user_rows, item_rows = users.encode(model.user_ids.values), items.encode(model.item_ids.values)
    old = keys(user_rows[model.seen.users], item_rows[model.seen.items])
    theirs = users.encode(new.user_ids.values)[new.users]
    added = keys(theirs, items.encode(new.item_ids.values)[new.items])
    both = np.union1d(old, added)
    pairs = (both >> 32).astype(np.int32), (both & 0xFFFFFFFF).astype(np.int32)
    data = Interactions(users, items, *pairs, name=new.name)
    return Day(data, user_rows, item_rows, ~np.isin(both, old, assume_unique=True))


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
    others = order[~touched[order]]
    room = replay * counts[touched].sum()
    taken = others[np.cumsum(counts[others]) <= room]
    touched[taken] = True
    return touched[data.users]


def _carry_over(old: Any, updated: Any, learner: Any, day: Day) -> None:
    """Give the learner the old points and margins, and the newcomers their places."""
    points, margins = learner.arrays["points"], learner.arrays["margins"]
    points[day.points] = old._points
    if len(margins):
        margins[day.points] = old._margins
    n_users, by_user = day.data.n_users, Csr.of(day.data)
    by_item = Csr.from_pairs(day.data.items, day.data.users, day.data.n_items)
    users, items = points[:n_users], points[n_users:]
    user_placed, item_placed = (np.zeros(len(side), dtype=bool) for side in (users, items))
    user_placed[day.user_rows[old.seen.counts > 0]] = True
    liked = np.bincount(old.seen.items, minlength=len(old.item_ids)) > 0
    item_placed[day.item_rows[liked]] = True

    def place(
        lists: Csr, side: np.ndarray, placed: np.ndarray, others: np.ndarray, known: Any
    ) -> None:
        """Place those not yet placed who have something among the others that are."""
        wanted = lists.keep(~placed[lists.users] & known[lists.items])
        rows = np.flatnonzero(wanted.counts)
        if len(rows) == 0:
            return
        indptr = np.concatenate([[0], np.cumsum(wanted.counts[rows])]).astype(np.int64)
        pull = indptr, wanted.items, np.ones(len(wanted.items), dtype=np.float32)
        found = updated._among(others, pull)
        side[rows, : found.shape[1]] = found
        placed[rows] = True

    place(by_user, users, user_placed, items, item_placed)
    place(by_item, items, item_placed, users, user_placed)
    place(by_user, users, user_placed, items, item_placed)


def _remember(old: "Updated", updated: "Updated", learner: Any, day: Day, mix: np.ndarray) -> None:
    """Give Adagrad what it would remember of the old points and margins."""
    if updated.config.optimizer == "adam":
        return
    still = copy(updated)
    still.config = replace(updated.config, lr=_STILL, epochs=1)
    data = day.data.take(mix)
    probe = still._learner(data, None)
    names = ("second", "margin_moments") if len(probe.arrays["margins"]) else ("second",)
    start = {name: probe.arrays[name].copy() for name in names}
    for name in ("points", "margins"):
        probe.arrays[name][...] = learner.arrays[name]
    _train(probe, 1)
    n_users, past = day.data.n_users, len(old.history)
    visits = [np.bincount(data.users, minlength=n_users),
              np.bincount(data.items, minlength=day.data.n_items)]  # fmt: skip
    before = [old.seen.counts, np.bincount(old.seen.items, minlength=len(old.item_ids))]
    rows = [day.user_rows, n_users + day.item_rows]
    sides = [slice(0, n_users), slice(n_users, None)]
    for name, first in start.items():
        gained = probe.arrays[name] - first
        for side, seen, count, own in zip(sides, visits, before, rows, strict=True):
            each = gained[side].sum(axis=0, dtype=np.float64) / max(seen.sum(), 1)
            learner.arrays[name][own] += (past * count[:, None] * each).astype(np.float32)
