"""How much a study may spend, the same for every model."""

from dataclasses import dataclass

from trimetric.errors import ParameterError


@dataclass(frozen=True)
class Budget:
    """What each model is given.

    Parameters
    ----------
    name : str
    trials : int
        Settings tried on validation data, at least 1.
    epochs : int
        Of training as the SML paper's code does it (which has 800).
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
    """Return the budget of a name, with another number of trials if given.

    Raises
    ------
    ParameterError
        The name is unknown, or `trials` is below 1.
    """
    if name not in BUDGETS:
        raise ParameterError(f"budget must be one of {', '.join(BUDGETS)}, got {name!r}")
    if trials is None:
        return BUDGETS[name]
    if trials < 1:
        raise ParameterError(f"trials must be at least 1, got {trials}; 1 takes the defaults")
    return Budget(f"{trials} trials", trials, BUDGETS[name].epochs)
