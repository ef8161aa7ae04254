"""A space in which the nearest is the best: score −d², equation (1) of the SML paper."""

import threading
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np

from trimetric.data.csr import Csr
from trimetric.engine.foldin import fold_in
from trimetric.engine.topk import Prepared, held_out_ranks, pair_distances, prepared
from trimetric.errors import Unsupported
from trimetric.space.exact import is_mapped, nearest, nearest_by_blocks
from trimetric.space.index import Index
from trimetric.space.scorer import Lists, Scorer, with_itself

SAMPLED_ROWS = 1024  # rows that tell whether an index still holds the items as they are
USUAL_TEMPERATURE = 0.2


Weighted = tuple[tuple[np.ndarray, np.ndarray], np.ndarray]
"""Lists in compressed rows (int64 (m + 1,), int32 (q,), ascending), and weights float32 (q,)."""


class Placement(Protocol):
    """How a space places what it was not trained on: see `MetricSpace.place`."""

    def place(
        self, space: "MetricSpace", lists: Weighted, among: Literal["item", "user"]
    ) -> np.ndarray:
        """Return the points of new users by their items, or of new items by their users."""

    def on_surface(self, points: np.ndarray) -> np.ndarray:
        """Return means of items, float64 (m, dim), where points of the space may lie."""

    def contributions(
        self, space: "MetricSpace", item: int, items: np.ndarray, weights: np.ndarray
    ) -> np.ndarray | None:
        """Return what each of a user's items adds to the score of `item`, if that is a sum."""


@dataclass(frozen=True)
class FoldIn:
    """Placement by steps on the softmax form of the objective: see `engine.foldin`.

    Parameters
    ----------
    temperature : float
        τ of the softmax over all other points; 0 is taken as .2.
    radius : float
        l: placed points stay within this distance of the origin.
    sphere : bool
        Or at it.
    """

    temperature: float
    radius: float
    sphere: bool

    def place(
        self, space: "MetricSpace", lists: Weighted, among: Literal["item", "user"]
    ) -> np.ndarray:
        """Place new users or items: see `Placement`."""
        points = space.points[space.n_users :] if among == "item" else space.points[: space.n_users]
        temperature = self.temperature or USUAL_TEMPERATURE
        placed = fold_in((*lists[0], lists[1]), points, temperature, self.radius, self.sphere)
        return placed[:, : space.dim]

    def on_surface(self, points: np.ndarray) -> np.ndarray:
        """Return the points, on the sphere if there is one and they have a direction."""
        lengths = np.linalg.norm(points, axis=1, keepdims=True)
        return points * (self.radius / lengths) if self.sphere and lengths.all() else points

    def contributions(
        self, space: "MetricSpace", item: int, items: np.ndarray, weights: np.ndarray
    ) -> None:
        """Return None: the score is no sum over the user's items."""


@dataclass(frozen=True)
class Margins:
    """The margins of equation (6) that a space was trained with.

    Parameters
    ----------
    users, items : float32 (n_users,), (n_items,) or None
        Learned margins m and n; None where they are fixed.
    user_margin, item_margin : float or None
        What a fixed margin is; None where the objective has no such hinge.
    """

    users: np.ndarray | None = None
    items: np.ndarray | None = None
    user_margin: float | None = None
    item_margin: float | None = None


