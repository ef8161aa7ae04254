"""Compare models on one split: equal tuning on validation data, several seeds, tests over users."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trimetric import notebook
from trimetric.errors import DataError, ParameterError
from trimetric.evaluation import metric as named_metric
from trimetric.evaluation import protocol as named_protocol
from trimetric.evaluation.significance import Difference, spread
from trimetric.evaluation.significance import compare as differences
from trimetric.experiments import report, study
from trimetric.experiments.budget import Budget, budget
from trimetric.experiments.header import header
from trimetric.experiments.jobs import Job, seeded
from trimetric.experiments.study import Plan, Say
from trimetric.experiments.tune import tuned
from trimetric.models import REFERENCES, REGISTRY, SYSTEMS

if TYPE_CHECKING:
    from trimetric.data.splits import Split

SPLIT = "split"
RESULTS = "runs"  # the folder of results in that of the report
SHOWN = ("ndcg@10", "recall@10", "precision@10", "hr@10", "map", "mrr", "auc")


@dataclass(frozen=True)
class Entrant:
    """What a model reached.

    Attributes
    ----------
    model : str
    settings : dict
        What tuning chose; the others are defaults.
    trials : list of dict
        See `tune.tuned`.
    runs : list of dict
        One for each seed: see `jobs.execute`.
    error : str
        Why there are no runs; otherwise empty.
    """

    model: str
    settings: dict[str, Any]
    trials: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    error: str = ""

    def values(self, protocol: str, metric: str) -> list[float]:
        """Return a metric of each run."""
        found = [run["metrics"][protocol].get(metric) for run in self.runs]
        return [np.nan if value is None else value for value in found]

    def per_user(self, metric: str) -> np.ndarray:
        """Return a metric of each user, averaged over the runs: float64 (n_users,)."""
        rows = [[np.nan if v is None else v for v in run["per_user"][metric]] for run in self.runs]
        return np.mean(np.asarray(rows, dtype=np.float64), axis=0)


@dataclass(frozen=True)
class Comparison:
    """The outcome of `compare`.

    Attributes
    ----------
    entrants : list of Entrant
        The best first, those that could not run last.
    metric, protocol : str
        What they were tuned for and are ordered by.
    differences : dict of str to Difference
        Each model's difference to the best, tested over users, Holm-adjusted.
    document : dict
        The report: see `report.write`.
    """

    entrants: list[Entrant]
    metric: str
    protocol: str
    differences: dict[str, Difference]
    document: dict[str, Any]

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat row for each model, for JSON and terminals."""
        return [_row(one, self) for one in self.entrants]

    def _repr_html_(self) -> str:
        """Show the table of models, the best first."""
        rows = self.rows()
        names = ["model", self.metric, f"{self.metric} spread", "seconds", "error"]
        table = notebook.table(names, ([row.get(name, "") for name in names] for row in rows))
        said = f"{self.protocol}, test part; spread over seeds"
        return notebook.card("Comparison", {}, table, notebook.note(said))


def compare(
    split: "Split",
    models: str | Iterable[str] = "all",
    *,
    out: str | Path,
    seeds: int = 3,
    size: str = "small",
    trials: int | None = None,
    metric: str = "ndcg@10",
    protocol: str = "full",
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    workers: int | None = None,
    command: str = "",
    say: Say = lambda text: None,
) -> Comparison:
    """Tune and train each model, test it on the same users, and write a report.

    Every model has the same number of trials on the validation part; the settings that are best
    there are trained once for each seed and evaluated on the test part. Interrupted and started
    again with the same `out`, it goes on where it was. Called from a script, it needs the usual
    `if __name__ == "__main__":`, since it starts worker processes.

    Parameters
    ----------
    split : Split
        With a validation part.
    models : "all" or names
        "all" are the eight systems of the SML paper and four references.
    out : path
        The folder of the report and, in `runs`, of all results.
    seeds : int
        Models with a seed are trained with seeds 0 .. seeds - 1; at least 1.
    size : "small", "medium" or "large"
        The budget: see `budget.BUDGETS`.
    trials : int, optional
        Instead of the budget's.
    metric, protocol : str
        What is tuned for (on the validation part) and tested.
    settings : mapping, optional
        Settings by model that are given, and so not searched.
    workers : int, optional
        Fits at a time, one thread each; all processors unless given. Results do not depend on it.
    command : str
        Named in the report.
    say : callable
        Told of progress.

    Returns
    -------
    Comparison

    Raises
    ------
    ParameterError
        A name or number is out of range.
    DataError
        The split has no validation part, or no model could be trained.
    Interrupted
        Ctrl-C; what is finished is kept.
    """
    names, spend = listed(models), budget(size, trials)
    _check(split, seeds, metric, protocol)
    report.plotly_js()  # missing, it is missed now and not at the end
    given = settings or {}
    plans = {
        name: entrant(
            Job(SPLIT, name, dict(given.get(name, {})), protocols=(protocol,), per_user=(metric,)),
            spend,
            metric,
            seeds,
        )
        for name in names
    }
    outcomes = study.run(plans, {SPLIT: split}, Path(out) / RESULTS, workers=workers, say=say)
    entrants = sorted(outcomes.values(), key=lambda one: -_mean(one, protocol, metric))
    if entrants[0].error:
        raise DataError(f"no model could be trained; {entrants[0].model}: {entrants[0].error}")
    found = Comparison(entrants, metric, protocol, _tested(entrants, metric), {})
    document = {
        "title": f"Models compared on {split.train.name}",
        **header(split),
        "command": command,
        "seeds": list(range(seeds)),
        "budget": asdict(spend),
        "seconds": round(study.seconds(Path(out) / RESULTS), 1),
        "sections": _sections(found, split, spend, seeds),
    }
    report.write(document, Path(out))
    return replace(found, document=document)


