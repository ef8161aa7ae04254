"""Answers with original ids, out of a scorer: the functions behind `Recommender`'s methods."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.errors import ParameterError, UnknownIds, Unsupported
from trimetric.models.fitted import Fitted
from trimetric.space.filters import ItemFilter
from trimetric.space.known import Known
from trimetric.space.lists import check_k, ranked_frame
from trimetric.space.metric import MetricSpace
from trimetric.space.scorer import Lists, Scorer

if TYPE_CHECKING:
    import polars as pl

    from trimetric.space.explanation import Explanation

OnUnknown = Literal["error", "popular", "skip"]
NOT_TRAINED_ON = "the model was not trained on them"


@dataclass(frozen=True)
class Filters:
    """Which items may be listed, and how they are searched.

    Parameters
    ----------
    exclude_seen : bool
        Whether to leave out what the user has.
    allow, deny : iterable of item ids or None
    approximate : bool
    """

    exclude_seen: bool = True
    allow: Any = None
    deny: Any = None
    approximate: bool = False


def recommend(
    known: Known, scorer: Scorer, users: Any, k: int, on_unknown: OnUnknown, filters: Filters
) -> "pl.DataFrame":
    """Recommend items to users: see `Recommender.recommend`."""
    import polars as pl

    k, ids = check_k(k), as_ids(users)
    if on_unknown not in ("error", "popular", "skip"):
        raise ParameterError(f"on_unknown must be error, popular or skip, got {on_unknown!r}")
    rows = trained_rows(known, ids)
    unknown = [user for user, row in zip(ids, rows, strict=True) if row < 0]
    if unknown and on_unknown == "error":
        remedy = f"{NOT_TRAINED_ON}; on_unknown can be popular or skip"
        raise UnknownIds("user", unknown, remedy)
    only = ItemFilter.from_ids(known.item_ids, filters.allow, filters.deny).rows
    places = np.flatnonzero(rows >= 0)
    keys = known.user_ids.decode(rows[places])
    hidden = known.seen.take(rows[places]) if filters.exclude_seen else Csr.empty(len(places))
    lists = scorer.nearest(
        rows[places], k, exclude=hidden, only=only, approximate=filters.approximate
    )
    if unknown and on_unknown == "popular":
        order = np.argsort(np.concatenate([places, np.flatnonzero(rows < 0)]))
        popular = popular_lists(known, len(unknown), k, only)
        keys = pl.concat([keys, _in_type_of(known.user_ids, unknown)]).gather(order)
        lists = (
            np.concatenate([lists[0], popular[0]])[order],
            np.concatenate([lists[1], popular[1]])[order],
        )
    return ranked_frame(keys, lists, known.item_ids, ("user", "item"), is_metric(scorer))


def recommend_for(
    known: Known, space: MetricSpace, items: Any, weights: Any, k: int, filters: Filters
) -> "pl.DataFrame":
    """Recommend items to a new user: see `Recommender.recommend_for`."""
    import polars as pl

    k = check_k(k)
    only = ItemFilter.from_ids(known.item_ids, filters.allow, filters.deny).rows
    user_items, counts = weighted_rows("item", known.item_ids, items, weights)
    hidden = user_items if filters.exclude_seen else user_items[:0]
    lists = space.nearest_to(
        space.place((np.array([0, len(user_items)]), user_items), counts),
        k,
        exclude=Csr(np.array([0, len(hidden)], dtype=np.int64), hidden),
        only=only,
        approximate=filters.approximate,
    )
    answer = ranked_frame(pl.Series(["new"]), lists, known.item_ids, ("user", "item"), True)
    return answer.drop("user")


def similar(
    name: str, kind: Literal["item", "user"], known: Known, scorer: Scorer, ids: Any, k: int
) -> "pl.DataFrame":
    """Return what is most like given items or users: see `Recommender.similar_items`."""
    if f"similar {kind}s" not in scorer.capabilities:
        raise Unsupported(f"{name} has no similar {kind}s; models with a metric space do")
    vocabulary = known.item_ids if kind == "item" else known.user_ids
    k, rows = check_k(k), known_rows(kind, vocabulary, as_ids(ids))
    lists = scorer.neighbours(kind, rows, k)
    names = (kind, "similar")
    return ranked_frame(vocabulary.decode(rows), lists, vocabulary, names, is_metric(scorer))


def score(known: Known, scorer: Scorer, pairs: Any) -> np.ndarray:
    """Score pairs of ids: see `Recommender.score`."""
    users, items = as_pairs(pairs)
    user_rows = known_rows("user", known.user_ids, users)
    return scorer.score(user_rows, known_rows("item", known.item_ids, items))


def explain(
    name: str, state: Fitted, user: Any, item: Any, options: tuple[int, int, int]
) -> "Explanation":
    """Explain an item to a user: see `Recommender.explain`."""
    from trimetric.space import explain as explaining

    limits = explaining.ExplainOptions(check_k(options[0]), *options[1:])
    known, space = state.known, metric_space(name, state.scorer, "to explain by")
    row = one_row("user", known.user_ids, user)
    items = known.items_of(row)
    if len(items) == 0:
        raise UnknownIds("user", as_ids(user), NOT_TRAINED_ON)
    whom = explaining.ExplainedUser(row, space.users[row], items, known.weights_of(row))
    return explaining.explain(
        space, known, name, whom, one_row("item", known.item_ids, item), limits
    )


def explain_for(
    name: str, state: Fitted, user_items: tuple[Any, Any], item: Any, options: tuple[int, int, int]
) -> "Explanation":
    """Explain an item to a new user with (items, weights): see `Recommender.explain_for`."""
    from trimetric.space import explain as explaining

    limits = explaining.ExplainOptions(check_k(options[0]), *options[1:])
    known, space = state.known, placing_space(name, state.scorer)
    items, weights = weighted_rows("item", known.item_ids, *user_items)
    [point] = space.place((np.array([0, len(items)]), items), weights)
    whom = explaining.ExplainedUser(None, point, items, weights)
    return explaining.explain(
        space, known, name, whom, one_row("item", known.item_ids, item), limits
    )


def fold_in(
    name: str, state: Fitted, among: Literal["item", "user"], ids: Any, weights: Any
) -> np.ndarray:
    """Place a new user among items, or a new item among users: see `Recommender.fold_in`."""
    space, known = placing_space(name, state.scorer), state.known
    vocabulary = known.item_ids if among == "item" else known.user_ids
    rows, counts = weighted_rows(among, vocabulary, ids, weights)
    return space.place((np.array([0, len(rows)]), rows), counts, among)[0]


def mean_of_items(name: str, state: Fitted, items: Any, weights: Any) -> np.ndarray:
    """Place a new item at the mean of others: see `Recommender.fold_in_item_from`."""
    space = placing_space(name, state.scorer)
    rows, counts = weighted_rows("item", state.known.item_ids, items, weights)
    mean = np.average(space.items[rows].astype(np.float64), axis=0, weights=counts)
    if space.fold_in is not None:
        [mean] = space.fold_in.on_surface(mean[None])
    return mean.astype(np.float32)


# --- spaces -------------------------------------------------------------------------------------


def is_metric(scorer: Scorer) -> bool:
    """Whether the scores are distances, negated."""
    return "metric space" in scorer.capabilities


def metric_space(name: str, scorer: Scorer, purpose: str = "") -> MetricSpace:
    """Return the scorer of a metric model, or raise Unsupported."""
    if isinstance(scorer, MetricSpace):
        return scorer
    if purpose == "to explain by":
        raise Unsupported(
            f"{name} cannot say why: its scores are no distances; models with a metric space can,"
            " such as centroid, sml and cml"
        )
    raise Unsupported(
        f"the score of {name} is no distance between two points, so that there is no space"
        f" {purpose or 'and no L2 index'}; centroid, sml, cml and fml have one"
    )


def placing_space(name: str, scorer: Scorer) -> MetricSpace:
    """Return a space that places new users, or raise Unsupported."""
    if isinstance(scorer, MetricSpace) and scorer.fold_in is not None:
        return scorer
    raise Unsupported(
        f"{name} cannot place a new user without being trained again; centroid, sml and cml can"
    )


def popular_lists(known: Known, n: int, k: int, only: np.ndarray | None) -> Lists:
    """Return the most popular items for `n` users, without scores."""
    top = known.most_popular(k, only)
    return np.tile(top, (n, 1)), np.full((n, len(top)), np.nan, dtype=np.float32)


# --- ids ----------------------------------------------------------------------------------------


def trained_rows(known: Known, users: list) -> np.ndarray:
    """Return the rows of users, int32, -1 for those that the model was not trained on."""
    rows = known.user_ids.encode(users)
    # A user of a split's other parts has a row, but a point that nothing has moved.
    rows[(rows >= 0) & (known.seen.counts[rows] == 0)] = -1
    return rows


def known_rows(kind: str, vocabulary: Vocabulary, ids: list) -> np.ndarray:
    """Return the rows of ids, int32; raise UnknownIds for those that have none."""
    rows = vocabulary.encode(ids)
    unknown = [value for value, row in zip(ids, rows, strict=True) if row < 0]
    if unknown:
        raise UnknownIds(kind, unknown, NOT_TRAINED_ON)
    return rows


def one_row(kind: str, vocabulary: Vocabulary, raw: Any) -> int:
    """Return the row of the single id given."""
    ids = as_ids(raw)
    if len(ids) != 1:
        raise ParameterError(f"give one {kind}, got {len(ids)}")
    return int(known_rows(kind, vocabulary, ids)[0])


def weighted_rows(
    kind: str, vocabulary: Vocabulary, ids: Any, weights: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a new user's items, int32 ascending, and their weights, float32."""
    ids = as_ids(ids)
    rows = known_rows(kind, vocabulary, ids)
    if len(rows) == 0:
        raise ParameterError(f"give at least one {kind} to place a new user or item by")
    order = np.argsort(rows, kind="stable")
    repeated = np.flatnonzero(np.diff(rows[order]) == 0)
    if len(repeated):
        raise ParameterError(
            f"{kind} {ids[order[repeated[0]]]!r} is given twice; give each once, with a weight"
        )
    return rows[order].astype(np.int32), _weights(weights, len(rows))[order]


