"""SML: symmetric metric learning with adaptive margins (Li et al., AAAI 2020)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.session import Session
from trimetric.errors import ParameterError
from trimetric.models import partial_fit
from trimetric.models.config import TrainingConfig
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.fitted import Fitted
from trimetric.models.formula import Formula
from trimetric.models.saved import Stored
from trimetric.models.starting import Held, SharedRows, hold_points
from trimetric.models.temperature import find_temperature
from trimetric.models.triplet import (
    TripletConfig,
    learned_space,
    restored_space,
    space_tensors,
    temperature_in_use,
    triplet_learner,
    triplet_trainer,
)
from trimetric.scale.trainer import Trainer
from trimetric.space.metric import MetricSpace
from trimetric.space.scorer import Scorer

VARIANTS: dict[str, dict[str, Any]] = {
    "base": {"lam": 0.0, "adaptive_users": False, "adaptive_items": False},
    "base+u": {"lam": 0.0, "adaptive_users": True, "adaptive_items": False},
    "base+s": {"adaptive_users": False, "adaptive_items": False},
    "base+s+p": {"adaptive_users": False, "adaptive_items": True},
    "base+s+u": {"adaptive_users": True, "adaptive_items": False},
    "all": {"adaptive_users": True, "adaptive_items": True},
}
"""The ablations of the paper's Table 4: s the item's side, u and p learned margins."""

NAMED = frozenset(VARIANTS) - {"all"}
"""Those that are models by their own names; all parts together are sml."""

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "negatives": "uniform",
        "rank_weight": False,
        "optimizer": "adam",
        "lr": 0.05,
        "schedule": "constant",
        "lam": 0.01,
        "gamma": 10.0,
        "init_mean": 0.1,
        "init_std": 0.03**0.5,
        "margin": 1.0,
        "item_margin": 1.0,
        "adaptive_users": True,
        "adaptive_items": True,
    },
    "released": {
        "negatives": "uniform",
        "rank_weight": False,
        "optimizer": "adagrad",
        "lr": 0.05,
        "schedule": "constant",
        "lam": 0.01,
        "gamma": 10.0,
        "epochs": 800,
        "margin": 1.0,
        "item_margin": 1.0,
        "adaptive_users": True,
        "adaptive_items": True,
    },
}
"""Settings of the paper (for Instant Video) and of the authors' code."""


