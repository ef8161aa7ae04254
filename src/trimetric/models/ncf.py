"""NCF: a neural network in place of the inner product (He et al., WWW 2017).

NeuMF joins GMF, a weighed product of factors, and MLP, a tower of dense layers; MLP is the tower
alone. All three are one kernel: see `engine.tower`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from trimetric import counter
from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.compile import inline, kernel
from trimetric.engine.elementary import sigmoid, softplus
from trimetric.engine.gradient_session import DESCENT_OPTIMIZERS, Descent, DescentSession
from trimetric.engine.gradients import CHUNK, settle, share
from trimetric.engine.negatives import Positives, positives, uniform_negative
from trimetric.engine.rng import shuffled
from trimetric.engine.rows import padded, padded_table
from trimetric.engine.threads import Team
from trimetric.models.config import Range, TrainingConfig
from trimetric.models.epoch_trained import Trained
from trimetric.models.mlp_tower import (
    Tower,
    all_logits,
    backward,
    forward,
    gather,
    n_weights,
    pair_logits,
    room_rows,
    start_weights,
    tower,
)
from trimetric.models.scored import Scored
from trimetric.storage import artifact

_WEIGHTS_A_DISTANCE = 60  # a sample costs about as much as n_weights / 60 distances
_STREAMS = {"gmf": 5, "mlp": 6}  # of random numbers: the seeds of the parts' own training

PAPER: dict[str, Any] = {
    "dim": 32,
    "depth": 3,
    "negatives": 4,
    "batch_size": 256,
    "optimizer": "adam",
    "lr": 0.001,
    "schedule": "constant",
    "init_std": 0.01,
    "reg": 0.0,
}
"""Settings of the paper, sections 4.1 and 4.4; its GMF part has 8 columns."""


@dataclass(frozen=True)
class MLPConfig(TrainingConfig):
    """Settings of MLP."""

    dim: int = 32
    """Columns of the tower's embeddings, 1..1024 (paper: 32 for a tower 64-32-16-8)."""
    depth: int = 3
    """Hidden layers, 1..12: of `dim` units, then of half as many each."""
    epochs: int = 40
    """Most passes over the interactions, 0..100000; with validation data training stops earlier."""
    validate_every: int = 2
    """Epochs between two validations, at least 1: it overfits soon after its best."""
    patience: int = 5
    """Validations without a new best before training stops; 0 trains all epochs."""
    batch_size: int = 256
    """Samples in a mini-batch, 1..1000000; positives and negatives both count."""
    lr: float = 0.001
    """Learning rate, above 0 up to 10 (paper: .001, of .0001 to .005)."""
    schedule: str = "constant"
    """"constant" (paper), or "linear": the rate falls from `lr` towards 0 over `epochs`."""
    optimizer: str = "adam"
    """"adam" (paper; lazy rows), "adagrad", "rowwise-adagrad" or "sgd"."""
    negatives: int = 4
    """Uniform negatives a positive, 1..1000, redrawn each epoch."""
    reg: float = 0.003
    """Weight of ‖·‖²/2 of the two rows of each sample, 0..1000 (paper: none)."""
    init_std: float = 0.01
    """Standard deviation of the first embeddings, 0..1000; matrices start as Glorot's."""

    ranges: ClassVar[dict[str, Range]] = {
        **TrainingConfig.ranges,
        "dim": (1, 1024, False, "16-64 suits most data"),
        "depth": (1, 12, False, "3 suits most data"),
        "batch_size": (1, 1_000_000, False, "256 suits most data"),
        "lr": (0, 10, True, "0.0003-0.003 suits most data"),
        "negatives": (1, 1000, False, "4 suits most data"),
        "reg": (0, 1000, False, "0-0.01 suits most data"),
        "init_std": (0, 1000, False, "0.01 suits most data"),
    }
    choices: ClassVar[dict[str, tuple[str, ...]]] = {
        **TrainingConfig.choices,
        "optimizer": tuple(DESCENT_OPTIMIZERS),
    }


