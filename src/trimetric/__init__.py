"""trimetric: users and items in one Euclidean space.

Public names are imported when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from trimetric.data import (
        Interactions,
        Split,
        datasets,
        split_column,
        split_leave_one_out,
        split_per_user,
        split_random,
        split_temporal,
        synthetic,
    )
    from trimetric.evaluation import AsReleased, FullRanking, Result, SampledCandidates, evaluate
    from trimetric.models import create, load
    from trimetric.models.triplet import CML, SML

_HOMES = {
    "Interactions": "data",
    "Split": "data",
    "datasets": "data",
    "split_column": "data",
    "split_leave_one_out": "data",
    "split_per_user": "data",
    "split_random": "data",
    "split_temporal": "data",
    "synthetic": "data",
    "AsReleased": "evaluation",
    "FullRanking": "evaluation",
    "Result": "evaluation",
    "SampledCandidates": "evaluation",
    "evaluate": "evaluation",
    "CML": "models.triplet",
    "SML": "models.triplet",
    "create": "models",
    "load": "models",
}

__all__ = [
    "CML",
    "SML",
    "AsReleased",
    "FullRanking",
    "Interactions",
    "Result",
    "SampledCandidates",
    "Split",
    "__version__",
    "create",
    "datasets",
    "evaluate",
    "load",
    "split_column",
    "split_leave_one_out",
    "split_per_user",
    "split_random",
    "split_temporal",
    "synthetic",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
