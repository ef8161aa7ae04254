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

from trimetric.engine.elementary import exp
from trimetric.engine.lanes import (
    GROUP,
    add_scaled,
    copy,
    grouped,
    padded_table,
    scale,
    squared_distances,
    squared_norm,
    table,
)
from trimetric.engine.policy import kernel, thread_count
from trimetric.engine.threads import Team
from trimetric.engine.updates import projection

STEPS = 10
FIRST_STEP = 0.3  # of the radius
_FINE, _LARGEST = 128, 16  # exp(−x) is looked up at multiples of 1/128 and is 0 from 16 on


class _Pull(NamedTuple):
    """What draws each newcomer."""

    indptr: np.ndarray  # int64[m + 1]
    rows: np.ndarray  # int32[q]: which points, ascending within a newcomer
    weights: np.ndarray  # float32[q], above 0


class _Rule(NamedTuple):
    """Settings, as scalars, and the looked-up exponentials."""

    exponentials: np.ndarray  # float32[2048]
    rate: Any  # float32: 128/τ
    radius: Any  # float32
    sphere: bool


class _Room(NamedTuple):
    """Room for T threads."""

    listed: np.ndarray  # int32[n']: 0 .. n − 1; n' is n, rounded up to fours
    far: np.ndarray  # float32[T, n']: d² to each point
    rows: np.ndarray  # float32[3T, width]: x, v̄ and c of each thread


def fold_in(
    pull: tuple[np.ndarray, np.ndarray, np.ndarray],
    points: np.ndarray,
    temperature: float,
    radius: float,
    sphere: bool = False,
    threads: int | None = None,
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
    threads : int, optional
        All processors unless given; the result does not depend on it.

    Returns
    -------
    float32 (m, d)
        A newcomer whom nothing draws is at the origin.
    """
    m, (n, d), threads = len(pull[0]) - 1, points.shape, thread_count(threads)
    space, out = padded_table(points), table(m, d)
    padded = grouped(max(n, 1))
    listed = np.minimum(np.arange(padded, dtype=np.int32), max(n - 1, 0)).astype(np.int32)
    room = _Room(listed, np.zeros((threads, padded), dtype=np.float32), table(3 * threads, d))
    exponentials = np.empty(_LARGEST * _FINE, dtype=np.float32)
    _fill_exponentials(exponentials)
    rule = _Rule(exponentials, np.float32(_FINE / temperature), np.float32(radius), sphere)
    pulls, size = _Pull(*pull), -(-m // threads)
    with Team(threads) as team:
        team.run(
            lambda me: _place(
                me, (me * size, min(m, (me + 1) * size)), pulls, space, out, rule, room
            )
        )
    return out[:, :d]


@kernel
def _fill_exponentials(out):
    for k in range(len(out)):
        out[k] = exp(-k / _FINE)


@kernel
def _place(me, span, pull, points, out, rule, room):
    rows, far, n = room.rows, room.far[me], len(points)
    x, mean, centre = 3 * me, 3 * me + 1, 3 * me + 2
    for newcomer in range(span[0], span[1]):
        low, high = pull.indptr[newcomer], pull.indptr[newcomer + 1]
        scale(rows, mean, np.float32(0))
        total = np.float32(0)
        for i in range(low, high):
            add_scaled(rows, mean, points, pull.rows[i], pull.weights[i])
            total += pull.weights[i]
        if total > 0:
            scale(rows, mean, np.float32(1) / total)
        copy(rows, x, rows, mean, np.float32(1))
        for step in range(STEPS if high > low else 0):
            for j in range(0, n, GROUP):
                squared_distances(rows, x, points, room.listed, j, far)
            for i in range(low, high):
                far[pull.rows[i]] = np.inf
            nearest = np.float32(np.inf)
            for j in range(n):
                nearest = min(nearest, far[j])
            if nearest == np.inf:
                break  # nothing else is there
            scale(rows, centre, np.float32(0))
            mass = np.float32(0)
            for j in range(n):
                place = (far[j] - nearest) * rule.rate
                if place < len(rule.exponentials):
                    weight = rule.exponentials[np.int64(place)]
                    mass += weight
                    add_scaled(rows, centre, points, j, weight)
            scale(rows, centre, np.float32(-1) / mass)
            add_scaled(rows, centre, rows, mean, np.float32(1))
            length = np.sqrt(squared_norm(rows, centre))
            if length > 0:
                share = np.float32(FIRST_STEP) * (np.float32(1) - np.float32(step) / STEPS)
                add_scaled(rows, x, rows, centre, share * rule.radius / length)
            scale(rows, x, projection(squared_norm(rows, x), rule.radius, rule.sphere))
        copy(out, newcomer, rows, x, np.float32(1))
