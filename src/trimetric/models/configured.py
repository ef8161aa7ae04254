"""What all models share whose settings are one checked dataclass."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar

from trimetric.errors import ParameterError
from trimetric.models.config import Config
from trimetric.models.recommender import Recommender


class Configured(Recommender):
    """A model that is made of settings; a subclass names its `Config` and its `presets`.

    Parameters
    ----------
    preset : str, optional
        One of `presets`; other settings given here override it.
    **settings
        Fields of the model's `Config`.

    Raises
    ------
    ParameterError
        A setting is unknown or out of range.
    """

    Config: ClassVar[type[Config]] = Config
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, *, preset: str | None = None, **settings: Any) -> None:
        names = sorted(item.name for item in fields(self.Config))
        unknown = sorted(settings.keys() - set(names))
        if unknown:
            listed = ", ".join(names) or "no settings"
            raise ParameterError(f"unknown setting {unknown[0]!r}; {self.name} has {listed}")
        self.config = self.Config(**self._given(lookup("preset", preset, self.presets), settings))
        self.history = []

    def _given(self, preset: Mapping[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
        """Return all settings that differ from the defaults."""
        return {**preset, **settings}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name; `deep` is scikit-learn's and changes nothing."""
        return self.config.to_dict()


def lookup(
    kind: str, name: str | None, choices: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Return a named group of settings, nothing for None."""
    if name is None:
        return {}
    if name not in choices:
        listed = ", ".join(choices) or "none: this model has no presets"
        raise ParameterError(f"{kind} must be one of {listed}, got {name!r}")
    return choices[name]
