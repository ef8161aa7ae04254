"""Read files batch by batch, each batch cleaned, in memory that does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl

from trimetric.data import readers, unpack
from trimetric.data.baskets import by_item
from trimetric.data.clean import complete, typed
from trimetric.data.delimited import FAILURES, Pick, delimited
from trimetric.data.form import Form
from trimetric.data.nested import pick_fields
from trimetric.data.rules import Rules
from trimetric.data.seen import Seen
from trimetric.data.sources import Source
from trimetric.data.weighting import weighted
from trimetric.errors import MissingExtra

ROWS = 1 << 20  # of a batch of a Parquet file
BLOCK = 1 << 26  # bytes of text
_UTF8 = (None, "utf-8", "utf8")


class Batch(NamedTuple):
    """Some rows of a file, as found.

    Parameters
    ----------
    frame : polars.DataFrame
        Columns named by their roles.
    columns : dict
        {role: column of the file}.
    text : bool
        Whether the values are text whose types are still to be found.
    form : Form
        Of the file.
    blank : int
        Rows that held separators only, and are not in the frame.
    """

    frame: pl.DataFrame
    columns: dict[str, str]
    text: bool
    form: Form
    blank: int


@dataclass
class Counts:
    """Rows that were read, and those that were left out; see `ReadReport`.

    Parameters
    ----------
    highest : float or None
        The highest rating.
    """

    rows: int = 0
    blank: int = 0
    empty_lists: int = 0
    nulls: int = 0
    below_min_rating: int = 0
    zero_weights: int = 0
    events: int = 0
    highest: float | None = None
    notes: list[str] = field(default_factory=list)

    def add(self, other: Counts) -> None:
        """Add those of other rows."""
        for name, value in vars(other).items():
            mine = getattr(self, name)
            if name == "notes":
                mine += [note for note in value if note not in mine]
            elif name == "highest":
                found = [rating for rating in (mine, value) if rating is not None]
                self.highest = max(found, default=None)
            else:
                setattr(self, name, mine + value)


def cleaned(batch: Batch, rules: Rules, source: str, seen: Seen, counts: Counts) -> pl.DataFrame:
    """Return the rows that count, typed, with columns user, item and those of rating, ...

    What `Interactions.read` decides by all rows is noted in `seen` and `counts`.

    Raises
    ------
    DataError
        A value is missing or cannot be used; the message counts rows from the last batch's end.
    Mixed
        See `typed`.
    """
    where = f"{source} from row {counts.rows + 1:,} on" if counts.rows else source
    raw, where, of_lists, empty = by_item(batch.frame, where, batch.columns)
    frame, notes = typed(raw, where, batch.text, batch.columns, batch.form, seen)
    counts.notes += [note for note in (*of_lists, *notes) if note not in counts.notes]
    frame, nulls = complete(frame, rules, where, batch.columns)
    if rules.min_rating is not None and frame.height:
        top = float(frame["rating"].to_numpy().max())
        counts.highest = top if counts.highest is None else max(top, counts.highest)
        liked = frame.filter(pl.col("rating") >= rules.min_rating)
        counts.below_min_rating += frame.height - liked.height
        frame = liked
    frame, zero_weights, events = weighted(frame, rules, where, batch=True)
    counts.rows += raw.height
    counts.blank += batch.blank
    counts.empty_lists += empty
    counts.nulls += nulls
    counts.zero_weights += zero_weights
    counts.events += events
    return frame


def batches(
    file: Source, pick: Pick, form: Form, groups: tuple[int, int] | None = None
) -> Iterator[Batch]:
    """Read a file: Parquet and large plain text batch by batch, any other at once.

    Plain text has separators, line feeds and no quotes, is UTF-8 and is not packed.

    Parameters
    ----------
    file : Source
    pick : callable
        Given the columns that exist, returns {role: column}.
    form : Form
        What is known of the file.
    groups : (int, int), optional
        From which to before which row group of a Parquet file.
    """
    format_ = readers.kind(file, form)
    choose, constant = readers.with_folders(pick, file)
    picked: dict[str, str] = {}

    def noted(existing: list[str]) -> dict[str, str]:
        columns = choose(existing)
        picked.clear()
        picked.update(columns, **{role: role for role in constant})
        return columns

    found: Iterator[tuple[pl.DataFrame, bool, Form, int]]
    if is_parquet(file, format_):
        found = _of_parquet(file, noted, form, groups)
    elif format_ in ("csv", "tsv") and _is_large_and_plain(file, form):
        found = _of_text(file, noted, form.found(format=format_))
    else:
        choose, constant = pick, {}
        found = iter([readers.one(file, _noting(pick, picked), form)])
    for frame, text, form_, blank in found:
        whole = readers.with_constants(frame, constant)
        yield Batch(whole, dict(picked), text, form_, blank)


def is_parquet(file: Source, format_: str) -> bool:
    """Tell whether a file is Parquet that is not packed."""
    return format_ == "parquet" and not any(end in unpack.ENDINGS for end in file.endings)


def parquet(file: Source) -> Any:
    """Open a Parquet file with PyArrow.

    Raises
    ------
    DataError
        It is damaged or cannot be read.
    MissingExtra
        PyArrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtra(
            "reading Parquet in batches needs pyarrow; install it with pip install"
            " 'trimetric[files]'"
        ) from None
    try:
        if file.path is None:
            return pq.ParquetFile(pa.BufferReader(file.content or b""))
        file.open().close()  # says why, if it cannot be read
        return pq.ParquetFile(file.path)
    except FAILURES as error:
        raise readers.no_parquet(file, error) from None


