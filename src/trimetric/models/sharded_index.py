"""What the manifest of a model in parts says of its shards."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trimetric.errors import ArtifactError
from trimetric.models.saved import SHARDED
from trimetric.models.sharded_writing import MOST_PARTS
from trimetric.storage import artifact

FORMS = ("float16", "float32", "float64", "int32", "int64")
COUNTS = ("users", "trained", "interactions")


def check_index(index: Mapping[str, Any], names: frozenset[str], where: str) -> None:
    """Raise ArtifactError where the index of shards is not as it was written.

    `names` are those of the model's tensors of users.
    """

    def count(value: Any) -> bool:
        return type(value) is int and 0 <= value < 2**62

    def shard(value: Any, name: str) -> bool:
        return (
            isinstance(value, dict)
            and isinstance(value.get("checksum"), str)
            and isinstance(value.get("manifest"), str)
            and re.fullmatch(rf"{name}-[0-9a-f]{{12}}\.json", value["manifest"]) is not None
            and value["checksum"].startswith(value["manifest"][-17:-5])
        )

    def form(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and isinstance(value.get("dtype"), str)
            and value["dtype"] in FORMS
            and isinstance(value.get("shape"), list)
            and all(map(count, value["shape"]))
        )

    parts, users = index.get("parts"), index.get("users")
    forms = index.get("user_tensors")
    fits = (
        type(parts) is int
        and 1 <= parts <= MOST_PARTS
        and isinstance(users, list)
        and len(users) == parts
        and index.get("user_ids") in ("int", "str")
        and isinstance(forms, dict)
        and forms.keys() <= names
        and all(map(form, forms.values()))
        and shard(index.get("items"), "items")
        and all(
            shard(one, f"users-{part:05}")
            and all(count(one.get(name)) for name in COUNTS)
            and isinstance(one.get("weights"), bool)
            for part, one in enumerate(users)
        )
    )
    if not fits:
        raise ArtifactError(
            f"{where}: its index of shards is damaged; restore the folder from a copy or save the"
            " model again"
        )


def partitions_in(folder: str | Path) -> int | None:
    """Return in how many parts the model in a folder was saved; None where it is one whole.

    Raises
    ------
    ArtifactError
        There is no model.
    """
    kind, meta = artifact.kind_and_meta(folder)
    if kind != SHARDED:
        return None
    parts = meta.get("parts")
    if type(parts) is not int or parts < 1:
        raise ArtifactError(f"{folder}: its index of shards is damaged; save the model again")
    return parts
