"""MLP: the tower of NCF alone (He et al., WWW 2017)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.negatives import positives
from trimetric.engine.session import Session
from trimetric.models.config import TrainingConfig
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.formula import Formula
from trimetric.models.ncf import (
    PAPER,
    MLPConfig,
    network_tensors,
    neural_scorer,
    neural_session,
    restored,
)
from trimetric.models.saved import Stored
from trimetric.space.scorer import Scorer


class MLP(EpochTrained):
    """The tower alone: σ(b + h·MLP([p;q])) by binary cross-entropy; otherwise as `NCF`.

    Items, and users, are alike by the cosine of what the first layer makes of their embeddings.

    Parameters
    ----------
    preset : str, optional
        "paper": Adam at .001, a tower 64-32-16-8, reg 0.
    dim : int, default 32
        Columns of the tower's embeddings, 1..1024 (paper: 32 for a tower 64-32-16-8).
    epochs : int, default 40
        Most passes over the interactions, 0..100000; with validation data training stops earlier.
    batch_size : int, default 256
        Samples in a mini-batch, 1..1000000; positives and negatives both count.
    lr : float, default 0.001
        Learning rate, above 0 up to 10 (paper: .001, of .0001 to .005).
    schedule : "linear" or "constant", default "constant"
        "constant" (paper), or "linear": the rate falls from `lr` towards 0 over `epochs`.
    metric : word, default "ndcg@10"
        What validation measures, on full ranking.
    validate_every : int, default 2
        Epochs between two validations, at least 1: it overfits soon after its best.
    validate_users : int, default 0
        Most users that validation looks at while training, always the same; 0 for all.
    patience : int, default 5
        Validations without a new best before training stops; 0 trains all epochs.
    seed : int, default 0
        Any integer of 64 bits; the same seed, data and settings give the same bits.
    depth : int, default 3
        Hidden layers, 1..12: of `dim` units, then of half as many each.
    optimizer : "rowwise-adagrad" or "adagrad" or "adam" or "sgd", default "adam"
        "adam" (paper; lazy rows), "adagrad", "rowwise-adagrad" or "sgd".
    negatives : int, default 4
        Uniform negatives a positive, 1..1000, redrawn each epoch.
    reg : float, default 0.003
        Weight of ‖·‖²/2 of the two rows of each sample, 0..1000 (paper: none).
    init_std : float, default 0.01
        Standard deviation of the first embeddings, 0..1000; matrices start as Glorot's.
    """

    if TYPE_CHECKING:  # written by tools/signatures

        def __init__(
            self,
            *,
            preset: Literal["paper"] | None = None,
            dim: int = 32,
            epochs: int = 40,
            batch_size: int = 256,
            lr: float = 0.001,
            schedule: Literal["linear", "constant"] = "constant",
            metric: str = "ndcg@10",
            validate_every: int = 2,
            validate_users: int = 0,
            patience: int = 5,
            seed: int = 0,
            depth: int = 3,
            optimizer: Literal["rowwise-adagrad", "adagrad", "adam", "sgd"] = "adam",
            negatives: int = 4,
            reg: float = 0.003,
            init_std: float = 0.01,
        ) -> None: ...

    name: ClassVar[str] = "mlp"
    formula = Formula(
        "σ(b + h·MLP([p_u; q_v]))",
        True,
        "−y·ln ŷ − (1 − y)·ln(1 − ŷ)",
        "cells are the positives and a few uniform negatives, drawn anew each epoch",
    )
    capabilities = frozenset({"similar items", "similar users"})
    Config: ClassVar[type[TrainingConfig]] = MLPConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": PAPER}
    config: MLPConfig

    @property
    def user_embeddings(self) -> np.ndarray:
        """Embeddings p, float32 (n_users, dim), in the order of `user_ids`."""
        return self.tensors()["user_embeddings"]

    @property
    def item_embeddings(self) -> np.ndarray:
        """Embeddings q, float32 (n_items, dim), in the order of `item_ids`."""
        return self.tensors()["item_embeddings"]

    def learner(self, data: Interactions, pool: Csr | None, tuned: dict[str, Any]) -> Session:
        """Train by the kernel of NCF: see `EpochTrained.learner`."""
        pairs = positives(data.users, data.items, data.indptr, pool)
        return neural_session(self.config, pairs, data.n_items)

    def scorer_of(self, learner: Session) -> Scorer:
        """Score by logits."""
        return neural_scorer(
            learner.state.table, learner.state.weights, learner.n_users, self.config
        )

    def tensors(self) -> dict[str, np.ndarray]:
        """Return embeddings and weights."""
        return network_tensors(self.scorer)

    def restore(self, stored: Stored) -> Scorer:
        """Return the scorer of saved embeddings and weights."""
        return restored(stored, self.config)
