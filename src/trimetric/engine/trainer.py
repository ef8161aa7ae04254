"""Deterministic parallel mini-batches of triplets.

Every thread runs `train` over the same batches, in step. A batch has four stages:

    draw    triplets in parallel: the positive pair, and a negative that needs no distances
    judge   triplets in parallel: hard negatives, distances, which hinges are active (read-only)
    gather  rows in parallel: each touched row's gradient, its terms in triplet order, and its
            optimiser step, into a buffer of the owner's (the tables are still read-only)
    settle  rows in parallel: the new rows into the tables

A row belongs to one thread (`owner`), so no sum depends on how many threads there are. Only two
numbers a triplet (how strongly each hinge pulls) pass from judge to gather: gradients themselves
are never written out, but summed from rows that are still in cache.
"""

from typing import Any, NamedTuple

import numpy as np

from trimetric.engine.lanes import clear, copy, prefetch, squared_distance
from trimetric.engine.objective import (
    add_item_gradient,
    add_negative_gradient,
    add_user_gradient,
    item_hinge,
    margin_gradient,
    user_hinge,
)
from trimetric.engine.policy import inline, kernel
from trimetric.engine.random import below, shuffled
from trimetric.engine.sampling import (
    ATTEMPTS,
    HARDEST,
    POPULARITY,
    interacted,
    popular_negative,
    uniform_negative,
)
from trimetric.engine.threads import meet
from trimetric.engine.updates import adam_bias, step_margin, step_row

_AHEAD = 6  # triplets between asking for a row and reading it
_BLOCK_BITS = 4  # rows owned together: their int32 chain heads share a cache line


class Positives(NamedTuple):
    """The training interactions, sorted by (user, item)."""

    users: np.ndarray  # int32[p]
    items: np.ndarray  # int32[p]
    indptr: np.ndarray  # int64[n_users + 1]


class Side(NamedTuple):
    """What is learned of the users or of the items, and the optimiser's memory of it."""

    table: np.ndarray  # float32[n, width]
    first: np.ndarray  # float32[n, width] for Adam, else [0, 1]
    second: np.ndarray  # float32[n, width], [n, 1] for row-wise Adagrad
    margins: np.ndarray  # float32[n]: m_u or n_v
    memory: np.ndarray  # float32[n, 2]: the optimiser's memory of the margins


class Rule(NamedTuple):
    """The settings a kernel needs, as scalars."""

    order: Any  # random.Order of the epoch's positives
    key_draws: Any  # uint64
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
    radius: Any  # float32
    sphere: Any  # bool
    dim: Any  # float32


class Work(NamedTuple):
    """Room for one mini-batch of B triplets, T threads."""

    u: np.ndarray  # int32[B]
    v: np.ndarray  # int32[B]
    n: np.ndarray  # int32[B], -1 where the user has every item
    a: np.ndarray  # float32[B]: w where the user's hinge is active, else 0
    b: np.ndarray  # float32[B]: λ where the item's hinge is active, else 0
    loss: np.ndarray  # float32[B]
    weights: np.ndarray  # float32[S + 1]: CML's rank weight by number of impostors
    heads: np.ndarray  # int32[max(n_users, n_items)], all -1 between batches
    own: np.ndarray  # int32[T, 2B]: the references a thread owns
    chain: np.ndarray  # int32[T, 2B]: the next reference to the same row, or -1
    rows: np.ndarray  # int32[T, 3B]: which row each fresh value belongs to
    fresh: tuple  # T tables float32[<= 3B, width]
    arrivals: np.ndarray  # int64[16]
    totals: np.ndarray  # float64[4]: loss, active user hinges, active item hinges, triplets


@kernel
def train(me, threads, span, positives, sides, rule, work):  # type: ignore[no-untyped-def]
    """Run mini-batches span[0] .. span[1] - 1 of one epoch as thread `me` of `threads`."""
    total, size = len(positives.users), rule.batch_size
    met = np.int64(0)
    fresh = work.fresh[me]
    for batch in range(span[0], span[1]):
        first = batch * size
        count = min(size, total - first)
        low, high = count * me // threads, count * (me + 1) // threads
        draw(low, high, first, positives, sides, rule, work)
        met += threads
        meet(work.arrivals, met)
        judge(low, high, first, positives, sides, rule, work)
        met += threads
        meet(work.arrivals, met)
        bias = adam_bias(rule.steps_before + batch + 1)
        n_users = gather_users(me, threads, count, sides, rule, work, bias)
        n_rows = gather_items(me, threads, count, sides, rule, work, bias, n_users)
        if me == 0:
            add_up(count, work)
        met += threads
        meet(work.arrivals, met)
        for k in range(n_users):
            copy(sides[0].table, work.rows[me, k], fresh, k)
        for k in range(n_users, n_rows):
            copy(sides[1].table, work.rows[me, k], fresh, k)
    met += threads
    meet(work.arrivals, met)


