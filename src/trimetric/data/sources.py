"""Where data comes from: files, folders, patterns, standard input, file objects and URIs."""

from __future__ import annotations

import difflib
import errno
import glob
import io
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from trimetric.data import unpack
from trimetric.errors import DataError, MissingExtra, ParameterError
from trimetric.storage import places

ENDINGS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "csv",
    ".dat": "csv",
    ".data": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".avro": "avro",
    ".orc": "orc",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".xlsb": "excel",
    ".xls": "excel",
    ".ods": "excel",
    ".inter": "tsv",  # of RecBole, as is the next
    ".item": "tsv",
}
_RARE = (".item", ".json", *(end for end, kind in ENDINGS.items() if kind == "excel"))
_IN_FOLDERS = {end: kind for end, kind in ENDINGS.items() if end not in _RARE}
_ENOUGH_FILES = 64
_MORE_FILES = "allow more with ulimit -n"


@dataclass(frozen=True)
class Source:
    """One file to read.

    Attributes
    ----------
    name : str
        As messages call it.
    path : Path or None
        Where it lies on this machine, if it does.
    content : bytes or None
        Its bytes as they came, if it lies elsewhere.
    columns : dict
        What the names of its folders say: {"day": "2020-01-01"} for day=2020-01-01.
    """

    name: str
    path: Path | None = None
    content: bytes | None = None
    columns: dict[str, str] = field(default_factory=dict)

    @property
    def endings(self) -> list[str]:
        """The endings of the file's name, the last first."""
        path = urlsplit(self.name).path if places.is_uri(self.name) else self.name
        return [end.lower() for end in reversed(Path(path).suffixes)]

    def open(self) -> io.BufferedReader:
        """Open the bytes as they are, packed or not."""
        if self.path is None:
            return io.BufferedReader(io.BytesIO(self.content or b""))
        try:
            return self.path.open("rb")
        except OSError as error:
            raise DataError(f"{self.name} cannot be read: {why(error)}") from None

    def read(self) -> bytes:
        """Return all bytes, unpacked."""
        with self.open() as stream:
            try:
                start = stream.peek(8)[:8]
                how = unpack.packing(self.endings[0] if self.endings else "", start)
                return unpack.unpacked(stream, how, self.size, self.name)
            except OSError as error:
                raise DataError(f"{self.name} cannot be read: {why(error)}") from None

    @property
    def size(self) -> int:
        """The number of bytes, 0 where that is not known."""
        if self.path is None:
            return len(self.content or b"")
        return self.path.stat().st_size if self.path.is_file() else 0


def find(given: Any) -> list[Source]:
    """Return the files that are meant, in a fixed order.

    Parameters
    ----------
    given : str, path, open file, or sequence of these
        A file; a folder, whose files of one format are read, with columns from folders named
        name=value; a pattern with *; - for standard input; a URI.

    Raises
    ------
    DataError
        There is no such file, it is a device, or a folder has no files of one format.
    ParameterError
        It is nothing of the kind.
    """
    if isinstance(given, str) and given == "-":
        return [Source("standard input", content=sys.stdin.buffer.read())]
    if isinstance(given, str) and "\n" in given:
        raise ParameterError(
            "a text of several lines is no path; give io.StringIO(text) to read the text itself"
        )
    if isinstance(given, Source):
        return [given]
    if hasattr(given, "read") and not isinstance(given, type):
        return [_of_object(given)]
    if isinstance(given, str | os.PathLike):
        return _of_place(given)
    if isinstance(given, Sequence) and not isinstance(given, bytes | bytearray):
        if not given:
            raise ParameterError("the list of files is empty; give at least one")
        return [found for one in given for found in find(one)]
    raise ParameterError(
        f"a path, an open file or a list of them is needed, got {type(given).__name__}"
    )


def _of_object(stream: Any) -> Source:
    try:
        content = stream.read()
    except (OSError, ValueError) as error:
        raise DataError(f"the file object cannot be read: {error}") from None
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    if not isinstance(content, bytes | bytearray):
        raise ParameterError(f"a file object must give bytes or text, got {type(content).__name__}")
    name = getattr(stream, "name", None)
    return Source(name if isinstance(name, str) else "the file object", content=bytes(content))


