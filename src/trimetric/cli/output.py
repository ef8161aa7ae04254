"""Output: answers on standard output, everything else on standard error."""

import codecs
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trimetric.errors import OutputError, ParameterError, TrimetricError
from trimetric.storage import places
from trimetric.storage.atomic import finite

_OPTIONS = [
    (r"\b(user|item|rating|timestamp|weight|event)=False", r"--\1-column none"),
    (r"\b(user|item|rating|timestamp|weight|event)=(?=')", r"--\1-column "),
    (r"\b(user|item|rating|timestamp|weight|event)=(?![\w'])", r"--\1-column"),
    (r"\bid_column=", "--id-column"),
    (r"\bsplit=False", "--split-column none"),
    (r"\bheader=False", "--no-header"),
    (r"\bquote=False", "--quote none"),
    (r"\b(null|format|separator|quote|escape|encoding|decimal|sheet)=(?=['\"])", r"--\1 "),
    (r"\b(null|format|separator|quote|escape|encoding|decimal|sheet)=(?!\w)", r"--\1"),
    (r"\btime_format=(?=['\"])", "--time-format "),
    (r"\btime_format=?(?!\w)", "--time-format"),
    (r"\b(format|separator|quote|escape|encoding|decimal|null|sheet) must be\b", r"--\1 must be"),
    (r"\bnulls=['\"]drop['\"]", "--nulls drop"),
    (r"\brepeats=['\"]?(?=\w)", "--repeats "),
    (r"(?<=--repeats )(\w+)['\"]", r"\1"),
    (r"(?<![\w/.'-])repeats(?= must|=)", "--repeats"),
    (r"\bevent_weights=(\{[^}]*\})?", "--event-weights view=1,..."),
    (r"(?<![\w/.'-])event_weights\b", "--event-weights"),
    (r"(?<![\w/.'-])weight(?= or event_weights)", "--weight-column"),
    (r"\bmin_rating=", "--min-rating "),
    (r"(?<![\w/.'-])min_rating\b", "--min-rating"),
    (r"(?<![\w/.'-])on_unknown\b", "--on-unknown"),
    (r"\b(allow|deny) holds\b", r"--\1-file holds"),
    (r"\bwithout resume\b", "without --resume"),
    (r"\bresume=True\b", "--resume"),
    (r"\bvalid= and test=", "--valid and --test"),
    (r"\bout (?=\w+:/)", "--out "),
    (r"\bout must end in\b", "--out must end in"),
    (r"\b(rank|score)=False", r"--\1-column none"),
    (r"\b(rank|score)=(?![\w'])", r"--\1-column"),
    (r"\bexclude_seen=False\b", "--include-seen"),
]
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]")


def in_options(message: str) -> str:
    """Name options in an error as the command line does: `--min-rating` for `min_rating`."""
    for python, option in _OPTIONS:
        message = re.sub(python, option, message)
    return message.replace("--escape '\\\\'", "--escape '\\'")


def emit(text: str, end: str = "\n") -> None:
    """Write a line to standard output; a closed pipe is no error."""
    if sys.stdout is None:
        raise OutputError("cannot write to standard output: it is closed")
    try:
        sys.stdout.write(text + end)
        sys.stdout.flush()
    except OSError as error:
        # Python writes what is still buffered when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise SystemExit(0) from None
        raise OutputError(f"cannot write to standard output: {error.strerror}") from error


def emit_json(document: Any) -> None:
    """Write one JSON document; numbers that are not finite become null.

    Where standard output is not UTF-8, other signs than ASCII are escaped as JSON does.
    """
    escape = not _writes_utf8()
    emit(json.dumps(finite(document), indent=2, ensure_ascii=escape, allow_nan=False))


def _writes_utf8() -> bool:
    """Whether standard output can take any text; a stream without an encoding does."""
    encoding = getattr(sys.stdout, "encoding", None)
    return encoding is None or codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def replaces(out: str, log: Callable[[str], None], holding: str | None = None) -> bool:
    """Tell whether something stands where output goes, and say that it will be replaced.

    Where a file is written, a file counts; where a folder is, one that holds the file called
    `holding`. What is of the other kind is refused by the writer.
    """
    if out == "-" or places.is_uri(out):
        return False
    try:
        path = places.output(out)
        if holding is None:
            there = path.exists() and not path.is_dir()
        else:
            there = path.is_dir() and (path / holding).exists()
    except (OSError, TrimetricError):
        return False  # it is said when it is written
    if there:
        log(f"{out} is there already, and is replaced at the end")
    return there


def check_stream(out: str | None, json: bool) -> None:
    """Raise ParameterError where standard output would have both csv and a document."""
    if out == "-" and json:
        raise ParameterError("--out - prints csv, and --json a document: leave one of them out")


@contextmanager
def file_or_stream(out: str) -> Iterator[str]:
    """Give a path to write a csv file to, which is sent to standard output where `out` is -.

    What is sent is UTF-8, as the file is, but to a terminal, which is sent what it can show.
    """
    if out != "-":
        yield out
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.csv"
        yield str(path)
        if hasattr(sys.stdout, "reconfigure") and not sys.stdout.isatty():
            sys.stdout.reconfigure(encoding="utf-8")
        with path.open(newline="", encoding="utf-8") as written:
            while text := written.read(1 << 20):
                emit(text, end="")


def show(table: Any) -> None:
    """Write a Rich table, without borders unless standard output is a terminal."""
    from rich.console import Console

    terminal = sys.stdout is not None and sys.stdout.isatty()
    if not terminal:
        table.box = None
    text, width = io.StringIO(), None if terminal else 160
    console = Console(
        file=text, force_terminal=terminal, width=width, highlight=False, markup=False, emoji=False
    )
    console.print(table)
    emit("\n".join(line.rstrip() for line in text.getvalue().rstrip("\n").splitlines()))


def rows_table(frame: Any, title: str = "") -> Any:
    """Return a frame as a Rich table: numbers right-aligned, floats with four decimals."""
    from rich.table import Table

    table = Table(title=title or None, title_justify="left")
    for name, dtype in frame.schema.items():
        table.add_column(name, justify="right" if dtype.is_numeric() else "left")
    for row in frame.iter_rows():
        table.add_row(*map(_cell, row))
    return table


def note(text: str) -> None:
    """Write a message to standard error, where it can be written."""
    from trimetric.progress import tell

    tell(text)


def logger(quiet: bool) -> Callable[[str], None]:
    """Return `note`, or with `quiet` a function that drops messages."""
    return (lambda text: None) if quiet else note


def plain(text: str) -> str:
    """Return text for one line of a terminal, with control characters escaped."""
    return _CONTROL.sub(lambda sign: repr(sign[0])[1:-1], text)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else plain(str(value))
