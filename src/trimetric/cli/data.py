"""`trimetric data`: look at interactions, split them, list the known data sets."""

from dataclasses import replace
from typing import Annotated, Any

from typer import Argument, Option, Typer

from trimetric.cli.columns import Columns
from trimetric.cli.core import Core
from trimetric.cli.options import Data, Json, Quiet, Ray, grouped
from trimetric.cli.output import emit, emit_json, note, replaces, rows_table, show
from trimetric.cli.reading import read
from trimetric.cli.splitting import SplitOptions

app = Typer(
    help="Inspect interactions, split them, list known data sets.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
FIRST = 5


def inspect(data: Data, columns: Columns, core: Core, json: Json = False) -> None:
    """Tell how DATA is read and what it holds. The first pairs are shown.

    Rows with a missing value are left out and counted. Of a folder of `data prepare`, what it holds
    is shown.
    """
    import numpy as np

    from trimetric.data import summarize

    prepared = _prepared(data)
    if prepared is not None:
        emit_json(prepared) if json else show(_table(prepared))
        return
    found = core.of(read(data, replace(columns, nulls="drop")), note)
    summary = summarize(found)
    first = found.take(np.arange(min(FIRST, len(found)))).to_frame()
    summary["first"] = first.to_dicts()
    if json:
        emit_json(summary)
    else:
        show(_table({name: value for name, value in summary.items() if name != "first"}))
        show(rows_table(first, "first pairs"))


def split(
    data: Data,
    columns: Columns,
    core: Core,
    options: SplitOptions,
    out: Annotated[str, Option("--out", help="Folder for train, valid and test.parquet.")],
    json: Json = False,
) -> None:
    """Split DATA into train, valid and test.parquet. A file split.json beside them tells how.

    The shares do not apply to leave-one-out and column. All files appear at once.
    """
    columns, keep = columns.kept_repeats()
    whole = core.of(read(data, columns), note)
    parts = options.split(whole, keep)
    replaces(out, note, holding="split.json")
    document = parts.save(out, {"out": out, "fingerprint": whole.fingerprint})
    if json:
        emit_json(document)
    else:
        sizes = ", ".join(f"{part} {n:,}" for part, n in parts.how["pairs"].items())
        emit(f"split {whole.name} ({parts.how['method']}): {sizes}; in {out}")
        for name, told in (
            ("repeats_left_out", "later rows of pairs that an earlier part has, left out"),
            ("repeats_kept", "pairs of valid and test that an earlier part has too"),
        ):
            if parts.how.get(name):
                emit(f"{parts.how[name]:,} {told}")


def prepare(
    data: Annotated[
        list[str],
        Argument(
            metavar="DATA",
            help="Files, folders, patterns such as 'log/*.parquet', or URIs; one or several.",
        ),
    ],
    columns: Columns,
    out: Annotated[str, Option("--out", help="Folder for the parts, new or empty.")],
    partitions: Annotated[
        int, Option("--partitions", metavar="P", help="Divide users into P parts, items as finely.")
    ],
    valid: Annotated[
        float, Option("--valid", help="Share held out to OUT/valid, with ids; 0 for none.")
    ] = 0.0,
    test: Annotated[
        float, Option("--test", help="Share held out to OUT/test, with ids; 0 for none.")
    ] = 0.0,
    seed: Annotated[int, Option("--seed", "--split-seed", help="Seed of what is held out.")] = 0,
    resume: Annotated[
        bool, Option("--resume", help="Go on where the same command was stopped.")
    ] = False,
    ray: Ray = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Divide DATA into parts for training in parts. DATA may be larger than memory.

    Files are read in batches, and then one part of the users at a time, with the rules of the other
    commands. A run that was stopped, or found the disk full, goes on with --resume.
    """
    from trimetric.scale.prepare import prepare as prepared

    options = columns.rules()
    told = options.pop("split")
    made = prepared(
        data[0] if len(data) == 1 else data,
        out,
        partitions=partitions,
        valid=valid,
        test=test,
        seed=seed,
        resume=resume,
        progress=not quiet,
        ray=ray,
        split=told,
        **options,
    )
    if json:
        emit_json(made.summary())
        return
    emit(
        f"prepared {made.n_users:,} users, {made.n_items:,} items, {len(made):,} interactions in"
        f" {made.n_parts:,} parts; in {out}"
    )
    for line in made.report.lines()[1:]:
        emit(f"  {line}")
    for line in made.held_out_lines():
        emit(f"  {line}")


def known(json: Json = False) -> None:
    """List the known data sets and where they were found."""
    from rich.table import Table

    from trimetric.data import datasets
    from trimetric.data.published import PUBLISHED

    paths = {name: str(path) for name, path in datasets.available().items()}
    folders = [str(folder) for folder in datasets.folders()]
    if json:
        rows: list[dict[str, Any]] = [
            {
                "name": name,
                "title": source.title,
                "path": paths.get(name),
                "url": source.url or None,
            }
            for name, source in PUBLISHED.items()
        ]
        rows += [
            {"name": name, "title": title, "path": None, "url": None, "generated": True}
            for name, title in datasets.GENERATED.items()
        ]
        emit_json({"looked_in": folders, "data_sets": rows})
        return
    table = Table("name", "title", "path")
    for name, title in datasets.GENERATED.items():
        table.add_row(name, title, "always there")
    for name, source in PUBLISHED.items():
        absent = f"not found; published at {source.url}" if source.url else "not found"
        table.add_row(name, source.title, paths.get(name, absent))
    show(table)
    emit("looked in " + " and ".join(folders))


app.command("inspect")(grouped(inspect))
app.command("split")(grouped(split))
app.command("prepare")(grouped(prepare, threaded=True))
app.command("list")(grouped(known))


def _prepared(data: str) -> dict[str, Any] | None:
    """Return what a folder of `data prepare` holds, None if it is none."""
    from trimetric.scale.prepared import Prepared, is_prepared

    return Prepared(data).summary() if is_prepared(data, unfinished=False) else None


def _table(summary: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table("", "", title=summary["name"], title_justify="left", show_header=False)
    for key, value in summary.items():
        if isinstance(value, dict):
            value = "   ".join(
                f"{name.replace('_', ' ')} {_number(v)}"
                for name, v in value.items()
                if name != "seconds" and (key != "rows" or v)
            )
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        if key != "name" and value not in ("", None):
            table.add_row(key.replace("_", " "), _number(value))
    return table


def _number(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