@inline
def draw(low, high, first, positives, sides, rule, work):  # type: ignore[no-untyped-def]
    """Choose the positive pairs at places low .. high - 1 of the batch, and easy negatives."""
    n_items = len(sides[1].table)
    for t in range(low, high):
        place = shuffled(first + t, rule.order)
        work.u[t] = positives.users[place]
        work.v[t] = positives.items[place]
    if rule.negatives == HARDEST:
        return
    for t in range(low, high):
        user = np.int64(work.u[t])
        if rule.negatives == POPULARITY:
            drawn = popular_negative(rule.key_draws, first + t, user, positives, n_items)
        else:
            drawn = uniform_negative(rule.key_draws, first + t, user, positives, n_items)
        work.n[t] = drawn


@inline
def judge(low, high, first, positives, sides, rule, work):  # type: ignore[no-untyped-def]
    """Decide how strongly each hinge of equation (6) pulls: a = w or 0, b = λ or 0."""
    users, items = sides[0].table, sides[1].table
    for t in range(low, high):
        if t + _AHEAD < high:
            prefetch(users, work.u[t + _AHEAD])
            prefetch(items, work.v[t + _AHEAD])
            if rule.negatives != HARDEST:
                prefetch(items, max(work.n[t + _AHEAD], 0))
        u, v = work.u[t], work.v[t]
        d_uv = squared_distance(users, u, items, v)
        m, weight = sides[0].margins[u], np.float32(1)
        if rule.negatives == HARDEST:
            n, d_un, impostors = hardest(first + t, u, d_uv + m, positives, sides, rule)
            work.n[t] = n
            if rule.rank_weight:
                weight = work.weights[impostors]
        else:
            n = np.int64(work.n[t])
            d_un = squared_distance(users, u, items, max(n, 0))
        work.a[t], work.b[t], work.loss[t] = 0, 0, 0
        if n < 0:
            continue
        h = user_hinge(d_uv, d_un, m)
        if not h <= 0:  # NaN counts as active, so that the loss shows it
            work.a[t] = weight
            work.loss[t] = weight * h
        if rule.lam > 0:
            d_vn = squared_distance(items, v, items, n)
            h = item_hinge(d_uv, d_vn, sides[1].margins[v])
            if not h <= 0:
                work.b[t] = rule.lam
                work.loss[t] += rule.lam * h


@inline
def hardest(triplet, u, reach, positives, sides, rule):  # type: ignore[no-untyped-def]
    """Return the nearest to the user of S drawn items, its d², and how many lie within `reach`.

    CML's approximate ranking (Hsieh et al. 2017, section 3.2.2): S items are drawn uniformly and
    those the user has interacted with are left out. If none remains, one uniform negative.
    """
    users, items = sides[0].table, sides[1].table
    best, nearest, impostors = np.int64(-1), np.float32(np.inf), 0
    for attempt in range(rule.candidates):
        item = below(rule.key_draws, triplet * ATTEMPTS + attempt, len(items))
        d = squared_distance(users, u, items, item)
        counts = rule.rank_weight and d < reach
        if (d < nearest or counts) and not interacted(item, u, positives.indptr, positives.items):
            impostors += counts
            if d < nearest:
                best, nearest = item, d
    if best < 0:
        best = uniform_negative(rule.key_draws, triplet, np.int64(u), positives, len(items))
        if best >= 0:
            nearest = squared_distance(users, u, items, best)
            impostors = 1 if nearest < reach else 0
    return best, nearest, impostors


@inline
def owner(row, threads):  # type: ignore[no-untyped-def]
    """Return which thread owns `row`: blocks of 16 rows, spread by a multiplicative hash."""
    scrambled = np.uint32(np.uint32(row >> _BLOCK_BITS) * np.uint32(2654435769))
    return np.int64((np.uint64(scrambled) * np.uint64(threads)) >> np.uint64(32))


