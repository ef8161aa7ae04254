"""SML's own training loop: deterministic parallel mini-batches of triplets, equation (6).

Users and items are rows of one table of points, the users first: point n_users + v is item v.
Every thread runs `train` over the same mini-batches, each of which has four stages:

    sample_triplets   triplets in parallel: the positive pair, and a negative that needs no distance
    evaluate_hinges   triplets in parallel: hard negatives, distances, active hinges
    compute_updates   points in parallel: the gradient of each point, its terms in triplet order,
                      and the optimiser's step, into a buffer of the point's thread
    apply_updates     points in parallel: the new rows into the table

The first three stages only read points. Each point belongs to one thread (`owner`), so that no sum
depends on the number of threads. CML's covariance penalty, where it is on, has a stage of its own
before the third: see `covariance`. From the second stage to the third go two numbers per triplet, a
and b of `objective`: gradients are never written out, but summed from rows that are in cache.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from trimetric.engine import rows
from trimetric.engine.compile import inline, kernel
from trimetric.engine.covariance import (
    add_covariance_gradient,
    count_points,
    norms,
    penalty,
    sum_covariance,
)
from trimetric.engine.gumbel import gumbel_noise, noise_table, second_gumbel_noise
from trimetric.engine.negatives import (
    DRAWS_PER_TRIPLET,
    HARDEST,
    NEGATIVES,
    POPULARITY,
    POSITIVE_NOISE,
    Positives,
    candidate,
    candidate_range,
    interacted,
    popular_negative,
    positive_pair,
    uniform_negative,
)
from trimetric.engine.objective import (
    GAMMA_BATCH,
    active_weight,
    hinge_loss,
    item_gradient,
    item_hinge,
    item_margin_gradient,
    negative_gradient,
    rank_weights,
    user_gradient,
    user_hinge,
    user_margin_gradient,
)
from trimetric.engine.optimizers import (
    accumulator_start,
    adam_bias,
    start_moments,
    step_margin,
    step_row,
)
from trimetric.engine.rng import bits
from trimetric.engine.rows import GROUP, copy, prefetch, squared_distance, squared_distances
from trimetric.engine.session import RunSettings, Session, start_table
from trimetric.engine.threads import ThreadTuner, barrier, barrier_counts

_AHEAD = 6  # triplets between asking for a row and reading it
_BLOCK_BITS = 4  # points owned together: their entries of `first_slot` share a cache line


class State(NamedTuple):
    """What is trained, and the optimiser's moments; the users' rows come first."""

    points: np.ndarray  # float32[n_users + n_items, width]
    first: np.ndarray  # like points for Adam, else [0, 1]
    second: np.ndarray  # like points, or [., 1] for row-wise Adagrad
    margins: np.ndarray  # float32[n_users + n_items]: m_u and n_v; [0] where both are fixed
    margin_moments: np.ndarray  # float32[n_users + n_items, 2], or [0, 2]
    totals: np.ndarray  # float64[4]: loss, active user hinges, active item hinges, triplets


class Params(NamedTuple):
    """Settings of the objective and of its negatives, as scalars."""

    negatives: Any  # int64: UNIFORM, POPULARITY or HARDEST
    candidates: Any  # int64: S of hardest-of-S
    rank_weight: Any  # bool
    lam: Any  # float32
    gamma: Any  # float32: γ/512
    adaptive_users: Any  # bool
    adaptive_items: Any  # bool
    margin: Any  # float32: first value and limit of m
    item_margin: Any  # float32: first value and limit of n
    covariance: Any  # float32: λ_c of CML's covariance penalty


class Workspace(NamedTuple):
    """Memory for one mini-batch of B triplets on T threads.

    Slot 4t + r stands for the part of point r of triplet t: u, v or v⁻. The slots of one point are
    linked in triplet order, from `first_slot` on.
    """

    triplets: np.ndarray  # int32[B, 4]: the points u, v and v⁻; v⁻ is -1 if the user has all items
    slot_points: np.ndarray  # int32[4B]: the same memory
    hinge_weights: np.ndarray  # float32[B, 2]: a and b of `objective`
    loss: np.ndarray  # float32[B]
    rank_weights: np.ndarray  # float32[S + 1]: CML's w by number of impostors
    noise: np.ndarray  # float32[4096]: see gumbel.noise_table
    first_slot: np.ndarray  # int32[n_users + n_items], all -1 between mini-batches
    owned_slots: np.ndarray  # int32[T, 3B + 1]: slots of the thread's points
    next_slot: np.ndarray  # int32[T, 4B]: the next slot of the same point, or -1
    updates: np.ndarray  # float32[T, min(3B, n_users + n_items), width]: new rows
    update_points: np.ndarray  # int32[T, 3B]: the point of each new row
    update_factors: np.ndarray  # float32[T, 3B]: what projects each new row
    candidate_rows: np.ndarray  # int32[T, S']: one triplet's candidates; S' is rows.grouped(S)
    candidate_noise: np.ndarray  # float32[T, S']: their Gumbel noise
    candidate_d2: np.ndarray  # float32[T, S']: their d² to the user
    covariance: np.ndarray  # float32[dim, width]: see `covariance`; no rows without the penalty
    centering: np.ndarray  # float32[2T, width]
    barrier: np.ndarray  # see threads.barrier_counts


@kernel
def train(me, threads, span, positives, state, settings, workspace, params):
    """Run mini-batches span[0] .. span[1] - 1 of one epoch as thread `me` of `threads`."""
    for batch in range(span[0], span[1]):
        start = batch * settings.batch_size
        count = min(settings.batch_size, settings.samples - start)
        part = (count * me // threads, count * (me + 1) // threads)
        sample_triplets(part, start, positives, settings, workspace, params)
        barrier(workspace.barrier, me, threads)
        evaluate_hinges(me, part, start, positives, state, settings, workspace, params)
        barrier(workspace.barrier, me, threads)
        if len(workspace.covariance) > 0:
            sum_covariance(me, threads, count, state.points, workspace)
            barrier(workspace.barrier, me, threads)
        bias = adam_bias(settings.steps_before + batch + 1)
        updates = compute_updates(me, threads, count, state, settings, workspace, params, bias)
        if me == 0:
            add_to_totals(count, state, workspace, params)
        barrier(workspace.barrier, me, threads)
        apply_updates(me, updates, state, workspace)
    barrier(workspace.barrier, me, threads)


@inline
def sample_triplets(part, start, positives, settings, workspace, params):
    """Draw the positive pairs of triplets part[0] .. part[1] - 1, and negatives but the hardest."""
    triplets, n_users = workspace.triplets, len(positives.indptr) - 1
    n_items = len(workspace.first_slot) - n_users
    for t in range(part[0], part[1]):
        position = positive_pair(start + t, positives, settings)
        triplets[t, 0] = positives.users[position]
        triplets[t, 1] = positives.items[position] + n_users
    if params.negatives == HARDEST:
        return
    for t in range(part[0], part[1]):
        u = np.int64(triplets[t, 0])
        if params.negatives == POPULARITY:
            item = popular_negative(settings.draws, start + t, u, positives, n_items)
        else:
            item = uniform_negative(settings.draws, start + t, u, positives, n_items)
        triplets[t, 2] = item + n_users if item >= 0 else -1


@inline
def evaluate_hinges(me, part, start, positives, state, settings, workspace, params):
    """Find the weight of each triplet's hinges in its gradient, and its hardest negative."""
    points, triplets, hinge_weights = state.points, workspace.triplets, workspace.hinge_weights
    learned = len(state.margins) > 0
    for t in range(part[0], part[1]):
        if t + _AHEAD < part[1]:
            prefetch(points, triplets[t + _AHEAD, 0])
            prefetch(points, triplets[t + _AHEAD, 1])
            if params.negatives != HARDEST:
                prefetch(points, max(triplets[t + _AHEAD, 2], 0))
        u, v = triplets[t, 0], triplets[t, 1]
        m = state.margins[u] if learned else params.margin
        d_uv = squared_distance(points, u, points, v)
        w, item_noise = np.float32(1), np.float32(0)
        if params.negatives == HARDEST:
            n, d_un, impostors = hardest_negative(
                me, start + t, u, d_uv + m, positives, points, settings, workspace, params
            )
            triplets[t, 2] = n
            word = bits(settings.draws, (start + t) * DRAWS_PER_TRIPLET + POSITIVE_NOISE)
            d_uv -= gumbel_noise(word, workspace.noise)
            item_noise = second_gumbel_noise(word, workspace.noise)
            if params.rank_weight:
                w = workspace.rank_weights[impostors]
        else:
            n = np.int64(triplets[t, 2])
            d_un = squared_distance(points, u, points, max(n, 0))
        a, b, loss = np.float32(0), np.float32(0), np.float32(0)
        if n >= 0:
            hinge = user_hinge(d_uv, d_un, m)
            a, loss = active_weight(hinge, w), hinge_loss(hinge, w)
            if params.lam > 0:
                margin = state.margins[v] if learned else params.item_margin
                d_vn = squared_distance(points, v, points, n) - item_noise
                hinge = item_hinge(d_uv, d_vn, margin)
                b = active_weight(hinge, params.lam)
                loss += hinge_loss(hinge, params.lam)
        hinge_weights[t, 0] = a + a
        hinge_weights[t, 1] = b + b
        workspace.loss[t] = loss


