"""Training that starts from another model, so that points stay where they can be compared.

Users and items that both know begin at their old points. With an anchor a, each epoch ends by
drawing them back: a point p goes to (1 − a)·p + a·p₀, p₀ being its old place, and onto the sphere
again where the model keeps points there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import numpy as np

from trimetric import counter
from trimetric.data.interactions import Interactions
from trimetric.engine.session_pair import SessionPair
from trimetric.errors import ParameterError, Unsupported
from trimetric.models.fitted import Fitted
from trimetric.space.centroid import Centroids
from trimetric.space.metric import MetricSpace
from trimetric.space.scorer import Scorer

_PAIRS = 302  # stream of random numbers
_COMPARED = 10_000  # pairs of a user and an item


@dataclass(frozen=True, eq=False)
class SharedRows:
    """The users and items that a model and new data both know.

    Parameters
    ----------
    old_users, new_users : int64[m]
        Their rows in the model and in the data.
    old_items, new_items : int64[n]
    """

    old_users: np.ndarray
    new_users: np.ndarray
    old_items: np.ndarray
    new_items: np.ndarray


@dataclass(frozen=True, eq=False)
class Held:
    """Rows of a learner's array that begin at old values, and are drawn back to them.

    Parameters
    ----------
    array : float32[n, width]
        A live view.
    rows : int64[m]
    values : float32[m, columns]
        Of the first columns.
    radius : float or None
        Of the sphere that rows are on; None if they may be anywhere.
    """

    array: np.ndarray
    rows: np.ndarray
    values: np.ndarray
    radius: float | None

    def begin(self) -> None:
        """Put the rows where they were."""
        self.array[self.rows, : self.values.shape[1]] = self.values

    def draw_back(self, anchor: float) -> None:
        """Draw the rows back to where they were, by a share of the way."""
        columns = self.values.shape[1]
        near = np.float32(1 - anchor) * self.array[self.rows, :columns]
        near += np.float32(anchor) * self.values
        if self.radius is not None:
            lengths = np.sqrt(np.einsum("ij,ij->i", near, near, dtype=np.float64))
            near *= (self.radius / np.maximum(lengths, 1e-12)).astype(np.float32)[:, None]
        self.array[self.rows, :columns] = near


@dataclass(frozen=True, eq=False)
class Start:
    """A model to start from.

    Parameters
    ----------
    name : str
        Of its kind.
    fitted : Fitted
    anchor : float
        0..1.
    """

    name: str
    fitted: Fitted
    anchor: float

    @property
    def tuned(self) -> dict[str, Any]:
        """What its training found: taken over, since other settings are of another space."""
        return dict(self.fitted.provenance.get("tuned", {}))

    @property
    def fingerprint(self) -> str:
        """Of the points of its users."""
        space = cast(MetricSpace, self.fitted.scorer)
        return sha256(space.users.tobytes()).hexdigest()[:16]

    def identity(self) -> dict[str, Any]:
        """Return what a checkpoint of a run that starts here must share with it."""
        return {"start": self.fingerprint, "anchor": self.anchor}

    def begin(self, model: Any, learner: Any, data: Interactions) -> Callable[[], None] | None:
        """Put a learner where the old model is; return what is to be called after each epoch.

        Raises
        ------
        ParameterError
            The old model has another number of columns, or nothing in common with the data.
        """
        rows = shared_rows(self.fitted, data)
        if len(rows.new_users) + len(rows.new_items) == 0:
            raise ParameterError(
                "the model to start from knows none of the users and items of the training data;"
                " train without start"
            )
        held = model.start_from(learner, self.fitted, rows)
        for part in held:
            part.begin()
        if self.anchor == 0:
            return None

        def draw_back() -> None:
            for part in held:
                part.draw_back(self.anchor)

        return draw_back

    def told(self, scorer: Scorer, data: Interactions) -> dict[str, Any]:
        """Return where training began and how far users and items have moved, as JSON values.

        See `moved`.
        """
        rows = shared_rows(self.fitted, data)
        return {
            "model": self.name,
            "fingerprint": self.fingerprint,
            "anchor": self.anchor,
            "users": len(rows.new_users),
            "items": len(rows.new_items),
            "moved": moved(self.fitted.scorer, scorer, rows),
        }


def start_of(model: Any, start: Any, anchor: float) -> Start | None:
    """Return the model to start from, given as a model or its folder; None for none.

    Raises
    ------
    ParameterError
        It is no trained model of the same kind, or the anchor is out of range.
    Unsupported
        Models of this kind cannot start from another.
    """
    number = isinstance(anchor, int | float | np.number) and not isinstance(anchor, bool)
    if not (number and 0 <= anchor <= 1):
        raise ParameterError(
            f"anchor must be in 0..1, got {anchor!r}; 0 lets points move, 1 holds them still"
        )
    if start is None:
        if anchor:
            raise ParameterError("anchor needs start, the model whose points are drawn back to")
        return None
    if "metric space" not in model.capabilities or not hasattr(model, "start_from"):
        raise Unsupported(
            f"{model.name} cannot start from another model; centroid, sml and cml can"
        )
    if isinstance(start, str | Path):
        from trimetric.models import load

        start = load(start)
    if type(start) is not type(model) or start._fitted is None:
        raise ParameterError(
            f"start must be a trained {model.name} or the folder of one, got {start!r}"
        )
    return Start(start.name, start._fitted, float(anchor))


def shared_rows(fitted: Fitted, data: Interactions) -> SharedRows:
    """Return the users and items that a model and the data both know."""
    known = fitted.known
    found = []
    for old, new in ((known.user_ids, data.user_ids), (known.item_ids, data.item_ids)):
        if old.kind != new.kind:
            raise ParameterError(
                f"the ids of the model to start from are {old.kind}, those of the data {new.kind};"
                " give ids of one type"
            )
        rows = new.encode(old.values)
        found += [np.flatnonzero(rows >= 0), rows[rows >= 0].astype(np.int64)]
    return SharedRows(*found)


def moved(old: Scorer, new: Scorer, rows: SharedRows) -> dict[str, float]:
    """Return how far points have moved: medians, in units of the median user-item distance.

    Returns
    -------
    dict
        "users" and "items": the median over those shared of ‖p − p₀‖, over the median of ‖α_u −
        β_v‖ in the old space, of 10,000 random pairs. 0 where nothing is shared.
    """
    before, after = cast(MetricSpace, old), cast(MetricSpace, new)
    draws = counter.uniform(counter.key(_PAIRS), np.arange(2 * _COMPARED)).reshape(2, -1)
    users = before.users[(draws[0] * len(before.users)).astype(np.int64)]
    items = before.items[(draws[1] * len(before.items)).astype(np.int64)]
    unit = float(np.median(np.linalg.norm(users - items, axis=1)))
    told = {}
    for side, first, second in (
        ("users", before.users[rows.old_users], after.users[rows.new_users]),
        ("items", before.items[rows.old_items], after.items[rows.new_items]),
    ):
        columns = min(first.shape[1], second.shape[1])
        way = np.linalg.norm(first[:, :columns] - second[:, :columns], axis=1)
        told[side] = round(float(np.median(way)) / unit, 4) if len(way) else 0.0
    return told


def hold_points(learner: Any, fitted: Fitted, rows: SharedRows, config: Any) -> list[Held]:
    """Return what is held of the triplet trainer: points, and margins that both learned."""
    space, n_users = cast(MetricSpace, fitted.scorer), learner.n_users
    _check_columns("dim", space.dim, config.dim)
    at = np.concatenate([rows.new_users, rows.new_items + n_users])
    old = np.concatenate([rows.old_users, rows.old_items + space.n_users])
    radius = config.radius if config.sphere else None
    held = [Held(learner.arrays["points"], at, space.points[old, : space.dim], radius)]
    margins = learner.arrays["margins"][:, None]
    for values, old_rows, new_rows in (
        (space.user_margins, rows.old_users, rows.new_users),
        (space.item_margins, rows.old_items, rows.new_items + n_users),
    ):
        if len(margins) and values is not None:
            held.append(Held(margins, new_rows, values[old_rows, None], None))
    return held


def hold_centroids(learner: Any, fitted: Fitted, rows: SharedRows) -> list[Held]:
    """Return what is held of `engine.centroids`, and of `engine.reconstruction` if both have it."""
    pair = isinstance(learner, SessionPair)
    state = (learner.first if pair else learner).state
    placement = cast(Centroids, cast(MetricSpace, fitted.scorer).fold_in)
    old, dim = placement.trained, placement.settings.dim
    _check_columns("dim", dim, (learner.first if pair else learner).settings.dim)
    items, at = rows.old_items, rows.new_items
    held = [
        Held(state.items, at, old.items[items, :dim], 1.0),
        Held(state.items[:, dim:], at, old.items[items, dim : dim + 1], None),
        Held(state.weights[:, None], at, old.weights[items, None], None),
    ]
    if len(old.own) and len(state.own):
        held.append(Held(state.own, rows.new_users, old.own[rows.old_users, :dim], 1.0))
    if pair and placement.second is not None:
        second, other = placement.second, learner.second.state
        columns = second.items.shape[1]
        _check_columns("reconstruction_dim", columns, learner.second.settings.dim)
        held += [
            Held(other.items, at, second.items[items, :columns], 1.0),
            Held(other.weights[:, None], at, second.weights[items, None], None),
        ]
    return held


def _check_columns(name: str, old: int, new: int) -> None:
    if old != new:
        raise ParameterError(
            f"the model to start from has {old} columns, this one {new}; give it {name}={old}"
        )
