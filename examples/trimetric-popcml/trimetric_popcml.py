"""Popularity-corrected CML: users lie in a plane, and items rise above it by their popularity."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.rows import padded_table
from trimetric.engine.session import Session
from trimetric.models.cml import CMLConfig
from trimetric.models.config import Limits, Tune
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.saved import Stored
from trimetric.models.triplet import triplet_learner
from trimetric.space.metric import MetricSpace


@dataclass(frozen=True)
class PopCMLConfig(CMLConfig):
    """The settings of CML, and how strongly popularity is corrected."""

    correction: Annotated[
        float, Limits(0, 100, "0.1-0.3 suits most data"), Tune(0.02, 0.5, log=True)
    ] = 0.2
    """How far the most popular item moves away from everybody, in d²: 0..100; 0 is CML."""


def heights(counts: np.ndarray, correction: float) -> np.ndarray:
    """Return h of each item, where h² = correction · ln(1 + n) / ln(1 + max n) for n users."""
    logarithms = np.log1p(counts)
    return np.sqrt(correction * logarithms / logarithms.max())


class PopCML(EpochTrained):
    """Collaborative metric learning whose distance is d² = ‖α_u − β_v‖² + h_v²."""

    name = "popcml"
    Config = PopCMLConfig
    capabilities = MetricSpace.capabilities
    config: PopCMLConfig

    def learner(self, data: Interactions, pool: Csr | None, found: dict[str, Any]) -> Session:
        """Return what trains the points α and β: the trainer of CML."""
        return triplet_learner(self.config, data, pool, found)

    def scorer_of(self, learner: Session) -> MetricSpace:
        """Return the space: the points with one more coordinate, 0 for users and h for items."""
        points = learner.arrays["points"][:, : self.config.dim]
        n_items = len(points) - learner.n_users
        counts = np.bincount(learner.positives.items, minlength=n_items)
        last = np.zeros(len(points))
        last[learner.n_users :] = heights(counts, self.config.correction)
        table = padded_table(np.column_stack([points, last]))
        return MetricSpace(table, learner.n_users, self.config.dim + 1)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return what is saved."""
        return {"users": self.user_embeddings, "items": self.item_embeddings}

    def restore(self, stored: Stored) -> MetricSpace:
        """Return the space of what was saved."""
        width = self.config.dim + 1
        stored.check_tables(("users", "items"), width)
        return MetricSpace(stored.table(("users", "items")), stored.n_users, width)
