"""TransCF: users reach items by translations that their neighbourhoods give (Park et al. 2018)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, cast

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine import rows
from trimetric.engine.compile import inline, kernel
from trimetric.engine.gradients import (
    apply_updates,
    assign_samples,
    gradient_session,
    sample_triplet,
)
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
from trimetric.engine.session import RunSettings, Session
from trimetric.models.config import Deviation, Limits, Rate, TrainingConfig, Tune
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.formula import Formula
from trimetric.models.saved import Stored
from trimetric.models.transcf_answers import (
    NO_POINTS,
    RADIUS,
    Translations,
    seen_by,
    similar_items,
    similar_users,
)
from trimetric.space.function import FunctionScorer
from trimetric.space.scorer import Scorer


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

    A user sees the items at β_v − ᾱ_u ⊙ β̄_v, and D is d² to α_u there: explanations are of this
    space. A new user has the mean of their items as ᾱ_u, and is placed in their space by
    `engine.foldin`. Items are alike by d² as users see them, on average, and users as items do.

    Parameters
    ----------
    preset : str, optional
        "released": d = 10, SGD at .001, 1000 triplets a mini-batch, whose hinges are averaged,
        projection once an epoch. Averaged, hinges hardly move anything at that rate: `mean=False`
        does.
    dim : int, default 100
        Columns of the embeddings, 1..4096.
    epochs : int, default 60
        Most passes over the interactions, 0..100000; with validation data training stops earlier.
    batch_size : int, default 512
        Samples in a mini-batch, 1..1000000.
    lr : float, default 0.2
        Learning rate, above 0 up to 10 (paper: .001-.005, for SGD).
    schedule : "linear" or "constant", default "linear"
        "linear": the rate falls from `lr` towards 0 over `epochs`; or "constant".
    metric : word, default "ndcg@10"
        What validation measures, on full ranking.
    validate_every : int, default 5
        Epochs between two validations, at least 1.
    validate_users : int, default 0
        Most users that validation looks at while training, always the same; 0 for all.
    patience : int, default 6
        Validations without a new best before training stops; 0 trains all epochs.
    seed : int, default 0
        Any integer of 64 bits; the same seed, data and settings give the same bits.
    margin : float, default 1.0
        m of the hinge, above 0 up to 1000.
    reg_distance : float, default 0.01
        Weight of D(u,v), 0..1000, which draws positive pairs together beyond the hinge.
    reg_neighbours : float, default 0.01
        Weight of ‖α_u − ᾱ_u‖² + ‖β_v − β̄_v‖², 0..1000.
    optimizer : "rowwise-adagrad" or "adagrad" or "adam" or "sgd", default "rowwise-adagrad"
        "rowwise-adagrad", "adagrad", "adam" (lazy rows) or "sgd" (paper).
    mean : bool, default False
        Average the hinges over each mini-batch (released) instead of summing them.
    projection : "batch" or "epoch", default "batch"
        Bring rows back into the ball after each mini-"batch", or once an "epoch" (released).
    init_std : float, default 0.1
        Standard deviation of the first values, 0..1000 (released: .01).
    """

    if TYPE_CHECKING:  # written by tools/signatures

        def __init__(
            self,
            *,
            preset: Literal["released"] | None = None,
            dim: int = 100,
            epochs: int = 60,
            batch_size: int = 512,
            lr: float = 0.2,
            schedule: Literal["linear", "constant"] = "linear",
            metric: str = "ndcg@10",
            validate_every: int = 5,
            validate_users: int = 0,
            patience: int = 6,
            seed: int = 0,
            margin: float = 1.0,
            reg_distance: float = 0.01,
            reg_neighbours: float = 0.01,
            optimizer: Literal["rowwise-adagrad", "adagrad", "adam", "sgd"] = "rowwise-adagrad",
            mean: bool = False,
            projection: Literal["batch", "epoch"] = "batch",
            init_std: float = 0.1,
        ) -> None: ...

    name: ClassVar[str] = "transcf"
    formula = Formula(
        "‖α_u + ᾱ_u ⊙ β̄_v − β_v‖²",
        False,
        "[m + D(u,v) − D(u,v⁻)]₊ + reg_distance·D(u,v)"
        " + reg_neighbours·(‖α_u − ᾱ_u‖² + ‖β_v − β̄_v‖²)",
        "with the regularisers of Park et al., which the SML paper leaves out",
    )
    capabilities = frozenset({"similar items", "similar users", "new users", "explanations"})
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
        learned = self._learned
        return learned.rows[: learned.n_users, : self.config.dim]

    @property
    def item_vectors(self) -> np.ndarray:
        """Vectors β, float32 (n_items, dim), in the order of `item_ids`."""
        learned = self._learned
        return learned.rows[learned.n_users :, : self.config.dim]

    @property
    def user_neighbours(self) -> np.ndarray:
        """Means ᾱ of the vectors of each user's training items, float32 (n_users, dim)."""
        learned = self._learned
        return learned.means[: learned.n_users, : self.config.dim]

    @property
    def item_neighbours(self) -> np.ndarray:
        """Means β̄ of the vectors of each item's training users, float32 (n_items, dim)."""
        learned = self._learned
        return learned.means[learned.n_users :, : self.config.dim]

    def learner(self, data: Interactions, pool: Csr | None, tuned: dict[str, Any]) -> Session:
        """Train by the kernel below: see `EpochTrained.learner`."""
        pairs = positives(data.users, data.items, data.indptr, pool)
        return translation_session(self.config, pairs, data.n_items)

    def scorer_of(self, learner: Session) -> Scorer:
        """Score by −D."""
        return self._scorer(learner.state.table, learner.state.means, learner.n_users)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return vectors and means of neighbourhoods."""
        # Means are saved: `seen`, from which they came, may later hold more than was trained on.
        now = self.snapshot()
        return {
            "user_vectors": now.user_vectors,
            "item_vectors": now.item_vectors,
            "user_neighbours": now.user_neighbours,
            "item_neighbours": now.item_neighbours,
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
        learned = Translations(table, means, n_users, self.config.dim, self.config.margin)
        return FunctionScorer(
            n_users,
            len(table) - n_users,
            learned,
            score_pairs,
            similar=similar_items,
            similar_users=similar_users,
            seen_by=seen_by,
            refusals=NO_POINTS,
        )


def score_pairs(learned: Translations, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return −D for pairs of rows (int32 (n,)), float32."""
    out, scratch = np.empty(len(users), dtype=np.float32), rows.table(1, learned.dim)
    _score(learned.rows, learned.means, (users, items), learned.n_users, scratch, out)
    return out


