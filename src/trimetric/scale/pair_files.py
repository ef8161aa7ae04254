"""The last pass over a log: items are numbered for all parts, and pairs go to their item chunks."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trimetric.data.ids import Vocabulary
from trimetric.errors import MissingExtra
from trimetric.scale.hashing import ITEMS, part_of
from trimetric.scale.numbering import PartTask, write_frame
from trimetric.scale.parts import CHUNKS
from trimetric.scale.sorting import by_part, starts_of
from trimetric.scale.spilling import read_json, write_json
from trimetric.storage.atomic import output_errors, replacing


def pyarrow_ipc() -> tuple[Any, Any]:
    """Return the modules pyarrow and pyarrow.ipc.

    Raises
    ------
    MissingExtra
        They are not installed.
    """
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError:
        raise MissingExtra(
            "prepared data needs pyarrow; install it with pip install 'trimetric[files]'"
        ) from None
    return pyarrow, pyarrow.ipc


def number_items(tasks: Sequence[PartTask], work: Path, out: Path) -> dict[str, Any]:
    """Number the items of all parts in their chunks.

    Returns
    -------
    dict
        counts (items of each chunk) and cold_items, which have held-out pairs only.
    """
    record = work / "items.json"
    found = read_json(record)
    if found:
        return found
    n_chunks = CHUNKS * len(tasks)
    ids, cold = (_union(tasks, what) for what in ("items", "cold"))
    chunks = part_of(Vocabulary(ids), n_chunks, ITEMS)
    counts = np.bincount(chunks, minlength=n_chunks)
    order = np.argsort(chunks, kind="stable")
    rows = np.empty(len(ids), dtype=np.int32)
    rows[order] = np.arange(len(ids)) - np.repeat(np.cumsum(counts) - counts, counts)
    by_chunk = pl.DataFrame({"chunk": chunks[order], "id": ids[order]})
    write_frame(out / "items.parquet", by_chunk)
    with output_errors(work):
        numbers = pl.DataFrame({"id": ids, "chunk": chunks, "row": rows})
        numbers.write_ipc(work / "items.arrow")
    known = Vocabulary(ids).encode(cold) >= 0
    result = {"counts": counts.tolist(), "cold_items": int((~known).sum())}
    write_json(record, result)
    return result


def _union(tasks: Sequence[PartTask], what: str) -> pl.Series:
    ids: pl.Series | None = None
    for task in tasks:
        more = pl.read_ipc(task.made(what))["id"]
        ids = more if ids is None else pl.concat([ids, more]).unique()
    assert ids is not None
    return ids.sort().rename("id")


@dataclass(frozen=True)
class PairsTask:
    """The pairs of a part, written by one run of `write_pairs`.

    Parameters
    ----------
    numbered : PartTask
        That made the part.
    n_parts : int
    """

    numbered: PartTask
    n_parts: int

    @property
    def record(self) -> Path:
        """The file that says that the pairs are written."""
        return self.numbered.work / f"pairs-{self.numbered.part:05d}.json"

    def done(self) -> dict[str, Any] | None:
        """Return the result, if the pairs are written."""
        return read_json(self.record)


def write_pairs(task: PairsTask) -> dict[str, Any]:
    """Write the pairs of a user part, by item chunk, user and item.

    Returns
    -------
    dict
        What is written to `task.record` at the end: digest, of users' ids, pairs and weights.

    Raises
    ------
    OutputError
        Nothing can be written, on a full disk for instance.
    """
    pa, ipc = pyarrow_ipc()
    made = task.numbered
    numbers = pl.read_ipc(made.work / "items.arrow")
    items = pl.read_ipc(made.made("items"))["id"]
    at = Vocabulary(numbers["id"]).encode(items)
    chunks, rows = (numbers[name].to_numpy()[at] for name in ("chunk", "row"))
    frame = pl.read_ipc(made.made("pairs"))
    chunk = chunks[frame["item"].to_numpy()]
    starts = starts_of(chunk, CHUNKS * task.n_parts)
    columns = {"user": frame["user"].to_numpy(), "item": rows[frame["item"].to_numpy()]}
    if "weight" in frame.columns:
        columns["weight"] = frame["weight"].to_numpy()
    columns = {name: by_part(values, chunk, starts) for name, values in columns.items()}
    kinds = {name: pa.from_numpy_dtype(values.dtype) for name, values in columns.items()}
    schema = pa.schema(list(kinds.items()))
    path = made.out / "pairs" / f"part-{made.part:05d}.arrow"
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as out, ipc.new_file(out, schema) as writer:
            for start, stop in pairwise(starts.tolist()):
                arrays = [
                    pa.Array.from_buffers(
                        kinds[name], stop - start, [None, pa.py_buffer(values[start:stop])]
                    )
                    for name, values in columns.items()
                ]
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    ids = pl.read_parquet(made.out / "users" / f"part-{made.part:05d}.parquet")["id"]
    result = {"digest": digest({**Vocabulary(ids).to_arrays(), "starts": starts, **columns})}
    write_json(task.record, result)
    for what in ("items", "cold", "pairs"):
        with suppress(OSError):
            made.made(what).unlink()
    return result


def digest(arrays: dict[str, np.ndarray]) -> str:
    """Return the SHA-256 of arrays and their names, in hex."""
    state = hashlib.sha256()
    for name, array in arrays.items():
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        state.update(f"{name} {little.dtype.str} {little.size}\n".encode())
        state.update(little.view(np.uint8).data)
    return state.hexdigest()
