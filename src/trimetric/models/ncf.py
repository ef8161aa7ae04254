"""NCF: a neural network in place of the inner product (He et al., WWW 2017).

NeuMF joins GMF, a weighed product of factors, and MLP, a tower of dense layers; MLP is the tower
alone. All three are one kernel: see `mlp_tower`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from trimetric import counter
from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.compile import inline, kernel
from trimetric.engine.elementary import sigmoid, softplus
from trimetric.engine.gradients import (
    CHUNK,
    apply_updates,
    assign_samples,
    clear_sample,
    gradient_session,
)
from trimetric.engine.negatives import Positives, positives, uniform_negative
from trimetric.engine.optimizers import OPTIMIZERS
from trimetric.engine.rng import shuffled
from trimetric.engine.rows import padded, padded_table
from trimetric.engine.session import Pause, RunSettings, Session
from trimetric.engine.threads import ThreadTeam
from trimetric.models.config import Range, TrainingConfig
from trimetric.models.epoch_trained import Trained
from trimetric.models.mlp_tower import (
    Tower,
    all_logits,
    backward,
    forward,
    gather,
    make_tower,
    n_weights,
    pair_logits,
    start_weights,
    workspace_rows,
)
from trimetric.models.scored import Scored
from trimetric.storage import artifact

_WEIGHTS_PER_DISTANCE = 60  # a sample costs about as much as n_weights / 60 distances
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
        "optimizer": tuple(OPTIMIZERS),
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
        return make_tower(*_sizes(self.config))

    @property
    def _columns(self) -> int:
        return sum(_sizes(self.config)[:2])

    def _learner(self, data: Interactions, pool: Csr | None) -> Session:
        pairs = positives(data.users, data.items, data.indptr, pool)
        return neural_session(self.config, pairs, data.n_items)

    def _adopt(self, learner: Session) -> None:
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


class Params(NamedTuple):
    """The tower, and settings of the loss."""

    tower: Any  # mlp_tower.Tower
    negatives: Any  # int64: per positive
    reg: Any  # float32


def neural_session(config: MLPConfig, pairs: Positives, n_items: int) -> Session:
    """Return a session; with `pretrain` it first trains the two parts alone.

    That happens before the first mini-batch and in one go: a run stopped there starts it anew, and
    a run resumed later has its result in the checkpoint.
    """
    factors, dim, depth = _sizes(config)
    tower = make_tower(factors, dim, depth)
    size = n_weights(tower)
    session = gradient_session(
        train,
        RunSettings.of(config, dim=factors + dim),
        pairs,
        n_items,
        Params(tower, np.int64(config.negatives), np.float32(config.reg)),
        samples=len(pairs.users) * (1 + config.negatives),
        weights=start_weights(tower, config.seed),
        # An even number of rows, so that they are also rows of CHUNK floats.
        scratch=2 * -(-workspace_rows(tower) * CHUNK // (2 * padded(factors + dim))),
        cost=3.0 + size / _WEIGHTS_PER_DISTANCE,
    )
    if isinstance(config, NCFConfig) and config.parts == "both" and config.pretrain:
        session.before_training = partial(_pretrain, session, config, n_items)
    return session


def _pretrain(
    session: Session, config: NCFConfig, n_items: int, team: ThreadTeam, pause: Pause
) -> bool:
    """Train both parts alone and start NeuMF from them; return whether that was not interrupted."""
    parts = []
    for name, stream in _STREAMS.items():
        seed = int(counter.key(config.seed, stream)) >> 1
        alone = replace(config, parts=name, seed=seed, epochs=config.pretrain)
        parts.append(neural_session(alone, session.positives, n_items))
    for part in parts:
        for epoch in range(config.pretrain):
            if part.run(epoch, 0, team, lambda _: pause(0)) < part.n_batches:
                return False
    merge(session, *parts)
    return True


def merge(both: Session, gmf: Session, mlp: Session) -> None:
    """Start NeuMF from its parts, equation (13) with α = .5: h = [.5·h_GMF ; .5·h_MLP]."""
    tower, state, half = both.params.tower, both.state, np.float32(0.5)
    factors, dim = int(tower.factors), int(tower.dim)
    state.table[:, :factors] = gmf.state.table[:, :factors]
    state.table[:, factors : factors + dim] = mlp.state.table[:, :dim]
    last = int(tower.layers[-1, 5])  # the output's bias; h follows it
    of_mlp, of_gmf = mlp.state.weights, gmf.state.weights
    state.weights[:last] = of_mlp[:last]
    state.weights[last] = half * of_gmf[0] + half * of_mlp[last]
    state.weights[last + 1 :] = half * np.concatenate([of_gmf[1:], of_mlp[last + 1 :]])


@kernel
def train(me, threads, span, positives, state, settings, workspace, params):
    """Run mini-batches span[0] .. span[1] - 1 as thread `me` of `threads`."""
    tower, table = params.tower, state.table
    values = workspace.scratch[me].reshape(workspace.scratch[me].size // CHUNK, CHUNK)
    n_users = len(positives.indptr) - 1
    sizes, columns = (n_users, len(table) - n_users), tower.factors + tower.dim
    for batch in range(span[0], span[1]):
        low, high = assign_samples(me, threads, batch, settings, workspace)
        start = batch * settings.batch_size
        for first in range(low, high, CHUNK):
            for t in range(first, first + CHUNK):
                u = v = np.int64(-1)
                y = np.float32(0)
                if t < high:
                    u, v, y = sample_pair(start + t, positives, sizes, settings, params)
                    clear_sample(t, workspace)
                    workspace.rows[3 * t], workspace.rows[3 * t + 1] = u, v
                gather(values, t - first, 0, table, u, columns)
                gather(values, t - first, columns, table, v, columns)
                values[tower.units + tower.logit, t - first] = y
            forward(values, state.weights, tower)
            cross_entropy(first, high, values, tower, workspace)
            backward(values, state.weights, workspace.dense[first // CHUNK], tower)
            for t in range(first, min(first + CHUNK, high)):
                row_gradients(t, t - first, values, table, params, workspace)
        apply_updates(me, threads, batch, state, settings, workspace)


@inline
def sample_pair(position, positives, sizes, settings, params):
    """Return the rows of a user and an item, and y; rows of -1 where no negative exists.

    The random order is that of all samples: number n belongs to the positive n // (1 + negatives),
    and is that positive itself if the remainder is 0.
    """
    n_users, n_items = sizes
    number = shuffled(position, settings.order)
    pair = number // (1 + params.negatives)
    u = np.int64(positives.users[pair])
    if number % (1 + params.negatives) == 0:
        return u, np.int64(positives.items[pair]) + n_users, np.float32(1)
    item = uniform_negative(settings.draws, position, u, positives, n_items)
    if item < 0:
        return np.int64(-1), np.int64(-1), np.float32(0)
    return u, item + n_users, np.float32(0)


@inline
def cross_entropy(first, high, values, tower, workspace):
    """Replace y, in the row of the logits' gradients, by ∂ = σ(logit) − y; note the loss.

    The loss is −y·ln σ(logit) − (1 − y)·ln σ(−logit), equation (7).
    """
    above = tower.units + tower.logit
    for t in range(first, first + CHUNK):
        lane = t - first
        real = t < high and workspace.rows[3 * min(t, high - 1)] >= 0
        logit, y = values[tower.logit, lane], values[above, lane]
        values[above, lane] = sigmoid(logit) - y if real else np.float32(0)
        if t < high:
            workspace.active[t] = real
            workspace.loss[t] = softplus(-logit if y > 0 else logit) if real else np.float32(0)


@inline
def row_gradients(t, lane, values, table, params, workspace):
    """Write the gradients of a sample's two rows, with reg/2·‖rows‖²."""
    tower, reg, g = params.tower, params.reg, workspace.gradients
    columns = tower.factors + tower.dim
    u, v = workspace.rows[3 * t], workspace.rows[3 * t + 1]
    if u < 0:
        return
    for c in range(columns):
        g[3 * t, c] = values[tower.units + c, lane] + reg * table[u, c]
        g[3 * t + 1, c] = values[tower.units + columns + c, lane] + reg * table[v, c]
