"""Deterministic parallel mini-batches for any model made of a table of rows and dense weights.

The loop of SML (`triplets`) never writes gradients out; here they are written, which costs
bandwidth and lets a model have any loss. Users and items are rows of one table, the users first. A
model brings one kernel, and the gradient of one sample; the rest is the same for all:

    @kernel
    def train(me, threads, span, positives, state, settings, workspace, params):
        for batch in range(span[0], span[1]):
            low, high = assign_samples(me, threads, batch, settings, workspace)
            for t in range(low, high):
                u, v, n = sample_triplet(t, batch, positives, state, settings, workspace)
                if n >= 0:
                    gradient(t, u, v, n, state.table, params, workspace)
            apply_updates(me, threads, batch, state, settings, workspace)

    @inline
    def gradient(t, u, v, n, table, params, workspace):
        g, k = workspace.gradients, 3 * t
        ... write ∂loss/∂table[u] to g[k], ∂loss/∂table[v] to g[k + 1], ∂loss/∂table[n] to g[k + 2]
        workspace.rows[k], workspace.rows[k + 1], workspace.rows[k + 2] = u, v, n
        workspace.loss[t], workspace.active[t] = loss, True

    session = gradient_session(train, settings, positives, n_items, params)

`params` is a tuple of the model's own scalars and arrays. Row arithmetic is in `rows`, exp and σ
with the same bits on every machine in `elementary`; `models.bpr` is a complete example.

A sample touches up to three rows, -1 standing for none. A model with dense weights adds their
gradient to row t // CHUNK of `workspace.dense`. `apply_updates` adds each row's gradients in the
order of the samples and each weight's in the order of the chunks, so that no sum depends on the
number of threads.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from trimetric.engine import rows as row_tables
from trimetric.engine.compile import inline
from trimetric.engine.negatives import Positives, positive_pair, uniform_negative
from trimetric.engine.optimizers import (
    accumulator_start,
    adam_bias,
    start_moments,
    step_row,
    step_weight,
)
from trimetric.engine.rows import add_scaled, copy, scale, squared_norm
from trimetric.engine.session import RunSettings, Session, start_table
from trimetric.engine.threads import barrier, barrier_counts
from trimetric.engine.triplets import owner

CHUNK = 32  # samples whose dense gradients are added up together


class State(NamedTuple):
    """What is trained, and the optimiser's moments."""

    table: np.ndarray  # float32[n_users + n_items, width]
    first: np.ndarray  # see optimizers.start_moments
    second: np.ndarray
    weights: np.ndarray  # float32[W]: dense weights, flat; W may be 0
    weights_first: np.ndarray  # float32[W]
    weights_second: np.ndarray  # float32[W]
    totals: np.ndarray  # float64[4]: see session.Totals


class Workspace(NamedTuple):
    """Memory for one mini-batch of B samples on T threads."""

    rows: np.ndarray  # int32[3B]: the table's rows that gradients belong to; -1 for none
    gradients: np.ndarray  # float32[3B, width]: sample t's are number 3t .. 3t + 2
    loss: np.ndarray  # float32[B]
    active: np.ndarray  # bool[B]: whether the sample has a gradient
    dense: np.ndarray  # float32[chunks, W]
    first_slot: np.ndarray  # int32[n_users + n_items]: a row's first gradient; -1 between batches
    owned_slots: np.ndarray  # int32[T, 3B]: gradients of the thread's rows
    next_slot: np.ndarray  # int32[3B]: the next gradient of the same row, or -1
    scratch: np.ndarray  # float32[T, ., width]: rows for the model's own use
    barrier: np.ndarray  # see threads.barrier_counts


@inline
def assign_samples(me, threads, batch, settings, workspace):
    """Return low, high: this thread's samples of the mini-batch, whole chunks.

    Their dense gradients are set to zero.
    """
    count = min(settings.batch_size, settings.samples - batch * settings.batch_size)
    chunks = (count + CHUNK - 1) // CHUNK
    low, high = chunks * me // threads, chunks * (me + 1) // threads
    workspace.dense[low:high] = np.float32(0)
    return low * CHUNK, min(high * CHUNK, count)


@inline
def sample_triplet(t, batch, positives, state, settings, workspace):
    """Draw sample t of the mini-batch as rows (u, v, v⁻); v⁻ is -1 if the user has no negative.

    The sample touches no row yet, and its loss is zero.
    """
    position, n_users = batch * settings.batch_size + t, len(positives.indptr) - 1
    pair = positive_pair(position, positives, settings)
    u, v = np.int64(positives.users[pair]), np.int64(positives.items[pair]) + n_users
    n = uniform_negative(settings.draws, position, u, positives, len(state.table) - n_users)
    clear_sample(t, workspace)
    return u, v, n + n_users if n >= 0 else np.int64(-1)


@inline
def clear_sample(t, workspace):
    """Let sample t touch no row and have no loss."""
    workspace.loss[t] = workspace.active[t] = 0
    workspace.rows[3 * t : 3 * t + 3] = -1


