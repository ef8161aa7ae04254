"""Interactions: reading, splitting, known data sets, and planted ones."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimetric.data import datasets, synthetic
    from trimetric.data.ids import Vocabulary
    from trimetric.data.interactions import AlignReport, Interactions
    from trimetric.data.report import ReadReport
    from trimetric.data.splits import (
        Split,
        split_column,
        split_leave_one_out,
        split_per_user,
        split_random,
        split_temporal,
    )
    from trimetric.data.summary import summarize
    from trimetric.data.user_split import kfold, split_users

__all__ = [
    "AlignReport",
    "Interactions",
    "ReadReport",
    "Split",
    "Vocabulary",
    "datasets",
    "kfold",
    "split_column",
    "split_leave_one_out",
    "split_per_user",
    "split_random",
    "split_temporal",
    "split_users",
    "summarize",
    "synthetic",
]

_HOMES = {
    "AlignReport": "interactions",
    "Interactions": "interactions",
    "ReadReport": "report",
    "Vocabulary": "ids",
    "kfold": "user_split",
    "split_users": "user_split",
    "summarize": "summary",
}


def __getattr__(name: str) -> Any:
    # Imported when first used: polars alone takes longer than `import trimetric` may.
    if name in ("datasets", "synthetic"):
        return import_module(f"{__name__}.{name}")
    if name in __all__:
        return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'splits')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
