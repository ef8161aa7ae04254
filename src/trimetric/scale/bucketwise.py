"""An epoch in rounds of buckets: what the learners in parts share."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trimetric import counter
from trimetric.engine.session import Totals
from trimetric.engine.threads import ThreadTeam, ThreadTuner
from trimetric.scale.division import Division, ItemParts

_BUCKET = 202  # a stream of random numbers


class Place(NamedTuple):
    """Which bucket of which epoch."""

    epoch: int
    user_part: int
    item_part: int


class Bucketwise(ABC):
    """Trains bucket by bucket; a `training.Learner` whose mini-batches are buckets.

    Parameters
    ----------
    division : Division
    settings : RunSettings
        Of the whole run.
    state : NamedTuple of arrays
        Of all users and items, with `totals`: see `session.Totals`.
    """

    saved: tuple[str, ...]

    def __init__(self, division: Division, settings: Any, state: Any) -> None:
        self.division, self.settings, self.state = division, settings, state
        self.tuners: dict[int, ThreadTuner] = {}

    @abstractmethod
    def train_bucket(
        self, place: Place, items: ItemParts, team: ThreadTeam, pause: Callable[[int], bool]
    ) -> bool:
        """Train one bucket and write its rows back; return False, all unchanged, if paused."""

    @abstractmethod
    def begin_epoch(self, epoch: int, team: ThreadTeam) -> None:
        """Prepare what the buckets of an epoch share."""

    @property
    def n_users(self) -> int:
        """Rows of users; those of items follow."""
        return self.division.data.n_users

    @property
    def n_batches(self) -> int:
        """Buckets in an epoch."""
        return self.division.n_parts**2

    @property
    def samples(self) -> int:
        """Interactions in an epoch."""
        return len(self.division.data)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Live views of all that training changes."""
        return self.state._asdict()

    def summary(self) -> dict[str, float]:
        """Return the mean loss, the share of active samples and the samples of the epoch."""
        return Totals(*self.state.totals.tolist()).summary()

    def seed_of(self, place: Place) -> int:
        """Return the seed of a bucket's own draws."""
        return int(counter.key(self.settings.seed, _BUCKET, *place))

    def run(
        self, epoch: int, first_batch: int, team: ThreadTeam, pause: Callable[[int], bool]
    ) -> int:
        """Train from a bucket of an epoch until its end; return the bucket where it stopped.

        The buckets of a round touch no row in common. One that is interrupted changes nothing.
        """
        if first_batch == 0:
            self.state.totals[:] = 0
            self.begin_epoch(epoch, team)
        items, n_parts = self.division.item_parts(epoch), self.division.n_parts
        for bucket in range(first_batch, self.n_batches):
            shift, user_part = divmod(bucket, n_parts)
            place = Place(epoch, user_part, (user_part + shift) % n_parts)

            def inside(_: int, bucket: int = bucket) -> bool:
                return pause(bucket)

            if not self.train_bucket(place, items, team, inside):
                return bucket
            if bucket + 1 < self.n_batches and pause(bucket + 1):
                return bucket + 1
        return self.n_batches
