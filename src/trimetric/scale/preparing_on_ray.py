"""The passes over a log as tasks of Ray, whose workers reach the same files."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trimetric.errors import ClusterError
from trimetric.scale.cluster import connect
from trimetric.scale.preparation import Run
from trimetric.scale.spilling import spill


@contextmanager
def on_ray(address: str, work: Path) -> Iterator[Run]:
    """Connect to Ray, and give what runs tasks there: see `scale.prepare.prepare`.

    Parameters
    ----------
    address : str
        See `scale.cluster.connect`.
    work : Path
        The absolute path of the folder for what is not finished.
    """
    with connect(address) as cluster:

        def run(function: Callable[[Any], dict], tasks: list[Any]) -> Iterator[dict]:
            return cluster.ordered_map(_on_worker, [[function, task, work] for task in tasks])

        yield run


def _on_worker(function: Callable[[Any], dict], task: Any, work: Path) -> dict:
    """Run a task, unless a worker that was lost had finished it.

    What the passes after the first read is removed when they have finished. The first may be run
    for a second time on the same files, to read ids as text; and its files stay.
    """
    if not (work / "plan.json").exists():
        raise ClusterError(
            f"node {platform.node()} does not see {work}; with --ray the log and the folder of"
            " --out must be on storage that all nodes mount at the same path; so must"
            " TRIMETRIC_CACHE, where --out is a URI"
        )
    found = None if function is spill else task.done()
    return function(task) if found is None else found
