"""NCF: a neural network in place of the inner product (He et al., WWW 2017).

NeuMF joins GMF, a weighted product of factors, and MLP, a tower of dense layers; `mlp.MLP` is the
tower alone. All three are one kernel: see `mlp_tower`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, cast

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
from trimetric.engine.rng import shuffled
from trimetric.engine.rows import padded
from trimetric.engine.session import Pause, RunSettings, Session
from trimetric.engine.threads import ThreadTeam
from trimetric.models.config import Epochs, Limits, Schedule, TrainingConfig, Tune
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.formula import Formula
from trimetric.models.mlp_tower import (
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
from trimetric.models.ncf_answers import NETWORK, Network, similar_items, similar_users
from trimetric.models.saved import Stored
from trimetric.space.function import FunctionScorer
from trimetric.space.scorer import Scorer

_WEIGHTS_PER_DISTANCE = 60  # a sample costs about as much as n_weights / 60 distances
# Streams of random numbers: the seeds of the parts' own training.
_STREAMS: dict[Literal["gmf", "mlp"], int] = {"gmf": 5, "mlp": 6}

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

    dim: Annotated[int, Limits(1, 1024, "16-64 suits most data")] = 32
    """Columns of the tower's embeddings, 1..1024 (paper: 32 for a tower 64-32-16-8)."""
    depth: Annotated[int, Limits(1, 12, "3 suits most data")] = 3
    """Hidden layers, 1..12: of `dim` units, then of half as many each."""
    epochs: Epochs = 40
    """Most passes over the interactions, 0..100000; with validation data training stops earlier."""
    validate_every: Annotated[int, Limits(1, 100_000, "5 suits most data")] = 2
    """Epochs between two validations, at least 1: it overfits soon after its best."""
    patience: Annotated[int, Limits(0, 100_000, "6 suits most data")] = 5
    """Validations without a new best before training stops; 0 trains all epochs."""
    batch_size: Annotated[int, Limits(1, 1_000_000, "256 suits most data")] = 256
    """Samples in a mini-batch, 1..1000000; positives and negatives both count."""
    lr: Annotated[
        float,
        Limits(0, 10, "0.0003-0.003 suits most data", above=True),
        Tune(0.0001, 0.005, log=True),
    ] = 0.001
    """Learning rate, above 0 up to 10 (paper: .001, of .0001 to .005)."""
    schedule: Schedule = "constant"
    """"constant" (paper), or "linear": the rate falls from `lr` towards 0 over `epochs`."""
    optimizer: Literal["rowwise-adagrad", "adagrad", "adam", "sgd"] = "adam"
    """"adam" (paper; lazy rows), "adagrad", "rowwise-adagrad" or "sgd"."""
    negatives: Annotated[int, Limits(1, 1000, "4 suits most data"), Tune(2, 10)] = 4
    """Uniform negatives a positive, 1..1000, redrawn each epoch."""
    reg: Annotated[
        float, Limits(0, 1000, "0-0.01 suits most data"), Tune(0.0003, 0.03, log=True)
    ] = 0.003
    """Weight of ‖·‖²/2 of the two rows of each sample, 0..1000 (paper: none)."""
    init_std: Annotated[float, Limits(0, 1000, "0.01 suits most data")] = 0.01
    """Standard deviation of the first embeddings, 0..1000; matrices start as Glorot's."""


@dataclass(frozen=True)
class NCFConfig(MLPConfig):
    """Settings of NCF: those of MLP, and those of the GMF part."""

    lr: Annotated[
        float,
        Limits(0, 10, "0.0003-0.003 suits most data", above=True),
        Tune(0.0001, 0.005, log=True),
    ] = 0.0005
    """Learning rate, above 0 up to 10 (paper: .001, of .0001 to .005)."""
    factors: Annotated[int, Limits(1, 4096, "8-64 suits most data")] = 64
    """Columns of the GMF part, 1..4096 (paper: 8, as many as the last layer has units)."""
    parts: Literal["both", "mlp", "gmf"] = "both"
    """"both" (NeuMF), "mlp" or "gmf"."""
    pretrain: Annotated[int, Limits(0, 100_000, "0-20 suits most data")] = 0
    """Epochs for which each part is first trained alone, 0..100000; for parts="both"."""


