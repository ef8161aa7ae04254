"""Options of how to split DATA."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from trimetric.errors import ParameterError

if TYPE_CHECKING:
    from trimetric.data import Interactions, Split


@dataclass(frozen=True)
class SplitOptions:
    """How to hold out parts of DATA."""

    how: Annotated[
        str, Option("--how", help="random, per-user, leave-one-out, temporal, column or users.")
    ] = "random"
    test: Annotated[float, Option("--test", help="Share of the test part.")] = 0.1
    valid: Annotated[float, Option("--valid", help="Share of the validation part; 0 for none.")] = (
        0.1
    )
    history: Annotated[
        float, Option(help="With users: share of a held-out user's interactions to fold in by.")
    ] = 0.8
    seed: Annotated[int, Option("--seed", "--split-seed", help="Seed of the split.")] = 0

    def split(self, data: "Interactions", keep_repeats: bool = False) -> "Split":
        """Split data.

        Parameters
        ----------
        data : Interactions
        keep_repeats : bool
            Whether pairs stay in each part of a temporal split that they have rows in.

        Raises
        ------
        ParameterError
            The method is unknown, or a share is out of range.
        DataError
            The data cannot be split by this method.
        """
        from trimetric.data import split_users, splits

        if keep_repeats and self.how != "temporal":
            raise ParameterError(f"--repeats keep needs --how temporal, got --how {self.how}")
        after: Any = "keep" if keep_repeats else "leave-out"
        shares: Any = {"test": self.test, "valid": self.valid}
        seed = self.seed
        methods = {
            "random": lambda: splits.split_random(data, **shares, seed=seed),
            "per-user": lambda: splits.split_per_user(data, **shares, seed=seed),
            "leave-one-out": lambda: splits.split_leave_one_out(
                data, valid=self.valid > 0, seed=seed
            ),
            "temporal": lambda: splits.split_temporal(data, **shares, repeats=after),
            "column": lambda: splits.split_column(data),
            "users": lambda: split_users(data, **shares, history=self.history, seed=seed),
        }
        if self.how not in methods:
            raise ParameterError(f"--how must be one of {', '.join(methods)}, got {self.how!r}")
        return methods[self.how]()
