"""Compare models on one split: equal tuning on validation data, several seeds, tests over users."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from trimetric.data.splits import Split
from trimetric.errors import DataError, ParameterError
from trimetric.evaluation import evaluate
from trimetric.evaluation import metric as named_metric
from trimetric.evaluation import protocol as named_protocol
from trimetric.evaluation.significance import Difference
from trimetric.evaluation.significance import compare as differences
from trimetric.experiments import report, study
from trimetric.experiments.comparison import Comparison, Entrant, sections
from trimetric.experiments.jobs import Job, seeded, user_weights
from trimetric.experiments.report.header import header
from trimetric.experiments.study import Log, Plan
from trimetric.experiments.tune import Budget, budget, tuned
from trimetric.keywords import check_count, check_text, plain
from trimetric.models import REFERENCES, REGISTRY, SYSTEMS
from trimetric.storage import places

SPLIT = "split"
RESULTS = "runs"  # the folder of results inside that of the report


def compare(
    split: Split,
    models: str | Iterable[str] = "all",
    *,
    out: str | Path,
    seeds: int = 3,
    size: str = "small",
    trials: int | None = None,
    metric: str = "ndcg@10",
    protocol: str = "full",
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    lists: Mapping[str, Any] | None = None,
    workers: int | None = None,
    ray: str | None = None,
    command: str = "",
    log: Log = lambda text: None,
) -> Comparison:
    """Tune and train each model, test it on the same users, and write a report.

    Every model has the same number of trials on the validation part; it is then trained with its
    best settings, once for each seed, and evaluated on the test part. Started again with the same
    `out`, an interrupted comparison goes on where it was. A script that calls it needs the usual
    `if __name__ == "__main__":`, since worker processes are started.

    Parameters
    ----------
    split : Split
        With a validation part.
    models : "all", names, or "none" beside lists
        "all" are centroid, the eight systems of the SML paper and four references.
    out : path
        The folder of the report and, in `runs`, of all results.
    seeds : int
        Models with a seed are trained with seeds 0 .. seeds - 1; at least 1.
    size : "small", "medium" or "large"
        The budget: see `tune.BUDGETS`.
    trials : int, optional
        In place of the budget's.
    metric, protocol : str
        Tune for this metric, on the validation part; evaluate by this protocol.
    settings : mapping, optional
        Fixed settings by model, which are not tuned.
    lists : mapping, optional
        Lists made elsewhere, by the name to show: RankedLists, frames or files as `evaluate` takes
        them. They are evaluated on the same test part, and tested like the models.
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
    Comparison

    Raises
    ------
    ParameterError
        A name or number is out of range, `split` is no Split, or the call is not under
        `if __name__ == "__main__":`.
    DataError
        The split has no validation part, or no model could be trained.
    Interrupted
        Ctrl-C; finished results are kept.
    ClusterError
        No Ray cluster answers at the address, or it has other versions.
    """
    if lists is not None and not isinstance(lists, Mapping):
        raise ParameterError(f"lists must be a mapping of names to lists, got {lists!r:.80}")
    names = [] if lists and models == "none" else listed(models)
    spend, metric = budget(size, trials), named_metric(metric).name
    _check(split, seeds, metric, protocol)
    report.check_installed()
    fixed = _fixed(settings)
    foreign = [foreign_entrant(*one, split, metric, protocol) for one in (lists or {}).items()]
    plans = {
        name: entrant(
            Job(SPLIT, name, fixed.get(name, {}), protocols=(protocol,), per_user=(metric,)),
            spend,
            metric,
            seeds,
        )
        for name in names
    }
    outcomes = study.run(
        plans, {SPLIT: split}, places.output(out) / RESULTS, workers=workers, ray=ray, log=log
    )
    everyone = [*outcomes.values(), *foreign]
    entrants = sorted(everyone, key=lambda entrant: -_mean(entrant, protocol, metric))
    if entrants[0].error:
        raise DataError(f"no model could be trained; {entrants[0].model}: {entrants[0].error}")
    result = Comparison(entrants, metric, protocol, _tested(entrants, metric), {})
    document = {
        "title": f"Models compared on {split.train.name}",
        **header(split, models=names),
        "command": command,
        "seeds": list(range(seeds)),
        "budget": asdict(spend),
        "seconds": round(study.seconds(places.output(out) / RESULTS), 1),
        "sections": sections(result, split, spend, seeds),
    }
    report.write(document, places.output(out))
    return replace(result, document=document)


def listed(models: str | Iterable[str]) -> list[str]:
    """Return the names of the models.

    Raises
    ------
    ParameterError
        A name is unknown, or there is none.
    """
    if models == "all":
        return ["centroid", *SYSTEMS, *REFERENCES]
    if not isinstance(models, Iterable):
        raise ParameterError(f"models must be names, or all, got {models!r:.80}")
    names = models.split(",") if isinstance(models, str) else list(models)
    for name in names:
        if not isinstance(name, str):
            raise ParameterError(
                f"models are given by name, such as 'centroid', got {name!r}; settings= has theirs"
            )
    names = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    unknown = [name for name in names if name not in REGISTRY] or ([] if names else ["none"])
    if unknown:
        raise ParameterError(
            f"models must be all or among {', '.join(REGISTRY)}; got {unknown[0]!r}"
        )
    return names


def entrant(job: Job, spend: Budget, metric: str, seeds: int) -> Plan:
    """Tune a model, then train and test it once for each seed; the plan returns an `Entrant`."""
    settings, log = yield from tuned(job, spend.trials, metric)
    if all(row["value"] is None for row in log):
        return Entrant(job.model, settings, log, [], str(log[0]["error"]))
    runs = yield seeded(replace(job, settings=settings), seeds)
    failed = [run["error"] for run in runs if "error" in run]
    if failed:
        return Entrant(job.model, settings, log, [], failed[0])
    return Entrant(job.model, settings, log, runs)


def foreign_entrant(name: str, source: Any, split: Split, metric: str, protocol: str) -> Entrant:
    """Evaluate lists made elsewhere as one run, of which nobody knows what it cost.

    Raises
    ------
    ParameterError
        The name is that of a model, or the lists do not tell the metric.
    DataError
        The lists cannot be read, or are of other ids.
    """
    if name in REGISTRY:
        raise ParameterError(f"lists cannot be called {name!r}, which is a model; name them anew")
    result = evaluate(source, split, protocol, name=name)
    if metric not in result.metrics:
        raise ParameterError(
            f"{name}: the lists do not tell {metric}, which the models are compared by; they tell"
            f" {', '.join(result.reported)}"
        )
    values = [None if np.isnan(v) else v for v in result.values(metric).tolist()]
    metrics = {key: None if np.isnan(v) else v for key, v in result.metrics.items()}
    run: dict[str, Any] = {
        "metrics": {protocol: metrics},
        "per_user": {metric: values},
        "cpu_seconds": None,
        "memory": None,
    }
    if named_metric(metric).micro:
        run["held_out"] = result.ranks.held.tolist()
    return Entrant(name, {}, [], [run], notes=tuple(result.notes))


def _check(split: Split, seeds: int, metric: str, protocol: str) -> None:
    if not isinstance(split, Split):
        raise ParameterError(
            f"split must be a Split, got {type(split).__name__}; split_per_user and others make one"
        )
    if split.valid is None:
        raise DataError("the split has no validation part, which tuning needs; hold one out")
    check_count("seeds", seeds, "3 show a spread")
    check_text("protocol", protocol)
    known = [metric.name for metric in named_protocol(protocol).metrics]
    if metric not in known:
        raise ParameterError(
            f"metric {metric!r} is not one that {protocol} reports: {', '.join(known)}"
        )


def _fixed(settings: Any) -> dict[str, dict[str, Any]]:
    """Return settings by model, scalars of NumPy as plain numbers, which reports can hold."""
    given = {} if settings is None else settings
    by_model = isinstance(given, Mapping) and all(isinstance(s, Mapping) for s in given.values())
    if not by_model:
        raise ParameterError(
            f"settings must be of models, such as {{'sml': {{'dim': 64}}}}, got {settings!r:.80}"
        )
    unknown = [name for name in given if name not in REGISTRY]
    if unknown:
        raise ParameterError(
            f"settings are of {unknown[0]!r}, which is no model; models are {', '.join(REGISTRY)}"
        )
    return {name: {n: plain(v) for n, v in of.items()} for name, of in given.items()}


def _mean(entrant: Entrant, protocol: str, metric: str) -> float:
    return float(np.mean(entrant.values(protocol, metric))) if entrant.runs else -np.inf


def _tested(entrants: list[Entrant], metric: str) -> dict[str, Difference]:
    """Test each model's difference to the best over users."""
    values = {entrant.model: entrant.per_user(metric) for entrant in entrants if entrant.runs}
    return {
        difference.name: difference
        for difference in differences(
            values, reference=entrants[0].model, weights=user_weights(entrants[0].runs)
        )
    }
