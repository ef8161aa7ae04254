"""Unpack gzip, bzip2, zstd, xz and zip, up to a limit."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Any

from trimetric.errors import DataError, MissingExtra

ENDINGS = {".gz": "gzip", ".bz2": "bzip2", ".zst": "zstd", ".zip": "zip", ".xz": "xz"}
MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"\xfd7zXZ\x00": "xz",
}
LIMIT = "TRIMETRIC_MAX_UNPACKED"
LEAST_LIMIT = 2**30  # bytes; below it nothing is refused
MOST_TIMES = 100  # logs shrink to a fifth or a tenth, rarely to a fiftieth
_CHUNK, _SMALL_CHUNK = 2**20, 2**14
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
"""How workbooks begin: those that are zip archives, and those of Excel before 2007."""
_IN_WORKBOOKS = {"[Content_Types].xml", "mimetype"}
DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile, ValueError)


def packing(ending: str, start: bytes) -> str | None:
    """Tell how bytes are packed: by the ending of their name, else by how they start."""
    if ending.lower() in ENDINGS:
        return ENDINGS[ending.lower()]
    return next((how for magic, how in MAGIC.items() if start.startswith(magic)), None)


def unpacked(stream: IO[bytes], how: str | None, size: int, name: str) -> bytes:
    """Read a stream of `size` bytes (0 if unknown) to its end, unpacking it.

    Raises
    ------
    DataError
        It is damaged or cut short, or unpacks to more than the limit: 1 GiB or a hundred times its
        size, whichever is more, unless the environment variable TRIMETRIC_MAX_UNPACKED gives a
        number of bytes.
    MissingExtra
        It is zstd, and nothing installed reads that.
    """
    if how is None:
        return stream.read()
    limit = _limit(size)
    try:
        if how == "zip":
            pieces, workbook = _of_zip(stream, name)
            pieces = _bounded(pieces, limit, size, name)
            if workbook is None:
                return _whole(pieces)
            for _ in pieces:  # only to see that it is no bomb
                pass
            return workbook
        with _opened(stream, how, name) as inner:
            return _whole(_bounded(_pieces(inner), limit, size, name))
    except DAMAGE as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name} is damaged or cut short ({error}); fetch it again") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise DataError(f"{name} is damaged or cut short ({error}); fetch it again") from None


def _limit(size: int) -> int:
    given = os.environ.get(LIMIT)
    if given is None:
        return max(LEAST_LIMIT, MOST_TIMES * size)
    if not given.isdecimal():
        raise DataError(f"{LIMIT} must be a number of bytes, got {given!r}")
    return int(given)


def _whole(pieces: Iterable[bytes]) -> bytes:
    out = io.BytesIO()
    for piece in pieces:
        out.write(piece)
    return out.getvalue()


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: stream.read(_CHUNK), b"")


def _bounded(pieces: Iterable[bytes], limit: int, size: int, name: str) -> Iterator[bytes]:
    """Yield them all, unless they are together longer than the limit."""
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > limit:
            times = f" ({limit // size:,} times its size)" if size else ""
            raise DataError(
                f"{name} unpacks to more than {limit:,} bytes{times}, which looks like a bomb; if"
                f" it is meant so, set {LIMIT} to the number of bytes to allow"
            )
        yield piece


def _opened(stream: IO[bytes], how: str, name: str) -> Any:
    if how == "gzip":
        return gzip.open(stream)
    if how == "bzip2":
        return bz2.open(stream)
    if how == "xz":
        return lzma.open(stream)
    return _zstd(stream, name)


def _of_zip(stream: IO[bytes], name: str) -> tuple[Iterator[bytes], bytes | None]:
    """Return the bytes of the only file in an archive; of a workbook, those of all, and itself."""
    packed = stream.read()
    archive = zipfile.ZipFile(io.BytesIO(packed))
    members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__")]
    is_workbook = bool(_IN_WORKBOOKS & {member.filename for member in members})
    if len(members) != 1 and not is_workbook:
        listed = ", ".join(member.filename for member in members[:5])
        raise DataError(
            f"{name} holds {len(members)} files ({listed}{', ...' if len(members) > 5 else ''});"
            " unpack it and give the one to read"
        )
    if any(member.flag_bits & 1 for member in members):
        raise DataError(f"{name} needs a password; unpack it and give the file in it")
    pieces = (piece for member in members for piece in _pieces(archive.open(member)))
    return pieces, packed if is_workbook else None


class _Zstd:
    """Reads zstd to its end; zstandard's own reader is content with a part of it."""

    def __init__(self, stream: IO[bytes], module: Any) -> None:
        self._stream, self._module, self._rest = stream, module, b""

    def __enter__(self) -> _Zstd:
        self._frame = self._module.ZstdDecompressor().decompressobj()
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def read(self, _: int) -> bytes:
        """Return the next bytes, b"" at the end."""
        while packed := self._rest or self._stream.read(_SMALL_CHUNK):
            if self._frame.eof:
                self._frame = self._module.ZstdDecompressor().decompressobj()
            try:
                out = self._frame.decompress(packed)
            except self._module.ZstdError as error:
                raise EOFError(str(error)) from None
            self._rest = self._frame.unused_data if self._frame.eof else b""
            if out:
                return out
        if not self._frame.eof:
            raise EOFError("the last frame has no end")
        return b""


def _zstd(stream: IO[bytes], name: str) -> Any:
    try:
        import zstandard
    except ImportError:
        raise MissingExtra(
            f"{name} is packed with zstd, which needs zstandard; install it with"
            " pip install 'trimetric[files]', or unpack the file"
        ) from None
    return _Zstd(stream, zstandard)