def _of_place(given: str | os.PathLike) -> list[Source]:
    if places.in_store(given):
        from trimetric.data import in_stores

        return [
            Source(file.name, content=file.read(), columns=file.columns)
            for file in in_stores.find(given)
        ]
    if places.is_uri(given) and urlsplit(str(given)).scheme.lower() != "file":
        return [_of_uri(str(given))]
    path = places.source(given)
    try:
        if path.is_dir():
            return _of_folder(path)
        if not path.exists():
            return _of_pattern(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {why(error)}") from None
    mode = path.stat().st_mode
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        raise DataError(f"{path} is a device, which may have no end; give a file, or - for a pipe")
    return [Source(str(path), path)]


def _of_pattern(path: Path) -> list[Source]:
    if not glob.has_magic(str(path)):
        raise DataError(absent(path))
    found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
    files = [Source(str(file), file, columns=hive(file)) for file in found if file.is_file()]
    if not files:
        raise DataError(f"{path} matches no file")
    return files


def _of_folder(folder: Path) -> list[Source]:
    try:
        paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {why(error)}") from None
    found = of_one_format([PurePosixPath(path.as_posix()) for path in paths], str(folder))
    return [Source(str(folder / path), folder / path, columns=hive(path)) for path in found]


def of_one_format(names: list[PurePosixPath], folder: str) -> list[PurePosixPath]:
    """Return the files of a folder that are meant, in order: those whose format is read.

    Parameters
    ----------
    names : list of path
        Below the folder; those that begin with . or _, or are in such folders, are left out.
    folder : str
        For messages.

    Raises
    ------
    DataError
        There are none, they are of several formats, or the folder is one that trimetric wrote for
        another use.
    """
    _refuse_ours({str(name) for name in names}, folder)
    kinds: dict[str, list[PurePosixPath]] = {}
    for kinds_of in (_IN_FOLDERS, ENDINGS):
        for path in sorted(names):
            if any(part.startswith((".", "_")) for part in path.parts):
                continue
            ends = [end.lower() for end in reversed(path.suffixes)]
            ends = ends[1:] if ends and ends[0] in unpack.ENDINGS else ends
            if ends and ends[0] in kinds_of:
                kinds.setdefault(kinds_of[ends[0]], []).append(path)
        if kinds:
            break
    if not kinds:
        raise DataError(f"{folder} is a folder without files of a format that is read, such as csv")
    if len(kinds) > 1:
        counted = ", ".join(f"{len(paths)} {kind}" for kind, paths in sorted(kinds.items()))
        raise DataError(
            f"{folder} is a folder with files of several formats ({counted}); give one file in it,"
            f" or a pattern such as {folder}/*.{min(kinds)}"
        )
    return next(iter(kinds.values()))


def _refuse_ours(names: set[str], folder: str) -> None:
    """Raise DataError for the folder of a split, of a model, or of prepared parts."""
    if {"split.json", "train.parquet"} <= names:
        raise DataError(
            f"{folder} holds a split, and reading all of it would join its test part to the others;"
            f" give a part, such as {folder}/train.parquet, or {folder}/*.parquet if all are meant"
        )
    if "model.json" in names:
        raise DataError(
            f"{folder} is a saved model, and no log: trimetric.load({folder!r}) opens it; give the"
            " interactions that are meant"
        )
    if "prepared.json" in names:
        raise DataError(
            f"{folder} holds prepared parts, which fit, estimate and data inspect take; give the"
            " files that they were made of"
        )


def hive(path: PurePath) -> dict[str, str]:
    """Return what the names of folders say: {"day": "2020-01-01"} for day=2020-01-01."""
    pairs = [part.split("=", 1) for part in path.parts[:-1] if "=" in part]
    missing = "__HIVE_DEFAULT_PARTITION__"
    return {name: unquote(value) for name, value in pairs if name and value != missing}


def _of_uri(uri: str) -> Source:
    """Read all of a URI through fsspec."""
    shown = places.shown(uri)
    try:
        content = _fsspec(uri, shown)
    except (DataError, MissingExtra):
        raise
    except Exception as error:  # each file system has errors of its own
        reason = places.shown(" ".join(str(error).split())[:200]) or type(error).__name__
        raise DataError(f"{shown} cannot be read: {reason}") from None
    return Source(shown, content=content)


def _fsspec(uri: str, shown: str) -> bytes:
    try:
        import fsspec

        with fsspec.open(uri, "rb") as stream:
            return stream.read()
    except ImportError as error:
        raise MissingExtra(
            f"{shown} cannot be read without more packages ({error}); install them with"
            " pip install 'trimetric[files]', or fetch the file"
        ) from None


def why(error: OSError) -> str:
    """Say why a file cannot be opened, with the remedy where the cause is this process's limits."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"too many open files; {_MORE_FILES} (now {_open_files()})"
    return (error.strerror or str(error)).lower()


def few_descriptors() -> str:
    """Name the limit on open files if it is so low that libraries fail in odd ways; else ""."""
    allowed = _open_files()
    if allowed is None or allowed >= _ENOUGH_FILES:
        return ""
    return f"only {allowed} open files are allowed; {_MORE_FILES}"


def _open_files() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def absent(path: Path) -> str:
    """Say that a file does not exist, and which it may be instead."""
    folder = path.parent
    if path.is_symlink():
        return f"{path} is a link to {os.readlink(path)}, which does not exist; mend the link"
    if not folder.is_dir():
        return f"{path} does not exist, nor does its folder"
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        names = []
    near = difflib.get_close_matches(path.name, names, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "check the name"
    return f"{path} does not exist; {hint}"