@inline
def hardest_negative(me, t, u, violation_radius, positives, points, settings, workspace, params):
    """Return the candidate nearest to the user, its d², and the number of impostors.

    CML's approximate ranking (Hsieh et al. 2017, section 3.2.2): S items are drawn uniformly, and
    those the user has interacted with are left out. Impostors lie within `violation_radius`, the d²
    below which the hinge is active. If no candidate remains, one uniform negative is drawn. A pool
    stands for the catalogue: candidates are drawn from it. Distances are those with noise.
    """
    n_users = len(positives.indptr) - 1
    n_items = len(points) - n_users
    best, nearest, impostors = np.int64(-1), np.float32(np.inf), 0
    candidates, noise = workspace.candidate_rows[me], workspace.candidate_noise[me]
    d2 = workspace.candidate_d2[me]
    start, size = candidate_range(u, positives, n_items)
    count = params.candidates if size > 0 else 0
    for s in range(count):
        word = bits(settings.draws, t * DRAWS_PER_TRIPLET + s)
        candidates[s] = candidate(word, start, size, positives) + n_users
        noise[s] = gumbel_noise(word, workspace.noise)
        prefetch(points, candidates[s])
    for s in range(0, count, GROUP):
        squared_distances(points, u, points, candidates, s, d2)
    for s in range(count):
        d = d2[s] - noise[s]
        counts = params.rank_weight and d < violation_radius
        if (d < nearest or counts) and not interacted(candidates[s] - n_users, u, positives):
            impostors += counts
            if d < nearest:
                best, nearest = np.int64(candidates[s]), d
    if best < 0:
        item = uniform_negative(settings.draws, t, np.int64(u), positives, n_items)
        if item >= 0:
            best = item + n_users
            nearest = squared_distance(points, u, points, best)
            impostors = 1 if nearest < violation_radius else 0
    return best, nearest, impostors


