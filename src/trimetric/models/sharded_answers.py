"""Answers of a model in parts: each user is asked of the part that has them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from trimetric import frames
from trimetric.errors import ParameterError, UnknownIds, Unsupported
from trimetric.models import answers
from trimetric.models.answers import Given, OnUnknown, OnUnknownItem
from trimetric.space.exact import nearest
from trimetric.space.filters import Asked, ItemFilter
from trimetric.space.given import NOT_TRAINED_ON, check_type, ids_of
from trimetric.space.lists import check_k, ranked_frame

if TYPE_CHECKING:
    import polars as pl

    from trimetric.models.recommender import Recommender
    from trimetric.space.explanation import Explanation

SOME = 1024  # users whose neighbours are looked for at a time


class Answers(ABC):
    """What a `ShardedModel` answers: as `Recommender` does, with the same arguments and errors."""

    n_parts: int

    @property
    @abstractmethod
    def name(self) -> str:
        """The model's registered name."""

    @property
    @abstractmethod
    def user_kind(self) -> str:
        """What ids of users are: "int" or "str"."""

    @property
    @abstractmethod
    def without_users(self) -> "Recommender":
        """The model of all items and no user."""

    @abstractmethod
    def part(self, part: int) -> "Recommender":
        """Return the model of a part."""

    @abstractmethod
    def part_of(self, ids: Any) -> np.ndarray:
        """Return the part of each user, -1 for ids of another type."""

    def recommend(
        self, users: Any, k: int = 10, *, on_unknown: OnUnknown = "error", **options: Any
    ) -> "pl.DataFrame":
        """Recommend items to users: see `Recommender.recommend`. Users must be given."""
        import polars as pl

        ids = ids_of(users, "user")
        check_k(k)
        answers.check_unknown_users(on_unknown)
        options |= {name: _read_once(name, options.get(name)) for name in ("allow", "deny")}
        unknown, found = set[int](), []
        with frames.in_polars():
            for model, at in self._by_part(ids):
                mine = [ids[place] for place in at]
                rows = answers.trained_rows(model.known, mine)
                missing = at[rows < 0]
                check_type("user", model.user_ids, [ids[place] for place in missing])
                unknown |= set(missing.tolist())
                if on_unknown == "error" and unknown:
                    continue
                found.append(
                    _placed(
                        lambda part, model=model: model.recommend(
                            part, k, on_unknown=on_unknown, **options
                        ),
                        "user",
                        mine,
                        at,
                    )
                )
            if unknown and on_unknown == "error":
                remedy = f"{NOT_TRAINED_ON}; on_unknown can be popular or skip"
                raise UnknownIds("user", [ids[place] for place in sorted(unknown)], remedy)
            if found:
                lists = pl.concat(found).sort("place", "rank", maintain_order=True).drop("place")
            else:
                lists = self.without_users.recommend([], k, **options)
        return frames.given_back(lists, users)

    def similar_users(
        self,
        users: Any,
        k: int = 10,
        *,
        allow: Any = None,
        deny: Any = None,
        on_unknown: OnUnknownItem = "error",
    ) -> "pl.DataFrame":
        """Return the users of all parts most like each of `users`: see `Recommender`."""
        import polars as pl

        k, given = check_k(k), Given(ids_of(users, "user"), None, on_unknown)
        space = answers.metric_space(self.name, self.without_users.scorer)
        ids = self._known_users(given)
        filters = _read_once("allow", allow), _read_once("deny", deny)
        frame: list[pl.DataFrame] = []
        for low in range(0, max(1, len(ids)), SOME):
            frame.append(self._neighbours(ids[low : low + SOME], k, filters, space.dim))
        return frames.given_back(pl.concat(frame), users)

    def similar_items(self, items: Any = None, k: int = 10, **options: Any) -> "pl.DataFrame":
        """Return the items most like each of `items`: see `Recommender.similar_items`."""
        return self.without_users.similar_items(items, k, **options)

    def recommend_for(self, items: Any, k: int = 10, **options: Any) -> "pl.DataFrame":
        """Recommend items to a new user who has `items`: see `Recommender.recommend_for`."""
        return self.without_users.recommend_for(items, k, **options)

    def fold_in(self, items: Any, weights: Any = None) -> np.ndarray:
        """Return where a new user with these items belongs: see `Recommender.fold_in`."""
        return self.without_users.fold_in(items, weights)

    def folded_in(self, histories: Any, weights: np.ndarray | None = None) -> Any:
        """Return the scorer of new users: see `Recommender.folded_in`."""
        return self.without_users.folded_in(histories, weights)

    def explain(self, user: Any, item: Any, **options: Any) -> "Explanation":
        """Explain why an item is where it is for a user: see `Recommender.explain`."""
        ids = ids_of(user, "user")
        if len(ids) != 1:
            raise ParameterError(f"give one user, got {len(ids)}")
        return self.model_for(ids[0]).explain(user, item, **options)

    def explain_for(self, items: Any, item: Any, **options: Any) -> "Explanation":
        """Explain a list of a new user who has `items`: see `Recommender.explain_for`."""
        return self.without_users.explain_for(items, item, **options)

    def score(self, pairs: Any, *, on_unknown: OnUnknownItem = "error") -> np.ndarray:
        """Score pairs of original ids: see `Recommender.score`."""
        users, items = answers.as_pairs(pairs)
        out = np.full(len(users), np.nan, dtype=np.float32)
        if on_unknown == "error":
            self._known_users(Given(users))
        for model, at in self._by_part(users):
            mine = [(users[place], items[place]) for place in at]
            out[at] = model.score(mine, on_unknown=on_unknown)
        return out

    def model_for(self, user: Any) -> "Recommender":
        """Return the part that has a user, or would have."""
        return self.part(max(0, int(self.part_of([user])[0])))

    def parts_of(self, users: list) -> "Iterable[tuple[Recommender, list]]":
        """Return the parts of some users, and the users of each."""
        return ((model, [users[at] for at in places]) for model, places in self._by_part(users))

    # --- helpers ------------------------------------------------------------------------------

    def _by_part(self, ids: list) -> "Iterable[tuple[Recommender, np.ndarray]]":
        """Return the parts of some users, and the places of their users, ascending."""
        parts = np.maximum(self.part_of(ids), 0)
        return ((self.part(int(part)), np.flatnonzero(parts == part)) for part in np.unique(parts))

    def _known_users(self, given: Given) -> list:
        """Return ids as `answers.known_ids` does, of all parts."""
        known = np.zeros(len(given.ids), dtype=bool)
        for model, at in self._by_part(given.ids):
            mine = [given.ids[place] for place in at]
            known[at] = model.user_ids.encode(mine) >= 0
            check_type(
                "user", model.user_ids, [i for i, k in zip(mine, known[at], strict=True) if not k]
            )
        unknown = [i for i, there in zip(given.ids, known, strict=True) if not there]
        if unknown and given.on_unknown == "error":
            raise UnknownIds("user", unknown, NOT_TRAINED_ON)
        if unknown:
            answers.warn_left_out("user", unknown, len(given.ids))
        return [i for i, there in zip(given.ids, known, strict=True) if there]

    def _neighbours(self, ids: list, k: int, filters: tuple[Any, Any], dim: int) -> "pl.DataFrame":
        """Return the users nearest to each of some, merged from the lists of all parts."""
        import polars as pl

        points = np.zeros((len(ids), dim), dtype=np.float32)
        for model, at in self._by_part(ids):
            mine = model.user_ids.encode([ids[place] for place in at])
            points[at] = model.user_embeddings[mine]
        found = []
        for part in range(self.n_parts):
            model = self.part(part)
            vocabulary = model.user_ids
            rows = vocabulary.encode(ids)
            keep = ItemFilter.from_ids(vocabulary, *filters, asked=Asked("user", vocabulary, ids))
            if keep.allowed is not None or keep.denied is not None:
                raise Unsupported(
                    "allow and deny are lists for all users here, not mappings: similar users are"
                    " looked for in all parts"
                )
            if len(vocabulary) == 0:
                continue
            hidden = _themselves(rows)
            listed, distances = nearest(points, model.user_embeddings, k, hidden, keep.rows)
            places = pl.Series(np.arange(len(ids), dtype=np.int64))
            frame = ranked_frame(
                places, (listed, -distances), vocabulary, ("place", "similar"), True
            )
            found.append(frame)
        key = pl.Series(ids, dtype=pl.Int64 if self.user_kind == "int" else pl.String)
        order = pl.concat(found).sort("place", "distance", "similar")
        order = order.group_by("place", maintain_order=True).head(k)
        rank = (pl.int_range(pl.len()).over("place") + 1).cast(pl.Int32).alias("rank")
        order = order.with_columns(rank)
        return order.with_columns(user=key.gather(order["place"])).select(
            "user", "similar", "rank", "score", "distance"
        )


