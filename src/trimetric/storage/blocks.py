"""One file of many rows, computed block by block: bounded memory, and a killed run goes on.

Each finished block is a file in a hidden folder beside the output. A manifest there identifies the
run; a later run with the same identity keeps the finished blocks, and one with another starts anew.
At the end the blocks are streamed into the one file, in the same way whether the run was
interrupted or not, hence to the same bytes.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimetric.errors import ClusterError, Interrupted, OutputError
from trimetric.storage.atomic import locked, output_errors, output_folder, replacing
from trimetric.storage.tables import check_extension, write_blocks

if TYPE_CHECKING:
    import polars as pl

FORMAT = "trimetric blocks"
_DIFFERENCES = {"users": "the users differ", "format": "it cannot be read"}


Compute = Callable[[list[tuple[int, int]]], "Iterator[pl.DataFrame]"]
"""Given spans, each of the first query and the one after the last, yields their rows in order."""


@dataclass(frozen=True)
class Batch:
    """Rows for queries 0 .. n - 1, computed in blocks.

    Parameters
    ----------
    n : int
        Number of queries.
    block : int
        Queries per block.
    compute : callable
        Given the spans of blocks, yields a frame of the rows of each: see `Compute`.
    identity : dict
        Plain JSON values: everything that the rows depend on.
    noun : str
        What the queries are, for messages.
    folder : bool
        Whether the output is a folder of Parquet files, one for each block.
    """

    n: int
    block: int
    compute: Compute
    identity: dict[str, Any]
    noun: str = "users"
    folder: bool = False

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First query of each block and the one after its last; one empty block if n is 0."""
        starts = range(0, max(self.n, 1), self.block)
        return [(start, min(start + self.block, self.n)) for start in starts]


def write_batch(
    out: Path, batch: Batch, *, done: Callable[[int], None], log: Callable[[str], None]
) -> int:
    """Write all rows to a .parquet, .csv or .jsonl file, or the blocks to a folder.

    Parameters
    ----------
    out : Path
        A file is replaced in one step, at the end; a folder must be new or empty.
    batch : Batch
    done : callable
        Receives the number of queries answered so far.
    log : callable
        Receives messages for the user.

    Returns
    -------
    int
        The number of rows.

    Raises
    ------
    ParameterError
        The file has another extension.
    OutputError
        The file or the blocks cannot be written, or another run is writing them.
    Interrupted
        Ctrl-C; finished blocks are kept.
    """
    if batch.folder:
        _check_new(out)
    else:
        check_extension(out)
    if not batch.folder and (len(batch.spans) == 1 or (out.exists() and not out.is_file())):
        return write_blocks(out, _computed(batch, done))
    target = out.resolve() if out.is_symlink() else out
    folder = target.with_name(f".{target.name}.blocks")
    with output_errors(out), output_folder(folder), locked(folder, wait=False) as ours:
        if not ours:
            raise OutputError(
                f"another run is writing {out}; wait until it is done or choose another name"
            )
        try:
            _compute_missing(folder, batch, done, log)
            if batch.folder:
                return _put(folder, target, batch)
            rows = write_blocks(out, _stored(folder, batch))
        except KeyboardInterrupt:
            raise Interrupted(f"interrupted; {_kept(folder, batch)}") from None
        except (OSError, ClusterError):
            log(_kept(folder, batch))
            raise
        _remove(folder)
    return rows


def _check_new(out: Path) -> None:
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise OutputError(f"{out} holds something already; remove it, or choose another folder")


def _put(folder: Path, out: Path, batch: Batch) -> int:
    """Let the folder of blocks take the place of the output; return the number of rows."""
    import polars as pl

    files = [_block(folder, number) for number in range(len(batch.spans))]
    rows = sum(pl.scan_parquet(file).select(pl.len()).collect().item() for file in files)
    if out.exists():
        out.rmdir()
    (folder / "manifest.json").unlink()  # from here on the blocks are of no run
    folder.rename(out)
    return rows


def _computed(batch: Batch, done: Callable[[int], None]) -> "Iterator[pl.DataFrame]":
    for (_, stop), rows in zip(batch.spans, batch.compute(batch.spans), strict=True):
        yield rows
        done(stop)


def _compute_missing(
    folder: Path, batch: Batch, done: Callable[[int], None], log: Callable[[str], None]
) -> None:
    """Compute the blocks that are not in the folder yet."""
    identity = {"format": FORMAT, **batch.identity, "n": batch.n, "block": batch.block}
    stored = _read_manifest(folder / "manifest.json")
    if stored != identity:
        if stored is not None:
            log(f"{folder} is of another run: {_difference(stored, identity)}; starting anew")
        for path in folder.iterdir():
            path.unlink()
        with replacing(folder / "manifest.json") as file:
            file.write(json.dumps(identity, indent=2).encode())
    finished = _finished(folder, batch)
    answered = min(finished * batch.block, batch.n)
    if finished:
        log(f"going on after {answered:,} of {batch.n:,} {batch.noun}")
    done(answered)
    left = batch.spans[finished:]
    if not left:
        return
    blocks = zip(left, batch.compute(left), strict=True)
    for number, ((_, stop), rows) in enumerate(blocks, finished):
        with replacing(_block(folder, number)) as file:
            rows.write_parquet(file)
        done(stop)


def _stored(folder: Path, batch: Batch) -> "Iterator[pl.DataFrame]":
    import polars as pl

    for number in range(len(batch.spans)):
        yield pl.read_parquet(_block(folder, number))


def _block(folder: Path, number: int) -> Path:
    return folder / f"{number:06}.parquet"


def _finished(folder: Path, batch: Batch) -> int:
    """Return how many blocks are whole, counted from the first."""
    total = len(batch.spans)
    return next((i for i in range(total) if not _is_whole(_block(folder, i))), total)


def _is_whole(block: Path) -> bool:
    """Check that a block has its end, which only a broken disk can take from it."""
    try:
        with open(block, "rb") as file:
            file.seek(-4, 2)
            return file.read() == b"PAR1"
    except OSError:
        return False


def _read_manifest(path: Path) -> dict[str, Any] | None:
    """Return the manifest of an earlier run: None if there is none, {} if it cannot be read."""
    with suppress(FileNotFoundError):
        try:
            stored = json.loads(path.read_bytes())
        except ValueError:
            stored = None
        return stored if isinstance(stored, dict) else {}
    return None


def _difference(stored: dict[str, Any], wanted: dict[str, Any]) -> str:
    name = next((key for key in wanted if stored.get(key) != wanted[key]), "format")
    if name in _DIFFERENCES:
        return _DIFFERENCES[name]
    if name in ("model", "allow", "deny"):
        return f"the {name} differs"
    return f"{name} was {stored.get(name)!r} and is {wanted.get(name)!r}"


def _kept(folder: Path, batch: Batch) -> str:
    """Describe what is kept for a later run; removes the folder if no block is finished."""
    answered = min(_finished(folder, batch) * batch.block, batch.n)
    if not answered:
        _remove(folder)
        return "no block was finished, and nothing is kept"
    return (
        f"{answered:,} of {batch.n:,} {batch.noun} are done and kept in {folder}: run the same"
        " command again to go on, or remove that folder"
    )


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
