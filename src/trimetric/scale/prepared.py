"""Interactions that `prepare` divided into parts and wrote to files."""

from __future__ import annotations

import re
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
import polars as pl

from trimetric.data.ids import Vocabulary
from trimetric.data.report import ReadReport
from trimetric.errors import DataError, ParameterError
from trimetric.scale.pair_files import pyarrow_ipc
from trimetric.scale.parts import CHUNKS, Cell
from trimetric.scale.spilling import read_json
from trimetric.storage import places
from trimetric.storage.published import Folder

FORMAT, VERSION = "trimetric prepared interactions", 1
INDEX = "prepared.json"
PLAN = "work/plan.json"  # what `prepare` writes first, of what is not finished
_WEB = ("http", "https")
_MOST_OPEN = 4  # files of pairs
_HELD_OUT = {
    "valid": "pairs held out in valid",
    "test": "pairs held out in test",
    "users_without_other_pairs": "users with held-out pairs only, in no part",
    "items_without_other_pairs": "items with held-out pairs only, in no part",
}


class Prepared:
    """Interactions divided into parts, read from a folder that `prepare` wrote.

    Files are opened when they are first read, and pairs are memory-mapped, so that it takes little
    memory, however large the log is. It can be pickled: other processes read the same folder.

    Parameters
    ----------
    folder : path or URI
        What `prepare`, or `trimetric data prepare`, wrote. Files in an object store are
        copied to the cache (TRIMETRIC_CACHE) of the machine that reads them, when it first does.

    Raises
    ------
    DataError
        There is no such folder, it is not finished, or of another version.
    MissingExtra
        PyArrow is not installed.
    """

    def __init__(self, folder: str | PathLike) -> None:
        self.files = Folder(folder, INDEX)
        self.index = _index(self.files)
        pyarrow_ipc()

    def __getstate__(self) -> dict[str, Any]:
        return {"files": self.files, "index": self.index}

    @property
    def folder(self) -> Path:
        """Where its files are, or come to be, on this machine."""
        return self.files.path

    @property
    def name(self) -> str:
        """The folder or URI, for messages."""
        return str(self.files)

    @property
    def n_parts(self) -> int:
        """The number of user parts, P."""
        return self.index["partitions"]

    @cached_property
    def user_counts(self) -> np.ndarray:
        """Users of each part, int64 (P,)."""
        return np.array(self.index["user_counts"], dtype=np.int64)

    @cached_property
    def item_counts(self) -> np.ndarray:
        """Items of each chunk, int64 (CHUNKS·P,)."""
        return np.array(self.index["item_counts"], dtype=np.int64)

    @property
    def n_users(self) -> int:
        """The number of users."""
        return int(self.user_counts.sum())

    @property
    def n_items(self) -> int:
        """The number of items."""
        return int(self.item_counts.sum())

    @property
    def weighted(self) -> bool:
        """Whether interactions have weights."""
        return self.index["weighted"]

    @property
    def fingerprint(self) -> str:
        """A digest of all ids, interactions and weights, and of P; not of the files read."""
        return self.index["fingerprint"]

    @property
    def report(self) -> ReadReport:
        """What was read and what was left out."""
        told = self.index["report"]
        return ReadReport(**{**told, "notes": tuple(told["notes"])})

    def __len__(self) -> int:
        return sum(self.index["pair_counts"])

    def __repr__(self) -> str:
        weights = ", weight" if self.weighted else ""
        return (
            f"Prepared({self.name}: {self.n_users:,} users x {self.n_items:,} items,"
            f" {len(self):,} pairs{weights}, in {self.n_parts} user parts and"
            f" {CHUNKS * self.n_parts} item chunks)"
        )

    def summary(self) -> dict[str, Any]:
        """Return what the folder holds: plain values, fit for JSON."""
        report, index = self.report, self.index
        rows = {n: v for n, v in vars(report).items() if n not in ("read_as", "notes")}
        if not report.duplicates:
            del rows["repeats"]
        return {
            "name": self.name,
            "partitions": self.n_parts,
            "users": self.n_users,
            "items": self.n_items,
            "pairs": len(self),
            "weighted": self.weighted,
            "ids": index["ids"],
            "users_a_part": _spread(self.user_counts),
            "pairs_a_part": _spread(np.array(index["pair_counts"])),
            "items_a_chunk": _spread(self.item_counts),
            "held_out": index["held_out"],
            "read_as": report.read_as,
            "notes": list(report.notes),
            "rows": rows,
            "fingerprint": self.fingerprint,
        }

    def held_out_lines(self) -> list[str]:
        """Return a readable line for each count of what is held out that is not zero."""
        return [f"{n:,} {_HELD_OUT[name]}" for name, n in self.index["held_out"].items() if n]

    def user_ids(self, part: int) -> Vocabulary:
        """Return the ids of a user part."""
        part = _within("part", part, self.n_parts)
        return Vocabulary(self._table(f"users/part-{part:05d}.parquet")["id"])

    def item_ids(self, chunk: int) -> Vocabulary:
        """Return the ids of an item chunk."""
        chunk = _within("chunk", chunk, CHUNKS * self.n_parts)
        start = int(self.item_counts[:chunk].sum())
        return Vocabulary(self._items[start : start + int(self.item_counts[chunk])])

    def cell(self, part: int, chunk: int) -> Cell:
        """Return the interactions of a user part with an item chunk; the arrays are read-only."""
        part = _within("part", part, self.n_parts)
        chunk = _within("chunk", chunk, CHUNKS * self.n_parts)
        batch = self._opened(part).get_batch(chunk)
        users, items, *weights = (column.to_numpy(zero_copy_only=True) for column in batch.columns)
        return Cell(users, items, weights[0] if weights else None)

    def files_of(self, part: int) -> list[Path]:
        """Return the file of the pairs of a user part; not there yet if a store still has it."""
        return [self.folder / _pairs(_within("part", part, self.n_parts))]

    def held_out(self, share: Literal["valid", "test"], part: int) -> pl.DataFrame | None:
        """Return what was held out of a user part; None where nothing was held out for that.

        Returns
        -------
        DataFrame
            Columns user, item and, with weights, weight, of original ids.
        """
        if not self.index["plan"]["holdout"][share]:
            return None
        return self._table(f"{share}/part-{_within('part', part, self.n_parts):05d}.parquet")

    @cached_property
    def _items(self) -> pl.Series:
        return self._table("items.parquet", ["id"])["id"]

    def _table(self, name: str, columns: list[str] | None = None) -> pl.DataFrame:
        path = self.files.file(name)
        try:
            return pl.read_parquet(path, columns=columns)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise _unreadable(path, error) from None

    @cached_property
    def _open(self) -> dict[int, Any]:
        return {}

    def _opened(self, part: int) -> Any:
        """Return the reader of the pairs of a part; the last few stay open."""
        opened = self._open.pop(part, None)
        if opened is None:
            pyarrow, ipc = pyarrow_ipc()
            path = self.files.file(_pairs(part))
            try:
                opened = ipc.open_file(pyarrow.memory_map(str(path)))
            except (OSError, ValueError) as error:
                raise _unreadable(path, error) from None
        self._open[part] = opened
        if len(self._open) > _MOST_OPEN:
            del self._open[next(iter(self._open))]
        return opened