@inline
def owner(point, threads):
    """Return the thread that owns `point`: blocks of 16, spread by a multiplicative hash."""
    scrambled = np.uint32(np.uint32(point >> _BLOCK_BITS) * np.uint32(2654435769))
    return np.int64((np.uint64(scrambled) * np.uint64(threads)) >> np.uint64(32))


@inline
def assign_rows(me, threads, count, workspace, params):
    """List the slots with a gradient whose points this thread owns, and link those of one point.

    A learned margin has a gradient, −γ/512, even where its hinge is not active, and with the
    covariance penalty every point has one. Conditions are joined without branches.
    """
    triplets, hinge_weights = workspace.triplets, workspace.hinge_weights
    first_slot, slot_points = workspace.first_slot, workspace.slot_points
    owned, next_slot = workspace.owned_slots[me], workspace.next_slot[me]
    users, items = params.adaptive_users, params.adaptive_items
    penalized = len(workspace.covariance) > 0
    size = 0
    for t in range(count):
        real = triplets[t, 2] >= 0
        active = real & (penalized | (hinge_weights[t, 0] != 0) | (hinge_weights[t, 1] != 0))
        owned[size] = 4 * t
        size += (active | (real & users)) & (owner(triplets[t, 0], threads) == me)
        owned[size] = 4 * t + 1
        size += (active | (real & items)) & (owner(triplets[t, 1], threads) == me)
        owned[size] = 4 * t + 2
        size += active & (owner(triplets[t, 2], threads) == me)
    for i in range(size - 1, -1, -1):
        slot = owned[i]
        point = slot_points[slot]
        next_slot[slot] = first_slot[point]
        first_slot[point] = slot
    return size


