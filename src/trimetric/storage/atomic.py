"""Write files so that a crash at any moment leaves the old one or the new one, whole."""

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from trimetric.errors import OutputError

_REMEDIES = {
    errno.ENOSPC: "free some space there or choose another folder",
    errno.EDQUOT: "free some of your quota there or choose another folder",
    errno.EROFS: "choose a folder on a file system that can be written",
    errno.EACCES: "ask for write permission or choose another folder",
    errno.EPERM: "ask for write permission or choose another folder",
    errno.ENOTDIR: "a file stands where a folder is needed; move it or choose another folder",
    errno.EEXIST: "a file stands where a folder is needed; move it or choose another folder",
    errno.EISDIR: "a folder stands where a file is needed; move it or choose another name",
}
_SHORT = re.compile(r"\d+ requested and \d+ written")  # all that NumPy says of a full disk


def finite(value: Any) -> Any:
    """Return a JSON value with null for every number that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn any `OSError` of the body into an `OutputError` that names `path` and the remedy."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        number = error.errno or (errno.ENOSPC if _SHORT.search(str(error)) else 0)
        reason = os.strerror(number) if number else str(error)
        remedy = _REMEDIES.get(number, "choose another place")
        raise OutputError(f"cannot write {path}: {reason}; {remedy}") from error


@contextmanager
def output_folder(folder: Path) -> Iterator[None]:
    """Make `folder` and its parents for the body; those made and left empty are removed again."""
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
    """Hold `folder` for this process alone; the lock goes with the process, however it ends.

    Yields whether it is ours, which is always so with `wait`.
    """
    try:
        import fcntl
    except ImportError:  # a system without advisory locks: one writer at a time is the rule there
        yield True
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        ours = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            ours = False
        except OSError:  # some network file systems have no locks either
            pass
        yield ours
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path, final: Callable[[], Path] | None = None) -> Iterator[BinaryIO]:
    """Open a binary file that takes the place of `path` when the body ends, and not before.

    The bytes go to a temporary file beside it, are synced to the disk and renamed in one step. If
    the body or the disk fails, the temporary file is removed and what stood at `path` is intact.
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
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with open(temporary, "wb") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            os.replace(temporary, final() if final else path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)


def take_place(made: Path, final: Path) -> None:
    """Rename a folder to where another may stand, which is then gone between two renames."""
    old = made.with_suffix(".old")
    if final.exists():
        os.rename(final, old)
    try:
        os.rename(made, final)
    except OSError:
        if old.exists():
            os.rename(old, final)
        raise
    sync_folder(final.parent)
    shutil.rmtree(old, ignore_errors=True)


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
