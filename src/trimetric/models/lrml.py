"""LRML: latent relations between users and items, read from a memory (Tay et al., WWW 2018)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, cast

import numpy as np

from trimetric import counter
from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.compile import inline, kernel
from trimetric.engine.elementary import exp
from trimetric.engine.gradients import (
    CHUNK,
    apply_updates,
    assign_samples,
    gradient_session,
    sample_triplet,
)
from trimetric.engine.negatives import positives
from trimetric.engine.rows import (
    add_scaled,
    copy,
    dot,
    multiply,
    padded,
    padded_table,
    squared_norm,
)
from trimetric.engine.session import RunSettings, Session
from trimetric.models.config import Limits, Rate, TrainingConfig, Tune
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.formula import Formula
from trimetric.models.lrml_answers import (
    NO_POINTS,
    RADIUS,
    Relations,
    seen_by,
    similar_items,
    similar_users,
)
from trimetric.models.lrml_scores import all_scores, pair_scores
from trimetric.models.saved import Stored
from trimetric.space.function import FunctionScorer
from trimetric.space.scorer import Scorer

_SLOTS = 4  # the stream of random numbers that the slots start from
# Scratch rows: two of the positive pair, two of the negative, ∂/∂r and ∂/∂p; attention follows.
_POSITIVE, _NEGATIVE, _RELATION, _PRODUCT, _ROWS = 0, 2, 4, 5, 6


@dataclass(frozen=True)
class LRMLConfig(TrainingConfig):
    """Settings of LRML; its authors take dim 100, 20-100 slots and margins of .2-.5."""

    lr: Annotated[float, Rate, Tune(0.02, 0.2, log=True)] = 0.05
    """Learning rate, above 0 up to 10."""
    slots: Annotated[int, Limits(1, 1000, "20 suits most data"), Tune(5, 50)] = 20
    """N: keys, and rows of the memory, 1..1000."""
    margin: Annotated[float, Limits(0, 1000, "0.2-1 suits most data", above=True), Tune(0.2, 1)] = (
        0.5
    )
    """m of the hinge, above 0 up to 1000."""
    optimizer: Literal["rowwise-adagrad", "adagrad", "adam", "sgd"] = "adagrad"
    """"adagrad", "rowwise-adagrad", "adam" (lazy rows) or "sgd"."""
    clip: Annotated[
        float, Limits(0, 1_000_000, "1 suits most data", above=True), Tune(0.3, 10, log=True)
    ] = 1.0
    """The most that ‖gradient‖ of a user or an item may be in a mini-batch, above 0 up to 1e6."""
    shared_relation: bool = False
    """Let the negative reuse the positive pair's relation, as the authors' code does."""
    init_std: Annotated[float, Limits(0, 1000, "0.003-0.03 suits most data")] = 0.01
    """Standard deviation of all first values, 0..1000; larger ones overfit."""
    validate_users: Annotated[int, Limits(0, 1_000_000_000, "0 looks at all")] = 1000
    """Most users that validation looks at while training, always the same; 0 for all."""


class LRML(EpochTrained):
    """Latent relational metric learning: [m + D(u,v) − D(u,v⁻)]₊, one uniform negative a positive.

    D(u,v) = ‖α_u + r − β_v‖² where r = Σ_s a_s·M_s and a = softmax((α_u ⊙ β_v)·K_s). The score is
    −D, in the order of −‖·‖. Users and items stay within the unit ball.

    The authors' code hinges on ‖·‖ instead of D. It also clips the gradient of each whole table;
    here that of each user's and item's row is clipped, so that a step of one does not depend on the
    others, and keys and memory are not.

    A user sees the items at β_v − r_uv, and D is d² to α_u there: explanations are of this space.
    A new user is placed in theirs by `engine.foldin`, relations and place in turn. Items, and
    users, are alike by d² between their vectors.

    Parameters
    ----------
    preset : str, optional
        "released": the negative shares the positive pair's relation. The code says no more: its
        numbers are arguments.
    dim : int, default 100
        Columns of the embeddings, 1..4096.
    epochs : int, default 60
        Most passes over the interactions, 0..100000; with validation data training stops earlier.
    batch_size : int, default 512
        Samples in a mini-batch, 1..1000000.
    lr : float, default 0.05
        Learning rate, above 0 up to 10.
    schedule : "linear" or "constant", default "linear"
        "linear": the rate falls from `lr` towards 0 over `epochs`; or "constant".
    metric : word, default "ndcg@10"
        What validation measures, on full ranking.
    validate_every : int, default 5
        Epochs between two validations, at least 1.
    validate_users : int, default 1000
        Most users that validation looks at while training, always the same; 0 for all.
    patience : int, default 6
        Validations without a new best before training stops; 0 trains all epochs.
    seed : int, default 0
        Any integer of 64 bits; the same seed, data and settings give the same bits.
    slots : int, default 20
        N: keys, and rows of the memory, 1..1000.
    margin : float, default 0.5
        m of the hinge, above 0 up to 1000.
    optimizer : "rowwise-adagrad" or "adagrad" or "adam" or "sgd", default "adagrad"
        "adagrad", "rowwise-adagrad", "adam" (lazy rows) or "sgd".
    clip : float, default 1.0
        The most that ‖gradient‖ of a user or an item may be in a mini-batch, above 0 up to 1e6.
    shared_relation : bool, default False
        Let the negative reuse the positive pair's relation, as the authors' code does.
    init_std : float, default 0.01
        Standard deviation of all first values, 0..1000; larger ones overfit.
    """

    if TYPE_CHECKING:  # written by tools/signatures

        def __init__(
            self,
            *,
            preset: Literal["released"] | None = None,
            dim: int = 100,
            epochs: int = 60,
            batch_size: int = 512,
            lr: float = 0.05,
            schedule: Literal["linear", "constant"] = "linear",
            metric: str = "ndcg@10",
            validate_every: int = 5,
            validate_users: int = 1000,
            patience: int = 6,
            seed: int = 0,
            slots: int = 20,
            margin: float = 0.5,
            optimizer: Literal["rowwise-adagrad", "adagrad", "adam", "sgd"] = "adagrad",
            clip: float = 1.0,
            shared_relation: bool = False,
            init_std: float = 0.01,
        ) -> None: ...

    name: ClassVar[str] = "lrml"
    formula = Formula(
        "‖α_u + Σ_s a_s·M_s − β_v‖², a = softmax((α_u ⊙ β_v)·K)",
        False,
        "[m + D(u,v) − D(u,v⁻)]₊",
    )
    capabilities = frozenset({"similar items", "similar users", "new users", "explanations"})
    Config: ClassVar[type[TrainingConfig]] = LRMLConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"released": {"shared_relation": True}}
    config: LRMLConfig

    @property
    def user_vectors(self) -> np.ndarray:
        """Vectors α, float32 (n_users, dim), in the order of `user_ids`."""
        learned = self._learned
        return learned.rows[: learned.n_users, : self.config.dim]

    @property
    def item_vectors(self) -> np.ndarray:
        """Vectors β, float32 (n_items, dim), in the order of `item_ids`."""
        learned = self._learned
        return learned.rows[learned.n_users :, : self.config.dim]

    @property
    def keys(self) -> np.ndarray:
        """Keys K, float32 (slots, dim)."""
        return self._learned.slots[: self.config.slots, : self.config.dim]

    @property
    def memory_slots(self) -> np.ndarray:
        """Memory M, float32 (slots, dim)."""
        return self._learned.slots[self.config.slots :, : self.config.dim]

    def learner(self, data: Interactions, pool: Csr | None, tuned: dict[str, Any]) -> Session:
        """Train by the kernel below: see `EpochTrained.learner`."""
        config, width = self.config, padded(self.config.dim)
        slots = counter.normal(counter.key(config.seed, _SLOTS), (2 * config.slots, config.dim))
        return gradient_session(
            train,
            RunSettings.of(config, radius=RADIUS),
            positives(data.users, data.items, data.indptr, pool),
            data.n_items,
            Params(np.float32(config.margin), config.shared_relation),
            weights=padded_table(config.init_std * slots).reshape(-1),
            scratch=_ROWS + -(-3 * config.slots // width),
            cost=6.0 + 12.0 * config.slots,
        )

    def scorer_of(self, learner: Session) -> Scorer:
        """Score by −D."""
        slots = learner.state.weights.reshape(2 * self.config.slots, -1)
        return self._scorer(learner.state.table, slots, learner.n_users)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return vectors, keys and memory."""
        now = self.snapshot()
        return {
            "user_vectors": now.user_vectors,
            "item_vectors": now.item_vectors,
            "keys": now.keys,
            "memory": now.memory_slots,
        }

    def restore(self, stored: Stored) -> Scorer:
        """Return the scorer of saved vectors, keys and memory."""
        names, shape = ("user_vectors", "item_vectors"), (self.config.slots, self.config.dim)
        more = {"keys": (shape, np.float32), "memory": (shape, np.float32)}
        stored.check_tables(names, self.config.dim, more)
        slots = np.concatenate([stored.tensors["keys"], stored.tensors["memory"]])
        return self._scorer(stored.table(names), padded_table(slots), stored.n_users)

    @property
    def _learned(self) -> "Relations":
        return cast(FunctionScorer, self.scorer).learned

    def _scorer(self, table: np.ndarray, slots: np.ndarray, n_users: int) -> Scorer:
        config = self.config
        learned = Relations(table, slots, n_users, config.slots, config.dim, config.margin)
        return FunctionScorer(
            n_users,
            len(table) - n_users,
            learned,
            pair_scores,
            all_scores,
            similar=similar_items,
            similar_users=similar_users,
            seen_by=seen_by,
            refusals=NO_POINTS,
        )


