"""One training run on plain arrays: its random numbers, its epochs, and steps of bounded length.

A session runs a *kernel*, a compiled loop over mini-batches with the signature

    train(me, threads, span, positives, state, settings, workspace, params)

which thread `me` of `threads` calls to run mini-batches span[0] .. span[1] - 1 of an epoch together
with the other threads. `triplets.triplet_session` makes the session of SML and its variants,
`gradients.gradient_session` that of any other model.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self

import numpy as np

from trimetric import counter
from trimetric.engine import rng, rows
from trimetric.engine.negatives import Positives
from trimetric.engine.optimizers import OPTIMIZERS, project_all
from trimetric.engine.threads import ThreadTeam, ThreadTuner, run_in_steps

_ORDER, _DRAWS, _START = 1, 2, 3  # streams of random numbers; models take numbers from 4 on

Pause = Callable[[int], bool]


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Settings of a run that every kernel shares.

    Parameters
    ----------
    dim : int
        Columns of the table.
    batch_size, epochs, seed : int
    optimizer : str
        A name in `optimizers.OPTIMIZERS`.
    lr : float
    schedule : str
        "constant", or "linear": the rate falls from `lr` towards 0 over `epochs`.
    radius : float
        Of the ball that rows are kept in; infinite for none.
    sphere : bool
        Keep rows at distance `radius` instead of within it.
    clip : float
        Largest ‖gradient‖ of a row in a mini-batch; infinite for none.
    init_mean, init_std : float
        Mean and standard deviation of the table's first values.
    """

    dim: int
    batch_size: int
    optimizer: str
    lr: float
    schedule: str
    epochs: int
    seed: int
    radius: float = np.inf
    sphere: bool = False
    clip: float = np.inf
    init_mean: float = 0.0
    init_std: float = 0.01

    @classmethod
    def of(cls, config: Any, **more: Any) -> Self:
        """Take each setting from the attribute of `config` with its name; `more` overrides them."""
        names = [item.name for item in fields(cls) if hasattr(config, item.name)]
        return cls(**{name: getattr(config, name) for name in names} | more)


class EpochSettings(NamedTuple):
    """Settings of one epoch, as scalars for kernels."""

    order: Any  # rng.Order of the samples
    draws: Any  # uint64: key of the negatives and of other random choices
    steps_before: Any  # int64: mini-batches before this epoch
    batch_size: Any  # int64
    samples: Any  # int64: in an epoch
    optimizer: Any  # int64: a value of optimizers.OPTIMIZERS
    lr: Any  # float32
    radius: Any  # float32
    sphere: Any  # bool
    clip: Any  # float32
    dim: Any  # float32


class Totals(NamedTuple):
    """Sums over the samples of an epoch so far."""

    loss: float
    active: float  # samples whose loss is not zero; of SML, active user hinges
    item_hinges: float  # active item hinges; 0 for other models
    samples: float  # of SML, those that have a negative

    def summary(self) -> dict[str, float]:
        """Return the mean loss, the share of active samples and the samples of the epoch so far."""
        count = max(self.samples, 1)
        return {
            "loss": self.loss / count,
            "active": self.active / count,
            "triplets": int(self.samples),
        }


@dataclass
class Session:
    """One training run; a `training.Learner`.

    All that training changes is in `state`. A session that is given those arrays goes on from any
    mini-batch as if it had never stopped, because each random number is a function of its position.

    Parameters
    ----------
    kernel : compiled function
    settings : RunSettings
    positives : Positives
    state : NamedTuple of arrays
        What is trained, the optimiser's moments, and `totals`, float64 (4,): see `Totals`.
    workspace : callable
        threads -> a NamedTuple of arrays for the kernel, among them `barrier`.
    params : NamedTuple
        The model's own settings, as scalars and arrays for the kernel.
    samples : int
        In an epoch.
    cost : float
        Of a sample, in distances computed.
    saved : tuple of str
        Names of the arrays in `state` that make up the model.
    before_training : callable, optional
        (team, pause) -> bool, called before the first mini-batch of the run, which does not start
        if it returns False. What it did must be redone by another call then.
    after_epoch : callable, optional
        Called when the last mini-batch of an epoch is done.
    tuners : dict
        By number of threads, what was found of how many pay; sessions may share it.
    """

    kernel: Any
    settings: RunSettings
    positives: Positives
    state: Any
    workspace: Callable[[int], Any]
    params: Any
    samples: int
    cost: float
    saved: tuple[str, ...]
    before_training: Callable[[ThreadTeam, Pause], bool] | None = None
    after_epoch: Callable[[], None] | None = None
    tuners: dict[int, ThreadTuner] = field(default_factory=dict)

    @property
    def n_users(self) -> int:
        """Rows of users; those of items follow."""
        return len(self.positives.indptr) - 1

    @property
    def n_batches(self) -> int:
        """Mini-batches in an epoch."""
        return -(-self.samples // self.settings.batch_size)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Live views of all that training changes."""
        return self.state._asdict()

    @property
    def totals(self) -> Totals:
        """Sums since the epoch began."""
        return Totals(*self.state.totals.tolist())

    def summary(self) -> dict[str, float]:
        """Return the mean loss, the share of active samples and the samples of the epoch so far."""
        return self.totals.summary()

    def run(self, epoch: int, first_batch: int, team: ThreadTeam, pause: Pause) -> int:
        """Train from `first_batch` of `epoch` to its end; return the batch where it stopped.

        `pause(batch)` is called every few tenths of a second and may end the run early.
        """
        if first_batch == 0:
            if epoch == 0 and self.before_training and not self.before_training(team, pause):
                return 0
            self.state.totals[:] = 0
        workspace = self.workspace(team.threads)
        arguments = self.positives, self.state, self.epoch_settings(epoch), workspace, self.params
        self.kernel(0, 1, (0, 0), *arguments)  # compiles before the clock runs

        def step(threads: int, span: tuple[int, int]) -> None:
            workspace.barrier[:] = 0
            team.run(lambda me: self.kernel(me, threads, span, *arguments), threads)

        tuner = self.tuners.setdefault(team.threads, ThreadTuner(team.threads))
        cost = self.cost * self.settings.batch_size
        reached = run_in_steps(step, (first_batch, self.n_batches), cost, tuner, pause)
        if reached == self.n_batches and self.after_epoch:
            self.after_epoch()
        return reached

    def epoch_settings(self, epoch: int) -> EpochSettings:
        """Return what the kernel needs to know about an epoch."""
        s = self.settings
        return EpochSettings(
            order=rng.order(counter.key(s.seed, _ORDER, epoch), self.samples),
            draws=counter.key(s.seed, _DRAWS, epoch),
            steps_before=np.int64(epoch * self.n_batches),
            batch_size=np.int64(s.batch_size),
            samples=np.int64(self.samples),
            optimizer=np.int64(OPTIMIZERS[s.optimizer]),
            lr=np.float32(s.lr if s.schedule == "constant" else s.lr * (1 - epoch / s.epochs)),
            radius=np.float32(s.radius),
            sphere=s.sphere,
            clip=np.float32(s.clip),
            dim=np.float32(s.dim),
        )


def start_table(settings: RunSettings, n: int) -> np.ndarray:
    """Return a table of n rows with random first values, projected into the ball."""
    table, shape = rows.table(n, settings.dim), (settings.init_mean, settings.init_std)
    rng.fill_normal(table, settings.dim, counter.key(settings.seed, _START), shape)
    project_all(table, np.float32(settings.radius), settings.sphere)
    return table
