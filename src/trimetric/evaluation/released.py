"""The evaluation of the SML paper's released code, with its leak, to compare published figures.

In it each user has a pool: the first 500 items of an unordered set that the user never touched, in
CPython item order, so nearly the same items for everyone. Training draws its negatives from the
pool alone, and the test ranks the held-out items against the same pool. So training tells a
model which candidates are no answers, and held-out items are never pushed away. It also drops
ratings of 1, evaluates on the test part every so often, and reports the best of each metric.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trimetric.data.csr import Csr
from trimetric.errors import DataError
from trimetric.evaluation.candidates import Untouched
from trimetric.evaluation.metrics import Metric, Ranks
from trimetric.evaluation.protocols import (
    BLOCK_PAIRS,
    Task,
    checked_cutoffs,
    listed_metrics,
    rank_among,
)
from trimetric.evaluation.ranker import Ranker
from trimetric.evaluation.result import Result
from trimetric.keywords import check_count

if TYPE_CHECKING:
    from trimetric.data.interactions import Interactions
    from trimetric.data.splits import Split

LOWEST_RATING = 1  # stored as rating - 1, it is lost among the zeros of a sparse matrix
WARNING = (
    "WARNING, a leak: the candidates are the pool from which training as released draws all its"
    " negatives, so a model can know before the test which candidates are no answers; these"
    " figures are not comparable with any honest ones, and are shown only beside the published"
    " ones, which were made this way"
)


@dataclass(frozen=True)
class AsReleased:
    """Held-out items are ranked together, among the first n items that the user never touched.

    The items are in the order of the model's rows, and untouched in training, validation and
    test, as far as `evaluate` is given these. They are nearly the same for all users. A model
    trained by `fit(pool=leaked_pool(split))` had its negatives from them alone, which makes its
    figures as high as the published ones; `WARNING` says so in every output.

    Parameters
    ----------
    n : int
        Items in a pool.
    at : tuple of int
        Cutoffs K.

    Raises
    ------
    ParameterError
        `n` or a cutoff is below 1.
    """

    n: int = 500
    at: tuple[int, ...] = (5, 10)

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", checked_cutoffs(self.at))
        check_count("n", self.n, "the released code has 500")
        object.__setattr__(self, "n", int(self.n))

    @property
    def name(self) -> str:
        """Return "as-released"."""
        return "as-released"

    @property
    def excludes_valid(self) -> bool:
        """Always: validation items are never candidates."""
        return True

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of `listed_metrics`."""
        return listed_metrics(dict.fromkeys(self.at, 1), 1)

    def describe(self) -> str:
        """Say in one line what is ranked among what, and that it leaks."""
        return (
            f"as released: the user's held-out items and the first {self.n} items that the user"
            " never touched, the same in training and test: a leak, comparable with nothing honest"
        )

    def notes(self, ranks: Ranks) -> list[str]:
        """Return the warning, always."""
        return [WARNING]

    def rank(self, scorer: Ranker, task: Task) -> Ranks:
        """Rank the held-out items of each of `task.users`."""
        untouched = Untouched(task.known, scorer.n_items)
        n = min(self.n, untouched.n_items)
        return rank_among(scorer, task, n, lambda users: untouched.first(users, n))

    def pool(self, known: Csr, n_items: int) -> Csr:
        """Return the pool of each user: the first n items that are not among the `known` ones.

        Parameters
        ----------
        known : Csr
            All interactions: training, validation and test.
        n_items : int
            Size of the catalogue.
        """
        untouched = Untouched(known, n_items)
        users = np.arange(known.n_users, dtype=np.int32)
        step = max(1, BLOCK_PAIRS // self.n)
        blocks = [np.zeros(0, dtype=np.int32)]
        for start in range(0, len(users), step):
            block = untouched.first(users[start : start + step], self.n)
            blocks.append(block[block < n_items])
        ends = np.cumsum(np.minimum(untouched.counts, self.n))
        return Csr(np.concatenate([[0], ends]).astype(np.int64), np.concatenate(blocks))


def leaked_pool(split: "Split", n: int = AsReleased.n) -> Csr:
    """Return the pools that `AsReleased(n)` ranks among when a model of `split.train` is tested.

    For `fit(split.train, pool=...)`, to train as the released code does; never for anything else.
    """
    known = Csr.of(split.train).union(Csr.of(split.test))
    if split.valid is not None:
        known = known.union(Csr.of(split.valid))
    return AsReleased(n).pool(known, split.train.n_items)


def released_data(data: "Interactions") -> "Interactions":
    """Drop the ratings of 1, as the released preparation does; without ratings, return `data`.

    They are counted in the report as below the least rating. Users and items left without
    interactions are dropped too.

    Raises
    ------
    DataError
        Every rating is 1.
    """
    if data.ratings is None:
        return data
    keep = data.ratings != LOWEST_RATING
    if not keep.any():
        raise DataError(f"{data.name}: all {len(data):,} ratings are 1; use the data as they are")
    dropped = len(data) - int(keep.sum())
    if dropped == 0:
        return data
    below = data.report.below_min_rating + dropped
    report = replace(data.report, below_min_rating=below)
    return data.take(keep).compact().changed(report=report)


class BestPerMetric:
    """The best value of each metric over successive evaluations, each metric for itself.

    What the released code reports: on the test part, so that the test chooses when to stop, and
    for each metric at another time. No single model has these values.

    Attributes
    ----------
    values : dict
        The best so far by the name of the metric; NaN only where all were.
    evaluations : int
        How many results it has seen.
    """

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.evaluations = 0

    def add(self, result: Result) -> None:
        """Look at one more result."""
        self.evaluations += 1
        for name, value in result.metrics.items():
            self.values[name] = float(np.fmax(self.values.get(name, np.nan), value))

    def monitor(self, evaluate: Callable[[Any], Result], metric: str) -> Callable[[Any], float]:
        """Return what `fit(monitor=...)` asks for: it evaluates, adds, and returns `metric`.

        Parameters
        ----------
        evaluate : callable
            The model as it stands -> Result, as `lambda m: tm.evaluate(m, split, "as-released")`.
        metric : str
            What `fit` stops by.
        """

        def measured(model: Any) -> float:
            result = evaluate(model)
            self.add(result)
            return result[metric]

        return measured
