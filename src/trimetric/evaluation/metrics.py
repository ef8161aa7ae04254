"""Metrics of a ranking, each a pure function of the ranks of a user's held-out items.

Notation: a user has h held-out items with ranks r_1 < ... < r_h (1 is best) among c candidates.
Every function returns one float64 per user; a user without held-out items gets NaN. `metric` looks
one up by name and knows how it is averaged: over users (macro), or over held-out interactions
(micro).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from trimetric.errors import ParameterError, warn


@dataclass(frozen=True, eq=False)
class Ranks:
    """The ranks of held-out items, user after user.

    Parameters
    ----------
    ranks : int32[n]
        Ranks from 1, in any order within a user; no two of a user are equal.
    indptr : int64[n_users + 1]
        User u has `ranks[indptr[u]:indptr[u + 1]]`.
    n_candidates : int64[n_users]
        How many items each user's were ranked among, the held-out ones included.
    """

    ranks: np.ndarray
    indptr: np.ndarray
    n_candidates: np.ndarray

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.indptr) - 1

    @cached_property
    def held(self) -> np.ndarray:
        """int64[n_users], the number of held-out items h of each user."""
        return np.diff(self.indptr)

    @cached_property
    def users(self) -> np.ndarray:
        """int64[n], the user of each rank."""
        return np.repeat(np.arange(self.n_users), self.held)

    @cached_property
    def ascending(self) -> np.ndarray:
        """int64[n], the ranks in ascending order within each user."""
        keys = self.users << 32 | self.ranks.astype(np.int64)
        return np.sort(keys) & 0xFFFFFFFF

    @cached_property
    def place(self) -> np.ndarray:
        """int64[n], the position j from 1 of each of `ascending` within its user."""
        return np.arange(len(self.ranks)) - self.indptr[self.users] + 1

    def total(self, terms: np.ndarray) -> np.ndarray:
        """Sum one term for each of `ascending` (any numbers[n]) within each user."""
        return np.bincount(self.users, weights=terms, minlength=self.n_users)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Divide; NaN where the denominator is 0."""
    return np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)


def _discounts(n: int) -> np.ndarray:
    """Return the ideal DCG of 0..n held-out items, float64[n + 1]."""
    return np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(n) + 2))])


def hits(ranks: Ranks, k: int) -> np.ndarray:
    """Count held-out items in the first k: #{j : r_j <= k}."""
    return ranks.total(ranks.ascending <= k)


def precision(ranks: Ranks, k: int) -> np.ndarray:
    """P@k = hits / k.

    Averaged over users. Always divided by k, even where a user has fewer than k candidates or
    held-out items, so that it can be below 1 for a perfect ranking.
    """
    return _ratio(hits(ranks, k), np.where(ranks.held > 0, k, 0))


def recall(ranks: Ranks, k: int) -> np.ndarray:
    """R@k = hits / h.

    Averaged over users. Divided by all held-out items even where h > k. Averaged over held-out
    interactions instead, sum of hits / sum of h, it is `micro_recall`, which the SML paper calls
    HR@K (Li et al., AAAI 2020); `hit_rate` is what others call HR.
    """
    return _ratio(hits(ranks, k), ranks.held)


def hit_rate(ranks: Ranks, k: int) -> np.ndarray:
    """HR@k = 1 if hits > 0, else 0.

    Averaged over users: the share of users with at least one held-out item in the first k. With
    one held-out item each (leave-one-out) it equals `recall`.
    """
    return _ratio((hits(ranks, k) > 0).astype(np.float64), np.minimum(ranks.held, 1))


def ndcg(ranks: Ranks, k: int) -> np.ndarray:
    """NDCG@k = DCG / (sum over j = 1..min(k, h) of 1 / log2(j + 1)).

    DCG = sum over r_j <= k of 1 / log2(r_j + 1). Averaged over users. The ideal is what the user's
    h items could reach, so that a perfect ranking has 1.
    """
    return _ratio(_dcg(ranks, k), _discounts(k)[np.minimum(k, ranks.held)])


def ndcg_full(ranks: Ranks, k: int) -> np.ndarray:
    """NDCG@k with the ideal DCG over all k places, whatever h.

    Averaged over users. Equal to `ndcg` for users with h >= k and smaller for others, who cannot
    reach 1; some published tables use it.
    """
    return _ratio(_dcg(ranks, k), np.where(ranks.held > 0, _discounts(k)[k], 0))


def _dcg(ranks: Ranks, k: int) -> np.ndarray:
    """DCG = sum over r_j <= k of 1 / log2(r_j + 1)."""
    r = ranks.ascending
    return ranks.total(np.where(r <= k, 1 / np.log2(r + 1), 0))


def average_precision(ranks: Ranks) -> np.ndarray:
    """AP = (1 / h) * sum over j of j / r_j, over the whole list.

    Averaged over users (MAP). Every held-out item counts, however far down.
    """
    return _ratio(ranks.total(ranks.place / ranks.ascending), ranks.held)


def reciprocal_rank(ranks: Ranks) -> np.ndarray:
    """RR = 1 / r_1, of the first held-out item.

    Averaged over users (MRR).
    """
    return _ratio(ranks.total((ranks.place == 1) / ranks.ascending), np.minimum(ranks.held, 1))


