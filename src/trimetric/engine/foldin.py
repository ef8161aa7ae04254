"""Where a newcomer belongs, while everything else stands where it is.

A user x with the items v, weights w and all other items j as candidates; the softmax form of the
objective (see `noise`) with hinges that all pull, as nearly all do in a trained space:

    f(x) = Σ_v w_v·d²(x, v) / Σ_v w_v + τ·ln Σ_j exp(−d²(x, j)/τ)

Its gradient is 2·(c − v̄), v̄ the mean of the user's items and c the mean of the others, weighted by
the softmax: ‖x‖² cancels. From v̄ some steps of falling length go the other way, each projected into
the ball. An item's users take the same part for a new item.
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
SIDE_BY_SIDE = 8  # newcomers
_TILE = COUNTED  # points that stay in cache while each of these looks at them
_FINE, _LARGEST = 128, 16  # exp(−x) is looked up at multiples of 1/128 and is 0 from 16 on


class _Pull(NamedTuple):
    """What draws each newcomer."""

    indptr: np.ndarray  # int64[m + 1]
    rows: np.ndarray  # int32[q]: which points, ascending within a newcomer
    weights: np.ndarray  # float32[q], above 0


class _Rule(NamedTuple):
    """Settings, as scalars, and the looked-up exponentials."""

    exponentials: np.ndarray  # float32[2049], the last one 0
    rate: Any  # float32: 128/τ
    radius: Any  # float32
    sphere: bool


class _Scratch(NamedTuple):
    """Room for T threads, each with B newcomers side by side."""

    weights: np.ndarray  # float32[T, n']: d² to each point, then its weight; n' is a multiple of 64
    rows: np.ndarray  # float32[3·B·T, width]: x, v̄ and c of each newcomer
    nearest: np.ndarray  # float32[T, B]: the least d² so far
    mass: np.ndarray  # float32[T, B]: the sum of the weights so far
    cursor: np.ndarray  # int64[T, B]: which of its own points comes next


def fold_in(
    pull: tuple[np.ndarray, np.ndarray, np.ndarray],
    points: np.ndarray,
    temperature: float,
    radius: float,
    sphere: bool = False,
) -> np.ndarray:
    """Return the positions of newcomers.

    Parameters
    ----------
    pull : (int64 (m + 1,), int32 (q,), float32 (q,))
        In compressed rows, the points that draw each newcomer, ascending, and their weights.
    points : float32 (n, d)
        The other side.
    temperature : float
        τ, above 0.
    radius, sphere : float, bool
        Of the ball.

    Returns
    -------
    float32 (m, d)
        A newcomer whom nothing draws is at the origin.
    """
    m, (n, d), threads = len(pull[0]) - 1, points.shape, thread_count()
    space, out = as_table(points), table(m, d)
    shape = threads, SIDE_BY_SIDE
    scratch = _Scratch(
        np.zeros((threads, -(-max(n, 1) // COUNTED) * COUNTED), dtype=np.float32),
        table(3 * threads * SIDE_BY_SIDE, d),
        np.zeros(shape, dtype=np.float32),
        np.zeros(shape, dtype=np.float32),
        np.zeros(shape, dtype=np.int64),
    )
    exponentials = np.zeros(_LARGEST * _FINE + 1, dtype=np.float32)
    _fill_exponentials(exponentials[:-1])
    rule = _Rule(exponentials, np.float32(_FINE / temperature), np.float32(radius), sphere)
    pulls, size = _Pull(*pull), -(-m // threads)
    with ThreadTeam(threads) as team:
        team.run(
            lambda me: _place(
                me, (me * size, min(m, (me + 1) * size)), pulls, space, out, rule, scratch
            )
        )
    return out[:, :d]


@kernel
def _fill_exponentials(out):
    for k in range(len(out)):
        out[k] = exp(-k / _FINE)


@kernel
def _place(me, span, pull, points, out, rule, scratch):
    """Place newcomers span[0] .. span[1] - 1, a few at a time, so that points are read for all."""
    for first in range(span[0], span[1], SIDE_BY_SIDE):
        count = min(SIDE_BY_SIDE, span[1] - first)
        for b in range(count):
            _begin(me, b, first + b, pull, points, scratch)
        for step in range(STEPS):
            for b in range(count):
                scale(scratch.rows, 3 * (me * SIDE_BY_SIDE + b) + 2, np.float32(0))
                scratch.nearest[me, b], scratch.mass[me, b] = np.inf, 0
                scratch.cursor[me, b] = pull.indptr[first + b]
            for low in range(0, len(points), _TILE):
                high = min(low + _TILE, len(points))
                for b in range(count):
                    _weigh(
                        me, b, (low, high), pull.indptr[first + b + 1], pull, points, rule, scratch
                    )
            for b in range(count):
                if pull.indptr[first + b] < pull.indptr[first + b + 1]:
                    _step(me, b, step, rule, scratch)
        for b in range(count):
            copy(out, first + b, scratch.rows, 3 * (me * SIDE_BY_SIDE + b), np.float32(1))


@inline
def _begin(me, b, user, pull, points, scratch):
    """Find v̄ and start from it."""
    rows, x = scratch.rows, 3 * (me * SIDE_BY_SIDE + b)
    scale(rows, x + 1, np.float32(0))
    total = np.float32(0)
    for i in range(pull.indptr[user], pull.indptr[user + 1]):
        add_scaled(rows, x + 1, points, pull.rows[i], pull.weights[i])
        total += pull.weights[i]
    if total > 0:
        scale(rows, x + 1, np.float32(1) / total)
    copy(rows, x, rows, x + 1, np.float32(1))


@inline
def _weigh(me, b, tile, end, pull, points, rule, scratch):
    """Add the points of a tile to c and the mass, weighted by exp((nearest − d²)/τ)."""
    low, high = tile
    rows, x, far = scratch.rows, 3 * (me * SIDE_BY_SIDE + b), scratch.weights[me]
    whole = low + (high - low) // CONSECUTIVE * CONSECUTIVE
    for j in range(low, whole, CONSECUTIVE):
        consecutive_distances(rows, x, points, j, far, j)
    for j in range(whole, high):
        far[j] = squared_distance(rows, x, points, j)
    for j in range(high, low + -(-(high - low) // COUNTED) * COUNTED):
        far[j] = np.inf
    at = scratch.cursor[me, b]
    while at < end and pull.rows[at] < high:
        far[pull.rows[at]] = np.inf
        at += 1
    scratch.cursor[me, b] = at
    nearest = scratch.nearest[me, b]
    for j in range(low, high, COUNTED):
        if count_at_least(far, j, nearest) < COUNTED:
            for k in range(j, j + COUNTED):
                nearest = min(nearest, far[k])
    if nearest == np.inf:
        return  # all of them are its own
    last = np.float32(len(rule.exponentials) - 1)
    if nearest < scratch.nearest[me, b]:
        past = min((scratch.nearest[me, b] - nearest) * rule.rate, last)
        shrink = rule.exponentials[np.int32(past)]
        scale(rows, x + 2, shrink)
        scratch.mass[me, b] *= shrink
        scratch.nearest[me, b] = nearest
    for j in range(low, high):
        far[j] = rule.exponentials[np.int32(min((far[j] - nearest) * rule.rate, last))]
    mass = scratch.mass[me, b]
    for j in range(low, whole, CONSECUTIVE):
        part = (far[j] + far[j + 4]) + (far[j + 1] + far[j + 5])
        part += (far[j + 2] + far[j + 6]) + (far[j + 3] + far[j + 7])
        if part > 0:
            mass += part
            add_consecutive(rows, x + 2, points, j, far, j)
    for j in range(whole, high):
        mass += far[j]
        add_scaled(rows, x + 2, points, j, far[j])
    scratch.mass[me, b] = mass


@inline
def _step(me, b, step, rule, scratch):
    """Go from c towards v̄, by a length that falls from step to step, and back into the ball."""
    rows, x, mass = scratch.rows, 3 * (me * SIDE_BY_SIDE + b), scratch.mass[me, b]
    if mass == 0:
        return  # nothing else is there
    scale(rows, x + 2, np.float32(-1) / mass)
    add_scaled(rows, x + 2, rows, x + 1, np.float32(1))
    length = np.sqrt(squared_norm(rows, x + 2))
    if length > 0:
        share = np.float32(FIRST_STEP) * (np.float32(1) - np.float32(step) / STEPS)
        add_scaled(rows, x, rows, x + 2, share * rule.radius / length)
    scale(rows, x, projection(squared_norm(rows, x), rule.radius, rule.sphere))
