"""The jobs of the paper's tables and figures, with and without the leak."""

from dataclasses import replace
from typing import Any

from trimetric.experiments.jobs import LEAKED, Job, seeded
from trimetric.experiments.study import Plan
from trimetric.experiments.tune import Budget, tuned
from trimetric.models import create, model_class

RELEASED, HONEST = "released", "honest"
"""The splits: ratings of 1 dropped and no validation part; all ratings, with one."""

ABLATIONS = ("base", "base+u", "base+s", "base+s+p", "base+s+u", "sml")
LAMBDAS = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0)
GAMMAS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
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
    jobs = {name: seeded(honest(name, variant(name, settings)), seeds) for name in ABLATIONS}
    results = yield [one for group in jobs.values() for one in group]
    return {name: results[i * seeds : (i + 1) * seeds] for i, name in enumerate(jobs)}


def variant(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of SML without those that make the ablation `name`."""
    from trimetric.models.sml import VARIANTS

    given = model_class(name)[1].get("variant")
    fixed = VARIANTS[given] if given else {}
    return {key: value for key, value in settings.items() if key not in fixed}
