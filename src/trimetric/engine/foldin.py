"""Fold-in: the point of a new user among trained items, or of a new item among trained users.

For a user x with the items v, weights w and all other items j as candidates, the softmax form of
the objective (see `gumbel`) with all hinges active, as nearly all are in a trained space:

    f(x) = Σ_v w_v·d²(x, v) / Σ_v w_v + τ·ln Σ_j exp(−d²(x, j)/τ)

Its gradient is 2·(c − v̄), v̄ the mean of the user's items and c the mean of the others, weighted by
the softmax: ‖x‖² cancels. From v̄, ten steps of falling length go against it, each projected into
the ball. A new item is folded in by its users in the same way.
"""

from typing import Any, NamedTuple

import numpy as np

from trimetric.engine.compile import inline, kernel
from trimetric.engine.elementary import exp
from trimetric.engine.optimizers import projection
from trimetric.engine.rows import (
    CONSECUTIVE,
    COUNTED,
    add_consecutive,
    add_scaled,
    as_table,
    consecutive_distances,
    copy,
    count_at_least,
    scale,
    squared_distance,
    squared_norm,
    table,
)
from trimetric.engine.threads import ThreadTeam, thread_count

STEPS = 10
FIRST_STEP = 0.3  # of the radius
SIDE_BY_SIDE = 8  # new users at a time
_TILE = COUNTED  # points that stay in cache while each of these reads them
_FINE, _LARGEST = 128, 16  # exp(−x) is looked up at multiples of 1/128 and is 0 from 16 on


class _Lists(NamedTuple):
    """The weighted points of each new user."""

    indptr: np.ndarray  # int64[m + 1]
    rows: np.ndarray  # int32[q]: rows of points, ascending within a user
    weights: np.ndarray  # float32[q], above 0


class _Settings(NamedTuple):
    """Settings, as scalars, and a table of exponentials."""

    exponentials: np.ndarray  # float32[2049], the last one 0
    rate: Any  # float32: 128/τ
    radius: Any  # float32
    sphere: bool


class _Workspace(NamedTuple):
    """Memory for T threads, each with B new users side by side."""

    weights: np.ndarray  # float32[T, n']: d² to each point, then its weight; n' is a multiple of 64
    rows: np.ndarray  # float32[3·B·T, width]: x, v̄ and c of each user
    nearest: np.ndarray  # float32[T, B]: the least d² so far
    mass: np.ndarray  # float32[T, B]: the sum of the weights so far
    cursor: np.ndarray  # int64[T, B]: place in the user's list


