"""The loop of CentroidML: the softmax objective in closed form, over blocks of whole users.

Items are points y_v on the unit sphere, with a bias b_v and a weight h_v > 0 each. A user is an own
point p_u on the sphere and the mean of the items that they have:

    x_u = ω·p_u + (1 − ω)·unit(z_u),   z_u = Σ_{i∈N_u} h_i·y_i
    t_v = unit(y_v + κ·Q_v/(‖Q_v‖ + c)),   Q_v = Σ_{u∈U_v} unit(x_u)/√n_u
    s(u, v) = 2·x_u·t_v + b_v = −d²(x_u, t_v) + b_v + a number of the user
    ℓ(u, v) = ln(1 + Σ_{j∈J∖N_u} (S₀/|J|)·exp((s(u, j) − s(u, v) + m)/τ))

ℓ/τ⁻¹ is the expectation of equation (3) of the SML paper with S₀ candidates under the noise of
`gumbel`, taken exactly over all positives of a user and all candidates J, which a block of users
shares. A positive is scored by the user without it: v is left out of z_u, and u out of Q_v. Points
of users in Q are those of the start of the epoch, held still; in the first epoch κ is 0.

With q = 1 − e^{−ℓ}, ∂(τℓ)/∂s(u, v) = −q, and ∂(τℓ)/∂s(u, j) = q times the softmax share of j.
Every thread runs `train` over the same blocks, each of which has three stages:

    draw_candidates    candidates in parallel: J, and their targets t_j in two layouts
    evaluate_users     users in parallel: scores, shares, and all gradients of the user
    update_items       items in parallel: gradient, its terms in a fixed order, and the step

With λ > 0, `item_term` adds a loss to each positive, and a stage before and after evaluate_users.

Products are `rows.product` and its variants: each number is a sum in the order of its terms, so
that no bit depends on how work is divided. Steps are row-wise Adagrad along the sphere.
"""

from typing import Any, NamedTuple

import numpy as np

from trimetric.engine.blocks import (
    add_elsewhere,
    candidate_order,
    count_at,
    draw_candidate,
    keep_pool,
    link_entries,
    list_users,
    part_of_tiles,
    pull_candidates,
    push_candidates,
    score_candidates,
    step_on_sphere,
    step_weight,
    user_at,
    visits_to_all,
)
from trimetric.engine.compile import callee, inline, kernel
from trimetric.engine.elementary import exp, log, sigmoid, softplus
from trimetric.engine.item_term import (
    add_push,
    add_pushes,
    begin_user,
    list_items,
    part_of,
    pull_of_item,
    push_items,
    score_items,
)
from trimetric.engine.rows import (
    LANES,
    add_scaled,
    copy,
    dot,
    exp_row,
    largest,
    scale,
    squared_norm,
)
from trimetric.engine.threads import barrier

LEAST_SQUARE = np.float32(0.05)  # of ‖z_u − h_v·y_v‖²: a positive is scored by no shorter a mean
LEAST_LENGTH = np.float32(1e-3)  # of z_u
UNKNOWN = np.float32(-1e30)  # a sum's logarithm, before it was ever taken

_SUM, _OWN, _TERM, _ITEM_SUM, _BIAS, _WEIGHT, _PUSH, _COUNT = range(8)
"""Columns of `entry`, what (u, v) adds to the gradient of v: factors of z_u, p_u, the user's term
and Q_v in the gradient of y_v; the gradients of b_v and of h_v; λ·q of `item_term`; and how much
(u, v) counts."""


