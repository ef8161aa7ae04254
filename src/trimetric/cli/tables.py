"""Write frames that come block by block to one file, in bounded memory and in one step."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from trimetric.errors import OutputError, ParameterError
from trimetric.files import replacing

if TYPE_CHECKING:
    import polars as pl


def write(path: Path, blocks: "Iterator[pl.DataFrame]") -> int:
    """Write blocks of one schema to a .parquet, .csv or .jsonl file; return the number of rows.

    Raises
    ------
    ParameterError
        The extension is none of these.
    OutputError
        The file cannot be written; what stood there is intact.
    """
    writers = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}
    if path.suffix not in writers:
        raise ParameterError(f"--out must end in .parquet, .csv or .jsonl, got {path.name!r}")
    counted = _Counted(blocks)
    with replacing(path) as out:
        try:
            writers[path.suffix](out, counted)
        except Exception as error:
            if counted.failure is not None:
                raise counted.failure from None
            # Polars has its own errors for a disk that is full, by the writer's format.
            if isinstance(error, OSError) or type(error).__module__.startswith("polars"):
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                raise OutputError(f"cannot write {path}: {error}; choose another place") from error
            raise
    return counted.rows


class _Counted:
    """The blocks, counted; keeps the error of the one that failed, which Polars would rename."""

    def __init__(self, blocks: "Iterator[pl.DataFrame]") -> None:
        self._blocks, self.rows = blocks, 0
        self.failure: Exception | None = None

    def __iter__(self) -> "Iterator[pl.DataFrame]":
        try:
            for block in self._blocks:
                self.rows += len(block)
                yield block
        except Exception as error:
            self.failure = error
            raise


def _csv(out: IO[bytes], blocks: _Counted) -> None:
    for n, block in enumerate(blocks):
        block.write_csv(out, include_header=n == 0)


def _jsonl(out: IO[bytes], blocks: _Counted) -> None:
    for block in blocks:
        block.write_ndjson(out)


def _parquet(out: IO[bytes], blocks: _Counted) -> None:
    from polars.io.plugins import register_io_source

    rest = iter(blocks)
    first = next(rest)

    def source(*_: Any) -> "Iterator[pl.DataFrame]":
        yield from chain([first], rest)

    register_io_source(source, schema=first.schema).sink_parquet(out)
