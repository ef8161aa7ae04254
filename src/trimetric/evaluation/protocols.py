"""Protocols: among which items a held-out item is ranked, and whose ranks count.

A protocol is a frozen dataclass with the members of `EvaluationProtocol`. It turns a `Task`
into `Ranks`; the metrics follow from these alone.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, Self

import numpy as np

from trimetric.data.csr import Csr
from trimetric.errors import ParameterError
from trimetric.evaluation.candidates import CandidateDraw, rank_together
from trimetric.evaluation.full_ranks import full_ranks
from trimetric.evaluation.metrics import Metric, Ranks, metric
from trimetric.evaluation.ranker import Ranker
from trimetric.keywords import check_count, check_seed, check_switch, is_one_of, plain

BLOCK_PAIRS = 2**17  # candidates scored at a time, to bound memory; changes no result


class Task(NamedTuple):
    """What is ranked, in the model's rows.

    Parameters
    ----------
    users : int32[u]
        Rows of the users with held-out items, ascending.
    held : Csr
        Held-out items of all users; none is in `excluded`.
    excluded : Csr
        Training items and, if the protocol asks, validation items.
    known : Csr
        All interactions at hand: training, validation and held-out, those left out too.
    unlearned : int32[c]
        Rows of items without training interactions, which are no candidates of a full ranking
        nor drawn: none of them is held out.
    numbers : int64[n_users], optional
        What names users in draws of candidates; their rows unless given.
    """

    users: np.ndarray
    held: Csr
    excluded: Csr
    known: Csr
    unlearned: np.ndarray = np.zeros(0, dtype=np.int32)
    numbers: np.ndarray | None = None


class EvaluationProtocol(Protocol):
    """What `evaluate` needs of a protocol."""

    @property
    def name(self) -> str:
        """Its short name, as on the command line."""

    @property
    def metrics(self) -> list[Metric]:
        """The metrics it reports, in order."""

    @property
    def excludes_valid(self) -> bool:
        """Whether validation items are no candidates when the test part is ranked."""

    def describe(self) -> str:
        """Say in one line what is ranked among what."""

    def notes(self, ranks: Ranks) -> list[str]:
        """Say what a reader of the figures must know; nothing if all is as described."""

    def rank(self, scorer: Ranker, task: Task) -> Ranks:
        """Rank the held-out items of each of `task.users`."""


@dataclass(frozen=True)
class FullRanking:
    """Every held-out item is ranked among the whole catalogue.

    Parameters
    ----------
    at : tuple of int
        Cutoffs K.
    exclude : "train+valid", "train" or "none"
        Whose items are no candidates. With "train", a user's validation items compete; with "none"
        all items do, and held-out pairs may be in the training data too: repeat consumption.
    at_least_k : bool
        Metrics at K count only users with at least K held-out items.
    min_held_out : int
        Fewest held-out items of a user who counts in the other metrics (all, without
        `at_least_k`).
    cold : bool
        Whether held-out interactions with items that nobody has in the training data count, as in
        published protocols; they can hardly be found. Without it they are left out and counted, as
        those of items that a model has never heard of, and such items are no candidates.

    Raises
    ------
    ParameterError
        A cutoff or `min_held_out` is below 1, or `exclude` is unknown.
    """

    at: tuple[int, ...] = (5, 10, 20)
    exclude: Literal["train+valid", "train", "none"] = "train+valid"
    at_least_k: bool = False
    min_held_out: int = 1
    cold: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", checked_cutoffs(self.at))
        if not is_one_of(self.exclude, ("train+valid", "train", "none")):
            raise ParameterError(
                f"exclude must be 'train+valid', 'train' or 'none', got {self.exclude!r}"
            )
        check_count("min_held_out", self.min_held_out)
        check_switch("at_least_k", self.at_least_k)
        check_switch("cold", self.cold)
        for name in ("min_held_out", "at_least_k", "cold"):
            object.__setattr__(self, name, plain(getattr(self, name)))

    @classmethod
    def dpcml(cls, at: tuple[int, ...] = (3, 5, 10, 20)) -> Self:
        """Return the protocol of Bao et al. (DPCML, NeurIPS 2022).

        Only training items are excluded; precision, recall and NDCG at K are over users with at
        least K held-out items (so the ideal DCG has K places), MAP and MRR over users with three.
        Held-out items count whether or not training has them.
        """
        return cls(at, exclude="train", at_least_k=True, min_held_out=3, cold=True)

    @property
    def name(self) -> str:
        """Return "dpcml" for that published setting, otherwise "full"."""
        return "dpcml" if self == self.dpcml(self.at) else "full"

    @property
    def excludes_valid(self) -> bool:
        """Whether validation items are left out of the ranking."""
        return self.exclude == "train+valid"

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of `listed_metrics`."""
        return listed_metrics({k: self.fewest(k) for k in self.at}, self.fewest(None))

    def fewest(self, cutoff: int | None) -> int:
        """Return the fewest held-out items of a user who counts at a cutoff, None for no cutoff."""
        return self.min_held_out if cutoff is None or not self.at_least_k else cutoff

    def describe(self) -> str:
        """Say in one line what is ranked among what."""
        text = f"full ranking: all items but those of {self.exclude.replace('+', ' and ')}"
        if self.exclude == "none":
            text = "full ranking: all items, those that the user had before too"
        if self.at_least_k:
            text += "; metrics at K over users with at least K held-out items"
        if self.min_held_out > 1:
            whom = "others" if self.at_least_k else "users"
            text += f"; {whom} with at least {self.min_held_out}"
        return text

    def notes(self, ranks: Ranks) -> list[str]:
        """Nothing to add."""
        return []

    def rank(self, scorer: Ranker, task: Task) -> Ranks:
        """Rank the held-out items of each of `task.users`."""
        found = full_ranks(scorer, task.held, task.excluded, task.unlearned)
        return Ranks(found.ranks, _compact_indptr(task), found.n_candidates)


