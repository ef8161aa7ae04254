"""How a model lies in an artifact: settings and provenance as JSON, ids and arrays as tensors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.engine import rows
from trimetric.errors import ArtifactError, ParameterError
from trimetric.space.known import Known
from trimetric.storage import artifact
from trimetric.storage.artifact import Loaded

UNAVAILABLE = "unavailable_items"
SHARDED = "sharded-model"
"""The kind of an artifact that names the shards of a model."""
LARGEST = 1e15
"""Of the values of a model: sums of their squares are finite in float32."""
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
    new_table : callable
        Makes tables, as `engine.rows.table`.
    """

    tensors: dict[str, np.ndarray]
    known: Known
    provenance: dict[str, Any]
    where: str
    new_table: Callable[[int, int], np.ndarray] = rows.table

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
        users, items = (self.tensors[name] for name in names)
        out = self.new_table(len(users) + len(items), users.shape[1])
        out[: len(users), : users.shape[1]] = users
        out[len(users) :, : items.shape[1]] = items
        return out

    def with_room(self, name: str, dim: int) -> np.ndarray:
        """Return a tensor of `dim` columns as a table that has one more; without it no rows."""
        values = self.tensors.get(name, np.zeros((0, dim), dtype=np.float32))
        out = self.new_table(len(values), dim + 1)
        out[:, :dim] = values
        return out


def check_folder(verb: str, folder: Any) -> None:
    """Raise ParameterError unless a folder is a path."""
    if not isinstance(folder, str | PathLike) or isinstance(folder, bytes) or str(folder) == "":
        raise ParameterError(
            f"{verb} needs the path of a folder, got {folder!r}; give one such as 'model'"
        )


def save_if_unchanged(model: Any, folder: str | Path, checksum: str | None = None) -> None:
    """Save a model, replacing what is in `folder` in one step.

    Parameters
    ----------
    model : Recommender
        One that nobody trains meanwhile: see `Recommender.snapshot`.
    folder : path
    checksum : str, optional
        What must stand there, by its checksum, or nothing is written.

    Raises
    ------
    OutputError
        The folder cannot be written.
    Superseded
        Something else was saved there.
    """
    known = model.known
    about = {
        "model": model.name,
        "params": model.get_params(),
        "data": model.provenance,
        "history": model.history,
    }
    tensors = dict(model.tensors())
    for side, vocabulary in (("user", known.user_ids), ("item", known.item_ids)):
        tensors |= known_tensors(side, vocabulary)
    tensors |= seen_tensors(known.seen, known.weights) | validated_tensors(known.validated)
    if len(known.unavailable):
        tensors[UNAVAILABLE] = known.unavailable
    artifact.save(folder, "model", about, tensors, replaces=checksum)


def stored(loaded: Loaded, where: str) -> Stored:
    """Take ids and interactions out of a loaded artifact, checked; raises ArtifactError."""
    tensors = dict(loaded.tensors)
    user_ids, item_ids = (take_ids(tensors, side, where) for side in ("user", "item"))
    seen, weights = take_seen(tensors, (len(user_ids), len(item_ids)), where)
    validated = take_validated(tensors, (len(user_ids), len(item_ids)), where)
    check_finite(tensors, where)
    unavailable = take_unavailable(tensors, len(item_ids), where)
    known = Known(user_ids, item_ids, seen, weights, unavailable, validated=validated)
    return Stored(tensors, known, provenance_of(loaded.meta), where)


