"""Folders that are made on this machine and published in a store, and copied back from there.

What is published gets its index last: a store holds either no index, or a whole folder. A folder
that is opened from a store is copied to a cache, under a name that its index determines.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from trimetric.errors import ArtifactError, OutputError, Superseded
from trimetric.storage import places
from trimetric.storage.atomic import output_errors
from trimetric.storage.store import Store

MODEL = "model.json"
PROBE = ".trimetric-probe"
_AT_ONCE = 8  # files that are sent or fetched
_NAMED = re.compile(
    rb"(?:tensors-[0-9a-f]{12}\.safetensors|(?:items|users-[0-9]{5,})-[0-9a-f]{12}\.json)"
)


def in_cache(name: str) -> Path:
    """Return the folder of this machine for something of a store.

    It is inside TRIMETRIC_CACHE, or else ~/.cache/trimetric.
    """
    return Path(os.environ.get("TRIMETRIC_CACHE") or "~/.cache/trimetric").expanduser() / name


def working(out: str | os.PathLike) -> Path:
    """Return where output is made: the path itself, or of a URI a folder in the cache."""
    if not places.in_store(out):
        return places.output(out)
    store = Store(out)
    digest = hashlib.sha256(f"{store.scheme}://{store.path}".encode()).hexdigest()
    return in_cache(f"unpublished/{digest[:16]}").absolute()


@contextmanager
def publishing(out: Any, replaces: str | None = None) -> Iterator[Any]:
    """Give a folder to make a model in, which is published at the end where `out` is in a store.

    After a failure the folder stays, so that training can be resumed. Any other `out`, None too, is
    given as it is.

    Parameters
    ----------
    out : path, URI or None
    replaces : str, optional
        The checksum that the index in the store must have at the start.

    Raises
    ------
    OutputError
        The store cannot be written; this is found out at the start, too.
    Superseded
        Another index is there.
    """
    if not places.in_store(out):
        yield out
        return
    store = Store(out, writing=True)
    probe(store)
    if replaces is not None and replaces.encode() not in (store.read(MODEL) or b""):
        raise Superseded(f"another save came to {store} in the meantime, and stays; run this again")
    folder = working(out)
    yield folder
    publish(folder, store, MODEL)
    before = {file.name for file in store.files(deep=False)}
    now = {path.name for path in folder.iterdir()}
    for name in sorted(before - now):
        if _NAMED.fullmatch(name.encode()):  # of a model that stood there
            store.remove(name)
    shutil.rmtree(folder, ignore_errors=True)


def finish(out: str | os.PathLike) -> None:
    """Publish a model that an earlier run has made, and was stopped before it was published."""
    if places.in_store(out) and (working(out) / MODEL).exists():
        with publishing(out):
            pass


def probe(store: Store) -> None:
    """Raise OutputError where a store cannot be written, before work is done for nothing."""
    store.files(deep=False)
    store.put(PROBE, b"")
    store.remove(PROBE)


def publish(folder: Path, store: Store, index: str) -> None:
    """Copy all files of a folder to a store, `index` after the others; hidden ones stay."""
    names = [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    ]
    names.remove(index)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            list(pool.map(lambda name: store.put(name, folder / name), names))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    store.put(index, folder / index)


def fetched(place: str | os.PathLike) -> Path:
    """Return the folder of an artifact: the path itself, or a copy of what a store holds.

    A copy lies in the cache under the digest of its `model.json`, which names all other files by
    theirs; it is fetched once. Its shards come with it.

    Raises
    ------
    ArtifactError
        The store holds no artifact there, or not all of it.
    DataError
        The store cannot be read.
    """
    if not places.in_store(place):
        return places.source(place, "folder")
    store, before = Store(place), b""
    while True:
        index = store.read(MODEL)
        if index is None:
            raise _no_model(store)
        folder = in_cache(f"models/{hashlib.sha256(index).hexdigest()[:32]}")
        if (folder / MODEL).exists():
            return folder
        with output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        missing = _fetch_named(store, index, folder)
        if not missing:
            with output_errors(folder):
                fresh = folder / f".{MODEL}.{os.getpid()}"
                fresh.write_bytes(index)
                fresh.replace(folder / MODEL)
            return folder
        with suppress(OSError):
            folder.rmdir()
        if index == before:
            raise ArtifactError(
                f"{store}/{missing} is missing; publish the model again, from a copy or by saving"
                " it"
            )
        before = index  # another model may have been published in the meantime


def _no_model(store: Store) -> ArtifactError:
    if store.kind() == "file":
        return ArtifactError(f"{store} is a file; give the folder that a model was saved to")
    if not store.files(deep=False):
        return ArtifactError(f"there is nothing at {store}; give where a model was saved to")
    return ArtifactError(
        f"{store} is not a trimetric artifact: it has no {MODEL}; give where a model was saved to"
    )


def _fetch_named(store: Store, index: bytes, folder: Path) -> str:
    """Fetch what an index names, and what its shards name; return the first that is missing."""
    names = sorted({name.decode() for name in _NAMED.findall(index)})
    while names:
        wanted = [name for name in names if not (folder / name).exists()]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            there = list(pool.map(lambda name: store.fetch(name, folder / name), wanted))
        if not all(there):
            return wanted[there.index(False)]
        shards = [folder / name for name in names if name.endswith(".json")]
        names = sorted({n.decode() for path in shards for n in _NAMED.findall(path.read_bytes())})
    return ""


class Folder:
    """A folder whose files are read: one of this machine, or one in a store.

    Files of a store are copied to the cache of the machine that asks, when they are first asked
    for. It can be pickled.

    Parameters
    ----------
    place : path or URI
    index : str
        The file that determines the others: copies are kept under its digest.
    """

    def __init__(self, place: str | os.PathLike, index: str) -> None:
        self.store: Store | None = None
        self._digest = ""
        if not places.in_store(place):
            self._path = places.source(place, "folder")
            return
        self.store = Store(place)
        content = self.store.read(index)
        if content is not None:
            self._digest = hashlib.sha256(content).hexdigest()[:32]

    def __str__(self) -> str:
        return str(self.store or self._path)

    @property
    def path(self) -> Path:
        """Where its files are on this machine."""
        return in_cache(f"prepared/{self._digest}") if self.store else self._path

    def holds(self, name: str) -> bool:
        """Tell whether a file, or a folder, is in it."""
        if self.store is not None:
            return bool(self.store.kind(name))
        return (self._path / name).exists()

    def file(self, name: str) -> Path:
        """Return the path of a file on this machine; there may be none."""
        path = self.path / name
        if self.store is not None and not path.exists():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(
                    f"cannot keep what {self.store} holds in {path.parent}: {error.strerror}; set"
                    " TRIMETRIC_CACHE to a folder that can be written"
                ) from None
            self.store.fetch(name, path)
        return path
