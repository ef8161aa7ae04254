"""FML: metric factorisation, distances fitted to who interacted with what (Zhang et al. 2018)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.compile import inline, kernel
from trimetric.engine.gradients import (
    apply_updates,
    assign_samples,
    clear_sample,
    gradient_session,
)
from trimetric.engine.negatives import (
    DRAWS_PER_TRIPLET,
    UNIFORM_ATTEMPTS,
    interacted,
    positives,
    uniform_negative,
)
from trimetric.engine.rng import bits, shuffled
from trimetric.engine.rows import add_scaled, copy, dot, multiply
from trimetric.engine.session import RunSettings, Session
from trimetric.errors import ParameterError
from trimetric.models.config import Limits, Rate, TrainingConfig, Tune
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.formula import Formula
from trimetric.models.saved import Stored
from trimetric.space.metric import FoldIn, MetricSpace
from trimetric.space.scorer import Scorer

_RADIUS = 1.0  # of the ball that positions are kept in
_TEMPERATURE = 0.2  # of the softmax that places new users
_KEEP_ALL = 1 << 16  # a column is kept or dropped by 16 random bits
_LOW, _16 = np.uint64(0xFFFF), np.uint64(16)


@dataclass(frozen=True)
class FMLConfig(TrainingConfig):
    """Settings of FML; the paper's `lr` is .1 with Adagrad, its dim 100."""

    lr: Annotated[float, Rate, Tune(0.02, 0.3, log=True)] = 0.1
    """Learning rate, above 0 up to 10."""
    optimizer: Literal["rowwise-adagrad", "adagrad", "adam", "sgd"] = "adagrad"
    """"adagrad" (paper), "rowwise-adagrad", "adam" (lazy rows) or "sgd"."""
    cells: Literal["all", "sampled"] = "sampled"
    """"all" (paper): every user-item cell once an epoch, or "sampled": positives and negatives."""
    negatives: Annotated[int, Limits(1, 1000, "4-10 suits most data"), Tune(2, 10)] = 4
    """Uniform negatives a positive, 1..1000, redrawn each epoch; unused with cells="all"."""
    confidence: Annotated[
        float, Limits(0, 1000, "0.1-2 suits most data"), Tune(0.03, 3, log=True)
    ] = 0.1
    """α of the weight 1 + α·y, 0..1000."""
    distance: Annotated[
        float, Limits(0, 1000, "1-2 suits most data", above=True), Tune(0.8, 2.5)
    ] = 1.5
    """a: what d² of a cell without an interaction should be, above 0 up to 1000."""
    keep: Annotated[float, Limits(0, 1, "0.9-1 suits most data", above=True)] = 0.95
    """How likely each squared difference is kept in training, above 0 up to 1."""
    init_std: Annotated[
        float | None, Limits(0, 1000, "leave it out for 1/√dim, which suits most data")
    ] = None
    """Standard deviation of the first coordinates, 0..1000; None is 1/√dim (released)."""


