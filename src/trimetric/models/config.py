"""The hyper-parameters of the triplet family, checked when they are set."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import Any

from trimetric.engine.session import NEGATIVES, OPTIMIZERS, SCHEDULES
from trimetric.errors import ParameterError
from trimetric.evaluation import metrics


@dataclass(frozen=True)
class TripletConfig:
    """Settings of SML; CML and the ablations are other values of the same ones.

    Numbers of the paper are those of section "Implementation Details"; "released" is the authors'
    code.
    """

    dim: int = 100
    """Columns of the space, 1..4096; the paper's 100."""
    epochs: int = 60
    """Most passes over the interactions, 0..100000; with validation data training stops earlier."""
    batch_size: int = 512
    """Triplets in a mini-batch, 1..1000000; the paper's 512. γ does not depend on it."""
    lr: float = 0.2
    """Learning rate, above 0 up to 10; the paper chooses among .1, .05 and .01."""
    schedule: str = "linear"
    """"linear": the rate falls from `lr` towards 0 over `epochs`; or "constant" (paper)."""
    optimizer: str = "rowwise-adagrad"
    """"rowwise-adagrad" (one number a row), "adagrad" (released) or "adam" (paper; lazy rows)."""
    negatives: str = "hardest"
    """"uniform" (paper), "popularity", or "hardest": the nearest of `candidates` uniform draws.

    A number N is short for "uniform" (1) or "hardest" of N.
    """
    candidates: int = 10
    """S of "hardest", 1..60000; unused otherwise."""
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
    metric: str = "ndcg@10"
    """What validation measures, on full ranking."""
    validate_every: int = 5
    """Epochs between two validations, at least 1."""
    patience: int = 6
    """Validations without a new best before training stops; 0 trains all epochs."""
    seed: int = 0
    """Any integer of 64 bits; the same seed, data and settings give the same bits."""

    def __post_init__(self) -> None:
        if str(self.negatives).isdecimal():
            count = int(self.negatives)
            object.__setattr__(self, "negatives", "uniform" if count == 1 else "hardest")
            if count != 1:
                object.__setattr__(self, "candidates", count)
        for item in fields(self):
            value = _typed(item.name, getattr(self, item.name), str(item.type))
            object.__setattr__(self, item.name, value)
        for name, (low, high, open_low, advice) in _RANGES.items():
            if getattr(self, name) is not None:
                _in_range(name, getattr(self, name), (low, high), open_low, advice)
        _one_of("negatives", self.negatives, list(NEGATIVES))
        _one_of("optimizer", self.optimizer, list(OPTIMIZERS))
        _one_of("schedule", self.schedule, list(SCHEDULES))
        metrics.metric(self.metric)
        if self.rank_weight and self.negatives != "hardest":
            raise ParameterError(
                "rank_weight needs negatives='hardest', which estimates the rank;"
                f" got negatives={self.negatives!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings by name, as JSON values."""
        return asdict(self)


_RANGES: dict[str, tuple[float, float, bool, str]] = {
    "dim": (1, 4096, False, "64-128 suits most data"),
    "epochs": (0, 100_000, False, "20-100 suits most data"),
    "batch_size": (1, 1_000_000, False, "512 suits most data"),
    "lr": (0, 10, True, "0.05-0.2 suits most data"),
    "candidates": (1, 60_000, False, "10-50 suits most data"),
    "lam": (0, 1000, False, "0.01-0.3 suits most data"),
    "gamma": (0, 1_000_000, False, "see the docs on margins"),
    "margin": (0, 1000, True, "0.7-1 suits most data"),
    "item_margin": (0, 1000, True, "0.7-1 suits most data"),
    "radius": (0, 1000, True, "1 suits most data"),
    "init_mean": (-1000, 1000, False, "0 suits most data"),
    "init_std": (0, 1000, False, "leave it out for 1/√dim, which suits most data"),
    "validate_every": (1, 100_000, False, "5 suits most data"),
    "patience": (0, 100_000, False, "6 suits most data"),
    "seed": (-(2**63), 2**63 - 1, False, "any integer will do"),
}


def _typed(name: str, value: Any, kind: str) -> Any:
    """Return `value` as the field's type, or say what it must be."""
    import numpy as np

    if isinstance(value, np.generic):
        value = value.item()
    if kind == "str" and isinstance(value, str):
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "float | None" and value is None:
        return None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "int" and number and (isinstance(value, int) or value.is_integer()):
        return int(value)
    if kind.startswith("float") and number:
        with suppress(OverflowError):  # an int beyond all floats
            return float(value)
    wanted = {"str": "a word", "bool": "true or false", "int": "a whole number"}
    raise ParameterError(f"{name} must be {wanted.get(kind, 'a number')}, got {value!r}")


def _in_range(
    name: str, value: float, limits: tuple[float, float], open_low: bool, advice: str
) -> None:
    low, high = limits
    if (low < value if open_low else low <= value) and value <= high:
        return
    shown = f"above {low} and at most {high}" if open_low else f"in {low}..{high}"
    raise ParameterError(f"{name} must be {shown}, got {value}; {advice}")


def _one_of(name: str, value: str, choices: list[str]) -> None:
    if value not in choices:
        raise ParameterError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
