"""The outcome of a comparison, and the sections of its report."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trimetric import notebook
from trimetric.evaluation import metric as named_metric
from trimetric.evaluation import protocol as named_protocol
from trimetric.evaluation.metrics import FORMER, recorded
from trimetric.evaluation.significance import Difference, spread
from trimetric.experiments.jobs import per_user
from trimetric.experiments.report.sections import (
    Section,
    cell,
    column,
    figure,
    panel,
    row,
    table,
    text,
)
from trimetric.experiments.tune import Budget, spent

if TYPE_CHECKING:
    from trimetric.data.splits import Split

SHOWN = ("ndcg@10", "recall@10", "precision@10", "hit_rate@10", "map", "mrr", "auc")


@dataclass(frozen=True)
class Entrant:
    """A model and its results.

    Attributes
    ----------
    model : str
    settings : dict
        The tuned settings; others have their defaults.
    trials : list of dict
        See `tune.tuned`.
    runs : list of dict
        One for each seed: see `jobs.execute`.
    error : str
        Why there are no runs; otherwise empty.
    notes : tuple of str
        Of lists made elsewhere, which have one run and no trials: what was met in them.
    """

    model: str
    settings: dict[str, Any]
    trials: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    error: str = ""
    notes: tuple[str, ...] = ()

    def values(self, protocol: str, metric: str) -> list[float]:
        """Return a metric of each run."""
        values = [recorded(run["metrics"][protocol], metric) for run in self.runs]
        return [np.nan if value is None else value for value in values]

    def per_user(self, metric: str) -> np.ndarray:
        """Return a metric of each user, averaged over the runs: float64 (n_users,)."""
        return per_user(self.runs, metric)

    @property
    def trial_seconds(self) -> float | None:
        """Processor seconds of all trials; None without any."""
        known = [t["cpu_seconds"] for t in self.trials if t["cpu_seconds"] is not None]
        return sum(known) if known else None

    @property
    def best_trial(self) -> float | None:
        """The best value on the validation part."""
        return max((t["value"] for t in self.trials if t["value"] is not None), default=None)


@dataclass(frozen=True)
class Comparison:
    """The outcome of `compare`.

    Attributes
    ----------
    entrants : list of Entrant
        The best first, those without results last.
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
        return [self._row(entrant) for entrant in self.entrants]

    def _row(self, entrant: Entrant) -> dict[str, Any]:
        row: dict[str, Any] = {
            "model": entrant.model, "settings": entrant.settings, "error": entrant.error
        }  # fmt: skip
        if not entrant.runs:
            return row
        recorded_names = entrant.runs[0]["metrics"][self.protocol]
        for name in (n for n in recorded_names if n.partition("@")[0] not in FORMER):
            row[name], row[f"{name} spread"] = spread(entrant.values(self.protocol, name))
        if entrant.notes:
            row["notes"] = list(entrant.notes)
        difference = self.differences.get(entrant.model)
        seconds = [run["cpu_seconds"] for run in entrant.runs]
        return {
            **row,
            "seeds": len(entrant.runs),
            "cpu_seconds": float(np.mean([np.nan if s is None else s for s in seconds])),
            "memory_mib": max((run["memory"] or np.nan) for run in entrant.runs),
            "behind_best": None if difference is None else asdict(difference),
        }

    def is_behind(self, model: str) -> bool:
        """Tell whether a model is behind the best by more than chance among users."""
        difference = self.differences.get(model)
        return bool(difference and difference.significant and difference.difference < 0)

    def _repr_html_(self) -> str:
        """Show the table of models, the best first."""
        rows = self.rows()
        names = ["model", self.metric, f"{self.metric} spread", "seconds", "error"]
        table = notebook.table(names, ([row.get(name, "") for name in names] for row in rows))
        note = notebook.note(f"{self.protocol}, test part; spread over seeds")
        return notebook.card("Comparison", {}, table, note)


def sections(result: Comparison, split: "Split", spend: Budget, seeds: int) -> list[Section]:
    """Return the sections of the report."""
    return [
        _method(result, split, spend, seeds),
        _main_table(result),
        _difference_table(result),
        _figure(result),
        _settings_table(result),
        _trial_figure(result),
    ]


def _tuning(metric: str, trials: int) -> str:
    own = (
        " Short trainings by which a model finds settings itself count as trials, of which its"
        " first may have more. Processor seconds of all trials are in the table of settings. The"
        " test part was used once, at the end."
    )
    if trials == 1:
        return (
            f"**Tuning**: none. Every model has its defaults, judged by {metric} on the validation"
            f" part in one trial.{own}"
        )
    return (
        f"**Tuning**: every model had {trials} trials (one, if it has nothing to tune), the first"
        f" with its defaults, judged by {metric} on the validation part.{own}"
    )


def _method(result: Comparison, split: "Split", spend: Budget, seeds: int) -> Section:
    sizes = ", ".join(f"{part} {n:,}" for part, n in split.how["pairs"].items())
    settings = {k: v for k, v in split.how.items() if k not in ("pairs", "shares")}
    how = ", ".join(f"{key} {value}" for key, value in settings.items())
    return text(
        "Split, protocol and tuning",
        f"**Split**: {how}; {sizes} interactions, the same for all models.",
        f"**Protocol**: `{result.protocol}`, {named_protocol(result.protocol).describe()}.",
        _tuning(result.metric, spend.trials),
        f"**Seeds**: {seeds}, on the same split; ± is the standard deviation over seeds."
        " Deterministic models were trained once.",
        "**Marks**: † a model is behind the best by more than chance among users would give"
        f" (sign-flip test of {result.metric}, averaged over seeds, two-sided, p < .05 after Holm's"
        " correction for all models compared). The correction does not know that the best was"
        " chosen by the same figures: among many models that are equally good, one is marked more"
        " often than in 5 % of comparisons, so that marks with a p near .05 say little.",
        "**Cost** is that of one fit on one thread, validations included: processor seconds, which"
        " other work beside it lengthens less than wall time, and the peak memory of the process.",
        *(
            f"**{entrant.model}**: lists made elsewhere; nothing was tuned or trained here."
            + "".join(f" {note[0].upper()}{note[1:]}." for note in entrant.notes)
            for entrant in result.entrants
            if entrant.runs and not entrant.trials
        ),
    )