@kernel
def train(me, threads, span, positives, state, settings, workspace, params):
    """Run blocks span[0] .. span[1] - 1 as thread `me` of `threads`: see `session`."""
    for block in range(span[0], span[1]):
        number = settings.steps_before + block
        count = min(settings.batch_size, settings.samples - block * settings.batch_size)
        kappa = params.kappa if settings.steps_before > 0 else np.float32(0)
        if block == 0 and kappa > 0 and len(params.rests) == 0:
            add_up_users(me, threads, positives, state, workspace.barrier, params)
        draw_candidates(me, threads, block, number, state, settings, workspace, params, kappa)
        if me == 0:
            list_users(block, count, positives, settings, workspace, params)
            if params.item_weight > 0:
                list_items(block, count, number, positives, settings, workspace.term, params)
        barrier(workspace.barrier, me, threads)
        if params.item_weight > 0:
            compose_listed(me, threads, state, workspace.term, params, kappa)
            stamp = (number + 1) * params.candidates
            score_items(me, threads, number, stamp, workspace, params)
            barrier(workspace.barrier, me, threads)
        evaluate_users(
            me, threads, block, count, number, settings.lr,
            positives, state, settings, workspace, params, kappa,
        )  # fmt: skip
        barrier(workspace.barrier, me, threads)
        if params.item_weight > 0:
            push_items(me, threads, count, number, workspace, _PUSH, params)
            barrier(workspace.barrier, me, threads)
        update_items(me, threads, count, number, state, settings, workspace, params, kappa)
        if me == 0:
            for r in range(count):
                state.totals[0] += workspace.loss[r]
                state.totals[1] += workspace.active[r]
            state.totals[3] += workspace.first[count]
        barrier(workspace.barrier, me, threads)


# --- users and items as points --------------------------------------------------------------------


@inline
def add_items(out, r, u, positives, state, params):
    """out[r] = z_u; returns how much the interactions of u count together."""
    if len(params.rests) > 0:
        copy(out, r, params.rests, u, np.float32(1))
    else:
        scale(out, r, np.float32(0))
    total = np.float32(0)
    for k in range(positives.indptr[u], positives.indptr[u + 1]):
        i, count = positives.items[k], count_at(positives.weights, k)
        add_scaled(out, r, state.items, i, count * state.weights[i])
        total += count
    out[r, params.dim] = 0
    return total


@inline
def compose_user(u, positives, state, params, out, r):
    """out[r] = x_u; returns n_u."""
    total = add_items(out, r, u, positives, state, params)
    length = max(np.sqrt(squared_norm(out, r)), LEAST_LENGTH)
    scale(out, r, (np.float32(1) - params.own) / length)
    if params.own > 0:
        add_scaled(out, r, state.own, u, params.own)
    return total


@inline
def compose_item(v, state, params, kappa, out, r):
    """out[r] = t_v, with b_v in column `dim`; returns ‖y_v + κ·Q_v/(‖Q_v‖ + c)‖."""
    dim = params.dim
    copy(out, r, state.items, v, np.float32(1))
    bias, norm = out[r, dim], np.float32(1)
    if kappa > 0:
        length = np.sqrt(squared_norm(state.item_sums, v))
        add_scaled(out, r, state.item_sums, v, kappa / (length + params.shrink))
        out[r, dim] = 0
        norm = max(np.sqrt(squared_norm(out, r)), LEAST_LENGTH)
        scale(out, r, np.float32(1) / norm)
        out[r, dim] = bias
    return norm


@inline
def compose_listed(me, threads, state, term, params, kappa):
    """Compose this thread's part of the items that the block's users have."""
    low, _, last = part_of(me, threads, term)
    for k in range(low, last):
        term.norms[k] = compose_item(term.items[k], state, params, kappa, term.targets, k)


