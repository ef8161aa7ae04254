"""Fold-in of centroids: a new user is the mean of their items, and an own point found by steps.

Where ω = 0 the mean is all there is, exactly what training would have given. Otherwise p_u starts
at the mean and takes a few steps on the loss of `centroids`, the items held still, against the same
candidates for everybody; `item_term` is left out. A new item is placed by its users in the same
way: Q_v without y_v.
"""

from dataclasses import replace

import numpy as np

from trimetric import counter
from trimetric.data.csr import Csr
from trimetric.engine.blocks import list_users
from trimetric.engine.centroid_session import (
    CentroidSettings,
    Params,
    State,
    make_params,
    make_workspace,
)
from trimetric.engine.centroids import (
    LEAST_LENGTH,
    add_items,
    compose_user,
    draw_candidates,
    evaluate_users,
)
from trimetric.engine.compile import kernel
from trimetric.engine.negatives import Positives
from trimetric.engine.rng import order
from trimetric.engine.rows import add_scaled, scale, squared_norm, table
from trimetric.engine.session import EpochSettings
from trimetric.engine.threads import ThreadTeam, barrier, thread_count

STEPS = 10
RATE = 0.3  # of the first step; it falls linearly
CANDIDATES = 2048
_DRAWS = 23  # stream of random numbers
_BLOCK = 64  # users at a time


def place_users(
    lists: tuple[np.ndarray, np.ndarray],
    counts: np.ndarray,
    trained: State,
    settings: CentroidSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points x of new users, and their own points p.

    Parameters
    ----------
    lists : (int64 (m + 1,), int32 (q,))
        In compressed rows, the items that each has, ascending.
    counts : float32 (q,)
        How much each item counts, above 0.
    trained : State
        Its `items`, `weights` and `item_sums` are used.
    settings : CentroidSettings

    Returns
    -------
    points : float32 (m, width)
        The origin where a list is empty.
    own : float32 (m, width)
        No rows where ω = 0.
    """
    m, n_items, width = len(lists[0]) - 1, len(trained.items), settings.dim + 1
    out, positives = table(m, width), _positives(*lists, counts)
    if settings.own == 0:
        _fill_means(positives, trained.items, trained.weights, settings.dim, out)
        return out, table(0, width)
    few = min(settings.candidates or n_items, CANDIDATES)
    settings = replace(settings, candidates=few, weight_rate=0.0, item_weight=0.0)
    params = make_params(settings, positives, n_items)
    state = trained._replace(
        own=table(m, width),
        own_squares=np.full(m, 0.1, dtype=np.float32),
        user_terms=table(m if settings.kappa > 0 else 0, width),  # new users are in no Q
    )
    threads = thread_count() if m > 1 else 1
    entries = min(len(lists[1]), _BLOCK * int(np.diff(lists[0]).max(initial=0)))
    size = min(_BLOCK, max(len(params.users), 1))
    workspace = make_workspace(state, params, size, entries, threads)
    epoch = _epoch_settings(settings, params, size)
    with ThreadTeam(threads) as team:
        team.run(lambda me: _place(me, threads, positives, state, epoch, workspace, params, out))
    return out, state.own


@kernel
def _fill_means(positives, items, weights, dim, out):
    """Fill out with the unit means of the items of each user."""
    for u in range(len(out)):
        for k in range(positives.indptr[u], positives.indptr[u + 1]):
            i = positives.items[k]
            add_scaled(out, u, items, i, positives.weights[k] * weights[i])
        out[u, dim] = 0
        scale(out, u, np.float32(1) / max(np.sqrt(squared_norm(out, u)), LEAST_LENGTH))


def _positives(indptr: np.ndarray, items: np.ndarray, weights: np.ndarray) -> Positives:
    users = Csr(indptr, items).users
    none, empty = np.zeros(1, dtype=np.uint64), np.zeros(0, dtype=np.int32)
    pools = np.zeros(0, dtype=np.int64), empty, np.zeros(1, dtype=np.int64)
    rows = np.array(items, np.int32), np.array(indptr, np.int64)
    return Positives(users, *rows, none, *pools, np.array(weights, np.float32), np.zeros(0))


def _epoch_settings(settings: CentroidSettings, params: Params, size: int) -> EpochSettings:
    samples = max(len(params.users), 1)
    return EpochSettings(
        order=order(counter.key(_DRAWS), samples),
        draws=counter.key(_DRAWS),
        steps_before=np.int64(0),
        batch_size=np.int64(size),
        samples=np.int64(len(params.users)),
        optimizer=np.int64(0),
        lr=np.float32(RATE),
        radius=np.float32(1),
        sphere=True,
        clip=np.float32(np.inf),
        dim=np.float32(settings.dim),
    )


@kernel
def _place(me, threads, positives, state, settings, workspace, params, out):
    m = len(positives.indptr) - 1
    low, high = m * me // threads, m * (me + 1) // threads
    for u in range(low, high):
        add_items(state.own, u, u, positives, state, params)
        length = np.sqrt(squared_norm(state.own, u))
        scale(state.own, u, np.float32(1) / max(length, LEAST_LENGTH))
    draw_candidates(me, threads, 0, 0, state, settings, workspace, params, params.kappa)
    barrier(workspace.barrier, me, threads)
    blocks = (settings.samples + settings.batch_size - 1) // settings.batch_size
    for block in range(blocks):
        count = min(settings.batch_size, settings.samples - block * settings.batch_size)
        if me == 0:
            list_users(block, count, positives, settings, workspace, params)
        barrier(workspace.barrier, me, threads)
        for step in range(STEPS):
            rate = settings.lr * np.float32((STEPS - step) / STEPS)
            evaluate_users(
                me, threads, block, count, 0, rate,
                positives, state, settings, workspace, params, params.kappa,
            )  # fmt: skip
        barrier(workspace.barrier, me, threads)
    for u in range(low, high):
        compose_user(u, positives, state, params, out, u)


def place_items(
    lists: tuple[np.ndarray, np.ndarray], counts: np.ndarray, users: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    """Return the points of new items on the unit sphere, by the points x of their users.

    Parameters
    ----------
    lists : (int64 (m + 1,), int32 (q,))
        In compressed rows, the users that each has, ascending.
    counts : float32 (q,)
        How much each user counts, above 0.
    users : float32 (n_users, width)
    sizes : int64 (n_users,)
        How many items each user has.

    Returns
    -------
    float32 (m, width)
        Q_v/‖Q_v‖; the origin where a list is empty.
    """
    out = table(len(lists[0]) - 1, users.shape[1])
    _add_up_terms(*lists, counts, users, sizes.astype(np.float32), out)
    return out


@kernel
def _add_up_terms(indptr, rows, counts, users, sizes, out):
    one = np.float32(1)
    for v in range(len(out)):
        for k in range(indptr[v], indptr[v + 1]):
            u = rows[k]
            length = np.sqrt(squared_norm(users, u)) * np.sqrt(max(sizes[u], one))
            add_scaled(out, v, users, u, counts[k] / max(length, LEAST_LENGTH))
        scale(out, v, one / max(np.sqrt(squared_norm(out, v)), LEAST_LENGTH))
