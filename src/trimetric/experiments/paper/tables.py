"""Tables 3 and 4: published values, those of the released code, and those without its leak."""

from dataclasses import replace
from typing import Any

import numpy as np

from trimetric.evaluation.significance import compare as differences
from trimetric.experiments.jobs import LEAKED, Job, per_user
from trimetric.experiments.paper import published
from trimetric.experiments.paper.cells import (
    CAUTION,
    Result,
    cells,
    columns,
    ranked,
    value,
)
from trimetric.experiments.paper.cells import published as printed
from trimetric.experiments.paper.nominal import nominal, reason
from trimetric.experiments.paper.recipes import (
    ABLATIONS,
    FRESH,
    HARD,
    RELEASED,
    SPACES,
    TUNED_FOR,
    UNIFORM,
    UNIFORM_CML,
    ablated,
    honest,
    leaked,
    printed_ablations,
    runs,
    searched,
    variant,
)
from trimetric.experiments.paper.recipes import printed as printed_plan
from trimetric.experiments.paper.words import in_words
from trimetric.experiments.study import Plan
from trimetric.experiments.tune import Budget
from trimetric.models import REFERENCES, SYSTEMS

METRICS = published.METRICS
FULL = ("ndcg@10", "micro_recall@10", "map")
PUBLISHED, LEAK = "published", "as-released (leak)"
SAMPLED, ALL = "honest, 499 fresh candidates", "honest, full ranking"
FORMS = {"sml": UNIFORM, "cml": UNIFORM_CML}


def table3_plans(spend: Budget, seeds: int, dataset: str | None) -> dict[str, Plan]:
    """Return the plans of Table 3: each system leaked and honest, and the references.

    SML and CML as printed too, and with trimetric's defaults.
    """
    plans: dict[str, Plan] = {}
    for name in SYSTEMS:
        plans[f"table3 leaked {name}"] = runs(leaked(name, spend), seeds)
        job = honest(name, FORMS.get(name, {}))
        plans[f"table3 honest {name}"] = searched(job, spend, seeds, SPACES.get(name))
    for name in REFERENCES:
        job = Job(RELEASED, name, protocols=(LEAKED, FRESH))
        plans[f"table3 leaked {name}"] = runs(job, seeds)
        plans[f"table3 honest {name}"] = searched(honest(name, {}), spend, seeds)
    for name in ("sml", "cml"):
        plans[f"table3 hard {name}"] = searched(honest(name, {}), spend, seeds)
        plans[f"table3 printed {name}"] = printed_plan(name, dataset, seeds)
    return plans


def table3(outcomes: dict[str, Any], dataset: str | None) -> list[dict[str, Any]]:
    """Return the sections of Table 3."""
    rows = {name: (name, f"table3 honest {name}") for name in (*SYSTEMS, *REFERENCES)}
    rows |= {f"{name}, as printed": ("", f"table3 printed {name}") for name in FORMS}
    rows |= {f"{name}, library default": ("", f"table3 hard {name}") for name in FORMS}
    marks = _behind({label: outcomes[key][2] for label, (_, key) in rows.items()})
    papers = published.table3(dataset) if dataset else {}
    table_rows = []
    for label, (name, key) in rows.items():
        no_leak = name in REFERENCES
        what = "ranked among the pool, but trained without it" if no_leak else "as-released, leak"
        released = outcomes[f"table3 leaked {name}"] if name else []
        row = {
            **printed(papers.get(name), METRICS, "paper", published.source(3)),
            **cells(released, LEAKED, METRICS, "leak", what),
            **cells(outcomes[key][2], FRESH, METRICS, "sampled", f"honest {FRESH}"),
            **cells(outcomes[key][2], "full", FULL, "full", "honest full ranking"),
        }
        if label in marks:
            row[f"full {TUNED_FOR}"]["mark"] = "†"
        if no_leak:
            for metric in METRICS:
                row[f"leak {metric}"]["mark"] = "‡"
        table_rows.append({"label": label, "cells": row})
    table = {
        "kind": "table",
        "title": "Table 3: the eight systems",
        "caption": "HR (paper) is recall averaged over interactions (micro), as the paper defines"
        " it, and not the share of users with a hit. Honest settings were tuned by the same number"
        " of trials each, on validation data, but for the rows “as printed”: all that the paper"
        " prints, its learning rate chosen among .1, .05 and .01. Without the leak, sml and cml are"
        " the paper's objective, tuned (one uniform negative, Adagrad); “library default” is"
        " trimetric's form of it, tuned likewise. † behind the best by more than chance among"
        f" users ({TUNED_FOR}, p < .05, Holm). ‡ trained without the pool, and only ranked among"
        " it: no leak.",
        "warning": CAUTION,
        "label": "system",
        "best": True,
        "columns": [
            *(columns(METRICS, "paper", PUBLISHED) if papers else []),
            *columns(METRICS, "leak", LEAK, leak=True),
            *columns(METRICS, "sampled", SAMPLED),
            *columns(FULL, "full", ALL),
        ],
        "rows": table_rows,
    }
    return [
        table,
        _commentary(outcomes, papers),
        in_words(outcomes),
        _leak_table(outcomes),
        _tuned_settings(outcomes, rows),
    ]


