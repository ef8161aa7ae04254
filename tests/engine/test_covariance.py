"""CML's covariance penalty: its gradient, the kernel's sums, and what it does to a space."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from trimetric.engine import rows
from trimetric.engine.compile import kernel
from trimetric.engine.covariance import (
    add_covariance_gradient,
    count_points,
    norms,
    penalty,
    sum_covariance,
)
from trimetric.engine.triplets import Workspace

pytestmark = pytest.mark.twin


@kernel
def gradients(g, count, points, workspace, weight, threads):
    """Write ∂L_c/∂y of every point to its row of `g`, by `threads` turns; return L_c."""
    for me in range(threads):
        sum_covariance(me, threads, count, points, workspace)
    n, lengths = count_points(workspace.triplets, count), norms(workspace.covariance)
    for point in range(len(points)):
        times = 0
        for t in range(count):
            for role in range(3):
                times += workspace.triplets[t, 2] >= 0 and workspace.triplets[t, role] == point
        add_covariance_gradient(
            point % threads, g, point, point, times, n, points, workspace, weight, lengths
        )
    return penalty(count, workspace, weight)


def measured(points, triplets, weight, threads=1):
    """L_c and its gradients by the kernel, float64."""
    dim = points.shape[1]
    blank = {name: np.zeros(0, dtype=np.float32) for name in Workspace._fields}
    blank |= {
        "triplets": np.array(triplets, dtype=np.int32),
        "covariance": rows.table(dim, dim),
        "centering": rows.table(2 * threads, dim),
    }
    g = rows.table(len(points), dim)
    args = len(triplets), rows.padded_table(points), Workspace(**blank), np.float32(weight)
    return gradients(g, *args, threads), g


def drawn(seed, dim, n_points=9, n_triplets=12):
    rng = np.random.default_rng(seed)
    mixed = rng.normal(0, 0.5, (n_points, dim)) @ rng.normal(0, 1, (dim, dim)) + 0.3
    triplets = np.concatenate([rng.integers(0, n_points, (n_triplets, 3)), np.zeros((12, 1))], 1)
    triplets[3, 2] = -1  # its user has every item
    return mixed.astype(np.float32), triplets.astype(np.int64)


def slots_of(triplets):
    return [point for t in triplets if t[2] >= 0 for point in t[:3]]


@pytest.mark.compiled  # too slow interpreted
@given(st.integers(0, 2**32), st.sampled_from([2, 3, 16, 19]), st.sampled_from([0.5, 1e4]))
def test_the_gradient_is_that_of_finite_differences(seed, dim, weight):
    points, triplets = drawn(seed, dim)
    slots, at = slots_of(triplets), points.astype(np.float64)
    value, g = measured(points, triplets, weight)
    size = weight * np.linalg.norm(np.cov(at[slots].T, bias=True))  # L_c is a difference of norms
    exact = reference.covariance_penalty(at[slots], weight)
    assert np.isclose(value, exact, rtol=1e-5, atol=1e-7 * size)
    assert not g[:, dim:].any()
    expected = np.zeros_like(at)
    for i, j in np.ndindex(*at.shape):
        sides = []
        for step in (1e-5, -1e-5):
            moved = at.copy()
            moved[i, j] += step
            sides.append(reference.covariance_penalty(moved[slots], weight))
        expected[i, j] = (sides[0] - sides[1]) / 2e-5
    unit = np.abs(expected).max()
    assert np.allclose(g[:, :dim], expected, atol=2e-3 * unit, rtol=2e-3)


@pytest.mark.parametrize("dim", [1, 5, 40])
@pytest.mark.parametrize("threads", [2, 3, 7])
def test_no_bit_depends_on_the_threads(threads, dim):
    points, triplets = drawn(4, dim)
    value, g = measured(points, triplets, 3.0)
    again, other = measured(points, triplets, 3.0, threads)
    assert value == again
    assert g.tobytes() == other.tobytes()


def test_columns_that_do_not_covary_have_no_penalty():
    points = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [0, 0]], dtype=np.float32)
    triplets = np.array([[0, 1, 2, 0], [3, 4, 4, 0]])
    value, g = measured(points, triplets, 10.0)
    assert value == pytest.approx(0, abs=1e-7)
    assert np.allclose(g, 0, atol=1e-6)
    together = points.copy()
    together[:, 1] = together[:, 0]
    value, g = measured(together, triplets, 10.0)
    c = np.cov(together[slots_of(triplets)].T, bias=True)[0, 0]
    assert value == pytest.approx(10 / 6 * (2 * c - np.sqrt(2) * c), rel=1e-5)


def test_a_batch_of_one_place_or_of_nothing_is_at_rest():
    same = np.full((4, 3), 0.5, dtype=np.float32)
    value, g = measured(same, np.array([[0, 1, 2, 0]]), 10.0)
    assert (value, g.any()) == (0, False)
    value, _ = measured(same, np.array([[0, 1, -1, 0]]), 10.0)
    assert value == 0