@dataclass(frozen=True)
class NCFConfig(MLPConfig):
    """Settings of NCF: those of MLP, and those of the GMF part."""

    lr: float = 0.0005
    """Learning rate, above 0 up to 10 (paper: .001, of .0001 to .005)."""
    factors: int = 64
    """Columns of the GMF part, 1..4096 (paper: 8, as many as the last layer has units)."""
    parts: str = "both"
    """"both" (NeuMF), "mlp" or "gmf"."""
    pretrain: int = 0
    """Epochs for which each part is first trained alone, 0..100000; for parts="both"."""

    ranges: ClassVar[dict[str, Range]] = {
        **MLPConfig.ranges,
        "factors": (1, 4096, False, "8-64 suits most data"),
        "pretrain": (0, 100_000, False, "0-20 suits most data"),
    }
    choices: ClassVar[dict[str, tuple[str, ...]]] = {
        **MLPConfig.choices,
        "parts": ("both", "mlp", "gmf"),
    }


class NCF(Scored, Trained):
    """NeuMF: σ(b + h·[p ⊙ q ; MLP([p;q])]) by binary cross-entropy.

    Each positive comes with `negatives` uniform negatives, redrawn each epoch. What is shown as the
    score is the logit, whose σ is the probability: in float32 that rounds to 1 above a logit of 17,
    which would tie the best items. Losses are summed over a mini-batch where the authors take the
    mean; to Adam that is the same.

    Parameters
    ----------
    preset : str, optional
        "paper": Adam at .001, a tower 64-32-16-8, 8 factors, reg 0.
    **settings
        Fields of `NCFConfig`.

    Notes
    -----
    With `pretrain`, a GMF and an MLP are trained for so many epochs; NeuMF then starts from their
    embeddings and weights, with the output weights and biases of both halved (section 3.4.1). The
    paper then goes on with SGD, having no memory for Adam; here `optimizer` starts anew.
    """

    name: ClassVar[str] = "ncf"
    Config: ClassVar[type[TrainingConfig]] = NCFConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {**PAPER, "factors": 8}}
    search: ClassVar[dict[str, Any]] = {
        "lr": (0.0001, 0.005, "log"),
        "reg": (0.0003, 0.03, "log"),
        "negatives": (2, 10),
    }
    config: MLPConfig
    _rows: np.ndarray
    _weights: np.ndarray

    @property
    def user_embeddings(self) -> np.ndarray:
        """Rows [GMF part | MLP part], float32 (n_users, factors + dim), by `user_ids`."""
        return self._rows[: len(self.user_ids), : self._columns]

    @property
    def item_embeddings(self) -> np.ndarray:
        """Rows [GMF part | MLP part], float32 (n_items, factors + dim), by `item_ids`."""
        return self._rows[len(self.user_ids) :, : self._columns]

    def score_rows(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return the logits of pairs of rows (int32 (n,)), float32."""
        n_users = len(self.user_ids)
        return pair_logits(self._tower, self._rows, self._weights, (users, items), n_users)

    def _table(self, users: np.ndarray) -> np.ndarray:
        return all_logits(self._tower, self._rows, self._weights, users, len(self.user_ids))

    @property
    def _tower(self) -> Tower:
        return tower(*_sizes(self.config))

    @property
    def _columns(self) -> int:
        return sum(_sizes(self.config)[:2])

    def _learner(self, data: Interactions, pool: Csr | None) -> DescentSession:
        pairs = positives(data.users, data.items, data.indptr, pool)
        return NeuralSession(self.config, pairs, data.n_items)

    def _adopt(self, learner: DescentSession) -> None:
        self._rows, self._weights = learner.state.table, learner.state.weights

    def _tensors(self) -> dict[str, np.ndarray]:
        return {
            "user_embeddings": self.user_embeddings,
            "item_embeddings": self.item_embeddings,
            "weights": self._weights,
        }

    def _restore(self, tensors: Mapping[str, np.ndarray], where: str) -> None:
        expected: artifact.Expected = {
            "user_embeddings": ((len(self.user_ids), self._columns), np.float32),
            "item_embeddings": ((len(self.item_ids), self._columns), np.float32),
            "weights": ((n_weights(self._tower),), np.float32),
        }
        artifact.check(tensors, expected, where)
        both = np.concatenate([tensors["user_embeddings"], tensors["item_embeddings"]])
        self._rows, self._weights = padded_table(both), tensors["weights"].copy()


class MLP(NCF):
    """The tower alone: σ(b + h·MLP([p;q])) by binary cross-entropy; otherwise as `NCF`.

    Parameters
    ----------
    preset : str, optional
        "paper": Adam at .001, a tower 64-32-16-8, reg 0.
    **settings
        Fields of `MLPConfig`.
    """

    name: ClassVar[str] = "mlp"
    Config: ClassVar[type[TrainingConfig]] = MLPConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": PAPER}


def _sizes(config: MLPConfig) -> tuple[int, int, int]:
    """Return the columns of the GMF part, those of the MLP part, and the hidden layers."""
    parts = config.parts if isinstance(config, NCFConfig) else "mlp"
    factors = config.factors if isinstance(config, NCFConfig) and parts != "mlp" else 0
    return factors, 0 if parts == "gmf" else config.dim, config.depth


class NeuralSession(DescentSession):
    """A run that first trains the two parts alone, if it is asked to.

    That happens before the first mini-batch and in one go: a run stopped there starts it anew, and
    one resumed later finds its outcome in the checkpoint.
    """

    def __init__(self, config: MLPConfig, pairs: Positives, n_items: int) -> None:
        factors, dim, depth = _sizes(config)
        self.config = config
        self.tower = tower(factors, dim, depth)
        how = Descent.of(
            config,
            len(pairs.users) * (1 + config.negatives),
            dim=factors + dim,
            init=(0.0, config.init_std),
            n_weights=n_weights(self.tower),
            cost=3.0 + n_weights(self.tower) / _WEIGHTS_A_DISTANCE,
            # An even number of rows, so that they are also rows of CHUNK floats.
            scratch=2 * -(-room_rows(self.tower) * CHUNK // (2 * padded(factors + dim))),
        )
        own = (self.tower, np.int64(config.negatives), np.float32(config.reg))
        weights = start_weights(self.tower, config.seed)
        super().__init__(train, how, pairs, n_items, own, weights)

    def run(self, epoch: int, first_batch: int, team: Team, pause: Callable[[int], bool]) -> int:
        """Train as `DescentSession.run`."""
        if (epoch, first_batch) == (0, 0) and not self._pretrain(team, pause):
            return 0
        return super().run(epoch, first_batch, team, pause)

    def _pretrain(self, team: Team, pause: Callable[[int], bool]) -> bool:
        """Start from the trained parts, if asked to; tell whether that was not interrupted."""
        config = self.config
        if not isinstance(config, NCFConfig) or config.parts != "both" or not config.pretrain:
            return True
        gmf, mlp = (self._alone(config, parts) for parts in _STREAMS)
        for part in (gmf, mlp):
            for epoch in range(config.pretrain):
                if part.run(epoch, 0, team, lambda _: pause(0)) < part.n_batches:
                    return False
        merge(self, gmf, mlp)
        return True

    def _alone(self, config: NCFConfig, parts: str) -> "NeuralSession":
        seed = int(counter.key(config.seed, _STREAMS[parts])) >> 1
        alone = replace(config, parts=parts, seed=seed, epochs=config.pretrain)
        return NeuralSession(alone, self.positives, self.n_items)


def merge(both: NeuralSession, gmf: NeuralSession, mlp: NeuralSession) -> None:
    """Start NeuMF from its parts, equation (13) with α = .5: h = [.5·h_GMF ; .5·h_MLP]."""
    factors, dim = int(both.tower.factors), int(both.tower.dim)
    state, half = both.state, np.float32(0.5)
    state.table[:, :factors] = gmf.state.table[:, :factors]
    state.table[:, factors : factors + dim] = mlp.state.table[:, :dim]
    last = int(both.tower.layers[-1, 5])  # the output's bias; h follows it
    of_mlp, of_gmf = mlp.state.weights, gmf.state.weights
    state.weights[:last] = of_mlp[:last]
    state.weights[last] = half * of_gmf[0] + half * of_mlp[last]
    state.weights[last + 1 :] = half * np.concatenate([of_gmf[1:], of_mlp[last + 1 :]])


@kernel
def train(me, threads, span, pairs, state, rule, work, own):
    """Run mini-batches span[0] .. span[1] - 1 as thread `me` of `threads`."""
    tower, negatives, reg = own
    room = work.scratch[me].reshape(work.scratch[me].size // CHUNK, CHUNK)
    n_users, met = len(pairs.indptr) - 1, np.int64(0)
    sizes, columns = (n_users, len(state.table) - n_users), tower.factors + tower.dim
    for batch in range(span[0], span[1]):
        low, high = share(me, threads, batch, rule, work)
        first = batch * rule.batch_size
        for at in range(low, high, CHUNK):
            for t in range(at, at + CHUNK):
                u = v = np.int64(-1)
                y = np.float32(0)
                if t < high:
                    u, v, y = sample(first + t, negatives, pairs, sizes, rule)
                    work.rows[3 * t], work.rows[3 * t + 1], work.rows[3 * t + 2] = u, v, -1
                gather(room, t - at, 0, state.table, u, columns)
                gather(room, t - at, columns, state.table, v, columns)
                room[tower.units + tower.logit, t - at] = y
            forward(room, state.weights, tower)
            cross_entropy(at, high, room, tower, work)
            backward(room, state.weights, work.dense[at // CHUNK], tower)
            for t in range(at, min(at + CHUNK, high)):
                pass_on(t, t - at, room, tower, state.table, reg, work)
        met = settle(me, threads, batch, met, state, rule, work)


@inline
def sample(position, negatives, pairs, sizes, rule):
    """Return the rows of a user and an item, and y; rows of -1 where no negative exists.

    The random order is that of all samples: number n is the positive n // (1 + negatives), itself
    if the remainder is 0.
    """
    n_users, n_items = sizes
    place = shuffled(position, rule.order)
    pair = place // (1 + negatives)
    u = np.int64(pairs.users[pair])
    if place % (1 + negatives) == 0:
        return u, np.int64(pairs.items[pair]) + n_users, np.float32(1)
    item = uniform_negative(rule.draws, position, u, pairs, n_items)
    if item < 0:
        return np.int64(-1), np.int64(-1), np.float32(0)
    return u, item + n_users, np.float32(0)


@inline
def cross_entropy(at, high, room, tower, work):
    """Turn y, where the logits' gradients belong, into ∂ = σ(logit) − y; note the loss.

    The loss is −y·ln σ(logit) − (1 − y)·ln σ(−logit), equation (7).
    """
    above = tower.units + tower.logit
    for t in range(at, at + CHUNK):
        lane = t - at
        live = t < high and work.rows[3 * min(t, high - 1)] >= 0
        logit, y = room[tower.logit, lane], room[above, lane]
        room[above, lane] = sigmoid(logit) - y if live else np.float32(0)
        if t < high:
            work.active[t] = live
            work.loss[t] = softplus(-logit if y > 0 else logit) if live else np.float32(0)


@inline
def pass_on(t, lane, room, tower, table, reg, work):
    """Write the gradients of a sample's two rows, with reg/2·‖rows‖²."""
    columns, units, g = tower.factors + tower.dim, tower.units, work.gradients
    u, v = work.rows[3 * t], work.rows[3 * t + 1]
    if u < 0:
        return
    for c in range(columns):
        g[3 * t, c] = room[units + c, lane] + reg * table[u, c]
        g[3 * t + 1, c] = room[units + columns + c, lane] + reg * table[v, c]
