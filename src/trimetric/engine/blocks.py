"""What the closed-form loops share: blocks of whole users against candidates drawn for a block.

A block's users have places 0 .. B − 1, its candidates J places 0 .. |J| − 1, and the interactions
of its users places 0 .. P − 1. `workspace` stands for that of either loop (`centroids`,
`reconstruction`), whose fields of the same names mean the same. Products run over whole tiles of
users or candidates; each number is a sum in the order of its terms.
"""

import numpy as np

from trimetric.engine.compile import callee, inline
from trimetric.engine.elementary import exp
from trimetric.engine.negatives import Positives
from trimetric.engine.rng import Order, bits, shuffled
from trimetric.engine.rows import (
    LANES,
    TILE,
    add_product,
    add_scaled,
    copy,
    dot,
    product,
    scale,
    squared_norm,
    transposed_product,
)
from trimetric.engine.triplets import owner

_PANEL = 4  # sixteens of candidates that stay in cache while all users of a thread read them
_RANGE = 64  # candidates likewise
SHORTEST = np.float32(1e-12)  # of ‖z_u‖²: a shorter one has no direction


# --- sizes ----------------------------------------------------------------------------------------


def n_candidates(wanted: int, positives: Positives, n_items: int) -> int:
    """Return |J|: as wanted, or the whole catalogue for 0 and wherever there are pools."""
    if len(positives.pool_indptr):
        return n_items
    return min(wanted or n_items, n_items)


def most_interactions(positives: Positives, block: int) -> int:
    """Return how many interactions the users of a block have at most."""
    counts = np.diff(positives.indptr)
    return min(len(positives.items), block * int(counts.max(initial=0)))


