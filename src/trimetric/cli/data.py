"""`trimetric data`: look at interactions, split them, list the known data sets."""

import os
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option, Typer

from trimetric.cli.options import Columns, Data, Json, grouped
from trimetric.cli.output import emit, emit_json, show
from trimetric.cli.reading import read
from trimetric.cli.splitting import Splitting, divided
from trimetric.errors import OutputError

if TYPE_CHECKING:
    import numpy as np

    from trimetric.data import Interactions, Split

app = Typer(
    help="Look at interactions, split them, list known data sets.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
MOST_VALUES = 12  # of a histogram; more are gathered into bins


def inspect(data: Data, columns: Columns, json: Json = False) -> None:
    """Count what DATA holds; rows that lack a value are left out and counted."""
    from dataclasses import replace

    found = summary(read(data, replace(columns, nulls="drop")))
    if json:
        emit_json(found)
    else:
        show(_lines_table(found))


def split(
    data: Data,
    columns: Columns,
    how: Splitting,
    out: Annotated[str, Option("--out", help="The folder for train, valid and test.parquet.")],
    json: Json = False,
) -> None:
    """Split DATA into train.parquet, valid.parquet and test.parquet, with split.json beside them.

    The shares do not matter to leave-one-out and column. All files appear at once.
    """
    whole = read(data, columns)
    parts = divided(whole, how)
    document = {"out": out, "name": whole.name, "fingerprint": whole.fingerprint, **parts.how}
    _write(Path(out), parts, document)
    if json:
        emit_json(document)
    else:
        sizes = ", ".join(f"{part} {n:,}" for part, n in parts.how["pairs"].items())
        emit(f"split {whole.name} ({parts.how['method']}): {sizes}; in {out}")


def known(json: Json = False) -> None:
    """List the known data sets, and where they are."""
    from rich.table import Table

    from trimetric.data import datasets
    from trimetric.data.raw import PUBLISHED

    found = datasets.available()
    if json:
        rows = [
            {
                "name": name,
                "title": known.title,
                "path": str(found[name]) if name in found else None,
            }
            for name, known in PUBLISHED.items()
        ]
        folders = [str(folder) for folder in datasets.folders()]
        emit_json({"looked_in": folders, "data_sets": rows})
        return
    table = Table()
    for column in ("name", "what", "where"):
        table.add_column(column)
    for name, one in PUBLISHED.items():
        table.add_row(name, one.title, str(found.get(name, "not found")))
    table.add_row("planted", "generated", "always there")
    show(table)
    emit("looked in " + " and ".join(str(folder) for folder in datasets.folders()))


app.command("inspect")(grouped(inspect))
app.command("split")(grouped(split))
app.command("list")(grouped(known))


def summary(data: "Interactions") -> dict[str, Any]:
    """Return counts of all kinds, ready for JSON."""
    import numpy as np

    by_user = np.bincount(data.users, minlength=data.n_users)
    by_item = np.bincount(data.items, minlength=data.n_items)
    columns = {"ratings": "rating", "timestamps": "timestamp", "labels": "split"}
    found: dict[str, Any] = {
        "name": data.name,
        "columns": ["user", "item"]
        + [column for name, column in columns.items() if getattr(data, name) is not None],
        "users": data.n_users,
        "items": data.n_items,
        "pairs": len(data),
        "density": len(data) / (data.n_users * data.n_items),
        "ids": {"user": data.user_ids.kind, "item": data.item_ids.kind},
        "pairs_a_user": _spread(by_user),
        "pairs_an_item": _spread(by_item),
        "rows": vars(data.report),
        "fingerprint": data.fingerprint,
    }
    if data.ratings is not None:
        found["ratings"] = _histogram(data.ratings)
    if data.timestamps is not None:
        span = (int(data.timestamps.min()), int(data.timestamps.max()))
        found["time"] = {"from": _date(span[0]), "to": _date(span[1]), "seconds": list(span)}
    if data.labels is not None:
        names, counts = np.unique(data.labels, return_counts=True)
        found["split"] = {str(n): int(c) for n, c in zip(names, counts, strict=True)}
    return found


def _spread(counts: "np.ndarray") -> dict[str, Any]:
    import numpy as np

    return {
        "min": int(counts.min()),
        "median": float(np.median(counts)),
        "mean": round(float(counts.mean()), 2),
        "max": int(counts.max()),
    }


def _histogram(ratings: "np.ndarray") -> dict[str, int]:
    import numpy as np

    values, counts = np.unique(ratings, return_counts=True)
    if len(values) <= MOST_VALUES:
        return {f"{v:g}": int(c) for v, c in zip(values, counts, strict=True)}
    counts, edges = np.histogram(ratings.astype(np.float64), bins=MOST_VALUES - 2)
    bins = zip(edges, edges[1:], counts, strict=False)
    return {f"{low:g}..{high:g}": int(c) for low, high, c in bins}


def _date(seconds: int) -> str | None:
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return None


def _lines_table(found: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table(title=f"{found['name']}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column()
    for key, value in found.items():
        if isinstance(value, dict):
            value = "   ".join(
                f"{name.replace('_', ' ')} {_number(v)}"
                for name, v in value.items()
                if name != "seconds" and (key != "rows" or v)
            )
        elif isinstance(value, list):
            value = ", ".join(value)
        if key != "name":
            table.add_row(key.replace("_", " "), _number(value))
    return table


def _number(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write(folder: Path, split: "Split", document: dict[str, Any]) -> None:
    """Fill a new folder beside the final one and rename it."""
    import json

    from trimetric.cli.tables import system_errors
    from trimetric.storage.atomic import output_errors, replacing, take_place

    _refuse_other_files(folder)
    folder = folder.resolve()
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    try:
        with output_errors(folder):
            fresh.mkdir(parents=True)
            for name in ("train", "valid", "test"):
                part = getattr(split, name)
                if part is not None:
                    frame = part.to_frame()
                    with replacing(fresh / f"{name}.parquet") as out, system_errors():
                        frame.drop("split", strict=False).write_parquet(out)
            with replacing(fresh / "split.json") as out:
                out.write(json.dumps(document, indent=2).encode())
            take_place(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _refuse_other_files(folder: Path) -> None:
    ours = {"train.parquet", "valid.parquet", "test.parquet", "split.json"}
    if folder.is_dir():
        other = sorted(path.name for path in folder.iterdir() if path.name not in ours)
        if other:
            raise OutputError(
                f"{folder} holds {other[0]}, which is no part of a split;"
                " choose another folder for --out"
            )
    elif folder.exists():
        raise OutputError(f"{folder} is a file; choose a folder for --out")
