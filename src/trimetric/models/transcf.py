"""TransCF: users reach items by translations that their neighbourhoods give (Park et al. 2018)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, cast

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine import rows
from trimetric.engine.compile import inline, kernel
from trimetric.engine.gradient_session import Descent, DescentSession
from trimetric.engine.gradients import settle, share, triplet
from trimetric.engine.negatives import Positives, positives
from trimetric.engine.optimizers import project_all
from trimetric.engine.rows import (
    add_scaled,
    copy,
    multiply,
    scale,
    squared_distance,
    squared_norm,
)
from trimetric.engine.threads import Team
from trimetric.models.config import Deviation, Limits, Rate, TrainingConfig, Tune
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.saved import Stored
from trimetric.space.function import FunctionScorer
from trimetric.space.scorer import Scorer

_RADIUS = 1.0  # of the ball that rows are kept in


@dataclass(frozen=True)
class TransCFConfig(TrainingConfig):
    """Settings of TransCF; "released" are those of its authors' code."""

    lr: Annotated[float, Rate, Tune(0.05, 0.5, log=True)] = 0.2
    """Learning rate, above 0 up to 10 (paper: .001-.005, for SGD)."""
    margin: Annotated[
        float, Limits(0, 1000, "0.5-1 suits most data", above=True), Tune(0.3, 1.5)
    ] = 1.0
    """m of the hinge, above 0 up to 1000."""
    reg_distance: Annotated[
        float, Limits(0, 1000, "0.001-0.1 suits most data"), Tune(0.001, 0.3, log=True)
    ] = 0.01
    """Weight of D(u,v), 0..1000, which draws positive pairs together beyond the hinge."""
    reg_neighbours: Annotated[
        float, Limits(0, 1000, "0.001-0.1 suits most data"), Tune(0.001, 0.3, log=True)
    ] = 0.01
    """Weight of ‖α_u − ᾱ_u‖² + ‖β_v − β̄_v‖², 0..1000."""
    optimizer: Literal["rowwise-adagrad", "adagrad", "adam", "sgd"] = "rowwise-adagrad"
    """"rowwise-adagrad", "adagrad", "adam" (lazy rows) or "sgd" (paper)."""
    mean: bool = False
    """Average the hinges over each mini-batch (released) instead of summing them."""
    projection: Literal["batch", "epoch"] = "batch"
    """Bring rows back into the ball after each mini-"batch", or once an "epoch" (released)."""
    init_std: Annotated[float, Deviation] = 0.1
    """Standard deviation of the first values, 0..1000 (released: .01)."""


