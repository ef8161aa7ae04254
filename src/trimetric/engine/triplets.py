"""Deterministic parallel mini-batches of triplets.

Users and items are rows of one table of points, the users first: point n_users + v is item v.
Every thread runs `train` over the same batches, in step. A batch has four stages:

    draw    triplets in parallel: the positive pair, and a negative that needs no distances
    judge   triplets in parallel: hard negatives, distances, which hinges pull (reads points only)
    gather  points in parallel: the gradient of each touched point, its terms in triplet order, and
            the optimiser step, into the owner's buffer (points are still only read)
    settle  points in parallel: the new rows into the table

A point belongs to one thread (`owner`), so no sum depends on how many threads there are. Only two
numbers a triplet, how strongly each hinge pulls, pass from judge to gather: gradients are never
written out, but summed from rows that are still in cache.
"""

from typing import Any, NamedTuple

import numpy as np

from trimetric.engine.compile import inline, kernel
from trimetric.engine.gumbel import drawn, drawn_second
from trimetric.engine.negatives import (
    ATTEMPTS,
    HARDEST,
    OWN_NOISE,
    POPULARITY,
    drawn_from,
    interacted,
    popular_negative,
    proposed,
    uniform_negative,
)
from trimetric.engine.objective import corners, item_hinge, margin_gradient, user_hinge
from trimetric.engine.optimizers import adam_bias, step_margin, step_row
from trimetric.engine.rng import bits, shuffled
from trimetric.engine.rows import (
    GROUP,
    add_pull,
    copy,
    prefetch,
    pull,
    squared_distance,
    squared_distances,
)
from trimetric.engine.threads import meet

_AHEAD = 6  # triplets between asking for a row and reading it
_BLOCK_BITS = 4  # points owned together: their int32 chain heads share a cache line


class Space(NamedTuple):
    """What is learned, and the optimiser's memory of it; the users' rows come first."""

    points: np.ndarray  # float32[n_users + n_items, width]
    first: np.ndarray  # like points for Adam, else [0, 1]
    second: np.ndarray  # like points, or [., 1] for row-wise Adagrad
    margins: np.ndarray  # float32[n_users + n_items]: m_u and n_v
    memory: np.ndarray  # float32[n_users + n_items, 2]: the optimiser's memory of the margins


class Rule(NamedTuple):
    """The settings of an epoch, as scalars."""

    order: Any  # random.Order of the positives
    draws: Any  # uint64: the key of the negatives
    steps_before: Any  # int64: mini-batches before this epoch
    batch_size: Any  # int64
    negatives: Any  # int64: UNIFORM, POPULARITY or HARDEST
    candidates: Any  # int64: S of hardest-of-S
    rank_weight: Any  # bool
    lam: Any  # float32
    gamma: Any  # float32: γ/512
    adaptive_users: Any  # bool
    adaptive_items: Any  # bool
    optimizer: Any  # int64: ROWWISE, ADAGRAD or ADAM
    lr: Any  # float32
    radius: Any  # float32: l of the ball
    margin: Any  # float32: where m starts, and its limit
    item_margin: Any  # float32: where n starts, and its limit
    sphere: Any  # bool
    dim: Any  # float32


class Work(NamedTuple):
    """Room for one mini-batch of B triplets on T threads."""

    triplets: np.ndarray  # int32[B, 4]: the points (u, v, v⁻), v⁻ = -1 if the user has all items
    corners: np.ndarray  # int32[4B]: the same memory; corner r of triplet t is number 4t + r
    pulls: np.ndarray  # float32[B, 2]: a = 2w or 0, b = 2λ or 0 (see objective)
    loss: np.ndarray  # float32[B]
    weights: np.ndarray  # float32[S + 1]: CML's rank weight by number of impostors
    noise: np.ndarray  # float32[4096]: what a draw may add to nearness, see noise
    heads: np.ndarray  # int32[n_users + n_items], all -1 between batches
    own: np.ndarray  # int32[T, 3B + 1]: numbers of the corners a thread owns
    chain: np.ndarray  # int32[T, 4B]: the next corner at the same point, or -1
    rows: np.ndarray  # int32[T, 3B]: which point each fresh row is
    factors: np.ndarray  # float32[T, 3B]: what projects each fresh row
    fresh: np.ndarray  # float32[T, min(3B, n_users + n_items), width]
    places: np.ndarray  # int32[T, S']: one triplet's candidates; S' is S, rounded up to fours
    luck: np.ndarray  # float32[T, S']: their noise
    far: np.ndarray  # float32[T, S']: their d² to the user
    arrivals: np.ndarray  # int64[16]
    totals: np.ndarray  # float64[4]: loss, active user hinges, active item hinges, triplets


