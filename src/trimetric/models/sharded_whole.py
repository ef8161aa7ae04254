"""Put the parts of a model together: users in the order of their ids, as if it had no parts."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.engine import rows
from trimetric.errors import ResourceError
from trimetric.models.saved import Stored
from trimetric.space.known import Known
from trimetric.storage import memory
from trimetric.storage.atomic import output_errors

if TYPE_CHECKING:
    from trimetric.models.recommender import Recommender
    from trimetric.models.sharded import ShardedModel

Allocate = Callable[[tuple[int, ...], Any], np.ndarray]


def whole(model: "ShardedModel", mapped: bool) -> "Recommender":
    """Return the ordinary model of all users: see `ShardedModel.whole`."""
    if not mapped:
        check_memory(model, needed(model))
    parts = [model.stored(part) for part in range(model.n_parts)]
    ids = sorted_ids([part.known.user_ids for part in parts])
    folder = scratch_folder(model.folder)
    allocate: Allocate = (
        (lambda shape, dtype: mapped_array(folder, shape, dtype))
        if mapped
        else (lambda shape, dtype: np.zeros(shape, dtype=dtype))
    )
    tensors, seen, weights = _assembled(model, parts, ids, allocate)
    items = model.items
    known = Known(
        ids, items.ids, seen, weights, np.array(items.unavailable), validated=_validated(parts, ids)
    )

    def mapped_table(n: int, dim: int) -> np.ndarray:
        return allocate((n, rows.padded(dim)), np.float32)

    everything = {**{name: np.array(array) for name, array in items.tensors.items()}, **tensors}
    stored = Stored(everything, known, model.provenance, str(model.folder))
    stored = replace(stored, new_table=mapped_table) if mapped else stored
    return model.model_of(stored)


def sorted_ids(parts: list[Vocabulary]) -> Vocabulary:
    """Return the ids of all parts, in their order."""
    import polars as pl

    there = [part.values for part in parts if len(part)] or [parts[0].values]
    return Vocabulary(pl.concat(there).sort())


def needed(model: "ShardedModel") -> int:
    """Return about how many bytes the whole model takes while it is put together."""
    part = int(np.argmax(model.part_sizes))
    stored = model.stored(part)
    arrays = [stored.tensors[name] for name in model.user_names & stored.tensors.keys()]
    ids = sum(array.nbytes for array in stored.known.user_ids.to_arrays().values())
    a_user = (2 * sum(array.nbytes for array in arrays) + 2 * ids) / max(
        1, len(stored.known.user_ids)
    )
    entry = 8 if model.weighted else 4
    of_items = 2 * sum(array.nbytes for array in model.items.tensors.values())
    return int(model.n_users * (a_user + 8) + model.n_interactions * entry + of_items)


def check_memory(model: "ShardedModel", size: int) -> None:
    """Raise ResourceError where fewer bytes are free."""
    free = memory.available()
    if free is not None and size > free:
        raise ResourceError(
            f"{model.folder}: the whole model of {model.n_parts} parts takes about {size:,} bytes"
            f" of memory and {free:,} are available; evaluate, recommend, similar-items,"
            " similar-users, explain, forget and unavailable take it part by part, and export and"
            " serve leave users in files, as ShardedModel.open does in Python"
        )


def scratch_folder(folder: Path) -> Path:
    """Return where temporary files may lie: beside the model if that can be written."""
    return folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir())


def mapped_array(folder: Path, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array of zeros in a temporary file, which goes with it.

    Raises
    ------
    OutputError
        The disk is full: its room is taken at once, since a map that cannot be written to ends the
        process.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size == 0:
        return np.zeros(shape, dtype=dtype)
    with output_errors(folder), tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        return np.memmap(file, dtype, "w+", shape=shape).view(np.ndarray)


def _validated(parts: list[Stored], ids: Vocabulary) -> Csr | None:
    there = [(part.known.user_ids, part.known.validated) for part in parts]
    kept = [(own.values, lists) for own, lists in there if lists is not None]
    if not kept:
        return None
    users = [ids.encode(values)[lists.users] for values, lists in kept]
    items = [lists.items for _, lists in kept]
    return Csr.from_pairs(np.concatenate(users), np.concatenate(items), len(ids))


def _assembled(
    model: "ShardedModel", parts: list[Stored], ids: Vocabulary, allocate: Allocate
) -> tuple[dict[str, np.ndarray], Csr, np.ndarray | None]:
    """Return the tensors of all users, and their lists with weights, in the order of `ids`."""
    n, tensors = len(ids), dict[str, np.ndarray]()
    indptr = np.zeros(n + 1, dtype=np.int64)
    places = [ids.encode(part.known.user_ids.values).astype(np.int64) for part in parts]
    for part, at in zip(parts, places, strict=True):
        indptr[at + 1] = part.known.seen.counts
        for name in sorted(model.user_names & part.tensors.keys()):
            array = part.tensors[name]
            if name not in tensors:
                tensors[name] = allocate((n, *array.shape[1:]), array.dtype)
            tensors[name][at] = array
    np.cumsum(indptr, out=indptr)
    items = allocate((int(indptr[-1]),), np.int32)
    weights = allocate((int(indptr[-1]),), np.float32) if model.weighted else None
    for part, at in zip(parts, places, strict=True):
        seen = part.known.seen
        to = np.arange(len(seen.items)) + np.repeat(indptr[at] - seen.indptr[:-1], seen.counts)
        items[to] = seen.items
        if weights is not None and part.known.weights is not None:
            weights[to] = part.known.weights
    return tensors, Csr(indptr, items), weights
