"""CentroidML: users as weighted means of their items, trained on the softmax in closed form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, cast

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.centroid_session import (
    CentroidSettings,
    centroid_session,
    composed,
    trained_state,
)
from trimetric.engine.negatives import Positives, positives
from trimetric.engine.reconstruction import (
    ReconstructionSettings,
    reconstructed,
    reconstruction_session,
)
from trimetric.engine.rows import padded_table, table
from trimetric.engine.session import Session
from trimetric.engine.session_pair import SessionPair
from trimetric.models import centroid_trials, centroid_update, partial_fit
from trimetric.models.centroid_update import EPOCHS, take_in
from trimetric.models.config import Limits, Rate, TrainingConfig, Tune
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.fitted import Fitted
from trimetric.models.forgetting import Kept
from trimetric.models.saved import Stored
from trimetric.models.starting import Held, SharedRows, hold_centroids
from trimetric.models.training_data import mean_weight
from trimetric.scale.centroids import CentroidTrainer
from trimetric.scale.reconstruction import PairTrainer, ReconstructionTrainer
from trimetric.scale.trainer import Trainer
from trimetric.space.centroid import Centroids, SecondPart, centroid_space, side_by_side
from trimetric.space.metric import MetricSpace
from trimetric.space.scorer import Scorer

MOST, WHOLE = 4096, 32_768  # candidates where the setting leaves them open: see `candidates`
RECONSTRUCTION_WEIGHT_RATE = 1.0  # of the items' weights, as a multiple of reconstruction_lr


@dataclass(frozen=True)
class CentroidConfig(TrainingConfig):
    """Settings of CentroidML, in the words of `engine.centroids`."""

    epochs: Annotated[int, Limits(0, 100_000, "20-40 suits most data")] = 30
    """Most passes over the users, 0..100000; with validation data training stops earlier."""
    batch_size: Annotated[int, Limits(1, 1_000_000, "32-128 suits most data")] = 128
    """Users in a block, 1..1000000, which share their candidates and one step."""
    lr: Annotated[float, Rate, Tune(0.05, 0.4, log=True)] = 0.15
    """Learning rate of the items' points, above 0 up to 10."""
    temperature: Annotated[
        float | None, Limits(0, 1000, "0.15-0.4 suits most data", above=True), Tune(0.1, 0.5)
    ] = None
    """τ of the softmax, above 0; None finds it by short trials."""
    own: Annotated[float, Limits(0, 1, "0.3-0.5 suits most data"), Tune(0, 0.7)] = 0.4
    """ω: the share of a user's own point, 0..1; 0 leaves users without parameters."""
    kappa: Annotated[float | None, Limits(0, 1000, "0.5-2 suits most data"), Tune(0, 2)] = None
    """κ: how much an item is composed of its users, 0..1000; None finds 0 or 1 by short trials."""
    shrink: Annotated[float, Limits(0, 1000, "1-2 suits most data", above=True)] = 1.0
    """c: items with few users are composed of them the less; above 0."""
    margin: Annotated[float, Limits(0, 1000, "1-2 suits most data"), Tune(0.5, 2)] = 1.0
    """m of all users, 0..1000."""
    candidates: Annotated[int | None, Limits(0, 100_000_000, "2048-4096 suits most data")] = None
    """|J|: items that a block contrasts with, drawn anew each time; 0 is the whole catalogue.

    None is the whole catalogue up to 32,768 items, and 4096 of a larger one.
    """
    lam: Annotated[float, Limits(0, 1000, "0-0.3 suits most data"), Tune(0, 0.3)] = 0.0
    """λ of equation (6), 0..1000: the weight of the item's hinge; the paper's about .01; 0 is off.

    With a pool of negatives it is left out: see `engine.item_term`.
    """
    item_margin: Annotated[float, Limits(0, 1000, "1 suits most data")] = 1.0
    """n of all items, 0..1000; the paper's 1."""
    item_candidates: Annotated[int, Limits(1, 100_000_000, "64 suits most data")] = 64
    """|I|: how many of the block's candidates its items contrast with, at least 1.

    It is rounded up to a multiple of 16.
    """
    own_rate: Annotated[float, Limits(0, 1000, "1-2 suits most data")] = 2.0
    """Learning rate of users' own points, as a multiple of `lr`."""
    weight_rate: Annotated[float, Limits(0, 1000, "1-2 suits most data")] = 1.0
    """Learning rate of ln h, the items' weights in a mean; 0 keeps all at 1."""
    bias_rate: Annotated[float, Limits(0, 1000, "0.1 suits most data")] = 0.1
    """Learning rate of the items' biases; 0 leaves them out."""
    reconstruction: Annotated[float | None, Limits(0, 1000, "0.125-0.5 suits most data")] = None
    """w: squared distances of the second objective are multiplied by it; 0 leaves it out.

    None finds 0, .125, .25 or .5 by a short trial; see `engine.reconstruction`.
    """
    reconstruction_dim: Annotated[int, Limits(1, 4096, "64-256 suits most data")] = 100
    """Columns of the second objective, 1..4096, beside the `dim` of the first."""
    reconstruction_epochs: Annotated[int, Limits(1, 100_000, "6-10 suits most data")] = 8
    """Passes over the users for the second objective, at least 1."""
    reconstruction_lr: Annotated[float, Rate] = 0.1
    """Learning rate of the second objective, above 0 up to 10."""


