"""The trainer of CentroidML, bucket by bucket.

A user's mean is over all items that they have, of which a bucket holds some. The row of a user has
their sum z_u. In a bucket the items of its part are current, and those of other parts as of the
user's last visit there in this epoch, or as of its start: the rest of z_u, which is held still. So
are the sums Q_v of items over users, which are those of the epoch's start in training without parts
too. After each epoch all sums are taken anew.
"""

import math
from dataclasses import replace

import numpy as np

from trimetric import counter
from trimetric.engine.centroid_session import (
    CentroidSettings,
    Elsewhere,
    State,
    blank_state,
    centroid_session,
    make_params,
    start_state,
)
from trimetric.engine.centroids import (
    UNKNOWN,
    Composition,
    add_up_items,
    add_up_users,
    compose_from_sums,
    compose_items,
    take_off_items,
)
from trimetric.engine.negatives import Positives, read_only
from trimetric.engine.rows import padded_table, table
from trimetric.engine.threads import ThreadTeam, barrier_counts
from trimetric.scale.averages import repeats_of_visits, shares_of_visits
from trimetric.scale.buckets import Place
from trimetric.scale.columns import Columns
from trimetric.scale.trainer import Pause, Room, Trained, Trainer
from trimetric.space.centroid import side_by_side

LEAST_CANDIDATES = 16
_START_USERS, _START_ITEMS = 213, 214  # streams of random numbers


