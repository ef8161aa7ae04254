"""A run of `descent` on plain arrays: the room for it, and its mini-batches in bounded steps."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np

from trimetric import counter
from trimetric.engine import optimizers, rng, rows
from trimetric.engine.gradients import CHUNK, Rule, State, Work
from trimetric.engine.negatives import Positives
from trimetric.engine.optimizers import project_all
from trimetric.engine.rng import fill_normal
from trimetric.engine.session import ACCUMULATOR_START, OPTIMIZERS, rate
from trimetric.engine.threads import Team, arrivals, in_steps

DESCENT_OPTIMIZERS = {**OPTIMIZERS, "sgd": optimizers.SGD}
_ORDER, _DRAWS, _START = 1, 2, 3  # streams of random numbers, as in `session`


@dataclass(frozen=True)
class Descent:
    """What a run needs to know beside the model's own numbers.

    Parameters
    ----------
    dim : int
        Columns of the table.
    samples : int
        In an epoch.
    radius, clip : float
        Of the ball of rows, and the most a row's gradient may be; infinite for none.
    n_weights : int
        Dense weights; `start_weights` gives their first values.
    init : (float, float)
        Mean and standard deviation of the table's first values.
    cost : float
        What a sample costs, in distances computed.
    scratch : int
        Rows of a thread's own.
    """

    dim: int
    samples: int
    batch_size: int
    optimizer: str
    lr: float
    schedule: str
    epochs: int
    seed: int
    radius: float = np.inf
    clip: float = np.inf
    init: tuple[float, float] = (0.0, 0.01)
    n_weights: int = 0
    cost: float = 3.0
    scratch: int = 0

    @classmethod
    def of(cls, config: Any, samples: int, **more: Any) -> Self:
        """Take what the settings of every model name; `more` adds to it, or overrides it."""
        names = ("dim", "batch_size", "optimizer", "lr", "schedule", "epochs", "seed")
        return cls(**{name: getattr(config, name) for name in names} | {"samples": samples, **more})


class DescentSession:
    """One training run; a `training.Learner`.

    Parameters
    ----------
    train : kernel
        The model's loop over mini-batches: (me, threads, span, positives, state, rule, work, own).
    how : Descent
    positives : Positives
    n_items : int
    own : tuple
        The model's own numbers, passed on to the kernel.
    weights : float32 (n_weights,), optional
        First values of the dense weights; zero without.
    """

    kept: tuple[str, ...] = ("table", "weights")

    def __init__(
        self,
        train: Any,
        how: Descent,
        positives: Positives,
        n_items: int,
        own: tuple = (),
        weights: np.ndarray | None = None,
    ) -> None:
        self.how, self.positives = how, positives
        self.n_users, self.n_items = len(positives.indptr) - 1, n_items
        self.n_batches = -(-how.samples // how.batch_size)
        self.triplets = how.samples
        self.own = own
        self.state = _start(how, self.n_users + n_items, weights)
        self._train, self._totals = train, np.zeros(3)
        self._paces: dict = {}

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Live views of all that training changes."""
        return {**self.state._asdict(), "totals": self._totals}

    def summary(self) -> dict[str, float]:
        """Describe the epoch so far: mean loss, share of samples that pulled, samples."""
        loss, active, samples = self._totals.tolist()
        seen = max(samples, 1)
        return {"loss": loss / seen, "active": active / seen, "triplets": int(samples)}

    def run(self, epoch: int, first_batch: int, team: Team, pause: Callable[[int], bool]) -> int:
        """Train from `first_batch` of `epoch` to its end; return the batch where it stopped."""
        if first_batch == 0:
            self._totals[:] = 0
        work, rule = self._work(team.threads), self._rule(epoch)
        fixed = (self.positives, self.state, rule, work, self.own)
        self._train(0, 1, (0, 0), *fixed)  # compiles before the clock runs
        cost, batches = self.how.cost * self.how.batch_size, (first_batch, self.n_batches)

        def step(threads: int, span: tuple[int, int]) -> None:
            work.arrivals[:] = 0
            team.run(partial(self._one, threads, span, fixed), threads)

        return in_steps(step, batches, cost, team, self._paces, pause)

    def _one(self, threads: int, span: tuple[int, int], fixed: tuple, me: int) -> None:
        self._train(me, threads, span, *fixed)

    def _rule(self, epoch: int) -> Rule:
        how = self.how
        return Rule(
            order=rng.order(counter.key(how.seed, _ORDER, epoch), how.samples),
            draws=counter.key(how.seed, _DRAWS, epoch),
            steps_before=np.int64(epoch * self.n_batches),
            batch_size=np.int64(how.batch_size),
            samples=np.int64(how.samples),
            optimizer=np.int64(DESCENT_OPTIMIZERS[how.optimizer]),
            lr=np.float32(rate(how.lr, how.schedule, epoch, how.epochs)),
            radius=np.float32(how.radius),
            sphere=False,
            clip=np.float32(how.clip),
            dim=np.float32(how.dim),
        )

    def _work(self, threads: int) -> Work:
        batch, width = min(self.how.batch_size, self.how.samples), self.state.table.shape[1]
        chunks, scratch = -(-batch // CHUNK), max(self.how.scratch, 1)
        return Work(
            rows=np.full(3 * batch, -1, dtype=np.int32),
            gradients=rows.table(3 * batch, self.how.dim),
            loss=np.zeros(batch, dtype=np.float32),
            active=np.zeros(batch, dtype=np.bool_),
            dense=np.zeros((chunks, self.how.n_weights), dtype=np.float32),
            heads=np.full(self.n_users + self.n_items, -1, dtype=np.int32),
            own=np.zeros((threads, 3 * batch + 1), dtype=np.int32),
            chain=np.zeros(3 * batch, dtype=np.int32),
            scratch=rows.table(threads * scratch, self.how.dim).reshape(threads, scratch, width),
            arrivals=arrivals(),
            totals=self._totals,
        )


def _start(how: Descent, n: int, weights: np.ndarray | None) -> State:
    table = rows.table(n, how.dim)
    fill_normal(table, how.dim, counter.key(how.seed, _START), how.init)
    project_all(table, np.float32(how.radius), False)
    flat = np.zeros(how.n_weights, dtype=np.float32)
    if weights is not None:
        flat[:] = weights
    begin = np.float32(0 if how.optimizer == "adam" else ACCUMULATOR_START)
    none, wide = np.zeros((0, 1), dtype=np.float32), table.shape
    second = {"sgd": (0, 1), "rowwise-adagrad": (n, 1)}.get(how.optimizer, wide)
    return State(
        table=table,
        first=np.zeros(wide, dtype=np.float32) if how.optimizer == "adam" else none,
        second=np.full(second, begin, dtype=np.float32),
        weights=flat,
        weights_first=np.zeros_like(flat),
        weights_second=np.full_like(flat, begin),
    )
