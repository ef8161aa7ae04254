"""CentroidML: users as weighted means of their items, trained on the softmax in closed form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, cast

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.centroids import (
    CentroidSettings,
    centroid_session,
    composed,
    trained_state,
)
from trimetric.engine.negatives import positives
from trimetric.engine.rows import padded_table, table
from trimetric.engine.session import Session
from trimetric.models import partial_fit
from trimetric.models.centroid_update import take_in
from trimetric.models.config import Limits, Rate, TrainingConfig, Tune
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.saved import Stored
from trimetric.models.temperature import find_temperature
from trimetric.space.centroid import Centroids, centroid_space, side_by_side
from trimetric.space.metric import MetricSpace
from trimetric.space.scorer import Scorer

MOST = 4096  # candidates, where the setting leaves them open


@dataclass(frozen=True)
class CentroidConfig(TrainingConfig):
    """Settings of CentroidML, in the words of `engine.centroids`."""

    epochs: Annotated[int, Limits(0, 100_000, "20-40 suits most data")] = 30
    """Most passes over the users, 0..100000; with validation data training stops earlier."""
    batch_size: Annotated[int, Limits(1, 1_000_000, "32-128 suits most data")] = 64
    """Users in a block, 1..1000000, which share their candidates and one step."""
    lr: Annotated[float, Rate, Tune(0.05, 0.4, log=True)] = 0.15
    """Learning rate of the items' points, above 0 up to 10."""
    temperature: Annotated[
        float | None, Limits(0, 1000, "0.15-0.4 suits most data", above=True), Tune(0.1, 0.5)
    ] = None
    """τ of the softmax, above 0; None finds it by short trials."""
    own: Annotated[float, Limits(0, 1, "0.3-0.5 suits most data"), Tune(0, 0.7)] = 0.4
    """ω: the share of a user's own point, 0..1; 0 leaves users without parameters."""
    kappa: Annotated[float, Limits(0, 1000, "0.5-2 suits most data"), Tune(0, 2)] = 1.0
    """κ: how much an item is composed of its users, 0..1000; 0 is not at all."""
    shrink: Annotated[float, Limits(0, 1000, "1-2 suits most data", above=True)] = 1.0
    """c: items with few users are composed of them the less; above 0."""
    margin: Annotated[float, Limits(0, 1000, "1-2 suits most data"), Tune(0.5, 2)] = 1.0
    """m of all users, 0..1000."""
    candidates: Annotated[int | None, Limits(0, 100_000_000, "2048-4096 suits most data")] = None
    """|J|: items that a block contrasts with, drawn anew each time; 0 is the whole catalogue.

    None is the whole catalogue up to 4096 items.
    """
    own_rate: Annotated[float, Limits(0, 1000, "1-2 suits most data")] = 2.0
    """Learning rate of users' own points, as a multiple of `lr`."""
    weight_rate: Annotated[float, Limits(0, 1000, "1-2 suits most data")] = 1.0
    """Learning rate of ln h, the items' weights in a mean; 0 keeps all at 1."""
    bias_rate: Annotated[float, Limits(0, 1000, "0.1 suits most data")] = 0.1
    """Learning rate of the items' biases; 0 leaves them out."""


