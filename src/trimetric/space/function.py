"""Scores by a function: for models whose score is neither a distance nor an inner product."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trimetric.data.csr import Csr
from trimetric.engine.scores import CELLS_AT_ONCE, Table, ranks_by_score, top_scores
from trimetric.errors import Diverged, ParameterError, Unsupported
from trimetric.space.filters import restrict, unrestrict
from trimetric.space.scorer import Lists, Scorer, with_itself

if TYPE_CHECKING:
    from trimetric.space.metric import MetricSpace

NO_SPACE = (
    "the score is no distance between two points, so that there is no space that an L2 index could"
    " hold; leave approximate out for the exact list"
)


class FunctionScorer(Scorer):
    """A scorer made of plain functions of what was learned.

    Parameters
    ----------
    n_users, n_items : int
    learned : object
        What was learned, such as a tuple of arrays: the first argument of both functions.
    pairs : callable, optional
        (learned, users int32 (n,), items int32 (n,)) -> scores float32 (n,), each pair for itself.
        By default they are taken out of `table`.
    table : callable, optional
        (learned, users int32 (b,)) -> scores of all items, a fresh float32 (b, n_items). By default
        `pairs` is called for each of them. One of the two must be given.
    similar : callable, optional
        (learned, items int32 (b,)) -> how alike each is to all items, a fresh float32 (b, n_items),
        −inf where they are not. Brings "similar items".
    new_users : callable, optional
        (learned, lists Csr, weights float32 (q,)) -> scores of all items for users with these
        items, a fresh float32 (b, n_items). Brings "new users".
    adds : callable, optional
        (learned, item int, items int32 (n,), weights float32 (n,)) -> what each of a user's items
        adds to the score of an item, float64 (n,), or None: see `Scorer.contributions`. Brings
        "explanations".
    seen_by : callable, optional
        (learned, user int or None, items int32 (n,), weights float32 (n,)) -> the items as points
        of a `MetricSpace` as one user sees them, with that user; a new user is None, and has these
        items. For scores that are squared distances, but among other points for each user. Brings
        "explanations" and "new users".
    similar_users : callable, optional
        As `similar`, of users. Brings "similar users".
    refusals : mapping of str to str, optional
        Why it lacks a capability: see `Scorer`.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        learned: Any,
        pairs: Callable[[Any, np.ndarray, np.ndarray], np.ndarray] | None = None,
        table: Callable[[Any, np.ndarray], np.ndarray] | None = None,
        similar: Callable[[Any, np.ndarray], np.ndarray] | None = None,
        new_users: Callable[[Any, Csr, np.ndarray], np.ndarray] | None = None,
        adds: Callable[[Any, int, np.ndarray, np.ndarray], np.ndarray | None] | None = None,
        refusals: Mapping[str, str] | None = None,
        seen_by: "Callable[[Any, int | None, np.ndarray, np.ndarray], MetricSpace] | None" = None,
        similar_users: Callable[[Any, np.ndarray], np.ndarray] | None = None,
    ) -> None:
        if pairs is None and table is None:
            raise ParameterError("a FunctionScorer needs pairs= or table=, got neither")
        self.n_users, self.n_items, self.learned = n_users, n_items, learned
        self._pairs, self._table = pairs, table
        self._similar = {"item": similar, "user": similar_users}
        self._adds, self.seen_by = adds, seen_by
        self._new_users = self._seen_by_new if new_users is None and seen_by else new_users
        given = {
            "similar items": similar,
            "similar users": similar_users,
            "new users": self._new_users,
            "explanations": adds or seen_by,
        }
        self.refusals = refusals or {}  # type: ignore[misc]
        self.capabilities = frozenset(name for name, rule in given.items() if rule)  # type: ignore[misc]

    def nearest(
        self,
        users: np.ndarray,
        k: int,
        *,
        exclude: Csr,
        only: np.ndarray | None = None,
        approximate: bool = False,
    ) -> Lists:
        """Return the k best items of each user: see `Scorer.nearest`."""
        if approximate:
            raise Unsupported(NO_SPACE)
        return nearest_by_table(self.table, users, self.n_items, k, exclude, only)

    def score(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Score pairs of rows: see `Scorer.score`."""
        if self._pairs is not None:
            return as_scores(self._pairs(self.learned, users, items), (len(users),), "pairs")
        return pairs_of_table(self.table, users, items, self.n_items)

    def ranks(self, held: Csr, exclude: Csr) -> np.ndarray:
        """Rank held-out items: see `Scorer.ranks`."""
        return ranks_by_score(self.table, self.n_items, held, exclude)

    def neighbours(
        self,
        kind: Literal["item", "user"],
        rows: np.ndarray,
        k: int,
        *,
        exclude: Csr | None = None,
        only: np.ndarray | None = None,
    ) -> Lists:
        """Return those that are most alike: see `Scorer.neighbours`."""
        rule, n = self._similar[kind], self.n_items if kind == "item" else self.n_users
        if rule is None:
            return super().neighbours(kind, rows, k)

        def alike(of: np.ndarray) -> np.ndarray:
            name = "similar" if kind == "item" else "similar_users"
            return as_scores(rule(self.learned, of), (len(of), n), name)

        hidden = with_itself(rows, exclude)
        return nearest_by_table(alike, rows, n, k, hidden, only)

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
        """Return the best items of new users: see `Scorer.nearest_new`."""
        rule = self._new_users
        if approximate:
            raise Unsupported(NO_SPACE)
        if rule is None:
            return super().nearest_new(lists, weights, k, exclude=exclude, only=only)
        return nearest_of_new(rule, self.learned, (lists, weights), self.n_items, k, exclude, only)

    def scores_new(self, lists: Csr, weights: np.ndarray) -> np.ndarray:
        """Score all items for new users: see `Scorer.scores_new`."""
        if self._new_users is None:
            return super().scores_new(lists, weights)
        found = self._new_users(self.learned, lists, weights)
        return as_scores(found, (lists.n_users, self.n_items), "new_users")

    def _seen_by_new(self, learned: Any, lists: Csr, weights: np.ndarray) -> np.ndarray:
        """Return −d² of all items for new users, each in the space as they see it."""
        assert self.seen_by is not None
        out = np.empty((lists.n_users, self.n_items), dtype=np.float32)
        items = np.arange(self.n_items, dtype=np.int32)
        for user in range(lists.n_users):
            mine = slice(lists.indptr[user], lists.indptr[user + 1])
            space = self.seen_by(learned, None, lists.items[mine], weights[mine])
            out[user] = space.score(np.zeros_like(items), items)
        return out

    def contributions(self, item: int, items: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
        """Return what each item of a user adds: see `Scorer.contributions`."""
        if self._adds is None:
            return super().contributions(item, items, weights)
        return self._adds(self.learned, item, items, weights)

    def table(self, users: np.ndarray) -> np.ndarray:
        """Score all items for each of `users` (int32 (b,)): a fresh float32 (b, n_items)."""
        if self._table is not None:
            found = self._table(self.learned, users)
            return as_scores(found, (len(users), self.n_items), "table")
        return table_of_pairs(self.score, users, self.n_items)


def as_scores(given: Any, shape: tuple[int, ...], rule: str) -> np.ndarray:
    """Return what a rule of a model gave, as floats.

    Kernels trust shapes and take NaN for any number, so that both are checked here.

    Raises
    ------
    ParameterError
        The shape is another.
    Diverged
        A score is NaN.
    """
    scores = np.asarray(given)
    if scores.dtype.kind != "f":
        scores = scores.astype(np.float32)
    if scores.shape != shape:
        raise ParameterError(
            f"{rule} of the scorer gave an array of shape {scores.shape}; it must be {shape}"
        )
    if scores.size and np.isnan(scores.min()):
        place = tuple(int(at) for at in np.argwhere(np.isnan(scores))[0])
        raise Diverged(f"{rule} of the scorer gave NaN at {place}, which has no rank")
    return scores


def nearest_of_new(
    rule: Callable[[Any, Csr, np.ndarray], np.ndarray],
    learned: Any,
    given: tuple[Csr, np.ndarray],
    n_items: int,
    k: int,
    exclude: Csr,
    only: np.ndarray | None,
) -> Lists:
    """Return the best items of new users by a rule that scores all items: see `FunctionScorer`."""
    lists, weights = given

    def scores(places: np.ndarray) -> np.ndarray:
        first, stop = lists.indptr[places], lists.indptr[places + 1]
        spans = [np.arange(a, b) for a, b in zip(first.tolist(), stop.tolist(), strict=True)]
        mine = weights[np.concatenate([*spans, []]).astype(int)]
        found = rule(learned, lists.take(places), mine)
        return as_scores(found, (len(places), n_items), "new_users")

    users = np.arange(lists.n_users, dtype=np.int32)
    return nearest_by_table(scores, users, n_items, k, exclude, only)


def table_of_pairs(score: Callable[..., np.ndarray], users: np.ndarray, n_items: int) -> np.ndarray:
    """Score all items for each of some users pair by pair, floats (b, n_items)."""
    items = np.tile(np.arange(n_items, dtype=np.int32), len(users))
    return score(np.repeat(users, n_items), items).reshape(len(users), n_items)


def pairs_of_table(table: Table, users: np.ndarray, items: np.ndarray, n_items: int) -> np.ndarray:
    """Return the scores of pairs out of tables of scores, a bounded number of users at a time."""
    scores = np.empty(len(users), dtype=np.float32)
    distinct, place = np.unique(users, return_inverse=True)
    order = np.argsort(place, kind="stable")
    size = max(1, CELLS_AT_ONCE // max(n_items, 1))
    for low in range(0, len(distinct), size):
        first, stop = np.searchsorted(place[order], (low, low + size))
        block = order[first:stop]
        cells = table(distinct[low : low + size])
        scores[block] = cells[place[block] - low, items[block]]
    return scores


def nearest_by_table(
    table: Table, users: np.ndarray, n_items: int, k: int, exclude: Csr, only: np.ndarray | None
) -> Lists:
    """Return the k best items of each user out of tables of scores: see `Scorer.nearest`."""
    if only is None:
        return top_scores(table, users, n_items, k, exclude)

    def columns(users: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(table(users)[:, only])

    items, scores = top_scores(columns, users, len(only), k, restrict(exclude, only))
    return unrestrict(items, only), scores


def negative_distances(points: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return −d² from some rows of points to all, float32 (len(rows), len(points))."""
    wide = points.astype(np.float64)
    out = np.empty((len(rows), len(wide)), dtype=np.float32)
    for place, row in enumerate(rows):
        out[place] = -((wide - wide[row]) ** 2).sum(axis=1)
    return out


def cosines(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the cosines of some rows of vectors to all, float32 (len(rows), len(vectors))."""
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    unit = wide / np.where(lengths > 0, lengths, 1)
    return np.stack([unit @ unit[row] for row in rows]).astype(np.float32)
