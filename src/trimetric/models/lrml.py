"""LRML: latent relations between users and items, read from a memory (Tay et al., WWW 2018)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, cast

import numpy as np

from trimetric import counter
from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine import rows
from trimetric.engine.compile import inline, kernel
from trimetric.engine.elementary import exp
from trimetric.engine.gradient_session import Descent, DescentSession
from trimetric.engine.gradients import CHUNK, settle, share, triplet
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
from trimetric.models.config import Limits, Rate, TrainingConfig, Tune
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.saved import Stored
from trimetric.space.function import FunctionScorer
from trimetric.space.scorer import Scorer

_RADIUS = 1.0  # of the ball that rows are kept in
_SLOTS = 4  # the stream of random numbers that the slots start from
# Rows of scratch: of the positive pair and of the negative, then two of gradients.
_NEAR, _FAR, _PULL, _BACK, _ROWS = 0, 2, 4, 5, 6


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

    Parameters
    ----------
    preset : str, optional
        "released": the negative shares the positive pair's relation. The code says no more: its
        numbers are arguments.
    **settings
        Fields of `LRMLConfig`.
    """

    name: ClassVar[str] = "lrml"
    Config: ClassVar[type[TrainingConfig]] = LRMLConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"released": {"shared_relation": True}}
    config: LRMLConfig

    @property
    def user_vectors(self) -> np.ndarray:
        """Vectors α, float32 (n_users, dim), in the order of `user_ids`."""
        return self._learned.rows[: len(self.user_ids), : self.config.dim]

    @property
    def item_vectors(self) -> np.ndarray:
        """Vectors β, float32 (n_items, dim), in the order of `item_ids`."""
        return self._learned.rows[len(self.user_ids) :, : self.config.dim]

    @property
    def keys(self) -> np.ndarray:
        """Keys K, float32 (slots, dim)."""
        return self._learned.slots[: self.config.slots, : self.config.dim]

    @property
    def memory_slots(self) -> np.ndarray:
        """Memory M, float32 (slots, dim)."""
        return self._learned.slots[self.config.slots :, : self.config.dim]

    def learner(
        self, data: Interactions, pool: Csr | None, found: dict[str, Any]
    ) -> DescentSession:
        """Train by the kernel below: see `EpochTrained.learner`."""
        config, width = self.config, padded(self.config.dim)
        how = Descent.of(
            config,
            len(data),
            radius=_RADIUS,
            clip=config.clip,
            init=(0.0, config.init_std),
            n_weights=2 * config.slots * width,
            cost=6.0 + 12.0 * config.slots,
            scratch=_ROWS + -(-3 * config.slots // width),
        )
        drawn = counter.normal(counter.key(config.seed, _SLOTS), (2 * config.slots, config.dim))
        start = padded_table(config.init_std * drawn).reshape(-1)
        own = (np.float32(config.margin), config.shared_relation)
        pairs = positives(data.users, data.items, data.indptr, pool)
        return DescentSession(train, how, pairs, data.n_items, own, start)

    def scorer_of(self, learner: DescentSession) -> Scorer:
        """Score by −D."""
        slots = learner.state.weights.reshape(2 * self.config.slots, -1)
        return self._scorer(learner.state.table, slots, learner.n_users)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return vectors, keys and memory."""
        return {
            "user_vectors": self.user_vectors,
            "item_vectors": self.item_vectors,
            "keys": self.keys,
            "memory": self.memory_slots,
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
        learned = Relations(table, slots, n_users, self.config.slots, self.config.dim)
        return FunctionScorer(n_users, len(table) - n_users, learned, score_pairs)


class Relations(NamedTuple):
    """What is learned."""

    rows: np.ndarray  # float32[n_users + n_items, width]
    slots: np.ndarray  # float32[2 · slots, width]: the keys, then the memory
    n_users: int
    n_slots: int
    dim: int


def score_pairs(learned: Relations, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return −D for pairs of rows (int32 (n,)), float32."""
    out = np.empty(len(users), dtype=np.float32)
    room, read = rows.table(2, learned.dim), np.zeros(learned.n_slots, dtype=np.float32)
    _score(learned.rows, learned.slots, (users, items), learned.n_users, (room, read), out)
    return out


@kernel
def train(me, threads, span, pairs, state, rule, work, own):
    """Run mini-batches span[0] .. span[1] - 1 as thread `me` of `threads`."""
    n_users, met = len(pairs.indptr) - 1, np.int64(0)
    n_items, width = len(state.table) - n_users, state.table.shape[1]
    slots = state.weights.reshape(len(state.weights) // width, width)
    pulls = work.dense.reshape(work.dense.size // width, width)
    room = work.scratch[me]
    reads = work.scratch[me, _ROWS:].reshape((len(room) - _ROWS) * width)
    for batch in range(span[0], span[1]):
        low, high = share(me, threads, batch, rule, work)
        first = batch * rule.batch_size
        for t in range(low, high):
            u, v, n = triplet(t, first, pairs, rule, work, n_items)
            if n >= 0:
                chunk = len(slots) * (t // CHUNK)
                gradient(t, (u, v, n), state.table, (slots, pulls, chunk), own, work, room, reads)
        met = settle(me, threads, batch, met, state, rule, work)


@inline
def attend(room, k, slots, read):
    """read[s] = a_s = softmax(room[k]·K_s), the largest taken off first."""
    n = len(read)
    for s in range(n):
        read[s] = dot(room, k, slots, s)
    top = read[0]
    for s in range(1, n):
        top = max(top, read[s])
    for s in range(n):
        read[s] = np.float32(exp(read[s] - top))
    total = np.float64(0)
    for s in range(n):
        total += np.float64(read[s])
    for s in range(n):
        read[s] = np.float32(read[s] / total)


@inline
def relate(room, k, u, v, table, slots, read):
    """room[k] = α_u ⊙ β_v; room[k + 1] = α_u + Σ a_s·M_s: where the relation leads the user."""
    n = len(read)
    multiply(room, k, table, u, table, v)
    attend(room, k, slots, read)
    copy(room, k + 1, table, u, np.float32(1))
    for s in range(n):
        add_scaled(room, k + 1, slots, n + s, read[s])


@inline
def gradient(t, corners, table, memory, own, work, room, reads):
    """Write the gradients of [m + D(u,v) − D(u,v⁻)]₊, if it pulls.

    With e_uv = α_u + r_uv − β_v, ∂D/∂α_u = 2·e_uv and ∂D/∂β_v = −2·e_uv beside what `unread` adds.
    """
    (u, v, n), (slots, _, _), (margin, shared) = corners, memory, own
    count = len(slots) >> 1
    near, far = reads[:count], reads[count : 2 * count]
    relate(room, _NEAR, u, v, table, slots, near)
    if shared:
        copy(room, _FAR + 1, room, _NEAR + 1, np.float32(1))
    else:
        relate(room, _FAR, u, n, table, slots, far)
    add_scaled(room, _NEAR + 1, table, v, np.float32(-1))
    add_scaled(room, _FAR + 1, table, n, np.float32(-1))
    hinge = margin + squared_norm(room, _NEAR + 1) - squared_norm(room, _FAR + 1)
    if hinge <= 0:  # NaN pulls, and so shows
        return
    g, k = work.gradients, 3 * t
    copy(g, k, room, _NEAR + 1, np.float32(2))
    add_scaled(g, k, room, _FAR + 1, np.float32(-2))
    copy(g, k + 1, room, _NEAR + 1, np.float32(-2))
    copy(g, k + 2, room, _FAR + 1, np.float32(2))
    spare = reads[2 * count : 3 * count]
    if shared:
        copy(room, _PULL, g, k, np.float32(1))
        unread(room, _NEAR, near, spare, memory)
        pass_on(g, k, k + 1, room, table, u, v)
    else:
        copy(room, _PULL, room, _NEAR + 1, np.float32(2))
        unread(room, _NEAR, near, spare, memory)
        pass_on(g, k, k + 1, room, table, u, v)
        copy(room, _PULL, room, _FAR + 1, np.float32(-2))
        unread(room, _FAR, far, spare, memory)
        pass_on(g, k, k + 2, room, table, u, n)
    work.rows[k], work.rows[k + 1], work.rows[k + 2] = u, v, n
    work.loss[t], work.active[t] = hinge, True


@inline
def unread(room, k, read, spare, memory):
    """From q = room[_PULL], the gradient of r, to those of M, of K, and of p = α_u ⊙ β_v.

    ∂/∂M_s = a_s·q; y_s = ∂/∂(p·K_s) = a_s·(q·M_s − Σ a·(q·M)); ∂/∂K_s = y_s·p; ∂/∂p = Σ y_s·K_s,
    which goes to room[_BACK]. `pulls` sums for keys, then memory, from row `chunk` on.
    """
    (slots, pulls, chunk), n = memory, len(read)
    mean = np.float32(0)
    for s in range(n):
        add_scaled(pulls, chunk + n + s, room, _PULL, read[s])
        spare[s] = dot(room, _PULL, slots, n + s)
        mean += read[s] * spare[s]
    room[_BACK, :] = np.float32(0)
    for s in range(n):
        y = read[s] * (spare[s] - mean)
        add_scaled(pulls, chunk + s, room, k, y)
        add_scaled(room, _BACK, slots, s, y)


@inline
def pass_on(g, user, item, room, table, u, v):
    """Add ∂/∂α_u = x ⊙ β_v and ∂/∂β_v = x ⊙ α_u, x = ∂/∂(α_u ⊙ β_v) in room[_BACK]."""
    multiply(room, _PULL, room, _BACK, table, v)
    add_scaled(g, user, room, _PULL, np.float32(1))
    multiply(room, _PULL, room, _BACK, table, u)
    add_scaled(g, item, room, _PULL, np.float32(1))


@kernel
def _score(table, slots, pairs, n_users, space, out):
    (users, items), (room, read) = pairs, space
    for i in range(len(out)):
        u, v = users[i], items[i] + n_users
        relate(room, 0, u, v, table, slots, read)
        add_scaled(room, 1, table, v, np.float32(-1))
        out[i] = -squared_norm(room, 1)
