"""The served models, and how newer versions replace older ones."""

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from trimetric.engine.threads import limit_this_thread
from trimetric.errors import ParameterError, TrimetricError
from trimetric.serve.items import ItemsTable
from trimetric.serve.monitoring import Metrics
from trimetric.serve.served_model import ServedModel, load

POLL_SECONDS = 1.0
log = logging.getLogger("trimetric.serve")
Stamp = tuple[tuple, ...]


@dataclass
class ModelRegistry:
    """The current version of each model. A swap replaces one reference; a request takes it once.

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
    served: dict[str, ServedModel] = field(default_factory=dict)
    check_now: asyncio.Event = field(default_factory=asyncio.Event)
    _stamps: dict[str, Stamp] = field(default_factory=dict)
    _refused: set[str] = field(default_factory=set)
    _replacing: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def load(cls, models: tuple[Path, ...], items: ItemsTable, metrics: Metrics) -> "ModelRegistry":
        """Load all models.

        Raises
        ------
        ArtifactError
            A model cannot be loaded.
        ParameterError
            Two folders have the same name.
        """
        folders: dict[str, Path] = {}
        for path in models:
            name = path.resolve().name
            if name in folders:
                raise ParameterError(
                    f"two models are named {name!r}: {folders[name]} and {path}; rename a folder"
                )
            folders[name] = path
        registry = cls(folders, items, metrics)
        for name, folder in folders.items():
            registry._stamps[name] = manifest_stamp(folder)
            registry.served[name] = load(folder, name, items)
        return registry

    def get(self, name: str | None) -> ServedModel:
        """Return the current version of a model, of the first one by default.

        Raises
        ------
        KeyError
            No model has that name.
        """
        if name is None:
            return next(iter(self.served.values()))
        return self.served[name]

    def changed(self) -> list[str]:
        """Return the names of models whose manifest has changed since the last check.

        For a model that was refused, its tensors count too: a copy may bring them after the
        manifest.
        """
        fresh = {
            name: manifest_stamp(folder, tensors=name in self._refused)
            for name, folder in self.folders.items()
        }
        names = [name for name, stamp in fresh.items() if stamp != self._stamps[name]]
        self._stamps |= fresh
        return names

    def replace(self, name: str) -> None:
        """Load a model anew and serve it, if it is intact and another version."""
        with self._replacing:  # a slower load of an older version must not end last
            self._replace(name)

    def _replace(self, name: str) -> None:
        before = manifest_stamp(self.folders[name], tensors=True)
        try:
            fresh = load(self.folders[name], name, self.items)
        except Exception as error:
            ours = isinstance(error, TrimetricError)
            self._refuse(name, str(error) if ours else f"{type(error).__name__}: {error}")
            self._stamps[name] = before
            self._refused.add(name)
            return
        self._stamps[name] = before[:1]
        self._refused.discard(name)
        current = self.served[name]
        if fresh.version != current.version:
            self.served[name] = fresh
            self.metrics.swaps.labels("ok").inc()
            log.info("swapped", extra={"model": name, "from": current.version, "to": fresh.version})

    def _refuse(self, name: str, why: str) -> None:
        self.metrics.swaps.labels("refused").inc()
        serving = self.served[name].version
        log.error("swap refused", extra={"model": name, "serving": serving, "why": why})


def manifest_stamp(folder: Path, tensors: bool = False) -> Stamp:
    """Return what changes when a manifest does, without reading it; with `tensors`, theirs too."""
    manifest = folder / "model.json"
    files = [manifest, *(sorted(folder.glob("*.safetensors")) if tensors else [])]
    return tuple(_file_stamp(path) for path in files)


def _file_stamp(path: Path) -> tuple:
    try:
        status = path.stat()
    except OSError as error:
        return path.name, error.errno
    return path.name, status.st_mtime_ns, status.st_size, status.st_ino


async def watch(registry: ModelRegistry, poll: bool) -> None:
    """Swap models whose artifacts change: when `check_now` is set, each second if `poll`."""
    loop = asyncio.get_running_loop()
    loader = ThreadPoolExecutor(1, "load", limit_this_thread, (1,))
    try:
        while True:
            try:
                await asyncio.wait_for(registry.check_now.wait(), POLL_SECONDS if poll else None)
                registry.check_now.clear()
                registry.changed()
                names = list(registry.folders)
            except TimeoutError:
                names = registry.changed()
            for name in names:
                await loop.run_in_executor(loader, registry.replace, name)
    finally:
        loader.shutdown(wait=False, cancel_futures=True)
