"""The triplet trainer of SML, CML and the ablations, bucket by bucket."""

from dataclasses import dataclass, replace

import numpy as np

from trimetric import counter
from trimetric.engine.negatives import Positives
from trimetric.engine.threads import ThreadTeam
from trimetric.engine.triplets import (
    State,
    TripletSettings,
    blank_state,
    start_state,
    triplet_session,
)
from trimetric.scale.buckets import Place
from trimetric.scale.columns import Columns, columns_of
from trimetric.scale.trainer import Pause, Room, Trained, Trainer

_START_USERS, _START_ITEMS, _FRACTION = 211, 212, 213  # streams of random numbers


class TripletTrainer(Trainer):
    """Trains triplets whose users, items and negatives are those of a bucket.

    Parameters
    ----------
    settings, n_items, n_parts
        See `Trainer`.
    weight_unit : float
        The mean weight of all interactions. A bucket has a triplet for each such unit of weight.
    """

    settings: TripletSettings

    def __init__(
        self, settings: TripletSettings, n_items: int, n_parts: int, weight_unit: float = 1.0
    ) -> None:
        super().__init__(settings, n_items, n_parts)
        self.users = self.items = _columns(settings)
        self.weight_unit = weight_unit

    def start_users(self, part: int, n: int) -> np.ndarray:
        """Return random points, with margins and moments as training starts."""
        return self._start(_START_USERS, part, (n, 0))

    def start_items(self, chunk: int, n: int) -> np.ndarray:
        """Return random points, with margins and moments as training starts."""
        return self._start(_START_ITEMS, chunk, (0, n))

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
        """Train the points and margins of a bucket: see `Trainer`."""
        samples = self._samples(pairs, place)
        if samples == 0:
            return Trained(users, items, np.zeros(4))
        n, n_points = len(users), len(users) + len(items)
        kept: _Kept | None = room.kept.pop("triplets", None)
        same = kept is not None and kept.users is users and len(kept.whole.points) >= n_points
        if kept is None or not same:
            whole = blank_state(self.settings, n, len(items) + len(items) // 8)
            self.users.unpack(users, whole._asdict(), slice(None, n))
            kept = _Kept(users, whole)
        state = _first_rows(kept.whole, n_points)
        arrays = state._asdict()
        self.items.unpack(items, arrays, slice(n, None))
        session = triplet_session(
            replace(self.settings, seed=place.seed(self.settings.seed)),
            pairs,
            len(items),
            state=state,
            catalogue=self.n_items,
            samples=samples,
            tuners=room.tuners.setdefault("triplets", {}),
        )
        if session.run(place.epoch, 0, team, pause) < session.n_batches:
            return None
        kept.users = self.users.pack(arrays, slice(None, n), users if same else None)
        room.kept["triplets"] = kept
        return Trained(kept.users, self.items.pack(arrays, slice(n, None)), state.totals.copy())

    def user_tensors(self, users: np.ndarray) -> dict[str, np.ndarray]:
        """Return the points, and learned margins."""
        found = {"users": self.users.get(users, "points").copy()}
        if self.settings.adaptive_users:
            found["user_margins"] = self.users.get(users, "margins")[:, 0].copy()
        return found

    def item_tensors(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Return the points, and learned margins."""
        found = {"items": self.items.get(items, "points").copy()}
        if self.settings.adaptive_items:
            found["item_margins"] = self.items.get(items, "margins")[:, 0].copy()
        return found

    def _samples(self, pairs: Positives, place: Place) -> int:
        """Return how many triplets a bucket has; a fraction of one is there at random."""
        if len(pairs.mass) == 0:
            return len(pairs.users)
        key = counter.key(place.seed(self.settings.seed), _FRACTION)
        return int(pairs.mass[-1] / self.weight_unit + counter.uniform(key, np.arange(1))[0])

    def _start(self, stream: int, part: int, sizes: tuple[int, int]) -> np.ndarray:
        seed = int(counter.key(self.settings.seed, stream, part))
        state = start_state(replace(self.settings, seed=seed), *sizes)
        return self.users.pack(state._asdict())


def _columns(settings: TripletSettings) -> Columns:
    """Return the columns of the arrays that have a row for each point."""
    n_points = 5
    arrays = blank_state(settings, n_points, 0)._asdict()
    del arrays["totals"]
    by_row = {name: array for name, array in arrays.items() if len(array) == n_points}
    return columns_of(by_row, settings.dim)


@dataclass
class _Kept:
    """Rows of users as they were returned, and the state that holds them, with room for items."""

    users: np.ndarray
    whole: State


def _first_rows(whole: State, n: int) -> State:
    """Return a state of the first n points of another; it shares their memory."""
    n_whole = len(whole.points)
    rows = {name: array[:n] for name, array in whole._asdict().items() if len(array) == n_whole}
    return whole._replace(**rows | {"totals": whole.totals})