def _main_table(result: Comparison) -> Section:
    first = {
        name
        for entrant in result.entrants
        for run in entrant.runs
        for name in run["metrics"][result.protocol]
    }
    metrics = list(dict.fromkeys([result.metric, *(name for name in SHOWN if name in first)]))
    cost: dict[str, Any] = {"group": "cost of a fit", "higher_is_better": False}
    columns = [
        *(column(name, group=result.protocol, higher_is_better=True) for name in metrics),
        column("cpu_seconds", "processor seconds", format="{:.1f}", **cost),
        column("memory_mib", "MiB", format="{:.0f}", **cost),
    ]
    rows = []
    for entrant, values in zip(result.entrants, result.rows(), strict=True):
        source = f"this run, {result.protocol}, {len(entrant.runs)} seeds"
        cells = {
            one["key"]: cell(values.get(one["key"]), source if entrant.runs else entrant.error)
            for one in columns
        }
        for name in metrics if entrant.runs else ():
            cells[name]["spread"] = values.get(f"{name} spread")
        if result.is_behind(entrant.model):
            cells[result.metric]["mark"] = "†"
        rows.append(row(entrant.model, cells))
    caption = f"Ordered by {result.metric}. † behind the best by more than chance among users."
    return table("On the test part", columns, rows, caption=caption, label="model", best=True)


def _difference_table(result: Comparison) -> Section:
    columns = [
        column("difference", format="{:+.4f}"),
        column("low", "95 % from", format="{:+.4f}"),
        column("high", "to", format="{:+.4f}"),
        column("p", format="{:.4f}"),
        column("p_adjusted", "p, Holm", format="{:.4f}"),
    ]
    rows = []
    for entrant in result.entrants[1:]:
        difference = result.differences.get(entrant.model)
        values, source = asdict(difference) if difference else {}, entrant.error or "this run"
        cells = {one["key"]: cell(values.get(one["key"]), source) for one in columns}
        rows.append(row(entrant.model, cells))
    best = result.entrants[0].model
    counted = ", weighted by held-out items" if named_metric(result.metric).micro else ""
    caption = (
        f"{result.metric} of each user, averaged over seeds, less that of {best}: mean{counted},"
        " paired bootstrap interval, and sign-flip test."
    )
    return table(f"Against {best}", columns, rows, caption=caption, label="model")


def _figure(result: Comparison) -> Section:
    rows = [row for row in result.rows() if not row["error"]]

    def point(row: dict[str, Any], x: Any) -> dict[str, Any]:
        return {
            "name": row["model"],
            "x": [x],
            "y": [row[result.metric]],
            "spread": [row[f"{result.metric} spread"]],
            "source": f"this run, {result.protocol}, {row['seeds']} seeds",
        }

    bars = [point(row, row["model"]) for row in rows]
    costs = [
        point(row, max(row["cpu_seconds"], 1e-3)) for row in rows if np.isfinite(row["cpu_seconds"])
    ]
    seconds = {"label": "processor seconds per fit, one thread", "log": True}
    panels = [
        panel(f"{result.metric}, test part", "bars", "", result.metric, bars),
        panel("Cost", "scatter", seconds, result.metric, costs),
    ]
    caption = "Bars and points are means over seeds, whiskers the standard deviation."
    return figure("models", "Quality and cost", panels, caption=caption)


def _settings_table(result: Comparison) -> Section:
    columns = [
        column("settings", "tuned settings"),
        column("value", f"valid {result.metric}"),
        column("trials"),
        column("own", "of them its own"),
        column("cpu", "processor seconds", format="{:.0f}"),
    ]
    rows = []
    for entrant in result.entrants:
        settings = ", ".join(f"{name}={value}" for name, value in entrant.settings.items())
        cells = {
            "settings": cell(settings or "the defaults", "this run, valid"),
            "value": cell(entrant.best_trial, entrant.error or "this run, valid"),
            "trials": cell(spent(entrant.trials), "this run"),
            "own": cell(spent(entrant.trials) - len(entrant.trials), "this run"),
            "cpu": cell(entrant.trial_seconds, "this run, all trials"),
        }
        rows.append(row(entrant.model, cells))
    caption = "Tuned on the validation part alone. Every trial is in report.json."
    trials = {entrant.model: entrant.trials for entrant in result.entrants}
    return table("Tuned settings", columns, rows, caption=caption, label="model", trials=trials)


def _trial_figure(result: Comparison) -> Section:
    series = []
    for entrant in result.entrants:
        values = [np.nan if t["value"] is None else t["value"] for t in entrant.trials]
        if entrant.runs:
            best = np.fmax.accumulate(values).tolist()
            numbers = list(range(1, len(values) + 1))
            source = "this run, valid"
            series.append({"name": entrant.model, "x": numbers, "y": best, "source": source})
    title = f"best {result.metric} so far"
    lines = panel(title, "lines", "trial", f"valid {result.metric}", series)
    caption = "Validation part. Where lines still rise, a larger budget would find more."
    return figure("tuning", "The best so far, by trial", [lines], caption=caption)
