"""Tune settings on validation data, with the same number of trials for every model.

A model that tries settings in trainings of its own, as SML does for its temperature, spends its
trials on them too.

The first trial has the defaults; Optuna's TPE sampler (Bergstra et al., NeurIPS 2011) proposes the
others. A proposal is a function of the seed, its number and the trials before it, so that an
interrupted search goes on as if it had not been interrupted.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

from trimetric.errors import MissingExtra, ParameterError
from trimetric.evaluation.metrics import recorded
from trimetric.experiments.jobs import Job
from trimetric.keywords import check_count, is_one_of
from trimetric.models import create, search_space
from trimetric.models.centroid_trials import trials_in

KEPT = ("error", "seconds", "cpu_seconds", "epochs")  # of a trial's result
RANDOM_TRIALS = 4  # before the sampler learns from earlier trials


@dataclass(frozen=True)
class Budget:
    """The effort for each model.

    Parameters
    ----------
    name : str
    trials : int
        Trainings judged on validation data, at least 1.
    epochs : int
        Epochs of trainings as released; the SML paper's code has 800.
    """

    name: str
    trials: int
    epochs: int


BUDGETS = {
    "small": Budget("small", 6, 100),
    "medium": Budget("medium", 20, 800),
    "large": Budget("large", 60, 800),
}


def budget(name: str, trials: int | None = None) -> Budget:
    """Return a budget by name, with another number of trials if given.

    Raises
    ------
    ParameterError
        The name is unknown, or `trials` is below 1.
    """
    if not is_one_of(name, BUDGETS):
        raise ParameterError(f"budget must be one of {', '.join(BUDGETS)}, got {name!r}")
    if trials is None:
        return BUDGETS[name]
    check_count("trials", trials, "1 uses the defaults")
    return Budget(f"{trials} trials", int(trials), BUDGETS[name].epochs)


def tuned(
    job: Job, trials: int, metric: str, *, seed: int = 0, space: dict[str, Any] | None = None
) -> Generator[list[Job], list[dict[str, Any]], tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Tune a model on the validation part; part of a `study.Plan`.

    Parameters
    ----------
    job : Job
        Its settings are fixed.
    trials : int
        At least 1. A model with nothing to tune has one. Trainings that a model makes by itself to
        find settings count, so that there may be fewer rows; those of the first always take place.
    metric : str
        Metric of the job's first protocol to maximise.
    seed : int
        Seed of the search.
    space : dict, optional
        In place of the model's own: see `models.search_space`.

    Returns
    -------
    (settings, log)
        The best settings, those of the job included, and a row for each trial: number, settings,
        value (None if it failed), own (trainings of its own beside it), error, seconds,
        cpu_seconds, epochs.

    Raises
    ------
    MissingExtra
        There is something to tune, and Optuna is not installed; said before the first trial.
    """
    whole = search_space(job.model) if space is None else space
    space = {name: span for name, span in whole.items() if name not in job.settings}
    if space and trials > 1:
        _optuna()
    defaults = create(job.model, **job.settings).get_params()
    log: list[dict[str, Any]] = []
    while not log or (space and spent(log) < trials):
        number = len(log)
        tried = {n: defaults[n] for n in space} if number == 0 else propose(space, log, seed)
        settings = {**job.settings, **(tried if number else {})}
        trial = replace(
            job, settings=settings, part="valid", protocols=job.protocols[:1], per_user=(),
            margins=False,
        )  # fmt: skip
        [result] = yield [trial]
        metrics = result.get("metrics", {}).get(job.protocols[0], {})
        log.append(
            {
                "trial": number,
                "settings": tried,
                "value": recorded(metrics, metric),
                "own": trials_in(result.get("tuned", {})),
                **{name: result.get(name) for name in KEPT},
            }
        )
    finished = [row for row in log if row["value"] is not None]
    best = max(finished, key=lambda row: row["value"], default=log[0])
    return {**job.settings, **(best["settings"] if best["trial"] else {})}, log


def spent(log: list[dict[str, Any]]) -> int:
    """Return how many trainings the trials of a log were."""
    return sum(1 + row["own"] for row in log)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingExtra(
            "tuning needs optuna, which is not installed: pip install 'trimetric[tune]';"
            " or compare with trials=1, which uses the defaults"
        ) from None
    return optuna


def propose(space: dict[str, Any], log: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Return the settings to try next.

    Parameters
    ----------
    space : dict
        See `models.search_space`.
    log : list of dict
        The trials so far, with settings and value.
    seed : int

    Raises
    ------
    MissingExtra
        Optuna is not installed.
    """
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kinds = {name: _distribution(span, optuna) for name, span in space.items()}
    sampler = optuna.samplers.TPESampler(
        seed=seed * 1009 + len(log), n_startup_trials=RANDOM_TRIALS
    )
    search = optuna.create_study(direction="maximize", sampler=sampler)
    for row in log:
        inside = all(_inside(span, row["settings"][name]) for name, span in space.items())
        if row["value"] is not None and inside:
            search.add_trial(
                optuna.trial.create_trial(
                    params=row["settings"], distributions=kinds, value=row["value"]
                )
            )
    return {name: _rounded(value) for name, value in search.ask(kinds).params.items()}


def _distribution(span: Any, optuna: Any) -> Any:
    if isinstance(span, dict):
        return optuna.distributions.CategoricalDistribution(span["choices"])
    low, high, *log = span
    whole = isinstance(low, int) and isinstance(high, int)
    kind = "IntDistribution" if whole else "FloatDistribution"
    return getattr(optuna.distributions, kind)(low, high, log=bool(log))


def _inside(span: Any, value: Any) -> bool:
    if value is None:  # left to the model, so outside of any range
        return False
    if isinstance(span, dict):
        return value in span["choices"]
    return span[0] <= value <= span[1]


def _rounded(value: Any) -> Any:
    """Keep four digits, which are enough and read better."""
    return float(f"{value:.4g}") if isinstance(value, float) else value
