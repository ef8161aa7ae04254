"""BPR: matrix factorisation by pairwise ranking (Rendle et al., UAI 2009)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, cast

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.compile import inline, kernel
from trimetric.engine.elementary import sigmoid, softplus
from trimetric.engine.gradients import (
    apply_updates,
    assign_samples,
    gradient_session,
    sample_triplet,
)
from trimetric.engine.negatives import positives
from trimetric.engine.rows import add_scaled, copy, dot, triplet_gradient
from trimetric.engine.session import RunSettings, Session
from trimetric.models.config import Deviation, Limits, Rate, TrainingConfig, Tune
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.formula import Formula
from trimetric.models.saved import Stored
from trimetric.space.inner_product import SOLVED, InnerProduct
from trimetric.space.scorer import Scorer
from trimetric.space.solved_users import Pairwise


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

    A new user's factors have the least loss, its mean over negatives, beside the items as they are:
    see `space.solved_users.Pairwise`. There they are a sum over the user's items, so that a new
    user's score is explained exactly. A trained user's factors are where the draws of training left
    them; the rest is told apart, and can be a tenth of the score. Items, and users, are alike by
    the cosine of their factors.

    Parameters
    ----------
    preset : str, optional
        "released": d = 30, Adam at .001, reg .1.
    dim : int, default 100
        Columns of the embeddings, 1..4096.
    epochs : int, default 60
        Most passes over the interactions, 0..100000; with validation data training stops earlier.
    batch_size : int, default 512
        Samples in a mini-batch, 1..1000000.
    lr : float, default 0.05
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
    reg : float, default 0.01
        Weight of ‖·‖²/2 of the rows of each triplet, 0..1000 (released: .1).
    optimizer : "rowwise-adagrad" or "adagrad" or "adam" or "sgd", default "adagrad"
        "adagrad", "rowwise-adagrad", "adam" (released; lazy rows) or "sgd" (Rendle et al.).
    init_std : float, default 0.1
        Standard deviation of the first values, 0..1000.
    """

    if TYPE_CHECKING:  # written by tools/signatures

        def __init__(
            self,
            *,
            preset: Literal["released"] | None = None,
            dim: int = 100,
            epochs: int = 60,
            batch_size: int = 512,
            lr: float = 0.05,
            schedule: Literal["linear", "constant"] = "linear",
            metric: str = "ndcg@10",
            validate_every: int = 5,
            validate_users: int = 0,
            patience: int = 6,
            seed: int = 0,
            reg: float = 0.01,
            optimizer: Literal["rowwise-adagrad", "adagrad", "adam", "sgd"] = "adagrad",
            init_std: float = 0.1,
        ) -> None: ...

    name: ClassVar[str] = "bpr"
    formula = Formula(
        "α_u·β_v",
        True,
        "−ln σ(α_u·β_v − α_u·β_v⁻) + reg/2·‖rows‖²",
        "the SML paper prints 1/(1 + exp(·)); this is the loss of Rendle et al.",
    )
    takes_weights = True
    capabilities = SOLVED
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

    def learner(self, data: Interactions, pool: Csr | None, tuned: dict[str, Any]) -> Session:
        """Train by the kernel below: see `EpochTrained.learner`."""
        settings, params = RunSettings.of(self.config), Params(np.float32(self.config.reg))
        pairs = positives(data.users, data.items, data.indptr, pool, data.weights)
        return gradient_session(train, settings, pairs, data.n_items, params)

    def scorer_of(self, learner: Session) -> Scorer:
        """Score by α_u·β_v."""
        return self._scorer(learner.state.table, learner.n_users)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the factors."""
        return {"user_factors": self.user_factors, "item_factors": self.item_factors}

    def restore(self, stored: Stored) -> Scorer:
        """Return the scorer of saved factors."""
        names = ("user_factors", "item_factors")
        stored.check_tables(names, self.config.dim)
        return self._scorer(stored.table(names), stored.n_users)

    def _scorer(self, table: np.ndarray, n_users: int) -> Scorer:
        return InnerProduct(table, n_users, self.config.dim, Pairwise(self.config.reg))


class Params(NamedTuple):
    """Settings of the loss."""

    reg: Any  # float32


@kernel
def train(me, threads, span, positives, state, settings, workspace, params):
    """Run mini-batches span[0] .. span[1] - 1 as thread `me` of `threads`."""
    for batch in range(span[0], span[1]):
        low, high = assign_samples(me, threads, batch, settings, workspace)
        for t in range(low, high):
            u, v, n = sample_triplet(t, batch, positives, state, settings, workspace)
            if n >= 0:
                gradient(t, u, v, n, state.table, params, workspace)
        apply_updates(me, threads, batch, state, settings, workspace)


@inline
def gradient(t, u, v, n, table, params, workspace):
    """Write ∂/∂α_u, ∂/∂β_v, ∂/∂β_v⁻ of −ln σ(α_u·β_v − α_u·β_v⁻) + reg/2·‖rows‖²."""
    margin = dot(table, u, table, v) - dot(table, u, table, n)
    c = sigmoid(-margin)
    g, k, reg = workspace.gradients, 3 * t, params.reg
    triplet_gradient(g, k, table, n, v, v, c, np.float32(0))  # c·(β_v⁻ − β_v)
    copy(g, k + 1, table, u, -c)
    copy(g, k + 2, table, u, c)
    add_scaled(g, k, table, u, reg)
    add_scaled(g, k + 1, table, v, reg)
    add_scaled(g, k + 2, table, n, reg)
    workspace.rows[k], workspace.rows[k + 1], workspace.rows[k + 2] = u, v, n
    workspace.loss[t], workspace.active[t] = softplus(-margin), True
