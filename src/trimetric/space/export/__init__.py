"""A space as files that others serve: plain L2 order is the recommendation order."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from trimetric._version import __version__
from trimetric.errors import OutputError, ParameterError
from trimetric.keywords import check_switch, is_one_of
from trimetric.space.export.space import Space
from trimetric.space.known import Known
from trimetric.space.metric import MetricSpace
from trimetric.storage import places
from trimetric.storage.atomic import output_errors, replacing_folder

FORMAT = "trimetric export"
KINDS = ("npy", "parquet", "faiss", "pgvector", "qdrant")


def export(
    scorer: MetricSpace,
    known: Known,
    to: str,
    out: str | Path,
    *,
    model: str = "",
    approximate: bool = False,
) -> dict[str, Any]:
    """Write a space to a folder that a server can be fed with, and say there how.

    The folder has the positions of items and users with their ids, which items each user was
    trained on, so that a server can leave them out, README.md, which gives the order contract and
    an example, and manifest.json. It appears whole or not at all; the same space gives the same
    bytes.

    Parameters
    ----------
    scorer : MetricSpace
    known : Known
        The ids of its rows, and what each user has seen.
    to : "npy", "parquet", "faiss", "pgvector" or "qdrant"
    out : path
        A folder; an earlier export there is replaced.
    model : str
        The model's name, which the export's README and manifest mention.
    approximate : bool
        For "faiss": an inverted file, to be searched approximately, instead of a flat index.

    Returns
    -------
    dict
        What the manifest says.

    Raises
    ------
    ParameterError
        `to` is none of these, or `approximate` is no bool or given for another than "faiss".
    DataError
        An id cannot be held by what it is written for.
    OutputError
        The folder cannot be written, or holds anything else; what was there is intact.
    MissingExtra
        "faiss", and faiss is not installed.
    """
    if not is_one_of(to, KINDS):
        raise ParameterError(f"to must be one of {', '.join(KINDS)}, got {to!r}")
    check_switch("approximate", approximate)
    if approximate and to != "faiss":
        raise ParameterError(f"approximate is for to='faiss', got {to!r}, whose server indexes")
    write: Callable[..., str] = import_module(f"{__name__}.to_{to}").write
    ids = known.item_ids, known.user_ids
    space = Space(scorer.items, scorer.users, *ids, known.seen, model, len(known.unavailable))
    more = {"approximate": approximate} if to == "faiss" else {}
    out = places.output(out)
    with output_errors(out):
        _refuse_foreign(out)
        out.resolve().parent.mkdir(parents=True, exist_ok=True)
        with replacing_folder(out) as folder:
            (folder / "README.md").write_text(write(space, folder, **more), encoding="utf-8")
            about = {
                "format": FORMAT,
                "trimetric": __version__,
                "to": to,
                "model": space.model,
                "dim": space.items.shape[1],
                "items": len(space.items),
                "users": len(space.users),
                "unavailable": known.item_ids.decode(known.unavailable).to_list(),
                "distance": "Euclidean; the nearest is the best",
                "files": {path.name: _described(path) for path in sorted(folder.iterdir())},
            }
            (folder / "manifest.json").write_text(json.dumps(about, indent=2) + "\n")
    return about


def _refuse_foreign(out: Path) -> None:
    """Raise OutputError where something stands that is not an export of ours, or more than that."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    about: Any = None
    with suppress(OSError, ValueError):
        about = json.loads((out / "manifest.json").read_bytes())
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise OutputError(
            f"{out} exists and is not an export of trimetric; move it away or choose another folder"
        )
    ours = {*about.get("files", ()), "manifest.json"}
    added = sorted({path.name for path in out.iterdir()} - ours)
    if added:
        raise OutputError(
            f"{out} holds {added[0]!r} besides an export of trimetric; move it away or choose"
            " another folder"
        )


def _described(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}
