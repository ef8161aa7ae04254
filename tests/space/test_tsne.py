"""Forces and descent of the layout against definitions; the layout keeps neighbours."""

import numpy as np
import pytest
import reference
from threads_helper import on_threads

from trimetric.engine.topk import top_k
from trimetric.space import tsne
from trimetric.space.tsne import affinities, lay_out, principal_plane

pytestmark = pytest.mark.twin


def itself(n):
    return np.arange(n + 1, dtype=np.int64), np.arange(n, dtype=np.int32)


def some_points(seed, n, dim=5):
    points = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return points, top_k(points, points, min(4, n - 1), itself(n))[0]


def state(place):
    n = len(place)
    zeros = [np.zeros((rows, n), dtype=np.float32) for rows in (2, 2, 2, 3)]
    return tsne.State(np.ascontiguousarray(place.T, dtype=np.float32), *zeros)


def slope(place, nearest, exaggeration):
    """The gradient as the kernels compute it."""
    now, graph = state(place), affinities(nearest)
    tsne.forces((0, len(place)), graph, now)
    z = now.push[2].sum() - len(place)
    return 4 * (exaggeration * now.pull - now.push[:2] / z).T


def test_affinities_are_symmetric_and_add_up_to_one():
    _, nearest = some_points(0, 30)
    lists, weights = affinities(nearest)
    p = np.zeros((30, 30))
    p[lists.users, lists.items] = weights
    assert np.allclose(p, reference.affinity(nearest), atol=1e-9)
    assert p.sum() == pytest.approx(1)


@pytest.mark.parametrize("n", [5, 63, 64, 65, 140])
def test_forces_are_the_gradient(n):
    _, nearest = some_points(n, n)
    place = np.random.default_rng(n).normal(0, 2, (n, 2))
    expected = reference.divergence_slope(place, reference.affinity(nearest), 3.0)
    assert np.allclose(slope(place, nearest, 3.0), expected, rtol=1e-4, atol=1e-6)


def test_the_gradient_is_that_of_the_divergence():
    _, nearest = some_points(1, 12)
    p, place = reference.affinity(nearest), np.random.default_rng(2).normal(size=(12, 2))
    found = reference.divergence_slope(place, p, 2.0)
    for i, axis in [(0, 0), (3, 1), (11, 0)]:
        step = np.zeros_like(place)
        step[i, axis] = 1e-5
        rise = reference.divergence(place + step, p, 2.0) - reference.divergence(
            place - step, p, 2.0
        )
        assert found[i, axis] == pytest.approx(rise / 2e-5, rel=1e-4)


def test_descends_as_its_twin(monkeypatch):
    monkeypatch.setattr(tsne, "EARLY", 4)
    monkeypatch.setattr(tsne, "LATE", 3)
    points, nearest = some_points(3, 40)
    start = principal_plane(points)
    phases = [(4, tsne.EXAGGERATION, 40 / tsne.EXAGGERATION), (3, 1.0, 40 / 4)]
    expected = reference.laid_out(nearest, start, phases)
    assert np.allclose(lay_out(nearest, start), expected, rtol=1e-3, atol=1e-4)


def test_principal_plane_is_that_of_a_decomposition():
    points = np.random.default_rng(4).normal(size=(50, 6)) * [5, 3, 1, 1, 1, 1]
    centred = points - points.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    plane = principal_plane(points.astype(np.float32))
    assert np.allclose(np.abs(plane), np.abs(centred @ axes[:2].T), atol=1e-4)
    assert np.allclose(plane.std(axis=0), sizes[:2] / 50**0.5, rtol=1e-4)
    assert principal_plane(points[:, :1]).shape == (50, 2)


@pytest.mark.compiled
@pytest.mark.parametrize("n", [1, 2, 3, 64, 200, 1000])
def test_same_bits_for_any_threads(n):
    points, nearest = some_points(5, n)
    start = principal_plane(points)
    one = on_threads(1, lambda: lay_out(nearest, start))
    assert one.shape == (n, 2)
    assert np.isfinite(one).all()
    for threads in (2, 5):
        assert on_threads(threads, lambda: lay_out(nearest, start)).tobytes() == one.tobytes()


@pytest.mark.compiled
def test_points_all_alike_stay_together():
    points = np.ones((20, 3), dtype=np.float32)
    nearest, _ = top_k(points, points, 4, itself(20))
    assert (lay_out(nearest, principal_plane(points)) == 0).all()


@pytest.mark.compiled
def test_groups_stay_apart():
    rng = np.random.default_rng(6)
    group = np.repeat(np.arange(8), 40)
    points = (rng.normal(0, 1, (8, 20))[group] + rng.normal(0, 0.1, (320, 20))).astype(np.float32)
    nearest, _ = top_k(points, points, 15, itself(320))
    place = lay_out(nearest, principal_plane(points))
    near, _ = top_k(place, place, 15, itself(320))
    assert (group[near] == group[:, None]).mean() > 0.99
