"""The files that a URI means: one object, all of a folder, or those that a pattern matches."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from trimetric.data import sources
from trimetric.errors import DataError
from trimetric.storage.store import Store, Stored

_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True)
class Remote:
    """A file in a store.

    Parameters
    ----------
    store : Store
        Its place.
    size, changed : int
        As in `Stored`.
    columns : dict
        What the names of its folders say, as in `Source`.
    """

    store: Store
    size: int
    changed: int
    columns: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The URI as messages call it."""
        return str(self.store)

    @property
    def uri(self) -> str:
        """The URI as it is opened."""
        return self.store.uri

    def read(self) -> bytes:
        """Return its bytes."""
        content = self.store.read()
        if content is None:
            raise DataError(f"{self.name} has been removed since it was listed")
        return content


def find(given: str | os.PathLike) -> list[Remote]:
    """Return the files that a URI means, in the order that files of this machine would have.

    Raises
    ------
    DataError
        There is none, the store cannot be reached, or a folder has no files of one format.
    MissingExtra
        What reaches the store is not installed.
    """
    store = Store(given)
    one = store.stat()
    if one is not None:
        return [_remote(store, one)]
    if _MAGIC.search(store.path):
        return _matching(store)
    files = {PurePosixPath(file.name): file for file in store.files()}
    if not files:
        raise DataError(f"{store} does not exist, neither as an object nor as a folder")
    names = sources.of_one_format(list(files), str(store))
    return [_remote(store.below(files[name].name), files[name], name) for name in names]


def _matching(store: Store) -> list[Remote]:
    parts = store.path.split("/")
    fixed = next(at for at, part in enumerate(parts) if _MAGIC.search(part))
    if fixed == 0:
        raise DataError(f"{store}: the bucket must be named, without * ? [ in its name")
    root, pattern = store.at("/".join(parts[:fixed])), tuple(parts[fixed:])
    found = [
        _remote(root.below(file.name), file, PurePosixPath(f"{root.path}/{file.name}"))
        for file in root.files(deep=len(pattern) > 1 or pattern == ("**",))
        if _matches(PurePosixPath(file.name).parts, pattern)
    ]
    if not found:
        raise DataError(f"{store} matches no file; {root} has {_some(root)}")
    return found


def _some(root: Store) -> str:
    names = [file.name for file in root.files()]
    if not names:
        return "no files"
    return f"{len(names):,} others, such as {names[0]}"


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Tell whether a path matches a pattern as `glob.glob(recursive=True)` would."""
    if not pattern:
        return not parts
    if pattern[0] == "**" and _matches(parts, pattern[1:]):
        return True
    if not parts or (parts[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    if pattern[0] == "**":
        return _matches(parts[1:], pattern)
    return fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _remote(store: Store, file: Stored, path: PurePosixPath | None = None) -> Remote:
    """Return a file; the folders of `path` tell of columns."""
    return Remote(store, file.size, file.changed, sources.hive(path) if path else {})