@inline
def apply_updates(me, threads, batch, state, settings, workspace):
    """Step rows and weights by the mini-batch's gradients, and add to the totals."""
    count = min(settings.batch_size, settings.samples - batch * settings.batch_size)
    bias = adam_bias(settings.steps_before + batch + 1)
    barrier(workspace.barrier, me, threads)
    _step_rows(me, threads, count, state, settings, workspace, bias)
    _step_weights(me, threads, count, state, settings, workspace, bias)
    if me == 0:
        for t in range(count):
            state.totals[0] += workspace.loss[t]
            state.totals[1] += workspace.active[t]
        state.totals[3] += count
    barrier(workspace.barrier, me, threads)


@inline
def _assign_rows(me, threads, count, workspace):
    """List the gradients of this thread's rows, and link those of one row in order."""
    rows, first_slot, next_slot = workspace.rows, workspace.first_slot, workspace.next_slot
    owned = workspace.owned_slots[me]
    size = 0
    for slot in range(3 * count):
        owned[size] = slot
        row = rows[slot]
        size += (row >= 0) & (owner(max(row, 0), threads) == me)
    for i in range(size - 1, -1, -1):
        slot = owned[i]
        next_slot[slot] = first_slot[rows[slot]]
        first_slot[rows[slot]] = slot
    return size


@inline
def _step_rows(me, threads, count, state, settings, workspace, bias):
    owned, g, table = workspace.owned_slots[me], workspace.gradients, state.table
    first, second = state.first, state.second
    for i in range(_assign_rows(me, threads, count, workspace)):
        slot = owned[i]
        row = workspace.rows[slot]
        if workspace.first_slot[row] != slot:
            continue  # added with the row's first gradient
        workspace.first_slot[row] = -1
        other = workspace.next_slot[slot]
        while other >= 0:
            add_scaled(g, slot, g, other, np.float32(1))
            other = workspace.next_slot[other]
        square = squared_norm(g, slot)
        if square > settings.clip * settings.clip:
            scale(g, slot, settings.clip / np.sqrt(square))
            square = squared_norm(g, slot)
        factor = step_row(g, slot, square, table, row, first, second, settings, bias)
        copy(table, row, g, slot, factor)


@inline
def _step_weights(me, threads, count, state, settings, workspace, bias):
    weights, dense = state.weights, workspace.dense
    first, second = state.weights_first, state.weights_second
    low = len(weights) * me // threads
    high = len(weights) * (me + 1) // threads
    for chunk in range(1, (count + CHUNK - 1) // CHUNK):
        for i in range(low, high):
            dense[0, i] += dense[chunk, i]
    for i in range(low, high):
        step_weight(weights, i, dense[0, i], first, second, settings, bias)


def gradient_session(
    train: Any,
    settings: RunSettings,
    positives: Positives,
    n_items: int,
    params: tuple = (),
    *,
    samples: int | None = None,
    weights: np.ndarray | None = None,
    scratch: int = 1,
    cost: float = 3.0,
) -> Session:
    """Return a session that trains a model by its kernel: see the module.

    Parameters
    ----------
    train : kernel
    settings : RunSettings
    positives : Positives
    n_items : int
    params : tuple
        Passed on to the kernel.
    samples : int, optional
        In an epoch; the number of positive pairs unless given.
    weights : float32 (W,), optional
        First values of dense weights.
    scratch : int
        Rows of memory that each thread has for the model's own use.
    cost : float
        Of a sample, in distances computed: bounds the time between two looks at Ctrl-C.
    """
    samples = len(positives.users) if samples is None else samples
    n_rows, batch = len(positives.indptr) - 1 + n_items, min(settings.batch_size, samples)
    state = start_state(settings, n_rows, weights)
    return Session(
        kernel=train,
        settings=settings,
        positives=positives,
        state=state,
        workspace=partial(make_workspace, state, settings.dim, batch, scratch),
        params=params,
        samples=samples,
        cost=cost,
        saved=("table", "weights"),
    )


def start_state(settings: RunSettings, n_rows: int, weights: np.ndarray | None = None) -> State:
    """Return the state that training starts from."""
    weights = np.zeros(0, dtype=np.float32) if weights is None else weights.astype(np.float32)
    table = start_table(settings, n_rows)
    first, second = start_moments(settings.optimizer, table)
    return State(
        table=table,
        first=first,
        second=second,
        weights=weights,
        weights_first=np.zeros_like(weights),
        weights_second=np.full_like(weights, accumulator_start(settings.optimizer)),
        totals=np.zeros(4),
    )


def make_workspace(state: State, dim: int, batch: int, scratch: int, threads: int) -> Workspace:
    """Return memory for mini-batches of at most `batch` samples."""
    chunks, of_thread = -(-batch // CHUNK), row_tables.table(threads * scratch, dim)
    return Workspace(
        rows=np.full(3 * batch, -1, dtype=np.int32),
        gradients=row_tables.table(3 * batch, dim),
        loss=np.zeros(batch, dtype=np.float32),
        active=np.zeros(batch, dtype=np.bool_),
        dense=np.zeros((chunks, len(state.weights)), dtype=np.float32),
        first_slot=np.full(len(state.table), -1, dtype=np.int32),
        owned_slots=np.zeros((threads, 3 * batch), dtype=np.int32),
        next_slot=np.zeros(3 * batch, dtype=np.int32),
        scratch=of_thread.reshape(threads, scratch, -1),
        barrier=barrier_counts(threads),
    )
