"""What SML, CML and the ablations share: settings of the triplet trainer, and the space it leaves.

SML (Li et al., AAAI 2020) pushes the negative item away from the user and from the positive item,
equation (6). Without the item's side (λ = 0) it is CML (Hsieh et al., WWW 2017), equation (3).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.negatives import positives
from trimetric.engine.session import Session
from trimetric.engine.triplets import TripletSettings, triplet_session
from trimetric.errors import ParameterError
from trimetric.models.config import Limits, Rate, TrainingConfig, Tune
from trimetric.models.saved import Stored
from trimetric.scale.triplets import TripletTrainer
from trimetric.space.metric import FoldIn, Margins, MetricSpace

FEW, MOST = 10, 100  # candidates, where the setting leaves them open


@dataclass(frozen=True)
class TripletConfig(TrainingConfig):
    """Settings of SML; CML and the ablations are other values of the same ones.

    Numbers of the paper are those of section "Implementation Details"; "released" is the authors'
    code. The paper's dim is 100 and its batch_size 512; γ does not depend on the latter.
    """

    lr: Annotated[float, Rate, Tune(0.1, 0.8, log=True)] = 0.4
    """Learning rate, above 0 up to 10; the paper chooses among .1, .05 and .01."""
    optimizer: Literal["rowwise-adagrad", "adagrad", "adam"] = "rowwise-adagrad"
    """"rowwise-adagrad" (one number a row), "adagrad" (released) or "adam" (paper; lazy rows)."""
    negatives: Literal["uniform", "popularity", "hardest"] = "hardest"
    """"uniform" (paper), "popularity", or "hardest": the nearest of `candidates` uniform draws.

    A number N is short for "uniform" (1) or "hardest" of N.
    """
    candidates: Annotated[
        int | None, Limits(1, 60_000, "30-100 suits most data"), Tune(choices=(30, 100))
    ] = None
    """S of "hardest", 1..60000; None is 10 at temperature 0, else √items up to 100."""
    temperature: Annotated[
        float | None, Limits(0, 1000, "0.1-0.4 suits most data"), Tune(0.05, 0.8, log=True)
    ] = None
    """τ of the noise on distances, 0..1000; None finds it by short trials; 0 is the bare hinge.

    With it the nearest of `candidates` is a draw from their softmax: see `engine.gumbel`. It needs
    "hardest", and is 0 without, or with `rank_weight`.
    """
    rank_weight: bool = False
    """Weigh the user's hinge by CML's ln(1 + rank) (Hsieh et al. 2017); needs "hardest"."""
    lam: Annotated[
        float, Limits(0, 1000, "0.01-0.3 suits most data"), Tune(0.01, 1.0, log=True)
    ] = 0.2
    """λ of equation (6), 0..1000: the weight of the item's hinge; the paper's about .01."""
    gamma: Annotated[float, Limits(0, 1_000_000, "see the docs on margins")] = 512.0
    """γ of equation (6), 0..1e6, per 512 triplets: how strongly learned margins grow."""
    adaptive_users: bool = False
    """Learn m_u for each user (paper); otherwise all keep `margin`."""
    adaptive_items: bool = False
    """Learn n_v for each item (paper); otherwise all keep `item_margin`."""
    margin: Annotated[float, Limits(0, 1000, "0.7-1 suits most data", above=True)] = 0.8
    """m of all users, or the limit where learned margins start; above 0 (paper: 1)."""
    item_margin: Annotated[float, Limits(0, 1000, "0.7-1 suits most data", above=True)] = 0.8
    """n of all items, or the limit where learned margins start; above 0 (paper: 1)."""
    radius: Annotated[float, Limits(0, 1000, "1 suits most data", above=True)] = 1.0
    """l: all points stay within this distance of the origin; the paper's 1."""
    sphere: bool = False
    """Keep points at distance l instead of within it."""
    init_mean: Annotated[float, Limits(-1000, 1000, "0 suits most data")] = 0.0
    """Mean of the first coordinates; the paper's .1."""
    init_std: Annotated[
        float | None, Limits(0, 1000, "leave it out for 1/√dim, which suits most data")
    ] = None
    """Their standard deviation, 0..1000; None is 1/√dim (released); the paper's variance is .03."""
    covariance: Annotated[float, Limits(0, 1e12, "0 suits most data")] = 0.0
    """λ_c of the covariance penalty (Hsieh et al. 2017), 0..1e12: see `engine.covariance`.

    The paper divides by the points of a mini-batch, and so does the gradient: only a large weight
    moves anything. It adds dim² multiplications for each point of a mini-batch.
    """

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


