"""The registry of models: a new model is one file and one line here, or an entry point.

A package of its own registers a model by an entry point of the group `trimetric.models`, whose name
is the model's and whose object is its class: see docs/howto/new-model.md.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimetric.errors import ArtifactError, ParameterError, warn
from trimetric.keywords import is_one_of

if TYPE_CHECKING:
    from typing import TypeGuard

    from trimetric.models.recommender import Recommender
    from trimetric.models.sharded import ShardedModel
    from trimetric.storage.artifact import Loaded

GROUP = "trimetric.models"

OURS = {
    "centroid": ("centroid", "CentroidML", {}),
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
            module, kind, arguments = OURS[name]
            return getattr(import_module(f"{__name__}.{module}"), kind), arguments
        if name in _registered:
            return _registered[name], {}
        return _loaded(name, installed()[name]), {}

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*OURS, *_registered, *installed()]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in OURS or name in _registered or name in installed()


REGISTRY = Registry()
_registered: dict[str, type["Recommender"]] = {}


@cache
def installed() -> dict[str, tuple[EntryPoint, ...]]:
    """Return the entry points of models in other packages, by name."""
    points: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=GROUP):
        points[point.name] = (*points.get(point.name, ()), point)
    return points


@contextmanager
def registered(kind: type["Recommender"]) -> Iterator[None]:
    """Register a model by the name that its class has, while the body runs.

    `create`, `load` and all that takes a model by its name then know it, as if a package with an
    entry point had been installed. It is for tests and for trying a model out in a notebook.

    Raises
    ------
    ParameterError
        The name belongs to a model of trimetric.
    """
    name = kind.name
    if name in OURS:
        if REGISTRY[name][0] is not kind:
            raise ParameterError(f"trimetric has a model named {name!r}; choose another name")
        yield
        return
    before = _registered.get(name)
    _registered[name] = kind
    try:
        yield
    finally:
        del _registered[name]
        if before is not None:
            _registered[name] = before


def model_class(name: str) -> tuple[type["Recommender"], dict[str, Any]]:
    """Return the class of a registered model, and the arguments that make it that model.

    A model of trimetric wins over another package's of the same name, with a warning.

    Raises
    ------
    ParameterError
        The name is unknown, or another package's model cannot be imported or is no model.
    """
    if not is_one_of(name, REGISTRY):
        raise ParameterError(f"model must be one of {', '.join(REGISTRY)}, got {name!r}")
    if name in OURS and name in installed():
        warn(
            f"{_packages(installed()[name])} registers a model named {name!r}, which is the name of"
            " a model of trimetric; trimetric's is used"
        )
    return REGISTRY[name]


def _loaded(name: str, points: tuple[EntryPoint, ...]) -> type["Recommender"]:
    """Return the class that an entry point names; raise ParameterError where it is no model."""
    from trimetric.models.recommender import Recommender

    if len(points) > 1:
        raise ParameterError(
            f"{_packages(points)} all register a model named {name!r}; uninstall all but one"
        )
    [point] = points
    where = f"model {name!r} of {_packages(points)} cannot be loaded from {point.value}"
    try:
        kind = point.load()
    except Exception as error:  # another package's code, which may raise anything
        raise ParameterError(f"{where}: {type(error).__name__}: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Recommender)):
        raise ParameterError(f"{where}: {kind!r} is no subclass of Recommender")
    if kind.name != name:
        raise ParameterError(
            f"{where}: the entry point's name is {name!r} and the model's is {kind.name!r}; they"
            " must be the same"
        )
    return kind


def _packages(points: tuple[EntryPoint, ...]) -> str:
    """Name the packages that entry points belong to."""
    return " and ".join(point.dist.name if point.dist else point.value for point in points)


def create(name: str, **settings: Any) -> "Recommender":
    """Return an untrained model by its registered name.

    Raises
    ------
    ParameterError
        The name is unknown, or a setting is unknown or out of range.
    """
    kind, arguments = model_class(name)
    return kind(**arguments, **settings)


def search_space(name: str) -> dict[str, Any]:
    """Return what tuning may try of a registered model, setting by setting.

    A pair is a range, a triple ending in "log" a range on a logarithmic scale, {"choices": ...} a
    list. What makes an ablation is not searched.
    """
    from trimetric.models import config
    from trimetric.models.sml import VARIANTS

    kind, arguments = model_class(name)
    fixed = VARIANTS[arguments["variant"]] if "variant" in arguments else {}
    space = config.search_space(kind.Config)
    return {setting: span for setting, span in space.items() if setting not in fixed}


def load(folder: str | Path) -> "Recommender":
    """Load a saved model, from a folder or from an object store (s3://bucket/model).

    One that was saved in parts is put together in memory; `ShardedModel.open` leaves its parts in
    their files.

    Raises
    ------
    ArtifactError
        The folder holds no model, a damaged one, or one that this version cannot read.
    ResourceError
        It was saved in parts, and is larger than the memory that is free.
    DataError
        The object store cannot be read.
    """
    while True:
        model = open_model(folder)
        if not is_sharded(model):
            return model
        try:
            return model.whole()
        except ArtifactError:
            if not model.is_replaced():
                raise  # else another model was saved there in the meantime


def is_sharded(model: Any) -> "TypeGuard[ShardedModel]":
    """Tell whether a model is one in parts."""
    from trimetric.models.sharded import ShardedModel

    return isinstance(model, ShardedModel)


def open_model(folder: str | Path) -> Any:
    """Load a saved model, or open one that was saved in parts, which answers alike: see `load`.

    Returns
    -------
    Recommender or ShardedModel
    """
    from trimetric.models.saved import SHARDED, check_folder
    from trimetric.storage import artifact

    check_folder("load", folder)
    loaded = artifact.load(folder, ("model", SHARDED))
    if loaded.kind != SHARDED:
        return from_artifact(loaded, folder)
    from trimetric.models.sharded import ShardedModel

    return ShardedModel.open(folder)


def from_artifact(loaded: "Loaded", folder: str | Path) -> "Recommender":
    """Make the model out of what `artifact.load` found in `folder`: see `load`."""
    from trimetric.models.fitted import Fitted
    from trimetric.models.saved import stored

    where = str(folder)
    model = untrained(loaded.meta, where)
    parts = stored(loaded, where)
    model._fitted = Fitted(
        parts.known, model.restore(parts), loaded.meta["history"], parts.provenance
    )
    return model


def untrained(meta: Mapping[str, Any], where: str) -> "Recommender":
    """Return the model that a manifest speaks of, without what it learned; checks the manifest.

    Raises
    ------
    ArtifactError
        This version has no such model, or its settings or plain values cannot be used.
    """
    from trimetric.models.saved import check_manifest, check_tuned, provenance_of

    name = meta.get("model")
    if not is_one_of(name, REGISTRY):
        raise ArtifactError(
            f"{where} holds a model named {str(name)!r}, which this version of trimetric does not"
            " have; load it with the version that saved it, and with the package it came from"
        )
    kind, arguments = model_class(name)
    try:
        check_manifest(meta, where)
        model = kind(**{**arguments, **meta["params"]})
        check_tuned(model.config, provenance_of(meta).get("tuned", {}))
    except (KeyError, TypeError, ParameterError) as error:
        raise ArtifactError(f"{where}: settings cannot be used: {error}") from error
    return model