@kernel
def train(me, threads, span, positives, space, rule, work):
    """Run mini-batches span[0] .. span[1] - 1 of one epoch as thread `me` of `threads`."""
    total, size = len(positives.users), rule.batch_size
    met = np.int64(0)
    for batch in range(span[0], span[1]):
        first = batch * size
        count = min(size, total - first)
        low, high = count * me // threads, count * (me + 1) // threads
        draw(low, high, first, positives, rule, work)
        met += threads
        meet(work.arrivals, met)
        judge(me, low, high, first, positives, space, rule, work)
        met += threads
        meet(work.arrivals, met)
        bias = adam_bias(rule.steps_before + batch + 1)
        stepped = gather(me, threads, count, positives, space, rule, work, bias)
        if me == 0:
            add_up(count, work)
        met += threads
        meet(work.arrivals, met)
        for k in range(stepped):
            copy(space.points, work.rows[me, k], work.fresh[me], k, work.factors[me, k])
    met += threads
    meet(work.arrivals, met)


@inline
def draw(low, high, first, positives, rule, work):
    """Choose the positive pairs at places low .. high - 1 of the batch, and easy negatives."""
    triplets, n_users = work.triplets, len(positives.indptr) - 1
    n_items = len(work.heads) - n_users
    for t in range(low, high):
        place = shuffled(first + t, rule.order)
        triplets[t, 0] = positives.users[place]
        triplets[t, 1] = positives.items[place] + n_users
    if rule.negatives == HARDEST:
        return
    for t in range(low, high):
        u = np.int64(triplets[t, 0])
        if rule.negatives == POPULARITY:
            drawn = popular_negative(rule.draws, first + t, u, positives, n_items)
        else:
            drawn = uniform_negative(rule.draws, first + t, u, positives, n_items)
        triplets[t, 2] = drawn + n_users if drawn >= 0 else -1


@inline
def judge(me, low, high, first, positives, space, rule, work):
    """Decide how strongly each hinge of equation (6) pulls, and choose hard negatives."""
    points, margins, triplets, pulls = space.points, space.margins, work.triplets, work.pulls
    lam = rule.lam
    for t in range(low, high):
        if t + _AHEAD < high:
            prefetch(points, triplets[t + _AHEAD, 0])
            prefetch(points, triplets[t + _AHEAD, 1])
            if rule.negatives != HARDEST:
                prefetch(points, max(triplets[t + _AHEAD, 2], 0))
        u, v = triplets[t, 0], triplets[t, 1]
        d_uv = squared_distance(points, u, points, v)
        weight, other = np.float32(1), np.float32(0)
        if rule.negatives == HARDEST:
            reach = d_uv + margins[u]
            n, d_un, impostors = hardest(me, first + t, u, reach, positives, points, rule, work)
            triplets[t, 2] = n
            word = bits(rule.draws, (first + t) * ATTEMPTS + OWN_NOISE)
            d_uv -= drawn(word, work.noise)
            other = drawn_second(word, work.noise)
            if rule.rank_weight:
                weight = work.weights[impostors]
        else:
            n = np.int64(triplets[t, 2])
            d_un = squared_distance(points, u, points, max(n, 0))
        a, b, loss = np.float32(0), np.float32(0), np.float32(0)
        if n >= 0:
            a, loss = active(user_hinge(d_uv, d_un, margins[u]), weight)
            if lam > 0:
                d_vn = squared_distance(points, v, points, n) - other
                b, item_loss = active(item_hinge(d_uv, d_vn, margins[v]), lam)
                loss += item_loss
        pulls[t, 0] = a + a
        pulls[t, 1] = b + b
        work.loss[t] = loss


@inline
def active(hinge, weight):
    """Return the weight where the hinge pulls, else 0, and its loss; NaN pulls, and so shows."""
    pulling = weight * (not hinge <= 0)
    return np.float32(pulling), np.float32(pulling * hinge)


