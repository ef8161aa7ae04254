"""The jobs of the paper's tables and figures, with and without the leak."""

from dataclasses import replace
from typing import Any

from trimetric.evaluation.metrics import recorded
from trimetric.experiments.jobs import LEAKED, Job, seeded
from trimetric.experiments.study import Plan
from trimetric.experiments.tune import Budget, tuned
from trimetric.models import create, model_class

RELEASED, HONEST = "released", "honest"
"""The splits: ratings of 1 dropped and no validation part; all ratings, with one."""

ABLATIONS = ("base", "base+u", "base+s", "base+s+p", "base+s+u", "sml")
LAMBDAS = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0)
GAMMAS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
LAMBDA, GAMMA = 0.01, 10.0
"""The paper's value of each while the other is varied, on Instant Video."""
RATES = (0.1, 0.05, 0.01)
"""The learning rates that the paper chooses among."""
TUNED_FOR = "ndcg@10"
FRESH = "sampled-499"

ADAPTIVE = {"adaptive_users": True, "adaptive_items": True}

UNIFORM: dict[str, Any] = {
    "negatives": "uniform",
    "rank_weight": False,
    "optimizer": "adagrad",
    "margin": 1.0,
    "item_margin": 1.0,
    **ADAPTIVE,
}
"""The paper's form of SML: one uniform negative, margins that start at their limit l = 1."""

UNIFORM_CML = {"negatives": "uniform", "rank_weight": False, "optimizer": "adagrad"}
HARD: dict[str, Any] = {
    "margin": 1.0,
    "item_margin": 1.0,
    "temperature": 0.0,
    "candidates": 10,
    "lr": 0.2,
    **ADAPTIVE,
}
"""The hardest of ten negatives, with the paper's l and bare hinges."""

SPACES: dict[str, dict[str, tuple]] = {
    "sml": {"lr": (0.02, 0.3, "log"), "lam": (0.001, 0.3, "log"), "gamma": (1.0, 512.0, "log")},
    "cml": {"lr": (0.02, 0.3, "log"), "margin": (0.3, 1.5)},
}
"""What is tuned of the paper's form; other models have their own ranges."""


def released(model: str, spend: Budget) -> dict[str, Any]:
    """Return the settings of a model trained as released; no search, all epochs.

    Those of SML and its kin are known. What the baselines had is not: they keep their defaults.
    """
    settings: dict[str, Any] = {"patience": 0}
    if model == "cml" or model in ABLATIONS:
        settings |= {"preset": "released", "epochs": spend.epochs}
    if model == "lrml":
        settings["preset"] = "released"
    epochs = create(model, **settings).get_params()["epochs"]
    return {**settings, "validate_every": max(1, epochs // 20)}


def leaked(model: str, spend: Budget, **changes: Any) -> Job:
    """Return a job as released: the pool of the test, the best of each metric on the test."""
    settings = {**released(model, spend), **changes}
    return Job(RELEASED, model, settings, protocols=(LEAKED, FRESH), leaked=True)


def honest(model: str, settings: dict[str, Any], **more: Any) -> Job:
    """Return an honest job: validation decides when to stop, fresh candidates and all items."""
    return Job(HONEST, model, settings, protocols=("full", FRESH), per_user=(TUNED_FOR,), **more)


def gamma_of(dataset: str | None) -> float:
    """Return the paper's γ: .1 on IMDB, else 10, which it states for Instant Video alone."""
    return 0.1 if dataset == "imdb" else GAMMA


def as_printed(model: str, dataset: str | None) -> Job:
    """Return an honest job with all that the paper prints but the learning rate.

    Adam, first coordinates from N(.1, variance .03), mini-batches of 512, l = 1, one uniform
    negative; λ and γ as given. How many epochs is not printed: validation stops.
    """
    settings: dict[str, Any] = {"preset": "paper"}
    if model != "cml":
        settings |= variant(model, {"lam": LAMBDA, "gamma": gamma_of(dataset)})
    return honest(model, settings, margins=model != "cml")


def chosen_rate(job: Job) -> Plan:
    """Choose the learning rate among the paper's by validation: (settings, log)."""
    tried = [replace(job, settings={**job.settings, "lr": rate}) for rate in RATES]
    trials = [
        replace(one, part="valid", protocols=("full",), per_user=(), margins=False) for one in tried
    ]
    results = yield trials
    log: list[dict[str, Any]] = [
        {
            "trial": number,
            "settings": {"lr": rate},
            "value": recorded(result.get("metrics", {}).get("full", {}), TUNED_FOR),
            **{name: result.get(name) for name in ("error", "seconds", "epochs")},
        }
        for number, (rate, result) in enumerate(zip(RATES, results, strict=True))
    ]
    best = max(log, key=lambda row: -1.0 if row["value"] is None else row["value"])
    return {**job.settings, **best["settings"]}, log


def printed(model: str, dataset: str | None, seeds: int) -> Plan:
    """Run a model as the paper prints it: (settings, log of the learning rates, results)."""
    job = as_printed(model, dataset)
    settings, log = yield from chosen_rate(job)
    results = yield seeded(replace(job, settings=settings), seeds)
    return settings, log, results


def printed_sweep(name: str, values: Any, dataset: str | None, seeds: int) -> Plan:
    """Vary one setting of SML as printed, at the rate chosen for the paper's: {value: results}."""
    job = as_printed("sml", dataset)
    settings, _ = yield from chosen_rate(job)
    groups = [seeded(replace(job, settings={**settings, name: value}), seeds) for value in values]
    results = yield [one for group in groups for one in group]
    return {value: results[i * seeds : (i + 1) * seeds] for i, value in enumerate(values)}


def printed_ablations(dataset: str | None, seeds: int) -> Plan:
    """Run the ablations as printed, all with the rate chosen for all parts: {name: results}."""
    settings, _ = yield from chosen_rate(as_printed("sml", dataset))
    jobs = []
    for name in ABLATIONS:
        job = as_printed(name, dataset)
        jobs += seeded(replace(job, settings={**job.settings, "lr": settings["lr"]}), seeds)
    results = yield jobs
    return {name: results[i * seeds : (i + 1) * seeds] for i, name in enumerate(ABLATIONS)}


def runs(job: Job, seeds: int) -> Plan:
    """Run a job once for each seed; the plan returns the results."""
    results = yield seeded(job, seeds)
    return results


def searched(job: Job, spend: Budget, seeds: int, space: dict[str, Any] | None = None) -> Plan:
    """Tune on validation data, then run the job for each seed: (settings, log, results)."""
    settings, log = yield from tuned(job, spend.trials, TUNED_FOR, space=space)
    results = yield seeded(replace(job, settings=settings), seeds)
    return settings, log, results


def ablated(spend: Budget, seeds: int) -> Plan:
    """Run the ablations with the tuned settings of the whole SML; returns {name: results}."""
    job = honest("sml", UNIFORM)
    settings, _ = yield from tuned(job, spend.trials, TUNED_FOR, space=SPACES["sml"])
    jobs = {
        name: seeded(honest(name, variant(name, settings), margins=True), seeds)
        for name in ABLATIONS
    }
    results = yield [one for group in jobs.values() for one in group]
    return {name: results[i * seeds : (i + 1) * seeds] for i, name in enumerate(jobs)}


def variant(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of SML without those that make the ablation `name`."""
    from trimetric.models.sml import VARIANTS

    given = model_class(name)[1].get("variant")
    fixed = VARIANTS[given] if given else {}
    return {key: value for key, value in settings.items() if key not in fixed}
