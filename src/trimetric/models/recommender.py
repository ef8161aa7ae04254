"""What every model offers: answers with original ids, saving, settings."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from trimetric import notebook
from trimetric.data.csr import Csr, keys
from trimetric.data.ids import Vocabulary
from trimetric.data.interactions import Interactions
from trimetric.errors import ArtifactError, DataError, ParameterError, UnknownIds, Unsupported
from trimetric.space.filters import ANY, Choice, chosen
from trimetric.space.lists import check_k, ranked_frame, rows_of
from trimetric.storage import artifact
from trimetric.training import CHECKPOINT_SECONDS

if TYPE_CHECKING:
    import polars as pl

    from trimetric.space.explain import Liker
    from trimetric.space.explanation import Explanation
    from trimetric.storage.artifact import Loaded

Monitor = Callable[["Recommender"], float]
OnUnknown = Literal["error", "popular", "skip"]
_NUMBERS_OF_EPOCHS = ("loss", "active")


class Recommender(ABC):
    """A model of who likes what.

    Attributes
    ----------
    user_ids, item_ids : Vocabulary
        The users and items it knows.
    seen : Csr
        The interactions it was trained on, by user row.
    capabilities : frozenset of str
        Among "metric space", "similar items", "similar users", "fold-in".
    history : list of dict
        One row an epoch.
    """

    name: ClassVar[str]
    capabilities: ClassVar[frozenset[str]] = frozenset()
    search: ClassVar[dict[str, tuple]] = {}
    """What tuning may try: (low, high), (low, high, "log"), or {"choices": (...)} a setting."""

    user_ids: Vocabulary
    item_ids: Vocabulary
    seen: Csr
    history: list[dict[str, Any]]
    _data: dict[str, Any]

    # --- what a model file writes ---------------------------------------------------------------

    @abstractmethod
    def fit(
        self,
        train: Any,
        valid: Any = None,
        *,
        pool: Any = None,
        monitor: "Monitor | None" = None,
        out: str | Path | None = None,
        resume: bool = False,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> Self:
        """Train on interactions. If that fails, the model is as it was before.

        Parameters
        ----------
        train : Interactions, path, data set name, frame, sparse matrix or (users, items)
        valid : the same, optional
            Held-out interactions that decide when to stop and which weights to keep. Users and
            items that `train` does not know are left out.
        pool : Csr in the rows of `train`, or the same as `train`, optional
            For each user the only items that negatives may be drawn from, such as those that were
            shown; without it, all that the user has not interacted with.
        monitor : callable, optional
            Asked with the model as it stands where validation is due, instead of ranking `valid`;
            what it returns, higher being better, decides when to stop and what to keep.
        out : path, optional
            Save checkpoints while training, and the model at the end, to this folder.
        resume : bool
            Go on from the checkpoint in `out`, if there is one.
        checkpoint_seconds : float
            The least time between two checkpoints.
        progress : bool, optional
            Show progress on standard error; by default only on a terminal.

        Returns
        -------
        self

        Raises
        ------
        DataError
            The data cannot be used: no interactions, or no user with an item left to contrast.
        ParameterError
            `resume` without `out`.
        CheckpointMismatch, Diverged, Interrupted, OutputError
            See `training.train`.
        """

    @abstractmethod
    def _nearest_items(
        self,
        users: np.ndarray,
        k: int,
        excluded: Csr,
        choice: Choice = ANY,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return item rows and their scores, best first.

        Both have shape (m, min(k, items of the choice)); rows are int32, -1 where none is left.
        """

    @abstractmethod
    def score_rows(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Score pairs of rows, float32, higher is better (minus d² for metric models)."""

    @abstractmethod
    def held_out_ranks(self, held: Csr, excluded: Csr) -> np.ndarray:
        """Rank each held-out item of each user among the items that are not excluded."""

    @abstractmethod
    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name; `deep` is scikit-learn's and changes nothing."""

    @abstractmethod
    def _tensors(self) -> dict[str, np.ndarray]:
        """Return what was learned, by name, for the artifact."""

    @abstractmethod
    def _restore(self, tensors: Mapping[str, np.ndarray], where: str) -> None:
        """Check and take what `_tensors` gave."""

    def _neighbours(self, kind: str, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        raise Unsupported(f"{self.name} has no similar {kind}s; models with a metric space do")

    def _nearest_for(
        self,
        items: Any,
        weights: Any,
        k: int,
        exclude_given: bool,
        choice: Choice = ANY,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what `_nearest_items` does, for one new user who has these items."""
        raise self._without_newcomers()

    def _liker(self, user: Any) -> "Liker":
        """Return a user, by id, as explanations want them."""
        raise Unsupported(
            f"{self.name} cannot say why: its scores are no distances; models with a metric space"
            " can, such as sml and cml"
        )

    def _newcomer(self, items: Any, weights: Any) -> "Liker":
        """Return one new user who has these items, as explanations want them."""
        raise self._without_newcomers()

    def _without_newcomers(self) -> Unsupported:
        return Unsupported(
            f"{self.name} cannot place a new user without being trained again; sml and cml can"
        )

    def _shown_score(self, scores: np.ndarray) -> np.ndarray:
        """Turn scores of `score_rows` into those shown to people."""
        return scores

    # --- what every model offers ----------------------------------------------------------------

    def recommend(
        self,
        users: Any,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        on_unknown: OnUnknown = "error",
        allow: Any = None,
        deny: Any = None,
        approximate: bool = False,
    ) -> "pl.DataFrame":
        """Recommend items to users.

        Parameters
        ----------
        users : id or iterable of ids
            Original ids, answered in the order given.
        k : int
            Items a user, at least 1. Users with fewer candidates get shorter lists.
        exclude_seen : bool
            Leave out the items a user was trained on.
        on_unknown : "error", "popular" or "skip"
            What users get that the model was not trained on: an error, the most popular items
            (with a null score), or nothing.
        allow, deny : iterable of item ids, optional
            Recommend only these items, and none of these; where both name an item, `deny` counts.
            Ids that the model does not know are left aside.
        approximate : bool
            Look into a part of the space only, which is quicker among many items; needs the extra
            `ann`. The first call builds the index. What is left out, allowed and denied, and the
            length of the list stay exact; what is promised says `retrieval.index.Index`.

        Returns
        -------
        polars.DataFrame
            Columns user, item, rank (from 1) and score: the squared distance d² of equation (1)
            for metric models, so that lower is better there. Ties go by item order.

        Raises
        ------
        UnknownIds
            A user is unknown and `on_unknown` is "error", or it is "popular" and the id is of
            another type than the model's.
        ParameterError
            `k` is not a positive whole number, `on_unknown` is none of its values, or an allowed
            or denied id is of another type than the model's.
        Unsupported
            `approximate`, and the model has no metric space.
        MissingExtra
            `approximate`, and faiss is not installed.
        """
        import polars as pl

        self._require_fit()
        k, ids = check_k(k), as_ids(users)
        if on_unknown not in ("error", "popular", "skip"):
            raise ParameterError(f"on_unknown must be error, popular or skip, got {on_unknown!r}")
        rows = self.user_ids.encode(ids)
        # A user of a split's other parts has a row, but a position that nothing has moved.
        rows[(rows >= 0) & (self.seen.counts[rows] == 0)] = -1
        unknown = [one for one, row in zip(ids, rows, strict=True) if row < 0]
        if unknown and on_unknown == "error":
            raise UnknownIds(
                "user",
                unknown,
                "the model was not trained on them; on_unknown can be popular or skip",
            )
        choice = chosen(self.item_ids, allow, deny, approximate)
        known = np.flatnonzero(rows >= 0)
        asked = self.user_ids.decode(rows[known])
        excluded = rows_of(self.seen, rows[known]) if exclude_seen else Csr.empty(len(known))
        found, scores = self._nearest_items(rows[known], k, excluded, choice)
        scores = self._shown_score(scores)
        if unknown and on_unknown == "popular":
            place = np.argsort(np.concatenate([known, np.flatnonzero(rows < 0)]))
            popular, unscored = self._popular(len(unknown), k, choice)
            asked = pl.concat([asked, self._strangers(unknown)]).gather(place)
            found = np.concatenate([found, popular])[place]
            scores = np.concatenate([scores, unscored])[place]
        answer = ranked_frame(asked, (found, scores), self.item_ids, ("user", "item"))
        return answer.with_columns(pl.col("score").fill_nan(None))

    def prepared(self) -> Self:
        """Return a copy that gives the same answers sooner, for a process that answers often.

        It must not be trained or changed; `self` may be, and the copy does not follow.
        """
        self._require_fit()
        return copy(self)

    def similar_items(self, items: Any, k: int = 10) -> "pl.DataFrame":
        """Return the items nearest to each of `items`: columns item, similar, rank, score (d²).

        Raises UnknownIds, ParameterError, and Unsupported where the model has no such space.
        """
        return self._similar("item", items, k)

    def similar_users(self, users: Any, k: int = 10) -> "pl.DataFrame":
        """Return the users nearest to each of `users`: columns user, similar, rank, score (d²).

        Raises UnknownIds, ParameterError, and Unsupported where the model has no such space.
        """
        return self._similar("user", users, k)

    def recommend_for(
        self,
        items: Any,
        k: int = 10,
        *,
        weights: Any = None,
        exclude_given: bool = True,
        allow: Any = None,
        deny: Any = None,
        approximate: bool = False,
    ) -> "pl.DataFrame":
        """Recommend to a new user who has these items; the model stays as it is.

        Parameters
        ----------
        items : id or iterable of ids
            Original ids of at least one item, each once.
        k : int
            Items, at least 1.
        weights : iterable of float, optional
            How much each item counts, above 0; all alike unless given.
        exclude_given : bool
            Leave out the items given.
        allow, deny, approximate
            See `recommend`.

        Returns
        -------
        polars.DataFrame
            Columns item, rank (from 1) and score (d²).

        Raises
        ------
        UnknownIds, ParameterError
            See `newcomers.Newcomers.fold_in`.
        Unsupported
            The model cannot place newcomers without being trained again.
        """
        import polars as pl

        self._require_fit()
        k, choice = check_k(k), chosen(self.item_ids, allow, deny, approximate)
        found, scores = self._nearest_for(items, weights, k, exclude_given, choice)
        shown = found, self._shown_score(scores)
        return ranked_frame(pl.Series(["new"]), shown, self.item_ids, ("user", "item")).drop("user")

    def explain(
        self,
        user: Any,
        item: Any,
        *,
        k: int = 10,
        reasons: int = 5,
        examine: int = 100,
    ) -> "Explanation":
        """Say why an item is where it is for a user.

        Parameters
        ----------
        user, item : id
            Original ids.
        k : int
            The length of the list that the counterfactual speaks of, at least 1.
        reasons : int
            How many of the user's items to name, 0..1000: those nearest to the item.
        examine : int
            How many of the user's items, the nearest first, to take away one at a time for the
            counterfactual, 0..1000; each costs one fold-in.

        Returns
        -------
        Explanation

        Raises
        ------
        UnknownIds
            The model does not know the item, or was not trained on the user.
        ParameterError
            `k`, `reasons` or `examine` is out of range, or several ids were given for one.
        Unsupported
            The model is no metric space, so nothing is near to anything.
        """
        from trimetric.space.explain import Wish, explained

        self._require_fit()
        wish = Wish(check_k(k), reasons, examine)
        who = self._liker(user)
        return explained(self, who, self._one("item", self.item_ids, item), wish)

    def explain_for(
        self,
        items: Any,
        item: Any,
        *,
        weights: Any = None,
        k: int = 10,
        reasons: int = 5,
        examine: int = 100,
    ) -> "Explanation":
        """Say why an item is where it is for a new user who has `items`: see `explain`.

        Parameters
        ----------
        items, weights
            As `recommend_for` takes them.

        Raises
        ------
        UnknownIds, ParameterError
            See `explain` and `recommend_for`.
        Unsupported
            The model is no metric space, or cannot place newcomers.
        """
        from trimetric.space.explain import Wish, explained

        self._require_fit()
        wish = Wish(check_k(k), reasons, examine)
        who = self._newcomer(items, weights)
        return explained(self, who, self._one("item", self.item_ids, item), wish)

    def partial_fit(
        self,
        new: Any,
        *,
        epochs: int = 10,
        lr: float | None = None,
        replay: float = 1.0,
        progress: bool | None = None,
    ) -> Self:
        """Take in new interactions, with new users and items: see `updated.Updated`.

        Raises
        ------
        Unsupported
            The model has to be trained anew.
        """
        raise Unsupported(
            f"{self.name} cannot take in new interactions; fit it anew on all of them, or use sml"
            " or cml"
        )

    def score(self, pairs: Any) -> np.ndarray:
        """Score pairs of original ids.

        Parameters
        ----------
        pairs : iterable of (user, item), or a frame with columns user and item

        Returns
        -------
        float32 (n,)
            As in `recommend`: d² for metric models, lower is better.

        Raises
        ------
        UnknownIds
            Names the users or items that the model does not know.
        ParameterError
            These are no pairs.
        """
        self._require_fit()
        users, items = as_pairs(pairs)
        rows = [
            self._known("user", self.user_ids, users),
            self._known("item", self.item_ids, items),
        ]
        return self._shown_score(self.score_rows(*rows))

    def set_params(self, **settings: Any) -> Self:
        """Replace settings of an untrained model, as scikit-learn does; returns the model.

        Raises
        ------
        ParameterError
            A setting is unknown or out of range.
        Unsupported
            The model is trained, and what it learned belongs to its settings.
        """
        if hasattr(self, "seen"):
            raise Unsupported(f"this {type(self).__name__} is trained; make a new one to change it")
        params = self.get_params()
        unknown = sorted(settings.keys() - params.keys())
        if unknown:
            raise ParameterError(
                f"unknown setting {unknown[0]!r}; {self.name} has {', '.join(sorted(params))}"
            )
        fresh = type(self)(**{**params, **settings})
        self.__dict__.update(fresh.__dict__)
        return self

    def save(self, folder: str | Path) -> None:
        """Save the model to a folder, replacing what model is there in a single step.

        Raises
        ------
        OutputError
            The folder cannot be written; what was there is intact.
        """
        self._require_fit()
        tensors = dict(self._tensors())
        for side, vocabulary in (("user", self.user_ids), ("item", self.item_ids)):
            for part, array in vocabulary.to_arrays().items():
                tensors[f"{side}_{part}"] = array
        tensors["seen_indptr"], tensors["seen_items"] = self.seen
        meta = {
            "model": self.name,
            "params": self.get_params(),
            "data": self._data,
            "history": self.history,
        }
        artifact.save(folder, "model", meta, tensors)

    def export(self, to: str, out: str | Path, *, approximate: bool = False) -> dict[str, Any]:
        """Write the space for a server that needs none of our code: see `space.export`.

        Parameters
        ----------
        to : "npy", "parquet", "faiss", "pgvector" or "qdrant"
        out : path
            A folder; an earlier export there is replaced.
        approximate : bool
            For "faiss": an index to be searched approximately.

        Returns
        -------
        dict
            What the export's manifest says.

        Raises
        ------
        Unsupported
            The model has no metric space.
        ParameterError, DataError, OutputError, MissingExtra
            See `trimetric.space.export.export`.
        """
        raise Unsupported(
            f"the score of {self.name} is no distance between two points, so that there is no space"
            " to export; sml, cml and fml have one"
        )

    @classmethod
    def _from_artifact(cls, loaded: "Loaded", where: str) -> Self:
        try:
            model = cls(**loaded.meta["params"])
            model._data, model.history = loaded.meta["data"], loaded.meta["history"]
        except (KeyError, TypeError, ParameterError) as error:
            raise ArtifactError(f"{where}: settings cannot be used: {error}") from error
        tensors = dict(loaded.tensors)
        model.user_ids = _take_ids(tensors, "user", where)
        model.item_ids = _take_ids(tensors, "item", where)
        shapes: artifact.Expected = {
            "seen_indptr": ((len(model.user_ids) + 1,), np.int64),
            "seen_items": ((None,), np.int32),
        }
        seen = {name: tensors.pop(name) for name in list(shapes) if name in tensors}
        artifact.check(seen, shapes, where)
        model.seen = Csr(seen["seen_indptr"], seen["seen_items"])
        if not _is_csr(model.seen, len(model.item_ids)):
            raise ArtifactError(f"{where}: seen_indptr and seen_items do not fit the ids")
        model._restore(tensors, where)
        return model

    def __repr__(self) -> str:
        if not hasattr(self, "seen"):
            return f"{type(self).__name__}(not trained)"
        return (
            f"{type(self).__name__}({len(self.user_ids):,} users, {len(self.item_ids):,} items,"
            f" {len(self.seen.items):,} interactions)"
        )

    def _repr_html_(self) -> str:
        """Show what it is, what it knows and how its training went; see `notebook`."""
        kind = f"{type(self).__name__} ({self.name})"
        if not hasattr(self, "seen"):
            return notebook.card(f"{kind}, not trained", self.get_params())
        facts = {
            "users": len(self.user_ids),
            "items": len(self.item_ids),
            "interactions": len(self.seen.items),
            "epochs": len(self.history),
            "can": ", ".join(sorted(self.capabilities)) or "recommend",
        }
        settings = ", ".join(f"{name}={value}" for name, value in self.get_params().items())
        shown = [name for name in _NUMBERS_OF_EPOCHS if any(name in row for row in self.history)]
        measured = {name for row in self.history for name in row if "@" in name}
        curves = (
            notebook.curve(name, [row[name] for row in self.history if row.get(name) is not None])
            for name in (*shown, *sorted(measured))
        )
        return notebook.card(kind, facts, *curves, notebook.note(settings))

    # --- helpers --------------------------------------------------------------------------------

    def _know(self, data: Interactions) -> None:
        """Take the ids and the interactions of the training data."""
        self.user_ids, self.item_ids, self.seen = data.user_ids, data.item_ids, Csr.of(data)
        for derived in ("_tables", "_index"):
            self.__dict__.pop(derived, None)

    def _require_fit(self) -> None:
        if not hasattr(self, "seen"):
            raise Unsupported(f"this {type(self).__name__} is not trained; call fit first")

    def _known(self, kind: str, vocabulary: Vocabulary, ids: list) -> np.ndarray:
        rows = vocabulary.encode(ids)
        unknown = [one for one, row in zip(ids, rows, strict=True) if row < 0]
        if unknown:
            raise UnknownIds(kind, unknown, "the model was not trained on them")
        return rows

    def _one(self, kind: str, vocabulary: Vocabulary, asked: Any) -> int:
        """Return the row of the one id asked for."""
        ids = as_ids(asked)
        if len(ids) != 1:
            raise ParameterError(f"give one {kind}, got {len(ids)}")
        return int(self._known(kind, vocabulary, ids)[0])

    def _similar(self, kind: str, asked: Any, k: int) -> "pl.DataFrame":
        self._require_fit()
        vocabulary = self.item_ids if kind == "item" else self.user_ids
        k, rows = check_k(k), self._known(kind, vocabulary, as_ids(asked))
        found, scores = self._neighbours(kind, rows, k)
        shown = (found, self._shown_score(scores))
        return ranked_frame(vocabulary.decode(rows), shown, vocabulary, (kind, "similar"))

    def _popular(self, n: int, k: int, choice: Choice) -> tuple[np.ndarray, np.ndarray]:
        """Return the most popular items for `n` users, laid out as `_nearest_items` does."""
        rows = np.arange(len(self.item_ids)) if choice.rows is None else choice.rows
        counts = np.bincount(self.seen.items, minlength=len(self.item_ids))[rows]
        top = rows[np.argsort(-counts, kind="stable")[:k]].astype(np.int32)
        return np.tile(top, (n, 1)), np.full((n, len(top)), np.nan, dtype=np.float32)

    def _strangers(self, users: list) -> "pl.Series":
        """Return unknown ids in the type of the known ones."""
        import polars as pl

        try:
            return pl.Series(users, dtype=self.user_ids.values.dtype, strict=True)
        except (TypeError, OverflowError):
            remedy = f"the model's user ids are {self.user_ids.kind}: give ids of that type"
            raise UnknownIds("user", users, remedy) from None


def aligned(valid: Any, data: Interactions) -> Interactions | None:
    """Return validation data in the rows of the training data.

    Raises
    ------
    DataError
        They have no user and item in common.
    """
    if valid is None:
        return None
    found, report = Interactions.of(valid).align(data.user_ids, data.item_ids)
    if len(found) == 0:
        raise DataError(
            f"no validation interaction has a user and an item of the training data"
            f" ({report.unknown_users} users and {report.unknown_items} items are unknown);"
            " give validation data of the same users and items"
        )
    return found


def described(train: Interactions, valid: Interactions | None) -> dict[str, Any]:
    """Say what a model was trained and validated on, as JSON values."""
    parts = {"train": train, "valid": valid}
    return {
        name: part
        if part is None
        else {"name": part.name, "fingerprint": part.fingerprint, "pairs": len(part)}
        for name, part in parts.items()
    }


def as_ids(asked: Any) -> list:
    """Return one id or an iterable of ids as a list of plain Python values."""
    if isinstance(asked, (str, bytes, int, np.generic)):
        asked = [asked]
    if not isinstance(asked, Iterable):
        raise ParameterError(f"expected an id or a list of ids, got {asked!r}")
    return [one.item() if isinstance(one, np.generic) else one for one in asked]


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


def _take_ids(tensors: dict[str, np.ndarray], side: str, where: str) -> Vocabulary:
    """Take the ids of a side out of the tensors of an artifact."""
    types = {"ids": np.int64, "utf8": np.uint8, "offsets": np.int64}
    parts = {part: tensors.pop(f"{side}_{part}") for part in types if f"{side}_{part}" in tensors}
    where = f"{where}: {side} ids"
    artifact.check(parts, {part: ((None,), types[part]) for part in parts}, where)
    try:
        return Vocabulary.from_arrays(parts)
    except ValueError as error:
        raise ArtifactError(f"{where} cannot be read: {error}") from error


def _is_csr(lists: Csr, n_items: int) -> bool:
    """Tell whether the lists span all items, each ascending within 0..n_items - 1."""
    indptr, items = lists
    if indptr[0] != 0 or indptr[-1] != len(items) or (np.diff(indptr) < 0).any():
        return False
    inside = ((items >= 0) & (items < n_items)).all()
    return bool(inside and (np.diff(keys(lists.users, items)) > 0).all())
