"""BPR: matrix factorisation by pairwise ranking (Rendle et al., UAI 2009)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.compile import inline, kernel
from trimetric.engine.elementary import sigmoid, softplus
from trimetric.engine.gradient_session import Descent, DescentSession
from trimetric.engine.gradients import settle, share, triplet
from trimetric.engine.negatives import positives
from trimetric.engine.rows import add_scaled, copy, dot, pull
from trimetric.models.config import Deviation, Limits, Rate, TrainingConfig, Tune
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.saved import Stored
from trimetric.space.inner_product import InnerProduct
from trimetric.space.scorer import Scorer


@dataclass(frozen=True)
class BPRConfig(TrainingConfig):
    """Settings of BPR; "released" are those of the SML authors' code."""

    lr: Annotated[float, Rate, Tune(0.01, 0.3, log=True)] = 0.05
    """Learning rate, above 0 up to 10."""
    reg: Annotated[
        float, Limits(0, 1000, "0.001-0.1 suits most data"), Tune(0.001, 0.3, log=True)
    ] = 0.01
    """Weight of ‖·‖²/2 of the rows of each triplet, 0..1000 (released: .1)."""
    optimizer: Literal["rowwise-adagrad", "adagrad", "adam", "sgd"] = "adagrad"
    """"adagrad", "rowwise-adagrad", "adam" (released; lazy rows) or "sgd" (Rendle et al.)."""
    init_std: Annotated[float, Deviation] = 0.1
    """Standard deviation of the first values, 0..1000."""


class BPR(EpochTrained):
    """Bayesian personalised ranking: −ln σ(α_u·β_v − α_u·β_v⁻) + reg/2·‖rows‖².

    The SML paper's Table 2 prints 1/(1 + exp(..)) for the loss; this is that of Rendle et al. One
    uniform negative a positive.

    Parameters
    ----------
    preset : str, optional
        "released": d = 30, Adam at .001, reg .1.
    **settings
        Fields of `BPRConfig`.
    """

    name: ClassVar[str] = "bpr"
    Config: ClassVar[type[TrainingConfig]] = BPRConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "released": {
            "dim": 30,
            "optimizer": "adam",
            "lr": 0.001,
            "reg": 0.1,
            "schedule": "constant",
            "init_std": 0.01,
        }
    }
    config: BPRConfig

    @property
    def user_factors(self) -> np.ndarray:
        """Factors α, float32 (n_users, dim), in the order of `user_ids`."""
        return cast(InnerProduct, self.scorer).user_factors

    @property
    def item_factors(self) -> np.ndarray:
        """Factors β, float32 (n_items, dim), in the order of `item_ids`."""
        return cast(InnerProduct, self.scorer).item_factors

    def learner(
        self, data: Interactions, pool: Csr | None, found: dict[str, Any]
    ) -> DescentSession:
        """Train by the kernel below: see `EpochTrained.learner`."""
        config = self.config
        how = Descent.of(config, len(data), init=(0.0, config.init_std))
        pairs = positives(data.users, data.items, data.indptr, pool)
        return DescentSession(train, how, pairs, data.n_items, (np.float32(config.reg),))

    def scorer_of(self, learner: DescentSession) -> Scorer:
        """Score by α_u·β_v."""
        return InnerProduct(learner.state.table, learner.n_users, self.config.dim)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the factors."""
        return {"user_factors": self.user_factors, "item_factors": self.item_factors}

    def restore(self, stored: Stored) -> Scorer:
        """Return the scorer of saved factors."""
        names = ("user_factors", "item_factors")
        stored.check_tables(names, self.config.dim)
        return InnerProduct(stored.table(names), stored.n_users, self.config.dim)


@kernel
def train(me, threads, span, pairs, state, rule, work, own):
    """Run mini-batches span[0] .. span[1] - 1 as thread `me` of `threads`."""
    reg, met = own[0], np.int64(0)
    n_items = len(state.table) - len(pairs.indptr) + 1
    for batch in range(span[0], span[1]):
        low, high = share(me, threads, batch, rule, work)
        first = batch * rule.batch_size
        for t in range(low, high):
            u, v, n = triplet(t, first, pairs, rule, work, n_items)
            if n >= 0:
                gradient(t, u, v, n, state.table, reg, work)
        met = settle(me, threads, batch, met, state, rule, work)


@inline
def gradient(t, u, v, n, table, reg, work):
    """Write ∂/∂α_u, ∂/∂β_v, ∂/∂β_v⁻ of −ln σ(α_u·β_v − α_u·β_v⁻) + reg/2·‖rows‖²."""
    margin = dot(table, u, table, v) - dot(table, u, table, n)
    c = sigmoid(-margin)
    g, k = work.gradients, 3 * t
    pull(g, k, table, n, v, v, c, np.float32(0))
    copy(g, k + 1, table, u, -c)
    copy(g, k + 2, table, u, c)
    add_scaled(g, k, table, u, reg)
    add_scaled(g, k + 1, table, v, reg)
    add_scaled(g, k + 2, table, n, reg)
    work.rows[k], work.rows[k + 1], work.rows[k + 2] = u, v, n
    work.loss[t], work.active[t] = softplus(-margin), True
