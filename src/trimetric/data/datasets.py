"""Data sets by name: generated ones, and public ones found on this machine; nothing is fetched."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

import polars as pl

from trimetric.data import readers
from trimetric.data.interactions import Interactions
from trimetric.data.published import PUBLISHED, load_published, published_titles
from trimetric.errors import DataError, ParameterError

GENERATED = {
    "bookshop": "1,500 readers and 800 books, generated, with titles",
    "planted": "2,000 users and 800 items, generated from a known space",
}
"""Names of data sets that are always there, and what they are."""

NAMES = (*PUBLISHED, *GENERATED)
"""Names that `load` knows."""

_WRITTEN = ("model.json", "checkpoint", "report.json", "runs")


def folders() -> list[Path]:
    """Return where data sets are looked for: TRIMETRIC_DATA, then the cache folder.

    The cache folder is TRIMETRIC_CACHE, or else ~/.cache/trimetric if the user has a home.
    """
    given = os.environ.get("TRIMETRIC_DATA")
    cache = os.environ.get("TRIMETRIC_CACHE")
    cache = cache or os.path.expanduser("~/.cache/trimetric")
    return [Path(folder) for folder in (given, cache) if folder and not folder.startswith("~")]


def available() -> dict[str, Path]:
    """Return the known public data sets that are on this machine, and where."""
    paths = {name: _find(name) for name in PUBLISHED}
    return {name: path for name, path in paths.items() if path is not None}


def has(name: str) -> bool:
    """Tell whether a data set of this name is on this machine, known or not."""
    return _find(name) is not None


def is_meant(name: str) -> bool:
    """Tell whether a name means a data set and not a file or folder.

    A file or folder of that name comes first, but for one that trimetric wrote: the folder of a
    model or of a report that is called like its data set.
    """
    if not _plain(name):
        return False
    if not os.path.exists(name):
        return True
    known = name in NAMES or has(name)
    return known and any(Path(name, written).exists() for written in _WRITTEN)


def load(name: str, **rules: Any) -> Interactions:
    """Read a data set by name.

    It is `<name>.parquet` in one of `folders()`, or a folder `<name>` there that holds the files
    as officially published. Where neither is there, "bookshop" and "planted" are generated: see
    `trimetric.synthetic`.

    Parameters
    ----------
    name : str
        One of `NAMES`, such as "ml_1m".
    **rules
        As for `Interactions.read`, for instance min_rating=4.

    Raises
    ------
    DataError
        If it is not on this machine; says where it is published and where to put it.
    ParameterError
        The name is no text, or a rule is unknown or out of range.
    """
    path = _find(name)
    if path is None and name in GENERATED:
        return _generated(name, rules)
    if path is None:
        raise DataError(_absent(name))
    if path.is_dir():
        return Interactions.from_frame(load_published(name, path), name=name, **rules)
    return Interactions.read(path, **rules).changed(name=name)


def titles(name: str) -> pl.DataFrame | None:
    """Return the titles of a data set's items (columns item and title), None if not at hand.

    They are those of `items(name)`.
    """
    found = items(name)
    return found if found is None else found.select("item", "title")


def items(name: str) -> pl.DataFrame | None:
    """Return what is known of a data set's items: columns item, title and others, or None.

    It is `<name>_items.parquet` in one of `folders()`, MovieLens' own u.item or movies.dat in the
    folder `<name>` there, or the books of "bookshop".
    """
    for folder in folders() if _plain(name) else ():
        path = folder / f"{name}_items.parquet"
        if path.is_file():
            return readers.load(path, lambda columns: {column: column for column in columns})[0]
        published = published_titles(name, folder / name)
        if published is not None:
            return published
    if name == "bookshop" and _find(name) is None:
        from trimetric.data.bookshop import books

        return books()
    return None


def _generated(name: str, rules: dict[str, Any]) -> Interactions:
    from trimetric.data import synthetic

    if rules.get("min_rating") is not None:
        raise DataError(f"{name} has no ratings; leave min_rating out")
    made = synthetic.bookshop() if name == "bookshop" else synthetic.planted()
    data = made.interactions
    if all(value is None for value in rules.values()):
        return data
    return Interactions.from_frame(data.to_frame(), name=name, **rules)


def _plain(name: Any) -> bool:
    if not isinstance(name, str):
        raise ParameterError(
            f"name must be that of a data set, such as 'ml_1m', got {name!r:.80}; Interactions"
            " reads files and tables"
        )
    short = 0 < len(name) < 200  # longer ones are no names of files
    return short and name.replace("_", "").replace("-", "").isalnum()


def _find(name: str) -> Path | None:
    if _plain(name):
        for folder in folders():
            if (folder / f"{name}.parquet").is_file():
                return folder / f"{name}.parquet"
            if name in PUBLISHED and (folder / name).is_dir():
                return folder / name
    return None


def _absent(name: str) -> str:
    looked = " and ".join(str(folder) for folder in folders())
    if name not in PUBLISHED:
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {near[0]!r}? There are" if near else "there are"
        return f"no file or data set is called {name!r}; {hint} {', '.join(NAMES)}"
    known = PUBLISHED[name]
    where = f" at {known.url}" if known.url else ""
    return (
        f"data set {name!r} is not on this machine (looked in {looked}); it is published as"
        f" {known.title}{where}: put {known.files} in {folders()[-1] / name}, or set TRIMETRIC_DATA"
        f" to a folder that holds {name}.parquet. bookshop and planted are always there"
    )
