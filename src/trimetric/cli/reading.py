"""DATA: a file, a data set's name, or `planted`; and the part of a shipped split that is meant."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimetric.cli.options import Columns
from trimetric.errors import DataError

if TYPE_CHECKING:
    from trimetric.data import Interactions

PLANTED = "planted"


def read(source: str, columns: Columns) -> "Interactions":
    """Read interactions; `planted` is generated unless a file has that name."""
    from trimetric.data import Interactions

    if source == PLANTED and not Path(source).exists():
        from trimetric.data import synthetic

        whole = synthetic.planted().interactions
        if columns.min_rating is not None:
            raise DataError("planted has no ratings; leave min_rating out")
        return whole
    return Interactions.of(source, **columns.rules())


def describe(data: "Interactions") -> dict[str, Any]:
    """Return what was read, for JSON."""
    return {
        "name": data.name,
        "users": data.n_users,
        "items": data.n_items,
        "pairs": len(data),
        "fingerprint": data.fingerprint,
    }


def tell(data: "Interactions", say: Callable[[str], None]) -> None:
    """Say what was read and what was left out."""
    say(f"{data.name}: {data.n_users:,} users, {data.n_items:,} items, {len(data):,} interactions")
    for line in data.report.lines()[1:]:
        say(f"  {line}")


def shipped(data: "Interactions", part: str) -> "Interactions | None":
    """Return the part of the split that the data ships, None if it has no such part.

    Data without a split is its own train, and no part else.
    """
    import numpy as np

    from trimetric.data.splits import LABELS, TEST, TRAIN, VALID

    if data.labels is None:
        return data if part == "train" else None
    codes = {str(name): LABELS.get(str(name).strip().lower()) for name in np.unique(data.labels)}
    unknown = [name for name, code in codes.items() if code is None]
    if unknown:
        raise DataError(
            f"{data.name}: column 'split' holds {unknown[0]!r}; it may hold {', '.join(LABELS)}"
        )
    wanted = {"train": TRAIN, "valid": VALID, "test": TEST}[part]
    mask = np.isin(data.labels, [name for name, code in codes.items() if code == wanted])
    return data.take(mask).compact() if mask.any() else None


def held_out(source: str, columns: Columns, part: str) -> "Interactions":
    """Read a file to validate or test on: its part of that name, or all where it has no split."""
    data = read(source, columns)
    return (shipped(data, part) or data) if data.labels is not None else data


def lines(option: str, name: str, some: bool = True) -> list[str]:
    """Read a text file, or standard input for -, of one id a line.

    Raises
    ------
    DataError
        It cannot be read, is not UTF-8, or holds no ids although there must be `some`; the message
        begins with the option.
    """
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        whole = raw.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
        found = [line.strip(" \t") for line in whole if line.strip(" \t")]
    except OSError as error:
        raise DataError(f"{option} {name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{option} {name} is not UTF-8 text; give one id a line") from None
    if some and not found:
        raise DataError(f"{option} {name} holds no ids; give one id a line")
    return found
