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
    active_weight,
    item_gradient,
    item_hinge,
    item_margin_gradient,
    negative_gradient,
    rank_weights,
    triplet_loss,
    user_gradient,
    user_hinge,
    user_margin_gradient,
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
def gradients(g, points, weights, add):
    user_gradient(g, 0, points, 0, 1, 2, weights[0], weights[1], add)
    item_gradient(g, 1, points, 0, 1, 2, weights[0], weights[1], add)
    negative_gradient(g, 2, points, 0, 1, 2, weights[0], weights[1], add)


@kernel
def margin_gradients(weights, gamma):
    return user_margin_gradient(weights[0], gamma), item_margin_gradient(weights[1], gamma)


@kernel
def loss_of(points, margins, w, lam, gamma):
    user, item = hinges(points, margins)
    return triplet_loss(user, item, w, lam, margins[0], margins[1], gamma)


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
    weights = (np.float32(2 * w * active[0]), np.float32(2 * lam * active[1]))
    g = rows.table(3, dim)
    gradients(g, table, weights, False)
    once = g.copy()
    got_m = margin_gradients(weights, np.float32(gamma / GAMMA_BATCH))

    exact, m = points.astype(np.float64), margins.astype(np.float64)

    def loss():
        return reference.triplet_loss(*exact, m, w, lam, gamma)

    assert np.allclose(g[:, :dim], slope(loss, exact), rtol=1e-4, atol=1e-5)
    assert np.allclose(got_m, slope(loss, m), rtol=1e-4, atol=1e-5)
    gradients(g, table, weights, True)
    assert (g == once + once).all()
    scalars = (np.float32(value) for value in (w, lam, gamma / GAMMA_BATCH))
    assert np.isclose(loss_of(table, margins, *scalars), loss(), rtol=1e-4, atol=1e-4)
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


def test_each_gradient_is_that_of_its_point():
    """The formulas of the paper, term by term."""
    points = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    (u, v, n), (a, b) = points, np.float32([2.0, 0.4])
    g = rows.table(3, 16)
    gradients(g, rows.padded_table(points), (a, b), False)
    assert (g[0] == a * (n - v) + b * (u - v)).all()
    assert (g[1] == a * (v - u) + b * (n - u)).all()
    assert (g[2] == a * (u - n) + b * (v - n)).all()


@kernel
def weight_where_active(hinge, weight):
    return active_weight(hinge, weight)


@pytest.mark.parametrize(
    ("hinge", "weight"), [(-1.0, 0.0), (0.0, 0.0), (1e-30, 2.5), (np.nan, 2.5)]
)
def test_a_hinge_is_active_above_zero(hinge, weight):
    assert weight_where_active(np.float32(hinge), np.float32(2.5)) == weight


def test_rank_weights_are_the_logarithm_of_the_estimated_rank():
    """Of 12 items and 3 candidates each impostor stands for 4 items."""
    weights = rank_weights(12, 3)
    assert weights.dtype == np.float32
    assert np.allclose(np.exp(weights), [1, 5, 9, 13])
