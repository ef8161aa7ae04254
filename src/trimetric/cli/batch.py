"""Lists for many users in one file: bounded memory, and a killed run goes on where it was.

Users are answered in blocks, and each finished block is a file in a hidden folder beside the
output. A manifest there says which model and which options the blocks are of; run again with the
same, finished blocks are kept, and with others it begins anew. At the end the blocks are streamed
into the one file, by the same path whether the run was interrupted or not, hence to the same bytes.
"""

import glob
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimetric.cli.tables import check_extension, system_errors, write
from trimetric.errors import Interrupted, OutputError
from trimetric.storage.atomic import locked, output_errors, output_folder, replacing

if TYPE_CHECKING:
    import polars as pl

    from trimetric.progress import Counter

FORMAT = "trimetric blocks"
ROWS_A_BLOCK = 250_000
PAIRS_A_BLOCK = 2_000_000_000  # users x items: some seconds of exact search, lost by a kill

Answer = Callable[[int, int], "pl.DataFrame"]
"""The answer to users first .. stop - 1."""


@dataclass(frozen=True)
class Batch:
    """What is to be answered.

    Parameters
    ----------
    users : int
        How many there are.
    block : int
        How many of them are answered at a time: see `users_a_block`.
    identity : dict
        Plain JSON values that say what the answers depend on.
    """

    users: int
    block: int
    identity: dict[str, Any]

    @property
    def starts(self) -> range:
        """The first user of each block; one empty block where there are no users."""
        return range(0, max(self.users, 1), self.block)


def users_a_block(k: int, n_items: int) -> int:
    """Return how many users to answer at a time, which bounds both memory and lost work."""
    n_items = max(n_items, 1)
    return max(1, min(ROWS_A_BLOCK // min(k, n_items), PAIRS_A_BLOCK // n_items))


def digest(ids: Iterable[object]) -> str:
    """Return a short hash of ids in their order, to tell whether the same were asked."""
    return hashlib.sha256(json.dumps([*ids]).encode()).hexdigest()[:16]


def write_batch(
    out: Path, batch: Batch, answer: Answer, counter: "Counter", say: Callable[[str], None]
) -> int:
    """Write the answers for all users to a .parquet, .csv or .jsonl file.

    Parameters
    ----------
    out : Path
        Its place is taken in one step, at the end.
    batch : Batch
    answer : callable
        Given the first user and the one after the last, returns their rows.
    counter : Counter
        Told how many users are done.
    say : callable
        Told what a person should know.

    Returns
    -------
    int
        The number of rows.

    Raises
    ------
    ParameterError
        The extension is none of these.
    OutputError
        The file or the blocks cannot be written, or another run is writing them.
    Interrupted
        By Ctrl-C; finished blocks are kept.
    """
    check_extension(out)
    if len(batch.starts) == 1 or (out.exists() and not out.is_file()):
        return write(out, _answers(batch, answer, counter))
    there = out.resolve() if out.is_symlink() else out
    folder = there.with_name(f".{there.name}.blocks")
    with output_errors(out), output_folder(folder), locked(folder, wait=False) as mine:
        if not mine:
            raise OutputError(
                f"another run is writing {out}; wait until it is done or choose another name"
            )
        try:
            for stale in there.parent.glob(f".{glob.escape(there.name)}.*.tmp"):
                stale.unlink()  # a run that was killed while it put the blocks together
            _answer_the_rest(folder, batch, answer, counter, say)
            rows = write(out, _blocks(folder, batch))
        except KeyboardInterrupt:
            raise Interrupted(f"interrupted; {_left(folder, batch)}") from None
        except OSError:
            say(_left(folder, batch))
            raise
        _remove(folder)
    return rows


def _answers(batch: Batch, answer: Answer, counter: "Counter") -> "Iterator[pl.DataFrame]":
    for start in batch.starts:
        stop = min(start + batch.block, batch.users)
        yield answer(start, stop)
        counter.done(stop)


def _answer_the_rest(
    folder: Path, batch: Batch, answer: Answer, counter: "Counter", say: Callable[[str], None]
) -> None:
    """Write the blocks that are not in the folder yet."""
    identity = {"format": FORMAT, **batch.identity, "users": batch.users, "block": batch.block}
    found = _read(folder / "manifest.json")
    if found != identity:
        if found is not None:
            say(f"{folder} is of another run: {_difference(found, identity)}; starting anew")
        _clear(folder)
        with replacing(folder / "manifest.json") as file:
            file.write(json.dumps(identity, indent=2).encode())
    done = _finished(folder, batch)
    if done:
        say(f"going on after {min(done * batch.block, batch.users):,} of {batch.users:,} users")
    counter.done(min(done * batch.block, batch.users))
    for number, start in list(enumerate(batch.starts))[done:]:
        stop = min(start + batch.block, batch.users)
        rows = answer(start, stop)
        with replacing(_block(folder, number)) as file, system_errors():
            rows.write_parquet(file)
        counter.done(stop)


def _blocks(folder: Path, batch: Batch) -> "Iterator[pl.DataFrame]":
    import polars as pl

    for number in range(len(batch.starts)):
        yield pl.read_parquet(_block(folder, number))


def _block(folder: Path, number: int) -> Path:
    return folder / f"{number:06}.parquet"


def _finished(folder: Path, batch: Batch) -> int:
    """Return how many blocks are whole, counted from the first."""
    for number in range(len(batch.starts)):
        if not _whole(_block(folder, number)):
            return number
    return len(batch.starts)


def _whole(block: Path) -> bool:
    """Tell whether a block is there with its end, which only a broken disk can take from it."""
    try:
        with open(block, "rb") as file:
            file.seek(-4, 2)
            return file.read() == b"PAR1"
    except OSError:
        return False


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def _read(manifest: Path) -> dict[str, Any] | None:
    """Return what a run before left, None if there was none; what cannot be read differs."""
    with suppress(FileNotFoundError):
        try:
            found = json.loads(manifest.read_bytes())
        except ValueError:
            found = None
        return found if isinstance(found, dict) else {}
    return None


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    name = next((key for key in wanted if found.get(key) != wanted[key]), "format")
    if name in ("model", "allow", "deny", "asked", "format"):
        return {"asked": "the users differ", "format": "it cannot be read"}.get(
            name, f"the {name} differs"
        )
    return f"{name} was {found.get(name)!r} and is {wanted.get(name)!r}"


def _left(folder: Path, batch: Batch) -> str:
    """Say what is kept; where nothing is finished, nothing is."""
    done = min(_finished(folder, batch) * batch.block, batch.users)
    if not done:
        _remove(folder)
        return "no block was finished, and nothing is kept"
    return (
        f"{done:,} of {batch.users:,} users are done and kept in {folder}: run the same command"
        " again to go on, or remove that folder"
    )


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