def as_ids(ids: Any) -> list:
    """Return one id or an iterable of ids as a list of plain Python values."""
    if isinstance(ids, (str, bytes, int, np.generic)):
        ids = [ids]
    if not isinstance(ids, Iterable):
        raise ParameterError(f"expected an id or a list of ids, got {ids!r}")
    return [value.item() if isinstance(value, np.generic) else value for value in ids]


def as_pairs(pairs: Any) -> tuple[list, list]:
    """Return the users and the items of pairs, given as pairs or as a frame."""
    if hasattr(pairs, "columns"):
        missing = [name for name in ("user", "item") if name not in pairs.columns]
        if missing:
            raise ParameterError(
                f"pairs must have columns user and item; {missing[0]!r} is not among"
                f" {', '.join(map(str, pairs.columns))}"
            )
        return as_ids(pairs["user"]), as_ids(pairs["item"])
    users, items = [], []
    for pair in pairs:
        if isinstance(pair, str) or not isinstance(pair, Iterable) or len(both := [*pair]) != 2:
            raise ParameterError(f"expected pairs of a user and an item, got {pair!r} among them")
        users.append(both[0])
        items.append(both[1])
    return as_ids(users), as_ids(items)


def _in_type_of(vocabulary: Vocabulary, users: list) -> "pl.Series":
    """Return unknown ids in the type of the known ones."""
    import polars as pl

    try:
        return pl.Series(users, dtype=vocabulary.values.dtype, strict=True)
    except (TypeError, OverflowError):
        remedy = f"the model's user ids are {vocabulary.kind}: give ids of that type"
        raise UnknownIds("user", users, remedy) from None


def _weights(weights: Any, n: int) -> np.ndarray:
    if weights is None:
        return np.ones(n, dtype=np.float32)
    values = np.zeros(0, dtype=np.float32)
    with suppress(TypeError, ValueError), np.errstate(over="ignore"):
        values = np.asarray(
            [*weights] if isinstance(weights, Iterable) else weights, dtype=np.float32
        )
    if values.shape != (n,):
        raise ParameterError(f"weights must be one number for each of {n}, got {weights!r}")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ParameterError(f"weights must be above 0 and finite, got {weights!r}; 1 is usual")
    return values