def temperature_in_use(config: TripletConfig, tuned: Mapping[str, Any]) -> float:
    """Return τ: the setting, or what training found; 0 where it was left open and not found."""
    temperature_setting = config.temperature
    return tuned.get("temperature", 0.0) if temperature_setting is None else temperature_setting


def engine_settings(config: TripletConfig, n_items: int, tau: float) -> TripletSettings:
    """Return the settings of the trainer, with what is left open filled in."""
    candidates = config.candidates
    if candidates is None:
        candidates = min(math.isqrt(n_items), MOST) if tau else FEW
    std = config.dim**-0.5 if config.init_std is None else config.init_std
    return TripletSettings.of(config, temperature=tau, candidates=candidates, init_std=std)


def triplet_learner(
    config: TripletConfig, data: Interactions, pool: Csr | None, tuned: Mapping[str, Any]
) -> Session:
    """Return the triplet trainer on some data: see `EpochTrained.learner`."""
    settings = engine_settings(config, data.n_items, temperature_in_use(config, tuned))
    pairs = positives(data.users, data.items, data.indptr, pool, data.weights)
    return triplet_session(settings, pairs, data.n_items)


def triplet_trainer(
    config: TripletConfig, n_items: int, n_parts: int, tuned: Mapping[str, Any]
) -> TripletTrainer:
    """Return the triplet trainer of buckets: see `EpochTrained.trainer_in_parts`."""
    settings = engine_settings(config, n_items, temperature_in_use(config, tuned))
    return TripletTrainer(settings, n_items, n_parts, tuned.get("weight_unit", 1.0))


def learned_space(learner: Session, config: TripletConfig) -> MetricSpace:
    """Return the space that a trainer holds, which changes with it."""
    tau = cast(TripletSettings, learner.settings).temperature
    return triplet_space(learner.arrays, learner.n_users, config, tau)


def triplet_space(
    arrays: Mapping[str, np.ndarray], n_users: int, config: TripletConfig, tau: float
) -> MetricSpace:
    """Return the space of `points` and `margins`, users first, in `arrays`."""
    margins = arrays["margins"]
    return MetricSpace(
        arrays["points"],
        n_users,
        config.dim,
        Margins(
            users=margins[:n_users] if config.adaptive_users else None,
            items=margins[n_users:] if config.adaptive_items else None,
            user_margin=config.margin,
            item_margin=config.item_margin if config.lam > 0 else None,
        ),
        FoldIn(tau, config.radius, config.sphere),
    )


def space_tensors(space: MetricSpace) -> dict[str, np.ndarray]:
    """Return what an artifact holds of a space: points, and learned margins."""
    learned = {"user_margins": space.user_margins, "item_margins": space.item_margins}
    points = {"users": space.users, "items": space.items}
    return points | {name: array for name, array in learned.items() if array is not None}


def restored_space(stored: Stored, config: TripletConfig) -> MetricSpace:
    """Return the space of saved tensors, after checking them."""
    sizes = {"user_margins": stored.n_users, "item_margins": stored.n_items}
    learned = {"user_margins": config.adaptive_users, "item_margins": config.adaptive_items}
    for name in sizes:
        if not learned[name]:
            stored.tensors.pop(name, None)  # artifacts of 0.1 hold fixed margins too
    shapes = {name: ((n,), np.float32) for name, n in sizes.items() if learned[name]}
    stored.check_tables(("users", "items"), config.dim, shapes)
    usual = {"user_margins": config.margin, "item_margins": config.item_margin}
    margins = [
        stored.tensors[name] if learned[name] else np.full(n, usual[name], dtype=np.float32)
        for name, n in sizes.items()
    ]
    arrays = {"points": stored.table(("users", "items")), "margins": np.concatenate(margins)}
    tau = temperature_in_use(config, stored.provenance.get("tuned", {}))
    return triplet_space(arrays, stored.n_users, config, tau)
