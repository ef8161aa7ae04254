"""Users and items that the model was not trained on, placed into its space without changing it."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.engine.foldin import fold_in
from trimetric.errors import ParameterError
from trimetric.models.metric import MetricSpace, Points
from trimetric.models.recommender import as_ids
from trimetric.models.temperature import USUAL
from trimetric.space.explain import Liker
from trimetric.space.filters import ANY, Choice

Pull = tuple[np.ndarray, np.ndarray, np.ndarray]
"""What draws newcomers, in compressed rows: int64 (m + 1,), int32 (q,), weights float32 (q,)."""


class Newcomers(Points):
    """A metric space whose objective also says where a newcomer belongs: see `engine.fold_in`.

    A subclass has the settings radius and sphere, and a `temperature`; 0 is taken as .2 here.
    """

    capabilities = MetricSpace.capabilities | {"fold-in"}

    @property
    def temperature(self) -> float:
        """τ of the softmax over all others."""
        raise NotImplementedError

    def fold_in(self, items: Any, weights: Any = None) -> np.ndarray:
        """Return where a new user with these items belongs.

        Parameters
        ----------
        items : id or iterable of ids
            Original ids of at least one item, each once.
        weights : iterable of float, optional
            How much each item counts, above 0; all alike unless given.

        Returns
        -------
        float32 (dim,)
            In the space of `users` and `items`: nearest items are its recommendations.

        Raises
        ------
        UnknownIds
            The model does not know an item.
        ParameterError
            No item, an item twice, or weights that do not fit.
        """
        pull = self._pull("item", self.item_ids, items, weights)
        return self._placed_rows(pull)[0]

    def fold_in_item(self, users: Any, weights: Any = None) -> np.ndarray:
        """Return where a new item of these users belongs, float32 (dim,): see `fold_in`."""
        pull = self._pull("user", self.user_ids, users, weights)
        return self._among(self._points[: len(self.user_ids)], pull)[0]

    def fold_in_item_from(self, items: Any, weights: Any = None) -> np.ndarray:
        """Return where a new item belongs that is like these items, float32 (dim,).

        For an item that nobody has yet, but whose like are known, by their content for instance:
        the point with the least Σ w·d² to them, which is their weighted mean. On the sphere, if
        the model's positions are, it is the point of the sphere in that direction.

        Parameters
        ----------
        items, weights
            As `fold_in` takes them.

        Raises
        ------
        UnknownIds, ParameterError
            See `fold_in`.
        """
        _, rows, weighted = self._pull("item", self.item_ids, items, weights)
        mean = np.average(self.items[rows].astype(np.float64), axis=0, weights=weighted)
        length = np.linalg.norm(mean)
        if self.config.sphere and length > 0:
            mean *= self.config.radius / length
        return mean.astype(np.float32)

    def _nearest_for(
        self,
        items: Any,
        weights: Any,
        k: int,
        exclude_given: bool,
        choice: Choice = ANY,
    ) -> tuple[np.ndarray, np.ndarray]:
        who = self._newcomer(items, weights)
        hidden = who.liked if exclude_given else who.liked[:0]
        excluded = Csr(np.array([0, len(hidden)], dtype=np.int64), hidden)
        return self._nearest_to(who.position[None, :], k, excluded, choice)

    def _newcomer(self, items: Any, weights: Any) -> Liker:
        pull = self._pull("item", self.item_ids, items, weights)
        return Liker(None, self._placed_rows(pull)[0], *pull[1:])

    def _placed_rows(self, pull: Pull) -> np.ndarray:
        """Return where new users belong whom rows of items draw, float32 (m, dim)."""
        return self._among(self._points[len(self.user_ids) :], pull)

    def _among(self, points: np.ndarray, pull: Pull) -> np.ndarray:
        """Return where newcomers belong whom rows of a table of `points` draw."""
        radius, sphere = self.config.radius, self.config.sphere
        placed = fold_in(pull, points, self.temperature or USUAL, radius, sphere)
        return placed[:, : self.config.dim]

    def _pull(self, kind: str, vocabulary: Vocabulary, ids: Any, weights: Any) -> Pull:
        """Return what draws one newcomer, in rows, ascending."""
        self._require_fit()
        ids = as_ids(ids)
        rows = self._known(kind, vocabulary, ids)
        if len(rows) == 0:
            raise ParameterError(f"give at least one {kind}; a newcomer is placed by them")
        order = np.argsort(rows, kind="stable")
        twice = np.flatnonzero(np.diff(rows[order]) == 0)
        if len(twice):
            raise ParameterError(
                f"{kind} {ids[order[twice[0]]]!r} is given twice; give each once, with a weight"
            )
        indptr = np.array([0, len(rows)], dtype=np.int64)
        return indptr, rows[order].astype(np.int32), _weights(weights, len(rows))[order]


def _weights(given: Any, n: int) -> np.ndarray:
    if given is None:
        return np.ones(n, dtype=np.float32)
    values = np.zeros(0, dtype=np.float32)
    with suppress(TypeError, ValueError), np.errstate(over="ignore"):
        values = np.asarray([*given] if isinstance(given, Iterable) else given, dtype=np.float32)
    if values.shape != (n,):
        raise ParameterError(f"weights must be one number for each of {n}, got {given!r}")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ParameterError(f"weights must be above 0 and finite, got {given!r}; 1 is usual")
    return values
