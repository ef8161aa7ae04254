"""A second loop of CentroidML: the cosine between a user's row and its reconstruction.

Items are points a_v on the unit sphere, with a weight h_v > 0 each. A user is the weighted sum of
the items that they have, and what it says of the catalogue is compared with what they have:

    z_u = Σ_{i∈N_u} r_ui·h_i·a_i
    f_uv = max(z_u·a_v − r_uv·h_v, 0),   r_uv = 0 unless v ∈ N_u
    ℓ(u) = 1 − cos(f_u, r_u) = 1 − Σ_{i∈N_u} r_ui·f_ui / (‖f_u‖·‖r_u‖)

r_ui is the weight of an interaction, 1 unless they have weights: 2 is as if it were there twice.

An item is left out of its own reconstruction exactly, because ‖a_v‖ = 1: only other items of the
user speak for it. The idea, without weights and max, is that of ELSA (Vančura et al., RecSys 2022).

A block of users shares candidates J, the whole catalogue or a part drawn without repeats. Items of
the user always count, those of J∖N_u stand for all that the user does not have:

    ‖f_u‖² = Σ_{i∈N_u} f_ui² + (|V| − n_u)/|J∖N_u|·Σ_{j∈J∖N_u} f_uj²

which is exact where J is the catalogue. Every thread runs `train` over the same blocks, each of
which has three stages:

    draw_candidates    candidates in parallel: J, and their points in two layouts
    evaluate_users     users in parallel: reconstructions, and the gradients of f_u and z_u
    update_items       items in parallel: gradient, its terms in a fixed order, and the step

Products are `rows.product` and its variants: each number is a sum in the order of its terms, so
that no bit depends on how work is divided. Steps are row-wise Adagrad, of points along the sphere
and of ln h.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from trimetric.engine.blocks import (
    SHORTEST,
    add_elsewhere,
    candidate_order,
    count_at,
    draw_candidate,
    in_lanes,
    in_tiles,
    keep_pool,
    link_entries,
    list_users,
    most_interactions,
    n_candidates,
    part_of_tiles,
    pull_candidates,
    push_candidates,
    score_candidates,
    score_width,
    step_on_sphere,
    step_weight,
    user_at,
    visits_to_all,
)
from trimetric.engine.compile import inline, kernel
from trimetric.engine.negatives import Positives
from trimetric.engine.rows import (
    LANES,
    add_scaled,
    copy,
    dot,
    scale,
    squared_norm,
    table,
)
from trimetric.engine.session import RunSettings, Session, start_table
from trimetric.engine.threads import ThreadTeam, ThreadTuner, barrier, barrier_counts, thread_count

_ACCUMULATOR = 1e-4  # Adagrad's sums of squares begin here; gradients are far below 1
LEAST_SQUARE = np.float32(1e-12)  # of ‖f_u‖²: a shorter one has no direction


@dataclass(frozen=True, kw_only=True)
class ReconstructionSettings(RunSettings):
    """Settings of the objective, in the words of the module; a batch is a block of users.

    Parameters
    ----------
    candidates : int
        |J|; 0 for the whole catalogue.
    weight_rate : float
        Learning rate of ln h, as a multiple of that of a; 0 keeps all weights 1.
    """

    candidates: int
    weight_rate: float
    optimizer: str = "rowwise-adagrad"  # there is no other
    radius: float = 1.0
    sphere: bool = True
    init_std: float = 1.0


class State(NamedTuple):
    """What is trained, and the optimiser's sums of squares."""

    items: np.ndarray  # float32[n_items, width]: a_v
    weights: np.ndarray  # float32[n_items]: h_v
    item_squares: np.ndarray  # float32[n_items]
    weight_squares: np.ndarray  # float32[n_items]
    totals: np.ndarray  # float64[4]: see session.Totals; samples are users