def is_prepared(place: str | PathLike, *, unfinished: bool = True) -> bool:
    """Tell whether a place is a folder of `prepare`; also one that is not finished, if that counts.

    Raises
    ------
    DataError
        It is in a store that cannot be reached.
    """
    if str(place) == "-" or (places.is_uri(place) and urlsplit(str(place)).scheme in _WEB):
        return False
    if places.in_store(place) and re.search(r"[*?[]|\.\w{1,8}$", str(place)):
        return False  # a pattern, or a file
    folder = Folder(place, INDEX)
    return folder.holds(INDEX) or (unfinished and folder.holds(PLAN))


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} cannot be read ({error}); prepare the data again")


def _pairs(part: int) -> str:
    return f"pairs/part-{part:05d}.arrow"


def _spread(counts: np.ndarray) -> dict[str, int]:
    return {"min": int(counts.min()), "max": int(counts.max())}


def _within(name: str, number: int, limit: int) -> int:
    if not 0 <= number < limit:
        raise ParameterError(f"{name} must be from 0 to {limit - 1}, got {number}")
    return int(number)


def _index(folder: Folder) -> dict[str, Any]:
    if not folder.holds(""):
        raise DataError(f"{folder} is no folder; give one that `trimetric data prepare` wrote")
    found = read_json(folder.file(INDEX))
    if found is None:
        unfinished = folder.holds(PLAN)
        said = (
            "is not finished: run the same `trimetric data prepare` with --resume"
            if unfinished
            else f"holds no {INDEX}: give a folder that `trimetric data prepare` wrote"
        )
        raise DataError(f"{folder} {said}")
    if found.get("format") != FORMAT or found.get("version") != VERSION:
        raise DataError(
            f"{folder}/{INDEX} is {found.get('format')!r}, version {found.get('version')!r}; this"
            f" trimetric reads {FORMAT!r}, version {VERSION}"
        )
    return found
