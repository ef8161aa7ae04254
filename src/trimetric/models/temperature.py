"""Choosing the temperature from the data: three short trials and a parabola.

Of all settings τ alone differs much between data sets (0.1 to 0.5 of the squared radius suit those
we know), and quality as a function of ln τ is close to a parabola with one top.
"""

from collections.abc import Iterator
from contextlib import contextmanager
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
    parts = trial_parts(model, train, valid) if trials else None
    if parts is None:
        return pick_temperature([])
    reporter = make_reporter(progress)
    reporter.log("trying three temperatures (temperature=0.2 skips this)")
    with interruptible():
        tuned = pick_temperature([try_out(model, parts, temperature=value)[0] for value in TRIED])
    reporter.log(f"temperature {tuned['temperature']}")
    return tuned


def trial_parts(
    model: EpochTrained, train: Interactions, valid: Interactions | None
) -> tuple[Interactions, Interactions] | None:
    """Return what trials are trained and judged on; None where there is too little to tell.

    Without validation data a tenth of `train` is held out for them.
    """
    if model.config.epochs == 0:
        return None
    if valid is None:
        split = hold_out(train, SHARE)
        if split is None:
            return None
        train, valid = split.train, split.test
    return None if len(valid) < LEAST_HELD else (train, valid)


def try_out(
    model: EpochTrained, parts: tuple[Interactions, Interactions], **settings: Any
) -> tuple[float, EpochTrained]:
    """Train a model with other settings for a third of the epochs; return its quality, and it."""
    epochs = -(-model.config.epochs // TRIAL_SHARE)
    short = {**model.get_params(), "epochs": epochs, "validate_every": epochs, **settings}
    tried = type(model)(**short)
    tried.fit(*parts, progress=False)
    return float(tried.history[-1][model.config.metric]), tried


@contextmanager
def interruptible() -> Iterator[None]:
    """Say of an interruption in the body that it cost nothing."""
    try:
        yield
    except Interrupted:
        raise Interrupted(
            "interrupted while trying settings; nothing was saved, since nothing is lost"
        ) from None


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
