"""Answers with original ids, out of a scorer: the functions behind `Recommender`'s methods."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.foreign_arrays import as_numpy
from trimetric.data.ids import Vocabulary
from trimetric.data.interactions import Interactions
from trimetric.errors import ParameterError, UnknownIds, Unsupported, warn
from trimetric.keywords import check_switch, is_one_of
from trimetric.space import candidate_lists
from trimetric.space.diversity import METHODS, Rerank, diversified, pool_size
from trimetric.space.filters import Asked, ItemFilter
from trimetric.space.given import NOT_TRAINED_ON, check_type, ids_of, weighted_ids
from trimetric.space.inner_product import InnerProduct
from trimetric.space.known import Known
from trimetric.space.lists import check_k, ranked_frame
from trimetric.space.metric import MetricSpace
from trimetric.space.scorer import Lists, Scorer

if TYPE_CHECKING:
    import polars as pl

OnUnknown = Literal["error", "popular", "skip"]
OnUnknownItem = Literal["error", "skip"]


@dataclass(frozen=True)
class Options:
    """Which items may be listed, how they are searched, and how different they are to be.

    Parameters
    ----------
    exclude_seen : bool
        Whether to leave out what the user has.
    allow, deny : iterable of item ids, mapping of asked ids to those, or None
    approximate : bool
    diversity : float
        0..1; 0 leaves lists in the order of scores.
    rerank : "mmr" or "dpp"
    """

    exclude_seen: bool = True
    allow: Any = None
    deny: Any = None
    approximate: bool = False
    diversity: float = 0.0
    rerank: Rerank = "mmr"

    def __post_init__(self) -> None:
        check_switch("exclude_seen", self.exclude_seen)
        check_switch("approximate", self.approximate)
        value = self.diversity
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not number or not 0 <= value <= 1:
            raise ParameterError(f"diversity must be a number in 0..1, got {value!r}; 0 is off")
        if not is_one_of(self.rerank, METHODS):
            raise ParameterError(f"rerank must be {' or '.join(METHODS)}, got {self.rerank!r}")

    def filter(self, known: Known, asked: Asked | None) -> ItemFilter:
        """Return the filter of items, those left out that are unavailable."""
        return ItemFilter.from_ids(
            known.item_ids, self.allow, self.deny, asked=asked, available=known.available
        )


def everybody(known: Known) -> "pl.Series":
    """Return the ids of all users who were trained on."""
    return known.user_ids.decode(np.flatnonzero(known.seen.counts > 0))


def recommend(
    name: str,
    known: Known,
    scorer: Scorer,
    users: Any,
    k: int,
    on_unknown: OnUnknown,
    options: Options,
) -> "pl.DataFrame":
    """Recommend items to users: see `Recommender.recommend`."""
    import polars as pl

    k, ids = check_k(k), ids_of(users, "user")
    if options.diversity:
        metric_space(name, scorer, TO_DIVERSIFY)
    check_unknown_users(on_unknown)
    rows = trained_rows(known, ids)
    unknown = [*compress(ids, rows < 0)]
    if unknown:
        check_type("user", known.user_ids, unknown)
        if on_unknown == "error":
            remedy = f"{NOT_TRAINED_ON}; on_unknown can be popular or skip"
            raise UnknownIds("user", unknown, remedy)
    items = options.filter(known, Asked("user", known.user_ids, ids))
    places = np.flatnonzero(rows >= 0)
    keys = known.user_ids.decode(rows[places])
    hidden = known.seen.take(rows[places]) if options.exclude_seen else Csr.empty(len(places))
    mine, width = items.take(places), pool_size(k) if options.diversity else k
    lists = candidate_lists.nearest(scorer, rows[places], width, hidden, mine, options.approximate)
    before = None
    if options.diversity:
        space = metric_space(name, scorer, TO_DIVERSIFY)
        lists, before = reranked(space, space.users[rows[places]], lists, k, options)
    if unknown and on_unknown == "popular":
        others = np.flatnonzero(rows < 0)
        order = np.argsort(np.concatenate([places, others]))
        popular = popular_lists(known, k, items.take(others), len(others))
        keys = pl.concat([keys, _in_type_of(known.user_ids, unknown)]).gather(order)
        whole = candidate_lists.stacked([lists, popular])
        lists = whole[0][order], whole[1][order]
        if before is not None:
            whole = candidate_lists.stacked([(before, lists[1][:0]), (popular[0] * 0, popular[1])])
            before = whole[0][order]
    return ranked_frame(keys, lists, known.item_ids, ("user", "item"), is_metric(scorer), before)


def recommend_for(
    name: str, known: Known, scorer: Scorer, given: "Given", k: int, options: Options
) -> "pl.DataFrame":
    """Recommend items to a new user: see `Recommender.recommend_for`."""
    import polars as pl

    k = check_k(k)
    if options.diversity:
        metric_space(name, scorer, TO_DIVERSIFY)
    if not {"fold-in", "new users"} & scorer.capabilities:
        placing_space(name, scorer)  # which raises
    user_items, weights = weighted_rows("item", known.item_ids, given)
    items = options.filter(known, None)
    lists = Csr(np.array([0, len(user_items)], dtype=np.int64), user_items)
    hidden = lists if options.exclude_seen else Csr.empty(1)
    width = pool_size(k) if options.diversity else k
    found = scorer.nearest_new(
        lists, weights, width, exclude=hidden, only=items.rows, approximate=options.approximate
    )
    before = None
    if options.diversity:
        space = metric_space(name, scorer, TO_DIVERSIFY)
        points = space.place((lists.indptr, lists.items), weights)
        found, before = reranked(space, points, found, k, options)
    answer = ranked_frame(
        pl.Series(["new"]), found, known.item_ids, ("user", "item"), is_metric(scorer), before
    )
    return answer.drop("user")


def similar(
    name: str,
    kind: Literal["item", "user"],
    known: Known,
    scorer: Scorer,
    given: "Given",
    k: int,
    filters: tuple[Any, Any],
) -> "pl.DataFrame":
    """Return what is most like given items or users: see `Recommender.similar_items`."""
    if f"similar {kind}s" not in scorer.capabilities:
        reason = scorer.refusals.get(
            f"similar {kind}s", f"its scores do not say which {kind}s are alike"
        )
        others = "ease, itemknn, ials and bpr" if kind == "item" else "ials and bpr"
        raise Unsupported(
            f"{name} has no similar {kind}s: {reason}; models with a metric space have, such as"
            f" centroid, sml and cml, and so have {others}"
        )
    vocabulary = known.item_ids if kind == "item" else known.user_ids
    k, ids = check_k(k), known_ids(kind, vocabulary, ids_of(given.ids, kind), given.on_unknown)
    rows = vocabulary.encode(ids)
    available = known.available if kind == "item" else None
    asked = Asked(kind, vocabulary, ids)
    items = ItemFilter.from_ids(vocabulary, *filters, asked=asked, available=available)
    lists = candidate_lists.neighbours(scorer, kind, rows, k, items)
    names = (kind, "similar")
    return ranked_frame(vocabulary.decode(rows), lists, vocabulary, names, is_metric(scorer))


def score(known: Known, scorer: Scorer, pairs: Any, on_unknown: OnUnknownItem) -> np.ndarray:
    """Score pairs of ids: see `Recommender.score`."""
    _check_on_unknown(on_unknown)
    users, items = as_pairs(pairs)
    sides = (("user", known.user_ids, users), ("item", known.item_ids, items))
    rows = [vocabulary.encode(ids) for _, vocabulary, ids in sides]
    for (kind, vocabulary, ids), found in zip(sides, rows, strict=True):
        unknown = [*compress(ids, found < 0)]
        if unknown:
            check_type(kind, vocabulary, unknown)
            if on_unknown == "error":
                raise UnknownIds(kind, unknown, f"{NOT_TRAINED_ON}; on_unknown can be skip")
    there = (rows[0] >= 0) & (rows[1] >= 0)
    if there.all():
        return scorer.score(rows[0], rows[1])
    warn(f"{int((~there).sum()):,} of {len(there):,} pairs have an unknown id and no score (NaN)")
    out = np.full(len(there), np.nan, dtype=np.float32)
    out[there] = scorer.score(rows[0][there], rows[1][there])
    return out


def reranked(
    space: MetricSpace, points: np.ndarray, lists: Lists, k: int, options: Options
) -> tuple[Lists, np.ndarray]:
    """Return lists of k chosen for diversity, and the rank of each item by its score."""
    rows, scores = lists
    chosen = diversified(points, space.items, rows, k, float(options.diversity), options.rerank)
    at = np.maximum(chosen, 0)
    gone = chosen < 0
    return (
        np.where(gone, -1, np.take_along_axis(rows, at, axis=1)).astype(np.int32),
        np.where(gone, np.nan, np.take_along_axis(scores, at, axis=1)).astype(np.float32),
    ), chosen + 1


# --- spaces -------------------------------------------------------------------------------------

NO_L2_INDEX = "and no L2 index"
TO_EXPORT = "to export"
TO_DIVERSIFY = "in which lists could be made more diverse"


def is_metric(scorer: Scorer) -> bool:
    """Whether the scores are distances, negated."""
    return "metric space" in scorer.capabilities


def metric_space(name: str, scorer: Scorer, purpose: str = NO_L2_INDEX) -> MetricSpace:
    """Return the scorer of a metric model, or raise Unsupported: no space, for this purpose."""
    if isinstance(scorer, MetricSpace):
        return scorer
    raise Unsupported(
        f"the score of {name} is no distance between two points, so that there is no space"
        f" {purpose}; centroid, sml, cml and fml have one"
    )


def embeddings(name: str, scorer: Scorer, side: Literal["user", "item"]) -> np.ndarray:
    """Return the points of a space, or the factors of an inner product, of users or items."""
    if isinstance(scorer, InnerProduct):
        return scorer.user_factors if side == "user" else scorer.item_factors
    space = metric_space(name, scorer)
    return space.users if side == "user" else space.items


def placing_space(name: str, scorer: Scorer) -> MetricSpace:
    """Return a space that places new users, or raise Unsupported."""
    if isinstance(scorer, MetricSpace) and scorer.fold_in is not None:
        return scorer
    if "new users" in scorer.capabilities:
        reason = scorer.refusals.get("fold-in", "it has no points; recommend_for takes new users")
        raise Unsupported(f"{name} cannot tell where a new user or item belongs: {reason}")
    reason = scorer.refusals.get("new users", "its scores are of the users it was trained on")
    raise Unsupported(
        f"{name} cannot place a new user without being trained again: {reason}; models with a"
        " metric space can, such as centroid, sml and cml, and so can ease, itemknn, ials and bpr"
    )


def popular_lists(known: Known, k: int, items: ItemFilter, n: int) -> Lists:
    """Return the most popular items for `n` users, without scores."""
    if items.allowed is None and items.denied is None:
        top = known.most_popular(k, items.rows)
        return np.tile(top, (n, 1)), np.full((n, len(top)), np.nan, dtype=np.float32)
    everything = np.arange(len(known.item_ids)) if items.rows is None else items.rows
    allowed, hidden = items.candidates(Csr.empty(n)), items.hidden(Csr.empty(n))
    parts = []
    for at in range(n):
        one = np.array([at])
        if allowed is None:
            rows = np.setdiff1d(everything, hidden.take(one).items)
        else:
            rows = allowed.take(one).items
        top = known.most_popular(k, rows.astype(np.int32))[None]
        parts.append((top, np.full(top.shape, np.nan, dtype=np.float32)))
    return candidate_lists.stacked(parts)


# --- ids ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Given:
    """Ids, or ids with weights, as a caller gave them.

    Parameters
    ----------
    ids : id, iterable of ids, or mapping of ids to weights
    weights : mapping or iterable, optional
    on_unknown : "error" or "skip"
    """

    ids: Any
    weights: Any = None
    on_unknown: OnUnknownItem = "error"


def trained_rows(known: Known, users: list) -> np.ndarray:
    """Return the rows of users, int32, -1 for those that the model was not trained on."""
    rows = known.user_ids.encode(users)
    # A user of a split's other parts has a row, but a point that nothing has moved.
    there = np.flatnonzero(rows >= 0)
    rows[there[known.seen.counts[rows[there]] == 0]] = -1
    return rows


def known_ids(kind: str, vocabulary: Vocabulary, ids: list, on_unknown: OnUnknownItem) -> list:
    """Return the ids that the model knows: all of them, or with "skip" a warning says how many."""
    _check_on_unknown(on_unknown)
    rows = vocabulary.encode(ids)
    unknown = [*compress(ids, rows < 0)]
    if not unknown:
        return ids
    check_type(kind, vocabulary, unknown)
    if on_unknown == "error":
        raise UnknownIds(kind, unknown, NOT_TRAINED_ON)
    warn_left_out(kind, unknown, len(ids))
    return [*compress(ids, rows >= 0)]


def warn_left_out(kind: str, unknown: list, n: int) -> None:
    """Warn that some of n ids are unknown and left out."""
    shown = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
    warn(f"{len(unknown):,} of {n:,} {kind}s are unknown and left out: {shown}")


def unavailable_rows(known: Known, items: Any) -> np.ndarray:
    """Return the rows of items that are to be in no list, int32 ascending."""
    ids = ids_of(items, "unavailable", single=False)
    check_type("item", known.item_ids, ids, "unavailable")
    rows = known.item_ids.encode(ids)
    unknown = int((rows < 0).sum())
    if unknown:
        warn(f"{unknown:,} of {len(ids):,} unavailable items are unknown to the model")
    return np.unique(rows[rows >= 0]).astype(np.int32)


def one_row(kind: str, vocabulary: Vocabulary, raw: Any) -> int:
    """Return the row of the single id given."""
    ids = ids_of(raw, kind)
    if len(ids) != 1:
        raise ParameterError(f"give one {kind}, got {len(ids)}")
    return int(vocabulary.encode(known_ids(kind, vocabulary, ids, "error"))[0])


def weighted_rows(kind: str, vocabulary: Vocabulary, given: Given) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a new user's items, int32 ascending, and their weights, float32."""
    ids, weights = weighted_ids(given.ids, given.weights, kind)
    if not ids:
        raise ParameterError(f"give at least one {kind} to place a new user or item by")
    kept = known_ids(kind, vocabulary, ids, given.on_unknown)
    if not kept:
        raise UnknownIds(kind, ids, "none of them is known, so that there is nothing to go by")
    weight_of = dict(zip(ids, weights.tolist(), strict=True))
    rows = vocabulary.encode(kept)
    counts = np.array([weight_of[value] for value in kept])
    distinct, place = np.unique(rows, return_inverse=True)  # 7 and 7.0 are one
    summed = np.bincount(place, weights=counts)
    return distinct.astype(np.int32), summed.astype(np.float32)


