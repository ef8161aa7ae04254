"""The second pass over a log: one user part at a time, its repeats merged and its ids numbered."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trimetric import counter
from trimetric.data.build import WEIGHTS_MARK
from trimetric.data.ids import Vocabulary
from trimetric.data.repeats import Rule, in_order, merge
from trimetric.errors import DataError
from trimetric.scale.hashing import hash_values
from trimetric.scale.sorting import sort_keys
from trimetric.scale.spilling import read_json, run_file, write_json
from trimetric.storage.atomic import output_errors, replacing

ROWS_PER_GROUP = 1 << 20
_USER, _ITEM = 301, 302  # streams of random numbers
_LOW = np.int64(0xFFFFFFFF)


@dataclass(frozen=True)
class Holdout:
    """Which interactions are held out, by a hash of (user id, item id, seed).

    Parameters
    ----------
    valid, test : float
        With what probability.
    seed : int
    """

    valid: float = 0.0
    test: float = 0.0
    seed: int = 0

    def drawn(self, users: pl.Series, items: pl.Series, keys: np.ndarray) -> np.ndarray:
        """Return 0 for pairs that stay, 1 for valid, 2 for test, uint8 (n,).

        Parameters
        ----------
        users, items : polars.Series
            Ids.
        keys : int64 (n,)
            Row of the user · 2^32 + row of the item.
        """
        part = np.zeros(len(keys), dtype=np.uint8)
        if not (self.valid or self.test):
            return part
        of_users = counter.bits(counter.key(self.seed, _USER), hash_values(users))
        of_items = counter.bits(counter.key(self.seed, _ITEM), hash_values(items))
        with np.errstate(over="ignore"):
            both = of_users[keys >> 32] + of_items[keys & _LOW]
        chance = counter.uniform(counter.key(self.seed), both)
        part[chance < self.valid + self.test] = 1
        part[chance < self.test] = 2
        return part


@dataclass(frozen=True)
class PartTask:
    """A user part, made by one run of `number_part`.

    Parameters
    ----------
    part : int
    runs : tuple of (int, int)
        Task and run of the files that hold its rows, in the order of the log.
    kinds : dict
        {"user" and "item": "int" or "str"}.
    weighted, timed : bool
        Whether rows have weights, and times.
    rule : str
        How repeated pairs are merged.
    holdout : Holdout
    work, out : Path
    source : str
        What errors call the log.
    """

    part: int
    runs: tuple[tuple[int, int], ...]
    kinds: dict[str, str]
    weighted: bool
    timed: bool
    rule: Rule
    holdout: Holdout
    work: Path
    out: Path
    source: str

    @property
    def record(self) -> Path:
        """The file that says that the part is numbered."""
        return self.work / f"part-{self.part:05d}.json"

    def made(self, what: str) -> Path:
        """Return a file of the work folder, of `what`."""
        return self.work / f"part-{self.part:05d}-{what}.arrow"

    def done(self) -> dict[str, Any] | None:
        """Return the result, if the part is numbered."""
        return read_json(self.record)


def number_part(task: PartTask) -> dict[str, Any]:
    """Merge the repeats of a user part, hold pairs out, and number users and items.

    Items get numbers of the part's own, since those of the whole are not yet known. Held-out pairs
    are written with their ids; a user or an item that has no other pairs gets no row.

    Returns
    -------
    dict
        What is written to `task.record` at the end: users, rows, pairs, duplicates, valid, test,
        and cold_users, which have held-out pairs only.

    Raises
    ------
    DataError
        The sum of a pair's weights is infinite.
    OutputError
        Nothing can be written, on a full disk for instance.
    """
    frame = _rows(task)
    rows = frame.height
    users, user_rows = numbered(frame["user"])
    items, item_rows = numbered(frame["item"])
    shift = max(1, (len(items) - 1).bit_length())  # narrow keys are sorted faster
    keys = (user_rows << shift) | item_rows
    del user_rows, item_rows
    keys, weights = _merged(keys, frame, task)
    keys = ((keys >> shift) << 32) | (keys & ((1 << shift) - 1))
    del frame
    held = task.holdout.drawn(users, items, keys)
    for number, name in ((1, "valid"), (2, "test")):
        if getattr(task.holdout, name):
            _write_held_out(task, name, users, items, keys, weights, held == number)
    seen_items = _seen(keys & _LOW, len(items))
    if held.any():
        keys = keys[held == 0]
        weights = None if weights is None else weights[held == 0]
    kept_users, kept_items = _seen(keys >> 32, len(users)), _seen(keys & _LOW, len(items))
    pairs = {
        "user": (np.cumsum(kept_users) - 1).astype(np.int32)[keys >> 32],
        "item": (np.cumsum(kept_items) - 1).astype(np.int32)[keys & _LOW],
    }
    if weights is not None:
        pairs["weight"] = weights
    of_users = users.filter(pl.Series(kept_users)).rename("id")
    write_frame(task.out / "users" / f"part-{task.part:05d}.parquet", of_users.to_frame())
    for what, kept in (("items", kept_items), ("cold", seen_items & ~kept_items)):
        ids = items.filter(pl.Series(kept)).rename("id").to_frame()
        with output_errors(task.made(what)):
            ids.write_ipc(task.made(what), compression="lz4")
    with output_errors(task.made("pairs")):
        pl.DataFrame(pairs).write_ipc(task.made("pairs"))
    result = {
        "users": len(of_users),
        "rows": rows,
        "pairs": len(keys),
        "duplicates": rows - len(held),
        "valid": int((held == 1).sum()),
        "test": int((held == 2).sum()),
        "cold_users": int(len(users) - len(of_users)),
    }
    write_json(task.record, result)
    remove_rows(task.work, task.part)
    return result


def remove_rows(work: Path, part: int) -> None:
    """Remove the spilled rows of a part that is numbered."""
    shutil.rmtree(run_file(work, part, 0, 0).parent, ignore_errors=True)


def write_frame(path: Path, frame: pl.DataFrame, **options: Any) -> None:
    """Write a Parquet file in one step, its folder too."""
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as out:
            frame.write_parquet(out, row_group_size=ROWS_PER_GROUP, **options)


def numbered(ids: pl.Series) -> tuple[pl.Series, np.ndarray]:
    """Return the distinct ids, sorted, and the row of each in them, int64 (n,)."""
    if ids.dtype == pl.String:
        distinct = Vocabulary.from_values(ids).values
        if not len(ids):
            return distinct, np.zeros(0, dtype=np.int64)
        codes = ids.cast(pl.Enum(distinct)).to_physical()
        return distinct, codes.to_numpy().astype(np.int64)
    numbers = ids.to_numpy()
    if len(numbers):
        low, high = int(numbers.min()), int(numbers.max())
        if high - low < 4 * len(numbers) + 1_000_000:  # a table costs less than a search
            at = numbers - low
            there = _seen(at, high - low + 1)
            distinct = pl.Series("id", np.flatnonzero(there) + low)
            return distinct, (np.cumsum(there) - 1)[at]
    unique, rows = np.unique(numbers, return_inverse=True)
    return pl.Series("id", unique, dtype=pl.Int64), rows.astype(np.int64)


def _seen(rows: np.ndarray, n: int) -> np.ndarray:
    there = np.zeros(n, dtype=bool)
    there[rows] = True
    return there


def _rows(task: PartTask) -> pl.DataFrame:
    kind = {"int": pl.Int64, "str": pl.String}
    schema: dict[str, Any] = {role: kind[task.kinds[role]] for role in ("user", "item")}
    if task.weighted:
        schema["weight"] = pl.Float64
        if task.timed:
            schema["timestamp"] = pl.Int64
    empty = pl.DataFrame(schema=schema)
    files = [run_file(task.work, task.part, *run) for run in task.runs]
    with output_errors(task.work):
        return pl.concat(
            [empty, *(pl.read_ipc(file) for file in files if file.exists())],
            rechunk=True,
        )


def _merged(
    keys: np.ndarray, frame: pl.DataFrame, task: PartTask
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the distinct pairs in order, and their weights, merged as `assemble` merges them."""
    if task.weighted:
        times = frame["timestamp"].to_numpy() if task.timed else None
        weights = frame["weight"].to_numpy()
        order = in_order(keys, times, weights if task.rule == "sum" else None)
        keys, weights = keys[order], weights[order]
    else:
        keys, weights = sort_keys(keys, int(keys.max()) + 1 if len(keys) else 1), None
    if not len(keys):
        return keys, np.zeros(0, np.float32) if counted(task.rule, task.weighted) else None
    kept, merged, _ = merge(keys, weights, task.rule)
    if merged is not None and not np.isfinite(merged).all():
        raise DataError(f"{task.source}: the weights of a repeated pair add up beyond 3.4e38")
    return keys[kept], merged


def counted(rule: Rule, weighted: bool) -> bool:
    """Return whether pairs have weights, of rows with or without."""
    return weighted or rule in ("sum", "count")


def _write_held_out(
    task: PartTask,
    name: str,
    users: pl.Series,
    items: pl.Series,
    keys: np.ndarray,
    weights: np.ndarray | None,
    mask: np.ndarray,
) -> None:
    chosen = keys[mask]
    frame = pl.DataFrame({"user": users.gather(chosen >> 32), "item": items.gather(chosen & _LOW)})
    metadata = None
    if weights is not None:
        frame = frame.with_columns(pl.Series("weight", weights[mask]))
        metadata = {WEIGHTS_MARK: "weight"}
    path = task.out / name / f"part-{task.part:05d}.parquet"
    write_frame(path, frame, metadata=metadata)