@kernel
def add_up_users(me, threads, positives, state, barrier_counts_, params):
    """Compute Q_v from the points of users as they are now."""
    n_users, n_items = len(positives.indptr) - 1, len(state.items)
    for u in range(n_users * me // threads, n_users * (me + 1) // threads):
        n = compose_user(u, positives, state, params, state.user_terms, u)
        root = np.sqrt(n) if n > 0 else np.float32(1)
        length = np.sqrt(squared_norm(state.user_terms, u)) * root
        scale(state.user_terms, u, np.float32(1) / max(length, LEAST_LENGTH))
    barrier(barrier_counts_, me, threads)
    for v in range(n_items * me // threads, n_items * (me + 1) // threads):
        scale(state.item_sums, v, np.float32(0))
        for k in range(params.item_indptr[v], params.item_indptr[v + 1]):
            count = count_at(params.item_counts, k)
            add_scaled(state.item_sums, v, state.user_terms, params.item_users[k], count)
    barrier(barrier_counts_, me, threads)


@kernel
def add_up_items(me, threads, positives, state, params, out):
    """out[u] = z_u of all users."""
    n_users = len(positives.indptr) - 1
    for u in range(n_users * me // threads, n_users * (me + 1) // threads):
        add_items(out, u, u, positives, state, params)


@kernel
def compose_from_sums(sums, own, omega, out):
    """out[u] = x_u, from z_u and p_u."""
    for u in range(len(sums)):
        length = max(np.sqrt(squared_norm(sums, u)), LEAST_LENGTH)
        copy(out, u, sums, u, (np.float32(1) - omega) / length)
        if omega > 0:
            add_scaled(out, u, own, u, omega)


class Composition(NamedTuple):
    """The part of `Params` that items are composed by."""

    dim: Any  # int64
    kappa: Any  # float32
    shrink: Any  # float32


@kernel
def compose_items(state, composition, out):
    """out[v] = t_v, with b_v in column `dim`, of all items."""
    for v in range(len(state.items)):
        compose_item(v, state, composition, composition.kappa, out, v)


@kernel
def take_off_items(positives, weighted, out):
    """Subtract from out[u] the rows of `weighted` of the user's items, as they come."""
    for u in range(len(positives.indptr) - 1):
        for k in range(positives.indptr[u], positives.indptr[u + 1]):
            count = count_at(positives.weights, k)
            add_scaled(out, u, weighted, positives.items[k], -count)


# --- candidates -----------------------------------------------------------------------------------


@callee
def draw_candidates(me, threads, block, number, state, settings, workspace, params, kappa):
    """Draw J without repeats, and lay its targets out by row and by sixteens."""
    n, size, dim = len(state.items), params.candidates, params.dim
    order = candidate_order(settings.draws, block, n)
    stamp = (number + 1) * size
    panels = (size + LANES - 1) // LANES
    for panel in range(panels * me // threads, panels * (me + 1) // threads):
        for lane in range(LANES):
            j = panel * LANES + lane
            if j < size:
                v = draw_candidate(j, order, stamp, n, workspace, params)
                workspace.target_norms[j] = compose_item(
                    v, state, params, kappa, workspace.targets, j
                )
            for k in range(dim + 1):
                workspace.panels[panel * (dim + 1) + k, lane] = workspace.targets[j, k]


# --- users ----------------------------------------------------------------------------------------


@callee
def evaluate_users(
    me, threads, block, count, number, lr, positives, state, settings, workspace, params, kappa
):
    """Compute the scores and gradients of this thread's users, whole tiles; step their p_u."""
    low, high = part_of_tiles(me, threads, count)
    last, stamp = min(high, count), (number + 1) * params.candidates
    for r in range(low, last):
        u = user_at(block, r, settings, params)
        prepare_user(u, r, positives, state, workspace, params)
        if kappa > 0:
            copy(workspace.terms, r, state.user_terms, u, np.float32(1))
    w = workspace
    score_candidates(low, high, w.scaled, w.panels, params.dim + 1, params.candidates, w.scores)
    for r in range(low, last):
        u = user_at(block, r, settings, params)
        weigh_candidates(u, r, stamp, positives, workspace, params)
        pull_positives(u, r, number, positives, state, workspace, params, kappa)
    for r in range(low, high):
        scale(w.pulled, r, np.float32(0))
    pull_candidates(low, high, w.scores, w.targets, params.candidates, w.pulled)
    for r in range(low, last):
        u = user_at(block, r, settings, params)
        finish_user(r, workspace, params)
        if params.own > 0:
            rate = lr * params.own_rate
            step_on_sphere(
                workspace.own_gradients, r, state.own, u, state.own_squares, u, rate, params.dim
            )
        if params.weight_rate > 0:
            visits = visits_to_all(u, params)
            for e in range(workspace.first[r], workspace.first[r + 1]):
                v, count = workspace.entry_items[e], workspace.entry[e, _COUNT]
                along = dot(workspace.sum_gradients, r, state.items, v)
                own = workspace.entry[e, _WEIGHT]
                workspace.entry[e, _WEIGHT] = visits * (own + count * along)
        if len(params.turns) > 0:
            add_elsewhere(u, r, workspace.sum_gradients, workspace.sums, params)


@inline
def prepare_user(u, r, positives, state, workspace, params):
    """Compute z_u, x_u and p_u for place r of the block."""
    add_items(workspace.sums, r, u, positives, state, params)
    length = max(np.sqrt(squared_norm(workspace.sums, r)), LEAST_LENGTH)
    workspace.lengths[r] = length
    copy(workspace.points, r, workspace.sums, r, (np.float32(1) - params.own) / length)
    if params.own > 0:
        copy(workspace.own, r, state.own, u, np.float32(1))
        add_scaled(workspace.points, r, state.own, u, params.own)
    workspace.points[r, params.dim] = 0.5
    copy(workspace.scaled, r, workspace.points, r, np.float32(2) * params.rate)


@inline
def weigh_candidates(u, r, stamp, positives, workspace, params):
    """Turn scores into exp(score − their largest), 0 for the user's own items.

    loss[r] is ln of their sum, and of the share S₀/|J|; active[r] is the sum, 0 if none is left.
    """
    scores, place = workspace.scores[r], workspace.place
    scores[params.candidates :] = -np.inf
    for k in range(positives.indptr[u], positives.indptr[u + 1]):
        j = place[positives.items[k]] - stamp
        if j >= 0:
            scores[j] = -np.inf
    if len(positives.pool_indptr) > 0:
        keep_pool(u, r, positives, workspace)
    top = largest(workspace.scores, r)
    if top == -np.inf:
        workspace.active[r] = workspace.loss[r] = clear(scores)
        return
    total = exp_row(workspace.scores, r, top)
    workspace.active[r] = total
    workspace.loss[r] = np.float32(log(np.float64(total)) + params.log_share + top)
    if len(params.turns) > 0:
        here, turn = log(np.float64(total)) + top + params.log_scale, np.float64(params.turns[u])
        whole = blended(here, np.float64(params.log_sums[u]), turn)
        params.log_sums[u] = whole
        workspace.active[r] = total * np.float32(exp(whole - here) / turn)
        workspace.loss[r] = np.float32(whole + params.log_share)


@inline
def blended(log_here, log_before, share):
    """Return ln(share·e^here + (1 − share)·e^before); `log_here` where nothing was known before."""
    if log_before <= UNKNOWN or share >= 1:
        return log_here
    new, old = log_here + log(share), log_before + log(1.0 - share)
    top = max(new, old)
    return top + log(np.float64(exp(new - top) + exp(old - top)))


@inline
def clear(values):
    """Set all values to 0; return 0, or NaN if one was NaN, which `largest` passes over."""
    found = np.float32(0)
    for j in range(len(values)):
        if np.isnan(values[j]):
            found = values[j]
        values[j] = 0
    return found


@callee
def pull_positives(u, r, number, positives, state, workspace, params, kappa):
    """Compute ℓ of each of the user's items, and what follows but for the candidates' part.

    Shares are then scaled to q's sum; gradients of z_u and p_u are begun, and each interaction's
    factors written to `entry`.
    """
    w = workspace
    total, log_sum = w.active[r], w.loss[r]
    w.active[r] = w.loss[r] = 0
    scale(w.sum_gradients, r, np.float32(0))
    scale(w.own_gradients, r, np.float32(0))
    square = squared_norm(w.sums, r)
    term_square = sum_term = own_term = np.float32(0)
    if kappa > 0:
        term_square, sum_term = squared_norm(w.terms, r), dot(w.sums, r, w.terms, r)
        own_term = dot(w.own, r, w.terms, r) if params.own > 0 else np.float32(0)
    of_sum = of_term_in_sum = of_term_in_own = np.float32(0)
    two, one, own = np.float32(2), np.float32(1), params.own
    share = one - own
    if params.item_weight > 0:
        begin_user(r, workspace)
    margin, mass, counts = params.margin, np.float32(0), np.float32(0)
    if len(params.user_margins) > 0:
        margin = params.user_margins[u]
    repeats = params.repeats[u] if len(params.turns) > 0 else one
    start = positives.indptr[u]
    for e in range(w.first[r], w.first[r + 1]):
        k = start + e - w.first[r]
        v, count = np.int64(positives.items[k]), count_at(positives.weights, k)
        w.entry_items[e], w.entry_users[e] = v, r
        for column in range(_COUNT):
            w.entry[e, column] = 0
        w.entry[e, _COUNT] = count
        if total <= 0:
            continue  # no candidate is left
        h, b = count * state.weights[v], state.items[v, params.dim]
        zy = dot(w.sums, r, state.items, v)
        py = dot(w.own, r, state.items, v) if own > 0 else np.float32(0)
        # t = (y + c·(Q − count·term))/n, and its products with z, p and y
        c = np.float32(0)
        n, zt, pt, yt = one, zy, py, one
        if kappa > 0:
            qq, yq = squared_norm(state.item_sums, v), dot(state.items, v, state.item_sums, v)
            zq = dot(w.sums, r, state.item_sums, v) - count * sum_term
            qx = count * dot(w.terms, r, state.item_sums, v)
            yx = count * dot(w.terms, r, state.items, v)
            pq = dot(w.own, r, state.item_sums, v) - count * own_term if own > 0 else np.float32(0)
            rest = max(qq - two * qx + count * count * term_square, np.float32(0))
            c = kappa / (np.sqrt(rest) + params.shrink)
            n = np.sqrt(max(one + two * c * (yq - yx) + c * c * rest, LEAST_LENGTH * LEAST_LENGTH))
            zt = (zy + c * zq) / n
            pt = (py + c * pq) / n
            yt = (one + c * (yq - yx)) / n
        # the mean without v: (z − h·y)/length
        without = square - two * h * zy + h * h
        held = without < LEAST_SQUARE
        length = np.sqrt(max(without, LEAST_SQUARE))
        s = (zt - h * yt) / length
        score = two * (own * pt + share * s) + b
        gap = (score - margin) * params.rate - log_sum
        q = sigmoid(-gap)
        mass += count * q
        counts += count
        w.loss[r] += count * softplus(-gap)
        q *= count
        w.active[r] += q
        pull = q
        if params.item_weight > 0:
            w.entry[e, _PUSH] = pull_of_item(v, r, score - b, count, number, workspace, params)
            pull += w.entry[e, _PUSH]
        in_mean, in_own = two * pull * share, two * pull * own
        turn = np.float32(0) if held else s  # a held length does not turn with z
        by_length = in_mean / length
        add_scaled(w.sum_gradients, r, state.items, v, -by_length * (one / n + turn * h / length))
        of_sum += by_length * turn / length
        own_pull = repeats * h * by_length  # v left out of z_u: of the gradient of z_u
        w.entry[e, _SUM] = -by_length / n - own_pull * turn / length
        w.entry[e, _OWN] = -in_own / n
        w.entry[e, _BIAS] = -q
        w.entry[e, _WEIGHT] = count * by_length * (yt - turn * (zy - h) / length)
        if own > 0:
            add_scaled(w.own_gradients, r, state.items, v, -in_own / n)
        if kappa > 0:
            add_scaled(w.sum_gradients, r, state.item_sums, v, -by_length * c / n)
            of_term_in_sum += count * by_length * c / n
            along = (in_mean * s + in_own * pt) * c / (n * n) + own_pull * c / n
            w.entry[e, _ITEM_SUM], w.entry[e, _TERM] = along, -count * along
            if own > 0:
                add_scaled(w.own_gradients, r, state.item_sums, v, -in_own * c / n)
                of_term_in_own += count * in_own * c / n
    if (params.margin_step > 0) & (counts > 0):
        slope = mass / counts - params.margin_share
        moved = margin - params.margin_step * slope
        params.user_margins[u] = min(max(moved, np.float32(0)), params.margin_limit)
    add_scaled(w.sum_gradients, r, w.sums, r, of_sum)
    if kappa > 0:
        add_scaled(w.sum_gradients, r, w.terms, r, of_term_in_sum)
        if own > 0:
            add_scaled(w.own_gradients, r, w.terms, r, of_term_in_own)
    active = w.active[r]
    if len(params.turns) > 0:
        turn, before = params.turns[u], params.actives[u]
        active = active / turn if before < 0 else active + (np.float32(1) - turn) * before
        params.actives[u] = active
    if total > 0:
        scale(w.scores, r, active / total)


@inline
def finish_user(r, workspace, params):
    """Add the candidates' part to the gradients of z_u and p_u; 2·pulled is that of x_u."""
    w, two = workspace, np.float32(2)
    if params.item_weight > 0:
        add_scaled(w.pulled, r, w.points, r, w.term.pulls[r])
    w.pulled[r, params.dim] = 0
    length = w.lengths[r]
    factor = two * (np.float32(1) - params.own) / length
    along = dot(w.pulled, r, w.sums, r) / (length * length)
    if length <= LEAST_LENGTH:
        along = np.float32(0)
    add_scaled(w.sum_gradients, r, w.pulled, r, factor)
    add_scaled(w.sum_gradients, r, w.sums, r, -factor * along)
    w.sum_gradients[r, params.dim] = 0
    if params.own > 0:
        add_scaled(w.own_gradients, r, w.pulled, r, two * params.own)
        w.own_gradients[r, params.dim] = 0


# --- items ----------------------------------------------------------------------------------------


@callee
def update_items(me, threads, count, number, state, settings, workspace, params, kappa):
    """Add up the gradients of this thread's items, and step them."""
    w, size, stamp = workspace, params.candidates, (number + 1) * params.candidates
    low, high = part_of_tiles(me, threads, size)
    push_candidates(low, high, w.scores, w.points, count, w.gradients)
    if params.item_weight > 0:
        add_pushes(low, high, number, workspace, params)
    listed = link_entries(me, threads, low, high, count, stamp, workspace)
    for j in range(low, min(high, size)):
        v, g = w.candidates[j], w.gradients
        scale(g, j, np.float32(2))
        bias, g[j, params.dim] = g[j, params.dim], 0
        if kappa > 0:  # along the tangent at t_j, and by its length
            w.targets[j, params.dim] = 0
            add_scaled(g, j, w.targets, j, -dot(g, j, w.targets, j))
            scale(g, j, np.float32(1) / w.target_norms[j])
        step_item(v, g, j, bias, number, state, settings, workspace, params, kappa)
    for e in range(listed):
        slot = w.owned[me, e]
        v = w.entry_items[slot]
        if w.first_slot[v] == slot:
            scale(w.scratch, me, np.float32(0))
            zero = np.float32(0)
            step_item(v, w.scratch, me, zero, number, state, settings, workspace, params, kappa)


@inline
def step_item(v, g, k, bias, number, state, settings, workspace, params, kappa):
    """Add the interactions of item v to the gradient g[k], and step y_v, b_v and h_v."""
    w = workspace
    weight = of_item_sum = np.float32(0)
    slot = w.first_slot[v]
    if params.item_weight > 0 and slot >= 0:
        add_push(g, k, v, number, w.term)
    while slot >= 0:
        r = w.entry_users[slot]
        add_scaled(g, k, w.sums, r, w.entry[slot, _SUM])
        add_scaled(g, k, w.sum_gradients, r, w.entry[slot, _COUNT] * state.weights[v])
        if params.own > 0:
            add_scaled(g, k, w.own, r, w.entry[slot, _OWN])
        if kappa > 0:
            add_scaled(g, k, w.terms, r, w.entry[slot, _TERM])
            of_item_sum += w.entry[slot, _ITEM_SUM]
        bias += w.entry[slot, _BIAS]
        weight += w.entry[slot, _WEIGHT]
        slot = w.next_slot[slot]
    w.first_slot[v] = -1
    if kappa > 0:
        add_scaled(g, k, state.item_sums, v, of_item_sum)
    value, state.items[v, params.dim] = state.items[v, params.dim], 0
    step_on_sphere(g, k, state.items, v, state.item_squares, v, settings.lr, params.dim)
    if bias != 0 and params.bias_rate > 0:
        state.bias_squares[v] += bias * bias
        value -= settings.lr * params.bias_rate / np.sqrt(state.bias_squares[v]) * bias
    state.items[v, params.dim] = value
    step_weight(v, weight, settings.lr, params.weight_rate, state)
