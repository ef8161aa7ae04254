"""MLP: the tower of NCF alone (He et al., WWW 2017)."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.negatives import positives
from trimetric.engine.session import Session
from trimetric.models.config import TrainingConfig
from trimetric.models.epoch_trained import EpochTrained
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
    **settings
        Fields of `MLPConfig`.
    """

    name: ClassVar[str] = "mlp"
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