def listed(models: str | Iterable[str]) -> list[str]:
    """Return the names of the models asked for.

    Raises
    ------
    ParameterError
        One is unknown, or none is named.
    """
    if models == "all":
        return [*SYSTEMS, *REFERENCES]
    names = models.split(",") if isinstance(models, str) else list(models)
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


def _check(split: "Split", seeds: int, metric: str, protocol: str) -> None:
    if split.valid is None:
        raise DataError(
            "the split has no validation part, on which settings are chosen; hold one out"
        )
    if seeds < 1:
        raise ParameterError(f"seeds must be at least 1, got {seeds}; 3 show a spread")
    named_metric(metric)
    known = [one.name for one in named_protocol(protocol).metrics]
    if metric not in known:
        raise ParameterError(
            f"metric {metric!r} is not one that {protocol} reports: {', '.join(known)}"
        )


def _mean(one: Entrant, protocol: str, metric: str) -> float:
    return float(np.mean(one.values(protocol, metric))) if one.runs else -np.inf


def _tested(entrants: list[Entrant], metric: str) -> dict[str, Difference]:
    """Test each model's difference to the best over users."""
    values = {one.model: one.per_user(metric) for one in entrants if one.runs}
    return {one.name: one for one in differences(values, reference=entrants[0].model)}


def _row(one: Entrant, found: Comparison) -> dict[str, Any]:
    row: dict[str, Any] = {"model": one.model, "settings": one.settings, "error": one.error}
    if not one.runs:
        return row
    for name in one.runs[0]["metrics"][found.protocol]:
        row[name], row[f"{name} spread"] = spread(one.values(found.protocol, name))
    difference = found.differences.get(one.model)
    return {
        **row,
        "seeds": len(one.runs),
        "seconds": float(np.mean([run["seconds"] for run in one.runs])),
        "memory_mib": max((run["memory"] or np.nan) for run in one.runs),
        "behind_best": None if difference is None else asdict(difference),
    }


# --- the report -----------------------------------------------------------------------------------


def _sections(found: Comparison, split: "Split", spend: Budget, seeds: int) -> list[dict[str, Any]]:
    return [
        _how(found, split, spend, seeds),
        _main_table(found),
        _difference_table(found),
        _figure(found),
        _settings_table(found),
        _trial_figure(found),
    ]


def _how(found: Comparison, split: "Split", spend: Budget, seeds: int) -> dict[str, Any]:
    sizes = ", ".join(f"{part} {n:,}" for part, n in split.how["pairs"].items())
    asked = {k: v for k, v in split.how.items() if k not in ("pairs", "shares")}
    how = ", ".join(f"{key} {value}" for key, value in asked.items())
    return {
        "kind": "text",
        "title": "Split, protocol and tuning",
        "paragraphs": [
            f"**Split**: {how}; {sizes} interactions. All models have the same.",
            f"**Protocol**: `{found.protocol}`, {named_protocol(found.protocol).describe()}.",
            f"**Tuning**: every model had {spend.trials} trials (one, where it has nothing to"
            f" search), the first with its defaults, judged by {found.metric} on the validation"
            " part. The test part was looked at once, at the end.",
            f"**Seeds**: {seeds}, the same split each time; ± is the standard deviation over"
            " seeds. Models without chance in them were trained once.",
            "**Marks**: † a model is behind the best by more than chance among users would give"
            f" (sign-flip test of {found.metric}, averaged over seeds, two-sided, p < .05 after"
            " Holm's correction for all models compared).",
            "**Time and memory** are of one fit on one thread, with its validations; the memory is"
            " the peak of the process.",
        ],
    }


