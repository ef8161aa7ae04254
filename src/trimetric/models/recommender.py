"""What every model offers: training, answers with original ids, saving, settings.

A model is its settings, how it learns, and the scorer that it leaves behind. What training leaves
is one object, `Fitted`, which is assigned last: a `fit` that fails changes nothing, and each answer
is of one state of the model.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from trimetric import frames, keywords
from trimetric.data.csr import Csr
from trimetric.data.forks import check_threads
from trimetric.data.ids import Vocabulary
from trimetric.errors import ParameterError, Unsupported
from trimetric.models import answers, placing
from trimetric.models.answers import Given, OnUnknown, OnUnknownItem
from trimetric.models.callbacks import Callback
from trimetric.models.config import Config, check_names, named
from trimetric.models.fitted import Fitted
from trimetric.models.formula import Formula
from trimetric.models.histories import folded_in
from trimetric.models.saved import Stored, check_folder, save_if_unchanged
from trimetric.models.training_data import merged_seen
from trimetric.space.diversity import Rerank
from trimetric.space.known import Known
from trimetric.space.scorer import Scorer
from trimetric.storage import published
from trimetric.training import CHECKPOINT_SECONDS

if TYPE_CHECKING:
    import polars as pl

    from trimetric.models.forgetting import Kept, Receipt
    from trimetric.space.explanation import Explanation
    from trimetric.space.projection import Projection

Monitor = Callable[["Recommender"], float]


class Recommender(ABC):
    """A model of which users like which items.

    A new model is an `EpochTrained` or a `ClosedForm`.

    Parameters
    ----------
    preset : str, optional
        One of `presets`; settings given here override it.
    variant : str, optional
        One of `variants`; a setting that would undo it is refused. The model has the name of its
        variant where that is a registered one, such as "base+u".
    **settings
        Fields of the model's `Config`, which the signature shows.

    Raises
    ------
    ParameterError
        A setting is unknown or out of range, or undoes the variant.
    """

    name: ClassVar[str]
    formula: ClassVar[Formula | None] = None
    Config: ClassVar[type[Config]] = Config
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Groups of settings that make ablations."""
    variant_names: ClassVar[frozenset[str]] = frozenset()
    """Variants that are registered by their own name."""
    capabilities: ClassVar[frozenset[str]] = frozenset()
    """Those of its scorer: see `space.scorer.Scorer`."""
    takes_weights: ClassVar[bool] = False
    """Whether interactions may have weights; one of weight 2 is then as if it were there twice."""
    row_axes: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Of tensors whose axes are rows of "user" or "item", where their names do not begin so."""
    user_tensors: ClassVar[frozenset[str] | None] = None
    """Tensors with a row for each user, where these are all that the model knows of users beside
    their interactions, so that it can be saved in parts: see `models.sharded`."""
    solves_anew: ClassVar[bool] = False
    """Whether forgetting learns again from the interactions that are left."""

    config: Any
    variant: str | None = None
    __signature__: ClassVar[inspect.Signature]
    _fitted: Fitted | None = None
    _saved_in: str | Path | None = None  # where a model trained in files is, until it is asked

    def __init__(
        self, *, preset: str | None = None, variant: str | None = None, **settings: Any
    ) -> None:
        chosen = named("variant", variant, self.variants)
        self.config = self.configured(preset, {**chosen, **settings})
        self.variant = variant
        if variant is not None:
            self.check_variant(variant)
            if variant in self.variant_names:
                vars(self)["name"] = variant  # of this model alone, over that of its class

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        whole = keywords.signature(cls.__init__, cls.Config)
        hidden = {"self", *(() if cls.presets else ("preset",))}
        hidden |= set() if cls.variants else {"variant"}
        shown = [p for name, p in whole.parameters.items() if name not in hidden]
        cls.__signature__ = whole.replace(parameters=shown)

    # --- what a model file writes ---------------------------------------------------------------

    @abstractmethod
    def tensors(self) -> dict[str, np.ndarray]:
        """Return what was learned, by name: live views where that is possible."""

    @abstractmethod
    def restore(self, stored: Stored) -> Scorer:
        """Return the scorer of saved `tensors`, after checking them; raise ArtifactError."""

    # --- settings -------------------------------------------------------------------------------

    @classmethod
    def configured(cls, preset: str | None, settings: dict[str, Any]) -> Any:
        """Return the settings of a model, from a preset and what is given beside it."""
        check_names(cls.name, cls.Config, settings)
        return cls.Config(**{**named("preset", preset, cls.presets), **settings})

    def check_variant(self, variant: str) -> None:
        """Raise ParameterError where a setting undoes what makes the variant."""
        for name, value in self.variants[variant].items():
            given = getattr(self.config, name)
            if given != value:
                raise ParameterError(
                    f"{name}={given!r} undoes the variant {variant!r}, whose {name} is {value!r};"
                    f" leave {name} out, or give it to {type(self).name} without the variant"
                )

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name; `deep` is scikit-learn's and changes nothing."""
        return self.config.to_dict()

    def set_params(self, **settings: Any) -> Self:
        """Replace settings of an untrained model, as scikit-learn does; returns the model.

        Raises
        ------
        ParameterError
            A setting is unknown or out of range, or is a preset or a variant, which new models are
            made of.
        Unsupported
            The model is trained, and what it learned belongs to its settings.
        """
        for group in sorted({"preset", "variant"} & settings.keys()):
            raise ParameterError(
                f"{group} is no setting that can be changed; make a new {type(self).__name__}"
            )
        if self._fitted is not None or self._saved_in is not None:
            raise Unsupported(f"this {type(self).__name__} is trained; make a new one to change it")
        given = {"variant": self.variant, **self.get_params(), **settings}
        self.config = type(self)(**given).config
        return self

    # --- training -------------------------------------------------------------------------------

    @abstractmethod
    def fit(
        self,
        train: Any,
        valid: Any = None,
        *,
        pool: Any = None,
        monitor: Monitor | None = None,
        also_seen: Any = None,
        out: str | Path | None = None,
        resume: bool = False,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        threads: int | None = None,
        progress: bool | None = None,
        callbacks: Sequence[Callback] = (),
        start: Any = None,
        anchor: float = 0.0,
        partitions: int = 1,
        workdir: str | Path | None = None,
        ray: str | None = None,
    ) -> Self:
        """Train on interactions. If that fails, the model is as it was before.

        Parameters
        ----------
        train : Interactions, Split, Prepared, path, data set, frame, sparse matrix, (users, items)
            Their weights, if they have some, count where `takes_weights`. Of a split its train and
            its validation part are taken. What was prepared in parts is trained in files, and
            validated on what was held out of it, but with valid=False. What columns of a frame were
            taken for, where they were not named, is told on standard error.
        valid : the same, optional
            Held-out interactions that decide when to stop and which weights to keep. Users and
            items that `train` does not know are left out.
        pool : Csr in the rows of `train`, or the same as `train`, optional
            For each user the only items that negatives may be drawn from, such as those that were
            shown; without it, all that the user has not interacted with.
        monitor : callable, optional
            Called with the model as it stands where validation is due, instead of ranking `valid`;
            what it returns, higher being better, decides when to stop and what to keep.
        also_seen : the same as `train`, optional
            Interactions that are not trained on but count as seen: see `mark_seen`.
        out : path, optional
            Save checkpoints while training, and the model at the end, to this folder.
        resume : bool
            Go on from the checkpoint in `out`, if there is one.
        checkpoint_seconds : float
            The least time between two checkpoints.
        threads : int, optional
            Run on so many: see `trimetric.threads`. The result does not depend on it.
        progress : bool, optional
            Show progress on standard error; by default only on a terminal.
        callbacks : sequence of Callback
            Called when training starts and ends, after epochs and validations, and a few times a
            second: see `Callback`.
        start : a trained model of the same kind, or its folder, optional
            Users and items that it knows begin at their points there, so that the two spaces can
            be compared; settings that it found are taken over. `provenance["start"]` tells how far
            they have moved: see `starting.moved`.
        anchor : float
            0..1: by which share of the way those points are drawn back after each epoch; 1 holds
            them still, but for what is composed of others.
        partitions : int
            Train in so many parts of the users and of the items: see `trimetric.scale`. What is
            learned depends on their number and on the seed.
        workdir : path, optional
            Train in parts in the files of this folder, of which a few are in memory at a time: the
            same bits as in memory. The model is saved in parts to `out`, which is then needed, and
            put together in memory when it is first asked.
        ray : str, optional
            Train in parts on Ray: "local", or the address of a cluster (see `scale.cluster`). The
            same bits again; checkpoints go to `workdir`, or into `out`.

        Returns
        -------
        self

        Raises
        ------
        DataError
            The data cannot be used: no interactions, too many items for the model, or no user with
            an item left to contrast.
        ParameterError
            `resume` without `out`, an option is of another type or out of range, or `monitor`
            returned no finite number.
        Unsupported
            Interactions have weights, and the model cannot use them; or `start`, and it cannot
            start from another model.
        CheckpointMismatch, Diverged, Interrupted, OutputError
            See `training.train`.
        """

    def partial_fit(
        self,
        new: Any,
        *,
        epochs: int = 10,
        lr: float | None = None,
        replay: float = 1.0,
        progress: bool | None = None,
    ) -> Self:
        """Take in new interactions, with new users and items: see `partial_fit.partial_fit`.

        Raises
        ------
        Unsupported
            The model has to be trained again on everything.
        """
        raise Unsupported(
            f"{self.name} cannot take in new interactions; fit it anew on all of them, or use"
            " centroid, sml or cml"
        )

    def mark_seen(self, interactions: Any) -> Self:
        """Let interactions count as seen without training on them.

        They are left out of recommendations, and models that score by a user's history (ease,
        itemknn) count them as part of it. Users and items that the model does not know are ignored.

        Evaluation takes them for training interactions: users and items that have no others are
        known then, and more of a test part counts than before. Mark models that are compared
        alike, or none.

        Parameters
        ----------
        interactions : the same as `fit` takes

        Raises
        ------
        DataError
            They cannot be read, or their ids are of another type than the model's.
        """
        self._fitted = self._with_seen(self._state, interactions)
        return self

    def set_unavailable(self, items: Any) -> Self:
        """Mark items that no list may have from now on, such as those out of stock.

        The mark is saved with the model, and counts for `recommend`, `recommend_for`,
        `similar_items`, batch files and the server; it changes neither scores nor evaluation. A
        model that is fitted anew begins without.

        Parameters
        ----------
        items : iterable of item ids
            All that are unavailable, in place of those marked before; empty for none. Ids that the
            model does not know are left out, with a warning that counts them.

        Raises
        ------
        ParameterError
            It is no list of ids, or an id is of another type than the model's.
        """
        state = self._state
        rows = answers.unavailable_rows(state.known, items)
        self._fitted = replace(state, known=replace(state.known, unavailable=rows))
        return self

    @property
    def unavailable(self) -> "pl.Series":
        """The items that are marked as unavailable, by id: see `set_unavailable`."""
        known = self._state.known
        return known.item_ids.decode(known.unavailable)

    def forget(self, users: Any = None, items: Any = None) -> "Receipt":
        """Remove users and items: ids, interactions, points and whatever else is kept of them.

        Means that they were part of are taken anew where the model has any (centroid), and closed
        forms are solved again (popularity, itemknn, ease) if the interactions are still all there;
        other points keep what they learned from them until the model is trained anew. See
        `forgetting.forget_in` for a saved model and its files.

        Parameters
        ----------
        users, items : id or iterable of ids, optional
            At least one.

        Returns
        -------
        Receipt
            What was removed.

        Raises
        ------
        UnknownIds
            The model does not know an id.
        ParameterError
            Nothing was given, or nothing would be left.
        Unsupported
            The model's tensors do not say which rows are whose.
        """
        from trimetric.models.forgetting import forget

        self._fitted, receipt = forget(self.snapshot(), users, items)
        return receipt

    def without(self, state: Fitted, left: Fitted, kept: "Kept") -> Scorer:
        """Return the scorer that is left when users and items are forgotten.

        Parameters
        ----------
        state, left : Fitted
            Before, and after but for the scorer.
        kept : Kept
            The rows that stay.
        """
        from trimetric.models.forgetting import sliced

        return sliced(self, left, kept)

    def share_left(self, state: Fitted, left: Fitted, kept: "Kept") -> Any:
        """Return what the users who are left bring to points of items: see `without`.

        None where points of items do not depend on them; else it has a method `with_others`, which
        adds what another part's users bring.
        """
        return None

    def part_without(self, state: Fitted, left: Fitted, kept: "Kept", total: Any) -> Scorer:
        """Return the scorer that is left of one of several parts: see `without`.

        Parameters
        ----------
        state, left : Fitted
        kept : Kept
        total : object
            What `share_left` returned of all parts together.
        """
        return self.without(state, left, kept)

    def rescored(self, scorer: Scorer, known: Known) -> Scorer:
        """Return the scorer for other histories; the same unless scores depend on them."""
        return scorer

    def folded_in(self, histories: Csr, weights: np.ndarray | None = None) -> Scorer:
        """Return the scorer for new users, who are known by their histories alone.

        Parameters
        ----------
        histories : Csr
            Item rows of each new user, at least one each. User r of the scorer is row r here.
        weights : float32 (n,), optional
            How much each of `histories.items` counts; 1 each unless given.

        Raises
        ------
        Unsupported
            The model cannot fold users in.
        """
        return folded_in(self.name, self.scorer, histories, weights)

    # --- what was learned -----------------------------------------------------------------------

    @property
    def user_ids(self) -> Vocabulary:
        """The users that the model knows, in the order of its rows."""
        return self._state.known.user_ids

    @property
    def item_ids(self) -> Vocabulary:
        """The items that the model knows, in the order of its rows."""
        return self._state.known.item_ids

    @property
    def seen(self) -> Csr:
        """What each user has seen, by row: training interactions, and those marked as seen."""
        return self._state.known.seen

    @property
    def validated(self) -> Csr | None:
        """What training was validated on, by row: `evaluate` never takes it for test data."""
        return self._state.known.validated

    @property
    def known(self) -> Known:
        """Ids by row and what each user has seen, as one state."""
        return self._state.known

    @property
    def scorer(self) -> Scorer:
        """What answers by row number: see `space.scorer.Scorer`."""
        return self._state.scorer

    @property
    def history(self) -> list[dict[str, Any]]:
        """One row an epoch; empty before training."""
        state = self._trained
        return [] if state is None else state.history

    @property
    def provenance(self) -> dict[str, Any]:
        """What the model was trained and validated on, and how that ended, as JSON values."""
        state = self._trained
        return {} if state is None else state.provenance

    @property
    def tuned(self) -> dict[str, Any]:
        """What training found of the settings that were left to the data."""
        return self.provenance.get("tuned", {})

    @property
    def user_embeddings(self) -> np.ndarray:
        """Points or factors α, float32 (n_users, dim), in the order of `user_ids`: live views.

        Raises Unsupported where the score is neither a distance nor an inner product.
        """
        return answers.embeddings(self.name, self.scorer, "user")

    @property
    def item_embeddings(self) -> np.ndarray:
        """Points or factors β, float32 (n_items, dim), in the order of `item_ids`: live views.

        Raises Unsupported where the score is neither a distance nor an inner product.
        """
        return answers.embeddings(self.name, self.scorer, "item")

    # --- answers --------------------------------------------------------------------------------

    def recommend(
        self,
        users: Any = None,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        on_unknown: OnUnknown = "error",
        allow: Any = None,
        deny: Any = None,
        approximate: bool = False,
        diversity: float = 0.0,
        rerank: Rerank = "mmr",
    ) -> "pl.DataFrame":
        """Recommend items to users.

        Parameters
        ----------
        users : id or iterable of ids, optional
            Original ids, answered in the order given: a list, an iterator, or an array of NumPy,
            pandas, Polars or PyArrow; by default everybody that the model was trained on, for
            which `trimetric recommend --all` needs less memory.
        k : int
            Length of each list, at least 1. Users with fewer candidates get shorter lists.
        exclude_seen : bool
            Leave out the items that a user has seen.
        on_unknown : "error", "popular" or "skip"
            What users get that the model was not trained on: an error, the most popular items
            (with a null score), or nothing.
        allow, deny : iterable of item ids, or mapping of users to iterables, optional
            Recommend only these items, and none of these; an item in both is denied. Ids that the
            model does not know are ignored. A mapping gives each user candidates of their own:
            `allow` must name every user asked for, `deny` need not. Items that are marked by
            `set_unavailable` are in no list.
        approximate : bool
            Search a part of the space only, which is faster among many items; needs the extra
            `ann`. The first call builds the index. Filters and lengths stay exact: see
            `space.index.Index`.
        diversity : float
            0..1: how much unlike each other the items of a list are to be, at the cost of being
            near to the user. Lists are chosen among the best 10·k items, at least 100: see
            `space.diversity`.
        rerank : "mmr" or "dpp"
            How: by maximal marginal relevance, or by a determinantal point process.

        Returns
        -------
        polars.DataFrame, or pandas.DataFrame if asked with a pandas object: see `set_output`
            Columns user, item, rank (from 1), score (higher is better) and, for models with a
            metric space, distance: d² of equation (1), of which the score is the negative. Ties go
            by item order. With `diversity` also rank_by_score: where the item stood without it.

        Raises
        ------
        UnknownIds
            A user is unknown and `on_unknown` is "error", or an id is of another type than the
            model's.
        ParameterError
            `k` is not a positive whole number, `on_unknown` is none of its values, `diversity` is
            out of range, users are no list of ids, an allowed or denied id is of another type than
            the model's, or `allow` lacks a user.
        Unsupported
            `approximate` or `diversity`, and the model has no metric space.
        MissingExtra
            `approximate`, and faiss is not installed.
        """
        state = self._state
        options = answers.Options(exclude_seen, allow, deny, approximate, diversity, rerank)
        asked = answers.everybody(state.known) if users is None else users
        frame = answers.recommend(
            self.name, state.known, state.scorer, asked, k, on_unknown, options
        )
        return frames.given_back(frame, users)

    def recommend_for(
        self,
        items: Any,
        k: int = 10,
        *,
        weights: Any = None,
        exclude_given: bool = True,
        on_unknown: OnUnknownItem = "error",
        allow: Any = None,
        deny: Any = None,
        approximate: bool = False,
        diversity: float = 0.0,
        rerank: Rerank = "mmr",
    ) -> "pl.DataFrame":
        """Recommend to a new user who has these items; the model stays as it is.

        Parameters
        ----------
        items : id, iterable of ids, or mapping of ids to weights
            Original ids of at least one item. What is given several times counts several times.
        k : int
            Length of the list, at least 1.
        weights : mapping of ids to float, or iterable of float, optional
            How much each item counts, above 0; 1 unless given. A mapping, or a pandas Series with
            an index of ids, is matched by id, anything else by the order of `items`.
        exclude_given : bool
            Leave out the items given.
        on_unknown : "error" or "skip"
            Whether unknown items are an error, or are left out with a warning that counts them.
        allow, deny : iterable of item ids, optional
        approximate, diversity, rerank
            See `recommend`.

        Returns
        -------
        polars.DataFrame
            Columns item, rank (from 1), score and, of a metric space, distance.

        Raises
        ------
        UnknownIds, ParameterError
            See `fold_in`.
        Unsupported
            The model cannot take new users.
        """
        state = self._state
        keywords.check_switch("exclude_given", exclude_given)
        options = answers.Options(exclude_given, allow, deny, approximate, diversity, rerank)
        given = Given(items, weights, on_unknown)
        frame = answers.recommend_for(self.name, state.known, state.scorer, given, k, options)
        return frames.given_back(frame, items)

    def similar_items(
        self,
        items: Any = None,
        k: int = 10,
        *,
        allow: Any = None,
        deny: Any = None,
        on_unknown: OnUnknownItem = "error",
    ) -> "pl.DataFrame":
        """Return the items most like each of `items`: item, similar, rank, score, distance (d²).

        Spaces compare by distance, ease by its weights, itemknn by its similarities, others by the
        cosine or a distance of their own; only spaces have the column distance.

        Parameters
        ----------
        items : id or iterable of ids, optional
            By default all that the model knows.
        k : int
        allow, deny : iterable of item ids, or mapping of `items` to iterables, optional
            List only these, and none of these: see `recommend`.
        on_unknown : "error" or "skip"
            Whether unknown items are an error, or are left out with a warning that counts them.

        Raises
        ------
        UnknownIds, ParameterError
            An id is unknown, or an option is out of range.
        Unsupported
            The model cannot tell.
        """
        state = self._state
        given = Given(state.known.item_ids if items is None else items, None, on_unknown)
        filters = (allow, deny)
        frame = answers.similar(self.name, "item", state.known, state.scorer, given, k, filters)
        return frames.given_back(frame, items)

    def similar_users(
        self,
        users: Any = None,
        k: int = 10,
        *,
        allow: Any = None,
        deny: Any = None,
        on_unknown: OnUnknownItem = "error",
    ) -> "pl.DataFrame":
        """Return the users most like each of `users`: user, similar, rank, score, distance (d²).

        Parameters and errors are those of `similar_items`; `allow` and `deny` are of users.
        """
        state = self._state
        given = Given(answers.everybody(state.known) if users is None else users, None, on_unknown)
        filters = (allow, deny)
        frame = answers.similar(self.name, "user", state.known, state.scorer, given, k, filters)
        return frames.given_back(frame, users)

    def score(self, pairs: Any, *, on_unknown: OnUnknownItem = "error") -> np.ndarray:
        """Score pairs of original ids, higher is better: −d² for models with a metric space.

        Scores order the items of one user. They are no probabilities, and for most models those of
        different users do not compare: see docs/howto/filters-and-diversity.md.

        Parameters
        ----------
        pairs : iterable of (user, item), a table with columns user and item, or Interactions
            Not a tuple of two lists, which may be meant as users and items.
        on_unknown : "error" or "skip"
            Whether unknown ids are an error, or get NaN with a warning that counts them.

        Returns
        -------
        float32 (n,)

        Raises
        ------
        UnknownIds
            Names the users or items that the model does not know.
        ParameterError
            These are no pairs.
        """
        state = self._state
        return answers.score(state.known, state.scorer, pairs, on_unknown)

    def explain(
        self, user: Any, item: Any, *, k: int = 10, reasons: int = 5, examine: int = 100
    ) -> "Explanation":
        """Explain why an item is where it is for a user: by what is near, or what adds to a score.

        Parameters
        ----------
        user, item : id
            Original ids.
        k : int
            Length of the list that the counterfactual is about, at least 1.
        reasons : int
            How many of the user's items to name, 0..1000: those that add most, or are nearest.
        examine : int
            How many of these items, the first first, to leave out one at a time for the
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
            The model's scores are neither distances nor sums over what a user has.
        """
        return placing.explain(self.name, self._state, user, item, (k, reasons, examine))

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
        """Explain why an item is where it is for a new user who has `items`.

        Parameters and errors are those of `explain` and, for `items` and `weights`, of
        `recommend_for`.
        """
        options = (k, reasons, examine)
        return placing.explain_for(self.name, self._state, Given(items, weights), item, options)

    def fold_in(self, items: Any, weights: Any = None) -> np.ndarray:
        """Return where a new user with these items belongs.

        Parameters
        ----------
        items : id, iterable of ids, or mapping of ids to weights
            Original ids of at least one item. What is given several times counts several times.
        weights : mapping of ids to float, or iterable of float, optional
            How much each item counts, above 0; 1 unless given. A mapping is matched by id.

        Returns
        -------
        float32 (dim,)
            In the space of `user_embeddings` and `item_embeddings`: the nearest items are its
            recommendations.

        Raises
        ------
        UnknownIds
            The model does not know an item.
        ParameterError
            No item, or weights that do not fit.
        Unsupported
            The model cannot place new users.
        """
        return placing.fold_in(self.name, self._state, "item", Given(items, weights))

    def fold_in_item(self, users: Any, weights: Any = None) -> np.ndarray:
        """Return where a new item of these users belongs, float32 (dim,): see `fold_in`."""
        return placing.fold_in(self.name, self._state, "user", Given(users, weights))

    def fold_in_item_from(self, items: Any, weights: Any = None) -> np.ndarray:
        """Return where a new item belongs that is like these items, float32 (dim,).

        For an item that nobody has yet, but that is known to be like others, by its content for
        instance: the point with the least Σ w·d² to them, which is their weighted mean. On the
        sphere, if the model's points are, it is the point of the sphere in that direction.
        Parameters and errors are those of `fold_in`.
        """
        return placing.mean_of_items(self.name, self._state, Given(items, weights))

    def project(self) -> "Projection":
        """Lay the space out on a plane: see `space.projection.project`.

        Raises Unsupported where the score is no distance.
        """
        from trimetric.space.projection import project

        state = self._state
        return project(answers.metric_space(self.name, state.scorer), state.known)

    def prepared(self) -> Self:
        """Return a copy with the same answers, faster, for a process that answers often.

        It must not be trained or changed; `self` may be, and the copy does not follow.
        """
        ready, state = copy(self), self._state
        ready._fitted = replace(state, scorer=state.scorer.prepared())
        return ready

    def snapshot(self) -> Self:
        """Return the model as it is now, which stays so while `self` is trained on; no copy of
        what was learned is made.
        """
        same, state = copy(self), self._state
        same._fitted = state
        return same

    # --- saving ---------------------------------------------------------------------------------

    def save(
        self, folder: str | Path, *, replaces: str | None = None, partitions: int | None = None
    ) -> None:
        """Save the model to a folder, replacing what model is there in a single step.

        Parameters
        ----------
        folder : path or URI
            What goes to an object store is made on this machine first; `model.json` comes last.
        replaces : str, optional
            The checksum (`storage.artifact.checksum`) of the model that this one was made from:
            if another was saved there since, it stays and `Superseded` is raised.
        partitions : int, optional
            Divide the users into so many parts, which can be read one by one: see
            `models.sharded.ShardedModel`.

        Raises
        ------
        ParameterError
            `folder` is no path, or `partitions` is out of range.
        Unsupported
            `partitions`, and the model does not say which of its tensors are of users.
        OutputError
            The folder cannot be written; what was there is intact.
        """
        check_folder("save", folder)
        from trimetric.models.sharded_writing import save_sharded

        with published.publishing(folder, replaces) as place:
            if place != folder:
                replaces = None  # it was looked at in the store
            if partitions is None:
                save_if_unchanged(self.snapshot(), place, replaces)
            else:
                save_sharded(self.snapshot(), place, partitions, replaces=replaces)

    def export(self, to: str, out: str | Path, *, approximate: bool = False) -> dict[str, Any]:
        """Write the space for a server that needs no trimetric: see `space.export.export`.

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
            The export's manifest.

        Raises
        ------
        Unsupported
            The model has no metric space.
        ParameterError, DataError, OutputError, MissingExtra
            See `space.export.export`.
        """
        from trimetric.space.export import export

        state = self._state
        space = answers.metric_space(self.name, state.scorer, answers.TO_EXPORT)
        return export(space, state.known, to, out, model=self.name, approximate=approximate)

    def __repr__(self) -> str:
        if self._fitted is None and self._saved_in is not None:
            return f"{type(self).__name__}(in {self._saved_in})"
        state = self._fitted
        if state is None:
            return f"{type(self).__name__}(not trained)"
        known = state.known
        return (
            f"{type(self).__name__}({len(known.user_ids):,} users, {len(known.item_ids):,} items,"
            f" {len(known.seen.items):,} interactions)"
        )

    def _repr_html_(self) -> str:
        """Show settings, sizes and training curves in a notebook."""
        from trimetric.models.card import card

        return card(self if self._trained is None else self.snapshot())

    # --- helpers --------------------------------------------------------------------------------

    @property
    def _state(self) -> Fitted:
        check_threads()
        state = self._trained
        if state is None:
            raise Unsupported(f"this {type(self).__name__} is not trained; call fit first")
        return state

    @property
    def _trained(self) -> Fitted | None:
        """What training left, put together in memory where it was trained in files; or None."""
        if self._fitted is None and self._saved_in is not None:
            from trimetric.models import load

            self._fitted = load(self._saved_in)._state
        return self._fitted

    def _take(self, fitted: Fitted, also_seen: Any, out: str | Path | None) -> None:
        """Save and take what training left; nothing changes if that fails."""
        trained = copy(self)
        trained._fitted = fitted
        if also_seen is not None:
            trained._fitted = self._with_seen(fitted, also_seen)
        if out is not None:
            trained.save(out)
        self._fitted = trained._fitted

    def _with_seen(self, fitted: Fitted, interactions: Any) -> Fitted:
        known = merged_seen(fitted.known, interactions)
        return replace(fitted, known=known, scorer=self.rescored(fitted.scorer, known))
