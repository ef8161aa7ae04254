"""Files needed soon, read by a thread, so that the system has them in its cache by then."""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Self

_BLOCK = 1 << 20  # bytes read at a time


class ReadAhead:
    """Reads files beside other work; a context that ends the reading when it is left."""

    def __init__(self) -> None:
        self._over = Event()
        self._thread = ThreadPoolExecutor(1, "read-ahead")
        self._last: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.shutdown(cancel_futures=True)

    def read(self, paths: Iterable[Path]) -> None:
        """Begin to read files. Those asked for before that have not been begun are left out."""
        if self._last is not None:
            self._last.cancel()
        wanted = list(paths)
        self._last = self._thread.submit(self._read, wanted) if wanted else None

    def wait(self) -> None:
        """Wait until what was asked for last is read."""
        if self._last is not None:
            self._last.result()

    def _read(self, paths: list[Path]) -> None:
        block = bytearray(_BLOCK)
        for path in paths:
            # A file that is missing or cannot be read is told of by whoever needs it.
            with suppress(OSError), open(path, "rb", buffering=0) as file:
                while not self._over.is_set() and file.readinto(block):
                    pass