def _behind(results: dict[str, list[Result]]) -> set[str]:
    """Return the rows that are behind the best by more than chance among users."""
    values = {
        label: per_user(group, TUNED_FOR)
        for label, group in results.items()
        if group and not any("error" in result for result in group)
    }
    best = max(values, key=lambda label: value(results[label], "full", TUNED_FOR))
    tested = differences(values, reference=best)
    return {test.name for test in tested if test.significant and test.difference < 0}


def _commentary(outcomes: dict[str, Any], papers: dict[str, dict[str, float]]) -> dict[str, Any]:
    released = {n: value(outcomes[f"table3 leaked {n}"], LEAKED, "micro_recall@5") for n in SYSTEMS}
    fair = {n: value(outcomes[f"table3 honest {n}"][2], FRESH, "micro_recall@5") for n in SYSTEMS}
    full = {n: value(outcomes[f"table3 honest {n}"][2], "full", TUNED_FOR) for n in SYSTEMS}
    paragraphs = []
    if papers:
        printed_hr = {n: papers[n]["micro_recall@5"] for n in SYSTEMS}
        gap = released["sml"] - printed_hr["sml"]
        paragraphs += [
            f"**SML, HR (paper)@5**: {printed_hr['sml']:.4f} published, {released['sml']:.4f} as"
            f" released ({gap:+.4f}), {fair['sml']:.4f} honestly trained and ranked among"
            " fresh candidates.",
            f"**Order published** (HR (paper)@5): {ranked(printed_hr)}.",
            f"**Order as released**: {ranked(released)}; Kendall's τ with the published one"
            f" {_kendall(printed_hr, released):+.2f}.",
            f"**Order honest, 499 fresh candidates**: {ranked(fair)}; τ with the published one"
            f" {_kendall(printed_hr, fair):+.2f}.",
        ]
    else:
        paragraphs += [
            f"**Order as released** (HR (paper)@5): {ranked(released)}.",
            f"**Order honest, 499 fresh candidates** (HR (paper)@5): {ranked(fair)}; τ with the"
            f" one as released {_kendall(released, fair):+.2f}.",
        ]
    paragraphs.append(f"**Order honest, full ranking** ({TUNED_FOR}): {ranked(full)}.")
    return {"kind": "text", "title": "Table 3: the order of the systems", "paragraphs": paragraphs}


def _kendall(a: dict[str, float], b: dict[str, float]) -> float:
    """Return Kendall's τ of two sets of values: pairs in the same order less others, of all."""
    names = [name for name in a if not np.isnan(a[name]) and not np.isnan(b[name])]
    signs = [
        np.sign(a[x] - a[y]) * np.sign(b[x] - b[y]) for i, x in enumerate(names) for y in names[:i]
    ]
    return float(np.mean(signs)) if signs else float("nan")


def _leak_table(outcomes: dict[str, Any]) -> dict[str, Any]:
    """Return the leak in one table: the same weights among the pool and among fresh items."""
    shown = ("precision@5", "micro_recall@5", "ndcg@5")
    rows = [
        {
            "label": name,
            "cells": {
                **cells(
                    outcomes[f"table3 leaked {name}"], LEAKED, shown, "pool", "as-released, leak"
                ),
                **cells(
                    outcomes[f"table3 leaked {name}"], FRESH, shown, "fresh", f"{FRESH}, leaked"
                ),
            },
        }
        for name in SYSTEMS
    ]
    return {
        "kind": "table",
        "title": "The leak: models trained as released, on fresh candidates",
        "caption": "Trained with the pool of the test. On the left ranked among that pool, the"
        " best of each metric over evaluations; on the right the weights that were best by"
        " HR (paper)@5, among 499 items that the user never touched, drawn anew.",
        "warning": CAUTION,
        "label": "system",
        "columns": [
            *columns(shown, "pool", LEAK, leak=True),
            *columns(shown, "fresh", "the same training, 499 fresh candidates", leak=True),
        ],
        "rows": rows,
    }


def _tuned_settings(outcomes: dict[str, Any], rows: dict[str, tuple[str, str]]) -> dict[str, Any]:
    listed = []
    for label, (_, key) in rows.items():
        settings, log, _ = outcomes[key]
        best = max((t["value"] for t in log if t["value"] is not None), default=None)
        text = ", ".join(f"{k}={v}" for k, v in settings.items()) or "the defaults"
        error = next((str(t["error"]) for t in log if t["error"]), "this run")
        row = {
            "settings": {"value": text, "source": "this run, validation"},
            "valid": {"value": best, "source": error},
            "trials": {"value": len(log), "source": "this run"},
        }
        listed.append({"label": label, "cells": row})
    return {
        "kind": "table",
        "title": "Table 3: what honest tuning chose",
        "caption": f"By {TUNED_FOR} of a full ranking of the validation part.",
        "label": "system",
        "columns": [
            {"key": "settings", "label": "settings"},
            {"key": "valid", "label": f"valid {TUNED_FOR}"},
            {"key": "trials", "label": "trials"},
        ],
        "rows": listed,
        "trials": {label: outcomes[key][1] for label, (_, key) in rows.items()},
    }