@inline
def compute_updates(me, threads, count, state, settings, workspace, params, bias):
    """Step the points this thread owns, into its buffer; return the number of new rows."""
    points, first, second = state.points, state.first, state.second
    owned, updates = workspace.owned_slots[me], workspace.updates[me]
    size = assign_rows(me, threads, count, workspace, params)
    penalized, n, lengths = len(workspace.covariance) > 0, 0, (np.float32(0), np.float32(0))
    if penalized:
        n, lengths = count_points(workspace.triplets, count), norms(workspace.covariance)
    k = 0
    for i in range(size):
        slot = owned[i]
        point = workspace.slot_points[slot]
        if workspace.first_slot[point] != slot:
            continue  # summed with the point's first slot
        workspace.first_slot[point] = -1
        square, weight, slope, limit = sum_gradients(me, k, slot, points, workspace, params)
        if limit > 0:
            moments = state.margin_moments
            step_margin(state.margins, point, slope, limit, moments, settings, bias)
        if penalized:
            times = chain_length(me, slot, workspace)
            square = add_covariance_gradient(
                me, updates, k, point, times, n, points, workspace, params.covariance, lengths
            )
        if penalized | (weight != 0):
            factor = step_row(updates, k, square, points, point, first, second, settings, bias)
            workspace.update_factors[me, k] = factor
            workspace.update_points[me, k] = point
            k += 1
    return k


@inline
def sum_gradients(me, k, slot, points, workspace, params):
    """Write the gradient of the point with this first slot to new row k: equation (6).

    Returns
    -------
    square : float32
        ‖gradient‖².
    weight : float32
        Sum of its hinge weights; 0 where no hinge is active and the point must not move.
    slope : float32
        Gradient of the point's margin.
    limit : float32
        Limit of that margin; 0 where it is fixed or not part of any of the triplets.
    """
    g, triplets = workspace.updates[me], workspace.triplets
    square, weight, slope, limit = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    add = False
    while slot >= 0:
        t, role = slot >> 2, slot & 3
        u, v, n = triplets[t, 0], triplets[t, 1], triplets[t, 2]
        a, b = workspace.hinge_weights[t, 0], workspace.hinge_weights[t, 1]
        if role == 0:
            square = user_gradient(g, k, points, u, v, n, a, b, add)
            if params.adaptive_users:
                slope += user_margin_gradient(a, params.gamma)
                limit = params.margin
        elif role == 1:
            square = item_gradient(g, k, points, u, v, n, a, b, add)
            if params.adaptive_items:
                slope += item_margin_gradient(b, params.gamma)
                limit = params.item_margin
        else:
            square = negative_gradient(g, k, points, u, v, n, a, b, add)
        add = True
        weight += a + b
        slot = workspace.next_slot[me, slot]
    return square, weight, slope, limit


@inline
def chain_length(me, slot, workspace):
    """Return how many slots of the mini-batch are of the point with this first slot."""
    length = 0
    while slot >= 0:
        length += 1
        slot = workspace.next_slot[me, slot]
    return length


@inline
def apply_updates(me, count, state, workspace):
    """Write this thread's new rows to the table, projected into the ball."""
    for k in range(count):
        point, factor = workspace.update_points[me, k], workspace.update_factors[me, k]
        copy(state.points, point, workspace.updates[me], k, factor)


@inline
def add_to_totals(count, state, workspace, params):
    """Add the mini-batch to the totals, in triplet order."""
    totals, hinge_weights = state.totals, workspace.hinge_weights
    if len(workspace.covariance) > 0:
        totals[0] += penalty(count, workspace, params.covariance)
    for t in range(count):
        totals[0] += workspace.loss[t]
        totals[1] += hinge_weights[t, 0] != 0
        totals[2] += hinge_weights[t, 1] != 0
        totals[3] += workspace.triplets[t, 2] >= 0


# --- the session --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TripletSettings(RunSettings):
    """Settings of a run of SML, as in `models.sml.TripletConfig`."""

    negatives: str
    candidates: int
    temperature: float
    rank_weight: bool
    lam: float
    gamma: float
    adaptive_users: bool
    adaptive_items: bool
    margin: float
    item_margin: float
    covariance: float = 0.0


