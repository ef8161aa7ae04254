"""The hyper-parameters of a model: one frozen dataclass, checked when it is made."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from trimetric.errors import ParameterError
from trimetric.evaluation import metrics

Range = tuple[float, float, bool, str]
"""Lowest and highest value, whether the lowest itself is out, and what suits most data."""


@dataclass(frozen=True)
class Config:
    """Settings that check themselves; a subclass adds fields, and what they may be."""

    ranges: ClassVar[dict[str, Range]] = {}
    choices: ClassVar[dict[str, tuple[str, ...]]] = {}

    def __post_init__(self) -> None:
        for item in fields(self):
            kind = item.type if isinstance(item.type, str) else _spelled(item.type)
            value = _typed(item.name, getattr(self, item.name), kind)
            object.__setattr__(self, item.name, value)
        for name, (low, high, open_low, advice) in self.ranges.items():
            if getattr(self, name) is not None:
                _in_range(name, getattr(self, name), (low, high), open_low, advice)
        for name, choices in self.choices.items():
            _one_of(name, getattr(self, name), choices)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings by name, as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class TrainingConfig(Config):
    """What every model has that is trained in epochs."""

    dim: int = 100
    """Columns of the embeddings, 1..4096."""
    epochs: int = 60
    """Most passes over the interactions, 0..100000; with validation data training stops earlier."""
    batch_size: int = 512
    """Samples in a mini-batch, 1..1000000."""
    lr: float = 0.05
    """Learning rate, above 0 up to 10."""
    schedule: str = "linear"
    """"linear": the rate falls from `lr` towards 0 over `epochs`; or "constant"."""
    metric: str = "ndcg@10"
    """What validation measures, on full ranking."""
    validate_every: int = 5
    """Epochs between two validations, at least 1."""
    validate_users: int = 0
    """Most users that validation looks at while training, always the same; 0 for all."""
    patience: int = 6
    """Validations without a new best before training stops; 0 trains all epochs."""
    seed: int = 0
    """Any integer of 64 bits; the same seed, data and settings give the same bits."""

    ranges: ClassVar[dict[str, Range]] = {
        "dim": (1, 4096, False, "64-128 suits most data"),
        "epochs": (0, 100_000, False, "20-100 suits most data"),
        "batch_size": (1, 1_000_000, False, "512 suits most data"),
        "lr": (0, 10, True, "0.05-0.2 suits most data"),
        "validate_every": (1, 100_000, False, "5 suits most data"),
        "validate_users": (0, 1_000_000_000, False, "0 looks at all"),
        "patience": (0, 100_000, False, "6 suits most data"),
        "seed": (-(2**63), 2**63 - 1, False, "any integer will do"),
    }
    choices: ClassVar[dict[str, tuple[str, ...]]] = {"schedule": ("linear", "constant")}

    def __post_init__(self) -> None:
        super().__post_init__()
        metrics.metric(self.metric)


def _spelled(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _typed(name: str, value: Any, kind: str) -> Any:
    """Return `value` as the field's type, or say what it must be."""
    import numpy as np

    if isinstance(value, np.generic):
        value = value.item()
    if kind == "str" and isinstance(value, str):
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind.endswith(" | None") and value is None:
        return None
    kind = kind.removesuffix(" | None")
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "int" and number and (isinstance(value, int) or value.is_integer()):
        return int(value)
    if kind == "float" and number:
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


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ParameterError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
