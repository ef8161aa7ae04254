"""SML and CML: one trainer, different settings.

SML (Li et al., AAAI 2020) pushes the negative item away from the user and from the positive item,
by margins learned for each user and item, equation (6). Without the item's side (λ = 0) and with
fixed margins it is CML (Hsieh et al., WWW 2017), equation (3).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.negatives import NEGATIVES, positives
from trimetric.engine.optimizers import ADAPTIVE_OPTIMIZERS
from trimetric.engine.session import Session
from trimetric.engine.triplets import TripletSettings, triplet_session
from trimetric.errors import Interrupted, ParameterError
from trimetric.models import temperature
from trimetric.models.config import Range, TrainingConfig
from trimetric.models.configured import lookup
from trimetric.models.partial_fit import Updated
from trimetric.progress import chosen
from trimetric.storage import artifact

VARIANTS: dict[str, dict[str, Any]] = {
    "base": {"lam": 0.0, "adaptive_users": False, "adaptive_items": False},
    "base+u": {"lam": 0.0, "adaptive_users": True, "adaptive_items": False},
    "base+s": {"adaptive_users": False, "adaptive_items": False},
    "base+s+p": {"adaptive_users": False, "adaptive_items": True},
    "base+s+u": {"adaptive_users": True, "adaptive_items": False},
    "all": {"adaptive_users": True, "adaptive_items": True},
}
"""The ablations of the paper's Table 4: s the item's side, u and p learned margins."""

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
    },
}
"""Settings of the paper (for Instant Video) and of the authors' code."""

FEW, MOST = 10, 100  # candidates, where the setting leaves them open
TRIAL_SHARE = 3  # a trial has this part of the epochs


@dataclass(frozen=True)
class TripletConfig(TrainingConfig):
    """Settings of SML; CML and the ablations are other values of the same ones.

    Numbers of the paper are those of section "Implementation Details"; "released" is the authors'
    code. The paper's dim is 100 and its batch_size 512; γ does not depend on the latter.
    """

    lr: float = 0.4
    """Learning rate, above 0 up to 10; the paper chooses among .1, .05 and .01."""
    optimizer: str = "rowwise-adagrad"
    """"rowwise-adagrad" (one number a row), "adagrad" (released) or "adam" (paper; lazy rows)."""
    negatives: str = "hardest"
    """"uniform" (paper), "popularity", or "hardest": the nearest of `candidates` uniform draws.

    A number N is short for "uniform" (1) or "hardest" of N.
    """
    candidates: int | None = None
    """S of "hardest", 1..60000; None is 10 at temperature 0, else √items up to 100."""
    temperature: float | None = None
    """τ of the noise on distances, 0..1000; None finds it by short trials; 0 is the bare hinge.

    With it the nearest of `candidates` is a draw from their softmax: see `engine.gumbel`. It needs
    "hardest", and is 0 without, or with `rank_weight`.
    """
    rank_weight: bool = False
    """Weigh the user's hinge by CML's ln(1 + rank) (Hsieh et al. 2017); needs "hardest"."""
    lam: float = 0.2
    """λ of equation (6), 0..1000: the weight of the item's hinge; the paper's about .01."""
    gamma: float = 512.0
    """γ of equation (6), 0..1e6: how strongly margins grow, per 512 triplets. 512 holds them up."""
    adaptive_users: bool = True
    """Learn m_u for each user; otherwise all keep `margin`."""
    adaptive_items: bool = True
    """Learn n_v for each item; otherwise all keep `item_margin`."""
    margin: float = 0.8
    """m: where user margins start, and what they never exceed; above 0 (paper: 1)."""
    item_margin: float = 0.8
    """n: where item margins start, and what they never exceed; above 0 (paper: 1)."""
    radius: float = 1.0
    """l: all positions stay within this distance of the origin; the paper's 1."""
    sphere: bool = False
    """Keep positions at distance l instead of within it."""
    init_mean: float = 0.0
    """Mean of the first coordinates; the paper's .1."""
    init_std: float | None = None
    """Their standard deviation, 0..1000; None is 1/√dim (released); the paper's variance is .03."""
    ranges: ClassVar[dict[str, Range]] = {
        **TrainingConfig.ranges,
        "candidates": (1, 60_000, False, "30-100 suits most data"),
        "temperature": (0, 1000, False, "0.1-0.4 suits most data"),
        "lam": (0, 1000, False, "0.01-0.3 suits most data"),
        "gamma": (0, 1_000_000, False, "see the docs on margins"),
        "margin": (0, 1000, True, "0.7-1 suits most data"),
        "item_margin": (0, 1000, True, "0.7-1 suits most data"),
        "radius": (0, 1000, True, "1 suits most data"),
        "init_mean": (-1000, 1000, False, "0 suits most data"),
        "init_std": (0, 1000, False, "leave it out for 1/√dim, which suits most data"),
    }
    choices: ClassVar[dict[str, tuple[str, ...]]] = {
        **TrainingConfig.choices,
        "negatives": tuple(NEGATIVES),
        "optimizer": tuple(ADAPTIVE_OPTIMIZERS),
    }

    def __post_init__(self) -> None:
        if str(self.negatives).isdecimal():
            count = int(self.negatives)
            object.__setattr__(self, "negatives", "uniform" if count == 1 else "hardest")
            if count != 1:
                object.__setattr__(self, "candidates", count)
        super().__post_init__()
        if self.rank_weight and self.negatives != "hardest":
            raise ParameterError(
                "rank_weight needs negatives='hardest', which estimates the rank;"
                f" got negatives={self.negatives!r}"
            )
        bare = self.negatives != "hardest" or self.rank_weight
        if bare and self.temperature is None:
            object.__setattr__(self, "temperature", 0.0)
        if bare and self.temperature:
            raise ParameterError(
                "temperature needs negatives='hardest' and rank_weight=False, got"
                f" negatives={self.negatives!r} and rank_weight={self.rank_weight};"
                " temperature 0 goes with all"
            )


