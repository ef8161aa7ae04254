"""Evaluate a model whose users are divided into parts, of which one is in memory at a time."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.evaluation.metrics import Ranks
from trimetric.evaluation.preparation import Parts, Prepared
from trimetric.evaluation.protocols import Task
from trimetric.evaluation.subject import Subject, validation_of

if TYPE_CHECKING:
    from trimetric.data.interactions import Interactions


OverParts = Callable[..., Iterator[Any]]
"""Calls a function with several parts: see `DividedModel.over_parts`."""


class DividedModel(Protocol):
    """A trained model of which each part is a `RankingModel` of some users and all items."""

    n_parts: int

    @property
    def kind(self) -> type:
        """The class of the parts."""

    @property
    def item_ids(self) -> Vocabulary:
        """The items."""

    @property
    def item_popularity(self) -> np.ndarray:
        """How many users of all parts have each item, int64 (n_items,)."""

    @property
    def n_interactions(self) -> int:
        """Interactions of all parts."""

    @property
    def provenance(self) -> dict[str, Any]:
        """What it was trained on."""

    def part(self, part: int) -> Any:
        """Return a part."""

    def over_parts(self, ray: str | None = None) -> "AbstractContextManager[OverParts]":
        """Give what calls a function with several parts, on Ray where an address is given.

        It takes the function, tasks (a part, and what else the function receives), and what all
        tasks share, which the function receives before that; it yields results in order.
        """


def is_divided(source: Any) -> bool:
    """Tell whether this is a model in parts."""
    return all(hasattr(type(source), name) for name in ("part", "part_of", "item_popularity"))


@dataclass(frozen=True, eq=False)
class DividedRanker:
    """Ranks and scores users of several parts, a part at a time.

    Parameters
    ----------
    model : DividedModel
    parts, rows : int32 (n_users,)
        The part of each user, and the row there.
    """

    model: DividedModel
    parts: np.ndarray
    rows: np.ndarray

    @property
    def n_items(self) -> int:
        """The size of the catalogue."""
        return len(self.model.item_ids)

    def ranks(self, held: Csr, exclude: Csr) -> np.ndarray:
        """Rank held-out items: see `Ranker`."""
        out = np.zeros(len(held.items), dtype=np.int32)
        owner = self.parts[held.users]
        for part, model in self._needed(np.flatnonzero(held.counts)):
            mine, n_users = owner == part, len(model.user_ids)
            out[mine] = model.scorer.ranks(
                self._moved(held.keep(mine), n_users),
                self._moved(exclude.keep(self.parts[exclude.users] == part), n_users),
            )
        return out

    def score(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Score pairs: see `Ranker`."""
        out = np.zeros(len(users), dtype=np.float32)
        for part, model in self._needed(users):
            mine = self.parts[users] == part
            out[mine] = model.scorer.score(self.rows[users[mine]], items[mine])
        return out

    def nearest(self, users: np.ndarray, k: int, *, exclude: Csr, only: Any = None) -> Any:
        """Return the k best items of each user: see `space.scorer.Scorer.nearest`."""
        found = {}
        for part, model in self._needed(users):
            at = np.flatnonzero(self.parts[users] == part)
            lists = model.scorer.nearest(
                self.rows[users[at]], k, exclude=exclude.take(at), only=only
            )
            found[part] = at, lists
        width = max((lists[0].shape[1] for _, lists in found.values()), default=0)
        items = np.full((len(users), width), -1, dtype=np.int32)
        scores = np.full((len(users), width), np.nan, dtype=np.float32)
        for at, lists in found.values():
            items[at, : lists[0].shape[1]], scores[at, : lists[1].shape[1]] = lists
        return items, scores

    def _needed(self, users: np.ndarray) -> Iterator[tuple[int, Any]]:
        for part in np.unique(self.parts[users]).tolist():
            yield part, self.model.part(part)

    def _moved(self, lists: Csr, n_users: int) -> Csr:
        """Return lists in the rows of the part that all of their users are in.

        Rows ascend with ids here and there, so that entries keep their order.
        """
        return Csr.from_pairs(self.rows[lists.users], lists.items, n_users)


@dataclass(frozen=True)
class _OnePart:
    """A part where the whole is expected."""

    model: Any

    @property
    def item_ids(self) -> Vocabulary:
        return self.model.item_ids

    def part(self, part: int) -> Any:
        return self.model


def subject_of(model: DividedModel, parts: Parts, over: OverParts | None = None) -> Subject:
    """Return a divided model as what is evaluated: of its users, those that data are of.

    Parts are looked at one after another, or as `over` does: see `DividedModel.over_parts`.

    Their numbers are their rows in the whole model, so that draws are the same.
    """
    if parts.history is not None:
        return _folded_in(model, parts.history)
    wanted = _ids([part for part in (parts.held, parts.valid) if part is not None])
    numbers = np.zeros(len(wanted), dtype=np.int64)
    owner = np.full(len(wanted), -1, dtype=np.int32)
    rows = np.zeros(len(wanted), dtype=np.int32)
    seen, validated = _Gathered(), _Gathered()
    with _over(model, over) as run:
        for part, found in enumerate(run(_wanted_of, [[n] for n in range(model.n_parts)], wanted)):
            at, theirs, lists, held, before = found
            numbers += before
            owner[at], rows[at] = part, theirs
            seen.add(lists, at)
            if held is not None:
                validated.add(held, at)
    known = np.flatnonzero(owner >= 0)
    place = np.full(len(wanted), -1, dtype=np.int32)
    place[known] = np.arange(len(known), dtype=np.int32)
    validation = 0, True
    if not validated.users:
        validation = validation_of(model.provenance, model.n_interactions)
    return Subject(
        model.kind.__name__,
        _as_kind(wanted, known, model),
        model.item_ids,
        seen.lists(place, len(known)),
        DividedRanker(model, owner[known], rows[known]),
        model.item_popularity,
        *validation,
        numbers=numbers[known],
        validated=validated.lists(place, len(known)) if validated.users else None,
    )