class TransCF(EpochTrained):
    """Collaborative translational metric learning, by one uniform negative a positive.

    D(u,v) = ‖α_u + ᾱ_u ⊙ β̄_v − β_v‖² with ᾱ_u the mean of the user's training items and β̄_v that
    of the item's training users; the score is −D. The loss of a triplet is

        [m + D(u,v) − D(u,v⁻)]₊ + reg_distance·D(u,v) + reg_neighbours·(‖α_u − ᾱ_u‖² + ‖β_v − β̄_v‖²)

    The means are taken anew at the end of each epoch. Within an epoch they are constants, also to
    the gradient: the authors' code follows it into the neighbours, at a cost that grows with their
    number.

    Parameters
    ----------
    preset : str, optional
        "released": d = 10, SGD at .001, 1000 triplets a mini-batch, whose hinges are averaged,
        projection once an epoch. Averaged, hinges hardly move anything at that rate: `mean=False`
        does.
    **settings
        Fields of `TransCFConfig`.
    """

    name: ClassVar[str] = "transcf"
    Config: ClassVar[type[TrainingConfig]] = TransCFConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "released": {
            "dim": 10,
            "margin": 1.0,
            "reg_distance": 0.01,
            "reg_neighbours": 0.01,
            "batch_size": 1000,
            "optimizer": "sgd",
            "lr": 0.001,
            "schedule": "constant",
            "mean": True,
            "projection": "epoch",
            "init_std": 0.01,
        }
    }
    config: TransCFConfig

    @property
    def user_vectors(self) -> np.ndarray:
        """Vectors α, float32 (n_users, dim), in the order of `user_ids`."""
        return self._learned.rows[: len(self.user_ids), : self.config.dim]

    @property
    def item_vectors(self) -> np.ndarray:
        """Vectors β, float32 (n_items, dim), in the order of `item_ids`."""
        return self._learned.rows[len(self.user_ids) :, : self.config.dim]

    @property
    def user_neighbours(self) -> np.ndarray:
        """Means ᾱ of the vectors of each user's training items, float32 (n_users, dim)."""
        return self._learned.means[: len(self.user_ids), : self.config.dim]

    @property
    def item_neighbours(self) -> np.ndarray:
        """Means β̄ of the vectors of each item's training users, float32 (n_items, dim)."""
        return self._learned.means[len(self.user_ids) :, : self.config.dim]

    def learner(
        self, data: Interactions, pool: Csr | None, found: dict[str, Any]
    ) -> "TranslationSession":
        """Train by the kernel below: see `EpochTrained.learner`."""
        pairs = positives(data.users, data.items, data.indptr, pool)
        return TranslationSession(self.config, pairs, data.n_items)

    def scorer_of(self, learner: "TranslationSession") -> Scorer:
        """Score by −D."""
        return self._scorer(learner.state.table, learner.means, learner.n_users)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return vectors and means of neighbourhoods."""
        # Means are saved: `seen`, from which they came, may later hold more than was trained on.
        return {
            "user_vectors": self.user_vectors,
            "item_vectors": self.item_vectors,
            "user_neighbours": self.user_neighbours,
            "item_neighbours": self.item_neighbours,
        }

    def restore(self, stored: Stored) -> Scorer:
        """Return the scorer of saved vectors and means."""
        dim, sizes = self.config.dim, (stored.n_users, stored.n_items)
        means = {
            f"{side}_neighbours": ((n, dim), np.float32)
            for side, n in zip(("user", "item"), sizes, strict=True)
        }
        stored.check_tables(("user_vectors", "item_vectors"), dim, means)
        vectors = stored.table(("user_vectors", "item_vectors"))
        neighbours = stored.table(("user_neighbours", "item_neighbours"))
        return self._scorer(vectors, neighbours, stored.n_users)

    @property
    def _learned(self) -> "Translations":
        return cast(FunctionScorer, self.scorer).learned

    def _scorer(self, table: np.ndarray, means: np.ndarray, n_users: int) -> Scorer:
        learned = Translations(table, means, n_users, self.config.dim)
        return FunctionScorer(n_users, len(table) - n_users, learned, score_pairs)


class Translations(NamedTuple):
    """What is learned, and the means that follow from it: float32[n_users + n_items, width]."""

    rows: np.ndarray
    means: np.ndarray
    n_users: int
    dim: int


def score_pairs(learned: Translations, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return −D for pairs of rows (int32 (n,)), float32."""
    out, room = np.empty(len(users), dtype=np.float32), rows.table(1, learned.dim)
    _score(learned.rows, learned.means, (users, items), learned.n_users, room, out)
    return out


class Terms(NamedTuple):
    """The weights of the loss."""

    margin: Any  # float32
    reg_distance: Any  # float32
    reg_neighbours: Any  # float32
    mean: Any  # bool: hinges are averaged over a mini-batch