class MetricSpace(Scorer):
    """Users and items as points; the items nearest to a user are the best.

    Parameters
    ----------
    points : float32 (n_users + n_items, width)
        As made by `engine.rows.table`: the users' rows first.
    n_users : int
    dim : int
        How many columns count.
    margins : Margins
        What explanations say of margins.
    fold_in : Placement, optional
        How new users and items are placed; without it they cannot be.
    """

    capabilities: ClassVar[frozenset[str]] = frozenset(
        {"metric space", "similar items", "similar users", "explanations"}
    )

    def __init__(
        self,
        points: np.ndarray,
        n_users: int,
        dim: int,
        margins: Margins = Margins(),
        fold_in: Placement | None = None,
    ) -> None:
        self.n_users, self.n_items, self.dim = n_users, len(points) - n_users, dim
        self.points, self.margins, self.fold_in = points, margins, fold_in
        if fold_in is not None:
            self.capabilities = type(self).capabilities | {"fold-in"}  # type: ignore[misc]
        self._tables: dict[str, Prepared] = {}
        self._index: tuple[tuple[int, ...], bytes, Index] | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        # The approximate index belongs to a library that is not pickled; it is built again.
        return {**self.__dict__, "_index": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    @property
    def users(self) -> np.ndarray:
        """Points α, float32 (n_users, dim): a live view."""
        return self.points[: self.n_users, : self.dim]

    @property
    def items(self) -> np.ndarray:
        """Points β, float32 (n_items, dim): a live view."""
        return self.points[self.n_users :, : self.dim]

    @property
    def user_margins(self) -> np.ndarray | None:
        """Learned margins m, float32 (n_users,); None where they are fixed."""
        return self.margins.users

    @property
    def item_margins(self) -> np.ndarray | None:
        """Learned margins n, float32 (n_items,); None where they are fixed."""
        return self.margins.items

    def margins_at(self, user: int | None, item: int) -> tuple[float | None, float | None]:
        """Return m_u and n_v of two rows, None where the objective has no such hinge.

        A new user (None) has m_u only where all users have the same.
        """
        learned, m = self.margins.users, self.margins.user_margin
        if learned is not None:
            m = None if user is None else float(learned[user])
        n = self.margins.item_margin
        return m, n if self.margins.items is None or n is None else float(self.margins.items[item])

    def nearest(
        self,
        users: np.ndarray,
        k: int,
        *,
        exclude: Csr,
        only: np.ndarray | None = None,
        approximate: bool = False,
    ) -> Lists:
        """Return the k nearest items of each user: see `Scorer.nearest`."""
        return self.nearest_to(
            self.users[users], k, exclude=exclude, only=only, approximate=approximate
        )

    def nearest_to(
        self,
        points: np.ndarray,
        k: int,
        *,
        exclude: Csr,
        only: np.ndarray | None = None,
        approximate: bool = False,
    ) -> Lists:
        """Return the k items nearest to points, float32 (m, dim): see `Scorer.nearest`."""
        if approximate:
            items, distances = self._approximate().among(points, k, exclude, only)
        else:
            items, distances = nearest(points, self._laid_out("item"), k, exclude, only)
        return items, -distances

    def score(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return −d² for pairs of rows: see `Scorer.score`."""
        return -pair_distances(self.users, self.items, users, items)

    def ranks(self, held: Csr, exclude: Csr) -> np.ndarray:
        """Rank held-out items: see `Scorer.ranks`."""
        users, asked = self.users, np.flatnonzero(held.counts)
        if 2 * len(asked) < self.n_users:  # all others would be ranked for nothing
            users, held, exclude = users[asked], held.take(asked), exclude.take(asked)
        return held_out_ranks(users, self.items, held, exclude)

    def neighbours(
        self,
        kind: Literal["item", "user"],
        rows: np.ndarray,
        k: int,
        *,
        exclude: Csr | None = None,
        only: np.ndarray | None = None,
    ) -> Lists:
        """Return the k nearest of the same kind: see `Scorer.neighbours`."""
        points = self.items if kind == "item" else self.users
        hidden = with_itself(rows, exclude)
        table = self._laid_out(kind)
        if isinstance(table, np.ndarray) and is_mapped(table):
            near, distances = nearest_by_blocks(points[rows], table, k, hidden, only)
        else:
            near, distances = nearest(points[rows], table, k, hidden, only)
        return near, -distances

    def nearest_new(
        self,
        lists: Csr,
        weights: np.ndarray,
        k: int,
        *,
        exclude: Csr,
        only: np.ndarray | None = None,
        approximate: bool = False,
    ) -> Lists:
        """Return the items nearest to where new users are placed: see `Scorer.nearest_new`."""
        points = self.place((lists.indptr, lists.items), weights)
        return self.nearest_to(points, k, exclude=exclude, only=only, approximate=approximate)

    def place(
        self,
        lists: tuple[np.ndarray, np.ndarray],
        weights: np.ndarray,
        among: Literal["item", "user"] = "item",
    ) -> np.ndarray:
        """Return where new users belong, by the items that they have; nothing else moves.

        Parameters
        ----------
        lists : Csr, or (indptr int64 (m + 1,), rows int32 (q,))
            The items of each new user, ascending; with `among="user"` the users of each new item.
        weights : float32 (q,)
            How much each counts, above 0.

        Returns
        -------
        float32 (m, dim)

        Raises
        ------
        Unsupported
            The objective of this space does not say where a new user belongs.
        """
        rule = self.fold_in
        if rule is None:
            raise Unsupported("this space cannot place a new user")
        return rule.place(self, (lists, weights), among)

    def prepared(self) -> Self:
        """Return the same space with its tables laid out once: see `Scorer.prepared`."""
        ready = copy(self)
        ready._tables = {"item": prepared(self.items)}
        if not is_mapped(self.points):  # else users may be more than memory holds
            ready._tables["user"] = prepared(self.users)
        return ready

    def _laid_out(self, kind: str) -> np.ndarray | Prepared:
        if kind in self._tables:
            return self._tables[kind]
        return self.items if kind == "item" else self.users

    def _approximate(self) -> Index:
        """Return an approximate index of the items as they are now.

        Training that goes on changes points in place; a sample of rows tells.
        """
        items = self.items
        sample = items[:: max(1, len(items) // SAMPLED_ROWS)].tobytes()
        with self._lock:
            if self._index is None or self._index[:2] != (items.shape, sample):
                self._index = items.shape, sample, Index(items, "approximate")
            return self._index[2]
