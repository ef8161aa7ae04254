"""One number about a model, cheap enough to ask after each epoch."""

from collections.abc import Callable

import numpy as np

from trimetric import counter
from trimetric.data.csr import Csr, HasRows
from trimetric.errors import DataError, ParameterError
from trimetric.evaluation import metrics
from trimetric.evaluation.full_ranks import full_ranks
from trimetric.evaluation.ranker import Ranker


def validator(
    valid: HasRows,
    seen: HasRows,
    metric: str = "ndcg@10",
    *,
    max_users: int | None = None,
    learned_items: np.ndarray | None = None,
) -> Callable[[Ranker], float]:
    """Prepare the full ranking of validation items among the items not seen in training.

    Parameters
    ----------
    valid, seen : Interactions or Csr
        Both in the rows of the scorer that will be validated. Pairs already in `seen` are left
        out, and so are users and items without any, as in `evaluate`.
    metric : str
        See `metrics.metric`.
    max_users : int, optional
        Look at no more than so many users with validation items, the same ones each time.
    learned_items : int32 (n,), optional
        The items with training interactions, ascending, where `seen` is of some users only.

    Returns
    -------
    callable
        Takes a `Ranker` and returns the metric.

    Raises
    ------
    ParameterError
        The metric is unknown or `max_users` is below 1.
    DataError
        `valid` has no pair that is not in `seen`.
    """
    definition = metrics.metric(metric)
    if max_users is not None and max_users < 1:
        raise ParameterError(f"max_users must be at least 1, got {max_users}")
    held, seen = Csr.of(valid), Csr.of(seen)
    if learned_items is None:
        learned_items = np.unique(seen.items)
    learned = (seen.counts > 0)[held.users] & np.isin(held.items, learned_items)
    held = held.keep(learned & ~seen.contains(held))
    if max_users is not None and np.count_nonzero(held.counts) > max_users:
        held = _some_users(held, max_users)
    users = np.flatnonzero(held.counts)
    if len(users) == 0:
        raise DataError(
            "no validation interaction is left that was not seen in training;"
            " give other validation data, or train without"
        )
    indptr = np.concatenate([[0], np.cumsum(held.counts[users])])

    def validate(scorer: Ranker) -> float:
        unlearned = np.setdiff1d(np.arange(scorer.n_items, dtype=np.int32), learned_items)
        found = full_ranks(scorer, held, seen, unlearned)
        return definition.mean(metrics.Ranks(found.ranks, indptr, found.n_candidates))

    return validate


def _some_users(held: Csr, max_users: int) -> Csr:
    """Keep the items of `max_users` of the users who have any, drawn at random but always alike."""
    users = np.flatnonzero(held.counts)
    sampled = np.zeros(held.n_users, dtype=bool)
    sampled[users[counter.permutation(counter.key(0), len(users))[:max_users]]] = True
    return held.keep(sampled[held.users])
