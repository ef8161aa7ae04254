"""What a model costs on a sample: the real trainer and ranking, in a process of its own.

A fresh process is measured, since the memory of one that has done other things tells little. It is
started with the folder of a `Sample`, and prints a `Costs` as JSON.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trimetric import errors, training
from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.data.interactions import Interactions
from trimetric.data.splits import hold_out
from trimetric.engine.session_pair import SessionPair
from trimetric.engine.threads import VARIABLE
from trimetric.errors import ResourceError, TrimetricError
from trimetric.evaluation import validator
from trimetric.experiments.machine import peak_memory
from trimetric.models import create
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.in_parts import InParts, whole_scorer
from trimetric.scale.catalogue import Catalogue
from trimetric.scale.division import Division
from trimetric.scale.learner import LocalLearner
from trimetric.scale.memory import MemoryStore
from trimetric.space.known import Known

HELD_OUT = 0.1  # as `trimetric fit` does by itself
TINY = 2_000  # interactions that load and compile all that will be measured
RANKED = 2_000  # users whose lists are made
DATA = ("data", "tiny")  # fields of a sample
COLUMNS = ("users", "items", "ratings", "timestamps", "weights")
REFUSAL = "refusal.json"  # file with the error of a model that refuses the data
REPEATS = 2  # of an epoch; the fastest counts


@dataclass(frozen=True)
class Sample:
    """What to measure.

    Parameters
    ----------
    data : Interactions
        Of some users, under the vocabulary of all items.
    tiny : Interactions
        Of fewer users, to begin with.
    model : str
    settings : dict
    partitions : int
    k : int
        Length of lists.
    """

    data: Interactions
    tiny: Interactions
    model: str
    settings: dict[str, Any]
    partitions: int = 1
    k: int = 10


@dataclass(frozen=True)
class Costs:
    """What was measured, in seconds and bytes.

    Parameters
    ----------
    pairs : int
        Interactions of the sample.
    startup : float
        From the start of the process until it begins to fit, kernels loaded.
    prepare : float
        Making of the learner.
    epoch, second_epoch : float
        One epoch; of a model with two objectives, of the first and of the second.
    validation : float
        One validation, with the scorer that it needs; 0 without held-out data.
    save : float
        Writing of the model.
    ranking : float
        A list for each user of the sample.
    base : int
        Memory before the sample was fitted.
    peak : int
        Peak memory of the process while fitting.
    ranking_peak : int
        Peak memory with ranking.
    model, checkpoint, lists : int
        On disk.
    """

    pairs: int
    startup: float
    prepare: float
    epoch: float
    second_epoch: float
    validation: float
    save: float
    ranking: float
    base: int
    peak: int
    ranking_peak: int
    model: int
    checkpoint: int
    lists: int


def measure(sample: Sample, threads: int) -> Costs:
    """Measure a sample in a process of its own.

    Raises
    ------
    ResourceError
        The process did not end well, as where memory ran out.
    TrimetricError
        The model refuses the data.
    """
    with tempfile.TemporaryDirectory() as folder:
        _write(sample, Path(folder))
        code = "import sys; from trimetric.experiments.measure import main; main(*sys.argv[1:])"
        ended = subprocess.run(
            [sys.executable, "-c", code, folder, repr(time.time())],
            capture_output=True,
            env={**os.environ, VARIABLE: str(threads)},
            check=False,
        )
        if ended.returncode == 0:
            return Costs(**json.loads(ended.stdout))
        refusal = Path(folder) / REFUSAL
        if refusal.exists():
            kind, text = json.loads(refusal.read_text())
            raise getattr(errors, kind)(text)
    told = ended.stderr.decode(errors="replace").strip().splitlines() or ["it was killed"]
    raise ResourceError(
        f"measuring {len(sample.data):,} interactions failed: {told[-1]};"
        " free some memory, or estimate with a smaller dim"
    )


def main(folder: str, started: str) -> None:
    """Measure as the process that `measure` started, at the time `started`."""
    try:
        with tempfile.TemporaryDirectory() as room:
            costs = _measured(_read(Path(folder)), Path(room), float(started))
    except TrimetricError as refusal:
        told = json.dumps([type(refusal).__name__, str(refusal)])
        (Path(folder) / REFUSAL).write_text(told)
        raise SystemExit(2) from None
    print(json.dumps(asdict(costs)))


def _write(sample: Sample, folder: Path) -> None:
    """Write a sample to a folder."""
    plain = {item.name: getattr(sample, item.name) for item in fields(sample)}
    for name in DATA:
        data: Interactions = plain.pop(name)
        columns = {column: getattr(data, column) for column in COLUMNS}
        arrays = {f"column_{key}": a for key, a in columns.items() if a is not None}
        arrays |= {f"user_{key}": a for key, a in data.user_ids.to_arrays().items()}
        arrays |= {f"item_{key}": a for key, a in data.item_ids.to_arrays().items()}
        np.savez(folder / f"{name}.npz", **arrays)
    (folder / "sample.json").write_text(json.dumps(plain))


def _read(folder: Path) -> Sample:
    """Read what `_write` wrote."""
    given = json.loads((folder / "sample.json").read_text())
    for name in DATA:
        with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:

            def group(prefix: str, arrays: Any = arrays) -> dict[str, np.ndarray]:
                return {
                    key.removeprefix(prefix): arrays[key]
                    for key in arrays.files
                    if key.startswith(prefix)
                }

            given[name] = Interactions.from_rows(
                Vocabulary.from_arrays(group("user_")),
                Vocabulary.from_arrays(group("item_")),
                **group("column_"),
            )
    return Sample(**given)


def _measured(sample: Sample, folder: Path, started: float) -> Costs:
    _fit(sample, sample.tiny, folder / "tiny")
    _timed(lambda: _session_seconds(sample, sample.tiny))
    startup, base = time.time() - started, peak_memory() or 0
    model, train, valid, seconds = _fit(sample, sample.data, folder / "model")
    peak = peak_memory() or 0
    lists, ranking = _timed(lambda: _rank(model, sample, folder / "lists.parquet"))
    share = min(RANKED, len(model.user_ids)) / len(model.user_ids)
    ranking_peak = peak_memory() or 0
    prepare, epoch, second_epoch, scoring, checkpoint = _session_seconds(sample, train)
    validation = 0.0
    if valid is not None:
        judge, making = _timed(lambda: validator(valid, train, model.config.metric))
        validation = _timed(lambda: judge(model.scorer))[1]
        validation += scoring
        seconds -= making + validation
    return Costs(
        pairs=len(sample.data),
        startup=startup,
        prepare=prepare,
        epoch=epoch,
        second_epoch=second_epoch,
        validation=validation,
        save=max(seconds - prepare - epoch - second_epoch, 0.0),
        ranking=ranking / share,
        base=base,
        peak=peak,
        ranking_peak=ranking_peak,
        model=_size(folder / "model"),
        checkpoint=checkpoint,
        lists=int(lists / share),
    )


def _model(sample: Sample, data: Interactions, **more: Any) -> Any:
    """Return a model in which nothing is left to the data."""
    model: Any = create(sample.model, **sample.settings)
    found = model.find_settings(data, None, False, False)
    left_open = {name: found[name] for name, value in model.get_params().items() if value is None
                 and name in found}  # fmt: skip
    return create(sample.model, **{**model.get_params(), **left_open, **more})


def _fit(
    sample: Sample, data: Interactions, out: Path
) -> tuple[Any, Interactions, Interactions | None, float]:
    """Fit for one epoch with one validation; return the model, its data, and the seconds."""
    split = hold_out(data, HELD_OUT)
    train, valid = (data, None) if split is None else (split.train, split.test)
    model = _model(sample, train, epochs=1, validate_every=1)
    more = {"partitions": sample.partitions} if sample.partitions > 1 else {}
    _, seconds = _timed(lambda: model.fit(train, valid, out=out, progress=False, **more))
    return model, train, valid, seconds


def _session_seconds(sample: Sample, train: Interactions) -> tuple[float, float, float, float, int]:
    """Return seconds (to make a learner, of both epochs, of a scorer) and bytes of a checkpoint."""
    model: EpochTrained = _model(sample, train)

    def make() -> tuple[Any, Callable[[], Any]]:
        tuned, n_parts = model.find_settings(train, None, False, False), sample.partitions
        if n_parts == 1:
            whole = model.learner(train, None, tuned)
            return whole, lambda: model.scorer_of(whole)
        parts = Division(train, n_parts)
        trainer = model.trainer_in_parts(train.n_items, n_parts, tuned)
        store = MemoryStore(parts, trainer)
        run = InParts(model, parts, Catalogue(train.item_ids, parts.item_order), None)
        known = Known(train.user_ids, train.item_ids, Csr.of(train), train.weights)
        scorer = partial(whole_scorer, run, trainer, store, known, tuned)
        return LocalLearner(parts, trainer, store), scorer

    (learner, scorer), prepare = _timed(make)
    checkpoint = 2 * sum(array.nbytes for array in learner.arrays.values())
    sessions = [learner]
    if isinstance(learner, SessionPair):
        sessions = [learner.first, learner.second]
    seconds = []
    for session in sessions:
        run = training.train(session, training.Plan(REPEATS))
        seconds.append(min(row["seconds"] for row in run.history))
    scoring = _timed(scorer)[1]
    return prepare, seconds[0], sum(seconds[1:]), scoring, checkpoint


def _rank(model: Any, sample: Sample, out: Path) -> int:
    from trimetric.models.batch import recommend_to_file

    users = model.user_ids.decode(np.arange(min(RANKED, len(model.user_ids)))).to_list()
    recommend_to_file(model, out, users, sample.k, progress=False)
    return out.stat().st_size


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
