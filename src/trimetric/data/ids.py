"""Original ids and the row numbers that stand for them."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import polars as pl

from trimetric.data.forks import check_threads
from trimetric.errors import DataError, ParameterError

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
EXACT_FLOAT = 2**53


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The distinct ids of the users, or of the items: row r stands for the r-th smallest id.

    Parameters
    ----------
    values : polars.Series
        Int64 or String, sorted (text by its UTF-8 bytes), unique, without nulls.
    """

    values: pl.Series

    def __post_init__(self) -> None:
        check_threads()

    @classmethod
    def from_values(cls, values: pl.Series) -> Vocabulary:
        """Collect the distinct ids of an Int64 or String series; nulls are left out."""
        check_threads()
        return cls(values.drop_nulls().unique().sort().rename("id"))

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[int | str]:
        return iter(self.values)

    def __contains__(self, value: object) -> bool:
        return bool(self.encode([value])[0] >= 0)

    def __getitem__(self, rows: Any) -> Any:
        """Return the id of a row, or the ids of several: a slice, a mask or row numbers.

        Returns
        -------
        int or str, or polars.Series
        """
        if isinstance(rows, slice):
            return self.values[rows]
        if np.ndim(rows) == 0:
            return self.values[operator.index(rows)]
        return self.values.gather(np.arange(len(self))[np.asarray(rows)])

    def __repr__(self) -> str:
        return f"Vocabulary({len(self):,} {self.kind} ids)"

    @property
    def kind(self) -> Literal["int", "str"]:
        """What the ids are."""
        return "str" if self.values.dtype == pl.String else "int"

    def encode(self, ids: Iterable[Any]) -> np.ndarray:
        """Return the row of each id as int32, -1 where the id is unknown.

        An id matches only its own type: 7 and "7" are different ids. Whole floats match ints.

        Raises
        ------
        ParameterError
            If `ids` is a single id instead of a list of them.
        """
        if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
            raise ParameterError(f"ids must be a list, got the single id {ids!r}; give [{ids!r}]")
        check_threads()
        wanted = self.typed(ids)
        if not len(self) or not len(wanted):
            return np.full(len(wanted), -1, dtype=np.int32)
        # Polars plans each call of its own, which for one id costs more than finding it.
        holes = wanted.null_count() > 0
        filled = wanted.fill_null(self.values[0]) if holes else wanted
        if self.kind == "int":
            values, numbers = self.values.to_numpy(), filled.to_numpy()
            rows = np.minimum(np.searchsorted(values, numbers), len(self) - 1)
            known = values[rows] == numbers
        else:
            rows = np.minimum(self.values.search_sorted(filled).to_numpy(), len(self) - 1)
            known = (self.values.gather(rows) == filled).to_numpy()
        if holes:
            known = known & wanted.is_not_null().to_numpy()
        return np.where(known, rows.astype(np.int64), -1).astype(np.int32)

    def typed(self, ids: Iterable[Any]) -> pl.Series:
        """Return `ids` in the dtype of `values`, null where an id cannot be one of them."""
        series = ids if isinstance(ids, pl.Series) else None
        if isinstance(ids, np.ndarray) and ids.dtype.kind in "iuU":
            with suppress(UnicodeEncodeError):
                series = pl.Series(np.ascontiguousarray(ids))
        if series is not None:
            if self.kind == "int" and series.dtype.is_integer():
                return series.cast(pl.Int64, strict=False)
            if self.kind == "str" and series.dtype in (pl.String, pl.Categorical, pl.Enum):
                return series.cast(pl.String)
        convert = _to_int if self.kind == "int" else _to_str
        return pl.Series([convert(i) for i in ids], dtype=self.values.dtype)

    def decode(self, rows: Iterable[int]) -> pl.Series:
        """Return the original id of each row; the rows must lie in 0..len-1."""
        check_threads()
        return self.values.gather(np.asarray(rows, dtype=np.int64))

    def parse(self, texts: Iterable[str]) -> list[int | str]:
        """Read ids typed as text: as int where the ids are ints and the text is one."""
        return [_parsed(text) if self.kind == "int" else text for text in texts]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the ids as plain arrays: {"ids"}, or {"utf8", "offsets"} (uint8, int64 n+1)."""
        if self.kind == "int":
            return {"ids": np.array(self.values.to_numpy())}
        offsets = np.zeros(len(self) + 1, dtype=np.int64)
        np.cumsum(self.values.str.len_bytes().to_numpy(), out=offsets[1:])
        utf8 = "".join(self.values.to_list()).encode()
        return {"utf8": np.frombuffer(utf8, dtype=np.uint8).copy(), "offsets": offsets}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Vocabulary:
        """Rebuild from `to_arrays`.

        Raises
        ------
        DataError
            If the arrays are not what `to_arrays` gives: wrong names, offsets or text, or ids
            that are not sorted and unique.
        """
        if set(arrays) == {"ids"}:
            values = pl.Series("id", np.asarray(arrays["ids"]), dtype=pl.Int64)
        elif set(arrays) == {"utf8", "offsets"}:
            values = pl.Series("id", _texts(arrays["utf8"], arrays["offsets"]), dtype=pl.String)
        else:
            raise DataError(f"ids are stored as 'ids' or 'utf8' + 'offsets', got {sorted(arrays)}")
        if len(values) > 1 and not (values[1:] > values[:-1]).all():
            raise DataError("stored ids are not sorted and unique; the file is damaged")
        return cls(values)


def _to_int(value: Any) -> int | None:
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, int | np.integer):
        return int(value) if INT64_MIN <= int(value) <= INT64_MAX else None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return int(value) if abs(float(value)) < EXACT_FLOAT else None
    return None


def _to_str(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which no UTF-8 text holds
        return None
    return str(value)


def _parsed(text: str) -> int | str:
    try:
        number = int(text)
    except ValueError:
        return text
    return number if str(number) == text else text


def _texts(utf8: np.ndarray, offsets: np.ndarray) -> list[str]:
    data, ends = bytes(np.asarray(utf8, dtype=np.uint8)), np.asarray(offsets, dtype=np.int64)
    spans_all = len(ends) > 0 and ends[0] == 0 and ends[-1] == len(data)
    if not spans_all or (np.diff(ends) < 0).any():
        raise DataError("the offsets of the stored ids do not fit their text; the file is damaged")
    try:
        bounds = ends.tolist()
        return [data[a:b].decode() for a, b in pairwise(bounds)]
    except UnicodeDecodeError as error:
        raise DataError(f"stored ids are not UTF-8 text ({error}); the file is damaged") from None