def in_lanes(n: int) -> int:
    """Return n rounded up to whole lanes."""
    return -(-n // LANES) * LANES


def in_tiles(n: int) -> int:
    """Return n rounded up to whole tiles."""
    return -(-n // TILE) * TILE


def score_width(candidates: int) -> int:
    """Return the width of a table of scores, which spreads its rows over the cache's sets."""
    width = in_lanes(candidates)
    return width + (LANES if width % 256 == 0 else 0)


@inline
def part_of_tiles(me, threads, n):
    """Return where this thread's part of n rows begins and ends: whole tiles."""
    tiles = (n + TILE - 1) // TILE
    return TILE * (tiles * me // threads), TILE * (tiles * (me + 1) // threads)


# --- users ----------------------------------------------------------------------------------------


@inline
def count_at(counts, k):
    """Return how much interaction k counts: 1 where `counts` is empty."""
    return counts[k] if len(counts) > 0 else np.float32(1)


@inline
def user_at(block, r, settings, params):
    """Return the user in place r of a block."""
    return params.users[shuffled(block * settings.batch_size + r, settings.order)]


@inline
def list_users(block, count, positives, settings, workspace, params):
    """List where the interactions of each user of the block begin among those of the block."""
    total = np.int64(0)
    for r in range(count):
        u = user_at(block, r, settings, params)
        workspace.first[r] = total
        total += positives.indptr[u + 1] - positives.indptr[u]
    workspace.first[count] = total


@inline
def keep_pool(u, r, positives, workspace):
    """Leave out the candidates that are not in the user's pool."""
    scores = workspace.scores[r]
    k, high = positives.pool_indptr[u], positives.pool_indptr[u + 1]
    for j in range(len(workspace.candidates)):  # candidates ascend: there are pools
        while k < high and positives.pool_items[k] < workspace.candidates[j]:
            k += 1
        if k == high or positives.pool_items[k] != workspace.candidates[j]:
            scores[j] = -np.inf


@inline
def visits_to_all(u, params):
    """Return 1/f_u, the visits that meet all items of a user: see `centroid_session.Elsewhere`."""
    visits = np.float32(1)
    if len(params.turns) > 0:
        visits /= params.turns[u]
    return visits


@inline
def add_elsewhere(u, r, gradients, sums, params):
    """Add to the gradient of z_u what is known of it from elsewhere: `centroid_session.Elsewhere`.

    z_u has moved since, mostly against that gradient g, so that g now points along z_u where it did
    not. g·z_u is set to what it was when g was taken: for a loss of the direction of z_u alone it
    would be 0 then and now.
    """
    pulls, factor = params.pulls, np.float32(1) - params.turns[u]
    here, there = dot(gradients, r, sums, r), dot(pulls, u, sums, r)
    square = squared_norm(sums, r)
    add_scaled(gradients, r, pulls, u, factor)
    if square > SHORTEST:
        add_scaled(gradients, r, sums, r, factor * (params.radials[u] - there) / square)
    params.radials[u] = here + factor * params.radials[u]
    copy(pulls, u, gradients, r, np.float32(1))


# --- candidates -----------------------------------------------------------------------------------


@inline
def candidate_order(draws, block, n):
    """Return the random order of the catalogue whose beginning is J."""
    key, width = bits(draws, block), 1
    while (np.int64(1) << width) < n:
        width += 1
    rounds = (bits(key, 0), bits(key, 1), bits(key, 2), bits(key, 3), bits(key, 4), bits(key, 5))
    mask = (np.uint64(1) << np.uint64(width)) - np.uint64(1)
    return Order(np.uint64(n), mask, np.uint64((width + 1) // 2), rounds)


@inline
def draw_candidate(j, order, stamp, n, workspace, params):
    """Put item number j of the order into place j of J; return it."""
    v = shuffled(j, order) if params.candidates < n else np.int64(j)
    workspace.candidates[j] = v
    workspace.place[v] = stamp + j
    return v


@callee
def score_candidates(low, high, users, panels, depth, candidates, scores):
    """scores[r, j] = users[r]·(candidate j) over `depth` columns, for rows low .. high − 1."""
    sixteens = (candidates + LANES - 1) // LANES
    for first in range(0, sixteens, _PANEL):
        for r in range(low, high, TILE):
            for panel in range(first, min(first + _PANEL, sixteens)):
                product(scores, r, panel * LANES, users, r, 0, panels, panel * depth, 0, depth)


@callee
def pull_candidates(low, high, scores, points, candidates, out):
    """out[r] += Σ_j scores[r, j]·points[j] for rows low .. high − 1."""
    for first in range(0, candidates, _RANGE):
        steps = min(_RANGE, candidates - first)
        for r in range(low, high, TILE):
            for c in range(0, out.shape[1], LANES):
                add_product(out, r, c, scores, r, first, points, first, c, steps)


@callee
def push_candidates(low, high, scores, users, count, out):
    """out[j] = Σ_r scores[r, j]·users[r] over `count` users, for candidates low .. high − 1."""
    for j in range(low, high, TILE):
        for c in range(0, out.shape[1], LANES):
            transposed_product(out, j, c, scores, j, 0, users, 0, c, count)


# --- items ----------------------------------------------------------------------------------------


@inline
def link_entries(me, threads, low, high, count, stamp, workspace):
    """Link the interactions of each of this thread's items in order; return how many they are.

    A candidate belongs to the thread that has its place in J, other items to their `owner`.
    """
    w, listed = workspace, 0
    for e in range(w.first[count]):
        v = w.entry_items[e]
        j = w.place[v] - stamp
        mine = (low <= j < high) if j >= 0 else owner(v, threads) == me
        w.owned[me, listed] = e
        listed += mine
    for i in range(listed - 1, -1, -1):
        e = w.owned[me, i]
        v = w.entry_items[e]
        w.next_slot[e] = w.first_slot[v]
        w.first_slot[v] = e
    return listed


@inline
def step_on_sphere(g, k, points, i, squares, p, rate, dim):
    """Row-wise Adagrad along the tangent of the unit sphere, and back onto it; g[k] is spent."""
    add_scaled(g, k, points, i, -dot(g, k, points, i))
    square = squared_norm(g, k)
    if square > 0:
        squares[p] += square / np.float32(dim)
        add_scaled(points, i, g, k, -rate / np.sqrt(squares[p]))
        scale(points, i, np.float32(1) / np.sqrt(squared_norm(points, i)))


@inline
def step_weight(v, gradient, lr, rate, state):
    """Step ln h_v by Adagrad, along the gradient of h_v."""
    if gradient != 0 and rate > 0:
        slope = gradient * state.weights[v]
        state.weight_squares[v] += slope * slope
        step = lr * rate / np.sqrt(state.weight_squares[v])
        state.weights[v] *= np.float32(exp(-step * slope))
