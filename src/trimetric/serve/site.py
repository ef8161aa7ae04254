"""What the handlers share."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from trimetric.serve.batching import Batcher
from trimetric.serve.metrics import Metrics
from trimetric.serve.page import Files
from trimetric.serve.settings import Settings
from trimetric.serve.shelf import Shelf
from trimetric.serve.snapshot import Snapshot

WORKERS = 4
JSON = b"application/json"


class Reply(NamedTuple):
    """What goes back."""

    status: int
    body: bytes
    media: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, error: str, **more: Any) -> None:
        super().__init__(error)
        self.status, self.error, self.more = status, error, more
        self.headers: tuple[tuple[bytes, bytes], ...] = more.pop("headers", ())


@dataclass
class Site:
    """Everything that one server serves from.

    Parameters
    ----------
    settings : Settings
    shelf : Shelf
    metrics : Metrics
    files : Files
        The explorer page.
    draining : bool
        Whether the server was told to stop.
    """

    settings: Settings
    shelf: Shelf
    metrics: Metrics
    files: Files
    draining: bool = False
    batchers: dict[str, Batcher] = field(init=False)
    pool: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        # One a model, so that a slow one keeps no other waiting.
        self.batchers = {name: Batcher(self.metrics) for name in self.shelf.snapshots}
        self.pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="answer")

    def snapshot(self, name: str | None) -> Snapshot:
        """Return the current version of a model, or refuse with 404."""
        try:
            return self.shelf.get(name)
        except KeyError:
            served = list(self.shelf.snapshots)
            raise Refusal(404, f"no model named {name!r} is served", near=served) from None

    def close(self) -> None:
        """Let the threads go."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        for batcher in self.batchers.values():
            batcher.close()
