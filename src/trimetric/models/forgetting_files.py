"""Which files hold users or items: lists, exports and models, by what is in them."""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trimetric.data.ids import Vocabulary
from trimetric.errors import ArtifactError, DataError
from trimetric.storage import artifact

SCANS: dict[str, Any] = {
    ".parquet": pl.scan_parquet,
    ".csv": lambda path: pl.scan_csv(path, infer_schema=False),
    ".jsonl": lambda path: pl.scan_ndjson(path, infer_schema_length=None),
}
SIDES = {"user": ("user", "user_id", "similar"), "item": ("item", "item_id", "similar")}
COPIES = {
    "trimetric_items": ("item",),
    "trimetric_users": ("user",),
    "trimetric_seen": ("user", "item"),
}
"""Of load.sql of an export: the tables that are filled, and what their first columns are ids of."""


def holders(paths: list[Path], users: list, items: list) -> list[str]:
    """Return the files that hold one of these: see `forgetting.files_with`."""
    texts = {"user": {str(value) for value in users}, "item": {str(value) for value in items}}
    found: set[str] = set()
    for path in paths:
        if not path.exists():
            raise DataError(f"cannot search {path}: there is no such file or folder")
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and _holds(file, texts):
                found.add(str(file))
    return sorted(found)


def _holds(file: Path, texts: dict[str, set[str]]) -> bool:
    if file.name == "model.json":
        return _model_holds(file.parent, texts)
    if file.suffix in SCANS:
        return _table_holds(file, texts)
    if not _is_of_export(file):
        return False
    with suppress(OSError, ValueError):  # ValueError: what is damaged is no export of ours
        return any(text in texts[side] for side, text in _ids_in_export(file))
    return False


def _table_holds(file: Path, texts: dict[str, set[str]]) -> bool:
    with suppress(pl.exceptions.PolarsError, OSError):
        scan = SCANS[file.suffix](file)
        schema = scan.collect_schema()
        columns = {name: pl.col(name) for name in schema.names()}
        if isinstance(payload := schema.get("payload"), pl.Struct):  # of Qdrant, whose id is a row
            columns = {f.name: pl.col("payload").struct.field(f.name) for f in payload.fields}
        side = "user" if file.stem.startswith("user") else "item"
        tests = [
            columns[name].cast(pl.String).is_in(list(texts[side])).any()
            for side, names in (*SIDES.items(), (side, ("id",)))
            for name in names
            if name in columns and texts[side]
        ]
        return bool(tests) and bool(scan.select(pl.any_horizontal(tests)).collect().item())
    return False


def _is_of_export(file: Path) -> bool:
    """Whether a file belongs to an export of a space."""
    try:
        about = json.loads((file.parent / "manifest.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and about.get("format") == "trimetric export"


def _ids_in_export(file: Path) -> Iterator[tuple[str, str]]:
    """Yield "user" or "item" and an id as text, for each id that a file of an export holds.

    Rows, positions and what was seen by row are no ids.
    """
    side = file.name.removesuffix(file.suffix).removesuffix("_ids")
    if file.name == "manifest.json":
        yield from (("item", str(one)) for one in json.loads(file.read_bytes())["unavailable"])
    elif file.name in ("user_ids.json", "item_ids.json"):
        yield from ((side, str(one)) for one in json.loads(file.read_bytes()))
    elif file.name in ("user_ids.npy", "item_ids.npy"):
        yield from ((side, str(one)) for one in np.load(file, allow_pickle=False).tolist())
    elif file.name == "load.sql":
        yield from _ids_in_sql(file)
    elif file.name == "README.md":  # that for PostgreSQL shows how to ask for one of the users
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.strip().startswith("psql "):
                words = (word.partition("=") for word in shlex.split(line))
                yield from (("user", value) for name, _, value in words if name == "user")


def _ids_in_sql(file: Path) -> Iterator[tuple[str, str]]:
    kinds: tuple[str, ...] = ()
    with open(file, encoding="utf-8", newline="\n") as lines:
        for line in lines:
            if line.startswith("COPY "):
                kinds = COPIES.get(line.split()[1], ())
            elif line == "\\.\n":
                kinds = ()
            elif kinds:
                fields = line.rstrip("\n").split("\t")
                yield from (
                    (kind, _unescaped(one)) for kind, one in zip(kinds, fields, strict=False)
                )


def _unescaped(text: str) -> str:
    """Return what a field of COPY says: see `space.export.to_pgvector`."""
    if "\\" not in text:
        return text
    meant = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}
    return re.sub(r"\\(.)", lambda found: meant.get(found[1], found[0]), text)


def _model_holds(folder: Path, texts: dict[str, set[str]]) -> bool:
    try:
        return any(
            vocabulary.values.cast(pl.String).is_in(list(texts[side])).any()
            for side, vocabulary in _vocabularies(folder)
        )
    except ArtifactError:
        return False


def _vocabularies(folder: Path) -> Iterator[tuple[str, Vocabulary]]:
    """Return the ids that a saved model holds, those of a model in parts one part after another."""
    from trimetric.models.saved import SHARDED, stored
    from trimetric.models.sharded import ShardedModel

    loaded = artifact.load(folder)
    if loaded.kind == "model":
        known = stored(loaded, str(folder)).known
        yield from (("user", known.user_ids), ("item", known.item_ids))
    if loaded.kind == SHARDED:
        model = ShardedModel.open(folder)
        yield "item", model.item_ids
        for part in range(model.n_parts):
            yield "user", model.stored(part).known.user_ids