class _Gathered:
    """Lists of users, from part after part."""

    def __init__(self) -> None:
        self.users: list[np.ndarray] = []
        self._items: list[np.ndarray] = []

    def add(self, lists: Csr, at: np.ndarray) -> None:
        """Take the lists of the users at these places."""
        self.users.append(at[lists.users])
        self._items.append(lists.items)

    def lists(self, place: np.ndarray, n_users: int) -> Csr:
        """Return all lists, in the rows that `place` gives."""
        return Csr.from_pairs(
            place[np.concatenate(self.users)], np.concatenate(self._items), n_users
        )


def ranks_by_part(subject: Subject, prepared: Prepared, over: OverParts | None = None) -> Ranks:
    """Rank part by part, which a protocol that goes by blocks of users does not."""
    ranker, task = subject.scorer, prepared.task
    if not isinstance(ranker, DividedRanker):
        return prepared.protocol.rank(ranker, task)
    owner = ranker.parts[task.users]
    several = [(int(part), np.flatnonzero(owner == part)) for part in np.unique(owner)]
    tasks = ([part, *_task_of(task, task.users[at], ranker)] for part, at in several)
    with _over(ranker.model, over) as run:
        ranks = run(_rank, tasks, prepared.protocol)
        found = [(at, one) for (_, at), one in zip(several, ranks, strict=True)]
    return _merged(found, len(task.users))


def _over(model: DividedModel, over: OverParts | None) -> "AbstractContextManager[OverParts]":
    return model.over_parts() if over is None else nullcontext(over)


def _wanted_of(
    model: Any, wanted: Vocabulary
) -> tuple[np.ndarray, np.ndarray, Csr, Csr | None, np.ndarray]:
    """Find some users in a part.

    Returns
    -------
    at : int64 (n,)
        The places of those that are there.
    rows : int32 (n,)
        Their rows.
    lists : Csr
        What they have.
    validated : Csr or None
        What the model was validated on.
    before : int64 (n_wanted,)
        How many users of the part come before each.
    """
    before = np.zeros(len(wanted), dtype=np.int64)
    if model.user_ids.kind == wanted.kind and len(model.user_ids):
        before += model.user_ids.values.search_sorted(wanted.values).to_numpy()
    found = model.user_ids.encode(wanted.values)
    at = np.flatnonzero(found >= 0)
    held = model.validated
    theirs = None if held is None else held.take(found[at])
    return at, found[at], model.seen.take(found[at]), theirs, before


def _task_of(task: Task, users: np.ndarray, ranker: DividedRanker) -> tuple[Task, np.ndarray]:
    """Return the task of some users alone, and their rows in the part that they are in."""
    numbers = users.astype(np.int64) if task.numbers is None else task.numbers[users]
    some = task._replace(
        users=np.arange(len(users), dtype=np.int32),
        held=task.held.take(users),
        excluded=task.excluded.take(users),
        known=task.known.take(users),
        numbers=numbers,
    )
    return some, ranker.rows[users]


def _rank(model: Any, protocol: Any, task: Task, rows: np.ndarray) -> Ranks:
    """Rank users of one part."""
    parts = np.zeros(len(rows), dtype=np.int32)
    return protocol.rank(DividedRanker(_OnePart(model), parts, rows), task)  # type: ignore[arg-type]


def _merged(found: list[tuple[np.ndarray, Ranks]], n_users: int) -> Ranks:
    """Put the ranks of users, by their places, together."""
    counts = np.zeros(n_users, dtype=np.int64)
    n_candidates = np.zeros(n_users, dtype=np.int64)
    for at, ranks in found:
        counts[at], n_candidates[at] = np.diff(ranks.indptr), ranks.n_candidates
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    out = np.zeros(int(indptr[-1]), dtype=np.int32)
    for at, ranks in found:
        to = np.repeat(indptr[at] - ranks.indptr[:-1], np.diff(ranks.indptr))
        out[np.arange(len(ranks.ranks)) + to] = ranks.ranks
    return Ranks(out, indptr, n_candidates)


def _folded_in(model: DividedModel, history: "Interactions") -> Subject:
    """Return the model for users held out whole, none of whom any part may know."""
    subject = None
    for part in range(model.n_parts):
        one = model.part(part)
        subject = Subject.of_model(one).folded_in(one, history)
    assert subject is not None
    return subject._replace(popularity=model.item_popularity)


def _ids(parts: "list[Interactions]") -> Vocabulary:
    import polars as pl

    whole = [part.compact().user_ids.values for part in parts]
    same = [values for values in whole if values.dtype == whole[0].dtype]
    return Vocabulary.from_values(pl.concat(same))


def _as_kind(wanted: Vocabulary, known: np.ndarray, model: DividedModel) -> Vocabulary:
    """Return the known ones of some ids; where none is, no ids of the model's type."""
    if len(known):
        return Vocabulary(wanted.values.gather(known))
    return Vocabulary(model.part(0).user_ids.values.clear())