# --- Table 4 --------------------------------------------------------------------------------------


def table4_plans(spend: Budget, seeds: int, dataset: str | None) -> dict[str, Plan]:
    """Return the plans of Table 4: the ablations leaked, honest, as printed, hard negatives."""
    plans: dict[str, Plan] = {}
    for name in ABLATIONS:
        job = replace(leaked(name, spend), margins=True)
        plans[f"table4 leaked {name}"] = runs(job, seeds)
    plans["table4 honest"] = ablated(spend, seeds)
    plans["table4 printed"] = printed_ablations(dataset, seeds)
    for name in ABLATIONS:
        plans[f"table4 hard {name}"] = runs(honest(name, variant(name, HARD), margins=True), seeds)
    return plans


def table4(outcomes: dict[str, Any], dataset: str | None) -> list[dict[str, Any]]:
    """Return the section of Table 4."""
    papers = published.table4(dataset) if dataset else {}
    groups: dict[str, dict[str, list[Result]]] = {
        "leak": {name: outcomes[f"table4 leaked {name}"] for name in ABLATIONS},
        "full": outcomes["table4 honest"],
        "printed": outcomes["table4 printed"],
        "hard": {name: outcomes[f"table4 hard {name}"] for name in ABLATIONS},
    }
    same = {key: nominal(found) for key, found in groups.items()}
    marks = {
        key: _behind({name: one for name, one in groups[key].items() if name not in same[key]})
        for key in ("full", "printed", "hard")
    }
    rows = []
    for name in ABLATIONS:
        row = printed(papers.get(name), METRICS, "paper", published.source(4))
        for group, prefix, protocol, metrics, what in TABLE4_COLUMNS:
            found = groups[group][name]
            if name in same[group]:
                row |= _left_out(metrics, prefix, same[group][name])
            else:
                row |= cells(found, protocol, metrics, prefix, what)
        for group, behind in marks.items():
            if name in behind:
                row[f"{group} {TUNED_FOR}"]["mark"] = "†"
        rows.append({"label": "base+s+u+p (all)" if name == "sml" else name, "cells": row})
    return [
        {
            "kind": "table",
            "title": "Table 4: the parts of SML",
            "caption": "s: the item's side; u, p: margins learned for users, items. Honest"
            " settings are those that tuning chose for all parts together; with hard negatives,"
            " trimetric's defaults with the paper's limit l = 1; as printed, the learning rate that"
            " validation chose for all parts. † behind the best of its column by more than chance"
            f" among users ({TUNED_FOR}, p < .05, Holm). – where margins never left their limit l:"
            " a part that was in the model by name only is no result.",
            "warning": CAUTION,
            "label": "parts",
            "best": True,
            "columns": [
                *(columns(METRICS, "paper", PUBLISHED) if papers else []),
                *columns(METRICS, "leak", LEAK, leak=True),
                *columns(METRICS, "sampled", SAMPLED),
                *columns(FULL, "full", ALL),
                *columns(FULL, "printed", "honest, full ranking, as printed"),
                *columns(FULL, "hard", "honest, full ranking, hard negatives"),
            ],
            "rows": rows,
        },
        _nominal_text(same),
    ]


TABLE4_COLUMNS = (
    ("leak", "leak", LEAKED, METRICS, "as-released, leak"),
    ("full", "sampled", FRESH, METRICS, f"honest {FRESH}"),
    ("full", "full", "full", FULL, "honest full ranking"),
    ("printed", "printed", "full", FULL, "as printed, honest full ranking"),
    ("hard", "hard", "full", FULL, "honest full ranking, hardest of 10"),
)
"""Group of runs, prefix of the columns, protocol, metrics and source."""


def _left_out(metrics: tuple[str, ...], prefix: str, other: str) -> dict[str, Any]:
    return {f"{prefix} {metric}": {"value": None, "source": reason(other)} for metric in metrics}


def _nominal_text(same: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Say which ablations are others under another name, and why."""
    titles = {
        "leak": "as released",
        "full": "without the leak, tuned",
        "printed": "as printed",
        "hard": "with hard negatives",
    }
    paragraphs = [
        f"**{titles[key][:1].upper()}{titles[key][1:]}**: "
        + "; ".join(f"{name} is {other}" for name, other in found.items())
        + ". γ held the learned margins at their limit from the first mini-batch to the last, so"
        " that the training is the same to the bit, and the row is left out."
        for key, found in same.items()
        if found
    ]
    return {
        "kind": "text",
        "title": "Table 4: parts that were there in name only",
        "paragraphs": paragraphs or ["None: in every column the learned margins moved."],
    }