class CentroidML(EpochTrained):
    """Users as the weighted mean of their items and an own point; items likewise of their users.

    The objective is the expectation of the user's hinge, equation (3), taken in closed form over
    all positives and candidates at once: see `engine.centroids`. With `lam` above 0 that of the
    item's, equation (4), is added: see `engine.item_term`. One point a user and an item, in one
    Euclidean space; a new user needs no training.

    Parameters
    ----------
    dim : int, default 100
        Columns of the embeddings, 1..4096.
    epochs : int, default 30
        Most passes over the users, 0..100000; with validation data training stops earlier.
    batch_size : int, default 128
        Users in a block, 1..1000000, which share their candidates and one step.
    lr : float, default 0.15
        Learning rate of the items' points, above 0 up to 10.
    schedule : "linear" or "constant", default "linear"
        "linear": the rate falls from `lr` towards 0 over `epochs`; or "constant".
    metric : word, default "ndcg@10"
        What validation measures, on full ranking.
    validate_every : int, default 5
        Epochs between two validations, at least 1.
    validate_users : int, default 0
        Most users that validation looks at while training, always the same; 0 for all.
    patience : int, default 6
        Validations without a new best before training stops; 0 trains all epochs.
    seed : int, default 0
        Any integer of 64 bits; the same seed, data and settings give the same bits.
    temperature : float, default None
        τ of the softmax, above 0; None finds it by short trials.
    own : float, default 0.4
        ω: the share of a user's own point, 0..1; 0 leaves users without parameters.
    kappa : float, default None
        κ: how much an item is composed of its users, 0..1000; None finds 0 or 1 by short trials.
    shrink : float, default 1.0
        c: items with few users are composed of them the less; above 0.
    margin : float, default 1.0
        m of all users, 0..1000.
    candidates : int, default None
        |J|: items that a block contrasts with, drawn anew each time; 0 is the whole catalogue.
    lam : float, default 0.0
        λ of equation (6), 0..1000: the weight of the item's hinge; the paper's about .01; 0 is off.
    item_margin : float, default 1.0
        n of all items, 0..1000; the paper's 1.
    item_candidates : int, default 64
        |I|: how many of the block's candidates its items contrast with, at least 1.
    own_rate : float, default 2.0
        Learning rate of users' own points, as a multiple of `lr`.
    weight_rate : float, default 1.0
        Learning rate of ln h, the items' weights in a mean; 0 keeps all at 1.
    bias_rate : float, default 0.1
        Learning rate of the items' biases; 0 leaves them out.
    reconstruction : float, default None
        w: squared distances of the second objective are multiplied by it; 0 leaves it out.
    reconstruction_dim : int, default 100
        Columns of the second objective, 1..4096, beside the `dim` of the first.
    reconstruction_epochs : int, default 8
        Passes over the users for the second objective, at least 1.
    reconstruction_lr : float, default 0.1
        Learning rate of the second objective, above 0 up to 10.

    Raises
    ------
    ParameterError
        A setting is unknown or out of range.
    """

    if TYPE_CHECKING:  # written by tools/signatures

        def __init__(
            self,
            *,
            dim: int = 100,
            epochs: int = 30,
            batch_size: int = 128,
            lr: float = 0.15,
            schedule: Literal["linear", "constant"] = "linear",
            metric: str = "ndcg@10",
            validate_every: int = 5,
            validate_users: int = 0,
            patience: int = 6,
            seed: int = 0,
            temperature: float | None = None,
            own: float = 0.4,
            kappa: float | None = None,
            shrink: float = 1.0,
            margin: float = 1.0,
            candidates: int | None = None,
            lam: float = 0.0,
            item_margin: float = 1.0,
            item_candidates: int = 64,
            own_rate: float = 2.0,
            weight_rate: float = 1.0,
            bias_rate: float = 0.1,
            reconstruction: float | None = None,
            reconstruction_dim: int = 100,
            reconstruction_epochs: int = 8,
            reconstruction_lr: float = 0.1,
        ) -> None: ...

    name: ClassVar[str] = "centroid"
    takes_weights = True
    user_tensors = frozenset({"users", "own"})
    Config: ClassVar[type[TrainingConfig]] = CentroidConfig
    capabilities = MetricSpace.capabilities | {"fold-in"}
    config: CentroidConfig

    @property
    def temperature(self) -> float:
        """τ in use: the setting, or what training found."""
        return in_use(self.config, self.tuned, "temperature")

    @property
    def item_weights(self) -> np.ndarray:
        """h_v: how much each item counts in the mean of a user, float32 (n_items,)."""
        return _centroids(self.scorer).trained.weights

    def find_settings(
        self, train: Interactions, valid: Interactions | None, trials: bool, progress: bool | None
    ) -> dict[str, Any]:
        """Find temperature, kappa and reconstruction by short trials, if they are left open.

        Weights are divided by their mean, which is noted as `weight_unit`.
        """
        found = centroid_trials.find_settings(self, train, valid, trials, progress)
        return {**found, **_weight_unit(train)}

    def settings_taken_over(self, tuned: dict[str, Any], train: Interactions) -> dict[str, Any]:
        """Return what was found for a model to start from; the weights' unit is that of `train`."""
        found = {name: value for name, value in tuned.items() if name != "weight_unit"}
        return {**found, **_weight_unit(train)}

    def learner(
        self, data: Interactions, pool: Csr | None, tuned: dict[str, Any]
    ) -> Session | SessionPair:
        """Train by blocks of users: see `engine.centroids` and `engine.reconstruction`."""
        settings = engine_settings(self.config, data.n_items, tuned)
        unit = np.float32(settings.weight_unit)
        weights = None if data.weights is None else data.weights / unit
        pairs = positives(data.users, data.items, data.indptr, pool, weights)
        session = centroid_session(settings, pairs, data.n_items)
        weight = in_use(self.config, tuned, "reconstruction")
        if weight == 0:
            return session
        second = reconstruction_session(
            _second_settings(self.config, data.n_items), pairs, data.n_items
        )
        return SessionPair(session, second, weight)

    def trainer_in_parts(self, n_items: int, n_parts: int, tuned: dict[str, Any]) -> Trainer:
        """Train blocks of users bucket by bucket: see `scale.centroids`."""
        settings = engine_settings(self.config, n_items, tuned)
        first = CentroidTrainer(settings, n_items, n_parts)
        weight = in_use(self.config, tuned, "reconstruction")
        if weight == 0:
            return first
        second = _second_settings(self.config, n_items)
        return PairTrainer(first, ReconstructionTrainer(second, n_items, n_parts), weight)

    def start_from(
        self, learner: Session | SessionPair, fitted: Fitted, rows: SharedRows
    ) -> list[Held]:
        """Return what of the learner begins where another model is: see `starting`."""
        return hold_centroids(learner, fitted, rows)

    def scorer_of(self, learner: Session | SessionPair) -> Scorer:
        """Score by −d²."""
        points, second = None, None
        if isinstance(learner, SessionPair):
            session, other, weight = learner.first, learner.second, learner.weight
            found = reconstructed(other.state, other.positives, other.params)
            dim, length = self.config.reconstruction_dim, np.float32(weight**0.5)
            points = length * found[0][:, :dim], length * found[1][:, :dim]
            second = SecondPart(other.state.items[:, :dim], other.state.weights, weight)
        else:
            session = learner
        settings = cast(CentroidSettings, session.settings)
        users, items, item_sums = composed(session.state, session.positives, session.params)
        state = session.state._replace(item_sums=item_sums)
        placement = Centroids(state, settings, _sizes(session.positives), second)
        return centroid_space(
            side_by_side(users, items, settings.dim, points), session.n_users, placement
        )

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the points, and what new ones are made of."""
        space, centroids = cast(MetricSpace, self.scorer), _centroids(self.scorer)
        settings, trained, second = centroids.settings, centroids.trained, centroids.second
        kept = {
            "users": space.users,
            "items": space.items,
            "item_points": trained.items[:, : settings.dim + 1],
            "item_weights": trained.weights,
        }
        if settings.own > 0:
            kept["own"] = trained.own[:, : settings.dim]
        if settings.kappa > 0:
            kept["item_sums"] = trained.item_sums[:, : settings.dim]
        if second is not None:
            kept |= {"second_points": second.items, "second_weights": second.weights}
        return kept

    def restore(self, stored: Stored) -> Scorer:
        """Return the space of saved tensors, after checking them."""
        tuned = stored.provenance.get("tuned", {})
        settings = engine_settings(self.config, stored.n_items, tuned)
        dim, n_users, n_items = settings.dim, stored.n_users, stored.n_items
        weight = in_use(self.config, tuned, "reconstruction")
        more = self.config.reconstruction_dim if weight else 0
        shapes: dict[str, Any] = {
            "item_points": ((n_items, dim + 1), np.float32),
            "item_weights": ((n_items,), np.float32),
        }
        if settings.own > 0:
            shapes["own"] = ((n_users, dim), np.float32)
        if settings.kappa > 0:
            shapes["item_sums"] = ((n_items, dim), np.float32)
        if weight:
            shapes["second_points"] = ((n_items, more), np.float32)
            shapes["second_weights"] = ((n_items,), np.float32)
        stored.check_tables(("users", "items"), dim + 1 + more, shapes)
        tensors, second = stored.tensors, None
        if weight:
            second = SecondPart(tensors["second_points"], tensors["second_weights"], weight)
        state = trained_state(
            padded_table(tensors["item_points"]),
            np.array(tensors["item_weights"]),
            own=stored.with_room("own", dim),
            item_sums=_item_sums(stored, dim),
        )
        sizes = stored.known.sizes / settings.weight_unit
        placement = Centroids(state, settings, sizes, second)
        return centroid_space(stored.table(("users", "items")), n_users, placement)

    def without(self, state: Fitted, left: Fitted, kept: Kept) -> Scorer:
        """Return the space that is left, means without what went: see `centroid_update`."""
        return centroid_update.without(self, state, left, kept)

    def part_without(self, state: Fitted, left: Fitted, kept: Kept, total: Any) -> Scorer:
        """Return the space that is left of one of several parts: see `centroid_update`."""
        return centroid_update.without(self, state, left, kept, total)

    def share_left(self, state: Fitted, left: Fitted, kept: Kept) -> centroid_update.Share:
        """Return what items have of the users who are left: see `centroid_update`."""
        return centroid_update.share_left(self, state, left, kept)

    def partial_fit(
        self,
        new: Any,
        *,
        epochs: int = EPOCHS,
        lr: float | None = None,
        replay: float = partial_fit.REPLAY,
        progress: bool | None = None,
    ) -> Self:
        """Take in new interactions, with new users and items: see `centroid_update.take_in`.

        Epochs go over all interactions, so that `replay` changes nothing; with 0 only means move.
        """
        self._fitted = take_in(self, self._state, new, epochs, lr, progress)
        return self


def in_use(config: CentroidConfig, tuned: Mapping[str, Any], name: str) -> float:
    """Return a setting that may be left open: as given, as found, or the usual."""
    value = getattr(config, name)
    return float(tuned.get(name, centroid_trials.USUAL[name]) if value is None else value)


def engine_settings(
    config: CentroidConfig, n_items: int, tuned: Mapping[str, Any]
) -> CentroidSettings:
    """Return the settings of the trainer, with what is left open filled in."""
    return CentroidSettings.of(
        config,
        temperature=in_use(config, tuned, "temperature"),
        kappa=in_use(config, tuned, "kappa"),
        candidates=_candidates(config, n_items),
        item_weight=config.lam,
        weight_unit=float(tuned.get("weight_unit", 1.0)),
        optimizer="rowwise-adagrad",
    )


def _weight_unit(train: Interactions) -> dict[str, float]:
    """Return the mean weight of the interactions, the unit of training; nothing without weights."""
    return {} if train.weights is None else {"weight_unit": mean_weight(train)}


def _second_settings(config: CentroidConfig, n_items: int) -> ReconstructionSettings:
    return ReconstructionSettings.of(
        config,
        dim=config.reconstruction_dim,
        lr=config.reconstruction_lr,
        epochs=config.reconstruction_epochs,
        candidates=_candidates(config, n_items),
        weight_rate=RECONSTRUCTION_WEIGHT_RATE,
    )


def _candidates(config: CentroidConfig, n_items: int) -> int:
    if config.candidates is None:
        return 0 if n_items <= WHOLE else MOST
    return config.candidates


def _centroids(scorer: Scorer) -> Centroids:
    return cast(Centroids, cast(MetricSpace, scorer).fold_in)


def _sizes(pairs: Positives) -> np.ndarray:
    """Return how much the interactions of each user count together, float64 (n_users,)."""
    n_users = len(pairs.indptr) - 1
    return np.bincount(pairs.users, pairs.weights if len(pairs.weights) else None, n_users) * 1.0


def _item_sums(stored: Stored, dim: int) -> np.ndarray:
    """Return the items' sums as a table; one empty row without them."""
    return (
        stored.with_room("item_sums", dim) if "item_sums" in stored.tensors else table(1, dim + 1)
    )
