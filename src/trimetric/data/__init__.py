"""Interactions: reading, splitting, known data sets, and planted ones."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimetric.data.clean import ReadReport
    from trimetric.data.ids import Vocabulary
    from trimetric.data.interactions import AlignReport, Interactions
    from trimetric.data.splits import (
        Split,
        split_column,
        split_leave_one_out,
        split_per_user,
        split_random,
        split_temporal,
    )
    from trimetric.data.synthetic import Planted

_HOMES = {
    "AlignReport": "interactions",
    "Interactions": "interactions",
    "Planted": "synthetic",
    "ReadReport": "clean",
    "Split": "splits",
    "Vocabulary": "ids",
    "split_column": "splits",
    "split_leave_one_out": "splits",
    "split_per_user": "splits",
    "split_random": "splits",
    "split_temporal": "splits",
}
_MODULES = ("datasets", "synthetic")
__all__ = [*_HOMES, *_MODULES]


def __getattr__(name: str) -> Any:
    # Imported when first used: polars alone takes longer than `import trimetric` may.
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
