"""`trimetric reproduce`: the tables and figures of the SML paper."""

import re
from typing import Annotated

from typer import Argument, Option

from trimetric.cli.columns import Columns
from trimetric.cli.compare import Jobs, Seeds, Size, Trials, command
from trimetric.cli.options import Json, Quiet, Ray
from trimetric.cli.output import emit, emit_json, logger, note
from trimetric.cli.reading import print_summary, read
from trimetric.errors import ParameterError
from trimetric.progress import heartbeat

ALIASES = {
    "instant-video": ("amazon_instant_video_5core",),
    "imdb": ("imdb_tang2015", "imdb_tang2015_train_partial"),
    "yelp": ("yelp2013_tang2015", "yelp_core40"),
}
"""Data sets that stand for those of the paper; the first that is on this machine is used."""


def reproduce(
    target: Annotated[
        str,
        Argument(
            metavar="TARGET", help="table1 to table4, fig4 to fig6, several (table3,fig6), or all."
        ),
    ],
    columns: Columns,
    dataset: Annotated[
        str, Option("--dataset", help="File or data set's name; also instant-video, imdb or yelp.")
    ] = "instant-video",
    budget: Size = "small",
    trials: Trials = None,
    seeds: Seeds = 3,
    out: Annotated[
        str, Option("--out", help="Folder of the report and of finished results.")
    ] = "reproduction",
    threads: Jobs = None,
    ray: Ray = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Reproduce tables and figures of the SML paper. They come with the leak and without.

    Shows side by side what is published, what the released code gives, and results without the
    leak. Writes a report (report.html, .md and .json). Started again with the same --out, an
    interrupted run goes on where it was.
    """
    from trimetric.evaluation.released import WARNING
    from trimetric.experiments.paper import TARGETS
    from trimetric.experiments.paper import reproduce as run
    from trimetric.experiments.report import check_installed

    check_installed()
    targets = TARGETS if target == "all" else tuple(re.split(r"[,+ ]+", target))
    unknown = [name for name in targets if name not in TARGETS]
    if unknown:
        raise ParameterError(
            f"TARGET must be all or among {', '.join(TARGETS)}, got {unknown[0]!r}"
        )
    log = logger(quiet)
    data = read(_resolve(dataset), columns, quiet)
    print_summary(data, log)
    note(WARNING)
    with heartbeat("reproducing", not quiet):
        document = run(
            data,
            targets,
            out=out,
            size=budget,
            trials=trials,
            seeds=seeds,
            workers=threads,
            ray=ray,
            command=command(),
            log=log,
        )
    if json:
        emit_json({"out": out, **document})
        return
    for section in document["sections"]:
        if section["kind"] == "text" and section["title"].startswith(
            ("Table 3", "Table 4", "Margins")
        ):
            for paragraph in section["paragraphs"]:
                emit(paragraph.replace("**", ""))
    emit(f"{WARNING}\nreport: {out}/report.html")


def _resolve(dataset: str) -> str:
    from trimetric.data import datasets

    names = ALIASES.get(dataset, (dataset,))
    return next((name for name in names if datasets.has(name)), names[0])
