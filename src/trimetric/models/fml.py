"""FML: metric factorisation, distances fitted to who interacted with what (Zhang et al. 2018)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.compile import inline, kernel
from trimetric.engine.gradient_session import Descent, DescentSession
from trimetric.engine.gradients import settle, share
from trimetric.engine.negatives import (
    ATTEMPTS,
    UNIFORM_ATTEMPTS,
    interacted,
    positives,
    uniform_negative,
)
from trimetric.engine.rng import bits, shuffled
from trimetric.engine.rows import add_scaled, copy, dot, multiply
from trimetric.errors import ParameterError
from trimetric.models.config import Limits, Rate, TrainingConfig, Tune
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.saved import Stored
from trimetric.space.metric import MetricSpace
from trimetric.space.scorer import Scorer

_RADIUS = 1.0  # of the ball that positions are kept in
_COINS = 1 << 16  # a column is kept or dropped by 16 random bits
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

    Parameters
    ----------
    preset : str, optional
        "paper": every cell, Adagrad at .1, α = .1, a = 1.5.
    **settings
        Fields of `FMLConfig`.
    """

    name: ClassVar[str] = "fml"
    capabilities = MetricSpace.capabilities
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

    def learner(
        self, data: Interactions, pool: Csr | None, found: dict[str, Any]
    ) -> DescentSession:
        """Train by the kernel below: see `EpochTrained.learner`."""
        config, every = self.config, self.config.cells == "all"
        if every and pool is not None:
            raise ParameterError(
                "cells='all' trains on every item a user has not interacted with, got a pool that"
                " limits them; use cells='sampled'"
            )
        sampled = len(data) * (1 + config.negatives)
        how = Descent.of(
            config,
            data.n_users * data.n_items if every else sampled,
            radius=_RADIUS,
            init=(0.0, config.dim**-0.5 if config.init_std is None else config.init_std),
            cost=4.0,
            scratch=2,
        )
        own = Terms(
            every=every,
            negatives=np.int64(config.negatives),
            confidence=np.float32(config.confidence),
            distance=np.float32(config.distance),
            coins=np.uint64(max(round(config.keep * _COINS), 1)),
            raised=np.float32(1 / config.keep),
        )
        pairs = positives(data.users, data.items, data.indptr, pool)
        return DescentSession(train, how, pairs, data.n_items, own)

    def scorer_of(self, learner: DescentSession) -> Scorer:
        """Score by −d²."""
        return MetricSpace(learner.state.table, learner.n_users, self.config.dim)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the points."""
        return {"users": self.users, "items": self.items}

    def restore(self, stored: Stored) -> Scorer:
        """Return the space of saved points."""
        stored.check_tables(("users", "items"), self.config.dim)
        return MetricSpace(stored.table(("users", "items")), stored.n_users, self.config.dim)


class Terms(NamedTuple):
    """The model's own numbers."""

    every: Any  # bool: all cells
    negatives: Any  # int64: a positive
    confidence: Any  # float32: α
    distance: Any  # float32: a
    coins: Any  # uint64: a column is kept where 16 random bits are below this
    raised: Any  # float32: 1/keep


@kernel
def train(me, threads, span, pairs, state, rule, work, own):
    """Run mini-batches span[0] .. span[1] - 1 as thread `me` of `threads`."""
    n_users, met = len(pairs.indptr) - 1, np.int64(0)
    n_items = len(state.table) - n_users
    for batch in range(span[0], span[1]):
        low, high = share(me, threads, batch, rule, work)
        first = batch * rule.batch_size
        for t in range(low, high):
            u, item, y = cell(first + t, pairs, n_items, rule, own)
            work.loss[t] = work.active[t] = 0
            work.rows[3 * t : 3 * t + 3] = -1
            if item >= 0:
                room = work.scratch[me]
                drop(room, 1, first + t, rule.draws, own)
                gradient(t, u, item + n_users, y, state.table, own, work, room)
        met = settle(me, threads, batch, met, state, rule, work)


@inline
def cell(sample, pairs, n_items, rule, own):
    """Return a sample's user, item and y; item -1 where there is none.

    The random order is that of all samples. With all cells number n is item n % |V| of user
    n // |V|; otherwise it is the positive n // (1 + negatives), itself if the remainder is 0.
    """
    place = shuffled(sample, rule.order)
    if own.every:
        u, item = place // n_items, place % n_items
        if pairs.indptr[u + 1] == pairs.indptr[u]:
            return u, np.int64(-1), np.float32(0)
        return u, item, np.float32(interacted(item, u, pairs))
    positive = place // (1 + own.negatives)
    u = np.int64(pairs.users[positive])
    if place % (1 + own.negatives) == 0:
        return u, np.int64(pairs.items[positive]), np.float32(1)
    return u, uniform_negative(rule.draws, sample, u, pairs, n_items), np.float32(0)


@inline
def drop(room, k, sample, draws, own):
    """Fill room[k]: 1/keep where a column is kept, 0 where it is dropped.

    Four columns share a draw; the sample's draws are those that `uniform_negative` leaves over.
    """
    first = sample * ATTEMPTS + UNIFORM_ATTEMPTS
    for word in range(room.shape[1] >> 2):
        drawn = bits(draws, first + word)
        for part in range(4):
            kept = (drawn & _LOW) < own.coins
            room[k, 4 * word + part] = own.raised if kept else np.float32(0)
            drawn >>= _16


@inline
def gradient(t, u, v, y, table, own, work, room):
    """Write the gradients of (1 + α·y)·(a·(1 − y) − Σ_k b_k·(α_k − β_k)²)², b in room[1].

    That of α_k is −4·(1 + α·y)·(a·(1 − y) − d²)·b_k·(α_k − β_k).
    """
    copy(room, 0, table, u, np.float32(1))
    add_scaled(room, 0, table, v, np.float32(-1))
    multiply(room, 1, room, 1, room, 0)
    weight = np.float32(1) + own.confidence * y
    residual = own.distance * (np.float32(1) - y) - dot(room, 0, room, 1)
    c, g, k = np.float32(-4) * weight * residual, work.gradients, 3 * t
    copy(g, k, room, 1, c)
    copy(g, k + 1, room, 1, -c)
    work.rows[k], work.rows[k + 1] = u, v
    work.loss[t], work.active[t] = weight * residual * residual, True
