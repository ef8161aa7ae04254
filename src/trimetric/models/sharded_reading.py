"""Read the shards of a model, checked: what all parts share, and the users of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.errors import ArtifactError
from trimetric.models.saved import (
    Stored,
    check_finite,
    take_ids,
    take_seen,
    take_unavailable,
    take_validated,
)
from trimetric.models.sharded_index import COUNTS
from trimetric.models.sharded_writing import ITEM_SHARD, USER_SHARD
from trimetric.scale.hashing import USERS, part_of
from trimetric.space.known import Known
from trimetric.storage import artifact

if TYPE_CHECKING:
    from trimetric.models.sharded import ShardedModel


@dataclass(frozen=True, eq=False)
class SharedItems:
    """What all parts have in common.

    Parameters
    ----------
    ids : Vocabulary
    tensors : dict of str to ndarray
    unavailable : int32 (n,)
    popularity : int64 (n_items,)
        How many users of all parts have each item.
    """

    ids: Vocabulary
    tensors: dict[str, np.ndarray]
    unavailable: np.ndarray
    popularity: np.ndarray


def read_items(model: "ShardedModel") -> SharedItems:
    """Return what all parts share; raise ArtifactError, which names the shard."""
    shard, where = model.index["items"], f"{model.folder}: shard of items"
    loaded = _load(model, ITEM_SHARD, shard, where, None)
    tensors = loaded.tensors
    ids = take_ids(tensors, "item", where)
    expected: artifact.Expected = {"popularity": ((len(ids),), np.int64)}
    found = {name: tensors.pop(name) for name in expected if name in tensors}
    artifact.check(found, expected, where)
    popularity = found["popularity"]
    if (popularity < 0).any() or int(popularity.sum()) != model.n_interactions:
        raise ArtifactError(f"{where}: popularity is not that of the interactions")
    unavailable = take_unavailable(tensors, len(ids), where)
    check_finite(tensors, where)
    wrong = sorted(model.user_names & tensors.keys())
    if wrong:
        raise ArtifactError(f"{where}: unexpected tensor {wrong[0]!r}, which is of users")
    return SharedItems(ids, tensors, unavailable, popularity)


def read_part(model: "ShardedModel", part: int) -> Stored:
    """Return what is stored of a part; raise ArtifactError, which names the shard."""
    if not 0 <= part < model.n_parts:
        raise IndexError(f"part {part} of {model.n_parts}")
    about = model.index["users"][part]
    where = f"{model.folder}: shard {part} of {model.n_parts} ({about['manifest']})"
    tensors = _load(model, USER_SHARD, about, where, part).tensors
    ids = take_ids(tensors, "user", where)
    ids = ids if len(ids) else model.no_ids
    if ids.kind != model.user_kind:
        raise ArtifactError(f"{where}: its ids are {ids.kind}, the model's {model.user_kind}")
    sizes = len(ids), len(model.items.ids)
    seen, weights = take_seen(tensors, sizes, where)
    validated = take_validated(tensors, sizes, where)
    forms = model.index["user_tensors"].items()
    expected: artifact.Expected = {
        name: ((len(ids), *form["shape"]), form["dtype"]) for name, form in forms
    }
    artifact.check(tensors, expected, where)
    check_finite(tensors, where)
    counted = (len(ids), int(np.count_nonzero(seen.counts)), len(seen.items))
    has_weights = weights is not None
    if counted != tuple(about[name] for name in COUNTS) or has_weights != about["weights"]:
        raise ArtifactError(f"{where}: it does not hold what {model.folder} says of it")
    if (part_of(ids, model.n_parts, USERS) != part).any():
        raise ArtifactError(f"{where}: it holds users of other parts")
    return with_items(model, tensors, ids, (seen, weights, validated), where)


def with_items(
    model: "ShardedModel",
    tensors: dict[str, np.ndarray],
    ids: Vocabulary,
    histories: tuple[Csr, np.ndarray | None, Csr | None],
    where: str,
) -> Stored:
    """Return what is stored of some users together with the items."""
    items = model.items
    seen, weights, validated = histories
    known = Known(ids, items.ids, seen, weights, items.unavailable, model.totals, validated)
    return Stored({**items.tensors, **tensors}, known, model.provenance, where)


def _load(
    model: "ShardedModel", kind: str, about: Mapping[str, Any], where: str, part: int | None
) -> artifact.Loaded:
    try:
        loaded = artifact.load(model.folder, kind, about["manifest"], mapped=True)
    except ArtifactError as error:
        if model.is_replaced():
            raise ArtifactError(
                f"{model.folder} was saved again since it was opened; open it again"
            ) from error
        raise ArtifactError(f"{where}: {error}") from error
    expected = {"model": model.name, "parts": model.n_parts}
    expected |= {} if part is None else {"part": part}
    if loaded.checksum != about["checksum"] or loaded.meta != expected:
        raise ArtifactError(
            f"{where} is of another model or another save of it; restore the folder from a copy"
            " or save the model again"
        )
    return loaded
