"""The second objective of CentroidML, bucket by bucket; with the first, as one trainer."""

from dataclasses import replace

import numpy as np

from trimetric import counter
from trimetric.engine.centroids import take_off_items
from trimetric.engine.negatives import Positives
from trimetric.engine.reconstruction import (
    Elsewhere,
    ReconstructionSettings,
    State,
    add_up,
    blank_state,
    make_params,
    reconstruction_session,
    start_state,
    unit_rows,
)
from trimetric.engine.rows import padded_table, table
from trimetric.engine.threads import ThreadTeam
from trimetric.scale.averages import shares_of_visits
from trimetric.scale.buckets import Place
from trimetric.scale.centroids import CentroidTrainer, candidates_of_bucket
from trimetric.scale.columns import Columns
from trimetric.scale.trainer import Pause, Room, Trained, Trainer

_START_ITEMS = 215  # a stream of random numbers


class ReconstructionTrainer(Trainer):
    """Trains items whose sums reconstruct users, on the users and items of a bucket.

    The row of a user has "sums", z_u, "size" and "norm", n_u and ‖r_u‖², and the moving averages
    of `engine.reconstruction.Elsewhere`; that of an item has "begun", h_v·a_v of the epoch's start,
    beside what `engine.reconstruction.State` has of it.
    """

    settings: ReconstructionSettings
    sums_up = True

    def __init__(self, settings: ReconstructionSettings, n_items: int, n_parts: int) -> None:
        super().__init__(settings, n_items, n_parts)
        dim = settings.dim
        numbers = dict.fromkeys(("size", "norm", "square", "along"), 1)
        self.users = Columns({"sums": dim, **numbers, "pull": dim, "radial": 1})
        self._state = Columns({"items": dim, "weights": 1, "item_squares": 1, "weight_squares": 1})
        self.items = Columns({**self._state.widths, "begun": dim})

    def start_users(self, part: int, n: int) -> np.ndarray:
        """Return rows of which nothing is known; sums are taken before the first epoch."""
        rows = np.zeros((n, self.users.total), dtype=np.float32)
        self.users.get(rows, "square")[...] = -1
        return rows

    def start_items(self, chunk: int, n: int) -> np.ndarray:
        """Return random points."""
        seed = int(counter.key(self.settings.seed, _START_ITEMS, chunk))
        state = start_state(replace(self.settings, seed=seed), n)
        rows = np.zeros((n, self.items.total), dtype=np.float32)
        rows[:, : self._state.total] = self._state.pack(state._asdict())
        return rows

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
        """Train the points of a bucket, and renew the sums of its users: see `Trainer`."""
        nothing = Trained(users, items, np.zeros(4))
        if place.epoch >= self.settings.epochs:
            return nothing
        get, dim, n = self.users.get, self.settings.dim, len(users)
        sizes = get(users, "size")[:, 0].copy()
        taught = (sizes > 1) & (sizes < self.n_items) & (np.diff(pairs.indptr) > 0)
        trained = np.flatnonzero(taught).astype(np.int32)
        if len(trained) == 0:
            return nothing
        begun = padded_table(self.items.get(items, "begun"))
        elsewhere = Elsewhere(
            rests=padded_table(get(users, "sums")),
            users=trained,
            n_items=self.n_items,
            sizes=sizes,
            norms=get(users, "norm")[:, 0].copy(),
            turns=shares_of_visits(sizes, self.n_parts),
            squares=get(users, "square")[:, 0].copy(),
            alongs=get(users, "along")[:, 0].copy(),
            pulls=padded_table(get(users, "pull")),
            radials=get(users, "radial")[:, 0].copy(),
        )
        take_off_items(pairs, begun, elsewhere.rests)
        state = self._unpacked(items)
        few = candidates_of_bucket(self.settings.candidates, self.n_parts)
        seed = place.seed(int(counter.key(self.settings.seed, _START_ITEMS)))
        session = reconstruction_session(
            replace(self.settings, seed=seed, candidates=few),
            pairs,
            len(items),
            state=state,
            elsewhere=elsewhere,
            tuners=room.tuners.setdefault("reconstruction", {}),
        )
        if session.run(place.epoch, 0, team, pause) < session.n_batches:
            return None
        sums, users, items = table(n, dim), users.copy(), items.copy()
        add_up(0, 1, pairs, state, session.params, sums)
        get(users, "sums")[...] = sums[:, :dim]
        get(users, "square")[:, 0] = elsewhere.squares
        get(users, "along")[:, 0] = elsewhere.alongs
        get(users, "pull")[...] = elsewhere.pulls[:, :dim]
        get(users, "radial")[:, 0] = elsewhere.radials
        items[:, : self._state.total] = self._state.pack(state._asdict())
        return Trained(users, items, state.totals)

    def sum_users(
        self, users: np.ndarray, items: np.ndarray, pairs: Positives, team: ThreadTeam
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take z_u, n_u and ‖r_u‖² anew: see `Trainer`."""
        users, sums = users.copy(), table(len(users), self.settings.dim)
        state, threads = self._unpacked(items), team.threads
        params = make_params(self.settings, pairs, len(items))
        team.run(lambda me: add_up(me, threads, pairs, state, params, sums))
        sizes = np.diff(pairs.indptr)
        weights = pairs.weights.astype(np.float64) ** 2 if len(pairs.weights) else None
        self.users.get(users, "sums")[...] = sums[:, : self.settings.dim]
        self.users.get(users, "size")[:, 0] = sizes
        self.users.get(users, "norm")[:, 0] = np.bincount(pairs.users, weights, len(users))
        return users, np.zeros((len(items), 0), dtype=np.float32)

    def sum_items(self, items: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Return the rows with the points that the next epoch starts from."""
        items, get = items.copy(), self.items.get
        get(items, "begun")[...] = get(items, "items") * get(items, "weights")
        return items

    def user_tensors(self, users: np.ndarray) -> dict[str, np.ndarray]:
        """Return z_u/‖z_u‖, for `PairTrainer`."""
        return {"users": self._unit(self.users.get(users, "sums"), 1.0)}

    def item_tensors(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Return a_v and h_v, for `PairTrainer`."""
        get = self.items.get
        return {"items": get(items, "items").copy(), "weights": get(items, "weights")[:, 0].copy()}

    def _unit(self, rows: np.ndarray, length: float) -> np.ndarray:
        points = padded_table(rows)
        unit_rows(points, np.float32(length))
        return points[:, : self.settings.dim].copy()

    def _unpacked(self, items: np.ndarray) -> State:
        state = blank_state(self.settings, len(items))
        self._state.unpack(items[:, : self._state.total], state._asdict())
        return state


class PairTrainer(Trainer):
    """Both objectives side by side, which share buckets and nothing else.

    Parameters
    ----------
    first : CentroidTrainer
    second : ReconstructionTrainer
    weight : float
        w: squared distances of the second are multiplied by it.
    """

    sums_up = True

    def __init__(
        self, first: CentroidTrainer, second: ReconstructionTrainer, weight: float
    ) -> None:
        super().__init__(first.settings, first.n_items, first.n_parts)
        self.first, self.second, self.weight = first, second, weight
        self.users, self.items = both(first.users, second.users), both(first.items, second.items)

    def start_users(self, part: int, n: int) -> np.ndarray:
        """Return the rows of both."""
        return np.hstack([self.first.start_users(part, n), self.second.start_users(part, n)])

    def start_items(self, chunk: int, n: int) -> np.ndarray:
        """Return the rows of both."""
        return np.hstack([self.first.start_items(chunk, n), self.second.start_items(chunk, n)])

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
        """Train both; totals are those of the first, NaN where the second's are."""
        (u1, u2), (v1, v2) = self._users(users), self._items(items)
        first = self.first.train(place, u1, v1, pairs, team, pause, room)
        if first is None:
            return None
        second = self.second.train(place, u2, v2, self.first.in_units(pairs), team, pause, room)
        if second is None:
            return None
        totals = first.totals if np.isfinite(second.totals[0]) else first.totals * np.nan
        return Trained(
            np.hstack([first.users, second.users]), np.hstack([first.items, second.items]), totals
        )

    def sum_users(
        self, users: np.ndarray, items: np.ndarray, pairs: Positives, team: ThreadTeam
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take the sums of both anew."""
        (u1, u2), (v1, v2) = self._users(users), self._items(items)
        first, shares = self.first.sum_users(u1, v1, pairs, team)
        second, _ = self.second.sum_users(u2, v2, self.first.in_units(pairs), team)
        return np.hstack([first, second]), shares

    def sum_items(self, items: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Return the rows of both with sums."""
        v1, v2 = self._items(items)
        return np.hstack([self.first.sum_items(v1, sums), self.second.sum_items(v2, sums)])

    def user_tensors(self, users: np.ndarray) -> dict[str, np.ndarray]:
        """Return points of both side by side, and what new ones are made of."""
        u1, u2 = self._users(users)
        found, length = self.first.user_tensors(u1), np.float32(self.weight**0.5)
        second = length * self.second.user_tensors(u2)["users"]
        return found | {"users": np.hstack([found["users"], second])}

    def item_tensors(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Return points of both side by side, and what new ones are made of."""
        v1, v2 = self._items(items)
        found, length = self.first.item_tensors(v1), np.float32(self.weight**0.5)
        second = self.second.item_tensors(v2)
        return found | {
            "items": np.hstack([found["items"], length * second["items"]]),
            "second_points": second["items"],
            "second_weights": second["weights"],
        }

    def _users(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        width = self.first.users.total
        return rows[:, :width], rows[:, width:]

    def _items(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        width = self.first.items.total
        return rows[:, :width], rows[:, width:]


def both(first: Columns, second: Columns) -> Columns:
    """Return the columns of both, one behind the other."""
    return Columns({**first.widths, **{f"second/{n}": w for n, w in second.widths.items()}})
