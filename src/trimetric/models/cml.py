"""CML: collaborative metric learning (Hsieh et al., WWW 2017)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, cast

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.session import Session
from trimetric.errors import ParameterError
from trimetric.models import partial_fit
from trimetric.models.config import Limits, Rate, TrainingConfig, Tune
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.fitted import Fitted
from trimetric.models.formula import Formula
from trimetric.models.saved import Stored
from trimetric.models.sml import PRESETS, VARIANTS
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

FIXED = {"lam": 0.0, "adaptive_users": False, "adaptive_items": False}
"""What makes it CML: the user's hinge alone, with one margin."""


@dataclass(frozen=True)
class CMLConfig(TripletConfig):
    """Settings of CML: those of SML, with other defaults."""

    lr: Annotated[float, Rate, Tune(0.05, 0.5, log=True)] = 0.2
    """Learning rate, above 0 up to 10; the paper chooses among .1, .05 and .01."""
    candidates: Annotated[
        int | None, Limits(1, 60_000, "30-100 suits most data"), Tune(choices=(1, 5, 10, 30))
    ] = None
    """S of "hardest", 1..60000; None is 10 at temperature 0, else √items up to 100."""
    temperature: Annotated[float | None, Limits(0, 1000, "0.1-0.4 suits most data")] = None
    """τ of the noise on distances, 0..1000; None finds it by short trials; 0 is the bare hinge."""
    rank_weight: bool = True
    """Weigh the user's hinge by CML's ln(1 + rank) (Hsieh et al. 2017); needs "hardest"."""
    lam: Annotated[float, Limits(0, 1000, "0.01-0.3 suits most data")] = 0.0
    """λ of equation (6): 0 in CML."""
    margin: Annotated[
        float, Limits(0, 1000, "0.7-1 suits most data", above=True), Tune(0.3, 1.5)
    ] = 0.8
    """m of all users; above 0 (paper: 1)."""


AUTHORS: dict[str, Any] = {
    "negatives": "hardest",
    "candidates": 20,
    "temperature": 0.0,
    "rank_weight": True,
    "optimizer": "adagrad",
    "lr": 0.1,
    "schedule": "constant",
    "margin": 1.9,
    "radius": 1.0,
    "covariance": 1.0,
}
"""CML as its own authors have it: Hsieh et al. 2017, and the settings of their code.

Rank weights ln(1 + |V|·M/W) from W = 20 candidates, Adagrad, the unit ball, the covariance penalty
at the weight that their code names. Their batch of 50,000 pairs is not taken over, and their code
sums signed covariances of all points where the paper, and this, has norms over the mini-batch.
"""


class CML(EpochTrained):
    """Collaborative metric learning: the user's hinge alone, fixed margins, rank weights.

    The paper of SML sets w = 1 and draws one uniform negative: `preset="paper"`. CML as its own
    authors have it, with the covariance penalty, is `preset="authors"`.

    Parameters
    ----------
    preset : str, optional
        "paper" or "released", of the SML paper, or "authors", of CML's; other settings given here
        override it.
    variant : str, optional
        "base" and nothing else: the other ablations are not CML.
    dim : int, default 100
        Columns of the embeddings, 1..4096.
    epochs : int, default 60
        Most passes over the interactions, 0..100000; with validation data training stops earlier.
    batch_size : int, default 512
        Samples in a mini-batch, 1..1000000.
    lr : float, default 0.2
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
    rank_weight : bool, default True
        Weigh the user's hinge by CML's ln(1 + rank) (Hsieh et al. 2017); needs "hardest".
    lam : float, default 0.0
        λ of equation (6): 0 in CML.
    gamma : float, default 512.0
        γ of equation (6), 0..1e6, per 512 triplets: how strongly learned margins grow.
    adaptive_users : bool, default False
        Learn m_u for each user (paper); otherwise all keep `margin`.
    adaptive_items : bool, default False
        Learn n_v for each item (paper); otherwise all keep `item_margin`.
    margin : float, default 0.8
        m of all users; above 0 (paper: 1).
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
    """

    if TYPE_CHECKING:  # written by tools/signatures

        def __init__(
            self,
            *,
            preset: Literal["paper", "released", "authors"] | None = None,
            variant: Literal["base", "base+u", "base+s", "base+s+p", "base+s+u", "all"]
            | None = None,
            dim: int = 100,
            epochs: int = 60,
            batch_size: int = 512,
            lr: float = 0.2,
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
            rank_weight: bool = True,
            lam: float = 0.0,
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

    name: ClassVar[str] = "cml"
    formula = Formula(
        "‖α_u − β_v‖²",
        False,
        "w·[d²(u,v) − d²(u,v⁻) + m]₊ (+ λ_c/N·(‖C‖_F − ‖diag C‖₂))",
        "w = ln(1 + rank) by default, 1 in the SML paper; the penalty is off by default",
    )
    takes_weights = True
    user_tensors = frozenset({"users", "user_margins"})
    Config: ClassVar[type[TrainingConfig]] = CMLConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **{name: {**preset, **FIXED} for name, preset in PRESETS.items()},
        "authors": AUTHORS,
    }
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = VARIANTS
    capabilities = MetricSpace.capabilities | {"fold-in"}
    config: CMLConfig

    @classmethod
    def configured(cls, preset: str | None, settings: dict[str, Any]) -> Any:
        """Return the settings; refuse what would make it another model."""
        for name, value in FIXED.items():
            if settings.get(name, value) != value:
                raise ParameterError(
                    f"{name} is always {value} in {cls.name}, got {settings[name]!r};"
                    " SML is the model to change it in"
                )
        return super().configured(preset, settings)

    @property
    def temperature(self) -> float:
        """τ in use: the setting, or what training found; 0 where it was left open and not found."""
        return temperature_in_use(self.config, self.tuned)

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

    def tensors(self) -> dict[str, Any]:
        """Return the points."""
        return space_tensors(cast(MetricSpace, self.scorer))

    def restore(self, stored: Stored) -> Scorer:
        """Return the space of saved points."""
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
