"""`trimetric compare`: tune, train and test many models on the same data."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from trimetric.cli.options import Columns, Data, Json, Quiet
from trimetric.cli.output import emit, emit_json, note, show
from trimetric.cli.reading import read, tell
from trimetric.cli.splitting import Splitting, divided

if TYPE_CHECKING:
    from trimetric.experiments.compare import Comparison

Jobs = Annotated[
    int | None,
    Option("--threads", help="Fits at a time, one thread each; results are the same."),
]
Size = Annotated[str, Option("--budget", help="small, medium or large: trials for each model.")]
Seeds = Annotated[int, Option("--seeds", help="Trainings of each model with what was chosen.")]


def compare(
    data: Data,
    columns: Columns,
    splitting: Splitting,
    models: Annotated[
        str, Option("--models", help="all (eight systems, four references) or names, as sml,ease.")
    ] = "all",
    seeds: Seeds = 3,
    budget: Size = "small",
    trials: Annotated[
        int | None, Option("--trials", help="Instead of the budget's; 1 takes the defaults.")
    ] = None,
    metric: Annotated[
        str, Option("--metric", help="What settings are chosen by, on validation data.")
    ] = "ndcg@10",
    protocol: Annotated[
        str, Option("--protocol", help="full, dpcml, or sampled-499 (not comparable).")
    ] = "full",
    sets: Annotated[
        list[str] | None,
        Option("--set", metavar="MODEL.NAME=VALUE", help="A setting that is not searched."),
    ] = None,
    out: Annotated[
        str, Option("--out", help="The folder of the report, and of results to go on from.")
    ] = "comparison",
    threads: Jobs = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Compare models on DATA: equal tuning for all, several seeds, significance over users.

    Settings are chosen on the validation part, the same number of trials for every model; the test
    part is looked at once. Ends in a table and a report (report.html, .md and .json). Interrupted
    and run again with the same --out, it goes on where it was.
    """
    from trimetric.experiments.compare import compare as compared

    say = (lambda text: None) if quiet else note
    whole = read(data, columns)
    tell(whole, say)
    found = compared(
        divided(whole, splitting),
        models,
        out=out,
        seeds=seeds,
        size=budget,
        trials=trials,
        metric=metric,
        protocol=protocol,
        settings=_by_model(sets or []),
        workers=threads,
        command=command(),
        say=say,
    )
    if json:
        emit_json({"out": out, "metric": metric, "protocol": protocol, "models": found.rows()})
        return
    show(_table(found))
    emit(f"report: {out}/report.html")


def command() -> str:
    """Return what was typed; of paths only the last part, since reports are passed on."""
    return shlex.join(["trimetric", *(Path(arg).name or arg for arg in sys.argv[1:])])


def _by_model(sets: list[str]) -> dict[str, dict[str, Any]]:
    from trimetric.cli.settings import pair
    from trimetric.errors import ParameterError
    from trimetric.models import REGISTRY

    found: dict[str, dict[str, Any]] = {}
    for text in sets:
        name, value = pair(text)
        model, dot, setting = name.partition(".")
        if not dot or model not in REGISTRY:
            raise ParameterError(f"--set takes MODEL.NAME=VALUE here, as sml.dim=64, got {text!r}")
        found.setdefault(model, {})[setting] = value
    return found


def _table(found: "Comparison") -> Any:
    from rich.table import Table

    metrics = [found.metric, *(m for m in ("recall@10", "map") if m != found.metric)]
    best = found.entrants[0].model
    table = Table(
        title=f"On the test part ({found.protocol})",
        title_justify="left",
        caption=f"mean ± standard deviation over seeds; † behind {best} by more than chance among"
        " users (p < .05, Holm); seconds of one fit on one thread",
        caption_justify="left",
    )
    table.add_column("model")
    for name in (*metrics, "seconds", "MiB"):
        table.add_column(name, justify="right")
    for row in found.rows():
        if row["error"]:
            table.add_row(row["model"], row["error"])
            continue
        shown = [_shown(row, name) for name in metrics]
        behind = row["behind_best"]
        if behind and behind["significant"] and behind["difference"] < 0:
            shown[0] += "†"
        table.add_row(row["model"], *shown, f"{row['seconds']:.1f}", f"{row['memory_mib']:.0f}")
    return table


def _shown(row: dict[str, Any], name: str) -> str:
    value, spread = row.get(name), row.get(f"{name} spread")
    if value is None:
        return "-"
    return f"{value:.4f}" if spread is None or spread != spread else f"{value:.4f} ± {spread:.4f}"