def provenance_of(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the provenance that a manifest holds."""
    provenance = dict(meta["data"])
    if "found" in provenance:  # as 0.1 called it
        provenance["tuned"] = provenance.pop("found")
    return provenance


def known_tensors(side: str, ids: Vocabulary) -> dict[str, np.ndarray]:
    """Return the ids of a side as tensors of an artifact."""
    return {f"{side}_{part}": array for part, array in ids.to_arrays().items()}


def seen_tensors(seen: Csr, weights: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return what users have seen as tensors of an artifact."""
    lists = {"seen_indptr": seen.indptr, "seen_items": seen.items}
    return lists if weights is None else lists | {"seen_weights": weights}


def validated_tensors(validated: Csr | None) -> dict[str, np.ndarray]:
    """Return what a model was validated on as tensors of an artifact."""
    if validated is None:
        return {}
    return {"validated_indptr": validated.indptr, "validated_items": validated.items}


def take_seen(
    tensors: dict[str, np.ndarray], sizes: tuple[int, int], where: str
) -> tuple[Csr, np.ndarray | None]:
    """Take out what users have seen, and weights; `sizes` are the numbers of users and items."""
    seen = _take_lists(tensors, "seen", sizes, where)
    weights = tensors.pop("seen_weights", None)
    if weights is not None:
        size: artifact.Expected = {"seen_weights": ((len(seen.items),), np.float32)}
        artifact.check({"seen_weights": weights}, size, where)
        if not (np.isfinite(weights) & (weights > 0)).all():
            raise ArtifactError(f"{where}: seen_weights must be above 0 and finite")
    return seen, weights


def take_validated(
    tensors: dict[str, np.ndarray], sizes: tuple[int, int], where: str
) -> Csr | None:
    """Take out what a model was validated on; None where nothing is kept of it."""
    if not {"validated_indptr", "validated_items"} & tensors.keys():
        return None
    return _take_lists(tensors, "validated", sizes, where)


def _take_lists(
    tensors: dict[str, np.ndarray], name: str, sizes: tuple[int, int], where: str
) -> Csr:
    n_users, n_items = sizes
    indptr, items = f"{name}_indptr", f"{name}_items"
    shapes: artifact.Expected = {
        indptr: ((n_users + 1,), np.int64),
        items: ((None,), np.int32),
    }
    arrays = {tensor: tensors.pop(tensor) for tensor in shapes if tensor in tensors}
    artifact.check(arrays, shapes, where)
    lists = Csr(arrays[indptr], arrays[items])
    check_lists(lists, n_items, f"{indptr} and {items}", where)
    return lists


def check_finite(tensors: Mapping[str, np.ndarray], where: str) -> None:
    """Raise ArtifactError where a tensor holds NaN, infinity, or what overflows when squared."""
    for name, array in tensors.items():
        if array.dtype.kind == "f" and not (np.abs(array) <= LARGEST).all():
            finite = np.isfinite(array).all()
            what = f"values beyond {LARGEST:g}" if finite else "NaN or infinity"
            raise ArtifactError(
                f"{where}: tensor {name!r} holds {what}; restore the model from a copy, or fit and"
                " save it again"
            )


def check_manifest(meta: Mapping[str, Any], where: str) -> None:
    """Raise ArtifactError where the plain values of a model are of other types than were saved."""
    data, history = meta.get("data"), meta.get("history")
    tuned = data.get("tuned", data.get("found", {})) if isinstance(data, dict) else None
    epochs = isinstance(history, list) and all(isinstance(row, dict) for row in history)
    for name, fits, kind in (
        ("data", isinstance(data, dict), "an object"),
        ("what was tuned", isinstance(tuned, dict), "an object"),
        ("history", epochs, "a list of objects"),
    ):
        if not fits:
            raise ArtifactError(f"{where}: its manifest is damaged: {name} must be {kind}")


def check_tuned(config: Any, tuned: Mapping[str, Any]) -> None:
    """Raise ParameterError where what training found is no possible value of its setting."""
    names = {item.name for item in fields(config)}
    replace(config, **{name: value for name, value in tuned.items() if name in names})
    unit = tuned.get("weight_unit", 1.0)
    if not isinstance(unit, int | float) or not 0 < unit < np.inf:
        raise ParameterError(f"weight_unit must be a number above 0 and finite, got {unit!r}")


def check_lists(lists: Csr, n_items: int, names: str, where: str) -> None:
    """Raise ArtifactError unless each list ascends within 0..n_items - 1."""
    if not lists.is_valid(n_items):
        raise ArtifactError(f"{where}: {names} do not fit the ids")


def take_unavailable(tensors: dict[str, np.ndarray], n_items: int, where: str) -> np.ndarray:
    """Take out the items that may be in no list, int32 ascending."""
    if UNAVAILABLE not in tensors:
        return np.zeros(0, dtype=np.int32)
    items = tensors.pop(UNAVAILABLE)
    artifact.check({UNAVAILABLE: items}, {UNAVAILABLE: ((None,), np.int32)}, where)
    one_list = Csr(np.array([0, len(items)], dtype=np.int64), items)
    check_lists(one_list, n_items, UNAVAILABLE, where)
    return items


def take_ids(tensors: dict[str, np.ndarray], side: str, where: str) -> Vocabulary:
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