class NCF(EpochTrained):
    """NeuMF: σ(b + h·[p ⊙ q ; MLP([p;q])]) by binary cross-entropy.

    Each positive comes with `negatives` uniform negatives, redrawn each epoch. What is shown as the
    score is the logit, whose σ is the probability: in float32 that rounds to 1 above a logit of 17,
    which would tie the best items. Losses are summed over a mini-batch where the authors take the
    mean; to Adam that is the same. Items, and users, are alike by the cosine of their GMF parts,
    weighted as in the logit: see `views`.

    Parameters
    ----------
    preset : str, optional
        "paper": Adam at .001, a tower 64-32-16-8, 8 factors, reg 0.
    dim : int, default 32
        Columns of the tower's embeddings, 1..1024 (paper: 32 for a tower 64-32-16-8).
    epochs : int, default 40
        Most passes over the interactions, 0..100000; with validation data training stops earlier.
    batch_size : int, default 256
        Samples in a mini-batch, 1..1000000; positives and negatives both count.
    lr : float, default 0.0005
        Learning rate, above 0 up to 10 (paper: .001, of .0001 to .005).
    schedule : "linear" or "constant", default "constant"
        "constant" (paper), or "linear": the rate falls from `lr` towards 0 over `epochs`.
    metric : word, default "ndcg@10"
        What validation measures, on full ranking.
    validate_every : int, default 2
        Epochs between two validations, at least 1: it overfits soon after its best.
    validate_users : int, default 0
        Most users that validation looks at while training, always the same; 0 for all.
    patience : int, default 5
        Validations without a new best before training stops; 0 trains all epochs.
    seed : int, default 0
        Any integer of 64 bits; the same seed, data and settings give the same bits.
    depth : int, default 3
        Hidden layers, 1..12: of `dim` units, then of half as many each.
    optimizer : "rowwise-adagrad" or "adagrad" or "adam" or "sgd", default "adam"
        "adam" (paper; lazy rows), "adagrad", "rowwise-adagrad" or "sgd".
    negatives : int, default 4
        Uniform negatives a positive, 1..1000, redrawn each epoch.
    reg : float, default 0.003
        Weight of ‖·‖²/2 of the two rows of each sample, 0..1000 (paper: none).
    init_std : float, default 0.01
        Standard deviation of the first embeddings, 0..1000; matrices start as Glorot's.
    factors : int, default 64
        Columns of the GMF part, 1..4096 (paper: 8, as many as the last layer has units).
    parts : "both" or "mlp" or "gmf", default "both"
        "both" (NeuMF), "mlp" or "gmf".
    pretrain : int, default 0
        Epochs for which each part is first trained alone, 0..100000; for parts="both".

    Notes
    -----
    With `pretrain`, a GMF and an MLP are trained for so many epochs; NeuMF then starts from their
    embeddings and weights, with the output weights and biases of both halved (section 3.4.1). The
    paper then goes on with SGD, having no memory for Adam; here `optimizer` starts anew.
    """

    if TYPE_CHECKING:  # written by tools/signatures

        def __init__(
            self,
            *,
            preset: Literal["paper"] | None = None,
            dim: int = 32,
            epochs: int = 40,
            batch_size: int = 256,
            lr: float = 0.0005,
            schedule: Literal["linear", "constant"] = "constant",
            metric: str = "ndcg@10",
            validate_every: int = 2,
            validate_users: int = 0,
            patience: int = 5,
            seed: int = 0,
            depth: int = 3,
            optimizer: Literal["rowwise-adagrad", "adagrad", "adam", "sgd"] = "adam",
            negatives: int = 4,
            reg: float = 0.003,
            init_std: float = 0.01,
            factors: int = 64,
            parts: Literal["both", "mlp", "gmf"] = "both",
            pretrain: int = 0,
        ) -> None: ...

    name: ClassVar[str] = "ncf"
    formula = Formula(
        "σ(b + h·[p_u ⊙ q_v; MLP([p_u; q_v])])",
        True,
        "−y·ln ŷ − (1 − y)·ln(1 − ŷ)",
        "cells are the positives and a few uniform negatives, drawn anew each epoch",
    )
    capabilities = frozenset({"similar items", "similar users"})
    Config: ClassVar[type[TrainingConfig]] = NCFConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {**PAPER, "factors": 8}}
    config: MLPConfig

    @property
    def user_embeddings(self) -> np.ndarray:
        """Rows [GMF part | MLP part], float32 (n_users, factors + dim), by `user_ids`."""
        return self.tensors()["user_embeddings"]

    @property
    def item_embeddings(self) -> np.ndarray:
        """Rows [GMF part | MLP part], float32 (n_items, factors + dim), by `item_ids`."""
        return self.tensors()["item_embeddings"]

    def learner(self, data: Interactions, pool: Csr | None, tuned: dict[str, Any]) -> Session:
        """Train by the kernel below: see `EpochTrained.learner`."""
        pairs = positives(data.users, data.items, data.indptr, pool)
        return neural_session(self.config, pairs, data.n_items)

    def scorer_of(self, learner: Session) -> Scorer:
        """Score by logits."""
        return neural_scorer(
            learner.state.table, learner.state.weights, learner.n_users, self.config
        )

    def tensors(self) -> dict[str, np.ndarray]:
        """Return embeddings and weights."""
        return network_tensors(self.scorer)

    def restore(self, stored: Stored) -> Scorer:
        """Return the scorer of saved embeddings and weights."""
        return restored(stored, self.config)


