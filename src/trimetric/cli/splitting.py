"""How commands split DATA."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from trimetric.errors import ParameterError

if TYPE_CHECKING:
    from trimetric.data import Interactions, Split


@dataclass(frozen=True)
class Splitting:
    """How to hold out parts of DATA."""

    how: Annotated[
        str, Option("--how", help="random, per-user, leave-one-out, temporal or column.")
    ] = "random"
    test: Annotated[float, Option("--test", help="Share of the test part.")] = 0.1
    valid: Annotated[float, Option("--valid", help="Share of the validation part; 0 for none.")] = (
        0.1
    )
    seed: Annotated[int, Option("--seed", "--split-seed", help="Of the split.")] = 0


def divided(data: "Interactions", asked: Splitting) -> "Split":
    """Split data as asked.

    Raises
    ------
    ParameterError
        There is no such way, or a share is out of range.
    DataError
        The data cannot be split in this way.
    """
    from trimetric.data import splits

    shares: Any = {"test": asked.test, "valid": asked.valid}
    ways = {
        "random": lambda: splits.split_random(data, **shares, seed=asked.seed),
        "per-user": lambda: splits.split_per_user(data, **shares, seed=asked.seed),
        "leave-one-out": lambda: splits.split_leave_one_out(
            data, valid=asked.valid > 0, seed=asked.seed
        ),
        "temporal": lambda: splits.split_temporal(data, **shares),
        "column": lambda: splits.split_column(data),
    }
    if asked.how not in ways:
        raise ParameterError(f"--how must be one of {', '.join(ways)}, got {asked.how!r}")
    return ways[asked.how]()
