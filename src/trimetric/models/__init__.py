"""The registry: a new model is one file and one line here."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimetric.errors import ArtifactError, ParameterError

if TYPE_CHECKING:
    from trimetric.models.recommender import Recommender
    from trimetric.storage.artifact import Loaded

REGISTRY = {
    "sml": ("sml", "SML", {}),
    "cml": ("sml", "CML", {}),
    "base": ("sml", "SML", {"variant": "base"}),
    "base+u": ("sml", "SML", {"variant": "base+u"}),
    "base+s": ("sml", "SML", {"variant": "base+s"}),
    "base+s+p": ("sml", "SML", {"variant": "base+s+p"}),
    "base+s+u": ("sml", "SML", {"variant": "base+s+u"}),
    "bpr": ("bpr", "BPR", {}),
    "mlp": ("ncf", "MLP", {}),
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


def create(name: str, **settings: Any) -> "Recommender":
    """Return an untrained model by its registered name.

    Raises
    ------
    ParameterError
        The name is unknown, or a setting is unknown or out of range.
    """
    if name not in REGISTRY:
        raise ParameterError(f"model must be one of {', '.join(REGISTRY)}, got {name!r}")
    module, kind, given = REGISTRY[name]
    return getattr(import_module(f"{__name__}.{module}"), kind)(**given, **settings)


def search_space(name: str) -> dict[str, Any]:
    """Return what tuning may try of a registered model, setting by setting.

    A pair is a range, a triple ending in "log" one in logarithms, {"choices": ...} a list. What
    makes an ablation, or CML, is not searched.
    """
    module, kind, given = REGISTRY[name]
    home = import_module(f"{__name__}.{module}")
    fixed = {**getattr(getattr(home, kind), "fixed", {})}
    if "variant" in given:
        fixed |= home.VARIANTS[given["variant"]]
    space = getattr(home, kind).search
    return {setting: span for setting, span in space.items() if setting not in fixed}


def load(folder: str | Path) -> "Recommender":
    """Load a saved model.

    Raises
    ------
    ArtifactError
        The folder holds no model, a damaged one, or one that this version cannot read.
    """
    from trimetric.storage import artifact

    return revived(artifact.load(folder, "model"), folder)


def revived(loaded: "Loaded", folder: str | Path) -> "Recommender":
    """Make the model out of what `artifact.load` found in `folder`: see `load`."""
    name = str(loaded.meta.get("model"))
    if name not in REGISTRY:
        raise ArtifactError(
            f"{folder} holds a model named {name!r}, which this version of trimetric does not have;"
            " load it with the version that saved it"
        )
    module, kind, _ = REGISTRY[name]
    return getattr(import_module(f"{__name__}.{module}"), kind)._from_artifact(loaded, str(folder))
