"""What a model ranks by and what it minimises, as one line each: Table 2 of the SML paper."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Formula:
    """The distance (or score) and the loss of a model, as this code has them.

    Parameters
    ----------
    distance : str
        What ranks an item v for a user u.
    larger_is_better : bool
        Whether items with the largest value come first; distances rank the smallest first.
    loss : str
        Of one training unit.
    note : str
        How it differs from what the SML paper prints, or "".
    """

    distance: str
    larger_is_better: bool
    loss: str
    note: str = ""