class Params(NamedTuple):
    """Settings of the objective as scalars, and the users that are trained on."""

    weight_rate: Any  # float32
    dim: Any  # int64
    candidates: Any  # int64: |J|
    users: np.ndarray  # int32[samples]
    n_items: Any  # int64: |V|
    rests: np.ndarray  # float32[n_users, width]: see `Elsewhere`, as all below; no rows for none
    sizes: np.ndarray  # float32[n_users]
    norms: np.ndarray  # float32[n_users]
    turns: np.ndarray  # float32[n_users]
    squares: np.ndarray  # float32[n_users]
    alongs: np.ndarray  # float32[n_users]
    pulls: np.ndarray  # float32[n_users, width]
    radials: np.ndarray  # float32[n_users]


class Workspace(NamedTuple):
    """Memory for a block of B users with P interactions and S candidates on T threads."""

    candidates: np.ndarray  # int32[S]: items
    place: np.ndarray  # int64[n_items]: stamp of the block + place in J; less than it elsewhere
    points: np.ndarray  # float32[S', width]: a_j
    panels: np.ndarray  # float32[S'/16·dim, 16]: the same, sixteen candidates side by side
    scores: np.ndarray  # float32[B', S' + padding]: f_uj, 0 of own items, then its gradient
    gradients: np.ndarray  # float32[S', width]: of a_j
    sums: np.ndarray  # float32[B', width]: z_u
    sum_gradients: np.ndarray  # float32[B', width]: of z_u
    loss: np.ndarray  # float32[B']
    first: np.ndarray  # int64[B' + 1]: where a user's interactions begin, of the P
    entry_items: np.ndarray  # int32[P]
    entry_users: np.ndarray  # int32[P]: place in the block
    entry: np.ndarray  # float32[P]: f_ui, then its gradient
    entry_counts: np.ndarray  # float32[P]: r_ui
    slopes: np.ndarray  # float32[P]: part of the gradient of ln h
    first_slot: np.ndarray  # int32[n_items]: an item's first interaction of the P, or -1
    next_slot: np.ndarray  # int32[P]: the next one, or -1
    owned: np.ndarray  # int32[T, P + 1]: interactions of the thread's items
    scratch: np.ndarray  # float32[T, width]
    barrier: np.ndarray  # see threads.barrier_counts


@kernel
def train(me, threads, span, positives, state, settings, workspace, params):
    """Run blocks span[0] .. span[1] - 1 as thread `me` of `threads`: see `session`."""
    for block in range(span[0], span[1]):
        number = settings.steps_before + block
        count = min(settings.batch_size, settings.samples - block * settings.batch_size)
        draw_candidates(me, threads, block, number, state, settings, workspace, params)
        if me == 0:
            list_users(block, count, positives, settings, workspace, params)
        barrier(workspace.barrier, me, threads)
        evaluate_users(me, threads, block, count, positives, state, settings, workspace, params)
        barrier(workspace.barrier, me, threads)
        update_items(me, threads, count, number, state, settings, workspace, params)
        if me == 0:
            for r in range(count):
                state.totals[0] += workspace.loss[r]
                state.totals[1] += workspace.loss[r] > 0
            state.totals[3] += count
        barrier(workspace.barrier, me, threads)


