"""The first pass over a log: read files in batches, and put rows where their user part is."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from trimetric.data import readers, sources
from trimetric.data.batches import Batch, Counts, batches, cleaned
from trimetric.data.form import Form
from trimetric.data.repeats import BY_TIME
from trimetric.data.rules import Rules
from trimetric.data.seen import Mixed, Seen
from trimetric.data.sources import Source
from trimetric.errors import DataError
from trimetric.scale.hashing import USERS, hash_values, part_of_hashed
from trimetric.scale.log_facts import refuse_differing
from trimetric.scale.sorting import by_part, starts_of
from trimetric.storage import places
from trimetric.storage.atomic import output_errors, replacing
from trimetric.storage.store import Store

RUN_ROWS = 1 << 22  # rows that are held before they are written
RUN_BYTES = 1 << 28  # and bytes, where ids are text


@dataclass(frozen=True)
class Piece:
    """A file, or some row groups of it.

    Parameters
    ----------
    name : str
        As messages call it.
    place : str
        Path or URI.
    local : bool
        Whether it is a path.
    columns : dict
        What the names of its folders say, as in `Source`.
    stamp : tuple of int
        Size and time of its last change; empty for a web page.
    groups : (int, int), optional
        From which to before which row group.
    """

    name: str
    place: str
    local: bool
    columns: dict[str, str] = field(default_factory=dict)
    stamp: tuple[int, ...] = ()
    groups: tuple[int, int] | None = None

    @contextmanager
    def opened(self, scratch: Path | None = None) -> Iterator[Source]:
        """Give the file; that of a store is copied to a folder until the body ends."""
        if self.local:
            yield Source(self.name, Path(self.place), columns=self.columns)
        elif not places.in_store(self.place):
            yield sources.find(self.place)[0]
        else:
            with TemporaryDirectory(prefix=".fetched-", dir=scratch) as folder:
                path = Path(folder) / "file"
                if not Store(self.place).fetch("", path):
                    raise DataError(f"{self.name} has been removed since it was listed")
                yield Source(self.name, path, columns=self.columns)

    @property
    def label(self) -> str:
        """What messages call it."""
        if self.groups is None:
            return self.name
        return f"{self.name} (row groups {self.groups[0] + 1} to {self.groups[1]})"

    def described(self) -> list[Any]:
        """Return what tells the piece from others, as JSON values."""
        return [self.name, list(self.stamp), list(self.groups or ())]


@dataclass(frozen=True)
class SpillTask:
    """Some pieces of a log, read by one run of `spill`.

    Parameters
    ----------
    number : int
    pieces : tuple of Piece
    rules : Rules
    form : Form
    n_parts : int
    work : Path
        The folder for what is spilled.
    kinds : dict
        {"user" or "item": "text"} where ids of a text file are to stay text.
    """

    number: int
    pieces: tuple[Piece, ...]
    rules: Rules
    form: Form
    n_parts: int
    work: Path
    kinds: dict[str, str] = field(default_factory=dict)

    @property
    def record(self) -> Path:
        """The file that says that the task is done."""
        return self.work / f"read-{self.number:05d}.json"

    def described(self) -> list[Any]:
        """Return what tells the files from others, as JSON values."""
        return [piece.described() for piece in self.pieces]

    def done(self) -> dict[str, Any] | None:
        """Return the result, if the task was done with these files."""
        found = read_json(self.record)
        return found if found and found["pieces"] == self.described() else None


@dataclass
class _Told:
    """What a task learns of its files."""

    counts: Counts = field(default_factory=Counts)
    seen: Seen = field(default_factory=Seen)
    forms: list[dict[str, Any]] = field(default_factory=list)

    def note(self, piece: Piece, batch: Batch) -> None:
        kinds = {series.name: readers.kind_of(series) for series in batch.frame}
        form = {
            "format": batch.form.format,
            "kinds": kinds,
            "columns": batch.columns,
            "described": batch.form.described(),
        }
        if not any(one | {"file": ""} == form | {"file": ""} for one in self.forms):
            self.forms.append({**form, "file": piece.name})
            refuse_differing(self.forms[0], self.forms[-1])


def read_json(path: Path) -> dict[str, Any] | None:
    """Return what a file of JSON holds, None if there is no whole one."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def write_json(path: Path, document: Any) -> None:
    """Write a file of JSON in one step."""
    with replacing(path) as out:
        out.write((json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())


def run_file(work: Path, part: int, task: int, run: int) -> Path:
    """Return where rows of a part are spilled."""
    return work / "rows" / f"{part:05d}" / f"{task:05d}-{run:04d}.arrow"


def spill(task: SpillTask) -> dict[str, Any]:
    """Read pieces of a log, and write the rows that count to one file for each user part.

    The rows keep their order. A run that was stopped is done again, over what it left.

    Returns
    -------
    dict
        What is written to `task.record` at the end: pieces, counts, seen, forms, runs, rows (int by
        part).

    Raises
    ------
    DataError
        A file cannot be read, or holds what `Interactions.read` refuses.
    OutputError
        Nothing can be written, on a full disk for instance.
    """
    kinds = dict(task.kinds)
    while True:
        told = _Told(seen=Seen(ids=dict(kinds)))
        for stale in (task.work / "rows").glob(f"*/{task.number:05d}-*.arrow"):
            stale.unlink()
        try:
            runs, rows = _spilled(task, told)
            break
        except Mixed as error:
            kinds[error.role] = "text"
    result = {
        "pieces": task.described(),
        "counts": asdict(told.counts),
        "seen": told.seen.to_json(),
        "forms": told.forms,
        "runs": runs,
        "rows": rows.tolist(),
    }
    write_json(task.record, result)
    return result


def _spilled(task: SpillTask, told: _Told) -> tuple[int, np.ndarray]:
    held: list[pl.DataFrame] = []
    runs, rows = 0, np.zeros(task.n_parts, dtype=np.int64)
    for frame in _frames(task, told):
        held.append(frame)
        size = sum(one.height for one in held)
        if size >= RUN_ROWS or sum(one.estimated_size() for one in held) >= RUN_BYTES:
            rows += _write_run(task, runs, pl.concat(held))
            held, runs = [], runs + 1
    if held:
        rows += _write_run(task, runs, pl.concat(held))
        runs += 1
    return runs, rows


def _frames(task: SpillTask, told: _Told) -> Iterator[pl.DataFrame]:
    for piece in task.pieces:
        counts = Counts()

        def pick(existing: list[str], name: str = piece.name) -> dict[str, str]:
            columns = task.rules.columns(existing, name)
            if "split" in columns:
                raise DataError(
                    f"{name}: column {columns['split']!r} holds the parts of a split, which"
                    " prepared data does not have; give split=False to take all rows, and hold some"
                    " out with valid= and test="
                )
            return columns

        with piece.opened(task.work) as file:
            for batch in batches(file, pick, task.form, piece.groups):
                told.note(piece, batch)
                if not batch.frame.height:
                    counts.blank += batch.blank
                    continue
                frame = cleaned(batch, task.rules, piece.label, told.seen, counts)
                if frame.height:
                    yield _needed(frame, task.rules)
        told.counts.add(counts)


def _needed(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Keep the columns by which repeats are merged."""
    names = ["user", "item"]
    if "weight" in frame.columns:
        names.append("weight")
        if "timestamp" in frame.columns and rules.merging(True) in BY_TIME:
            names.append("timestamp")
    return frame.select(names)


def _write_run(task: SpillTask, run: int, frame: pl.DataFrame) -> np.ndarray:
    """Write rows to the files of their parts; return how many each got, int64 (P,)."""
    parts = part_of_hashed(hash_values(frame["user"]), task.n_parts, USERS)
    starts = starts_of(parts, task.n_parts)
    if pl.String in frame.schema.values():
        frame = frame[np.argsort(parts.astype(np.min_scalar_type(task.n_parts)), kind="stable")]
    else:
        frame = pl.DataFrame({s.name: by_part(s.to_numpy(), parts, starts) for s in frame})
    rows = np.diff(starts)
    start = 0
    for part, n in enumerate(rows.tolist()):
        path = run_file(task.work, part, task.number, run)
        if n:
            with output_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                frame[start : start + n].write_ipc(path, compression="lz4")
        start += n
    return rows
