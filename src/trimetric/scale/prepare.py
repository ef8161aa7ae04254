"""Divide a log that may be larger than memory into parts, in files that training reads."""

import json
import math
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from trimetric import keywords
from trimetric.data.build import for_files
from trimetric.data.forks import check_threads
from trimetric.data.form import Form
from trimetric.data.interactions import ReadOptions
from trimetric.data.rules import Rules
from trimetric.errors import (
    OutputError,
    ParameterError,
)
from trimetric.progress import on_terminal, tell
from trimetric.scale import log_files
from trimetric.scale.numbering import Holdout
from trimetric.scale.pair_files import pyarrow_ipc
from trimetric.scale.preparation import OURS, Job, Run, locally
from trimetric.scale.prepared import INDEX, PLAN, VERSION, Prepared
from trimetric.scale.spilling import Piece, SpillTask
from trimetric.storage import places, published
from trimetric.storage.atomic import output_errors, reserved
from trimetric.storage.store import Store

MOST_PARTS = 1 << 12  # each is some files, and its pairs 16·P batches


@keywords.takes(Rules, Form, leave=("drop_zeros", "split"))
def prepare(
    sources: Any,
    out: str | os.PathLike,
    *,
    partitions: int,
    valid: float = 0.0,
    test: float = 0.0,
    seed: int = 0,
    resume: bool = False,
    progress: bool | None = None,
    run: Run | None = None,
    ray: str | None = None,
    **options: Unpack[ReadOptions],
) -> Prepared:
    """Divide a log into user parts and item chunks, in a folder that training in parts reads.

    The log may be larger than memory: files are read in batches, and then one user part at a time.
    What is left out, merged and counted is what `Interactions.read` of the same files would.

    Parameters
    ----------
    sources : path, pattern, folder, URI, or list of these
        Files as `Interactions.read` takes them. Parquet, and text that is neither packed nor
        quoted, is read in batches; other files one at a time.
    out : path or URI
        A folder, new or empty. What goes to an object store is made in the cache of this machine
        (TRIMETRIC_CACHE) and copied when it is done, `prepared.json` last.
    partitions : int
        The number of user parts, P; items are divided into 16·P chunks.
    valid, test : float
        With what probability an interaction is held out, by a hash of its user, its item and the
        seed: to `out`/valid and `out`/test, as Parquet files with ids. A user or item all of whose
        interactions are held out is not in the parts.
    seed : int
        Of what is held out.
    resume : bool
        Go on where a run with the same arguments was stopped.
    progress : bool, optional
        Whether lines tell how far it is; by default on a terminal.
    run : callable, optional
        Called with a function and a list of its arguments; gives the results, in any order. Both
        can be pickled, so that they may be sent to other processes which reach the same folders.
        By default this process runs them.
    ray : str, optional
        Run files and parts as tasks of Ray, of the same bytes: "local", or the address of a cluster
        whose nodes reach the log and `out` by the same paths; see `scale.cluster.connect`.
    **options
        As for `Interactions.read`, but split, which may only be False.

    Raises
    ------
    DataError
        Files are missing, damaged, or differ; or hold what `Interactions.read` refuses.
    ParameterError
        `partitions` is more than there are users or items, or a setting is out of range.
    OutputError
        `out` holds something else or cannot be written; after a full disk, `resume` goes on.
    CheckpointMismatch
        `out` holds what a run with other arguments made.
    MissingExtra
        PyArrow, Ray, or what a URI needs, is not installed.
    ClusterError, WorkerLost
        The cluster does not answer, its nodes do not reach `out`, or they are lost again and again.
    """
    check_threads()
    if ray is not None and run is not None:
        raise ParameterError("give run or ray, not both")
    holdout = _checked(partitions, valid, test, seed)
    keywords.check_switch("resume", resume)
    keywords.check_progress(progress)
    pyarrow_ipc()
    if options.get("split") not in (None, False):
        raise ParameterError("split is not used by prepare; hold out with valid= and test=")
    rules, form = for_files(dict(options))
    folder = published.working(out)
    if ray is not None:
        folder = folder.absolute()  # workers have folders of their own
    _refuse_others(folder)
    store = Store(out, writing=True) if places.in_store(out) else None
    if store is not None:
        _refuse_others_in(store)
    pieces = log_files.find(sources)
    if rules.weight is None and rules.event_weights is None:
        rules = replace(rules, weight=log_files.weights_of(pieces))
    source = places.shown(sources) if isinstance(sources, str | Path) else "the log"
    plan = _plan(pieces, rules, form, partitions, holdout)
    tasks = [
        SpillTask(number, group, rules, form, partitions, folder / "work")
        for number, group in enumerate(log_files.divided(pieces, form))
    ]
    log = tell if (on_terminal() if progress is None else progress) else _silent
    with _running(run, ray, folder) as used:
        job = Job(folder, plan, tasks, rules, holdout, source, used, log, store)
        with reserved(folder, "preparing"):
            return job.run_all(resume)