class CentroidML(EpochTrained):
    """Users as the weighted mean of their items and an own point; items likewise of their users.

    The objective is the expectation of the user's hinge, equation (3), taken in closed form over
    all positives and candidates at once: see `engine.centroids`. One point a user and an item, in
    one Euclidean space; a new user needs no training.

    Parameters
    ----------
    **settings
        Fields of `CentroidConfig`.

    Raises
    ------
    ParameterError
        A setting is unknown or out of range.
    """

    name: ClassVar[str] = "centroid"
    Config: ClassVar[type[TrainingConfig]] = CentroidConfig
    capabilities = MetricSpace.capabilities | {"fold-in"}
    config: CentroidConfig

    @property
    def temperature(self) -> float:
        """τ in use: the setting, or what training found."""
        return _temperature(self.config, self.tuned)

    @property
    def item_weights(self) -> np.ndarray:
        """h_v: how much each item counts in the mean of a user, float32 (n_items,)."""
        return _centroids(self.scorer).trained.weights

    def find_settings(
        self, train: Interactions, valid: Interactions | None, trials: bool, progress: bool | None
    ) -> dict[str, Any]:
        """Find the temperature by three short trials, if it is left open."""
        return find_temperature(self, train, valid, trials, progress)

    def learner(self, data: Interactions, pool: Csr | None, tuned: dict[str, Any]) -> Session:
        """Train by blocks of users: see `engine.centroids`."""
        settings = engine_settings(self.config, data.n_items, tuned)
        pairs = positives(data.users, data.items, data.indptr, pool)
        return centroid_session(settings, pairs, data.n_items)

    def scorer_of(self, learner: Session) -> Scorer:
        """Score by −d²."""
        settings = cast(CentroidSettings, learner.settings)
        points = composed(learner.state, learner.positives, learner.params)
        placement = Centroids(learner.state, settings, np.diff(learner.positives.indptr))
        return centroid_space(side_by_side(*points, settings.dim, None), learner.n_users, placement)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the points, and what new ones are made of."""
        space, centroids = cast(MetricSpace, self.scorer), _centroids(self.scorer)
        dim, trained = centroids.settings.dim, centroids.trained
        kept = {
            "users": space.users,
            "items": space.items,
            "item_points": trained.items[:, : dim + 1],
            "item_weights": trained.weights,
        }
        if self.config.own > 0:
            kept["own"] = trained.own[:, :dim]
        if self.config.kappa > 0:
            kept["item_sums"] = trained.item_sums[:, :dim]
        return kept

    def restore(self, stored: Stored) -> Scorer:
        """Return the space of saved tensors, after checking them."""
        config, dim, tensors = self.config, self.config.dim, stored.tensors
        shapes = {
            "item_points": ((stored.n_items, dim + 1), np.float32),
            "item_weights": ((stored.n_items,), np.float32),
        }
        if config.own > 0:
            shapes["own"] = ((stored.n_users, dim), np.float32)
        if config.kappa > 0:
            shapes["item_sums"] = ((stored.n_items, dim), np.float32)
        stored.check_tables(("users", "items"), dim + 1, shapes)
        settings = engine_settings(config, stored.n_items, stored.provenance.get("tuned", {}))
        state = trained_state(
            padded_table(tensors["item_points"]),
            np.array(tensors["item_weights"]),
            own=_widened(tensors.get("own"), 0, dim),
            item_sums=_widened(tensors.get("item_sums"), 1, dim),
        )
        placement = Centroids(state, settings, stored.known.seen.counts)
        return centroid_space(stored.table(("users", "items")), stored.n_users, placement)

    def partial_fit(
        self,
        new: Any,
        *,
        epochs: int = 0,
        lr: float | None = None,
        replay: float = partial_fit.REPLAY,
        progress: bool | None = None,
    ) -> Self:
        """Take in new interactions, with new users and items: see `centroid_update.take_in`."""
        self._fitted = take_in(self, self._state, new, epochs, lr, progress)
        return self


def engine_settings(
    config: CentroidConfig, n_items: int, tuned: Mapping[str, Any]
) -> CentroidSettings:
    """Return the settings of the trainer, with what is left open filled in."""
    candidates = min(n_items, MOST) if config.candidates is None else config.candidates
    return CentroidSettings.of(
        config,
        temperature=_temperature(config, tuned),
        candidates=candidates,
        optimizer="rowwise-adagrad",
    )


def _temperature(config: CentroidConfig, tuned: Mapping[str, Any]) -> float:
    if config.temperature is not None:
        return config.temperature
    return float(tuned.get("temperature", 0.2))


def _centroids(scorer: Scorer) -> Centroids:
    return cast(Centroids, cast(MetricSpace, scorer).fold_in)


def _widened(values: np.ndarray | None, rows: int, dim: int) -> np.ndarray:
    """Return a table with one more column than `values`, of so many empty rows without them."""
    if values is None:
        return table(rows, dim + 1)
    return padded_table(np.concatenate([values, np.zeros_like(values[:, :1])], axis=1))
