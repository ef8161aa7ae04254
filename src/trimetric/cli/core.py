"""Options that leave out users and items of which too little is known."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from typer import Option

from trimetric.errors import ParameterError

if TYPE_CHECKING:
    from trimetric.data import Interactions


@dataclass(frozen=True)
class Core:
    """How many interactions users and items of DATA must have."""

    k_core: Annotated[
        int | None,
        Option(
            "--k-core",
            metavar="K",
            help="Keep users and items with at least K interactions with each other, repeatedly.",
        ),
    ] = None
    min_user_interactions: Annotated[
        int | None, Option(help="The same for users alone, or with another number for items.")
    ] = None
    min_item_interactions: Annotated[
        int | None, Option(help="The same for items alone, or with another number for users.")
    ] = None

    def of(self, data: "Interactions", log: Callable[[str], None]) -> "Interactions":
        """Return the core of data, and log how much of it that is.

        Raises
        ------
        ParameterError
            A number is below 1, or users or items have two.
        DataError
            Nothing is left.
        """
        users, items = self.min_user_interactions, self.min_item_interactions
        given = {"k-core": self.k_core, "min-user-interactions": users}
        for name, least in {**given, "min-item-interactions": items}.items():
            if least is not None and least < 1:
                raise ParameterError(f"--{name} must be at least 1, got {least}; 5 is usual")
        if self.k_core is not None:
            if users is not None or items is not None:
                raise ParameterError(
                    "give --k-core, or --min-user-interactions and --min-item-interactions"
                )
            users = items = self.k_core
        if users is None and items is None:
            return data
        core = data.k_core(users=users or 1, items=items or 1)
        log(
            f"with at least {users or 1} interactions a user and {items or 1} an item, repeatedly:"
            f" {core.n_users:,} of {data.n_users:,} users, {core.n_items:,} of"
            f" {data.n_items:,} items and {len(core):,} of {len(data):,} interactions are left"
        )
        return core
