"""DATA (a file or the name of a data set) and files of ids."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from trimetric.cli.columns import Columns
from trimetric.errors import DataError
from trimetric.progress import heartbeat
from trimetric.storage import places

if TYPE_CHECKING:
    from trimetric.data import Interactions


def read(source: str, columns: Columns, quiet: bool = False) -> "Interactions":
    """Read interactions; where that takes long and there is no terminal, lines tell so."""
    from trimetric.data import Interactions

    with heartbeat(f"reading {places.shown(source)}", not quiet):
        return Interactions.of(source, **columns.rules())


def read_held_out(source: str, columns: Columns, part: Literal["valid", "test"]) -> "Interactions":
    """Read a file to validate or test on: its part of that name, or all if it ships no split."""
    from trimetric.data.splits import shipped_part

    data = read(source, columns)
    return (shipped_part(data, part) or data) if data.labels is not None else data


def counts(data: "Interactions") -> dict[str, Any]:
    """Return the sizes and the fingerprint of interactions, for JSON."""
    return {
        "name": data.name,
        "users": data.n_users,
        "items": data.n_items,
        "pairs": len(data),
        "fingerprint": data.fingerprint,
    }


def print_summary(data: "Interactions", log: Callable[[str], None]) -> None:
    """Log what was read and what was left out."""
    log(f"{data.name}: {data.n_users:,} users, {data.n_items:,} items, {len(data):,} interactions")
    for line in data.report.lines()[1:]:
        log(f"  {line}")


def lines(option: str, name: str, empty: bool = False) -> list[str]:
    """Read the lines of a text file that are not blank, or of standard input for -.

    Raises
    ------
    DataError
        The file cannot be read, is not UTF-8, or holds no ids (unless it may be `empty`); the
        message begins with the option.
    """
    from trimetric.data import sources
    from trimetric.data.encodings import as_utf8, unix_lines

    try:
        found = sources.find(name)
        if len(found) != 1:
            raise DataError(f"it names {len(found)} files; give one")
        raw, _ = as_utf8(found[0].read(), found[0].name, None)
        text = unix_lines(raw).decode().replace("\r\n", "\n")
        ids = [line for line in text.split("\n") if line.strip(" \t")]
    except DataError as error:
        raise DataError(f"{option}: {error}") from None
    except UnicodeDecodeError:
        raise DataError(f"{option} {name} is not UTF-8 text; give one id per line") from None
    if not ids and not empty:
        raise DataError(f"{option} {name} holds no ids; give one id per line")
    return ids
