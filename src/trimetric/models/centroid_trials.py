"""Choosing what CentroidML leaves to the data, by short trials on validation data.

Three trials find the temperature (see `temperature`). At that one, two more decide whether items
are composed of their users, and how much the second objective weighs: since squared distances of
the two objectives add up, a trial of both serves for all weights, 0 among them.
"""

from collections.abc import Mapping
from typing import Any

from trimetric.data.interactions import Interactions
from trimetric.evaluation import validator
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.temperature import (
    TRIED,
    interruptible,
    pick_temperature,
    trial_parts,
    try_out,
)
from trimetric.progress import make_reporter
from trimetric.space.centroid import reweighted

KAPPAS = (0.0, 1.0)
RECONSTRUCTIONS = (0.0, 0.125, 0.25, 0.5)
USUAL = {"temperature": 0.2, "kappa": 1.0, "reconstruction": 0.25}
"""What is taken for settings that are left open, where data cannot tell."""


def find_settings(
    model: EpochTrained,
    train: Interactions,
    valid: Interactions | None,
    trials: bool,
    progress: bool | None,
) -> dict[str, Any]:
    """Find temperature, kappa and reconstruction, those that are left open.

    Returns
    -------
    dict
        The settings found, by name; and "tried": [temperature, quality] pairs, and by name of the
        other settings [value, quality] pairs. Nothing where nothing is left open.
    """
    params = model.get_params()
    left_open = [name for name in USUAL if params[name] is None]
    if not left_open:
        return {}
    parts = trial_parts(model, train, valid) if trials else None
    if parts is None:
        return {**{name: USUAL[name] for name in left_open}, "tried": []}
    reporter = make_reporter(progress)
    reporter.log(f"trying settings: {', '.join(left_open)} (giving them skips this)")
    with interruptible():
        found = _find(model, params, left_open, parts)
    reporter.log(", ".join(f"{name} {found[name]:g}" for name in left_open))
    return found


def _find(
    model: EpochTrained,
    params: dict[str, Any],
    left_open: list[str],
    parts: tuple[Interactions, Interactions],
) -> dict[str, Any]:
    chosen = {name: USUAL[name] if params[name] is None else params[name] for name in USUAL}
    tried: dict[str, Any] = {"tried": []}
    if "temperature" in left_open:
        alone = {"kappa": chosen["kappa"], "reconstruction": 0.0}
        tried |= pick_temperature(
            [try_out(model, parts, temperature=tau, **alone)[0] for tau in TRIED]
        )
        chosen["temperature"] = tried["temperature"]
    kappas = KAPPAS if "kappa" in left_open else (chosen["kappa"],)
    both = "reconstruction" in left_open
    if len(kappas) == 1 and not both:
        return tried
    chosen["reconstruction"] = 1.0 if both else 0.0
    trained = [try_out(model, parts, **{**chosen, "kappa": kappa}) for kappa in kappas]
    train, valid = parts
    measure = validator(valid, train, params["metric"], max_users=params["validate_users"] or None)

    def quality(space: Any, weight: float) -> float:
        return measure(reweighted(space, weight))

    first_only = [quality(m.scorer, 0.0) if both else ended for ended, m in trained]
    best = first_only.index(max(first_only))
    if "kappa" in left_open:
        tried |= {"kappa": kappas[best], "tried_kappa": _pairs(kappas, first_only)}
    if both:
        space = trained[best][1].scorer
        by_weight = [quality(space, weight) for weight in RECONSTRUCTIONS]
        tried |= {
            "reconstruction": RECONSTRUCTIONS[by_weight.index(max(by_weight))],
            "tried_reconstruction": _pairs(RECONSTRUCTIONS, by_weight),
        }
    return tried


def trials_in(tuned: Mapping[str, Any]) -> int:
    """Return how many trainings found settings of a model: see `Recommender.tuned`."""
    kappas = len(tuned.get("tried_kappa", ())) or int("tried_reconstruction" in tuned)
    return len(tuned.get("tried", ())) + kappas


def _pairs(values: tuple[Any, ...], qualities: list[float]) -> list[list[float]]:
    return [list(pair) for pair in zip(values, qualities, strict=True)]
