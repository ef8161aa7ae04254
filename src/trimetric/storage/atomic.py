"""Write files so that a crash at any moment leaves the old one or the new one, whole."""

import ctypes
import glob
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from trimetric.errors import OutputError, TrimetricError
from trimetric.storage.causes import REMEDIES, system_error

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def finite(value: Any) -> Any:
    """Return a JSON value with null for every number that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn any error of the system in the body into an `OutputError` that names `path`."""
    try:
        yield
    except TrimetricError:
        raise
    except Exception as error:
        found = system_error(error)
        if isinstance(error, MemoryError) or (found is None and not isinstance(error, OSError)):
            raise
        number = found.errno if found else None
        reason = found.strerror if found else str(error)
        remedy = REMEDIES.get(number or 0, "choose another place")
        raise OutputError(f"cannot write {path}: {reason}; {remedy}") from error


@contextmanager
def output_folder(folder: Path) -> Iterator[None]:
    """Make `folder` and its parents for the body; new folders that stay empty are removed again."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for path in made:
            with suppress(OSError):
                path.rmdir()
        for path in made:
            sync_folder(path.parent)


@contextmanager
def locked(folder: Path, wait: bool = True) -> Iterator[bool]:
    """Hold a lock on `folder`, which goes when the body or the process ends.

    Yields whether we hold it: always with `wait`, and on systems without advisory locks.
    """
    if os.name == "nt":  # a folder cannot be opened there
        yield True
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        ours = _lock(handle, wait) is not False
        yield ours and _is_at(handle, folder)
    finally:
        os.close(handle)


@contextmanager
def reserved(folder: Path, doing: str) -> Iterator[None]:
    """Let one process at a time do something long with `folder`, such as training into it.

    The lock is on a hidden file beside `folder`, which is removed at the end; it goes when the body
    or the process ends.

    Raises
    ------
    OutputError
        Another process holds it, or it cannot be made; the message says what it is `doing`.
    """
    with ExitStack() as held:
        with output_errors(folder):
            folder = folder.resolve()
            held.enter_context(output_folder(folder.parent))
            file = held.enter_context(_reserve(folder, doing))
            held.callback(_unlink, file.name)
        yield


def _unlink(name: str) -> None:
    with suppress(OSError):
        os.unlink(name)


def _reserve(folder: Path, doing: str) -> BinaryIO:
    """Return the locked file of `reserved`."""
    name = folder.with_name(f".{folder.name}.lock")
    while True:
        file = open(name, "ab")  # noqa: SIM115
        if _lock(file.fileno()) is False:
            file.close()
            raise OutputError(
                f"another run is {doing} {folder}; wait until it is done or choose another folder"
            )
        if _is_at(file.fileno(), name):
            return file
        file.close()  # the one before us has just removed it


@contextmanager
def replacing(path: Path, final: Callable[[], Path] | None = None) -> Iterator[BinaryIO]:
    """Open a binary file that takes the place of `path` when the body ends, and not before.

    The bytes go to a temporary file beside it, are synced to the disk and renamed in one step. If
    the body or the disk fails, the temporary file is removed and what stood at `path` is intact;
    the temporary files of killed processes are removed by the next that writes the same file.
    Links are followed, and devices and pipes are written directly.

    Parameters
    ----------
    path : Path
        The file to make or replace.
    final : callable, optional
        Gives the path to rename to once the content is known; the default is `path`.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    with output_errors(path):
        path = path.resolve()
        if path.exists() and not path.is_file():
            with open(path, "wb") as out:
                yield out
            return
        _sweep(path)
        with _temporary(path) as out:
            try:
                yield out
                out.flush()
                os.fsync(out.fileno())
                os.replace(out.name, final() if final else path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(out.name)
                raise
        sync_folder(path.parent)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of `folder` when the body ends, and not before.

    It stands beside `folder` under a hidden name and is locked, so that there is one writer at a
    time. If the body or the disk fails, it is removed and what stood at `folder` is intact. Where
    the system can, both change places in one step. Elsewhere the old folder is gone between two
    renames; where a process was killed between them, the next one puts the old folder back.

    Raises
    ------
    OutputError
        The folder cannot be written, or another process is writing it.
    """
    with output_errors(folder), output_folder(folder.resolve().parent):
        folder = folder.resolve()
        fresh, old = (folder.with_name(f".{folder.name}.{end}") for end in ("new", "old"))
        fresh.mkdir(exist_ok=True)
        with locked(fresh, wait=False) as ours:
            if not ours:
                raise OutputError(
                    f"another run is writing {folder}; wait until it is done or choose another name"
                )
            try:
                _empty(fresh)
                if old.exists() and not folder.exists():
                    os.rename(old, folder)
                yield fresh
                for path in fresh.iterdir():
                    sync(path)
                _swap(fresh, folder, old)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
                if folder.exists():
                    shutil.rmtree(old, ignore_errors=True)


def _swap(fresh: Path, folder: Path, old: Path) -> None:
    """Let `fresh` take the place of `folder`; the old one ends at `fresh` or `old`."""
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        if _exchange(fresh, folder):
            sync_folder(folder.parent)
            return
        os.rename(folder, old)
    try:
        os.rename(fresh, folder)
    except OSError:
        if old.exists():
            os.rename(old, folder)
        raise
    sync_folder(folder.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step; False where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)


def _lock(handle: int, wait: bool = False) -> bool | None:
    """Lock an open file or folder; None where the system or the file system has no locks."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # some network file systems
        return None
    return True


def _is_at(handle: int, path: Path | str) -> bool:
    """Check that `path` is still the file or folder that was opened."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


@contextmanager
def _temporary(path: Path) -> Iterator[BinaryIO]:
    """Open a new file beside `path`; its lock tells `_sweep` that it is in use."""
    while True:
        name = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        with open(name, "xb") as out:
            _lock(out.fileno(), wait=True)
            if _is_at(out.fileno(), name):  # else it was swept before we had the lock
                yield out
                return


def _sweep(path: Path) -> None:
    """Remove the temporary files of `path` that no living process has locked."""
    for stray in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(OSError), open(stray, "rb") as file:
            if _lock(file.fileno()):
                stray.unlink()


def sync(path: Path) -> None:
    """Make what was written to a file or a folder last through a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` last through a power cut, where the system can."""
    with suppress(OSError):
        sync(folder)