@inline
def hardest(me, triplet, u, reach, positives, points, rule, work):
    """Return the drawn item nearest to the user, its d², and how many lie within `reach`.

    CML's approximate ranking (Hsieh et al. 2017, section 3.2.2): S items are drawn uniformly and
    those the user has interacted with are left out. If none remains, one uniform negative. A pool
    stands for the catalogue: S are drawn from it, and the share of impostors is its own. Distances
    are as seen through the noise.
    """
    n_users = len(positives.indptr) - 1
    n_items = len(points) - n_users
    best, nearest, impostors = np.int64(-1), np.float32(np.inf), 0
    places, luck, far = work.places[me], work.luck[me], work.far[me]
    start, size = drawn_from(u, positives, n_items)
    count = rule.candidates if size > 0 else 0
    for s in range(count):
        word = bits(rule.draws, triplet * ATTEMPTS + s)
        places[s] = proposed(word, start, size, positives) + n_users
        luck[s] = drawn(word, work.noise)
        prefetch(points, places[s])
    for s in range(0, count, GROUP):
        squared_distances(points, u, points, places, s, far)
    for s in range(count):
        d = far[s] - luck[s]
        counts = rule.rank_weight and d < reach
        if (d < nearest or counts) and not interacted(places[s] - n_users, u, positives):
            impostors += counts
            if d < nearest:
                best, nearest = np.int64(places[s]), d
    if best < 0:
        item = uniform_negative(rule.draws, triplet, np.int64(u), positives, n_items)
        if item >= 0:
            best = item + n_users
            nearest = squared_distance(points, u, points, best)
            impostors = 1 if nearest < reach else 0
    return best, nearest, impostors


@inline
def owner(point, threads):
    """Return which thread owns `point`: blocks of 16, spread by a multiplicative hash."""
    scrambled = np.uint32(np.uint32(point >> _BLOCK_BITS) * np.uint32(2654435769))
    return np.int64((np.uint64(scrambled) * np.uint64(threads)) >> np.uint64(32))


@inline
def claim(me, threads, count, rule, work):
    """List the corners that pull at this thread's points; chain those at the same point.

    A margin feels γ even where its hinge rests. Conditions are joined without branches.
    """
    triplets, pulls, heads, corners_ = work.triplets, work.pulls, work.heads, work.corners
    own, chain = work.own[me], work.chain[me]
    users, items = rule.adaptive_users, rule.adaptive_items
    owned = 0
    for t in range(count):
        real = triplets[t, 2] >= 0
        pulled = real & ((pulls[t, 0] != 0) | (pulls[t, 1] != 0))
        own[owned] = 4 * t
        owned += (pulled | (real & users)) & (owner(triplets[t, 0], threads) == me)
        own[owned] = 4 * t + 1
        owned += (pulled | (real & items)) & (owner(triplets[t, 1], threads) == me)
        own[owned] = 4 * t + 2
        owned += pulled & (owner(triplets[t, 2], threads) == me)
    for i in range(owned - 1, -1, -1):
        corner = own[i]
        point = corners_[corner]
        chain[corner] = heads[point]
        heads[point] = corner
    return owned


@inline
def gather(me, threads, count, positives, space, rule, work, bias):
    """Step the points this thread owns, into its buffer; return how many there are."""
    points, first, second = space.points, space.first, space.second
    margins, memory, gamma = space.margins, space.memory, rule.gamma
    corners_, pulls, heads = work.corners, work.pulls, work.heads
    own, chain, rows, fresh = work.own[me], work.chain[me], work.rows[me], work.fresh[me]
    factors, n_users = work.factors[me], len(positives.indptr) - 1
    owned = claim(me, threads, count, rule, work)
    k = 0
    for i in range(owned):
        corner = own[i]
        point = corners_[corner]
        if heads[point] != corner:
            continue  # summed with the point's first corner
        heads[point] = -1
        strength, margin_pull = np.float32(0), np.float32(0)
        square, begun, has_margin = np.float32(0), False, False
        while corner >= 0:
            t, role = corner >> 2, corner & 3
            a, b = pulls[t, 0], pulls[t, 1]
            x, y, z = corners(role)
            x, y, z = corners_[4 * t + x], corners_[4 * t + y], corners_[4 * t + z]
            if begun:
                square = add_pull(fresh, k, points, x, y, z, a, b)
            else:
                square = pull(fresh, k, points, x, y, z, a, b)
                begun = True
            strength += a + b
            if role < 2:
                margin_pull += margin_gradient(pulls[t, role], gamma)
                has_margin = True
            corner = chain[corner]
        is_user = point < n_users
        if has_margin and (rule.adaptive_users if is_user else rule.adaptive_items):
            limit = rule.margin if is_user else rule.item_margin
            step_margin(margins, point, margin_pull, limit, memory, rule, bias)
        if strength != 0:
            factors[k] = step_row(fresh, k, square, points, point, first, second, rule, bias)
            rows[k] = point
            k += 1
    return k


@inline
def add_up(count, work):
    """Add the batch to the running totals, in triplet order."""
    for t in range(count):
        work.totals[0] += work.loss[t]
        work.totals[1] += work.pulls[t, 0] != 0
        work.totals[2] += work.pulls[t, 1] != 0
        work.totals[3] += work.triplets[t, 2] >= 0
