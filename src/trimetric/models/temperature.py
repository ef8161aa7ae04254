"""Choosing SML's temperature from the data: three short trials and a parabola.

Of all settings τ alone differs much between data sets (0.1 to 0.5 of the squared radius suit those
we know), and quality as a function of ln τ is close to a parabola with one top.
"""

from collections.abc import Callable
from typing import Any

from trimetric.data.interactions import Interactions
from trimetric.data.splits import split_random
from trimetric.errors import DataError

TRIED = (0.1, 0.2, 0.4)
USUAL = 0.2
BEYOND = 1.5  # how far from the middle the parabola is trusted, in steps of TRIED
SHARE = 0.1  # held out for the trials where there is no validation data
LEAST_HELD = 100  # fewer held-out pairs say too little


def chosen(
    train: Interactions,
    valid: Interactions | None,
    trial: Callable[[Interactions, Interactions, float], float],
) -> dict[str, Any]:
    """Return the temperature, and the values tried.

    Parameters
    ----------
    train : Interactions
    valid : Interactions or None
        What trials are judged on; without it a tenth of `train` is held out for them.
    trial : callable
        Takes training data, validation data and a temperature; returns the quality.

    Returns
    -------
    dict
        "temperature": float in .07...57, and "tried": a list of [temperature, quality], empty where
        there is too little data to tell, which gets .2.
    """
    if valid is None:
        try:
            split = split_random(train, test=SHARE, valid=0)
        except DataError:
            return {"temperature": USUAL, "tried": []}
        train, valid = split.train, split.test
    if len(valid) < LEAST_HELD:
        return {"temperature": USUAL, "tried": []}
    qualities = [trial(train, valid, temperature) for temperature in TRIED]
    tried = [list(pair) for pair in zip(TRIED, qualities, strict=True)]
    return {"temperature": best_of(qualities), "tried": tried}


def best_of(qualities: list[float]) -> float:
    """Return where the parabola through the qualities at TRIED, over ln τ, has its top.

    Rounded to two digits, and at most half a step outside; without a top, past the better end.
    """
    low, middle, high = qualities
    bend = low - 2 * middle + high
    steps = (low - high) / (2 * bend) if bend < 0 else BEYOND * ((high > low) - (high < low))
    found = TRIED[1] * (TRIED[1] / TRIED[0]) ** min(max(steps, -BEYOND), BEYOND)
    return float(f"{found:.2g}")
