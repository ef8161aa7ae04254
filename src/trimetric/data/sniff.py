"""Find out how a text table is written: its separator, and what its quotes mean."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable

import numpy as np

from trimetric.errors import DataError

SEPARATORS = (",", "\t", ";", "|", "::")
SAMPLE_BYTES, SAMPLE_LINES = 2**16, 50
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def separator(data: bytes, preferred: str, accepts: Callable[[list[str]], bool], name: str) -> str:
    """Return what separates the fields.

    It is what stands equally often in each of the first lines, and under which the header has the
    columns that are wanted.

    Parameters
    ----------
    data : bytes
        UTF-8 text with a header.
    preferred : str
        What the name of the file says.
    accepts : callable
        Tells whether a header has the columns that are wanted.
    name : str
        What to call the file in errors.

    Raises
    ------
    DataError
        Several separators are possible.
    """
    lines = _sample(data)
    header = lines[0] if lines else ""
    regular = [
        sign
        for sign in SEPARATORS
        if sign in header and len({line.count(sign) for line in lines}) == 1
    ]
    by_header = next((s for s in (preferred, *";\t|,") if s in header), preferred)
    possible = list(dict.fromkeys([*regular, by_header]))
    fitting = [sign for sign in possible if accepts(fields(header, sign))]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting and preferred in possible:
        fitting = [preferred] if header.count(preferred) else possible
    best = fitting or possible
    if len(best) == 1 or not regular:
        return best[0]
    if len(regular) == 1:
        return regular[0]
    shown = " or ".join(repr(sign) for sign in best)
    raise DataError(f"{name} may be separated by {shown}; say which with separator=")


def fields(line: str, sign: str) -> list[str]:
    """Split a line of a table; quotes hold fields together."""
    if len(sign) > 1:
        return [field.strip('"') for field in line.split(sign)]
    try:
        return next(csv.reader(io.StringIO(line, newline=""), delimiter=sign), [])
    except csv.Error:
        return line.split(sign)


def _sample(data: bytes) -> list[str]:
    text = data[:SAMPLE_BYTES].decode("utf-8", "replace")
    first = text.split("\n", 1)[0].rstrip("\r")
    lines = _QUOTED.sub('""', text).split("\n")
    if len(data) > SAMPLE_BYTES:
        lines = lines[:-1] or lines
    lines = [line.rstrip("\r") for line in lines if line.strip()][:SAMPLE_LINES]
    return [first, *lines[1:]] if lines and first.strip() else lines


def well_quoted(data: bytes, sign: str, quote: str) -> bool:
    """Tell whether each quote opens or closes a whole field, or is doubled in one.

    Readers disagree on all other quotes, and some lose rows over them.
    """
    if len(sign.encode()) == 1:
        return _well_quoted(np.frombuffer(data, np.uint8), ord(sign), ord(quote))
    q, s = re.escape(quote.encode()), re.escape(sign.encode())
    whole = rb"(?:(?<=^)|(?<=[\n])|(?<=" + s + rb"))" + q + rb"(?:[^" + q + rb"]|" + q + q + rb")*"
    rest = re.sub(whole + q + rb"(?=" + s + rb"|\r?\n|\r?\Z)", b"", data)
    return quote.encode() not in rest


def _well_quoted(data: np.ndarray, sign: int, quote: int) -> bool:
    """Check that quotes open and close by turns; a doubled one closes and opens at once."""
    at = np.flatnonzero(data == quote)
    if len(at) % 2:
        return False
    opening, closing = at[::2], at[1::2]
    before = data[opening[opening > 0] - 1]
    after = data[closing[closing < len(data) - 1] + 1]
    return bool(
        np.isin(before, (sign, ord("\n"), quote)).all()
        and np.isin(after, (sign, ord("\n"), ord("\r"), quote)).all()
    )


def first_odd_quote(data: bytes, sign: str, quote: str) -> int:
    """Return the line of the first quote that `well_quoted` objects to, counted from 1."""
    for number, line in enumerate(data.split(b"\n"), 1):
        if quote.encode() in line and not well_quoted(line, sign, quote):
            return number
    return 1
