"""A model's scorer for users whom it was not trained on, by what they have."""

from typing import NamedTuple

import numpy as np

from trimetric.data.csr import Csr
from trimetric.engine.rows import padded_table
from trimetric.models.answers import placing_space
from trimetric.space.function import FunctionScorer
from trimetric.space.inner_product import InnerProduct
from trimetric.space.metric import MetricSpace
from trimetric.space.scorer import Scorer


def folded_in(name: str, scorer: Scorer, histories: Csr, weights: np.ndarray | None) -> Scorer:
    """Return a scorer whose users are placed beside the trained items by their histories.

    Parameters
    ----------
    name : str
        Of the model, for errors.
    scorer : Scorer
    histories : Csr
        Items of each new user, by row; at least one each.
    weights : float32 (n,), optional
        How much each of `histories.items` counts; 1 each unless given.

    Raises
    ------
    Unsupported
        It does not place users.
    """
    if weights is None:
        weights = np.ones(len(histories.items), dtype=np.float32)
    if isinstance(scorer, InnerProduct) and "new users" in scorer.capabilities:
        return scorer.with_users(histories, weights)
    if "new users" in scorer.capabilities and not isinstance(scorer, MetricSpace):
        given = NewUsers(scorer, histories, weights)
        return FunctionScorer(histories.n_users, scorer.n_items, given, table=scores_by_history)
    space = placing_space(name, scorer)
    users = space.place((histories.indptr, histories.items), weights)
    table = padded_table(np.concatenate([users, space.items]))
    return MetricSpace(table, histories.n_users, space.dim, fold_in=space.fold_in)


class NewUsers(NamedTuple):
    """A scorer, and what its new users have."""

    scorer: Scorer
    histories: Csr
    weights: np.ndarray


def scores_by_history(new: NewUsers, users: np.ndarray) -> np.ndarray:
    """Return the scores of all items for some of the new users, float32 (b, n_items)."""
    first, stop = new.histories.indptr[users], new.histories.indptr[users + 1]
    spans = [np.arange(a, b) for a, b in zip(first.tolist(), stop.tolist(), strict=True)]
    weights = new.weights[np.concatenate([*spans, []]).astype(int)]
    return new.scorer.scores_new(new.histories.take(users), weights)