class Params(NamedTuple):
    """Weights of the loss."""

    margin: Any  # float32
    reg_distance: Any  # float32
    reg_neighbours: Any  # float32
    mean: Any  # bool: hinges are averaged over a mini-batch


class State(NamedTuple):
    """`gradients.State` with the means of the neighbourhoods."""

    table: np.ndarray
    first: np.ndarray
    second: np.ndarray
    weights: np.ndarray
    weights_first: np.ndarray
    weights_second: np.ndarray
    totals: np.ndarray
    means: np.ndarray  # like table: ᾱ, then β̄


def translation_session(config: TransCFConfig, pairs: Positives, n_items: int) -> Session:
    """Return a session whose epochs end with fresh means of the neighbourhoods.

    A run stopped after the last mini-batch of an epoch takes them when it goes on.
    """
    params = Params(
        margin=np.float32(config.margin),
        reg_distance=np.float32(config.reg_distance),
        reg_neighbours=np.float32(config.reg_neighbours),
        mean=config.mean,
    )
    radius = RADIUS if config.projection == "batch" else np.inf
    settings = RunSettings.of(config, radius=radius)
    session = gradient_session(train, settings, pairs, n_items, params, scratch=2, cost=6.0)
    table = session.state.table
    means = rows.table(len(table), config.dim)
    sizes = [np.diff(pairs.indptr), np.bincount(pairs.items, minlength=n_items)]
    shares = np.float32(1) / np.maximum(np.concatenate(sizes), 1).astype(np.float32)

    def refresh() -> None:
        project_all(table, np.float32(RADIUS), False)
        means[:] = 0
        take_means(means, table, pairs, shares)

    refresh()
    state = State(**session.state._asdict(), means=means)
    return replace(session, state=state, saved=("table", "weights", "means"), after_epoch=refresh)


