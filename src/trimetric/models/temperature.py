"""Choosing the temperature from the data: three short trials and a parabola.

Of all settings τ alone differs much between data sets (0.1 to 0.5 of the squared radius suit those
we know), and quality as a function of ln τ is close to a parabola with one top.
"""

from collections.abc import Callable
from typing import Any

from trimetric.data.interactions import Interactions
from trimetric.data.splits import LEAST_HELD, hold_out
from trimetric.errors import Interrupted
from trimetric.models.epoch_trained import EpochTrained
from trimetric.progress import make_reporter

TRIED = (0.1, 0.2, 0.4)
USUAL = 0.2
BEYOND = 1.5  # how far from the middle the parabola is trusted, in steps of TRIED
TRIAL_SHARE = 3  # a trial has this part of the epochs
SHARE = 0.1  # held out for the trials where there is no validation data


def find_temperature(
    model: EpochTrained,
    train: Interactions,
    valid: Interactions | None,
    trials: bool,
    progress: bool | None,
) -> dict[str, Any]:
    """Find the temperature, if it is left open: see `EpochTrained.find_settings`.

    Trains at three temperatures for a third of the epochs, and picks one between.
    """
    if model.config.temperature is not None:
        return {}
    if not trials or model.config.epochs == 0:
        return pick_temperature([])
    epochs = -(-model.config.epochs // TRIAL_SHARE)
    short = {**model.get_params(), "epochs": epochs, "validate_every": epochs}

    def trial(train: Interactions, valid: Interactions, value: float) -> float:
        tried = type(model)(**{**short, "temperature": value})
        tried.fit(train, valid, progress=False)
        return float(tried.history[-1][model.config.metric])

    reporter = make_reporter(progress)
    reporter.log("trying three temperatures (temperature=0.2 skips this)")
    try:
        tuned = pick_temperature(qualities_of_trials(train, valid, trial))
    except Interrupted:
        raise Interrupted(
            "interrupted while trying temperatures; nothing was saved, since nothing is lost"
        ) from None
    reporter.log(f"temperature {tuned['temperature']}")
    return tuned


def qualities_of_trials(
    train: Interactions,
    valid: Interactions | None,
    trial: Callable[[Interactions, Interactions, float], float],
) -> list[float]:
    """Return the quality at each of TRIED, or nothing where there is too little data to tell.

    Parameters
    ----------
    train : Interactions
    valid : Interactions or None
        What trials are judged on; without it a tenth of `train` is held out for them.
    trial : callable
        Takes training data, validation data and a temperature; returns the quality.
    """
    if valid is None:
        split = hold_out(train, SHARE)
        if split is None:
            return []
        train, valid = split.train, split.test
    if len(valid) < LEAST_HELD:
        return []
    return [trial(train, valid, temperature) for temperature in TRIED]


def pick_temperature(qualities: list[float]) -> dict[str, Any]:
    """Return the temperature that the qualities at TRIED speak for, .2 if there are none.

    Returns
    -------
    dict
        "temperature": float in .07...57, and "tried": a list of [temperature, quality].
    """
    return {
        "temperature": best_of(qualities) if qualities else USUAL,
        "tried": [list(pair) for pair in zip(TRIED, qualities, strict=False)],
    }


def best_of(qualities: list[float]) -> float:
    """Return where the parabola through the qualities at TRIED, over ln τ, has its top.

    Rounded to two digits, and at most half a step outside; without a top, past the better end.
    """
    low, middle, high = qualities
    bend = low - 2 * middle + high
    steps = (low - high) / (2 * bend) if bend < 0 else BEYOND * ((high > low) - (high < low))
    top = TRIED[1] * (TRIED[1] / TRIED[0]) ** min(max(steps, -BEYOND), BEYOND)
    return float(f"{top:.2g}")