class FML(EpochTrained):
    """Metric factorisation for ranking: (1 + α·y)·(a·(1 − y) − d²(u,v))² over user-item cells.

    y is 1 where the user has interacted with the item, else 0. In training, each column's squared
    difference is kept with probability `keep` and then divided by it, or dropped. Positions stay
    within the unit ball. Users without training interactions have no cells.

    The paper's cells are all of them; an epoch then costs n_users·n_items however sparse the data
    is. The default takes each positive and a few uniform negatives, which costs what the other
    models cost, weighs positives more, and is the only form that a pool allows.

    New users and items are placed by the steps that the space of `SML` has, near to what they have
    and far from the rest (see `engine.foldin`): the loss above is no better at it, and is not
    convex in a position. New interactions are not trained on: there is no `partial_fit`.

    Parameters
    ----------
    preset : str, optional
        "paper": every cell, Adagrad at .1, α = .1, a = 1.5.
    dim : int, default 100
        Columns of the embeddings, 1..4096.
    epochs : int, default 60
        Most passes over the interactions, 0..100000; with validation data training stops earlier.
    batch_size : int, default 512
        Samples in a mini-batch, 1..1000000.
    lr : float, default 0.1
        Learning rate, above 0 up to 10.
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
    optimizer : "rowwise-adagrad" or "adagrad" or "adam" or "sgd", default "adagrad"
        "adagrad" (paper), "rowwise-adagrad", "adam" (lazy rows) or "sgd".
    cells : "all" or "sampled", default "sampled"
        "all" (paper): every user-item cell once an epoch, or "sampled": positives and negatives.
    negatives : int, default 4
        Uniform negatives a positive, 1..1000, redrawn each epoch; unused with cells="all".
    confidence : float, default 0.1
        α of the weight 1 + α·y, 0..1000.
    distance : float, default 1.5
        a: what d² of a cell without an interaction should be, above 0 up to 1000.
    keep : float, default 0.95
        How likely each squared difference is kept in training, above 0 up to 1.
    init_std : float, default None
        Standard deviation of the first coordinates, 0..1000; None is 1/√dim (released).
    """

    if TYPE_CHECKING:  # written by tools/signatures

        def __init__(
            self,
            *,
            preset: Literal["paper"] | None = None,
            dim: int = 100,
            epochs: int = 60,
            batch_size: int = 512,
            lr: float = 0.1,
            schedule: Literal["linear", "constant"] = "linear",
            metric: str = "ndcg@10",
            validate_every: int = 5,
            validate_users: int = 0,
            patience: int = 6,
            seed: int = 0,
            optimizer: Literal["rowwise-adagrad", "adagrad", "adam", "sgd"] = "adagrad",
            cells: Literal["all", "sampled"] = "sampled",
            negatives: int = 4,
            confidence: float = 0.1,
            distance: float = 1.5,
            keep: float = 0.95,
            init_std: float | None = None,
        ) -> None: ...

    name: ClassVar[str] = "fml"
    formula = Formula(
        "‖α_u − β_v‖²",
        False,
        "(1 + α·y)·(a·(1 − y) − d²(u,v))²",
        "weight and target distance a are those of Zhang et al.; the SML paper prints w·(y − d)²",
    )
    capabilities = MetricSpace.capabilities | {"fold-in"}
    Config: ClassVar[type[TrainingConfig]] = FMLConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {
            "cells": "all",
            "optimizer": "adagrad",
            "lr": 0.1,
            "schedule": "constant",
            "confidence": 0.1,
            "distance": 1.5,
            "keep": 0.95,
        }
    }
    config: FMLConfig

    def learner(self, data: Interactions, pool: Csr | None, tuned: dict[str, Any]) -> Session:
        """Train by the kernel below: see `EpochTrained.learner`."""
        config, every = self.config, self.config.cells == "all"
        if every and pool is not None:
            raise ParameterError(
                "cells='all' trains on every item a user has not interacted with, got a pool that"
                " limits them; use cells='sampled'"
            )
        sampled = len(data) * (1 + config.negatives)
        std = config.dim**-0.5 if config.init_std is None else config.init_std
        params = Params(
            every=every,
            negatives=np.int64(config.negatives),
            confidence=np.float32(config.confidence),
            distance=np.float32(config.distance),
            keep=np.uint64(max(round(config.keep * _KEEP_ALL), 1)),
            dropout_factor=np.float32(1 / config.keep),
        )
        return gradient_session(
            train,
            RunSettings.of(config, radius=_RADIUS, init_std=std),
            positives(data.users, data.items, data.indptr, pool),
            data.n_items,
            params,
            samples=data.n_users * data.n_items if every else sampled,
            scratch=2,
            cost=4.0,
        )

    def scorer_of(self, learner: Session) -> Scorer:
        """Score by −d²."""
        return self._space(learner.state.table, learner.n_users)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the points."""
        return {"users": self.user_embeddings, "items": self.item_embeddings}

    def restore(self, stored: Stored) -> Scorer:
        """Return the space of saved points."""
        stored.check_tables(("users", "items"), self.config.dim)
        return self._space(stored.table(("users", "items")), stored.n_users)

    def _space(self, points: np.ndarray, n_users: int) -> MetricSpace:
        rule = FoldIn(_TEMPERATURE, _RADIUS, sphere=False)
        return MetricSpace(points, n_users, self.config.dim, fold_in=rule)


class Params(NamedTuple):
    """Settings of the loss and of its cells."""

    every: Any  # bool: all cells
    negatives: Any  # int64: per positive
    confidence: Any  # float32: α
    distance: Any  # float32: a
    keep: Any  # uint64: a column is kept where 16 random bits are below this
    dropout_factor: Any  # float32: 1/keep


@kernel
def train(me, threads, span, positives, state, settings, workspace, params):
    """Run mini-batches span[0] .. span[1] - 1 as thread `me` of `threads`."""
    n_users = len(positives.indptr) - 1
    n_items = len(state.table) - n_users
    for batch in range(span[0], span[1]):
        low, high = assign_samples(me, threads, batch, settings, workspace)
        start = batch * settings.batch_size
        for t in range(low, high):
            u, item, y = sample_cell(start + t, positives, n_items, settings, params)
            clear_sample(t, workspace)
            if item >= 0:
                scratch = workspace.scratch[me]
                drop_columns(scratch, 1, start + t, settings.draws, params)
                gradient(t, u, item + n_users, y, state.table, params, workspace, scratch)
        apply_updates(me, threads, batch, state, settings, workspace)


@inline
def sample_cell(sample, positives, n_items, settings, params):
    """Return a sample's user, item and y; item -1 where there is none.

    The random order is that of all samples. With all cells number n is item n % |V| of user
    n // |V|; otherwise it belongs to the positive n // (1 + negatives), and is that positive itself
    if the remainder is 0.
    """
    position = shuffled(sample, settings.order)
    if params.every:
        u, item = position // n_items, position % n_items
        if positives.indptr[u + 1] == positives.indptr[u]:
            return u, np.int64(-1), np.float32(0)
        return u, item, np.float32(interacted(item, u, positives))
    pair = position // (1 + params.negatives)
    u = np.int64(positives.users[pair])
    if position % (1 + params.negatives) == 0:
        return u, np.int64(positives.items[pair]), np.float32(1)
    return u, uniform_negative(settings.draws, sample, u, positives, n_items), np.float32(0)


@inline
def drop_columns(scratch, k, sample, draws, params):
    """Fill scratch[k]: 1/keep where a column is kept, 0 where it is dropped.

    Four columns share a draw; the sample's draws are those that `uniform_negative` does not use.
    """
    first = sample * DRAWS_PER_TRIPLET + UNIFORM_ATTEMPTS
    for number in range(scratch.shape[1] >> 2):
        word = bits(draws, first + number)
        for part in range(4):
            unmasked = (word & _LOW) < params.keep
            scratch[k, 4 * number + part] = params.dropout_factor if unmasked else np.float32(0)
            word >>= _16


@inline
def gradient(t, u, v, y, table, params, workspace, scratch):
    """Write the gradients of (1 + α·y)·(a·(1 − y) − Σ_k b_k·(α_k − β_k)²)², b in scratch[1].

    That of α_k is −4·(1 + α·y)·(a·(1 − y) − d²)·b_k·(α_k − β_k).
    """
    copy(scratch, 0, table, u, np.float32(1))
    add_scaled(scratch, 0, table, v, np.float32(-1))
    multiply(scratch, 1, scratch, 1, scratch, 0)
    weight = np.float32(1) + params.confidence * y
    residual = params.distance * (np.float32(1) - y) - dot(scratch, 0, scratch, 1)
    c, g, k = np.float32(-4) * weight * residual, workspace.gradients, 3 * t
    copy(g, k, scratch, 1, c)
    copy(g, k + 1, scratch, 1, -c)
    workspace.rows[k], workspace.rows[k + 1] = u, v
    workspace.loss[t], workspace.active[t] = weight * residual * residual, True
