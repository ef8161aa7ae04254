"""Training in progress on plain arrays: the room for it, and its mini-batches in bounded steps."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from trimetric import counter
from trimetric.engine import negatives, optimizers, rng, rows
from trimetric.engine.gumbel import gumbel
from trimetric.engine.objective import GAMMA_BATCH
from trimetric.engine.optimizers import project_all
from trimetric.engine.rng import fill_normal
from trimetric.engine.threads import Pace, Team, arrivals, in_steps
from trimetric.engine.triplets import Rule, Space, Work, train

NEGATIVES = {
    "uniform": negatives.UNIFORM,
    "popularity": negatives.POPULARITY,
    "hardest": negatives.HARDEST,
}
OPTIMIZERS = {
    "rowwise-adagrad": optimizers.ROWWISE,
    "adagrad": optimizers.ADAGRAD,
    "adam": optimizers.ADAM,
}
ACCUMULATOR_START = 0.1  # of Adagrad, as in the released code
_ORDER, _DRAWS, _START = 1, 2, 3  # streams of random numbers


@dataclass(frozen=True)
class Settings:
    """What the kernels need to know, in the words of `models.triplet.TripletConfig`."""

    dim: int
    batch_size: int
    negatives: str
    candidates: int
    temperature: float
    rank_weight: bool
    lam: float
    gamma: float
    adaptive_users: bool
    adaptive_items: bool
    margin: float
    item_margin: float
    optimizer: str
    lr: float
    schedule: str
    epochs: int
    radius: float
    sphere: bool
    init_mean: float
    init_std: float
    seed: int


@dataclass(frozen=True)
class Totals:
    """Sums over an epoch so far."""

    loss: float
    user_hinges: int
    item_hinges: int
    triplets: int


class Session:
    """One training run: its space, its interactions and where in the epochs it stands.

    Everything that changes is in `arrays`; a session given those arrays, the epoch and the batch
    goes on as if it had never stopped, because every random draw is a function of its position.

    Parameters
    ----------
    settings : Settings
    users, items : int32 (p,)
        Positive pairs, ascending by (user, item), distinct.
    indptr : int64 (n_users + 1,)
        Where each user's pairs begin.
    n_items : int
    pool : (int64 (n_users + 1,), int32 (q,)), optional
        The only items that each user's negatives may be: see `sampling.positives`.
    """

    def __init__(
        self,
        settings: Settings,
        users: np.ndarray,
        items: np.ndarray,
        indptr: np.ndarray,
        n_items: int,
        pool: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        self.settings = settings
        self.n_users = len(indptr) - 1
        self.n_points = self.n_users + n_items
        self.n_batches = -(-len(users) // settings.batch_size)
        self.space = _start(settings, self.n_users, n_items)
        self._positives = negatives.positives(users, items, indptr, pool)
        self._totals = np.zeros(4)
        self._paces: dict[int, Pace] = {}

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Live views of all that training changes."""
        return {**self.space._asdict(), "totals": self._totals}

    @property
    def totals(self) -> Totals:
        """Sums since the epoch began."""
        loss, users, items, triplets = self._totals
        return Totals(float(loss), int(users), int(items), int(triplets))

    def run(self, epoch: int, first_batch: int, team: Team, pause: Callable[[int], bool]) -> int:
        """Train from `first_batch` of `epoch` to its end; return the batch where it stopped.

        `pause(batch)` is asked every few tenths of a second and may end the run early.
        """
        if first_batch == 0:
            self._totals[:] = 0
        work, rule = self._work(team.threads), self._rule(epoch)
        train(0, 1, (0, 0), self._positives, self.space, rule, work)
        each = self.settings.candidates + 2 if self.settings.negatives == "hardest" else 3
        cost, batches = each * self.settings.batch_size, (first_batch, self.n_batches)

        def step(threads: int, span: tuple[int, int]) -> None:
            work.arrivals[:] = 0
            arguments = (threads, span, self._positives, self.space, rule, work)
            team.run(partial(_train, arguments), threads)

        return in_steps(step, batches, cost, team, self._paces, pause)

    def _rule(self, epoch: int) -> Rule:
        s, n = self.settings, len(self._positives.users)
        return Rule(
            order=rng.order(counter.key(s.seed, _ORDER, epoch), n),
            draws=counter.key(s.seed, _DRAWS, epoch),
            steps_before=np.int64(epoch * self.n_batches),
            batch_size=np.int64(s.batch_size),
            negatives=np.int64(NEGATIVES[s.negatives]),
            candidates=np.int64(s.candidates),
            rank_weight=s.rank_weight,
            lam=np.float32(s.lam),
            gamma=np.float32(s.gamma / GAMMA_BATCH),
            adaptive_users=s.adaptive_users,
            adaptive_items=s.adaptive_items,
            optimizer=np.int64(OPTIMIZERS[s.optimizer]),
            lr=np.float32(rate(s.lr, s.schedule, epoch, s.epochs)),
            radius=np.float32(s.radius),
            margin=np.float32(s.margin),
            item_margin=np.float32(s.item_margin),
            sphere=s.sphere,
            dim=np.float32(s.dim),
        )

    def _work(self, threads: int) -> Work:
        batch = min(self.settings.batch_size, len(self._positives.users))
        corners = 3 * batch
        room = min(corners, self.n_points)
        triplets = np.zeros((batch, 4), dtype=np.int32)
        n_items, drawn = self.n_points - self.n_users, self.settings.candidates
        padded = rows.grouped(drawn)
        return Work(
            triplets=triplets,
            corners=triplets.reshape(-1),
            pulls=np.zeros((batch, 2), dtype=np.float32),
            loss=np.zeros(batch, dtype=np.float32),
            weights=rank_weights(n_items, drawn),
            noise=gumbel(self.settings.temperature),
            places=np.zeros((threads, padded), dtype=np.int32),
            luck=np.zeros((threads, padded), dtype=np.float32),
            far=np.zeros((threads, padded), dtype=np.float32),
            heads=np.full(self.n_points, -1, dtype=np.int32),
            own=np.zeros((threads, corners + 1), dtype=np.int32),
            chain=np.zeros((threads, 4 * batch), dtype=np.int32),
            rows=np.zeros((threads, corners), dtype=np.int32),
            factors=np.zeros((threads, corners), dtype=np.float32),
            fresh=rows.table(threads * room, self.settings.dim).reshape(threads, room, -1),
            arrivals=arrivals(),
            totals=self._totals,
        )


