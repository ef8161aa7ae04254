"""trimetric: users and items in one Euclidean space.

Public names are imported when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trimetric._version import __version__

if TYPE_CHECKING:
    from trimetric.data import (
        Interactions,
        Split,
        datasets,
        kfold,
        split_column,
        split_leave_one_out,
        split_per_user,
        split_random,
        split_temporal,
        split_users,
        synthetic,
    )
    from trimetric.engine.threads import threads
    from trimetric.evaluation import (
        AsReleased,
        FullRanking,
        Result,
        SampledCandidates,
        cross_validate,
        evaluate,
    )
    from trimetric.evaluation.lists import RankedLists
    from trimetric.evaluation.summary import beyond_accuracy
    from trimetric.experiments.estimate import estimate
    from trimetric.frames import set_output
    from trimetric.models import create, load
    from trimetric.models.bpr import BPR
    from trimetric.models.callbacks import Callback
    from trimetric.models.centroid import CentroidML
    from trimetric.models.cml import CML
    from trimetric.models.fml import FML
    from trimetric.models.lrml import LRML
    from trimetric.models.mlp import MLP
    from trimetric.models.ncf import NCF
    from trimetric.models.references.ease import EASE
    from trimetric.models.references.ials import IALS
    from trimetric.models.references.itemknn import ItemKNN
    from trimetric.models.references.popularity import Popularity
    from trimetric.models.sharded import ShardedModel
    from trimetric.models.sml import SML
    from trimetric.models.transcf import TransCF
    from trimetric.scale.prepare import prepare
    from trimetric.scale.prepared import Prepared
    from trimetric.space.index import Index

_HOMES = {
    "Index": "space.index",
    "Interactions": "data",
    "Split": "data",
    "datasets": "data",
    "kfold": "data",
    "split_column": "data",
    "split_leave_one_out": "data",
    "split_per_user": "data",
    "split_random": "data",
    "split_temporal": "data",
    "split_users": "data",
    "synthetic": "data",
    "AsReleased": "evaluation",
    "FullRanking": "evaluation",
    "RankedLists": "evaluation.lists",
    "Result": "evaluation",
    "SampledCandidates": "evaluation",
    "beyond_accuracy": "evaluation.summary",
    "cross_validate": "evaluation",
    "estimate": "experiments.estimate",
    "evaluate": "evaluation",
    "BPR": "models.bpr",
    "CML": "models.cml",
    "Callback": "models.callbacks",
    "EASE": "models.references.ease",
    "IALS": "models.references.ials",
    "ItemKNN": "models.references.itemknn",
    "Popularity": "models.references.popularity",
    "FML": "models.fml",
    "LRML": "models.lrml",
    "MLP": "models.mlp",
    "NCF": "models.ncf",
    "CentroidML": "models.centroid",
    "SML": "models.sml",
    "ShardedModel": "models.sharded",
    "TransCF": "models.transcf",
    "create": "models",
    "load": "models",
    "Prepared": "scale.prepared",
    "prepare": "scale.prepare",
    "set_output": "frames",
    "threads": "engine.threads",
}

__all__ = [
    "BPR",
    "CML",
    "EASE",
    "FML",
    "IALS",
    "LRML",
    "MLP",
    "NCF",
    "SML",
    "AsReleased",
    "Callback",
    "CentroidML",
    "FullRanking",
    "Index",
    "Interactions",
    "ItemKNN",
    "Popularity",
    "Prepared",
    "RankedLists",
    "Result",
    "SampledCandidates",
    "ShardedModel",
    "Split",
    "TransCF",
    "__version__",
    "beyond_accuracy",
    "create",
    "cross_validate",
    "datasets",
    "estimate",
    "evaluate",
    "kfold",
    "load",
    "prepare",
    "set_output",
    "split_column",
    "split_leave_one_out",
    "split_per_user",
    "split_random",
    "split_temporal",
    "split_users",
    "synthetic",
    "threads",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
