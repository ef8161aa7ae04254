"""Points of a space on a plane, neighbours beside neighbours: t-SNE with exact repulsion.

van der Maaten and Hinton, JMLR 9 (2008), with affinities that are alike for the k nearest, which
give the same maps as tuned widths (Böhm, Berens and Kobak, JMLR 23, 2022), and principal components
to start from, so that far parts lie as they do in the space (Kobak and Berens, Nature
Communications 10, 2019). Nothing is drawn at random.

Each of the n² repulsions is computed, 64 rows side by side in the processor's lanes; for a few
thousand points that is quicker than approximating them. A row adds up its own forces in the order
of the points, so that threads change no bit.
"""

from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from trimetric.data.csr import Csr, keys
from trimetric.engine.compile import inline, kernel
from trimetric.engine.threads import ThreadTeam, thread_count

ROWS_AT_ONCE = 64
EARLY, LATE = 100, 300  # steps with attraction exaggerated, which untangles, and without
EXAGGERATION = 12.0
MOMENTUM = 0.8
_ONE = np.float32(1)


class Affinities(NamedTuple):
    """p of equation (1) of the paper, as rows of neighbours; all of them add up to 1.

    Parameters
    ----------
    lists : Csr
    weights : float32, one for each of `lists.items`
    """

    lists: Csr
    weights: np.ndarray


class State(NamedTuple):
    """Where each point is, x in row 0 and y in row 1, and what moves it."""

    place: np.ndarray  # float32 (2, n)
    speed: np.ndarray  # float32 (2, n)
    gain: np.ndarray  # float32 (2, n)
    pull: np.ndarray  # float32 (2, n), Σ p q (y_i − y_j)
    push: np.ndarray  # float32 (3, n), Σ q² (y_i − y_j), and Σ q


def affinities(nearest: np.ndarray) -> Affinities:
    """Return p_ij = (a_ij + a_ji) / 2nk, where a_ij is 1 if j is among the k nearest of i.

    `nearest` is int (n, k), each row distinct and without i.
    """
    n, k = nearest.shape
    rows, columns = np.repeat(np.arange(n), k), nearest.ravel()
    pairs = np.concatenate([keys(rows, columns), keys(columns, rows)])
    distinct, counts = np.unique(pairs, return_counts=True)
    return Affinities(Csr.from_keys(distinct, n), (counts / (2 * n * k)).astype(np.float32))


def principal_plane(points: np.ndarray) -> np.ndarray:
    """Return the first two principal components of points (n, d), float64 (n, 2).

    Each component's sign is such that its largest loading is positive.
    """
    with threadpool_limits(1, user_api="blas"):  # whose sums depend on the number of threads
        centred = points - points.mean(axis=0, dtype=np.float64)
        _, axes = np.linalg.eigh(centred.T @ centred)
        axes = axes[:, ::-1][:, :2]
        largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0)
        plane = centred @ (axes * np.sign(largest))
    return np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))


def lay_out(nearest: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Move points on a plane until those near in space are near.

    Parameters
    ----------
    nearest : int (n, k)
        For each point its k nearest others.
    start : float (n, 2)
        Where to begin; only the shape matters, not the scale.

    Returns
    -------
    float32 (n, 2)
        Centred at 0.
    """
    n = len(start)
    if nearest.size == 0:
        return np.zeros((n, 2), dtype=np.float32)
    spread = max(float(np.std(start)), 1e-30)
    place = (start.T * (1e-2 / spread)).astype(np.float32)  # small: distances grow, never shrink
    rest = (np.zeros((rows, n), dtype=np.float32) for rows in (2, 2, 2, 3))
    state = State(np.ascontiguousarray(place), *rest)
    graph = affinities(nearest)
    with ThreadTeam(min(thread_count(), -(-n // ROWS_AT_ONCE))) as team:
        _descend(state, graph, (EARLY, EXAGGERATION, n / EXAGGERATION), team)
        _descend(state, graph, (LATE, 1.0, n / 4), team)
    return np.ascontiguousarray(state.place.T)


def _descend(
    state: State, graph: Affinities, phase: tuple[int, float, float], team: ThreadTeam
) -> None:
    """Take so many steps, from rest, with this exaggeration and this rate."""
    steps, exaggeration, rate = phase
    n = state.place.shape[1]
    share = -(-n // (team.threads * ROWS_AT_ONCE)) * ROWS_AT_ONCE
    state.speed[:], state.gain[:] = 0, 1
    scales = np.float32(exaggeration), np.float32(rate), np.float32(MOMENTUM)

    def work(me: int) -> None:
        forces((me * share, min(n, (me + 1) * share)), graph, state)

    for _ in range(steps):
        team.run(work)
        _move(state, scales)


@inline
def closeness(dx, dy):
    """q Z of equation (4): Student's t with one degree of freedom."""
    return _ONE / (_ONE + dx * dx + dy * dy)


@kernel
def forces(span, graph, state):
    """Compute pull and push of the points span[0] .. span[1] - 1."""
    (indptr, items), weights = graph
    xs, ys, push = state.place[0], state.place[1], state.push
    for first in range(span[0], span[1], ROWS_AT_ONCE):
        last = min(first + ROWS_AT_ONCE, span[1])
        few = slice(first, last)
        _push(xs, ys, xs[few], ys[few], (push[0][few], push[1][few], push[2][few]))
        for i in range(first, last):
            px, py = np.float32(0), np.float32(0)
            for at in range(indptr[i], indptr[i + 1]):
                dx, dy = xs[i] - xs[items[at]], ys[i] - ys[items[at]]
                pq = weights[at] * closeness(dx, dy)
                px += pq * dx
                py += pq * dy
            state.pull[0, i], state.pull[1, i] = px, py


@inline
def _push(xs, ys, x, y, push):
    """Add up the repulsion of all points on a few; the inner loop is one instruction a lane."""
    fx, fy, total = push
    for i in range(len(x)):
        fx[i], fy[i], total[i] = 0, 0, 0
    for j in range(len(xs)):
        xj, yj = xs[j], ys[j]
        for i in range(len(x)):
            dx, dy = x[i] - xj, y[i] - yj
            q = closeness(dx, dy)
            total[i] += q
            fx[i] += q * q * dx
            fy[i] += q * q * dy


@kernel
def _move(state, scales):
    """Step down the gradient 4 (e Σ p q d − Σ q² d / Z), equation (5), e being the exaggeration.

    With momentum, and a gain for each coordinate that grows while it keeps its direction (Jacobs,
    Neural Networks 1, 1988).
    """
    exaggeration, rate, momentum = scales
    place, speed, gain, pull, push = state
    n, z = place.shape[1], 0.0
    for i in range(n):
        z += push[2, i]
    z = np.float32(z - n)  # each point met itself, at q = 1
    for axis in range(2):
        total = 0.0
        for i in range(n):
            slope = np.float32(4) * (exaggeration * pull[axis, i] - push[axis, i] / z)
            if (slope > 0) == (speed[axis, i] > 0):
                gain[axis, i] = max(gain[axis, i] * np.float32(0.8), np.float32(0.01))
            else:
                gain[axis, i] += np.float32(0.2)
            speed[axis, i] = momentum * speed[axis, i] - rate * gain[axis, i] * slope
            place[axis, i] += speed[axis, i]
            total += place[axis, i]
        middle = np.float32(total / n)
        for i in range(n):
            place[axis, i] -= middle
