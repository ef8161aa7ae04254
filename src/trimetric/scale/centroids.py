"""The loop of CentroidML, bucket by bucket.

A user's mean is over all items that they have, of which a bucket holds some. The learner keeps each
user's sum z_u. In a bucket the items of its part are current, and those of other parts as of their
last visit: the rest of z_u, which is held still, as are the sums Q_v of items over users, which are
those of the epoch's start in training without parts too.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from trimetric.engine.centroids import (
    CentroidSettings,
    Elsewhere,
    Params,
    State,
    add_up_items,
    add_up_users,
    centroid_session,
    make_params,
    start_state,
    take_off_items,
)
from trimetric.engine.negatives import Positives, positives
from trimetric.engine.rows import table
from trimetric.engine.threads import ThreadTeam, barrier_counts
from trimetric.scale.bucketwise import Bucketwise, Place
from trimetric.scale.division import Division, ItemParts

LEAST_CANDIDATES = 16
_OF_USERS = ("own", "own_squares", "user_terms")
_OF_ITEMS = ("items", "weights", "item_squares", "bias_squares", "weight_squares", "item_sums")


class PartitionedCentroids(Bucketwise):
    """The closed-form trainer in parts: see `Bucketwise`.

    Attributes
    ----------
    positives, params
        Of the whole, as a session without parts has them.
    user_sums : float32 (n_users, width)
        z_u, with each item as of its last visit.
    begun : float32 (n_items, width)
        h_v·y_v of the epoch's start.
    """

    saved = ("items", "own", "weights")

    def __init__(
        self,
        division: Division,
        settings: CentroidSettings,
        state: State,
        pairs: Positives,
        params: Params,
    ) -> None:
        super().__init__(division, settings, state)
        self.positives, self.params = pairs, params
        self._trained = np.zeros(self.n_users, dtype=bool)
        self._trained[params.users] = True
        self.user_sums = table(self.n_users, settings.dim + 1)
        self.begun = table(division.data.n_items, settings.dim + 1)

    @classmethod
    def of(cls, division: Division, settings: CentroidSettings) -> "PartitionedCentroids":
        """Return the trainer at its start, where training without parts starts too."""
        data, unit = division.data, np.float32(settings.weight_unit)
        weights = None if data.weights is None else data.weights / unit
        pairs = positives(data.users, data.items, data.indptr, weights=weights)
        state = start_state(settings, data.n_users, data.n_items)
        return cls(division, settings, state, pairs, make_params(settings, pairs, data.n_items))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Live views of all that training changes."""
        return {**super().arrays, "user_sums": self.user_sums, "begun": self.begun}

    def begin_epoch(self, epoch: int, team: ThreadTeam) -> None:
        """Take all sums anew, from points as they are now."""
        threads, counts = team.threads, barrier_counts(team.threads)
        whole = self.positives, self.state
        team.run(lambda me: add_up_items(me, threads, *whole, self.params, self.user_sums))
        if epoch > 0 and self.params.kappa > 0:
            team.run(lambda me: add_up_users(me, threads, *whole, counts, self.params))
        self.begun[:] = self.state.items * self.state.weights[:, None]
        self.begun[:, self.settings.dim] = 0

    def train_bucket(
        self, place: Place, items: ItemParts, team: ThreadTeam, pause: Callable[[int], bool]
    ) -> bool:
        """Train the points of a bucket, and renew the sums of its users: see `Bucketwise`."""
        pairs = self.division.bucket(place.user_part, place.item_part, items)
        users, theirs = self.division.user_rows[place.user_part], items.rows[place.item_part]
        trained = np.flatnonzero(self._trained[users] & (np.diff(pairs.indptr) > 0))
        if len(trained) == 0:
            return True
        weights = pairs.weights / np.float32(self.settings.weight_unit)
        pairs = pairs._replace(weights=weights)
        rests = table(len(users), self.settings.dim + 1)
        rests[:] = self.user_sums[users]
        take_off_items(pairs, self.begun[theirs], rests)
        state = self._rows(users, theirs)
        session = centroid_session(
            self._of_bucket(place),
            pairs,
            len(theirs),
            state=state,
            elsewhere=Elsewhere(rests, trained.astype(np.int32), self.division.data.n_items),
            tuners=self.tuners,
        )
        if session.run(place.epoch, 0, team, pause) < session.n_batches:
            return False
        for names, rows in ((_OF_USERS, users), (_OF_ITEMS, theirs)):
            for name in names:
                ours, whole = getattr(state, name), getattr(self.state, name)
                if len(ours) == len(rows):
                    whole[rows] = ours
        sums = table(len(users), self.settings.dim + 1)
        add_up_items(0, 1, pairs, state, session.params, sums)
        self.user_sums[users] = sums
        self.state.totals[:] += state.totals
        return True

    def _of_bucket(self, place: Place) -> CentroidSettings:
        """Return the settings of a bucket: all contrasts of an epoch together are as ever."""
        wanted = self.settings.candidates
        few = max(LEAST_CANDIDATES, wanted // self.division.n_parts) if wanted else 0
        return replace(self.settings, seed=self.seed_of(place), candidates=few)

    def _rows(self, users: np.ndarray, items: np.ndarray) -> State:
        """Return the state of some users and items: copies, laid out as kernels take them."""
        whole, found = self.state, {}
        for names, rows, n in (
            (_OF_USERS, users, self.n_users),
            (_OF_ITEMS, items, self.division.data.n_items),
        ):
            for name in names:
                array = getattr(whole, name)
                if len(array) != n:
                    found[name] = array.copy()
                elif array.ndim == 2:
                    found[name] = table(len(rows), self.settings.dim + 1)
                    found[name][:] = array[rows]
                else:
                    found[name] = array[rows]
        return State(**found, totals=np.zeros(4))