@kernel
def take_means(means, table, positives, shares):
    """ᾱ_u = Σ β_v/|V_u| over the user's items, β̄_v = Σ α_u/|U_v| over the item's users.

    Sums go in the order of the pairs. `means` starts at zero; `shares` are 1/|V_u|, then 1/|U_v|.
    """
    n_users = len(positives.indptr) - 1
    for pair in range(len(positives.users)):
        u, v = np.int64(positives.users[pair]), np.int64(positives.items[pair]) + n_users
        add_scaled(means, u, table, v, np.float32(1))
        add_scaled(means, v, table, u, np.float32(1))
    for row in range(len(means)):
        scale(means, row, shares[row])


@kernel
def train(me, threads, span, positives, state, settings, workspace, params):
    """Run mini-batches span[0] .. span[1] - 1 as thread `me` of `threads`."""
    for batch in range(span[0], span[1]):
        low, high = assign_samples(me, threads, batch, settings, workspace)
        start = batch * settings.batch_size
        count = np.float32(min(settings.batch_size, settings.samples - start))
        weight = np.float32(1) / count if params.mean else np.float32(1)
        for t in range(low, high):
            u, v, n = sample_triplet(t, batch, positives, state, settings, workspace)
            if n >= 0:
                gradient(t, (u, v, n), weight, state, params, workspace, workspace.scratch[me])
        apply_updates(me, threads, batch, state, settings, workspace)


@inline
def translate(scratch, k, table, means, u, v):
    """scratch[k] = α_u + ᾱ_u ⊙ β̄_v: the user translated towards the item."""
    multiply(scratch, k, means, u, means, v)
    add_scaled(scratch, k, table, u, np.float32(1))


@inline
def gradient(t, triplet, weight, state, params, workspace, scratch):
    """Write the gradients of weight·[m + D(u,v) − D(u,v⁻)]₊ and of the two regularisers.

    With e_uv = α_u + ᾱ_u ⊙ β̄_v − β_v, ∂D/∂α_u = 2·e_uv and ∂D/∂β_v = −2·e_uv.
    """
    (u, v, n), table, means = triplet, state.table, state.means
    g, k = workspace.gradients, 3 * t
    translate(scratch, 0, table, means, u, v)
    translate(scratch, 1, table, means, u, n)
    add_scaled(scratch, 0, table, v, np.float32(-1))
    add_scaled(scratch, 1, table, n, np.float32(-1))
    d_uv, d_un = squared_norm(scratch, 0), squared_norm(scratch, 1)
    hinge = params.margin + d_uv - d_un
    a = weight * np.float32(not hinge <= 0)  # NaN counts as active, so that it shows
    b, c = a + params.reg_distance, params.reg_neighbours
    copy(g, k, scratch, 0, b + b)
    add_scaled(g, k, scratch, 1, -(a + a))
    copy(g, k + 1, scratch, 0, -(b + b))
    copy(g, k + 2, scratch, 1, a + a)
    penalty = np.float32(0)
    if c > 0:
        penalty = add_neighbours(g, k, table, means, u, c) + add_neighbours(
            g, k + 1, table, means, v, c
        )
    if a != 0:
        workspace.rows[k + 2] = n
    if a != 0 or b != 0 or c != 0:
        workspace.rows[k], workspace.rows[k + 1] = u, v
    workspace.loss[t] = a * hinge + params.reg_distance * d_uv + c * penalty
    workspace.active[t] = a != 0


@inline
def add_neighbours(g, k, table, means, row, weight):
    """Add the gradient of weight·‖α_u − ᾱ_u‖² (or of the item's) to g[k]; return the ‖·‖²."""
    add_scaled(g, k, table, row, weight + weight)
    add_scaled(g, k, means, row, -(weight + weight))
    return squared_distance(table, row, means, row)


@kernel
def _score(table, means, pairs, n_users, scratch, out):
    users, items = pairs
    for i in range(len(out)):
        v = items[i] + n_users
        translate(scratch, 0, table, means, users[i], v)
        out[i] = -squared_distance(scratch, 0, table, v)