def as_pairs(pairs: Any) -> tuple[list, list]:
    """Return the users and the items of pairs: pairs, a table, mappings, or Interactions."""
    if isinstance(pairs, Interactions):
        return (
            pairs.user_ids.decode(pairs.users).to_list(),
            pairs.item_ids.decode(pairs.items).to_list(),
        )
    pairs = as_numpy(pairs)
    columns = _columns(pairs)
    if columns is not None:
        missing = [name for name in ("user", "item") if name not in columns]
        if missing:
            raise ParameterError(
                f"pairs must have columns user and item; {missing[0]!r} is not among"
                f" {', '.join(map(str, columns))}"
            )
        sides = ids_of(pairs["user"], "user"), ids_of(pairs["item"], "item")
        if len(sides[0]) != len(sides[1]):
            raise ParameterError(f"pairs have {len(sides[0])} users and {len(sides[1])} items")
        return sides
    users, items = [], []
    if isinstance(pairs, str | bytes) or not hasattr(pairs, "__iter__"):
        raise ParameterError(f"expected pairs of a user and an item, got {pairs!r}")
    for pair in pairs:
        if isinstance(pair, Mapping):
            ids = [pair[side] for side in ("user", "item") if side in pair]
        else:
            ids = [] if isinstance(pair, str | bytes) or not hasattr(pair, "__iter__") else [*pair]
        if len(ids) != 2:
            raise ParameterError(f"expected pairs of a user and an item, got {pair!r} among them")
        users.append(ids[0])
        items.append(ids[1])
    return ids_of(users, "user"), ids_of(items, "item")


