"""The head of every report: date, machine, versions and data."""

import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimetric.experiments.origin import origin

if TYPE_CHECKING:
    from trimetric.data.splits import Split

PACKAGES = ("trimetric", "numpy", "numba", "polars", "optuna", "implicit", "plotly")


def header(split: "Split", note: str = "", models: Iterable[str] = ()) -> dict[str, Any]:
    """Return the head of a report on a split, except title, command and times.

    `models` are those whose default settings the report depends on.
    """
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": {"processor": _processor(), "cores": _cores(), "system": platform.system()},
        "versions": versions,
        "origin": origin(models),
        "data": {
            "name": split.train.name,
            "users": split.train.n_users,
            "items": split.train.n_items,
            "interactions": sum(split.how["pairs"].values()),
            "fingerprint of train": split.train.fingerprint,
            "fingerprint of test": split.test.fingerprint,
            "note": note,
        },
    }


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _processor() -> str:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line for line in lines if line.startswith("model name"))
        return name.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
