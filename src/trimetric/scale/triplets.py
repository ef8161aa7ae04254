"""The triplet trainer of SML, CML and the ablations, bucket by bucket."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from trimetric.engine.threads import ThreadTeam
from trimetric.engine.triplets import (
    TripletSettings,
    blank_state,
    start_state,
    triplet_session,
)
from trimetric.scale.bucketwise import Bucketwise, Place
from trimetric.scale.division import Division, ItemParts

_ROWS = ("points", "first", "second", "margins", "margin_moments")


class PartitionedTriplets(Bucketwise):
    """The triplet trainer in parts: see `Bucketwise`."""

    saved = ("points", "margins")

    @classmethod
    def of(cls, division: Division, settings: TripletSettings) -> "PartitionedTriplets":
        """Return the trainer at its start, where training without parts starts too."""
        data = division.data
        return cls(division, settings, start_state(settings, data.n_users, data.n_items))

    def begin_epoch(self, epoch: int, team: ThreadTeam) -> None:
        """Buckets share nothing."""

    def train_bucket(
        self, place: Place, items: ItemParts, team: ThreadTeam, pause: Callable[[int], bool]
    ) -> bool:
        """Train the points, margins and moments of a bucket: see `Bucketwise`."""
        pairs = self.division.bucket(place.user_part, place.item_part, items)
        if len(pairs.users) == 0:
            return True
        users, theirs = self.division.user_rows[place.user_part], items.rows[place.item_part]
        rows = np.concatenate([users, self.n_users + theirs])
        state, whole = blank_state(self.settings, len(users), len(theirs)), self.arrays
        ours = {name: array for name, array in state._asdict().items() if name in _ROWS}
        ours = {name: array for name, array in ours.items() if len(whole[name]) == self.n_points}
        for name, array in ours.items():
            array[...] = whole[name][rows]
        session = triplet_session(
            replace(self.settings, seed=self.seed_of(place)),
            pairs,
            len(theirs),
            state=state,
            catalogue=self.division.data.n_items,
            tuners=self.tuners,
        )
        if session.run(place.epoch, 0, team, pause) < session.n_batches:
            return False
        for name, array in ours.items():
            whole[name][rows] = array
        self.state.totals[:] += state.totals
        return True

    @property
    def n_points(self) -> int:
        """Users and items."""
        return len(self.state.points)
