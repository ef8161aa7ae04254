"""Reproduce the tables and figures of Li et al., AAAI 2020, in one report."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimetric.errors import ParameterError
from trimetric.evaluation import released_data
from trimetric.experiments import report, study
from trimetric.experiments.compare import RESULTS
from trimetric.experiments.paper import about, figures, published, tables, words
from trimetric.experiments.paper.recipes import HONEST, RELEASED
from trimetric.experiments.report.header import header
from trimetric.experiments.study import Log, Plan
from trimetric.experiments.tune import budget
from trimetric.keywords import check_count
from trimetric.models import SYSTEMS
from trimetric.storage import places

if TYPE_CHECKING:
    from trimetric.data import Interactions

TARGETS = ("table1", "table2", "table3", "table4", "fig4", "fig5", "fig6")


def reproduce(
    data: "Interactions",
    targets: tuple[str, ...] = TARGETS,
    *,
    out: str | Path,
    size: str = "small",
    trials: int | None = None,
    seeds: int = 3,
    workers: int | None = None,
    ray: str | None = None,
    command: str = "",
    log: Log = lambda text: None,
) -> dict[str, Any]:
    """Reproduce tables and figures of the SML paper, with and without its leak, in one report.

    Started again with the same `out`, an interrupted run goes on where it was.

    Parameters
    ----------
    data : Interactions
        All of a data set, with its ratings; published figures stand beside those of the data sets
        of `published.COUNTERPARTS`.
    targets : tuple of str
        Among `TARGETS`.
    out : path
        The folder of the report and, in `runs`, of all results.
    size : "small", "medium" or "large"
        The budget: see `tune.BUDGETS`. Medium and large train as released for all 800 epochs.
    trials : int, optional
        In place of the budget's.
    seeds : int
        Of each model; at least 1.
    workers : int, optional
        Fits at a time, one thread each; all processors unless given. Results do not depend on it.
    ray : str, optional
        Fit on Ray instead of worker processes: "local" starts it on this machine, "auto",
        "host:port" or "ray://host:port" names a running cluster. Results do not depend on it.
    command : str
        The command to show in the report.
    log : callable
        Receives a line for each finished job.

    Returns
    -------
    dict
        The report: see `report.write`.

    Raises
    ------
    ParameterError
        A target or budget is unknown, or `seeds` or `trials` is below 1.
    DataError
        The data cannot be split.
    Interrupted
        Ctrl-C; finished results are kept.
    ClusterError
        No Ray cluster answers at the address, or it has other versions.
    """
    from trimetric.data import split_random

    spend = budget(size, trials)
    unknown = [target for target in targets if target not in TARGETS]
    if unknown or not targets:
        raise ParameterError(f"targets are {', '.join(TARGETS)}; got {unknown or 'none'}")
    check_count("seeds", seeds, "3 show a spread")
    report.check_installed()
    paper = published.counterpart(data.name)
    dataset = paper.dataset if paper else None
    as_released = released_data(data)
    splits = {
        RELEASED: split_random(as_released, test=0.1, valid=0.0),
        HONEST: split_random(data, test=0.1, valid=0.09),
    }
    plans: dict[str, Plan] = {}
    if "table3" in targets:
        plans |= tables.table3_plans(spend, seeds, dataset)
    if "table4" in targets:
        plans |= tables.table4_plans(spend, seeds, dataset)
    if "fig4" in targets:
        plans |= figures.sweep_plans(spend, seeds, dataset)
    if "fig5" in targets or "fig6" in targets:
        plans |= figures.margin_plans(spend, seeds, dataset)
    outcomes = {}
    if plans:
        outcomes = study.run(
            plans, splits, places.output(out) / RESULTS, workers=workers, ray=ray, log=log
        )
    outcomes = figures.spread_out(outcomes)
    build: dict[str, Callable[..., list[dict[str, Any]]]] = {
        "table1": lambda *_: about.table1(data, as_released),
        "table2": lambda *_: about.table2(),
        "table3": tables.table3,
        "table4": tables.table4,
        "fig4": figures.figure4,
        "fig5": figures.figure5,
        "fig6": figures.figure6,
    }
    sections = [section for name in targets for section in build[name](outcomes, dataset)]
    document = {
        "title": f"SML reproduced on {data.name}",
        "subtitle": "Li et al., AAAI 2020: what was published, what the released code gives with"
        " its leak, and what is honest",
        **header(splits[HONEST], paper.note if paper else words.NO_COUNTERPART, SYSTEMS),
        "command": command,
        "seeds": list(range(seeds)),
        "budget": asdict(spend),
        "seconds": round(study.seconds(places.output(out) / RESULTS), 1),
        "sections": [
            words.how(splits[RELEASED], splits[HONEST], spend, seeds),
            *sections,
            words.missing(data.name),
            words.oddities(dataset),
        ],
    }
    report.write(document, places.output(out))
    return document
