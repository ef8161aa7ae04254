"""Which files hold users or items: lists, exports and models, by what is in them."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

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
EXPORT_IDS = {"users": "user", "items": "item"}


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
    return _export_file(file) and _text_holds(file, texts)


def _table_holds(file: Path, texts: dict[str, set[str]]) -> bool:
    with suppress(pl.exceptions.PolarsError, OSError):
        scan = SCANS[file.suffix](file)
        columns = scan.collect_schema().names()
        tests = [
            pl.col(name).cast(pl.String).is_in(list(texts[side])).any()
            for side, names in SIDES.items()
            for name in names
            if name in columns and texts[side]
        ]
        side = "user" if file.stem.startswith("user") else "item"
        if "id" in columns and texts[side]:
            tests.append(pl.col("id").cast(pl.String).is_in(list(texts[side])).any())
        return bool(tests) and bool(scan.select(pl.any_horizontal(tests)).collect().item())
    return False


def _export_file(file: Path) -> bool:
    """Whether a file belongs to an export of a space."""
    try:
        about = json.loads((file.parent / "manifest.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and about.get("format") == "trimetric export"


def _text_holds(file: Path, texts: dict[str, set[str]]) -> bool:
    """Whether an id stands by itself in a file of text, or an integer in a table of NumPy."""
    import re

    import numpy as np

    if file.suffix == ".npy":
        with suppress(ValueError, OSError):
            table = np.load(file, mmap_mode="r", allow_pickle=False)
            if table.ndim == 1 and table.dtype.kind in "iu":
                whole = [int(t) for side in texts.values() for t in side if t.lstrip("-").isdigit()]
                return bool(np.isin(table, whole).any())
        return False
    wanted = [re.escape(text) for side in texts.values() for text in side]
    pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(wanted)})(?![\w-])")
    try:
        with open(file, encoding="utf-8") as lines:
            return any(pattern.search(line) for line in lines)
    except (OSError, UnicodeDecodeError):
        return False


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
