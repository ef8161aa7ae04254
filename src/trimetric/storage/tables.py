"""Write frames that come block by block to one file, in bounded memory and in one step."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from trimetric.errors import ParameterError
from trimetric.storage.atomic import output_errors, output_folder, replacing

if TYPE_CHECKING:
    import polars as pl

ROWS_PER_GROUP = 250_000  # fixed: Polars' default depends on the number of threads


def write_blocks(
    path: Path, blocks: "Iterator[pl.DataFrame]", rows_per_group: int = ROWS_PER_GROUP
) -> int:
    """Write blocks of one schema to a .parquet, .csv or .jsonl file; return the number of rows.

    Missing parent folders are made. `rows_per_group` is of Parquet.

    Raises
    ------
    ParameterError
        The file has another extension.
    OutputError
        The file cannot be written; what stood there is intact.
    """
    check_extension(path)
    counted = _Counted(blocks)
    with (
        output_errors(path),
        output_folder(path.parent),
        replacing(path) as out,
    ):
        try:
            _WRITERS[path.suffix](out, counted, rows_per_group)
        except Exception:
            if counted.failure is not None:
                raise counted.failure from None
            raise
    return counted.rows


def check_extension(path: Path) -> None:
    """Raise ParameterError unless `write_blocks` can write this kind of file."""
    if path.suffix not in _WRITERS:
        raise ParameterError(f"out must end in .parquet, .csv or .jsonl, got {path.name!r}")


class _Counted:
    """Counts the rows, and keeps the error of a failing block, which Polars would wrap."""

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


def _csv(out: IO[bytes], blocks: _Counted, _: int) -> None:
    for n, block in enumerate(blocks):
        block.write_csv(out, include_header=n == 0)


def _jsonl(out: IO[bytes], blocks: _Counted, _: int) -> None:
    for block in blocks:
        block.write_ndjson(out)


def _parquet(out: IO[bytes], blocks: _Counted, rows_per_group: int) -> None:
    from polars.io.plugins import register_io_source

    rest = iter(blocks)
    first = next(rest)

    def source(*_: Any) -> "Iterator[pl.DataFrame]":
        yield from chain([first], rest)

    register_io_source(source, schema=first.schema).sink_parquet(out, row_group_size=rows_per_group)


_WRITERS = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}