class SML(Updated):
    """Symmetric metric learning with adaptive margins.

    Parameters
    ----------
    preset : str, optional
        "paper" or "released"; other settings given here override it.
    variant : str, optional
        An ablation of the paper's Table 4: base, base+u, base+s, base+s+p, base+s+u or all.
    **settings
        Fields of `TripletConfig`.

    Raises
    ------
    ParameterError
        A setting is unknown or out of range.
    """

    name: ClassVar[str] = "sml"
    Config: ClassVar[type[TrainingConfig]] = TripletConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS
    defaults: ClassVar[dict[str, Any]] = {}
    fixed: ClassVar[dict[str, Any]] = {}
    search: ClassVar[dict[str, Any]] = {
        "temperature": (0.05, 0.8, "log"),
        "candidates": {"choices": (30, 100)},
        "lr": (0.1, 0.8, "log"),
        "lam": (0.01, 1.0, "log"),
    }
    config: TripletConfig

    def __init__(
        self, *, preset: str | None = None, variant: str | None = None, **settings: Any
    ) -> None:
        variant_settings = lookup("variant", variant, VARIANTS)
        super().__init__(preset=preset, **{**variant_settings, **settings})

    def _given(self, preset: Mapping[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
        for name, value in self.fixed.items():
            if settings.get(name, value) != value:
                raise ParameterError(
                    f"{name} is always {value} in {self.name}, got {settings[name]!r};"
                    " SML is the model to change it in"
                )
        return {**self.defaults, **preset, **settings, **self.fixed}

    @property
    def temperature(self) -> float:
        """τ in use: the setting, or what training found; 0 where it was left open and not found."""
        given = self.config.temperature
        return self.found.get("temperature", 0.0) if given is None else given

    @property
    def user_margins(self) -> np.ndarray:
        """Margins m, float32 (n_users,)."""
        return self._margins[: len(self.user_ids)]

    @property
    def item_margins(self) -> np.ndarray:
        """Margins n, float32 (n_items,)."""
        return self._margins[len(self.user_ids) :]

    def _margins_at(self, user: int | None, item: int) -> tuple[float | None, float | None]:
        m = n = None
        if user is not None:
            m = float(self.user_margins[user])
        elif not self.config.adaptive_users:
            m = self.config.margin
        if self.config.lam > 0:
            n = float(self.item_margins[item])
        return m, n

    # --- saving ---------------------------------------------------------------------------------

    def _tensors(self) -> dict[str, np.ndarray]:
        return {
            **super()._tensors(),
            "user_margins": self.user_margins,
            "item_margins": self.item_margins,
        }

    def _restore(self, tensors: Mapping[str, np.ndarray], where: str) -> None:
        expected = {
            "user_margins": ((len(self.user_ids),), np.float32),
            "item_margins": ((len(self.item_ids),), np.float32),
        }
        margins = {name: tensors[name] for name in expected if name in tensors}
        artifact.check(margins, expected, where)
        super()._restore({n: a for n, a in tensors.items() if n not in expected}, where)
        self._margins = np.concatenate([tensors["user_margins"], tensors["item_margins"]])

    # --- fitting --------------------------------------------------------------------------------

    def _settings(self, n_items: int) -> TripletSettings:
        std, candidates = self.config.init_std, self.config.candidates
        if candidates is None:
            candidates = min(math.isqrt(n_items), MOST) if self.temperature else FEW
        return TripletSettings.of(
            self.config,
            temperature=self.temperature,
            candidates=candidates,
            init_std=self.config.dim**-0.5 if std is None else std,
        )

    def _search(
        self,
        data: tuple[Interactions, Interactions | None] | None,
        progress: bool | None,
    ) -> dict[str, Any]:
        if self.config.temperature is not None:
            return {}
        if data is None or self.config.epochs == 0:
            return temperature.chosen([])
        epochs = -(-self.config.epochs // TRIAL_SHARE)
        short = {**self.get_params(), "epochs": epochs, "validate_every": epochs}

        def trial(train: Interactions, valid: Interactions, value: float) -> float:
            model = type(self)(**{**short, "temperature": value})
            model.fit(train, valid, progress=False)
            return float(model.history[-1][self.config.metric])

        voice = chosen(progress)
        voice.say("trying three temperatures (temperature=0.2 skips this)")
        try:
            found = temperature.chosen(temperature.tried(*data, trial))
        except Interrupted:
            raise Interrupted(
                "interrupted while trying temperatures; nothing was saved, since nothing is lost"
            ) from None
        voice.say(f"temperature {found['temperature']}")
        return found

    def _learner(self, data: Interactions, pool: Csr | None) -> Session:
        pairs = positives(data.users, data.items, data.indptr, pool)
        return triplet_session(self._settings(data.n_items), pairs, data.n_items)

    def _adopt(self, learner: Any) -> None:
        self._points, self._margins = learner.arrays["points"], learner.arrays["margins"]
        if len(self._margins) == 0:  # both are fixed
            self._margins = np.full(len(self._points), self.config.item_margin, dtype=np.float32)
            self._margins[: len(self.user_ids)] = self.config.margin


class CML(SML):
    """Collaborative metric learning: the user's hinge alone, fixed margins, rank weights.

    The paper of SML sets w = 1 and draws one uniform negative: `preset="paper"`.
    """

    name: ClassVar[str] = "cml"
    defaults: ClassVar[dict[str, Any]] = {"rank_weight": True, "lr": 0.2}
    search: ClassVar[dict[str, Any]] = {
        "lr": (0.05, 0.5, "log"),
        "margin": (0.3, 1.5),
        "candidates": {"choices": (1, 5, 10, 30)},
    }
    fixed: ClassVar[dict[str, Any]] = {
        "lam": 0.0,
        "adaptive_users": False,
        "adaptive_items": False,
    }
