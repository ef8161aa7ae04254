"""What a model trains in a bucket: a pure function of rows, interactions and place."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from trimetric.engine.negatives import Positives
from trimetric.engine.threads import ThreadTeam, ThreadTuner
from trimetric.scale.buckets import Place
from trimetric.scale.columns import Columns

Pause = Callable[[int], bool]


@dataclass
class Room:
    """What a trainer keeps from bucket to bucket to save time; results do not depend on it.

    Parameters
    ----------
    tuners : dict
        Of each loop.
    kept : dict
        Memory of each loop.
    """

    tuners: dict[str, dict[int, ThreadTuner]] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)


class Trained(NamedTuple):
    """What a bucket leaves: the rows of its users and items, and `session.Totals`."""

    users: np.ndarray
    items: np.ndarray
    totals: np.ndarray


class Trainer(ABC):
    """Trains buckets of one model. It can be pickled.

    Parameters
    ----------
    settings : RunSettings
        Of the whole run.
    n_items : int
        Of the whole catalogue.
    n_parts : int
        P.

    Attributes
    ----------
    users, items : Columns
        Of the rows of users and of items.
    sums_up : bool
        Whether `sum_users` and `sum_items` are to be called after each epoch.
    """

    users: Columns
    items: Columns
    sums_up = False

    def __init__(self, settings: Any, n_items: int, n_parts: int) -> None:
        self.settings, self.n_items, self.n_parts = settings, n_items, n_parts

    @abstractmethod
    def start_users(self, part: int, n: int) -> np.ndarray:
        """Return the rows that the users of a part start from."""

    @abstractmethod
    def start_items(self, chunk: int, n: int) -> np.ndarray:
        """Return the rows that the items of a chunk start from."""

    @abstractmethod
    def train(
        self,
        place: Place,
        users: np.ndarray,
        items: np.ndarray,
        pairs: Positives,
        team: ThreadTeam,
        pause: Pause,
        room: Room,
    ) -> Trained | None:
        """Return what an epoch of a bucket leaves, None if paused; its arguments stay.

        But rows of users that the trainer returned from the bucket before, in the same room, may be
        returned again, changed.
        """

    def sum_users(
        self, users: np.ndarray, items: np.ndarray, pairs: Positives, team: ThreadTeam
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take sums over all items of a part's users anew.

        Parameters
        ----------
        users : float32 (n, columns)
            Of a part.
        items : float32 (n_items, columns)
            Of all chunks in order.
        pairs : Positives
            Of the part with all items.

        Returns
        -------
        users : float32 (n, columns)
        shares : float32 (n_items, k)
            What these users add to sums of the items over users.
        """
        raise NotImplementedError

    def sum_items(self, items: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Return rows of items with the shares of all users, float32 (n, k), added up."""
        raise NotImplementedError

    @abstractmethod
    def user_tensors(self, users: np.ndarray) -> dict[str, np.ndarray]:
        """Return what an artifact holds of such rows of users."""

    @abstractmethod
    def item_tensors(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Return what an artifact holds of such rows of all items."""
