"""How a model lies in an artifact: settings and provenance as JSON, ids and arrays as tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.engine.rows import padded_table
from trimetric.errors import ArtifactError
from trimetric.space.known import Known
from trimetric.storage import artifact
from trimetric.storage.artifact import Loaded

_ID_TYPES = {"ids": np.int64, "utf8": np.uint8, "offsets": np.int64}


@dataclass(frozen=True, eq=False)
class Stored:
    """What an artifact holds of a model.

    Parameters
    ----------
    tensors : dict of str to ndarray
        What the model's `tensors` gave.
    known : Known
    provenance : dict
    where : str
        The artifact, for messages.
    """

    tensors: dict[str, np.ndarray]
    known: Known
    provenance: dict[str, Any]
    where: str

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.known.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.known.item_ids)

    def check(self, expected: artifact.Expected) -> None:
        """Raise ArtifactError unless the tensors are these, no more and no less."""
        artifact.check(self.tensors, expected, self.where)

    def check_tables(self, names: tuple[str, str], dim: int, more: artifact.Expected = {}) -> None:  # noqa: B006
        """Check for a float32 table of the users and one of the items, and `more`."""
        shapes = zip(names, (self.n_users, self.n_items), strict=True)
        tables: artifact.Expected = {name: ((n, dim), np.float32) for name, n in shapes}
        self.check({**tables, **more})

    def table(self, names: tuple[str, str]) -> np.ndarray:
        """Return the tables of users and items as one, as `engine.rows.table` lays it out."""
        return padded_table(np.concatenate([self.tensors[name] for name in names]))


def save(
    folder: str | Path, about: Mapping[str, Any], known: Known, tensors: Mapping[str, np.ndarray]
) -> None:
    """Save a model, replacing what is in `folder` in one step; raises OutputError."""
    stored = dict(tensors)
    for side, vocabulary in (("user", known.user_ids), ("item", known.item_ids)):
        for part, array in vocabulary.to_arrays().items():
            stored[f"{side}_{part}"] = array
    stored["seen_indptr"], stored["seen_items"] = known.seen
    if known.weights is not None:
        stored["seen_weights"] = known.weights
    artifact.save(folder, "model", about, stored)


def stored(loaded: Loaded, where: str) -> Stored:
    """Take ids and interactions out of a loaded artifact, checked; raises ArtifactError."""
    tensors = dict(loaded.tensors)
    user_ids, item_ids = (_ids(tensors, side, where) for side in ("user", "item"))
    shapes: artifact.Expected = {
        "seen_indptr": ((len(user_ids) + 1,), np.int64),
        "seen_items": ((None,), np.int32),
    }
    lists = {name: tensors.pop(name) for name in shapes if name in tensors}
    artifact.check(lists, shapes, where)
    seen = Csr(lists["seen_indptr"], lists["seen_items"])
    weights = tensors.pop("seen_weights", None)
    if weights is not None:
        size: artifact.Expected = {"seen_weights": ((len(seen.items),), np.float32)}
        artifact.check({"seen_weights": weights}, size, where)
    check_lists(seen, len(item_ids), "seen_indptr and seen_items", where)
    provenance = dict(loaded.meta["data"])
    if "found" in provenance:  # as 0.1 called it
        provenance["tuned"] = provenance.pop("found")
    return Stored(tensors, Known(user_ids, item_ids, seen, weights), provenance, where)


def check_lists(lists: Csr, n_items: int, names: str, where: str) -> None:
    """Raise ArtifactError unless each list ascends within 0..n_items - 1."""
    if not lists.is_valid(n_items):
        raise ArtifactError(f"{where}: {names} do not fit the ids")


def _ids(tensors: dict[str, np.ndarray], side: str, where: str) -> Vocabulary:
    """Take the ids of a side out of the tensors of an artifact."""
    parts = {
        part: tensors.pop(f"{side}_{part}") for part in _ID_TYPES if f"{side}_{part}" in tensors
    }
    where = f"{where}: {side} ids"
    artifact.check(parts, {part: ((None,), _ID_TYPES[part]) for part in parts}, where)
    try:
        return Vocabulary.from_arrays(parts)
    except ValueError as error:
        raise ArtifactError(f"{where} cannot be read: {error}") from error