@inline
def draw_candidates(me, threads, block, number, state, settings, workspace, params):
    """Draw J without repeats, and lay its points out by row and by sixteens."""
    n, size, dim = len(state.items), params.candidates, params.dim
    order = candidate_order(settings.draws, block, n)
    stamp = (number + 1) * size
    panels = (size + LANES - 1) // LANES
    for panel in range(panels * me // threads, panels * (me + 1) // threads):
        for lane in range(LANES):
            j = panel * LANES + lane
            if j < size:
                v = draw_candidate(j, order, stamp, n, workspace, params)
                copy(workspace.points, j, state.items, v, np.float32(1))
            for k in range(dim):
                workspace.panels[panel * dim + k, lane] = workspace.points[j, k]


# --- users ----------------------------------------------------------------------------------------


@inline
def sum_items(u, positives, state, params, out, r):
    """out[r] = z_u."""
    if len(params.rests) > 0:
        copy(out, r, params.rests, u, np.float32(1))
    else:
        scale(out, r, np.float32(0))
    for k in range(positives.indptr[u], positives.indptr[u + 1]):
        i = positives.items[k]
        add_scaled(out, r, state.items, i, count_at(positives.weights, k) * state.weights[i])


@inline
def evaluate_users(me, threads, block, count, positives, state, settings, workspace, params):
    """Compute the reconstructions and gradients of this thread's users, whole tiles."""
    low, high = part_of_tiles(me, threads, count)
    last, stamp = min(high, count), (settings.steps_before + block + 1) * params.candidates
    for r in range(low, last):
        u = user_at(block, r, settings, params)
        sum_items(u, positives, state, params, workspace.sums, r)
    w = workspace
    score_candidates(low, high, w.sums, w.panels, params.dim, params.candidates, w.scores)
    for r in range(low, high):
        scale(workspace.sum_gradients, r, np.float32(0))
    for r in range(low, last):
        u = user_at(block, r, settings, params)
        share = keep_others(u, r, stamp, positives, state, workspace, params)
        compare(u, r, share, positives, state, workspace, params)
    pull_candidates(low, high, w.scores, w.points, params.candidates, w.sum_gradients)
    for r in range(low, last):
        u = user_at(block, r, settings, params)
        weigh_items(u, r, state, workspace, params)
        if len(params.turns) > 0:
            add_elsewhere(u, r, workspace.sum_gradients, workspace.sums, params)


@inline
def keep_others(u, r, stamp, positives, state, workspace, params):
    """Turn scores into f_uj, 0 for the user's own items; return (|V| − n_u)/|J∖N_u|."""
    scores, low, high = workspace.scores[r], positives.indptr[u], positives.indptr[u + 1]
    others = params.candidates
    for k in range(low, high):
        j = workspace.place[positives.items[k]] - stamp
        if j >= 0:
            scores[j] = 0
            others -= 1
    if len(positives.pool_indptr) > 0:
        keep_pool(u, r, positives, workspace)
    for j in range(params.candidates):
        scores[j] = max(scores[j], np.float32(0))
    size = np.float32(high - low)
    if len(params.turns) > 0:
        size = params.sizes[u]
    return (np.float32(params.n_items) - size) / np.float32(max(others, 1))


@inline
def compare(u, r, share, positives, state, workspace, params):
    """Compute ℓ and its gradient with respect to f_u; begin that of z_u by the user's own items."""
    w, zero = workspace, np.float32(0)
    start, first = positives.indptr[u], w.first[r]
    if len(params.turns) > 0:
        share *= params.turns[u]
    along, counted, square = zero, zero, share * squared_norm(w.scores, r)
    for e in range(first, w.first[r + 1]):
        k = start + e - first
        v, count = np.int64(positives.items[k]), count_at(positives.weights, k)
        value = max(dot(w.sums, r, state.items, v) - count * state.weights[v], zero)
        w.entry_items[e], w.entry_users[e] = v, r
        w.entry[e], w.entry_counts[e] = value, count
        along += count * value
        counted += count * count
        square += value * value
    if len(params.turns) > 0:
        turn, counted = params.turns[u], params.norms[u]
        if params.squares[u] < 0:
            along, square = along / turn, square / turn
        else:
            along += (np.float32(1) - turn) * params.alongs[u]
            square += (np.float32(1) - turn) * params.squares[u]
        params.alongs[u], params.squares[u] = along, square
    if square < LEAST_SQUARE:
        w.loss[r] = 1
        scale(w.scores, r, zero)
        for e in range(first, w.first[r + 1]):
            w.entry[e] = 0
        return
    both = np.sqrt(square) * np.sqrt(counted)
    cosine = along / both
    w.loss[r] = np.float32(1) - cosine
    gain, loss = np.float32(1) / both, cosine / square
    scale(w.scores, r, loss * share)
    for e in range(first, w.first[r + 1]):
        if w.entry[e] > 0:
            w.entry[e] = loss * w.entry[e] - gain * w.entry_counts[e]
            add_scaled(w.sum_gradients, r, state.items, w.entry_items[e], w.entry[e])


@inline
def weigh_items(u, r, state, workspace, params):
    """Compute what each of the user's items adds to the gradient of its ln h."""
    w, visits = workspace, visits_to_all(u, params)
    for e in range(w.first[r], w.first[r + 1]):
        along = dot(w.sum_gradients, r, state.items, w.entry_items[e])
        w.slopes[e] = visits * (w.entry_counts[e] * (along - w.entry[e]))


# --- items ----------------------------------------------------------------------------------------


@inline
def update_items(me, threads, count, number, state, settings, workspace, params):
    """Add up the gradients of this thread's items, and step them."""
    w, size, stamp = workspace, params.candidates, (number + 1) * params.candidates
    low, high = part_of_tiles(me, threads, size)
    push_candidates(low, high, w.scores, w.sums, count, w.gradients)
    listed = link_entries(me, threads, low, high, count, stamp, workspace)
    for j in range(low, min(high, size)):
        step_item(w.candidates[j], w.gradients, j, state, settings, workspace, params)
    for e in range(listed):
        slot = w.owned[me, e]
        v = w.entry_items[slot]
        if w.first_slot[v] == slot:
            scale(w.scratch, me, np.float32(0))
            step_item(v, w.scratch, me, state, settings, workspace, params)


@inline
def step_item(v, g, k, state, settings, workspace, params):
    """Add the interactions of item v to the gradient g[k] of a_v, and step a_v and h_v."""
    w, slope, h = workspace, np.float32(0), state.weights[v]
    slot = w.first_slot[v]
    while slot >= 0:
        r, count = w.entry_users[slot], w.entry_counts[slot]
        add_scaled(g, k, w.sums, r, w.entry[slot])
        add_scaled(g, k, w.sum_gradients, r, count * h)
        slope += w.slopes[slot]
        slot = w.next_slot[slot]
    w.first_slot[v] = -1
    step_on_sphere(g, k, state.items, v, state.item_squares, v, settings.lr, params.dim)
    step_weight(v, slope, settings.lr, params.weight_rate, state)


# --- sessions -------------------------------------------------------------------------------------


class Elsewhere(NamedTuple):
    """What a session on some of the users and items must know of the others.

    Parameters
    ----------
    rests : float32 (n_users, width)
        Σ r_ui·h_i·a_i over the items of each user that are not here.
    users : int32 (n,)
        The users to train on.
    n_items : int
        Of the whole catalogue.
    sizes, norms : float32 (n_users,)
        n_u and ‖r_u‖² over the whole catalogue.
    turns : float32 (n_users,)
        f_u: one of how many visits to all items this is, as a share.
    squares, alongs : float32 (n_users,)
        ‖f_u‖², below 0 at first, and Σ r_ui·f_ui.
    pulls : float32 (n_users, width)
        The gradient of z_u.
    radials : float32 (n_users,)
        Its product with z_u.

    The last four are moving averages, as in `centroid_session.Elsewhere`. What an item itself gave
    to an old gradient lies along its point, which stays on the sphere, so that there is nothing to
    take off.
    """

    rests: np.ndarray
    users: np.ndarray
    n_items: int
    sizes: np.ndarray
    norms: np.ndarray
    turns: np.ndarray
    squares: np.ndarray
    alongs: np.ndarray
    pulls: np.ndarray
    radials: np.ndarray


def reconstruction_session(
    settings: ReconstructionSettings,
    positives: Positives,
    n_items: int,
    *,
    state: State | None = None,
    elsewhere: Elsewhere | None = None,
    tuners: dict[int, ThreadTuner] | None = None,
) -> Session:
    """Return a session that trains items whose sums reconstruct users.

    Parameters
    ----------
    settings : ReconstructionSettings
    positives : Positives
    n_items : int
    state : State, optional
        What it goes on from, instead of random points.
    elsewhere : Elsewhere, optional
        Of users and items that are a part only.
    tuners : dict, optional
        Shared with other sessions.
    """
    params = make_params(settings, positives, n_items, elsewhere)
    state = state or start_state(settings, n_items)
    block = min(settings.batch_size, len(params.users))
    most = most_interactions(positives, block)
    mean = len(positives.items) / max(len(params.users), 1)

    def workspace(threads: int) -> Workspace:
        return make_workspace(state, settings.dim, block, most, int(params.candidates), threads)

    return Session(
        kernel=train,
        settings=settings,
        positives=positives,
        state=state,
        workspace=workspace,
        params=params,
        samples=len(params.users),
        cost=1.5 * int(params.candidates) + 4 * mean,
        saved=("items", "weights"),
        tuners={} if tuners is None else tuners,
    )


def make_params(
    settings: ReconstructionSettings,
    positives: Positives,
    n_items: int,
    elsewhere: Elsewhere | None = None,
) -> Params:
    """Return the settings as a kernel takes them."""
    counts = np.diff(positives.indptr)
    size = n_candidates(settings.candidates, positives, n_items)
    none, no_rows = np.zeros(0, dtype=np.float32), table(0, settings.dim)
    elsewhere = elsewhere or Elsewhere(
        rests=no_rows,
        # the only item of a user has no other that speaks for it
        users=np.flatnonzero((counts > 1) & (counts < n_items)).astype(np.int32),
        n_items=n_items,
        sizes=none,
        norms=none,
        turns=none,
        squares=none,
        alongs=none,
        pulls=no_rows,
        radials=none,
    )
    return Params(
        **elsewhere._asdict() | {"n_items": np.int64(elsewhere.n_items)},
        weight_rate=np.float32(settings.weight_rate),
        dim=np.int64(settings.dim),
        candidates=np.int64(size),
    )


def start_state(settings: ReconstructionSettings, n_items: int) -> State:
    """Return the state that training starts from: points at random on the sphere, weights 1."""
    return blank_state(settings, n_items)._replace(items=start_table(settings, n_items))


def blank_state(settings: ReconstructionSettings, n_items: int) -> State:
    """Return a state of that size, to be filled with the rows of another."""
    squares = np.float32(_ACCUMULATOR)
    return State(
        items=table(n_items, settings.dim),
        weights=np.ones(n_items, dtype=np.float32),
        item_squares=np.full(n_items, squares),
        weight_squares=np.full(n_items, squares),
        totals=np.zeros(4),
    )


def make_workspace(
    state: State, dim: int, block: int, entries: int, candidates: int, threads: int
) -> Workspace:
    """Return memory for blocks of at most `block` users with `entries` interactions."""
    rows, padded_candidates = in_tiles(block), in_lanes(candidates)
    n_items = len(state.items)
    return Workspace(
        candidates=np.zeros(candidates, dtype=np.int32),
        place=np.zeros(n_items, dtype=np.int64),
        points=table(padded_candidates, dim),
        panels=table(padded_candidates // LANES * dim, LANES),
        scores=table(rows, score_width(candidates)),
        gradients=table(padded_candidates, dim),
        sums=table(rows, dim),
        sum_gradients=table(rows, dim),
        loss=np.zeros(rows, dtype=np.float32),
        first=np.zeros(rows + 1, dtype=np.int64),
        entry_items=np.zeros(entries, dtype=np.int32),
        entry_users=np.zeros(entries, dtype=np.int32),
        entry=np.zeros(entries, dtype=np.float32),
        entry_counts=np.zeros(entries, dtype=np.float32),
        slopes=np.zeros(entries, dtype=np.float32),
        first_slot=np.full(n_items, -1, dtype=np.int32),
        next_slot=np.zeros(entries, dtype=np.int32),
        owned=np.zeros((threads, entries + 1), dtype=np.int32),
        scratch=table(threads, dim),
        barrier=barrier_counts(threads),
    )


# --- what training leaves -------------------------------------------------------------------------


def reconstructed(
    state: State, positives: Positives, params: Params
) -> tuple[np.ndarray, np.ndarray]:
    """Return z_u/‖z_u‖ float32 (n_users, width), 0 without items, and a_v (n_items, width)."""
    users = table(len(positives.indptr) - 1, int(params.dim))
    threads = thread_count()
    with ThreadTeam(threads) as team:
        team.run(lambda me: add_up(me, threads, positives, state, params, users))
    unit_rows(users, np.float32(1))
    return users, state.items.copy()


@kernel
def add_up(me, threads, positives, state, params, out):
    """out[u] = z_u of all users."""
    n = len(positives.indptr) - 1
    for u in range(n * me // threads, n * (me + 1) // threads):
        sum_items(u, positives, state, params, out, u)


@kernel
def unit_rows(points, length):
    """Make each row that is not 0 `length` long."""
    for u in range(len(points)):
        scale(points, u, length / np.sqrt(max(squared_norm(points, u), SHORTEST)))