class TranslationSession(DescentSession):
    """A run whose epochs end with fresh means of the neighbourhoods.

    A run stopped after the last mini-batch takes them when it goes on.
    """

    kept = ("table", "weights", "means")

    def __init__(self, config: TransCFConfig, pairs: Positives, n_items: int) -> None:
        how = Descent.of(
            config,
            len(pairs.users),
            radius=_RADIUS if config.projection == "batch" else np.inf,
            init=(0.0, config.init_std),
            cost=6.0,
            scratch=2,
        )
        super().__init__(train, how, pairs, n_items)
        self.means = rows.table(len(self.state.table), config.dim)
        counts = [np.diff(pairs.indptr), np.bincount(pairs.items, minlength=n_items)]
        self._shares = np.float32(1) / np.maximum(np.concatenate(counts), 1).astype(np.float32)
        terms = Terms(
            margin=np.float32(config.margin),
            reg_distance=np.float32(config.reg_distance),
            reg_neighbours=np.float32(config.reg_neighbours),
            mean=config.mean,
        )
        self.own = (terms, self.means)
        self._refresh()

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Live views of all that training changes."""
        return {**super().arrays, "means": self.means}

    def run(self, epoch: int, first_batch: int, team: Team, pause: Callable[[int], bool]) -> int:
        """Train as `DescentSession.run`; at the end of the epoch take the means."""
        reached = super().run(epoch, first_batch, team, pause)
        if reached == self.n_batches:
            self._refresh()
        return reached

    def _refresh(self) -> None:
        project_all(self.state.table, np.float32(_RADIUS), False)
        self.means[:] = 0
        take_means(self.means, self.state.table, self.positives, self._shares)


@kernel
def take_means(means, table, pairs, shares):
    """ᾱ_u = Σ β_v/|V_u| over the user's items, β̄_v = Σ α_u/|U_v| over the item's users.

    Sums go in the order of the pairs. `means` starts at zero; `shares` are 1/|V_u|, then 1/|U_v|.
    """
    n_users = len(pairs.indptr) - 1
    for place in range(len(pairs.users)):
        u, v = np.int64(pairs.users[place]), np.int64(pairs.items[place]) + n_users
        add_scaled(means, u, table, v, np.float32(1))
        add_scaled(means, v, table, u, np.float32(1))
    for row in range(len(means)):
        scale(means, row, shares[row])


@kernel
def train(me, threads, span, pairs, state, rule, work, own):
    """Run mini-batches span[0] .. span[1] - 1 as thread `me` of `threads`."""
    n_users, met = len(pairs.indptr) - 1, np.int64(0)
    n_items = len(state.table) - n_users
    for batch in range(span[0], span[1]):
        low, high = share(me, threads, batch, rule, work)
        first = batch * rule.batch_size
        count = np.float32(min(rule.batch_size, rule.samples - first))
        weight = np.float32(1) / count if own[0].mean else np.float32(1)
        for t in range(low, high):
            u, v, n = triplet(t, first, pairs, rule, work, n_items)
            if n >= 0:
                work.rows[3 * t], work.rows[3 * t + 1], work.rows[3 * t + 2] = u, v, n
                gradient(t, weight, state.table, own, work, work.scratch[me])
        met = settle(me, threads, batch, met, state, rule, work)


@inline
def reach(room, k, table, means, u, v):
    """room[k] = α_u + ᾱ_u ⊙ β̄_v: where the user's translation towards the item arrives."""
    multiply(room, k, means, u, means, v)
    add_scaled(room, k, table, u, np.float32(1))


@inline
def gradient(t, weight, table, own, work, room):
    """Write the gradients of weight·[m + D(u,v) − D(u,v⁻)]₊ and of the two regularisers.

    With e_uv = α_u + ᾱ_u ⊙ β̄_v − β_v, ∂D/∂α_u = 2·e_uv and ∂D/∂β_v = −2·e_uv.
    """
    (terms, means), g, k = own, work.gradients, 3 * t
    u, v, n = work.rows[k], work.rows[k + 1], work.rows[k + 2]
    reach(room, 0, table, means, u, v)
    reach(room, 1, table, means, u, n)
    add_scaled(room, 0, table, v, np.float32(-1))
    add_scaled(room, 1, table, n, np.float32(-1))
    near, far = squared_norm(room, 0), squared_norm(room, 1)
    hinge = terms.margin + near - far
    a = weight * np.float32(not hinge <= 0)  # NaN pulls, and so shows
    b, c = a + terms.reg_distance, terms.reg_neighbours
    copy(g, k, room, 0, b + b)
    add_scaled(g, k, room, 1, -(a + a))
    copy(g, k + 1, room, 0, -(b + b))
    copy(g, k + 2, room, 1, a + a)
    stray = np.float32(0)
    if c > 0:
        stray = anchor(g, k, table, means, u, c) + anchor(g, k + 1, table, means, v, c)
    if a == 0:
        work.rows[k + 2] = -1
        if b == 0 and c == 0:
            work.rows[k] = work.rows[k + 1] = -1
    work.loss[t] = a * hinge + terms.reg_distance * near + c * stray
    work.active[t] = a != 0


@inline
def anchor(g, k, table, means, row, weight):
    """Add the gradient of weight·‖α_u − ᾱ_u‖² (or of the item's) to g[k]; return the ‖·‖²."""
    add_scaled(g, k, table, row, weight + weight)
    add_scaled(g, k, means, row, -(weight + weight))
    return squared_distance(table, row, means, row)


@kernel
def _score(table, means, pairs, n_users, room, out):
    users, items = pairs
    for i in range(len(out)):
        v = items[i] + n_users
        reach(room, 0, table, means, users[i], v)
        out[i] = -squared_distance(room, 0, table, v)