def _running(run: Run | None, ray: str | None, folder: Path) -> AbstractContextManager[Run]:
    if ray is None:
        return nullcontext(run or locally)
    from trimetric.scale.preparing_on_ray import on_ray

    return on_ray(ray, folder / "work")


def _silent(text: str) -> None:
    pass


def _checked(partitions: Any, valid: Any, test: Any, seed: Any) -> Holdout:
    whole = isinstance(partitions, int | np.integer) and not isinstance(partitions, bool)
    if not whole or partitions < 1:
        raise ParameterError(f"partitions must be a whole number from 1 on, got {partitions!r}")
    if partitions > MOST_PARTS:
        raise ParameterError(f"partitions must be at most {MOST_PARTS:,}, got {partitions:,}")
    for name, share in (("valid", valid), ("test", test)):
        number = isinstance(share, int | float | np.number) and not isinstance(share, bool)
        if not number or not (math.isfinite(share) and 0 <= share < 1):
            raise ParameterError(f"{name} must be a share from 0 to below 1, got {share!r}")
    if valid + test >= 1:
        raise ParameterError(
            f"valid and test must leave something to train on: {valid:g} + {test:g} is not below 1"
        )
    return Holdout(float(valid), float(test), keywords.check_seed(seed))


def _refuse_others(folder: Path) -> None:
    """Refuse a place where something stands that `prepare` did not make."""
    with output_errors(folder):
        if not folder.exists():
            return
        if not folder.is_dir():
            raise OutputError(f"{folder} is a file; choose a folder that is new or empty")
        names = sorted(path.name for path in folder.iterdir())
        ours = INDEX in names or (folder / PLAN).exists()
        others = [name for name in names if not ours or name not in OURS]
        others = [name for name in others if not name.startswith(f".{INDEX}.")]
        if others == ["work"] and not any((folder / "work").glob("[!.]*")):
            return  # stopped before it wrote a plan
    if others:
        raise _taken(folder, others)


def _refuse_others_in(store: Store) -> None:
    """Refuse a place in a store where something stands, or that cannot be written."""
    names = sorted({file.name.split("/", 1)[0] for file in store.files()} - {published.PROBE})
    ours = INDEX in names or "work" in names
    others = [name for name in names if not ours or name not in OURS]
    if others or store.kind() == "file":
        raise _taken(store, others)
    if INDEX not in names:
        published.probe(store)


def _taken(place: Path | Store, others: list[str]) -> OutputError:
    return OutputError(
        f"{place} holds other files ({', '.join(others[:3])}{', ...' * (len(others) > 3)});"
        " choose a folder that is new or empty"
    )


def _plan(
    pieces: Sequence[Piece], rules: Rules, form: Form, partitions: int, holdout: Holdout
) -> dict[str, Any]:
    """Return what the result depends on, as JSON values."""
    events = rules.event_weights
    plan = {
        "version": VERSION,
        "sources": [piece.name for piece in pieces],
        "partitions": int(partitions),
        "holdout": asdict(holdout),
        "rules": asdict(replace(rules, event_weights=None)),
        "event_weights": None if events is None else {str(k): v for k, v in events.items()},
        "form": asdict(form),
    }
    return json.loads(json.dumps(plan, default=float))
