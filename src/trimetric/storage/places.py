"""Places that people name: paths on this machine, told from URIs, with ~ as the home folder."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from trimetric.errors import DataError, OutputError, ParameterError, TrimetricError

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_FOLDED = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")  # a URI that was made a Path
_SECRET = re.compile(r"(?<=://)[^/@]*@")
_EMPTY = "{} is the empty text ''; give a path"
_CAUSES = {
    errno.ELOOP: "is a loop of symbolic links; give the file or folder itself",
    errno.ENAMETOOLONG: "is longer than the system allows; give a shorter path",
}


def is_uri(place: Any) -> bool:
    """Tell whether a place is a URI such as s3://bucket/key, and not a path."""
    text = os.fspath(place) if isinstance(place, os.PathLike) else place
    if not isinstance(text, str) or not (_URI.match(text) or _FOLDED.match(text)):
        return False
    return _URI.match(text) is not None or not os.path.exists(text.split("/", 1)[0])


def in_store(place: Any) -> bool:
    """Tell whether a place is in an object store: a URI, and neither a file's nor a web page's."""
    if not is_uri(place):
        return False
    return os.fspath(place).split(":", 1)[0].lower() not in ("file", "http", "https")


def shown(place: Any) -> str:
    """Return a place for messages, without what stands before an @, which may be a password."""
    return _SECRET.sub("", str(place))


def given(value: Any, what: str = "path") -> Path | None:
    """Return what names a file, a folder or a URI as a path; None for anything else.

    Raises
    ------
    ParameterError
        It is the empty text, which would be the current folder.
    """
    if not isinstance(value, str | os.PathLike) or isinstance(os.fspath(value), bytes):
        return None
    if not os.fspath(value):
        raise ParameterError(_EMPTY.format(what))
    return Path(value).expanduser()


def output(place: Any, what: str = "out") -> Path:
    """Return the path to write to.

    ~ is expanded, and file:// URIs are paths.

    Raises
    ------
    ParameterError
        It is no text or path, or empty.
    OutputError
        It is a URI of another kind, or no path that the system can have.
    """
    return _local(place, what, OutputError)


def source(place: Any, what: str = "path") -> Path:
    """Return the path to read from; as `output`, with DataError for what cannot be read."""
    return _local(place, what, DataError)


def _local(place: Any, what: str, refused: type[TrimetricError]) -> Path:
    if not isinstance(place, str | os.PathLike) or isinstance(os.fspath(place), bytes):
        raise ParameterError(f"{what} must be a path, got {type(place).__name__} {place!r:.60}")
    text = os.fspath(place)
    if not text:
        raise ParameterError(_EMPTY.format(what))
    if is_uri(text):
        text = _of_uri(text, what, refused)
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise refused(f"{text}: the home folder of ~ is not known; give the whole path") from None
    try:
        path.stat()
    except OSError as error:
        if error.errno in _CAUSES:
            short = str(path) if len(str(path)) <= 80 else f"{str(path)[:80]}..."
            raise refused(f"{short} {_CAUSES[error.errno]}") from None
    except ValueError:
        raise refused(f"{text!r:.80} holds a character that no path can have") from None
    return path


def _of_uri(uri: str, what: str, refused: type[TrimetricError]) -> str:
    parts = urlsplit(uri)
    if parts.scheme.lower() == "file" and parts.netloc in ("", "localhost"):
        return unquote(parts.path)
    if refused is OutputError:
        remedy = "write to a folder of this machine and copy it there"
    else:
        remedy = "copy it to this machine and give its path"
    raise refused(f"{what} {shown(uri)} is a URI, not a path; {remedy}")
