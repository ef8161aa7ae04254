"""Choosing what CentroidML leaves to the data, by short trials on validation data.

Three trials find the temperature (see `temperature`). At that one, two more decide whether items
are composed of their users, and how much the second objective weighs: since squared distances of
the two objectives add up, one trial serves for all weights.
"""

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
    best = None
    if "kappa" in left_open:
        qualities = []
        for kappa in KAPPAS:
            settings = {**chosen, "kappa": kappa, "reconstruction": 0.0}
            qualities.append(try_out(model, parts, **settings)[0])
        best = KAPPAS[qualities.index(max(qualities))]
        tried |= {"kappa": best, "tried_kappa": _pairs(KAPPAS, qualities)}
        chosen["kappa"] = best
    if "reconstruction" in left_open:
        _, trained = try_out(model, parts, **{**chosen, "reconstruction": 1.0})
        train, valid = parts
        measure = validator(
            valid, train, params["metric"], max_users=params["validate_users"] or None
        )
        space: Any = trained.scorer
        qualities = [measure(reweighted(space, weight)) for weight in RECONSTRUCTIONS]
        weight = RECONSTRUCTIONS[qualities.index(max(qualities))]
        tried |= {
            "reconstruction": weight,
            "tried_reconstruction": _pairs(RECONSTRUCTIONS, qualities),
        }
    return tried


def _pairs(values: tuple[float, ...], qualities: list[float]) -> list[list[float]]:
    return [list(pair) for pair in zip(values, qualities, strict=True)]
