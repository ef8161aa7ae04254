"""The served models, and how newer versions take the place of older ones."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from trimetric.errors import ParameterError, TrimetricError
from trimetric.serve.items import ItemsTable
from trimetric.serve.metrics import Metrics
from trimetric.serve.snapshot import Snapshot, load

LOOK_SECONDS = 1.0
MANIFEST = 3  # values that tell one manifest from another
log = logging.getLogger("trimetric.serve")


@dataclass
class Shelf:
    """The current snapshot of each model. A swap replaces one reference; a request takes it once.

    Parameters
    ----------
    folders : dict of str to Path
        By name; the first is the default.
    items : ItemsTable
    metrics : Metrics
    """

    folders: dict[str, Path]
    items: ItemsTable
    metrics: Metrics
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    _looks: dict[str, tuple] = field(default_factory=dict)
    _refused: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, models: tuple[Path, ...], items: ItemsTable, metrics: Metrics) -> "Shelf":
        """Load all models.

        Raises
        ------
        ArtifactError
            One cannot be loaded.
        ParameterError
            Two folders have one name.
        """
        folders: dict[str, Path] = {}
        for path in models:
            name = path.resolve().name
            if name in folders:
                raise ParameterError(
                    f"two models are named {name!r}: {folders[name]} and {path}; rename a folder"
                )
            folders[name] = path
        shelf = cls(folders, items, metrics)
        for name, folder in folders.items():
            shelf._looks[name] = look(folder)
            shelf.snapshots[name] = load(folder, name, items)
        return shelf

    def get(self, name: str | None) -> Snapshot:
        """Return the current version of a model, of the first one by default.

        Raises
        ------
        KeyError
            None has that name.
        """
        if name is None:
            return next(iter(self.snapshots.values()))
        return self.snapshots[name]

    def changed(self) -> list[str]:
        """Return the names of models whose manifest is not what it was at the last look.

        Of one that was refused the tensors count too: a copy may bring them after the manifest.
        """
        fresh = {name: look(folder, name in self._refused) for name, folder in self.folders.items()}
        names = [name for name, seen in fresh.items() if seen != self._looks[name]]
        self._looks |= fresh
        return names

    def replace(self, name: str) -> None:
        """Load a model anew and let it take over, if it is whole and another version."""
        before = look(self.folders[name], tensors=True)
        try:
            fresh = load(self.folders[name], name, self.items)
        except Exception as error:
            ours = isinstance(error, TrimetricError)
            self.refused(name, str(error) if ours else f"{type(error).__name__}: {error}")
            self._looks[name] = before
            self._refused.add(name)
            return
        self._looks[name] = before[:MANIFEST]
        self._refused.discard(name)
        current = self.snapshots[name]
        if fresh.version != current.version:
            self.snapshots[name] = fresh
            self.metrics.swaps["ok"] += 1
            log.info("swapped", extra={"model": name, "from": current.version, "to": fresh.version})

    def refused(self, name: str, why: str) -> None:
        """Say that a newer artifact was refused; the older one serves on."""
        self.metrics.swaps["refused"] += 1
        serving = self.snapshots[name].version
        log.error("swap refused", extra={"model": name, "serving": serving, "why": why})


def look(folder: Path, tensors: bool = False) -> tuple:
    """Return what tells one manifest from another without reading it, and with `tensors` them."""
    found = _told(folder / "model.json")
    if not tensors:
        return found
    return *found, *((path.name, *_told(path)) for path in sorted(folder.glob("*.safetensors")))


def _told(path: Path) -> tuple:
    """Return MANIFEST values."""
    try:
        found = path.stat()
    except OSError as error:
        return error.errno, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino


async def watch(shelf: Shelf, asked: asyncio.Event, poll: bool) -> None:
    """Swap models as their artifacts change: when asked to, and every second if `poll`."""
    loop = asyncio.get_running_loop()
    loader = ThreadPoolExecutor(1, thread_name_prefix="load")
    try:
        while True:
            try:
                await asyncio.wait_for(asked.wait(), LOOK_SECONDS if poll else None)
                asked.clear()
                shelf.changed()
                names = list(shelf.folders)
            except TimeoutError:
                names = shelf.changed()
            for name in names:
                await loop.run_in_executor(loader, shelf.replace, name)
    finally:
        loader.shutdown(wait=False, cancel_futures=True)
