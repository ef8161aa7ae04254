"""`trimetric reproduce`: the SML paper's tables and figures, as released and honestly."""

import re
from typing import Annotated

from typer import Argument, Option

from trimetric.cli.compare import Jobs, Seeds, Size, command
from trimetric.cli.options import Columns, Json, Quiet
from trimetric.cli.output import emit, emit_json, note
from trimetric.cli.reading import read, tell
from trimetric.errors import ParameterError

ALIASES = {
    "instant-video": ("amazon_instant_video_5core",),
    "imdb": ("imdb_tang2015", "imdb_tang2015_train_partial"),
    "yelp": ("yelp2013_tang2015", "yelp_core40"),
}
"""The paper's names of its data sets: what is taken for them, the first that is at hand."""


def reproduce(
    target: Annotated[
        str, Argument(help="table3, table4, fig4, fig5, fig6 or all; or several: table3,fig6.")
    ],
    columns: Columns,
    dataset: Annotated[
        str, Option("--dataset", help="A file or a name; also instant-video, imdb or yelp.")
    ] = "instant-video",
    budget: Size = "small",
    seeds: Seeds = 3,
    out: Annotated[
        str, Option("--out", help="The folder of the report, and of results to go on from.")
    ] = "reproduction",
    threads: Jobs = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Rebuild tables and figures of the SML paper, with the leak of its code and without.

    Beside each other: what is published, what the released code gives, and what is honest. Ends in
    a report (report.html, .md and .json). Interrupted and run again with the same --out, it goes
    on where it was.
    """
    from trimetric.evaluation.released import WARNING
    from trimetric.experiments.paper import TARGETS
    from trimetric.experiments.paper import reproduce as reproduced

    targets = TARGETS if target == "all" else tuple(re.split(r"[,+ ]+", target))
    unknown = [one for one in targets if one not in TARGETS]
    if unknown:
        raise ParameterError(
            f"TARGET must be all or among {', '.join(TARGETS)}, got {unknown[0]!r}"
        )
    say = (lambda text: None) if quiet else note
    data = read(_named(dataset), columns)
    tell(data, say)
    note(WARNING)
    document = reproduced(
        data,
        targets,
        out=out,
        size=budget,
        seeds=seeds,
        workers=threads,
        command=command(),
        say=say,
    )
    if json:
        emit_json({"out": out, **document})
        return
    for section in document["sections"]:
        if section["kind"] == "text" and section["title"].startswith(("Table 3", "Margins")):
            for paragraph in section["paragraphs"]:
                emit(paragraph.replace("**", ""))
    emit(f"{WARNING}\nreport: {out}/report.html")


def _named(dataset: str) -> str:
    from trimetric.data import datasets

    names = ALIASES.get(dataset, (dataset,))
    return next((name for name in names if datasets.has(name)), names[0])
