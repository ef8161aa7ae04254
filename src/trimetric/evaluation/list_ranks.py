"""Ranks of held-out items by their places in lists, and what lists cannot tell."""

from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from trimetric.data.csr import among, keys
from trimetric.errors import DataError, ParameterError
from trimetric.evaluation.metrics import Metric, Ranks
from trimetric.evaluation.protocols import (
    EvaluationProtocol,
    FullRanking,
    SampledCandidates,
    Task,
)

UNLISTED = 2**30  # ranks of what no list holds begin here: beyond every cutoff


@dataclass(frozen=True)
class ListRanking:
    """A protocol applied to lists, which say nothing of what they do not hold.

    Parameters
    ----------
    base : FullRanking or SampledCandidates
    depth : int
        The length of the longest list. Only metrics at cutoffs up to it can be told.
    """

    base: FullRanking | SampledCandidates
    depth: int

    @property
    def name(self) -> str:
        """Return the name of the protocol."""
        return self.base.name

    @property
    def excludes_valid(self) -> bool:
        """Whether validation items are taken out of the lists."""
        return self.base.excludes_valid

    @property
    def metrics(self) -> list[Metric]:
        """Return the metrics of the protocol that have a cutoff."""
        return [metric for metric in self.base.metrics if "@" in metric.name]

    def describe(self) -> str:
        """Say in one line what is ranked among what."""
        return f"{self.base.describe()}; by lists of up to {self.depth:,} items"

    def notes(self, ranks: Ranks) -> list[str]:
        """Return those of the protocol."""
        return self.base.notes(ranks)

    def settings(self) -> dict[str, Any]:
        """Return the settings of the protocol, and the depth."""
        return {**asdict(self.base), "depth": self.depth}

    def check(self, metric: Metric) -> None:
        """Raise ParameterError for a metric that lists cannot tell."""
        _, at, cutoff = metric.name.partition("@")
        if not at or int(cutoff) > self.depth:
            raise ParameterError(
                f"lists of up to {self.depth} items do not tell {metric.name}: give a metric with a"
                f" cutoff up to {self.depth}, or longer lists"
            )


class ListCounts(NamedTuple):
    """What was met in lists, in users and in entries of the users who are evaluated.

    Attributes
    ----------
    users_without_list : int
        Count as 0.
    repeats : int
        Entries of an item that stands higher in the same list: left out, what follows moves up.
    seen : int
        Entries that are no candidates, since the user had them in train or valid: likewise.
    unknown_items : int
        Entries of items that training does not have: they keep their places, and are no hits.
    short : int
        Users whose list, after that, is shorter than the largest cutoff (and than what there is).
    lists_not_used : int
        Lists of users without held-out items.
    """

    users_without_list: int
    repeats: int
    seen: int
    unknown_items: int
    short: int
    lists_not_used: int = 0

    def lines(self, largest: int) -> list[str]:
        """Say it in sentences, only as many as there is something to say."""
        texts = {
            "users_without_list": "{:,} users have no list, and count as 0",
            "lists_not_used": "{:,} lists of users without held-out items are not used",
            "repeats": "{:,} repeats of an item within a list are left out; what follows moves up",
            "seen": "{:,} listed items that the user had before are left out;"
            " what follows moves up",
            "unknown_items": "{:,} listed items are unknown; they keep their places",
            "short": f"{{:,}} users have lists shorter than {largest}; the places missing are no"
            " hits",
        }
        found = self._asdict()
        return [text.format(found[key]) for key, text in texts.items() if found[key]]


def list_protocol(
    protocol: EvaluationProtocol, depth: int, name: str, trim: bool
) -> tuple[ListRanking, list[str]]:
    """Return a protocol for lists, and remarks on it.

    Parameters
    ----------
    depth : int
        The length of the longest list.
    name : str
        Of the lists, for errors.
    trim : bool
        Whether cutoffs beyond the depth are left out, which is remarked, instead of refused.

    Raises
    ------
    ParameterError
        The protocol is none for lists, or a cutoff is larger than any list is long.
    """
    if not isinstance(protocol, FullRanking | SampledCandidates):
        raise ParameterError(
            f"lists made elsewhere cannot be evaluated by {protocol.name}: it needs a score for"
            " every candidate; choose full, dpcml or sampled-N"
        )
    beyond = [k for k in protocol.at if k > depth]
    if not beyond:
        return ListRanking(protocol, depth), []
    if not trim:
        raise ParameterError(
            f"{name}: the longest list has {depth} items, which tells nothing at {beyond[0]}; give"
            f" cutoffs up to {depth}, or longer lists"
        )
    at = tuple(k for k in protocol.at if k <= depth) or (depth,)
    remark = f"the longest list has {depth} items, so that there is nothing to say at {beyond[0]}"
    return ListRanking(replace(protocol, at=at), depth), [remark]


