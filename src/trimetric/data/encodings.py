"""Text files as UTF-8 with line feeds, whatever they came as."""

from __future__ import annotations

import codecs

from trimetric.errors import DataError

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
UTF8 = ("utf-8", "utf8", "utf-8-sig", "utf_8", "u8")


def as_utf8(data: bytes, name: str, encoding: str | None) -> tuple[bytes, str]:
    """Return the text as UTF-8 without a byte-order mark, and the encoding it came in.

    Parameters
    ----------
    data : bytes
    name : str
        What to call the file in errors.
    encoding : str or None
        None finds UTF-8, and others by their mark.

    Raises
    ------
    DataError
        The bytes are not in that encoding, or the encoding is to be named.
    """
    marked = next((found for bom, found in BOMS if data.startswith(bom)), None)
    wanted = encoding or marked or "utf-8"
    if wanted.lower().replace("_", "-") in UTF8:
        if data.startswith(codecs.BOM_UTF8):
            return data[len(codecs.BOM_UTF8) :], "utf-8-sig"
        if encoding is None:
            _refuse_wide(data[:4096], name)
        return data, "utf-8"
    try:
        return data.decode(wanted).removeprefix("\ufeff").encode(), wanted
    except UnicodeError as error:
        raise DataError(
            f"{name} is not {wanted} text ({error}); name its encoding with encoding="
        ) from None


def check_utf8(data: bytes, name: str) -> None:
    """Raise DataError, naming the line, if the bytes are not UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as bad:
        line = data.count(b"\n", 0, bad.start) + 1
        raise DataError(
            f"{name}: line {line} is not UTF-8 text; if it is text in another encoding, name it,"
            " such as encoding='latin-1' or encoding='cp1252'"
        ) from None


def _refuse_wide(start: bytes, name: str) -> None:
    """Refuse what looks like UTF-16 without a mark: every other byte is zero."""
    if len(start) >= 4 and 0.4 < start.count(0) / len(start) < 0.6:
        ends = "le" if start[1::2].count(0) > start[::2].count(0) else "be"
        raise DataError(f"{name} looks like UTF-16 without a mark; give encoding='utf-16-{ends}'")


def unix_lines(data: bytes) -> bytes:
    """Return text whose lines end as those of classic Mac OS with line feeds."""
    return data.replace(b"\r", b"\n") if b"\r" in data and b"\n" not in data else data