class Params(NamedTuple):
    """Settings of the loss."""

    margin: Any  # float32
    shared_relation: Any  # bool


@kernel
def train(me, threads, span, positives, state, settings, workspace, params):
    """Run mini-batches span[0] .. span[1] - 1 as thread `me` of `threads`."""
    width = state.table.shape[1]
    slots = state.weights.reshape(len(state.weights) // width, width)
    sums = workspace.dense.reshape(workspace.dense.size // width, width)
    scratch = workspace.scratch[me]
    attention = workspace.scratch[me, _ROWS:].reshape((len(scratch) - _ROWS) * width)
    for batch in range(span[0], span[1]):
        low, high = assign_samples(me, threads, batch, settings, workspace)
        for t in range(low, high):
            u, v, n = sample_triplet(t, batch, positives, state, settings, workspace)
            if n >= 0:
                memory, buffers = (slots, sums, len(slots) * (t // CHUNK)), (scratch, attention)
                gradient(t, (u, v, n), state.table, memory, params, workspace, buffers)
        apply_updates(me, threads, batch, state, settings, workspace)


@inline
def attend(scratch, k, slots, attention):
    """attention[s] = a_s = softmax(scratch[k]·K_s), the largest logit subtracted first."""
    n = len(attention)
    for s in range(n):
        attention[s] = dot(scratch, k, slots, s)
    top = attention[0]
    for s in range(1, n):
        top = max(top, attention[s])
    for s in range(n):
        attention[s] = np.float32(exp(attention[s] - top))
    total = np.float64(0)
    for s in range(n):
        total += np.float64(attention[s])
    for s in range(n):
        attention[s] = np.float32(attention[s] / total)


@inline
def relate(scratch, k, u, v, table, slots, attention):
    """scratch[k] = α_u ⊙ β_v; scratch[k + 1] = α_u + Σ a_s·M_s, the user moved by the relation."""
    n = len(attention)
    multiply(scratch, k, table, u, table, v)
    attend(scratch, k, slots, attention)
    copy(scratch, k + 1, table, u, np.float32(1))
    for s in range(n):
        add_scaled(scratch, k + 1, slots, n + s, attention[s])


@inline
def gradient(t, triplet, table, memory, params, workspace, buffers):
    """Write the gradients of [m + D(u,v) − D(u,v⁻)]₊, if the hinge is active.

    With e_uv = α_u + r_uv − β_v, ∂D/∂α_u = 2·e_uv and ∂D/∂β_v = −2·e_uv, plus what
    `relation_gradient` adds.
    """
    (u, v, n), (scratch, attention), slots = triplet, buffers, memory[0]
    count = len(slots) >> 1
    positive, negative = attention[:count], attention[count : 2 * count]
    relate(scratch, _POSITIVE, u, v, table, slots, positive)
    if params.shared_relation:
        copy(scratch, _NEGATIVE + 1, scratch, _POSITIVE + 1, np.float32(1))
    else:
        relate(scratch, _NEGATIVE, u, n, table, slots, negative)
    add_scaled(scratch, _POSITIVE + 1, table, v, np.float32(-1))
    add_scaled(scratch, _NEGATIVE + 1, table, n, np.float32(-1))
    d_uv, d_un = squared_norm(scratch, _POSITIVE + 1), squared_norm(scratch, _NEGATIVE + 1)
    hinge = params.margin + d_uv - d_un
    if hinge <= 0:  # NaN counts as active, so that it shows
        return
    g, k = workspace.gradients, 3 * t
    copy(g, k, scratch, _POSITIVE + 1, np.float32(2))
    add_scaled(g, k, scratch, _NEGATIVE + 1, np.float32(-2))
    copy(g, k + 1, scratch, _POSITIVE + 1, np.float32(-2))
    copy(g, k + 2, scratch, _NEGATIVE + 1, np.float32(2))
    products = attention[2 * count : 3 * count]
    if params.shared_relation:
        copy(scratch, _RELATION, g, k, np.float32(1))
        relation_gradient(scratch, _POSITIVE, positive, products, memory)
        product_gradient(g, k, k + 1, scratch, table, u, v)
    else:
        copy(scratch, _RELATION, scratch, _POSITIVE + 1, np.float32(2))
        relation_gradient(scratch, _POSITIVE, positive, products, memory)
        product_gradient(g, k, k + 1, scratch, table, u, v)
        copy(scratch, _RELATION, scratch, _NEGATIVE + 1, np.float32(-2))
        relation_gradient(scratch, _NEGATIVE, negative, products, memory)
        product_gradient(g, k, k + 2, scratch, table, u, n)
    workspace.rows[k], workspace.rows[k + 1], workspace.rows[k + 2] = u, v, n
    workspace.loss[t], workspace.active[t] = hinge, True


@inline
def relation_gradient(scratch, k, attention, products, memory):
    """Add ∂/∂M and ∂/∂K to the sums, and write ∂/∂p to scratch[_PRODUCT], p = α_u ⊙ β_v.

    q = ∂/∂r is in scratch[_RELATION]. ∂/∂M_s = a_s·q; y_s = ∂/∂(p·K_s) = a_s·(q·M_s − Σ a·(q·M));
    ∂/∂K_s = y_s·p; ∂/∂p = Σ y_s·K_s. The sums of keys, then of memory, start at row `first`.
    """
    (slots, sums, first), n = memory, len(attention)
    mean = np.float32(0)
    for s in range(n):
        add_scaled(sums, first + n + s, scratch, _RELATION, attention[s])
        products[s] = dot(scratch, _RELATION, slots, n + s)
        mean += attention[s] * products[s]
    scratch[_PRODUCT, :] = np.float32(0)
    for s in range(n):
        y = attention[s] * (products[s] - mean)
        add_scaled(sums, first + s, scratch, k, y)
        add_scaled(scratch, _PRODUCT, slots, s, y)


@inline
def product_gradient(g, user, item, scratch, table, u, v):
    """Add ∂/∂α_u = x ⊙ β_v and ∂/∂β_v = x ⊙ α_u, x = ∂/∂(α_u ⊙ β_v) in scratch[_PRODUCT]."""
    multiply(scratch, _RELATION, scratch, _PRODUCT, table, v)
    add_scaled(g, user, scratch, _RELATION, np.float32(1))
    multiply(scratch, _RELATION, scratch, _PRODUCT, table, u)
    add_scaled(g, item, scratch, _RELATION, np.float32(1))