def _noting(pick: Pick, picked: dict[str, str]) -> Pick:
    def noted(existing: list[str]) -> dict[str, str]:
        columns = pick(existing)
        picked.clear()
        picked.update(columns)
        return columns

    return noted


def _of_parquet(
    file: Source, pick: Pick, form: Form, groups: tuple[int, int] | None
) -> Iterator[tuple[pl.DataFrame, bool, Form, int]]:
    form = form.found(format="parquet")
    with parquet(file) as opened:
        empty = pl.DataFrame(opened.schema_arrow.empty_table())
        picked = pick_fields(empty.schema, pick, file.name)
        named = list(dict.fromkeys(field.column for field in picked.values()))
        start, stop = groups or (0, opened.num_row_groups)
        roles = [field.value.alias(role) for role, field in picked.items()]
        yield empty.select(roles), False, form, 0  # so that an empty file has columns too
        read = opened.iter_batches(ROWS, row_groups=list(range(start, stop)), columns=named)
        while True:
            try:
                batch = next(read, None)
            except FAILURES as error:
                raise readers.no_parquet(file, error) from None
            if batch is None:
                return
            yield pl.DataFrame(batch).select(roles), False, form, 0


def _is_large_and_plain(file: Source, form: Form) -> bool:
    if file.path is None or file.size <= BLOCK or form.encoding not in _UTF8 or form.escape:
        return False
    quote = (form.quote or '"').encode()
    with file.open() as stream:
        start = stream.peek(8)[:8]
        if unpack.packing(file.endings[0] if file.endings else "", start):
            return False
        first = True
        while block := stream.read(BLOCK):
            if quote in block or (first and (b"\0" in block or b"\n" not in block)):
                return False
            first = False
    return True


def _of_text(
    file: Source, pick: Pick, form: Form
) -> Iterator[tuple[pl.DataFrame, bool, Form, int]]:
    """Read text in blocks of whole lines, each below the line of names."""
    head, rest, found = b"", b"", form
    with file.open() as stream:
        while True:
            block = stream.read(BLOCK)
            end = block.rfind(b"\n") + 1
            if block and not end:
                rest += block
                continue
            lines, rest = (rest + block[:end], block[end:]) if block else (rest, b"")
            if lines.strip():
                frame, found, blank = delimited(head + lines, file.name, pick, found)
                if head and form.header is False:
                    frame = frame[1:]
                yield frame, True, found, blank
                if not head:
                    head = _first_line(lines)
                    found = found.found(encoding=form.encoding)
            if not block:
                return


def _first_line(lines: bytes) -> bytes:
    """Return the first line that is neither blank nor tells the separator."""
    for line in lines.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True):
        if line.strip() and not line.lower().startswith(b"sep="):
            return line
    return b""
