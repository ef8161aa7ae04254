"""Sessions of `centroids`: settings, what is trained, and the memory that its kernels work in.

Training in parts holds users and items that are a part of all: `Elsewhere` is what a session must
know of the others.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from trimetric import counter
from trimetric.data.csr import Csr
from trimetric.engine.blocks import in_lanes, in_tiles, most_interactions, n_candidates, score_width
from trimetric.engine.centroids import add_up_users, compose_item, compose_user, train
from trimetric.engine.compile import kernel
from trimetric.engine.elementary import log
from trimetric.engine.item_term import ItemTerm, item_term
from trimetric.engine.negatives import Positives, read_only
from trimetric.engine.rng import fill_normal
from trimetric.engine.rows import LANES, padded, scale, squared_norm, table
from trimetric.engine.session import RunSettings, Session
from trimetric.engine.threads import ThreadTeam, ThreadTuner, barrier_counts, thread_count

_START_ITEMS, _START_USERS = 21, 22  # streams of random numbers
_ACCUMULATOR = 0.1  # Adagrad's sums of squares begin here


@dataclass(frozen=True, kw_only=True)
class CentroidSettings(RunSettings):
    """Settings of the objective, in the words of `centroids`.

    Parameters
    ----------
    own : float
        ω, 0..1.
    kappa, shrink : float
        κ and c.
    temperature, margin : float
        τ and m.
    candidates : int
        |J|; 0 for the whole catalogue.
    own_rate, weight_rate, bias_rate : float
        Learning rates of p, ln h and b, as multiples of that of y.
    item_weight, item_margin : float
        λ and n of `item_term`, which is left out where λ = 0 or users have pools.
    item_candidates : int
        |I| there, 1 or more, rounded up to a multiple of 16.
    weight_unit : float
        Where interactions have weights, the one that is to count 1: those of `Positives` are
        divided by it already.
    """

    own: float
    kappa: float
    shrink: float
    temperature: float
    margin: float
    candidates: int
    own_rate: float
    weight_rate: float
    bias_rate: float
    item_weight: float = 0.0
    item_margin: float = 1.0
    item_candidates: int = 64
    weight_unit: float = 1.0


class State(NamedTuple):
    """What is trained, and the optimiser's sums of squares."""

    items: np.ndarray  # float32[n_items, width]: y_v, and b_v in column `dim`
    own: np.ndarray  # float32[n_users, width]: p_u; no rows where ω = 0
    weights: np.ndarray  # float32[n_items]: h_v
    item_squares: np.ndarray  # float32[n_items]
    own_squares: np.ndarray  # float32[n_users], or [0]
    bias_squares: np.ndarray  # float32[n_items]
    weight_squares: np.ndarray  # float32[n_items]
    user_terms: np.ndarray  # float32[n_users, width]: unit(x_u)/√n_u; no rows where κ = 0
    item_sums: np.ndarray  # float32[n_items, width]: Q_v; one row where κ = 0
    totals: np.ndarray  # float64[4]: see session.Totals


class Params(NamedTuple):
    """Settings of the objective as scalars, and the interactions by item."""

    own: Any  # float32: ω
    kappa: Any  # float32
    shrink: Any  # float32: c
    rate: Any  # float32: 1/τ
    margin: Any  # float32
    log_share: Any  # float64: ln(S₀/|J|)
    own_rate: Any  # float32
    weight_rate: Any  # float32
    bias_rate: Any  # float32
    dim: Any  # int64
    candidates: Any  # int64: |J|
    item_weight: Any  # float32: λ
    item_margin: Any  # float32: n
    item_candidates: Any  # int64: |I|, a multiple of 16
    log_reference: Any  # float64: ln S₀
    users: np.ndarray  # int32[samples]: the users that are trained on
    item_indptr: np.ndarray  # int64[n_items + 1]
    item_users: np.ndarray  # int32[p], ascending within an item
    item_counts: np.ndarray  # float32[p]: how much each of those counts; [0] for 1 each
    rests: np.ndarray  # float32[n_users, width]: part of z_u that is not here; no rows for none
    turns: np.ndarray  # float32[n_users]: see `Elsewhere`, as the next five; no rows for none
    log_sums: np.ndarray  # float32[n_users]
    actives: np.ndarray  # float32[n_users]
    pulls: np.ndarray  # float32[n_users, width]
    radials: np.ndarray  # float32[n_users]
    repeats: np.ndarray  # float32[n_users]
    log_scale: Any  # float64: ln(|V|/|J|)
    user_margins: np.ndarray  # float32[n_users]: m_u in place of `margin`; no rows for one m
    margin_share: Any  # float32: the mean of q at which a learned m_u rests
    margin_step: Any  # float32: of m_u against ∂ℓ/∂m_u − share; 0 where margins are fixed
    margin_limit: Any  # float32: of learned margins