def _main_table(found: Comparison) -> dict[str, Any]:
    first = found.entrants[0].runs[0]["metrics"][found.protocol]
    metrics = list(dict.fromkeys([found.metric, *(name for name in SHOWN if name in first)]))
    columns: list[dict[str, Any]] = [
        {"key": name, "label": name, "group": found.protocol, "higher_is_better": True}
        for name in metrics
    ]
    cost = {"group": "cost of a fit", "higher_is_better": False}
    columns += [
        {"key": "seconds", "label": "seconds", "format": "{:.1f}", **cost},
        {"key": "memory_mib", "label": "MiB", "format": "{:.0f}", **cost},
    ]
    rows = []
    for one, row in zip(found.entrants, found.rows(), strict=True):
        cells: dict[str, Any] = {
            column["key"]: {"value": None, "source": one.error} for column in columns
        }
        if one.runs:
            source = f"this run, {found.protocol}, {len(one.runs)} seeds"
            for name in metrics:
                cells[name] = {
                    "value": row[name],
                    "spread": row[f"{name} spread"],
                    "source": source,
                }
            difference = found.differences.get(one.model)
            if difference is not None and difference.significant and difference.difference < 0:
                cells[found.metric]["mark"] = "†"
            cells["seconds"] = {"value": row["seconds"], "source": source}
            cells["memory_mib"] = {"value": row["memory_mib"], "source": source}
        rows.append({"label": one.model, "cells": cells})
    return {
        "kind": "table",
        "title": "On the test part",
        "caption": f"Ordered by {found.metric}. † behind the best by more than chance among users.",
        "label": "model",
        "best": True,
        "columns": columns,
        "rows": rows,
    }


def _difference_table(found: Comparison) -> dict[str, Any]:
    columns = [
        {"key": "difference", "label": "difference", "format": "{:+.4f}"},
        {"key": "low", "label": "95 % from", "format": "{:+.4f}"},
        {"key": "high", "label": "to", "format": "{:+.4f}"},
        {"key": "p", "label": "p", "format": "{:.4f}"},
        {"key": "p_adjusted", "label": "p, Holm", "format": "{:.4f}"},
    ]
    rows = []
    for one in found.entrants[1:]:
        difference = found.differences.get(one.model)
        values = asdict(difference) if difference else {}
        cells = {
            column["key"]: {"value": values.get(column["key"]), "source": one.error or "this run"}
            for column in columns
        }
        rows.append({"label": one.model, "cells": cells})
    best = found.entrants[0].model
    return {
        "kind": "table",
        "title": f"Against {best}",
        "caption": f"{found.metric} of each user, averaged over seeds, less that of {best}: mean,"
        " paired bootstrap interval, and sign-flip test.",
        "label": "model",
        "columns": columns,
        "rows": rows,
    }


def _figure(found: Comparison) -> dict[str, Any]:
    ran = [row for row in found.rows() if not row["error"]]
    bars = {
        "title": f"{found.metric}, test part",
        "plot": "bars",
        "x": {"label": ""},
        "y": {"label": found.metric},
        "series": [_point(row, row["model"], found) for row in ran],
    }
    costs = {
        "title": "What it costs",
        "plot": "scatter",
        "x": {"label": "seconds a fit, one thread", "log": True},
        "y": {"label": found.metric},
        "series": [_point(row, max(row["seconds"], 1e-3), found) for row in ran],
    }
    return {
        "kind": "figure",
        "name": "models",
        "title": "Quality and cost",
        "caption": "Bars and points are means over seeds, whiskers the standard deviation.",
        "panels": [bars, costs],
    }


def _point(row: dict[str, Any], x: Any, found: Comparison) -> dict[str, Any]:
    return {
        "name": row["model"],
        "x": [x],
        "y": [row[found.metric]],
        "spread": [row[f"{found.metric} spread"]],
        "source": f"this run, {found.protocol}, {row['seeds']} seeds",
    }


def _settings_table(found: Comparison) -> dict[str, Any]:
    columns = [
        {"key": "settings", "label": "chosen settings"},
        {"key": "value", "label": f"valid {found.metric}"},
        {"key": "trials", "label": "trials"},
    ]
    rows = []
    for one in found.entrants:
        best = max((t["value"] for t in one.trials if t["value"] is not None), default=None)
        chosen = ", ".join(f"{name}={value}" for name, value in one.settings.items())
        cells = {
            "settings": {"value": chosen or "the defaults", "source": "this run, valid"},
            "value": {"value": best, "source": one.error or "this run, valid"},
            "trials": {"value": len(one.trials), "source": "this run"},
        }
        rows.append({"label": one.model, "cells": cells})
    return {
        "kind": "table",
        "title": "What tuning chose",
        "caption": "On the validation part alone. Every trial is in report.json.",
        "label": "model",
        "columns": columns,
        "rows": rows,
        "trials": {one.model: one.trials for one in found.entrants},
    }


def _trial_figure(found: Comparison) -> dict[str, Any]:
    series = []
    for one in found.entrants:
        values = [np.nan if t["value"] is None else t["value"] for t in one.trials]
        if one.runs:
            best = np.fmax.accumulate(values)
            series.append(
                {
                    "name": one.model,
                    "x": list(range(1, len(values) + 1)),
                    "y": best.tolist(),
                    "source": "this run, valid",
                }
            )
    return {
        "kind": "figure",
        "name": "tuning",
        "title": "The best so far, by trial",
        "caption": "Validation part. Where lines still rise, a larger budget would find more.",
        "panels": [
            {
                "title": f"best {found.metric} so far",
                "plot": "lines",
                "x": {"label": "trial"},
                "y": {"label": f"valid {found.metric}"},
                "series": series,
            }
        ],
    }