def rate(lr: float, schedule: str, epoch: int, epochs: int) -> float:
    """Return the learning rate of an epoch: constant, or falling on a line towards zero."""
    return lr if schedule == "constant" else lr * (1 - epoch / epochs)


def _train(arguments: tuple, me: int) -> None:
    train(me, *arguments)


def _start(s: Settings, n_users: int, n_items: int) -> Space:
    n = n_users + n_items
    points = rows.table(n, s.dim)
    fill_normal(points, s.dim, counter.key(s.seed, _START), (s.init_mean, s.init_std))
    project_all(points, np.float32(s.radius), s.sphere)
    start = 0 if s.optimizer == "adam" else ACCUMULATOR_START
    # All that is kept of a point beside its row lies together, so that one read brings it.
    ledger = np.full((n, 4), start, dtype=np.float32)
    ledger[:n_users, 0], ledger[n_users:, 0] = s.margin, s.item_margin
    wide = points.shape
    return Space(
        points=points,
        first=np.zeros(wide if s.optimizer == "adam" else (0, 1), dtype=np.float32),
        second=ledger[:, 3:]
        if s.optimizer == "rowwise-adagrad"
        else np.full(wide, start, dtype=np.float32),
        margins=ledger[:, 0],
        memory=ledger[:, 1:3],
    )


def rank_weights(n_items: int, candidates: int) -> np.ndarray:
    """Return CML's w = ln(1 + rank) for 0 .. S impostors among S candidates, float32.

    The rank is estimated as |V|·impostors/S (Hsieh et al. 2017, section 3.2.2).
    """
    ranks = (n_items * impostors / candidates for impostors in range(candidates + 1))
    return np.array([math.log1p(rank) for rank in ranks], dtype=np.float32)