class Workspace(NamedTuple):
    """Memory for a block of B users with P interactions and S candidates on T threads."""

    candidates: np.ndarray  # int32[S]: items
    place: np.ndarray  # int64[n_items]: stamp of the block + place in J; less than it elsewhere
    targets: np.ndarray  # float32[S', width]: t_j, and b_j in column `dim`
    target_norms: np.ndarray  # float32[S]: ‖y_j + κ·Q_j/(..)‖
    panels: np.ndarray  # float32[S'/16·(dim + 1), 16]: the same, sixteen candidates side by side
    scores: np.ndarray  # float32[B', S' + padding]: s(u, j)/τ, then shares
    gradients: np.ndarray  # float32[S', width]: half of the gradient of t_j
    sums: np.ndarray  # float32[B', width]: z_u
    lengths: np.ndarray  # float32[B']: ‖z_u‖
    points: np.ndarray  # float32[B', width]: x_u, and ½ in column `dim`
    scaled: np.ndarray  # float32[B', width]: 2·x_u/τ, and 1/τ in column `dim`
    own: np.ndarray  # float32[B', width]: p_u before the step
    terms: np.ndarray  # float32[B', width]: unit(x_u)/√n_u as in `State`
    sum_gradients: np.ndarray  # float32[B', width]: of z_u
    own_gradients: np.ndarray  # float32[B', width]: of p_u
    pulled: np.ndarray  # float32[B', width]: Σ_j share·t_j
    loss: np.ndarray  # float32[B']
    active: np.ndarray  # float32[B']: Σ q
    first: np.ndarray  # int64[B' + 1]: where a user's interactions begin, of the P
    entry_items: np.ndarray  # int32[P]
    entry_users: np.ndarray  # int32[P]: place in the block
    entry: np.ndarray  # float32[P, 8]: see the names of its columns
    first_slot: np.ndarray  # int32[n_items]: an item's first interaction of the P, or -1
    next_slot: np.ndarray  # int32[P]: the next one, or -1
    owned: np.ndarray  # int32[T, P + 1]: interactions of the thread's items
    scratch: np.ndarray  # float32[T, width]
    term: ItemTerm
    barrier: np.ndarray  # see threads.barrier_counts


# --- sessions -------------------------------------------------------------------------------------


class Elsewhere(NamedTuple):
    """What a session on some of the users and items must know of the others.

    Parameters
    ----------
    rests : float32 (n_users, width)
        Σ h_i·y_i over the items of each user that are not here.
    users : int32 (n,)
        The users to train on.
    n_items : int
        Of the whole catalogue.
    turns : float32 (n_users,)
        f_u: one of how many visits to all items this is, as a share.
    log_sums : float32 (n_users,)
        ln Σ exp(s(u, j)/τ) over the catalogue; UNKNOWN at first.
    actives : float32 (n_users,)
        Σ q over all interactions of a user; below 0 at first.
    pulls : float32 (n_users, width)
        The gradient of z_u by all interactions of a user.
    radials : float32 (n_users,)
        Its product with z_u.
    repeats : float32 (n_users,)
        How often `pulls` has the gradient by an interaction of this visit, after it: once, and what
        is left of earlier visits.

    Of these `log_sums`, `actives`, `pulls` and `radials` are moving averages, which training brings
    up to date: a visit replaces the share f_u of what was known of a user by what is found here. So
    the candidates here are pushed by all interactions of a user, in proportion to the softmax over
    the catalogue, and the items here are pulled along with z_u by all of them but their own, whose
    gradient is taken off as often as it is in `pulls`. Weights h take the gradient by the
    interactions here alone, times 1/f_u; old gradients would let them grow with popularity.
    """

    rests: np.ndarray
    users: np.ndarray
    n_items: int
    turns: np.ndarray
    log_sums: np.ndarray
    actives: np.ndarray
    pulls: np.ndarray
    radials: np.ndarray
    repeats: np.ndarray


def centroid_session(
    settings: CentroidSettings,
    positives: Positives,
    n_items: int,
    *,
    state: State | None = None,
    elsewhere: Elsewhere | None = None,
    tuners: dict[int, ThreadTuner] | None = None,
) -> Session:
    """Return a session that trains a space of centroids.

    Parameters
    ----------
    settings : CentroidSettings
    positives : Positives
        An interaction of weight 2 is as if it were there twice.
    n_items : int
    state : State, optional
        What it goes on from, instead of random points.
    elsewhere : Elsewhere, optional
        Of users and items that are a part only. Sums over users are then those of `state`.
    tuners : dict, optional
        Shared with other sessions.
    """
    params = make_params(settings, positives, n_items, elsewhere)
    state = state or start_state(settings, len(positives.indptr) - 1, n_items)
    block = min(settings.batch_size, len(params.users))
    most = most_interactions(positives, block)
    mean = len(positives.items) / max(len(params.users), 1)
    items = min(mean, n_items / max(block, 1))  # at most, of the block's distinct ones for a user
    contrasts = int(params.candidates) + items * int(params.item_candidates)

    def workspace(threads: int) -> Workspace:
        return make_workspace(state, params, block, most, threads)

    return Session(
        kernel=train,
        settings=settings,
        positives=positives,
        state=state,
        workspace=workspace,
        params=params,
        samples=len(params.users),
        cost=1.5 * contrasts + 10 * mean,
        saved=("items", "own", "weights"),
        tuners={} if tuners is None else tuners,
    )


