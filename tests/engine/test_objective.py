"""Gradients of equation (6) against finite differences of its loss."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from trimetric.engine import rows
from trimetric.engine.compile import kernel
from trimetric.engine.objective import (
    GAMMA_BATCH,
    corners,
    item_hinge,
    margin_gradient,
    user_hinge,
)

pytestmark = pytest.mark.twin
STEP = 1e-5


@kernel
def hinges(points, margins):
    d_uv = rows.squared_distance(points, 0, points, 1)
    return (
        user_hinge(d_uv, rows.squared_distance(points, 0, points, 2), margins[0]),
        item_hinge(d_uv, rows.squared_distance(points, 1, points, 2), margins[1]),
    )


@kernel
def gradients(g, points, pulls):
    for role in range(3):
        x, y, z = corners(role)
        rows.pull(g, role, points, x, y, z, pulls[0], pulls[1])


@kernel
def margin_gradients(pulls, gamma):
    return margin_gradient(pulls[0], gamma), margin_gradient(pulls[1], gamma)


@st.composite
def triplets(draw):
    """Three points whose hinges are away from zero, margins, w, λ and γ."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dim = draw(st.sampled_from([1, 3, 16, 40]))
    points = rng.normal(0, 0.5, (3, dim)).astype(np.float32)
    margins = rng.uniform(0.01, 1, 2).astype(np.float32)
    w, lam = draw(st.sampled_from([(1.0, 0.0), (1.0, 0.01), (2.7, 0.5), (0.3, 1.0)]))
    gamma = draw(st.sampled_from([0.0, 0.1, 10.0, 500.0]))
    for hinge in hinges(rows.padded_table(points), margins):
        if abs(hinge) < 1e-3:
            margins += np.float32(0.01)
    return points, margins, w, lam, gamma


def slope(loss, x):
    """∂loss/∂x by central differences in float64; `x` is changed in place and put back."""
    out = np.empty_like(x)
    for place in np.ndindex(*x.shape):
        kept = x[place]
        x[place] = kept + STEP
        above = loss()
        x[place] = kept - STEP
        out[place] = (above - loss()) / (2 * STEP)
        x[place] = kept
    return out


@given(triplets())
def test_gradients_are_the_slopes_of_the_loss(triplet):
    points, margins, w, lam, gamma = triplet
    dim, table = points.shape[1], rows.padded_table(points)
    active = [hinge > 0 for hinge in hinges(table, margins)]
    pulls = (np.float32(2 * w * active[0]), np.float32(2 * lam * active[1]))
    g = rows.table(3, dim)
    gradients(g, table, pulls)
    got_m = margin_gradients(pulls, np.float32(gamma / GAMMA_BATCH))

    exact, m = points.astype(np.float64), margins.astype(np.float64)

    def loss():
        return reference.triplet_loss(*exact, m, w, lam, gamma)

    assert np.allclose(g[:, :dim], slope(loss, exact), rtol=1e-4, atol=1e-5)
    assert np.allclose(got_m, slope(loss, m), rtol=1e-4, atol=1e-5)
    # The twin's own gradients, on which the twin trainer rests.
    ours = reference.triplet_gradients(*exact, (w * active[0], lam * active[1]))
    assert np.allclose(ours, slope(loss, exact), rtol=1e-6, atol=1e-7)


@given(triplets())
def test_hinges_are_the_brackets_of_equations_3_and_4(triplet):
    points, margins, *_ = triplet
    u, v, n = points.astype(np.float64)
    user, item = hinges(rows.padded_table(points), margins)
    d_uv = reference.squared(u, v)
    assert np.isclose(user, d_uv - reference.squared(u, n) + margins[0], rtol=1e-4, atol=1e-4)
    assert np.isclose(item, d_uv - reference.squared(v, n) + margins[1], rtol=1e-4, atol=1e-4)


def test_each_corner_takes_each_part_once():
    u, v, n = 0, 1, 2
    assert [tuple(corners(role)) for role in (u, v, n)] == [(n, u, v), (v, n, u), (u, v, n)]
