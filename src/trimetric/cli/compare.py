"""`trimetric compare`: tune, train and test many models on the same data."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from trimetric.cli.columns import Columns
from trimetric.cli.core import Core
from trimetric.cli.options import Data, Json, Quiet, Ray
from trimetric.cli.output import emit, emit_json, logger, show
from trimetric.cli.reading import print_summary, read
from trimetric.cli.splitting import SplitOptions
from trimetric.progress import heartbeat

if TYPE_CHECKING:
    from trimetric.experiments.compare import Comparison

Jobs = Annotated[
    int | None,
    Option("--threads", help="Fits at a time, one thread each; never changes results."),
]
Trials = Annotated[
    int | None,
    Option("--trials", help="Trials per model, in place of the budget's; 1 uses the defaults."),
]
Size = Annotated[
    str, Option("--budget", help="Trials per model: small (6), medium (20) or large (60).")
]
Seeds = Annotated[int, Option("--seeds", help="Trainings of each model with its tuned settings.")]


def compare(
    data: Data,
    columns: Columns,
    core: Core,
    options: SplitOptions,
    models: Annotated[
        str,
        Option(
            "--models",
            help="all (centroid, eight systems, four references) or names, such as sml,ease.",
        ),
    ] = "all",
    seeds: Seeds = 3,
    budget: Size = "small",
    trials: Trials = None,
    metric: Annotated[
        str, Option("--metric", help="Metric to tune for, on validation data.")
    ] = "ndcg@10",
    protocol: Annotated[
        str, Option("--protocol", help="full, dpcml, or sampled-499 (not comparable to these).")
    ] = "full",
    sets: Annotated[
        list[str] | None,
        Option("--set", metavar="MODEL.NAME=VALUE", help="Fix a setting; it is not tuned."),
    ] = None,
    lists: Annotated[
        list[str] | None,
        Option(
            "--lists",
            metavar="NAME=FILE",
            help="Compare lists made elsewhere too; --models none for these alone.",
        ),
    ] = None,
    out: Annotated[
        str, Option("--out", help="Folder of the report and of finished results.")
    ] = "comparison",
    threads: Jobs = None,
    ray: Ray = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Compare models on DATA with equal tuning for all. Significance is tested over users.

    Every model is tuned on the validation part with the same number of trials, then evaluated once
    on the test part. Writes a report (report.html, .md and .json). Started again with the same
    --out, an interrupted run goes on where it was.
    """
    from trimetric.experiments.compare import compare as run
    from trimetric.experiments.report import check_installed

    check_installed()
    log = logger(quiet)
    whole = read(data, columns, quiet)
    print_summary(whole, log)
    whole = core.of(whole, log)
    with heartbeat("comparing", not quiet):
        comparison = run(
            options.split(whole),
            models,
            out=out,
            seeds=seeds,
            size=budget,
            trials=trials,
            metric=metric,
            protocol=protocol,
            settings=_by_model(sets or []),
            lists=_lists(lists or [], columns),
            workers=threads,
            ray=ray,
            command=command(),
            log=log,
        )
    if json:
        emit_json({"out": out, "metric": metric, "protocol": protocol, "models": comparison.rows()})
        return
    show(_table(comparison))
    emit(f"report: {out}/report.html")


def command() -> str:
    """Return the command line, with paths cut to their last part, since reports are shared."""
    return shlex.join(["trimetric", *map(_cut, sys.argv[1:])])


def _cut(word: str) -> str:
    """Return a word of a command without the folders of the path that it is, or has after =."""
    name, equals, value = word.partition("=")
    if equals and len(Path(name).parts) <= 1:
        return f"{name}={_cut(value)}"
    return Path(word).name or word


def _lists(given: list[str], columns: Columns) -> dict[str, Any]:
    from trimetric.errors import ParameterError
    from trimetric.evaluation.lists import RankedLists

    found: dict[str, Any] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not (name and equals and path) or name in found:
            raise ParameterError(f"--lists takes NAME=FILE, each name once, got {text!r}")
        found[name] = RankedLists.of(path, name=name, **columns.of_lists())
    return found


def _by_model(sets: list[str]) -> dict[str, dict[str, Any]]:
    from trimetric.cli.settings import pair
    from trimetric.errors import ParameterError
    from trimetric.models import REGISTRY

    settings: dict[str, dict[str, Any]] = {}
    for text in sets:
        name, value = pair(text)
        model, dot, setting = name.partition(".")
        if not dot or model not in REGISTRY:
            raise ParameterError(f"--set takes MODEL.NAME=VALUE here, as sml.dim=64, got {text!r}")
        settings.setdefault(model, {})[setting] = value
    return settings


def _table(comparison: "Comparison") -> Any:
    from rich.table import Table

    metrics = [comparison.metric, *(m for m in ("recall@10", "map") if m != comparison.metric)]
    best = comparison.entrants[0].model
    table = Table(
        title=f"On the test part ({comparison.protocol})",
        title_justify="left",
        caption=f"mean ± standard deviation over seeds; † behind {best} by more than chance among"
        " users (p < .05, Holm); processor seconds of one fit on one thread",
        caption_justify="left",
    )
    table.add_column("model")
    for name in (*metrics, "seconds", "MiB"):
        table.add_column(name, justify="right")
    notes: list[str] = []
    for row in comparison.rows():
        if row["error"]:
            table.add_row(row["model"], row["error"])
            continue
        shown = [_format(row, name) for name in metrics]
        behind = row["behind_best"]
        if behind and behind["significant"] and behind["difference"] < 0:
            shown[0] += "†"
        table.add_row(
            row["model"], *shown, _cost(row["cpu_seconds"], ".1f"), _cost(row["memory_mib"], ".0f")
        )
        notes += [f"{row['model']}: {note}" for note in row.get("notes", ())]
    if notes:
        table.caption = "\n".join([str(table.caption), *notes])
    return table


def _cost(value: float, form: str) -> str:
    return "-" if value != value else format(value, form)


def _format(row: dict[str, Any], name: str) -> str:
    value, spread = row.get(name), row.get(f"{name} spread")
    if value is None:
        return "-"
    return f"{value:.4f}" if spread is None or spread != spread else f"{value:.4f} ± {spread:.4f}"