def make_params(
    settings: CentroidSettings,
    positives: Positives,
    n_items: int,
    elsewhere: Elsewhere | None = None,
) -> Params:
    """Return the settings as a kernel takes them."""
    sizes = np.diff(positives.indptr)
    least = 1 if settings.own > 0 else 2  # a mean without its only item says nothing
    by_item, order = Csr(positives.indptr, positives.items).transposed(n_items)
    weights = positives.weights
    size = n_candidates(settings.candidates, positives, n_items)
    item_weight = 0.0 if len(positives.pool_indptr) else settings.item_weight
    users = np.flatnonzero((sizes >= least) & (sizes < n_items)).astype(np.int32)
    rests, catalogue = table(0, settings.dim + 1), n_items
    none = np.zeros(0, dtype=np.float32)
    averages: Any = (none, none, none, rests, none, none)
    if elsewhere is not None:
        rests, users, catalogue, *averages = elsewhere
    turns, log_sums, actives, pulls, radials, repeats = averages
    reference = min(100.0, catalogue**0.5)
    item_candidates = padded(min(settings.item_candidates, size)) if item_weight > 0 else 0
    return Params(
        own=np.float32(settings.own),
        kappa=np.float32(settings.kappa),
        shrink=np.float32(settings.shrink),
        rate=np.float32(1 / settings.temperature),
        margin=np.float32(settings.margin),
        log_share=np.float64(log(reference / (size if elsewhere is None else catalogue))),
        own_rate=np.float32(settings.own_rate),
        weight_rate=np.float32(settings.weight_rate),
        bias_rate=np.float32(settings.bias_rate),
        dim=np.int64(settings.dim),
        candidates=np.int64(size),
        item_weight=np.float32(item_weight),
        item_margin=np.float32(settings.item_margin),
        item_candidates=np.int64(item_candidates),
        log_reference=np.float64(log(reference)),
        users=users,
        item_indptr=by_item.indptr,
        item_users=by_item.items,
        item_counts=read_only(weights[order] if len(weights) else weights),
        rests=rests,
        turns=turns,
        log_sums=log_sums,
        actives=actives,
        pulls=pulls,
        radials=radials,
        repeats=repeats,
        log_scale=np.float64(log(catalogue / size)),
        user_margins=np.zeros(0, dtype=np.float32),
        margin_share=np.float32(0),
        margin_step=np.float32(0),
        margin_limit=np.float32(0),
    )


def with_user_margins(
    params: Params, margins: np.ndarray, *, share: float = 0.0, step: float = 0.0
) -> Params:
    """Return params with a margin for each user, held or learned; for studies of margins.

    The models of this package have one margin: see docs/margins.md. Learned ones are no part of a
    checkpoint.

    Parameters
    ----------
    margins : float32[n_users]
        Changed in place where they are learned; the largest is their limit.
    share : float
        The mean of q over a user's items at which a margin rests: γ/512 of equation (6).
    step : float
        A margin goes `step`·(mean of q − share) down each epoch, to no less than 0; 0 holds it.
    """
    return params._replace(
        user_margins=margins,
        margin_share=np.float32(share),
        margin_step=np.float32(step),
        margin_limit=np.float32(margins.max(initial=0)),
    )


def start_state(settings: CentroidSettings, n_users: int, n_items: int) -> State:
    """Return the state that training starts from: points at random on the sphere."""
    own = n_users if settings.own > 0 else 0
    summed = settings.kappa > 0
    squares = np.float32(_ACCUMULATOR)
    return State(
        items=random_sphere(n_items, settings.dim, counter.key(settings.seed, _START_ITEMS)),
        own=random_sphere(own, settings.dim, counter.key(settings.seed, _START_USERS)),
        weights=np.ones(n_items, dtype=np.float32),
        item_squares=np.full(n_items, squares),
        own_squares=np.full(own, squares),
        bias_squares=np.full(n_items, squares),
        weight_squares=np.full(n_items, squares),
        user_terms=table(n_users if summed else 0, settings.dim + 1),
        item_sums=table(n_items if summed else 1, settings.dim + 1),
        totals=np.zeros(4),
    )