def _read_once(name: str, given: Any) -> Any:
    """Return a filter that each part can read anew, which an iterator is not."""
    if given is None or isinstance(given, Mapping):
        return given
    return ids_of(given, name, single=False)


def _themselves(rows: np.ndarray) -> Any:
    """Return lists that hold each row itself, empty for −1."""
    from trimetric.data.csr import Csr

    indptr = np.concatenate([[0], np.cumsum(rows >= 0)]).astype(np.int64)
    return Csr(indptr, rows[rows >= 0].astype(np.int32))


def _placed(ask: Any, column: str, ids: list, at: np.ndarray) -> "pl.DataFrame":
    """Return lists of ids that may repeat, with the places where they were asked for."""
    import polars as pl

    distinct = list(dict.fromkeys(ids))
    rows = ask(distinct)
    number = {value: n for n, value in enumerate(distinct)}
    if len(distinct) == len(ids):
        asked = pl.DataFrame({"n": np.arange(len(ids)), "place": at})
    else:
        asked = pl.DataFrame({"n": [number[value] for value in ids], "place": at})
    starts = _list_numbers(rows, column, distinct)
    return rows.with_columns(n=starts).join(asked, on="n", how="inner").drop("n")


def _list_numbers(rows: "pl.DataFrame", column: str, distinct: list) -> "pl.Series":
    """Return for each row which of the distinct ids its list is of."""
    import polars as pl

    typed = pl.Series(column, distinct, dtype=rows[column].dtype, strict=False)
    numbers = pl.DataFrame({column: typed, "n": np.arange(len(distinct))}).drop_nulls()
    numbers = numbers.unique(column)
    return rows.select(column).join(numbers, on=column, how="left", maintain_order="left")["n"]