def triplet_session(
    settings: TripletSettings,
    positives: Positives,
    n_items: int,
    *,
    state: State | None = None,
    catalogue: int | None = None,
    samples: int | None = None,
    tuners: dict[int, ThreadTuner] | None = None,
) -> Session:
    """Return a session of SML, CML or one of the ablations.

    Parameters
    ----------
    settings : TripletSettings
    positives : Positives
    n_items : int
    state : State, optional
        What it goes on from, instead of random points.
    catalogue : int, optional
        The items by which CML's ranks are estimated, where `n_items` are a part of them.
    samples : int, optional
        Triplets of an epoch, at least 1, where interactions have weights; their number otherwise.
    tuners : dict, optional
        Shared with other sessions.
    """
    s = settings
    params = Params(
        negatives=np.int64(NEGATIVES[s.negatives]),
        candidates=np.int64(s.candidates),
        rank_weight=s.rank_weight,
        lam=np.float32(s.lam),
        gamma=np.float32(s.gamma / GAMMA_BATCH),
        adaptive_users=s.adaptive_users,
        adaptive_items=s.adaptive_items,
        margin=np.float32(s.margin),
        item_margin=np.float32(s.item_margin),
        covariance=np.float32(s.covariance),
    )
    n_points = len(positives.indptr) - 1 + n_items
    samples = samples or len(positives.users)
    batch = min(s.batch_size, samples)

    def workspace(threads: int) -> Workspace:
        slots, candidates = 3 * batch, rows.grouped(s.candidates)
        updates = min(slots, n_points)
        triplets = np.zeros((batch, 4), dtype=np.int32)
        return Workspace(
            triplets=triplets,
            slot_points=triplets.reshape(-1),
            hinge_weights=np.zeros((batch, 2), dtype=np.float32),
            loss=np.zeros(batch, dtype=np.float32),
            rank_weights=rank_weights(catalogue or n_items, s.candidates),
            noise=noise_table(s.temperature),
            first_slot=np.full(n_points, -1, dtype=np.int32),
            owned_slots=np.zeros((threads, slots + 1), dtype=np.int32),
            next_slot=np.zeros((threads, 4 * batch), dtype=np.int32),
            updates=rows.table(threads * updates, s.dim).reshape(threads, updates, -1),
            update_points=np.zeros((threads, slots), dtype=np.int32),
            update_factors=np.zeros((threads, slots), dtype=np.float32),
            candidate_rows=np.zeros((threads, candidates), dtype=np.int32),
            candidate_noise=np.zeros((threads, candidates), dtype=np.float32),
            candidate_d2=np.zeros((threads, candidates), dtype=np.float32),
            covariance=rows.table(s.dim if s.covariance > 0 else 0, s.dim),
            centering=rows.table(2 * threads if s.covariance > 0 else 0, s.dim),
            barrier=barrier_counts(threads),
        )

    return Session(
        kernel=train,
        settings=settings,
        positives=positives,
        state=state or start_state(settings, len(positives.indptr) - 1, n_items),
        workspace=workspace,
        params=params,
        samples=samples,
        cost=(s.candidates + 2.0 if s.negatives == "hardest" else 3.0)
        + (6.0 * s.dim if s.covariance > 0 else 0.0),
        saved=("points", "margins"),
        tuners={} if tuners is None else tuners,
    )


def start_state(settings: TripletSettings, n_users: int, n_items: int) -> State:
    """Return the state that training starts from."""
    n = n_users + n_items
    return _state(settings, start_table(settings, n), n_users)


def blank_state(settings: TripletSettings, n_users: int, n_items: int) -> State:
    """Return a state of that size, to be filled with the rows of another."""
    return _state(settings, rows.table(n_users + n_items, settings.dim), n_users)


def _state(settings: TripletSettings, points: np.ndarray, n_users: int) -> State:
    n, learned = len(points), settings.adaptive_users or settings.adaptive_items
    first, second = start_moments(settings.optimizer, points)
    # All numbers of a point beside its row lie together, so that one read brings them: its margin,
    # the two moments of the margin, and row-wise Adagrad's moment of the row.
    start = accumulator_start(settings.optimizer)
    beside = np.full((n if learned else 0, 4), start, dtype=np.float32)
    beside[:n_users, 0], beside[n_users:, 0] = settings.margin, settings.item_margin
    rowwise = settings.optimizer == "rowwise-adagrad" and learned
    return State(
        points=points,
        first=first,
        second=beside[:, 3:] if rowwise else second,
        margins=beside[:, 0],
        margin_moments=beside[:, 1:3],
        totals=np.zeros(4),
    )