@inline
def gather_users(me, threads, count, sides, rule, work, bias):  # type: ignore[no-untyped-def]
    """Step the user rows this thread owns, into its buffer; return how many there are."""
    side, users, items, fresh = sides[0], sides[0].table, sides[1].table, work.fresh[me]
    mine, chain, heads, stepped = work.own[me], work.chain[me], work.heads, work.rows[me]
    us, vs, ns, pulls, item_pulls = work.u, work.v, work.n, work.a, work.b
    first, second = side.first, side.second
    margins, memory, adaptive, gamma = side.margins, side.memory, rule.adaptive_users, rule.gamma
    owned = 0
    for t in range(count):
        wanted = ns[t] >= 0 and (adaptive or pulls[t] != 0 or item_pulls[t] != 0)
        mine[owned] = t
        owned += wanted and owner(us[t], threads) == me
    for i in range(owned - 1, -1, -1):
        t = mine[i]
        chain[t] = heads[us[t]]
        heads[us[t]] = t
    k = 0
    for i in range(owned):
        t = mine[i]
        u = us[t]
        if heads[u] != t:
            continue  # summed with the row's first triplet
        heads[u] = -1
        clear(fresh, k)
        pull, margin_pull = np.float32(0), np.float32(0)
        while t >= 0:
            a, b = pulls[t], item_pulls[t]
            add_user_gradient(fresh, k, users, items, (u, vs[t], ns[t]), a, b)
            pull += a + b
            margin_pull += margin_gradient(a, gamma)
            t = chain[t]
        if adaptive:
            step_margin(margins, u, margin_pull, memory, rule, bias)
        if pull != 0:
            step_row(fresh, k, users, u, first, second, rule, bias)
            stepped[k] = u
            k += 1
    return k


@inline
def gather_items(me, threads, count, sides, rule, work, bias, k):  # type: ignore[no-untyped-def]
    """Step the item rows this thread owns, from place k of its buffer on; return the end.

    Reference 2t is triplet t's positive item, 2t + 1 its negative.
    """
    side, users, items, fresh = sides[1], sides[0].table, sides[1].table, work.fresh[me]
    mine, chain, heads, stepped = work.own[me], work.chain[me], work.heads, work.rows[me]
    us, vs, ns, pulls, item_pulls = work.u, work.v, work.n, work.a, work.b
    first, second = side.first, side.second
    margins, memory, adaptive, gamma = side.margins, side.memory, rule.adaptive_items, rule.gamma
    owned = 0
    for t in range(count):
        pulled = pulls[t] != 0 or item_pulls[t] != 0
        mine[owned] = 2 * t
        owned += ns[t] >= 0 and (pulled or adaptive) and owner(vs[t], threads) == me
        mine[owned] = 2 * t + 1
        owned += pulled and ns[t] >= 0 and owner(ns[t], threads) == me
    for i in range(owned - 1, -1, -1):
        r = mine[i]
        row = ns[r >> 1] if r & 1 else vs[r >> 1]
        chain[r] = heads[row]
        heads[row] = r
    for i in range(owned):
        r = mine[i]
        row = ns[r >> 1] if r & 1 else vs[r >> 1]
        if heads[row] != r:
            continue
        heads[row] = -1
        clear(fresh, k)
        pull, margin_pull, has_margin = np.float32(0), np.float32(0), False
        while r >= 0:
            t = r >> 1
            a, b = pulls[t], item_pulls[t]
            if r & 1:
                add_negative_gradient(fresh, k, users, items, (us[t], vs[t], ns[t]), a, b)
            else:
                add_item_gradient(fresh, k, users, items, (us[t], vs[t], ns[t]), a, b)
                margin_pull += margin_gradient(b, gamma)
                has_margin = True
            pull += a + b
            r = chain[r]
        if adaptive and has_margin:
            step_margin(margins, row, margin_pull, memory, rule, bias)
        if pull != 0:
            step_row(fresh, k, items, row, first, second, rule, bias)
            stepped[k] = row
            k += 1
    return k


@inline
def add_up(count, work):  # type: ignore[no-untyped-def]
    """Add the batch to the running totals, in triplet order."""
    for t in range(count):
        work.totals[0] += work.loss[t]
        work.totals[1] += work.a[t] != 0
        work.totals[2] += work.b[t] != 0
        work.totals[3] += work.n[t] >= 0