@dataclass(frozen=True)
class SampledCandidates:
    """Held-out items are ranked together, among n items that the user never touched.

    The n are distinct and uniform over the items with training interactions that have none with
    the user in training, validation or test, as far as `evaluate` is given these; for a part
    "valid" those of the test do not count. For the same data, they depend on (seed, user row)
    alone. A user with fewer such items gets all of them. Figures are far higher than those of a
    full ranking and must not be compared with them.

    Parameters
    ----------
    n : int
        Candidates beside the held-out items; 499 in the SML paper.
    seed : int
        Names the draw.
    at : tuple of int
        Cutoffs K.

    Raises
    ------
    ParameterError
        `n` or a cutoff is below 1.
    """

    n: int = 499
    seed: int = 0
    at: tuple[int, ...] = (5, 10)

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", checked_cutoffs(self.at))
        check_count("n", self.n, "the SML paper has 499")
        object.__setattr__(self, "n", int(self.n))
        object.__setattr__(self, "seed", check_seed(self.seed))

    @property
    def name(self) -> str:
        """Return for example "sampled-499"."""
        return f"sampled-{self.n}"

    @property
    def excludes_valid(self) -> bool:
        """Always: validation items are never candidates."""
        return True

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of `listed_metrics`."""
        return listed_metrics(dict.fromkeys(self.at, 1), 1)

    def describe(self) -> str:
        """Say in one line what is ranked among what."""
        return (
            f"sampled candidates: the user's held-out items and {self.n} uniform ones that the"
            f" user never touched, seed {self.seed}; not comparable with full ranking"
        )

    def notes(self, ranks: Ranks) -> list[str]:
        """Say how many users had fewer than n candidates."""
        short = int(np.count_nonzero(ranks.n_candidates - ranks.held < self.n))
        return [f"{short:,} users had fewer than {self.n} candidates to draw"] if short else []

    def rank(self, scorer: Ranker, task: Task) -> Ranks:
        """Rank the held-out items of each of `task.users`."""
        draw = self.draw(task, scorer.n_items)
        return rank_among(scorer, task, draw.n, draw.draw)

    def draw(self, task: Task, n_items: int) -> CandidateDraw:
        """Return the draw of candidates of a task.

        Parameters
        ----------
        task : Task
        n_items : int
            Size of the catalogue.
        """
        return CandidateDraw(task.known, n_items, self.n, self.seed, task.numbers, task.unlearned)


def rank_among(
    scorer: Ranker, task: Task, n: int, candidates: Callable[[np.ndarray], np.ndarray]
) -> Ranks:
    """Rank each user's held-out items together with some candidates, a block of users at a time.

    Parameters
    ----------
    n : int
        Most candidates of a user.
    candidates : callable
        User rows, int32[u], -> item rows, int32[u, n], filled up with the size of the catalogue.
    """
    indptr = _compact_indptr(task)
    ranks = np.empty(len(task.held.items), dtype=np.int32)
    n_candidates = np.empty(len(task.users), dtype=np.int64)
    step = max(1, BLOCK_PAIRS // n)
    for start in range(0, len(task.users), step):
        users = task.users[start : start + step]
        ends = indptr[start : start + len(users) + 1]
        held = Csr(ends - ends[0], task.held.items[ends[0] : ends[-1]])
        candidate_rows = candidates(users)
        ranks[ends[0] : ends[-1]] = rank_together(scorer, users, held, candidate_rows)
        n_others = (candidate_rows < scorer.n_items).sum(axis=1)
        n_candidates[start : start + len(users)] = held.counts + n_others
    return Ranks(ranks, indptr, n_candidates)


def checked_cutoffs(at: Iterable[int]) -> tuple[int, ...]:
    """Return cutoffs as a tuple of int; raise ParameterError for one that no metric can have."""
    several = isinstance(at, Iterable) and not isinstance(at, str | bytes)
    several = several and getattr(at, "ndim", 1) == 1
    cutoffs = tuple(at) if several else ()
    if not several or not all(isinstance(k, int | np.integer) for k in cutoffs):
        raise ParameterError(f"at must be cutoffs such as (5, 10), got {at!r}")
    for k in cutoffs:
        metric(f"ndcg@{k}")
    return tuple(int(k) for k in cutoffs)


def listed_metrics(fewest: dict[int, int], fewest_whole_list: int) -> list[Metric]:
    """Return the metrics of a report: at each K of `fewest`, then those of the whole list.

    At each K: precision, recall, hit_rate, ndcg, map, mrr and micro_recall. Of the whole list: map,
    mrr and auc.

    The numbers are the fewest held-out items of a user who counts.
    """
    families = ("precision", "recall", "hit_rate", "ndcg", "map", "mrr", "micro_recall")
    at_k = [metric(f"{name}@{k}", least) for k, least in fewest.items() for name in families]
    return at_k + [metric(name, fewest_whole_list) for name in ("map", "mrr", "auc")]


def _compact_indptr(task: Task) -> np.ndarray:
    """Return where each of `task.users` begins in the held-out items, int64[u + 1]."""
    return np.concatenate([[0], np.cumsum(task.held.counts[task.users])]).astype(np.int64)