def _columns(pairs: Any) -> list | None:
    """Return the names of a table's columns; None where it is no table."""
    if isinstance(pairs, dict):
        return list(pairs)
    if isinstance(getattr(pairs, "column_names", None), list):
        return list(pairs.column_names)
    if hasattr(pairs, "columns"):
        return list(pairs.columns)
    return (
        list(pairs.dtype.names) if getattr(getattr(pairs, "dtype", None), "names", None) else None
    )


def check_unknown_users(on_unknown: Any) -> None:
    """Raise ParameterError where it does not say what becomes of unknown users."""
    if not is_one_of(on_unknown, ("error", "popular", "skip")):
        raise ParameterError(f"on_unknown must be error, popular or skip, got {on_unknown!r}")


def _check_on_unknown(value: Any) -> None:
    if not is_one_of(value, ("error", "skip")):
        raise ParameterError(f"on_unknown must be error or skip, got {value!r}")


def _in_type_of(vocabulary: Vocabulary, users: list) -> "pl.Series":
    """Return unknown ids in the type of the known ones."""
    import polars as pl

    try:
        return pl.Series(users, dtype=vocabulary.values.dtype, strict=True)
    except (TypeError, OverflowError, UnicodeEncodeError):
        remedy = f"no answer can hold them as {vocabulary.kind} ids"
        raise UnknownIds("user", users, remedy) from None
