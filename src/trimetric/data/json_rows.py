"""Read JSON: one object per line, or an array of objects."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from trimetric.data.delimited import Pick
from trimetric.data.in_memory import of_rows
from trimetric.errors import DataError


def json_lines(data: bytes, name: str, pick: Pick) -> pl.DataFrame:
    """Read one JSON object per line; numbers and text keep their types."""
    lines = enumerate(data.splitlines(), 1)
    return of_rows([_object(line, name, n) for n, line in lines if line.strip()], pick, name)


def json_array(data: bytes, name: str, pick: Pick) -> pl.DataFrame:
    """Read a JSON array of objects; numbers and text keep their types."""
    try:
        rows = json.loads(data, object_pairs_hook=_once)
    except _Twice as error:
        raise DataError(f"{name} {error}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name} is not JSON ({error})") from None
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(
                f"{name}: line {number} must be a JSON object, as must all elements of an array;"
                f" got {str(row)[:40]!r}"
            )
    return of_rows(rows, pick, name)


class _Twice(Exception):
    """A JSON object has one name twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Twice(f"has {twice!r} twice in one object; rename one of them")
    return row


def _object(line: bytes, name: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line, object_pairs_hook=_once)
    except _Twice as error:
        raise DataError(f"{name}: line {number} {error}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: line {number} is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise DataError(f"{name}: line {number} must be a JSON object, got {str(value)[:40]!r}")
    return value