class CentroidTrainer(Trainer):
    """Trains the softmax objective in closed form on the users and items of a bucket.

    Beside what `engine.centroid_session.State` has of it, the row of a user has "sums", z_u, and
    "size", the number of their items; that of an item has "begun", h_v·y_v of the epoch's start.
    """

    settings: CentroidSettings
    sums_up = True

    def __init__(self, settings: CentroidSettings, n_items: int, n_parts: int) -> None:
        super().__init__(settings, n_items, n_parts)
        dim = settings.dim
        own = {"own": dim, "own_squares": 1} if settings.own > 0 else {}
        terms = {"user_terms": dim} if settings.kappa > 0 else {}
        elsewhere = {"sums": dim, "size": 1, "log_sum": 1, "active": 1, "pull": dim, "radial": 1}
        self.users = Columns({**own, **terms, **elsewhere})
        self._state_users = Columns({**own, **terms})
        squares = dict.fromkeys(("weights", "item_squares", "bias_squares", "weight_squares"), 1)
        sums = {"item_sums": dim} if settings.kappa > 0 else {}
        self._state_items = Columns({"items": dim + 1, **squares, **sums})
        self.items = Columns({**self._state_items.widths, "begun": dim})
        self._no_users = np.zeros((0, self.users.total), dtype=np.float32)

    def start_users(self, part: int, n: int) -> np.ndarray:
        """Return random own points; sums are taken before the first epoch."""
        state = start_state(self._seeded(_START_USERS, part), n, 0)
        rows = np.zeros((n, self.users.total), dtype=np.float32)
        rows[:, : self._state_users.total] = self._pack(self._state_users, state, n)
        self.users.get(rows, "log_sum")[...] = UNKNOWN
        self.users.get(rows, "active")[...] = -1
        return rows

    def start_items(self, chunk: int, n: int) -> np.ndarray:
        """Return random points."""
        state = start_state(self._seeded(_START_ITEMS, chunk), 0, n)
        rows = np.zeros((n, self.items.total), dtype=np.float32)
        rows[:, : self._state_items.total] = self._state_items.pack(state._asdict())
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
        pairs = self.in_units(pairs)
        trained = self._trained(self.users.get(users, "size")[:, 0], pairs)
        if len(trained) == 0:
            return Trained(users, items, np.zeros(4))
        dim, n = self.settings.dim, len(users)
        get, begun = self.users.get, _widened(self.items.get(items, "begun"), dim + 1)
        sizes = get(users, "size")[:, 0]
        elsewhere = Elsewhere(
            rests=_widened(get(users, "sums"), dim + 1),
            users=trained,
            n_items=self.n_items,
            turns=shares_of_visits(sizes, self.n_parts),
            log_sums=get(users, "log_sum")[:, 0].copy(),
            actives=get(users, "active")[:, 0].copy(),
            pulls=_widened(get(users, "pull"), dim + 1),
            radials=get(users, "radial")[:, 0].copy(),
            repeats=repeats_of_visits(sizes, self.n_parts, place.epoch),
        )
        take_off_items(pairs, begun, elsewhere.rests)
        state = self._state(users, items)
        session = centroid_session(
            self._of_bucket(place),
            pairs,
            len(items),
            state=state,
            elsewhere=elsewhere,
            tuners=room.tuners.setdefault("centroids", {}),
        )
        if session.run(place.epoch, 0, team, pause) < session.n_batches:
            return None
        sums = table(n, dim + 1)
        add_up_items(0, 1, pairs, state, session.params, sums)
        users, items = users.copy(), items.copy()
        users[:, : self._state_users.total] = self._pack(self._state_users, state, n)
        get(users, "sums")[...] = sums[:, :dim]
        get(users, "pull")[...] = elsewhere.pulls[:, :dim]
        get(users, "log_sum")[:, 0] = elsewhere.log_sums
        get(users, "active")[:, 0] = elsewhere.actives
        get(users, "radial")[:, 0] = elsewhere.radials
        items[:, : self._state_items.total] = self._state_items.pack(state._asdict())
        return Trained(users, items, state.totals)

    def sum_users(
        self, users: np.ndarray, items: np.ndarray, pairs: Positives, team: ThreadTeam
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take z_u, the users' terms and their shares of Q_v anew: see `Trainer`."""
        pairs = self.in_units(pairs)
        dim, threads = self.settings.dim, team.threads
        sums, state = table(len(users), dim + 1), self._state(users, items)
        params = make_params(self.settings, pairs, len(items))
        team.run(lambda me: add_up_items(me, threads, pairs, state, params, sums))
        users, shares = users.copy(), np.zeros((len(items), 0), dtype=np.float32)
        if self.settings.kappa > 0:
            state = state._replace(item_sums=table(len(items), dim + 1))
            counts = barrier_counts(threads)
            team.run(lambda me: add_up_users(me, threads, pairs, state, counts, params))
            self.users.get(users, "user_terms")[...] = state.user_terms[:, :dim]
            shares = state.item_sums[:, :dim]
        self.users.get(users, "sums")[...] = sums[:, :dim]
        self.users.get(users, "size")[:, 0] = np.diff(pairs.indptr)
        return users, shares

    def sum_items(self, items: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Return the rows with Q_v, and with the points that the next epoch starts from."""
        items, dim = items.copy(), self.settings.dim
        if self.settings.kappa > 0:
            self.items.get(items, "item_sums")[...] = sums
        points, weights = self.items.get(items, "items"), self.items.get(items, "weights")
        self.items.get(items, "begun")[...] = points[:, :dim] * weights
        return items

    def user_tensors(self, users: np.ndarray) -> dict[str, np.ndarray]:
        """Return x_u, and own points; sums must be those of the points."""
        dim, omega = self.settings.dim, np.float32(self.settings.own)
        own = padded_table(self.users.get(users, "own")) if omega > 0 else table(0, dim)
        placed = table(len(users), dim)
        compose_from_sums(padded_table(self.users.get(users, "sums")), own, omega, placed)
        found = {"users": np.pad(placed[:, :dim], ((0, 0), (0, 1)))}
        return found | ({"own": np.array(own[:, :dim])} if omega > 0 else {})

    def item_tensors(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Return t_v, and what new points are made of."""
        s, dim = self.settings, self.settings.dim
        state, targets = self._state(self._no_users, items), table(len(items), dim + 1)
        composition = Composition(np.int64(dim), np.float32(s.kappa), np.float32(s.shrink))
        compose_items(state, composition, targets)
        found = {
            "items": side_by_side(targets[:0], targets, dim, None)[:, : dim + 1].copy(),
            "item_points": state.items[:, : dim + 1].copy(),
            "item_weights": state.weights,
        }
        if s.kappa > 0:
            found["item_sums"] = state.item_sums[:, :dim].copy()
        return found

    def _trained(self, sizes: np.ndarray, pairs: Positives) -> np.ndarray:
        """Return the users of a bucket who are trained on, int32, as without parts."""
        least = 1 if self.settings.own > 0 else 2
        taught = (sizes >= least) & (sizes < self.n_items)
        return np.flatnonzero(taught & (np.diff(pairs.indptr) > 0)).astype(np.int32)

    def _of_bucket(self, place: Place) -> CentroidSettings:
        """Return the settings of a bucket: candidates and steps of an epoch together are as ever.

        A user's own point takes P steps where it took one, which Adagrad makes √P times as long
        together.
        """
        return replace(
            self.settings,
            seed=place.seed(self.settings.seed),
            candidates=candidates_of_bucket(self.settings.candidates, self.n_parts),
            own_rate=self.settings.own_rate / math.sqrt(self.n_parts),
        )

    def in_units(self, pairs: Positives) -> Positives:
        """Return interactions whose mean weight counts 1."""
        weights = pairs.weights / np.float32(self.settings.weight_unit)
        return pairs._replace(weights=read_only(weights))

    def _seeded(self, stream: int, part: int) -> CentroidSettings:
        return replace(self.settings, seed=int(counter.key(self.settings.seed, stream, part)))

    def _state(self, users: np.ndarray, items: np.ndarray) -> State:
        """Return rows as the kernels take them."""
        state = blank_state(self.settings, len(users), len(items))
        if self._state_users.total > 0:
            self._state_users.unpack(users[:, : self._state_users.total], state._asdict())
        self._state_items.unpack(items[:, : self._state_items.total], state._asdict())
        return state

    def _pack(self, columns: Columns, state: State, n: int) -> np.ndarray:
        """Return rows of users, which have no columns where ω = 0 and κ = 0."""
        if columns.total == 0:
            return np.zeros((n, 0), dtype=np.float32)
        return columns.pack(state._asdict())


def candidates_of_bucket(wanted: int, n_parts: int) -> int:
    """Return |J| in a bucket: all of them together are as many as without parts; 0 for all."""
    return max(LEAST_CANDIDATES, wanted // n_parts) if wanted else 0


def _widened(values: np.ndarray, width: int) -> np.ndarray:
    """Return a table of `width` columns, the first of which have the values."""
    out = table(len(values), width)
    out[:, : values.shape[1]] = values
    return out