def blank_state(settings: CentroidSettings, n_users: int, n_items: int) -> State:
    """Return a state of that size, to be filled with the rows of another."""
    own, summed, width = n_users if settings.own > 0 else 0, settings.kappa > 0, settings.dim + 1
    return State(
        items=table(n_items, width),
        own=table(own, width),
        weights=np.zeros(n_items, dtype=np.float32),
        item_squares=np.zeros(n_items, dtype=np.float32),
        own_squares=np.zeros(own, dtype=np.float32),
        bias_squares=np.zeros(n_items, dtype=np.float32),
        weight_squares=np.zeros(n_items, dtype=np.float32),
        user_terms=table(n_users if summed else 0, width),
        item_sums=table(n_items if summed else 1, width),
        totals=np.zeros(4),
    )


def trained_state(
    items: np.ndarray, weights: np.ndarray, own: np.ndarray, item_sums: np.ndarray
) -> State:
    """Return the state of trained points, without what only training needs."""
    none = np.zeros(0, dtype=np.float32)
    return State(
        items=items,
        own=own,
        weights=weights,
        item_squares=none,
        own_squares=none,
        bias_squares=none,
        weight_squares=none,
        user_terms=own[:0],
        item_sums=item_sums,
        totals=np.zeros(4),
    )


def random_sphere(n: int, dim: int, key: np.uint64) -> np.ndarray:
    """Return n random points of the unit sphere, float32 (n, padded(dim + 1))."""
    points = table(n, dim + 1)
    fill_normal(points, dim, key, (0.0, 1.0))
    _normalise(points)
    return points


@kernel
def _normalise(points):
    for i in range(len(points)):
        scale(points, i, np.float32(1) / np.sqrt(squared_norm(points, i)))


def make_workspace(
    state: State, params: Params, block: int, entries: int, threads: int
) -> Workspace:
    """Return memory for blocks of at most `block` users with `entries` interactions."""
    dim, candidates = int(params.dim), int(params.candidates)
    rows, padded_candidates = in_tiles(block), in_lanes(candidates)
    n_items = len(state.items)

    def of_users() -> np.ndarray:
        return table(rows, dim + 1)

    return Workspace(
        candidates=np.zeros(candidates, dtype=np.int32),
        place=np.zeros(n_items, dtype=np.int64),
        targets=table(padded_candidates, dim + 1),
        target_norms=np.ones(candidates, dtype=np.float32),
        panels=table(padded_candidates // LANES * (dim + 1), LANES),
        scores=table(rows, score_width(candidates)),
        gradients=table(padded_candidates, dim + 1),
        sums=of_users(),
        lengths=np.ones(rows, dtype=np.float32),
        points=of_users(),
        scaled=of_users(),
        own=of_users(),
        terms=of_users(),
        sum_gradients=of_users(),
        own_gradients=of_users(),
        pulled=of_users(),
        loss=np.zeros(rows, dtype=np.float32),
        active=np.zeros(rows, dtype=np.float32),
        first=np.zeros(rows + 1, dtype=np.int64),
        entry_items=np.zeros(entries, dtype=np.int32),
        entry_users=np.zeros(entries, dtype=np.int32),
        entry=np.zeros((entries, 8), dtype=np.float32),
        first_slot=np.full(n_items, -1, dtype=np.int32),
        next_slot=np.zeros(entries, dtype=np.int32),
        owned=np.zeros((threads, entries + 1), dtype=np.int32),
        scratch=table(threads, dim + 1),
        term=item_term(n_items, dim, rows, entries, int(params.item_candidates)),
        barrier=barrier_counts(threads),
    )


# --- what training leaves -------------------------------------------------------------------------


def composed(
    state: State, positives: Positives, params: Params
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x_u, t_v with b_v in column `dim`, and Q_v: float32 tables of users, items and items.

    Sums over users are taken anew, from points as they are now; those of training stay.
    """
    anew = {name: np.zeros_like(getattr(state, name)) for name in ("user_terms", "item_sums")}
    state = state._replace(**anew)
    n_users, n_items = len(positives.indptr) - 1, len(state.items)
    users, items = table(n_users, int(params.dim) + 1), table(n_items, int(params.dim) + 1)
    threads = thread_count()
    counts = barrier_counts(threads)
    with ThreadTeam(threads) as team:
        team.run(lambda me: _compose(me, threads, positives, state, counts, params, users, items))
    return users, items, state.item_sums


@kernel
def _compose(me, threads, positives, state, counts, params, users, items):
    if params.kappa > 0:
        add_up_users(me, threads, positives, state, counts, params)
    for u in range(len(users) * me // threads, len(users) * (me + 1) // threads):
        compose_user(u, positives, state, params, users, u)
    for v in range(len(items) * me // threads, len(items) * (me + 1) // threads):
        compose_item(v, state, params, params.kappa, items, v)
