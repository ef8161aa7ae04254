"""The triplet trainer in parts: a learner whose mini-batches are buckets."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from trimetric import counter
from trimetric.engine.session import Totals
from trimetric.engine.threads import ThreadTeam, ThreadTuner
from trimetric.engine.triplets import (
    State,
    TripletSettings,
    blank_state,
    start_state,
    triplet_session,
)
from trimetric.scale.division import Division, ItemParts

_BUCKET = 202  # a stream of random numbers
ROWS = ("points", "first", "second", "margins", "margin_moments")


@dataclass
class PartitionedTriplets:
    """Trains SML, CML and the ablations bucket by bucket; a `training.Learner`.

    Parameters
    ----------
    division : Division
    settings : TripletSettings
        Of the whole run.
    state : State
        Of all users and items, as that of training without parts.
    """

    division: Division
    settings: TripletSettings
    state: State
    _tuners: dict[int, ThreadTuner] = field(default_factory=dict)

    saved = ("points", "margins")

    @classmethod
    def of(cls, division: Division, settings: TripletSettings) -> "PartitionedTriplets":
        """Return the trainer at its start, where training without parts starts too."""
        data = division.data
        return cls(division, settings, start_state(settings, data.n_users, data.n_items))

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
        """Triplets in an epoch."""
        return len(self.division.data)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Live views of all that training changes."""
        return self.state._asdict()

    def summary(self) -> dict[str, float]:
        """Return the mean loss, the share of active triplets and the triplets of the epoch."""
        totals = Totals(*self.state.totals.tolist())
        count = max(totals.samples, 1)
        return {
            "loss": totals.loss / count,
            "active": totals.active / count,
            "triplets": int(totals.samples),
        }

    def run(
        self, epoch: int, first_batch: int, team: ThreadTeam, pause: Callable[[int], bool]
    ) -> int:
        """Train from a bucket of an epoch until its end; return the bucket where it stopped.

        A bucket that is interrupted has changed nothing.
        """
        if first_batch == 0:
            self.state.totals[:] = 0
        items = self.division.item_parts(epoch)
        for bucket in range(first_batch, self.n_batches):
            shift, user_part = divmod(bucket, self.division.n_parts)
            place = (epoch, user_part, (user_part + shift) % self.division.n_parts)

            def inside(_: int, bucket: int = bucket) -> bool:
                return pause(bucket)

            if not self._train_bucket(place, items, team, inside):
                return bucket
            if bucket + 1 < self.n_batches and pause(bucket + 1):
                return bucket + 1
        return self.n_batches

    def _train_bucket(
        self,
        place: tuple[int, int, int],
        items: ItemParts,
        team: ThreadTeam,
        pause: Callable[[int], bool],
    ) -> bool:
        """Train one bucket and write its rows back; return whether it was done."""
        epoch, user_part, item_part = place
        pairs = self.division.bucket(user_part, item_part, items)
        if len(pairs.users) == 0:
            return not pause(0)
        users, theirs = self.division.user_rows[user_part], items.rows[item_part]
        rows = np.concatenate([users, self.n_users + theirs])
        state = blank_state(self.settings, len(users), len(theirs))
        for name in ROWS:
            ours, whole = getattr(state, name), getattr(self.state, name)
            if len(whole) == len(self.state.points):
                ours[...] = whole[rows]
        session = triplet_session(
            replace(self.settings, seed=int(counter.key(self.settings.seed, _BUCKET, *place))),
            pairs,
            len(theirs),
            state=state,
            catalogue=self.division.data.n_items,
            tuners=self._tuners,
        )
        if session.run(epoch, 0, team, pause) < session.n_batches:
            return False
        for name in ROWS:
            ours, whole = getattr(state, name), getattr(self.state, name)
            if len(whole) == len(self.state.points):
                whole[rows] = ours
        self.state.totals[:] += state.totals
        return True
