"""The registry of models: a new model is one file and one line here, or an entry point.

A package of its own registers a model by an entry point of the group `trimetric.models`, whose name
is the model's and whose object is its class.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimetric.errors import ArtifactError, ParameterError

if TYPE_CHECKING:
    from trimetric.models.recommender import Recommender
    from trimetric.storage.artifact import Loaded

GROUP = "trimetric.models"

OURS = {
    "sml": ("sml", "SML", {}),
    "cml": ("cml", "CML", {}),
    "base": ("sml", "SML", {"variant": "base"}),
    "base+u": ("sml", "SML", {"variant": "base+u"}),
    "base+s": ("sml", "SML", {"variant": "base+s"}),
    "base+s+p": ("sml", "SML", {"variant": "base+s+p"}),
    "base+s+u": ("sml", "SML", {"variant": "base+s+u"}),
    "bpr": ("bpr", "BPR", {}),
    "mlp": ("mlp", "MLP", {}),
    "ncf": ("ncf", "NCF", {}),
    "fml": ("fml", "FML", {}),
    "transcf": ("transcf", "TransCF", {}),
    "lrml": ("lrml", "LRML", {}),
    "popularity": ("references.popularity", "Popularity", {}),
    "itemknn": ("references.itemknn", "ItemKNN", {}),
    "ease": ("references.ease", "EASE", {}),
    "ials": ("references.ials", "IALS", {}),
}
"""Name on the command line: module here, class, and arguments of the class."""

SYSTEMS = ("bpr", "mlp", "ncf", "fml", "transcf", "lrml", "cml", "sml")
"""The systems of the SML paper's Table 3, in its order."""

REFERENCES = ("popularity", "itemknn", "ease", "ials")
"""What a comparison should not be without."""


class Registry(Mapping[str, tuple[type["Recommender"], dict[str, Any]]]):
    """All models by name: class and arguments; those of other packages by their entry points."""

    def __getitem__(self, name: str) -> tuple[type["Recommender"], dict[str, Any]]:
        if name in OURS:
            module, kind, given = OURS[name]
            return getattr(import_module(f"{__name__}.{module}"), kind), given
        return installed()[name].load(), {}

    def __iter__(self) -> Iterator[str]:
        return iter([*OURS, *(name for name in installed() if name not in OURS)])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in OURS or name in installed()


REGISTRY = Registry()


@cache
def installed() -> dict[str, EntryPoint]:
    """Return the entry points of models in other packages, by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def model_class(name: str) -> tuple[type["Recommender"], dict[str, Any]]:
    """Return the class of a registered model, and the arguments that make it that model.

    Raises
    ------
    ParameterError
        The name is unknown, or another package's model cannot be imported.
    """
    if name not in REGISTRY:
        raise ParameterError(f"model must be one of {', '.join(REGISTRY)}, got {name!r}")
    try:
        return REGISTRY[name]
    except (ImportError, AttributeError) as error:
        point = installed().get(name)
        if point is None:
            raise
        raise ParameterError(
            f"model {name!r} cannot be loaded from {point.value}, where its package says it is:"
            f" {error}"
        ) from error


def create(name: str, **settings: Any) -> "Recommender":
    """Return an untrained model by its registered name.

    Raises
    ------
    ParameterError
        The name is unknown, or a setting is unknown or out of range.
    """
    kind, given = model_class(name)
    return kind(**given, **settings)


def search_space(name: str) -> dict[str, Any]:
    """Return what tuning may try of a registered model, setting by setting.

    A pair is a range, a triple ending in "log" a range on a logarithmic scale, {"choices": ...} a
    list. What makes an ablation is not searched.
    """
    from trimetric.models import config
    from trimetric.models.sml import VARIANTS

    kind, given = model_class(name)
    fixed = VARIANTS[given["variant"]] if "variant" in given else {}
    space = config.search_space(kind.Config)
    return {setting: span for setting, span in space.items() if setting not in fixed}


def load(folder: str | Path) -> "Recommender":
    """Load a saved model.

    Raises
    ------
    ArtifactError
        The folder holds no model, a damaged one, or one that this version cannot read.
    """
    from trimetric.storage import artifact

    return from_artifact(artifact.load(folder, "model"), folder)


def from_artifact(loaded: "Loaded", folder: str | Path) -> "Recommender":
    """Make the model out of what `artifact.load` found in `folder`: see `load`."""
    from trimetric.models.fitted import Fitted
    from trimetric.models.saved import stored

    name, where = loaded.meta.get("model"), str(folder)
    if not isinstance(name, str) or name not in REGISTRY:
        raise ArtifactError(
            f"{folder} holds a model named {str(name)!r}, which this version of trimetric does not"
            " have; load it with the version that saved it, and with the package it came from"
        )
    kind, _ = model_class(name)
    try:
        model, history = kind(**loaded.meta["params"]), loaded.meta["history"]
        parts = stored(loaded, where)
    except (KeyError, TypeError, ParameterError) as error:
        raise ArtifactError(f"{where}: settings cannot be used: {error}") from error
    model._fitted = Fitted(parts.known, model.restore(parts), history, parts.provenance)
    return model