def average_precision_at(ranks: Ranks, k: int) -> np.ndarray:
    """AP@k = (1 / min(k, h)) * sum over r_j <= k of j / r_j.

    Averaged over users (MAP@k). Divided by what the first k places can hold, so that a perfect
    ranking has 1; trec_eval's `map_cut` divides by h.
    """
    terms = np.where(ranks.ascending <= k, ranks.place / ranks.ascending, 0)
    return _ratio(ranks.total(terms), np.minimum(ranks.held, k))


def reciprocal_rank_at(ranks: Ranks, k: int) -> np.ndarray:
    """RR@k = 1 / r_1 if r_1 <= k, else 0.

    Averaged over users (MRR@k).
    """
    first = (ranks.place == 1) & (ranks.ascending <= k)
    return _ratio(ranks.total(first / ranks.ascending), np.minimum(ranks.held, 1))


def auc(ranks: Ranks) -> np.ndarray:
    """AUC = share of (held-out, other candidate) pairs in the right order.

    = 1 - (sum of r_j - h (h + 1) / 2) / (h (c - h)). Averaged over users. Equal scores count by
    item order, as in every ranking here. A user whose candidates are all held out gets NaN.
    """
    h = ranks.held
    wrong = ranks.total(ranks.ascending) - h * (h + 1) / 2
    return 1 - _ratio(wrong, h * (ranks.n_candidates - h))


@dataclass(frozen=True)
class Metric:
    """A named metric, its average, and the users that count.

    Parameters
    ----------
    name : str
        As in a table: "ndcg@10".
    values : callable
        Ranks -> float64[n_users].
    micro : bool
        Average over held-out interactions instead of over users.
    min_held : int
        Users with fewer held-out items do not count.
    """

    name: str
    values: Callable[[Ranks], np.ndarray]
    micro: bool = False
    min_held: int = 1

    def per_user(self, ranks: Ranks) -> np.ndarray:
        """Return float64[n_users], NaN for users who do not count."""
        return np.where(ranks.held >= self.min_held, self.values(ranks), np.nan)

    def mean(self, ranks: Ranks) -> float:
        """Average over the users who count; NaN if there are none."""
        values = self.per_user(ranks)
        counted = ~np.isnan(values)
        if not counted.any():
            return float("nan")
        weights = ranks.held[counted] if self.micro else None
        return float(np.average(values[counted], weights=weights))


AT_K: dict[str, Callable[[Ranks, int], np.ndarray]] = {
    "precision": precision,
    "recall": recall,
    "hit_rate": hit_rate,
    "ndcg": ndcg,
    "ndcg_full": ndcg_full,
    "map": average_precision_at,
    "mrr": reciprocal_rank_at,
    "micro_recall": recall,
}
WHOLE_LIST: dict[str, Callable[[Ranks], np.ndarray]] = {
    "map": average_precision,
    "mrr": reciprocal_rank,
    "auc": auc,
}
MICRO = {"micro_recall"}
FORMER = {"hr": "micro_recall"}
"""Names under which earlier versions recorded a metric: still read, and never written."""

ALIASES = {"hit": "hit_rate"}


def metric(name: str, min_held: int = 1) -> Metric:
    """Look up a metric by name.

    Parameters
    ----------
    name : str
        `precision@K`, `recall@K`, `hit_rate@K` (or `hit@K`), `ndcg@K`, `ndcg_full@K`, `map@K`,
        `mrr@K`, `micro_recall@K` with K in 1..999999, or `map`, `mrr`, `auc` of the whole list;
        upper case does not matter. `hr@K`, the former name of `micro_recall@K`, is answered under
        that name, with a warning: others mean `hit_rate@K` by it.
    min_held : int
        Users with fewer held-out items do not count.

    Raises
    ------
    ParameterError
        The name is unknown, or K is missing, misplaced or out of range.
    """
    text = name.strip().lower() if isinstance(name, str) else ""
    base, at, cutoff = text.partition("@")
    base = ALIASES.get(base, FORMER.get(base, base))
    if not at and base in WHOLE_LIST:
        return Metric(text, WHOLE_LIST[base], min_held=min_held)
    if base in AT_K and re.fullmatch("[1-9][0-9]{0,5}", cutoff):
        k = int(cutoff)
        if text.partition("@")[0] in FORMER:
            warn(
                f"{text} is taken as {base}@{k}, the micro-averaged recall that the SML paper calls"
                f" HR; the share of users with a hit is hit_rate@{k}"
            )
        function = AT_K[base]
        named = Metric(f"{base}@{k}", lambda ranks: function(ranks, k), min_held=min_held)
        return replace(named, micro=base in MICRO)
    choices = [f"{known}@K" for known in AT_K] + list(WHOLE_LIST)
    raise ParameterError(
        f"unknown metric {name!r}; choose {', '.join(choices)}, with K in 1..999999"
    )


def recorded(metrics: Mapping[str, float | None], name: str) -> float | None:
    """Return a value of a record by its metric's name, also where it has the former name.

    Parameters
    ----------
    metrics : mapping of names to values
        Of this version, or of one that wrote `hr@K` for `micro_recall@K`.
    name : str
        As this version writes it.
    """
    if name in metrics:
        return metrics[name]
    base, at, cutoff = name.partition("@")
    former = next((old for old, new in FORMER.items() if new == base), base)
    return metrics.get(f"{former}{at}{cutoff}")
