"""The files of a log, and how reading them is divided into tasks."""

import os
from collections.abc import Sequence
from typing import Any

from trimetric.data import batches, in_stores, readers, sources
from trimetric.data.build import WEIGHTS_MARK
from trimetric.data.form import Form
from trimetric.data.sources import Source
from trimetric.errors import DataError, ParameterError
from trimetric.scale.spilling import Piece
from trimetric.storage import places

TASK_ROWS = 1 << 24  # of a large Parquet file
TASK_BYTES = 1 << 26  # of small files together


def find(given: Any) -> list[Piece]:
    """Return the files of a log, in the order of `Interactions.read`.

    Parameters
    ----------
    given : path, pattern, folder, URI, or sequence of these

    Raises
    ------
    DataError
        There is no such file.
    ParameterError
        It is nothing that can be read again later, such as standard input.
    """
    if isinstance(given, str) and given == "-":
        raise ParameterError(
            "standard input cannot be prepared, since it cannot be read again; give a file"
        )
    if isinstance(given, str | os.PathLike):
        if places.in_store(given):
            return [
                Piece(file.name, file.uri, False, file.columns, (file.size, file.changed))
                for file in in_stores.find(given)
            ]
        if places.is_uri(given) and not str(given).lower().startswith("file:"):
            return [Piece(places.shown(given), str(given), local=False)]
        return [_piece(source) for source in sources.find(given)]
    if isinstance(given, Sequence) and not isinstance(given, bytes | bytearray):
        if not given:
            raise ParameterError("the list of files is empty; give at least one")
        return [piece for one in given for piece in find(one)]
    raise ParameterError(
        f"files, folders, patterns or URIs are needed, got {type(given).__name__}; interactions in"
        " memory need no preparing"
    )


def _piece(source: Source) -> Piece:
    assert source.path is not None
    try:
        status = source.path.stat()
    except OSError as error:
        raise DataError(f"{source.name} cannot be read: {sources.why(error)}") from None
    stamp = (status.st_size, status.st_mtime_ns)
    return Piece(source.name, str(source.path.absolute()), True, source.columns, stamp)


def weights_of(pieces: Sequence[Piece]) -> str | None:
    """Return the column of weights that the first file names, as `Split.save` does."""
    if pieces[0].stamp and pieces[0].name.lower().endswith((".parquet", ".pq")):
        with pieces[0].opened() as file:
            return readers.mark(file, WEIGHTS_MARK)
    return None


def divided(pieces: Sequence[Piece], form: Form) -> list[tuple[Piece, ...]]:
    """Group files into tasks of a similar size; large Parquet files are cut at row groups."""
    tasks: list[tuple[Piece, ...]] = []
    small: list[Piece] = []
    for piece in pieces:
        cut = _cut(piece, form) if piece.local else []
        if not cut and piece.stamp and piece.stamp[0] < TASK_BYTES:
            small.append(piece)
            if sum(one.stamp[0] for one in small) >= TASK_BYTES:
                tasks.append(tuple(small))
                small = []
            continue
        if small:
            tasks.append(tuple(small))
            small = []
        tasks += [(one,) for one in cut or [piece]]
    return [*tasks, tuple(small)] if small else tasks


def _cut(piece: Piece, form: Form) -> list[Piece]:
    """Cut a large Parquet file at row groups; other files give nothing."""
    with piece.opened() as file:
        if not batches.is_parquet(file, readers.kind(file, form)):
            return []
    with batches.parquet(file) as opened:
        rows = [opened.metadata.row_group(n).num_rows for n in range(opened.num_row_groups)]
    if sum(rows) <= TASK_ROWS:
        return []
    pieces, start, held = [], 0, 0
    for at, n in enumerate(rows, 1):
        held += n
        if held >= TASK_ROWS or at == len(rows):
            groups = (start, at)
            pieces.append(Piece(piece.name, piece.place, True, piece.columns, piece.stamp, groups))
            start, held = at, 0
    return pieces