class SML(EpochTrained):
    """Symmetric metric learning: the user's and the item's hinge, equation (6).

    Of the paper, the default keeps the space, both hinges and the ball. It takes the negative from
    a softmax over candidates; one at random is 14 % behind on average over six data sets (see
    docs/results.md). It fixes the margins, which no learned ones were found to beat with such
    negatives: see docs/margins.md.
    `preset="paper"` is the paper's own form, and `variant="all"` learns the margins.

    Parameters
    ----------
    preset : str, optional
        "paper" or "released"; other settings given here override it.
    variant : str, optional
        An ablation of the paper's Table 4: base, base+u, base+s, base+s+p, base+s+u or all.
    dim : int, default 100
        Columns of the embeddings, 1..4096.
    epochs : int, default 60
        Most passes over the interactions, 0..100000; with validation data training stops earlier.
    batch_size : int, default 512
        Samples in a mini-batch, 1..1000000.
    lr : float, default 0.4
        Learning rate, above 0 up to 10; the paper chooses among .1, .05 and .01.
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
    optimizer : "rowwise-adagrad" or "adagrad" or "adam", default "rowwise-adagrad"
        "rowwise-adagrad" (one number a row), "adagrad" (released) or "adam" (paper; lazy rows).
    negatives : "uniform" or "popularity" or "hardest", default "hardest"
        "uniform" (paper), "popularity", or "hardest": the nearest of `candidates` uniform draws.
    candidates : int, default None
        S of "hardest", 1..60000; None is 10 at temperature 0, else √items up to 100.
    temperature : float, default None
        τ of the noise on distances, 0..1000; None finds it by short trials; 0 is the bare hinge.
    rank_weight : bool, default False
        Weigh the user's hinge by CML's ln(1 + rank) (Hsieh et al. 2017); needs "hardest".
    lam : float, default 0.2
        λ of equation (6), 0..1000: the weight of the item's hinge; the paper's about .01.
    gamma : float, default 512.0
        γ of equation (6), 0..1e6, per 512 triplets: how strongly learned margins grow.
    adaptive_users : bool, default False
        Learn m_u for each user (paper); otherwise all keep `margin`.
    adaptive_items : bool, default False
        Learn n_v for each item (paper); otherwise all keep `item_margin`.
    margin : float, default 0.8
        m of all users, or the limit where learned margins start; above 0 (paper: 1).
    item_margin : float, default 0.8
        n of all items, or the limit where learned margins start; above 0 (paper: 1).
    radius : float, default 1.0
        l: all points stay within this distance of the origin; the paper's 1.
    sphere : bool, default False
        Keep points at distance l instead of within it.
    init_mean : float, default 0.0
        Mean of the first coordinates; the paper's .1.
    init_std : float, default None
        Their standard deviation, 0..1000; None is 1/√dim (released); the paper's variance is .03.
    covariance : float, default 0.0
        λ_c of the covariance penalty (Hsieh et al. 2017), 0..1e12: see `engine.covariance`.

    Raises
    ------
    ParameterError
        A setting is unknown or out of range.
    """

    if TYPE_CHECKING:  # written by tools/signatures

        def __init__(
            self,
            *,
            preset: Literal["paper", "released"] | None = None,
            variant: Literal["base", "base+u", "base+s", "base+s+p", "base+s+u", "all"]
            | None = None,
            dim: int = 100,
            epochs: int = 60,
            batch_size: int = 512,
            lr: float = 0.4,
            schedule: Literal["linear", "constant"] = "linear",
            metric: str = "ndcg@10",
            validate_every: int = 5,
            validate_users: int = 0,
            patience: int = 6,
            seed: int = 0,
            optimizer: Literal["rowwise-adagrad", "adagrad", "adam"] = "rowwise-adagrad",
            negatives: Literal["uniform", "popularity", "hardest"] = "hardest",
            candidates: int | None = None,
            temperature: float | None = None,
            rank_weight: bool = False,
            lam: float = 0.2,
            gamma: float = 512.0,
            adaptive_users: bool = False,
            adaptive_items: bool = False,
            margin: float = 0.8,
            item_margin: float = 0.8,
            radius: float = 1.0,
            sphere: bool = False,
            init_mean: float = 0.0,
            init_std: float | None = None,
            covariance: float = 0.0,
        ) -> None: ...

    name: ClassVar[str] = "sml"
    formula = Formula(
        "‖α_u − β_v‖²",
        False,
        "[d²(u,v) − d²(u,v⁻) + m_u]₊ + λ·[d²(u,v) − d²(v,v⁻) + n_v]₊ − γ/512·(m_u + n_v)",
        "margins are averaged over 512 triplets, as released, not over all; fixed by default",
    )
    takes_weights = True
    user_tensors = frozenset({"users", "user_margins"})
    Config: ClassVar[type[TrainingConfig]] = TripletConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = VARIANTS
    variant_names = NAMED
    capabilities = MetricSpace.capabilities | {"fold-in"}
    config: TripletConfig

    def check_variant(self, variant: str) -> None:
        """Raise ParameterError where a setting undoes the variant, λ = 0 the item's side too."""
        super().check_variant(variant)
        if "lam" not in VARIANTS[variant] and self.config.lam == 0:
            raise ParameterError(
                f"lam=0.0 undoes the variant {variant!r}, which has the item's side: give lam above"
                " 0, the paper's is .01, or take base or base+u"
            )

    @property
    def temperature(self) -> float:
        """τ in use: the setting, or what training found; 0 where it was left open and not found."""
        return temperature_in_use(self.config, self.tuned)

    @property
    def user_margins(self) -> np.ndarray | None:
        """Learned margins m, float32 (n_users,); None where all users keep `margin`."""
        return cast(MetricSpace, self.scorer).user_margins

    @property
    def item_margins(self) -> np.ndarray | None:
        """Learned margins n, float32 (n_items,); None where all items keep `item_margin`."""
        return cast(MetricSpace, self.scorer).item_margins

    def find_settings(
        self, train: Interactions, valid: Interactions | None, trials: bool, progress: bool | None
    ) -> dict[str, Any]:
        """Find the temperature by three short trials, if it is left open."""
        return find_temperature(self, train, valid, trials, progress)

    def learner(self, data: Interactions, pool: Csr | None, tuned: dict[str, Any]) -> Session:
        """Train by the triplet trainer: see `engine.triplets`."""
        return triplet_learner(self.config, data, pool, tuned)

    def trainer_in_parts(self, n_items: int, n_parts: int, tuned: dict[str, Any]) -> Trainer:
        """Train triplets bucket by bucket: see `scale.triplets`."""
        return triplet_trainer(self.config, n_items, n_parts, tuned)

    def start_from(self, learner: Session, fitted: Fitted, rows: SharedRows) -> list[Held]:
        """Return what of the learner begins where another model is: see `starting`."""
        return hold_points(learner, fitted, rows, self.config)

    def scorer_of(self, learner: Session) -> Scorer:
        """Score by −d²."""
        return learned_space(learner, self.config)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return points, and learned margins."""
        return space_tensors(cast(MetricSpace, self.scorer))

    def restore(self, stored: Stored) -> Scorer:
        """Return the space of saved points and margins."""
        return restored_space(stored, self.config)

    def partial_fit(
        self,
        new: Any,
        *,
        epochs: int = partial_fit.EPOCHS,
        lr: float | None = None,
        replay: float = partial_fit.REPLAY,
        progress: bool | None = None,
    ) -> Self:
        """Take in new interactions, with new users and items: see `partial_fit.partial_fit`."""
        plan = partial_fit.Plan(epochs, lr, replay)
        self._fitted = partial_fit.partial_fit(self, self._state, new, plan, progress)
        return self