def rank_by_lists(
    rows: tuple[np.ndarray, np.ndarray], task: Task, n_items: int, ranking: ListRanking
) -> tuple[Ranks, ListCounts]:
    """Rank held-out items by their places in lists.

    Parameters
    ----------
    rows : (int32[n], int32[n])
        Rows of users and of items, each list in its order; -1 for unknown ones.
    task : Task
    n_items : int
        Size of the catalogue.
    ranking : ListRanking

    Returns
    -------
    Ranks
        Of `task.users`; held-out items that no list holds have ranks beyond every cutoff.
    ListCounts

    Raises
    ------
    DataError
        Candidates are sampled, and the lists do not hold enough of them.
    """
    entries, place, met = tidy(rows, task, n_items)
    others = task.excluded.keep(~among(task.unlearned, task.excluded.items))
    n_candidates = n_items - len(task.unlearned) - others.counts[task.users]
    if isinstance(ranking.base, SampledCandidates):
        allowed, n_candidates = _sampled(ranking.base, task, n_items)
        entries = entries[among(allowed, entries)]
        place = _places(entries >> 32, task.held.n_users)
    lengths = np.bincount(entries >> 32, minlength=task.held.n_users)[task.users]
    largest = max(ranking.base.at)
    short = lengths < np.minimum(largest, n_candidates)
    if isinstance(ranking.base, SampledCandidates) and short.any():
        raise DataError(
            f"the lists of {short.sum():,} users hold fewer than {largest} of their"
            f" {ranking.name} candidates, so that ranks among these cannot be told; give lists of"
            " the whole catalogue, or evaluate by full"
        )
    counts = ListCounts(**met, short=int((short & (lengths > 0)).sum()))
    return _ranks(entries, place, task, n_candidates), counts


def tidy(
    rows: tuple[np.ndarray, np.ndarray], task: Task, n_items: int
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Take repeats and items that are no candidates out of lists.

    Returns
    -------
    keys : int64[n]
        `user << 32 | item`, each list of a user of `task` in its order; unknown items, and those
        without training interactions, have numbers of their own from `n_items`.
    place : int64[n]
        Place in the list, from 1.
    met : dict
        The other fields of `ListCounts`.
    """
    users, items = (side.astype(np.int64) for side in rows)
    evaluated = np.zeros(task.held.n_users, dtype=bool)
    evaluated[task.users] = True
    mine = (users >= 0) & evaluated[np.maximum(users, 0)]
    users, items = users[mine], items[mine]
    order = np.argsort(users, kind="stable")
    users, items = users[order], items[order]
    items = np.where(np.isin(items, task.unlearned), -1, items)
    met = {"users_without_list": len(task.users) - len(np.unique(users))}
    met["unknown_items"] = int((items < 0).sum())
    # Each unknown item has its own number past the catalogue, so that it is no repeat.
    items = np.where(items < 0, n_items + np.arange(len(items)), items)
    entries = keys(users, items)
    first = np.zeros(len(entries), dtype=bool)
    first[np.unique(entries, return_index=True)[1]] = True
    seen = among(keys(task.excluded.users, task.excluded.items), entries)
    met["repeats"], met["seen"] = int((~first).sum()), int((first & seen).sum())
    kept = entries[first & ~seen]
    return kept, _places(kept >> 32, task.held.n_users), met


def _places(users: np.ndarray, n_users: int) -> np.ndarray:
    """Return the place from 1 of each entry in the list of its user; users ascend."""
    lengths = np.bincount(users, minlength=n_users)
    return np.arange(len(users)) - (np.cumsum(lengths) - lengths)[users] + 1


def _ranks(entries: np.ndarray, place: np.ndarray, task: Task, n_candidates: np.ndarray) -> Ranks:
    """Look the held-out items up in the lists."""
    held = keys(task.held.users, task.held.items)
    order = np.argsort(entries)
    found = among(entries[order], held)
    ranks = UNLISTED + np.arange(len(held))  # of one user no two are equal
    at = np.searchsorted(entries[order], held[found])
    ranks[found] = place[order][at]
    indptr = np.concatenate([[0], np.cumsum(task.held.counts[task.users])]).astype(np.int64)
    return Ranks(ranks.astype(np.int32), indptr, n_candidates)


def _sampled(
    protocol: SampledCandidates, task: Task, n_items: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys of all candidates, ascending, and their number for each of `task.users`."""
    drawn = protocol.draw(task, n_items).draw(task.users)
    real = drawn < n_items
    owners = np.broadcast_to(task.users[:, None], drawn.shape)
    held = keys(task.held.users, task.held.items)
    allowed = np.sort(np.concatenate([keys(owners[real], drawn[real]), held]))
    return allowed, real.sum(axis=1) + task.held.counts[task.users]