def network_tensors(scorer: Scorer) -> dict[str, np.ndarray]:
    """Return the embeddings and weights of a scorer of NCF or MLP, live views."""
    rows, weights, n_users, plan = cast(FunctionScorer, scorer).learned
    embeddings = rows[:, : plan.factors + plan.dim]
    return {
        "user_embeddings": embeddings[:n_users],
        "item_embeddings": embeddings[n_users:],
        "weights": weights,
    }


def neural_scorer(
    table: np.ndarray, weights: np.ndarray, n_users: int, config: MLPConfig
) -> FunctionScorer:
    """Return the scorer of a network: logits."""
    learned = Network(table, weights, n_users, make_tower(*_sizes(config)))
    return FunctionScorer(
        n_users,
        len(table) - n_users,
        learned,
        score_pairs,
        score_table,
        similar=similar_items,
        similar_users=similar_users,
        refusals=NETWORK,
    )


def score_pairs(learned: Network, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return the logits of pairs of rows (int32 (n,)), float32."""
    table, weights, n_users, plan = learned
    return pair_logits(plan, table, weights, (users, items), n_users)


def score_table(learned: Network, users: np.ndarray) -> np.ndarray:
    """Return the logits of all items for some users, float32 (b, n_items)."""
    table, weights, n_users, plan = learned
    return all_logits(plan, table, weights, users, n_users)


def restored(stored: Stored, config: MLPConfig) -> FunctionScorer:
    """Return the scorer of saved embeddings and weights."""
    names, plan = ("user_embeddings", "item_embeddings"), make_tower(*_sizes(config))
    stored.check_tables(names, columns(config), {"weights": ((n_weights(plan),), np.float32)})
    weights = stored.tensors["weights"].copy()
    return neural_scorer(stored.table(names), weights, stored.n_users, config)


def columns(config: MLPConfig) -> int:
    """Return how many columns an embedding has, both parts together."""
    return sum(_sizes(config)[:2])


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
