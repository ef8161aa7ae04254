"""Deterministic parallel mini-batches for any model of rows of one table and a few dense weights.

The triplet trainer (`trainer`) never writes gradients out; here they are written, which costs
bandwidth and lets a model be any formula. Users and items are rows of one table, users first. A
model brings one kernel, its loop over mini-batches:

    for batch in range(span[0], span[1]):
        for t in share(me, threads, batch, rule, work):   # low, high: this thread's samples
            draw the sample, write work.rows[t], work.gradients[3t .. 3t+2], work.loss[t],
            and add to work.dense[chunk] what its dense weights feel
        met = settle(me, threads, batch, met, state, rule, work)

A sample touches up to three rows (-1 for none). `settle` adds each row's gradients in the order of
the samples and each weight's in the order of the chunks, so no sum depends on how many threads
there are.
"""

from typing import Any, NamedTuple

import numpy as np

from trimetric.engine.compile import inline
from trimetric.engine.negatives import uniform_negative
from trimetric.engine.optimizers import adam_bias, step_row, step_weight
from trimetric.engine.rng import shuffled
from trimetric.engine.rows import add_scaled, copy, scale, squared_norm
from trimetric.engine.threads import meet
from trimetric.engine.triplets import owner

CHUNK = 32  # samples whose dense gradients are added up together


class State(NamedTuple):
    """What is learned, and the optimiser's memory of it."""

    table: np.ndarray  # float32[n_users + n_items, width]
    first: np.ndarray  # like table for Adam, else [0, 1]
    second: np.ndarray  # like table, or [., 1] for row-wise Adagrad, or [0, 1] for SGD
    weights: np.ndarray  # float32[W]: dense weights, flat; W may be 0
    weights_first: np.ndarray  # float32[W]
    weights_second: np.ndarray  # float32[W]


class Rule(NamedTuple):
    """The settings of an epoch, as scalars."""

    order: Any  # random.Order of the samples
    draws: Any  # uint64: the key of the negatives and of other random choices
    steps_before: Any  # int64: mini-batches before this epoch
    batch_size: Any  # int64
    samples: Any  # int64: in an epoch
    optimizer: Any  # int64: see updates
    lr: Any  # float32
    radius: Any  # float32: of the ball that rows are kept in; infinite for none
    sphere: Any  # bool, always False here
    clip: Any  # float32: the most that ‖gradient‖ of a row may be; infinite for no limit
    dim: Any  # float32


class Work(NamedTuple):
    """Room for one mini-batch of B samples on T threads."""

    rows: np.ndarray  # int32[3B]: which row corner r of sample t is: number 3t + r; -1 for none
    gradients: np.ndarray  # float32[3B, width]
    loss: np.ndarray  # float32[B]
    active: np.ndarray  # bool[B]: whether the sample pulled at all
    dense: np.ndarray  # float32[chunks, W]
    heads: np.ndarray  # int32[n_users + n_items], all -1 between batches
    own: np.ndarray  # int32[T, 3B + 1]: numbers of the corners a thread owns
    chain: np.ndarray  # int32[3B]: the next corner at the same row, or -1
    scratch: np.ndarray  # float32[T, ., width]: a model's own rows
    arrivals: np.ndarray  # int64[16]
    totals: np.ndarray  # float64[3]: loss, active samples, samples


@inline
def share(me, threads, batch, rule, work):
    """Return the samples low .. high - 1 of the batch that are this thread's: whole chunks.

    Their dense gradients start at zero.
    """
    count = min(rule.batch_size, rule.samples - batch * rule.batch_size)
    chunks = (count + CHUNK - 1) // CHUNK
    low, high = chunks * me // threads, chunks * (me + 1) // threads
    work.dense[low:high] = np.float32(0)
    return low * CHUNK, min(high * CHUNK, count)


@inline
def triplet(t, first, pairs, rule, work, n_items):
    """Draw sample t of the batch as rows (u, v, v⁻); v⁻ is -1 if the user has no negative.

    The sample touches no row yet, and its loss is zero.
    """
    place, n_users = shuffled(first + t, rule.order), len(pairs.indptr) - 1
    u, v = np.int64(pairs.users[place]), np.int64(pairs.items[place]) + n_users
    n = uniform_negative(rule.draws, first + t, u, pairs, n_items)
    work.loss[t] = work.active[t] = 0
    work.rows[3 * t : 3 * t + 3] = -1
    return u, v, n + n_users if n >= 0 else np.int64(-1)


@inline
def settle(me, threads, batch, met, state, rule, work):
    """Apply the gradients of a mini-batch; return the count of arrivals."""
    count = min(rule.batch_size, rule.samples - batch * rule.batch_size)
    bias = adam_bias(rule.steps_before + batch + 1)
    meet(work.arrivals, met + threads)
    _step_rows(me, threads, count, state, rule, work, bias)
    _step_weights(me, threads, count, state, rule, work, bias)
    if me == 0:
        for t in range(count):
            work.totals[0] += work.loss[t]
            work.totals[1] += work.active[t]
        work.totals[2] += count
    meet(work.arrivals, met + 2 * threads)
    return met + 2 * threads


@inline
def _step_rows(me, threads, count, state, rule, work, bias):
    rows, heads, chain, own, g = work.rows, work.heads, work.chain, work.own[me], work.gradients
    owned = 0
    for corner in range(3 * count):
        own[owned] = corner
        row = rows[corner]
        owned += (row >= 0) & (owner(max(row, 0), threads) == me)
    for i in range(owned - 1, -1, -1):
        corner = own[i]
        chain[corner] = heads[rows[corner]]
        heads[rows[corner]] = corner
    for i in range(owned):
        corner = own[i]
        row = rows[corner]
        if heads[row] != corner:
            continue  # added with the row's first corner
        heads[row] = -1
        other = chain[corner]
        while other >= 0:
            add_scaled(g, corner, g, other, np.float32(1))
            other = chain[other]
        square = squared_norm(g, corner)
        if square > rule.clip * rule.clip:
            scale(g, corner, rule.clip / np.sqrt(square))
            square = squared_norm(g, corner)
        factor = step_row(
            g, corner, square, state.table, row, state.first, state.second, rule, bias
        )
        copy(state.table, row, g, corner, factor)


@inline
def _step_weights(me, threads, count, state, rule, work, bias):
    weights, dense = state.weights, work.dense
    low = len(weights) * me // threads
    high = len(weights) * (me + 1) // threads
    for chunk in range(1, (count + CHUNK - 1) // CHUNK):
        for i in range(low, high):
            dense[0, i] += dense[chunk, i]
    for i in range(low, high):
        gradient = dense[0, i]
        step_weight(weights, i, gradient, state.weights_first, state.weights_second, rule, bias)