def fold_in(
    lists: tuple[np.ndarray, np.ndarray, np.ndarray],
    points: np.ndarray,
    temperature: float,
    radius: float,
    sphere: bool = False,
) -> np.ndarray:
    """Return the points of new users, or of new items.

    Parameters
    ----------
    lists : (int64 (m + 1,), int32 (q,), float32 (q,))
        In compressed rows, the points that each interacted with, ascending, and their weights.
    points : float32 (n, d)
        The trained points of the other side.
    temperature : float
        τ, above 0.
    radius, sphere : float, bool
        Of the ball.

    Returns
    -------
    float32 (m, d)
        The origin where a list is empty.
    """
    m, (n, d), threads = len(lists[0]) - 1, points.shape, thread_count()
    space, out = as_table(points), table(m, d)
    shape = threads, SIDE_BY_SIDE
    workspace = _Workspace(
        np.zeros((threads, -(-max(n, 1) // COUNTED) * COUNTED), dtype=np.float32),
        table(3 * threads * SIDE_BY_SIDE, d),
        np.zeros(shape, dtype=np.float32),
        np.zeros(shape, dtype=np.float32),
        np.zeros(shape, dtype=np.int64),
    )
    exponentials = np.zeros(_LARGEST * _FINE + 1, dtype=np.float32)
    _fill_exponentials(exponentials[:-1])
    settings = _Settings(exponentials, np.float32(_FINE / temperature), np.float32(radius), sphere)
    weighted, size = _Lists(*lists), -(-m // threads)
    with ThreadTeam(threads) as team:
        team.run(
            lambda me: _fold_in(
                me, (me * size, min(m, (me + 1) * size)), weighted, space, out, settings, workspace
            )
        )
    return out[:, :d]


@kernel
def _fill_exponentials(out):
    for k in range(len(out)):
        out[k] = exp(-k / _FINE)


@kernel
def _fold_in(me, span, lists, points, out, settings, workspace):
    """Fold in users span[0] .. span[1] - 1, a few at a time, which share each read of a point."""
    for first in range(span[0], span[1], SIDE_BY_SIDE):
        count = min(SIDE_BY_SIDE, span[1] - first)
        for b in range(count):
            _start(me, b, first + b, lists, points, workspace)
        for step in range(STEPS):
            for b in range(count):
                scale(workspace.rows, 3 * (me * SIDE_BY_SIDE + b) + 2, np.float32(0))
                workspace.nearest[me, b], workspace.mass[me, b] = np.inf, 0
                workspace.cursor[me, b] = lists.indptr[first + b]
            for low in range(0, len(points), _TILE):
                high = min(low + _TILE, len(points))
                for b in range(count):
                    _weigh(me, b, first + b, (low, high), lists, points, settings, workspace)
            for b in range(count):
                if lists.indptr[first + b] < lists.indptr[first + b + 1]:
                    _step(me, b, step, settings, workspace)
        for b in range(count):
            copy(out, first + b, workspace.rows, 3 * (me * SIDE_BY_SIDE + b), np.float32(1))


@inline
def _start(me, b, user, lists, points, workspace):
    """Compute v̄ and start from it."""
    rows, x = workspace.rows, 3 * (me * SIDE_BY_SIDE + b)
    scale(rows, x + 1, np.float32(0))
    total = np.float32(0)
    for i in range(lists.indptr[user], lists.indptr[user + 1]):
        add_scaled(rows, x + 1, points, lists.rows[i], lists.weights[i])
        total += lists.weights[i]
    if total > 0:
        scale(rows, x + 1, np.float32(1) / total)
    copy(rows, x, rows, x + 1, np.float32(1))


@inline
def _weigh(me, b, user, tile, lists, points, settings, workspace):
    """Add the points of a tile to c and the mass, weighted by exp((nearest − d²)/τ)."""
    low, high = tile
    rows, x, d2 = workspace.rows, 3 * (me * SIDE_BY_SIDE + b), workspace.weights[me]
    whole = low + (high - low) // CONSECUTIVE * CONSECUTIVE
    for j in range(low, whole, CONSECUTIVE):
        consecutive_distances(rows, x, points, j, d2, j)
    for j in range(whole, high):
        d2[j] = squared_distance(rows, x, points, j)
    for j in range(high, low + -(-(high - low) // COUNTED) * COUNTED):
        d2[j] = np.inf
    place, end = workspace.cursor[me, b], lists.indptr[user + 1]
    while place < end and lists.rows[place] < high:
        d2[lists.rows[place]] = np.inf
        place += 1
    workspace.cursor[me, b] = place
    nearest = workspace.nearest[me, b]
    for j in range(low, high, COUNTED):
        if count_at_least(d2, j, nearest) < COUNTED:
            for k in range(j, j + COUNTED):
                nearest = min(nearest, d2[k])
    if nearest == np.inf:
        return  # all of them are the user's own
    last = np.float32(len(settings.exponentials) - 1)
    if nearest < workspace.nearest[me, b]:
        scaled = min((workspace.nearest[me, b] - nearest) * settings.rate, last)
        shrink = settings.exponentials[np.int32(scaled)]
        scale(rows, x + 2, shrink)
        workspace.mass[me, b] *= shrink
        workspace.nearest[me, b] = nearest
    for j in range(low, high):
        d2[j] = settings.exponentials[np.int32(min((d2[j] - nearest) * settings.rate, last))]
    mass = workspace.mass[me, b]
    for j in range(low, whole, CONSECUTIVE):
        part = (d2[j] + d2[j + 4]) + (d2[j + 1] + d2[j + 5])
        part += (d2[j + 2] + d2[j + 6]) + (d2[j + 3] + d2[j + 7])
        if part > 0:
            mass += part
            add_consecutive(rows, x + 2, points, j, d2, j)
    for j in range(whole, high):
        mass += d2[j]
        add_scaled(rows, x + 2, points, j, d2[j])
    workspace.mass[me, b] = mass


@inline
def _step(me, b, step, settings, workspace):
    """Go against the gradient, by a length that falls from step to step, and back into the ball."""
    rows, x, mass = workspace.rows, 3 * (me * SIDE_BY_SIDE + b), workspace.mass[me, b]
    if mass == 0:
        return  # there are no other points
    scale(rows, x + 2, np.float32(-1) / mass)
    add_scaled(rows, x + 2, rows, x + 1, np.float32(1))
    length = np.sqrt(squared_norm(rows, x + 2))
    if length > 0:
        share = np.float32(FIRST_STEP) * (np.float32(1) - np.float32(step) / STEPS)
        add_scaled(rows, x, rows, x + 2, share * settings.radius / length)
    scale(rows, x, projection(squared_norm(rows, x), settings.radius, settings.sphere))
