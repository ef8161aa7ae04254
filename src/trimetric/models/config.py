"""The settings of a model: one frozen dataclass, checked when it is made.

A setting is declared once: a field with its type, its limits or choices, what tuning may try, its
default and a docstring. Checks, error messages, `docs/settings.md` and tuning derive from that.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from trimetric import keywords
from trimetric.errors import ParameterError
from trimetric.evaluation import metrics


@dataclass(frozen=True)
class Limits:
    """The numbers that a setting may be.

    Parameters
    ----------
    low, high : float
    usual : str
        What suits most data, for messages.
    above : bool
        Whether `low` itself is out.
    """

    low: float
    high: float
    usual: str
    above: bool = False


@dataclass(frozen=True)
class Tune:
    """What tuning tries: numbers from `low` to `high`, or some `choices`.

    Parameters
    ----------
    low, high : float
    log : bool
        Whether to search on a logarithmic scale.
    choices : tuple
        Instead of a range.
    """

    low: float = 0
    high: float = 0
    log: bool = False
    choices: tuple = ()

    @property
    def space(self) -> Any:
        """The range as (low, high), (low, high, "log") or {"choices": (...)}."""
        if self.choices:
            return {"choices": self.choices}
        return (self.low, self.high, "log") if self.log else (self.low, self.high)


Epochs = Annotated[int, Limits(0, 100_000, "20-100 suits most data")]
Rate = Limits(0, 10, "0.05-0.2 suits most data", above=True)
Schedule = Literal["linear", "constant"]
Seed = Annotated[int, Limits(-(2**63), 2**63 - 1, "any integer will do")]
Deviation = Limits(0, 1000, "0.01-0.1 suits most data")


@dataclass(frozen=True)
class Config:
    """Settings that check themselves; a subclass adds fields."""

    def __post_init__(self) -> None:
        for name, setting in declared(type(self)).items():
            value = _typed(name, getattr(self, name), setting)
            object.__setattr__(self, name, value)
            if value is not None:
                _check_limits(name, value, setting)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings by name, as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class TrainingConfig(Config):
    """The settings that every model has that is trained in epochs."""

    dim: Annotated[int, Limits(1, 4096, "64-128 suits most data")] = 100
    """Columns of the embeddings, 1..4096."""
    epochs: Epochs = 60
    """Most passes over the interactions, 0..100000; with validation data training stops earlier."""
    batch_size: Annotated[int, Limits(1, 1_000_000, "512 suits most data")] = 512
    """Samples in a mini-batch, 1..1000000."""
    lr: Annotated[float, Rate] = 0.05
    """Learning rate, above 0 up to 10."""
    schedule: Schedule = "linear"
    """"linear": the rate falls from `lr` towards 0 over `epochs`; or "constant"."""
    metric: str = "ndcg@10"
    """What validation measures, on full ranking."""
    validate_every: Annotated[int, Limits(1, 100_000, "5 suits most data")] = 5
    """Epochs between two validations, at least 1."""
    validate_users: Annotated[int, Limits(0, 1_000_000_000, "0 looks at all")] = 0
    """Most users that validation looks at while training, always the same; 0 for all."""
    patience: Annotated[int, Limits(0, 100_000, "6 suits most data")] = 6
    """Validations without a new best before training stops; 0 trains all epochs."""
    seed: Seed = 0
    """Any integer of 64 bits; the same seed, data and settings give the same bits."""

    def __post_init__(self) -> None:
        super().__post_init__()
        metrics.metric(self.metric)


@dataclass(frozen=True)
class Setting:
    """What is declared of a setting.

    Parameters
    ----------
    kind : type
        int, float, str or bool.
    optional : bool
        Whether it may be None.
    limits : Limits or None
    choices : tuple of str
        The words that it may be; empty for any.
    tune : Tune or None
    """

    kind: type
    optional: bool
    limits: Limits | None
    choices: tuple[str, ...]
    tune: Tune | None


def declared(config: type[Config]) -> dict[str, Setting]:
    """Return what is declared of each setting, by name."""
    hints = get_type_hints(config, include_extras=True)
    return {item.name: _setting(hints[item.name]) for item in fields(config)}


def search_space(config: type[Config]) -> dict[str, Any]:
    """Return what tuning may try, by setting: see `Tune.space`."""
    return {name: s.tune.space for name, s in declared(config).items() if s.tune is not None}


def check_names(model: str, config: type[Config], settings: Mapping[str, Any]) -> None:
    """Raise ParameterError for a setting that a model does not have."""
    known = sorted(item.name for item in fields(config))
    unknown = sorted(settings.keys() - set(known))
    if unknown:
        name, listed = unknown[0], ", ".join(known) or "no settings"
        hint = keywords.meant(name, known)
        if not hint and name in keywords.OF_FIT:
            hint = f"it belongs to training: fit(..., {keywords.OF_FIT[name]}=...); "
        raise ParameterError(f"unknown setting {name!r}; {hint}{model} has {listed}")


def named(
    kind: str, name: str | None, groups: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Return a named group of settings; nothing for None."""
    if name is None:
        return {}
    if not keywords.is_one_of(name, groups):
        listed = ", ".join(groups) or "none: this model has no presets"
        raise ParameterError(f"{kind} must be one of {listed}, got {name!r}")
    return groups[name]


def _setting(hint: Any) -> Setting:
    extras: tuple = ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        extras = tuple(rest)
    options = [option for option in get_args(hint) if option is not type(None)]
    if get_origin(hint) is Literal:
        kind, optional, choices = str, False, tuple(options)
    else:
        optional = type(None) in get_args(hint)
        kind, choices = (options[0] if optional else hint), ()
    return Setting(
        kind=kind,
        optional=optional,
        limits=next((extra for extra in extras if isinstance(extra, Limits)), None),
        choices=choices,
        tune=next((extra for extra in extras if isinstance(extra, Tune)), None),
    )


def _typed(name: str, value: Any, setting: Setting) -> Any:
    """Return `value` as the setting's type, or say what it must be."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None and setting.optional:
        return None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if setting.kind in (str, bool) and isinstance(value, setting.kind):
        return value
    if setting.kind is int and number and (isinstance(value, int) or value.is_integer()):
        return int(value)
    if setting.kind is float and number:
        with suppress(OverflowError):  # an int beyond all floats
            return float(value)
    names = {str: "a word", bool: "true or false", int: "a whole number"}
    raise ParameterError(f"{name} must be {names.get(setting.kind, 'a number')}, got {value!r}")


def _check_limits(name: str, value: Any, setting: Setting) -> None:
    limits, choices = setting.limits, setting.choices
    if choices and value not in choices:
        raise ParameterError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    if limits is None:
        return
    low, high = limits.low, limits.high
    if (low < value if limits.above else low <= value) and value <= high:
        return
    shown = f"above {low} and at most {high}" if limits.above else f"in {low}..{high}"
    raise ParameterError(f"{name} must be {shown}, got {value}; {limits.usual}")
