"""New users and items placed in a space, and items explained to users: with original ids."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trimetric.data.csr import Csr
from trimetric.errors import UnknownIds, Unsupported
from trimetric.models.answers import Given, one_row, placing_space, weighted_rows
from trimetric.models.fitted import Fitted
from trimetric.space.function import FunctionScorer
from trimetric.space.given import NOT_TRAINED_ON, ids_of
from trimetric.space.inner_product import InnerProduct
from trimetric.space.known import Known
from trimetric.space.lists import check_k
from trimetric.space.metric import MetricSpace
from trimetric.space.scorer import Scorer

if TYPE_CHECKING:
    from trimetric.space.explained import ExplainedUser, ExplainOptions
    from trimetric.space.explanation import Explanation


def explain(
    name: str, state: Fitted, user: Any, item: Any, options: tuple[int, int, int]
) -> "Explanation":
    """Explain an item to a user: see `Recommender.explain`."""
    from trimetric.space import explained as explaining

    limits = explaining.ExplainOptions(check_k(options[0]), *options[1:])
    known, scorer = state.known, explaining_scorer(name, state.scorer)
    row = one_row("user", known.user_ids, user)
    items = known.items_of(row)
    if len(items) == 0:
        raise UnknownIds("user", ids_of(user, "user"), NOT_TRAINED_ON)
    point = scorer.users[row] if isinstance(scorer, MetricSpace) else None
    whom = explaining.ExplainedUser(row, point, items, known.weights_of(row))
    return _explained(name, known, scorer, whom, item, limits)


def explain_for(
    name: str, state: Fitted, given: Given, item: Any, options: tuple[int, int, int]
) -> "Explanation":
    """Explain an item to a new user with items and weights: see `Recommender.explain_for`."""
    from trimetric.space import explained as explaining

    limits = explaining.ExplainOptions(check_k(options[0]), *options[1:])
    known, scorer = state.known, explaining_scorer(name, state.scorer)
    if not {"fold-in", "new users"} & scorer.capabilities:
        placing_space(name, scorer)  # which raises
    items, weights = weighted_rows("item", known.item_ids, given)
    point = None
    if isinstance(scorer, MetricSpace):
        [point] = scorer.place((np.array([0, len(items)]), items), weights)
    whom = explaining.ExplainedUser(None, point, items, weights)
    return _explained(name, known, scorer, whom, item, limits)


def _explained(
    name: str,
    known: Known,
    scorer: Scorer,
    user: "ExplainedUser",
    item: Any,
    options: "ExplainOptions",
) -> "Explanation":
    from trimetric.space.explain import explain
    from trimetric.space.explain_sums import explain_sum

    row = one_row("item", known.item_ids, item)
    if isinstance(scorer, MetricSpace):
        return explain(scorer, known, name, user, row, options)
    if isinstance(scorer, FunctionScorer) and scorer.seen_by is not None:
        space = scorer.seen_by(scorer.learned, user.row, user.items, user.weights)
        user = replace(user, point=space.users[0])
        return explain(space, known, name, user, row, options, scorer)
    return explain_sum(scorer, known, name, user, row, options)


def fold_in(name: str, state: Fitted, among: Literal["item", "user"], given: Given) -> np.ndarray:
    """Place a new user among items, or a new item among users: see `Recommender.fold_in`."""
    known, scorer = state.known, state.scorer
    if among == "item" and isinstance(scorer, InnerProduct) and "new users" in scorer.capabilities:
        rows, counts = weighted_rows("item", known.item_ids, given)
        return scorer.place(Csr(np.array([0, len(rows)], dtype=np.int64), rows), counts)[0]
    space = placing_space(name, scorer)
    vocabulary = known.item_ids if among == "item" else known.user_ids
    rows, counts = weighted_rows(among, vocabulary, given)
    return space.place((np.array([0, len(rows)]), rows), counts, among)[0]


def mean_of_items(name: str, state: Fitted, given: Given) -> np.ndarray:
    """Place a new item at the mean of others: see `Recommender.fold_in_item_from`."""
    space = placing_space(name, state.scorer)
    rows, counts = weighted_rows("item", state.known.item_ids, given)
    mean = np.average(space.items[rows].astype(np.float64), axis=0, weights=counts)
    if space.fold_in is not None:
        [mean] = space.fold_in.on_surface(mean[None])
    return mean.astype(np.float32)


def explaining_scorer(name: str, scorer: Scorer) -> Scorer:
    """Return a scorer that explains, or raise Unsupported."""
    if "explanations" in scorer.capabilities:
        return scorer
    reason = scorer.refusals.get(
        "explanations", "its scores are neither distances nor sums over what a user has"
    )
    raise Unsupported(
        f"{name} cannot say why: {reason}; models with a metric space can, such as centroid, sml"
        " and cml, and so can ease, itemknn, ials and bpr"
    )
