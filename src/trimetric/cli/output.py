"""What is said where: answers on standard output, everything else on standard error."""

import json
import os
import re
import sys
from typing import Any

from trimetric.errors import OutputError
from trimetric.storage.atomic import finite

_OPTIONS = [
    (r"\b(user|item|rating|timestamp)=False", r"--\1-column none"),
    (r"\b(user|item|rating|timestamp)=(?=')", r"--\1-column "),
    (r"\b(user|item|rating|timestamp)=(?![\w'])", r"--\1-column"),
    (r"\bnulls=['\"]drop['\"]", "--nulls drop"),
    (r"\bmin_rating=", "--min-rating "),
    (r"(?<![\w/.'-])min_rating\b", "--min-rating"),
    (r"(?<![\w/.'-])on_unknown\b", "--on-unknown"),
    (r"\b(allow|deny) holds\b", r"--\1-file holds"),
    (r"\bwithout resume\b", "without --resume"),
]
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]")


def in_options(message: str) -> str:
    """Say a remedy in the words of the command line: `--min-rating` for `min_rating`."""
    for python, option in _OPTIONS:
        message = re.sub(python, option, message)
    return message


def emit(text: str) -> None:
    """Write a line to standard output; a reader that has left is no error."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError as error:
        # What is still buffered must go somewhere when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise SystemExit(0) from None
        raise OutputError(f"cannot write to standard output: {error.strerror}") from error


def emit_json(document: Any) -> None:
    """Write one JSON document; what is not finite becomes null."""
    emit(json.dumps(finite(document), indent=2, ensure_ascii=False, allow_nan=False))


def show(table: Any) -> None:
    """Write a Rich table, plain where standard output is no terminal."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    if not terminal:
        table.box = None
    console = Console(file=sys.stdout, highlight=False, width=None if terminal else 160)
    with console.capture() as capture:
        console.print(table)
    emit("\n".join(line.rstrip() for line in capture.get().rstrip("\n").splitlines()))


def rows_table(frame: Any, title: str = "") -> Any:
    """Lay a frame out as a Rich table: numbers to the right, scores with four digits."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title or None, title_justify="left")
    for name, dtype in frame.schema.items():
        table.add_column(name, justify="right" if dtype.is_numeric() else "left")
    for row in frame.iter_rows():
        table.add_row(*(escape(_cell(value)) for value in row))
    return table


def note(text: str) -> None:
    """Say something to people, on standard error."""
    print(text, file=sys.stderr, flush=True)


def plain(text: str) -> str:
    """Return text for a line of a terminal: control signs and line ends in it are escaped."""
    return _CONTROL.sub(lambda sign: repr(sign[0])[1:-1], text)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else plain(str(value))
