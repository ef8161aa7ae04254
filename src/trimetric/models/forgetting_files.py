"""Which files hold users or items: lists, exports and models, by what is in them."""

import json
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from trimetric.data.ids import Vocabulary
from trimetric.data.names import candidates
from trimetric.errors import ArtifactError, DataError
from trimetric.space.export.to_pgvector import copied
from trimetric.storage import artifact

SCANS: dict[str, Any] = {
    ".parquet": pl.scan_parquet,
    ".csv": lambda path: pl.scan_csv(path, infer_schema=False),
    ".jsonl": lambda path: pl.scan_ndjson(path, infer_schema_length=None),
}
SIDES = {"user": ("user", "user_id", "similar"), "item": ("item", "item_id", "similar")}
EXPORT_IDS = {"users": "user", "items": "item"}
COPIES = {
    "trimetric_users": ("user",),
    "trimetric_items": ("item",),
    "trimetric_seen": ("user", "item"),
}
Texts = dict[str, set[str]]


def refuse_unsearchable(paths: list[Path]) -> None:
    """Raise DataError for the first path where nothing is, or a file in which nothing is found."""
    for path in paths:
        if not path.exists():
            raise DataError(f"cannot search {path}: there is no such file or folder")
        if path.is_file() and not _searchable(path):
            raise DataError(
                f"cannot search {path}: what is searched are tables (.parquet, .csv, .jsonl) with"
                " columns such as user and item, exports and saved models"
            )


def _searchable(file: Path) -> bool:
    if file.name == "model.json" or _export_about(file.parent) is not None:
        return True
    if file.suffix not in SCANS:
        return False
    try:
        columns = SCANS[file.suffix](file).collect_schema().names()
    except (pl.exceptions.PolarsError, OSError):
        return False
    return "id" in columns or any(_columns(side, columns) for side in SIDES)


def _columns(side: str, existing: list[str]) -> list[str]:
    """Return the columns with users or with items, by the names that lists and logs use."""
    ours = [name for name in SIDES[side] if name in existing]
    return list(dict.fromkeys([*ours, *candidates(side, existing)]))


def holders(paths: list[Path], users: list, items: list) -> list[str]:
    """Return the files that hold one of these: see `forgetting.files_with`."""
    texts = {"user": {str(value) for value in users}, "item": {str(value) for value in items}}
    found: set[str] = set()
    for path in paths:
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and _holds(file, texts):
                found.add(str(file))
    return sorted(found)


def _holds(file: Path, texts: Texts) -> bool:
    if file.name == "model.json":
        return _model_holds(file.parent, texts)
    about = _export_about(file.parent)
    if about is not None:
        return _export_holds(file, about, texts)
    return file.suffix in SCANS and _table_holds(file, texts)


def _table_holds(file: Path, texts: Texts) -> bool:
    """Whether a column of users or items has one of theirs."""
    with suppress(pl.exceptions.PolarsError, OSError):
        scan = SCANS[file.suffix](file)
        columns = scan.collect_schema().names()
        tests = [
            pl.col(name).cast(pl.String).is_in(list(texts[side])).any()
            for side in SIDES
            for name in _columns(side, columns)
            if texts[side]
        ]
        side = "user" if file.stem.startswith("user") else "item"
        if "id" in columns and texts[side]:
            tests.append(pl.col("id").cast(pl.String).is_in(list(texts[side])).any())
        return bool(tests) and bool(scan.select(pl.any_horizontal(tests)).collect().item())
    return False


def _export_about(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of an export of a space; None where there is no such export."""
    try:
        about = json.loads((folder / "manifest.json").read_bytes())
    except (OSError, ValueError):
        return None
    ours = isinstance(about, dict) and about.get("format") == "trimetric export"
    return about if ours else None


def _export_holds(file: Path, about: dict[str, Any], texts: Texts) -> bool:
    """Whether a file of an export holds an id, each by the form that such a file has."""
    stem, _, rest = file.name.partition("_ids")
    side = EXPORT_IDS.get(f"{stem}s" if rest else file.stem)
    with suppress(pl.exceptions.PolarsError, OSError, ValueError):
        if file.name == "manifest.json":
            return not texts["item"].isdisjoint(map(str, about.get("unavailable") or []))
        if file.suffix == ".md":
            return _example_holds(file, texts)
        if file.suffix == ".sql":
            return _copies_hold(file, texts)
        if file.name == "seen.parquet":
            return _table_holds(file, texts)
        if side is not None:
            return not texts[side].isdisjoint(map(str, _export_ids(file, side)))
    return False


def _export_ids(file: Path, side: str) -> list[Any]:
    """Return the ids in a file of an export that has those of one side; none in one of points."""
    import numpy as np

    if file.suffix == ".parquet":
        return pl.read_parquet(file, columns=["id"])["id"].to_list()
    if file.suffix == ".jsonl":
        payload = pl.scan_ndjson(file, schema={"payload": pl.Struct({side: pl.String})})
        return payload.select(pl.col("payload").struct.field(side)).collect()[side].to_list()
    if file.name == f"{side}_ids.json":
        return json.loads(file.read_bytes())
    if file.name == f"{side}_ids.npy":
        return np.load(file, allow_pickle=False).tolist()
    return []


def _copies_hold(file: Path, texts: Texts) -> bool:
    """Whether a row that COPY reads has an id in its columns of ids."""
    wanted = {side: {copied(text) for text in ids} for side, ids in texts.items()}
    sides: tuple[str, ...] = ()
    with open(file, encoding="utf-8", newline="\n") as lines:
        for line in lines:
            if line.startswith("COPY ") and not sides:
                sides = COPIES.get(line.split()[1], ())
            elif line == "\\.\n":
                sides = ()
            elif any(
                value in wanted[side]
                for side, value in zip(sides, line.rstrip("\n").split("\t"), strict=False)
            ):
                return True
    return False


def _example_holds(file: Path, texts: Texts) -> bool:
    """Whether the README of an export asks for a user, as that for PostgreSQL does."""
    lines = file.read_text(encoding="utf-8").splitlines()
    commands = (shlex.split(line) for line in lines if line.strip().startswith("psql "))
    return any(
        word.removeprefix("user=") in texts["user"]
        for command in commands
        for word in command
        if word.startswith("user=")
    )


def _model_holds(folder: Path, texts: Texts) -> bool:
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
