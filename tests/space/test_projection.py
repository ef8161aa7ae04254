"""A map of a model keeps neighbours, measures what it keeps, and has the same bits every time."""

from types import SimpleNamespace

import numpy as np
import pytest
import reference
from threads_helper import on_threads

import trimetric as tm
from trimetric.errors import Unsupported
from trimetric.space import projection
from trimetric.space.projection import among, quality


@pytest.fixture(scope="module")
def model():
    data = tm.synthetic.planted().interactions
    return tm.CML(dim=8, seed=0, epochs=5).fit(data, progress=False)


def test_shows_all_of_a_small_model(model):
    found = model.project()
    assert sorted(found.items) == list(range(len(model.item_ids)))
    assert sorted(found.users) == list(range(len(model.user_ids)))
    popularity = np.bincount(model.seen.items, minlength=len(model.item_ids))
    assert (np.diff(popularity[found.items]) <= 0).all()
    assert (np.diff(model.seen.counts[found.users]) <= 0).all()
    assert np.isfinite(found.item_places).all()
    assert np.isfinite(found.user_places).all()


def test_keeps_more_than_two_principal_components(model):
    found = model.project()
    items, users = model.item_embeddings[found.items], model.user_embeddings[found.users]
    middle = items.mean(axis=0, dtype=np.float64)
    _, _, axes = np.linalg.svd(items - middle, full_matrices=False)
    plane = [((part - middle) @ axes[:2].T).astype(np.float32) for part in (items, users)]
    linear = quality((items, users), (plane[0], plane[1]))
    for name in ("items", "users", "trustworthiness"):
        assert found.quality[name] > linear[name]


@pytest.mark.parametrize("limits", [(8192, 20_000), (40, 70)])
def test_same_bits_for_any_threads(model, limits, monkeypatch):
    monkeypatch.setattr(projection, "LAID_OUT", limits[0])
    monkeypatch.setattr(projection, "MAX_SHOWN", limits[1])
    one = on_threads(1, lambda: model.project())
    for threads in (2, 3):
        other = on_threads(threads, lambda: model.project())
        assert other.quality == one.quality
        assert all(a.tobytes() == b.tobytes() for a, b in zip(one[:4], other[:4], strict=True))


def test_large_models_show_the_most_popular_and_the_most_active(model, monkeypatch):
    monkeypatch.setattr(projection, "LAID_OUT", 40)
    monkeypatch.setattr(projection, "MAX_SHOWN", 70)
    found = model.project()
    assert len(found.items) == len(found.users) == len(found.user_places) == 70
    popularity = np.bincount(model.seen.items, minlength=len(model.item_ids))
    assert popularity[found.items].min() >= np.delete(popularity, found.items).max()
    core = found.item_places[:40]
    assert (found.item_places[40:].min(axis=0) >= core.min(axis=0)).all()
    assert (found.item_places[40:].max(axis=0) <= core.max(axis=0)).all()


def test_a_newcomer_goes_where_most_of_its_neighbours_are():
    points = np.arange(12, dtype=np.float32)[:, None] * 0.01
    places = np.array([[1.0, 2.0]] * 8 + [[50.0, -50.0]] * 4, dtype=np.float32)
    place = among(np.zeros((1, 1), dtype=np.float32), points, places)
    assert np.allclose(place, [[1, 2]], atol=0.1)


def placed(queries, points, places, among):
    """Place by the nearest of all, where a Cauchy distribution fitted to their places is."""
    found = []
    for query in queries.astype(np.float64):
        order = np.argsort(((points - query) ** 2).sum(axis=1), kind="stable")[:among]
        near = places[order].astype(np.float64)
        centre = np.median(near, axis=0)
        for _ in range(10):
            weights = 1 / (1 + ((near - centre) ** 2).sum(axis=1))
            centre = weights @ near / weights.sum()
        found.append(centre)
    return np.array(found)


@pytest.mark.parametrize("n", [4, 10, 40])
def test_newcomers_are_placed_among_their_ten_nearest(n):
    rng = np.random.default_rng(n)
    queries, points = (rng.normal(size=(rows, 5)).astype(np.float32) for rows in (9, n))
    places = (rng.normal(size=(n, 2)) * [3, 1] + [7, -2]).astype(np.float32)
    found = among(queries, points, places)
    assert found.dtype == np.float32
    assert found == pytest.approx(placed(queries, points, places, 10), abs=1e-4)


@pytest.mark.parametrize(("laid_out", "shown"), [(8192, 20_000), (40, 50), (50, 40)])
def test_a_map_of_points(laid_out, shown, monkeypatch):
    """Two clusters, the most popular laid out and the others among them; ties in order of rows."""
    monkeypatch.setattr(projection, "LAID_OUT", laid_out)
    monkeypatch.setattr(projection, "MAX_SHOWN", shown)
    rng = np.random.default_rng(0)
    sides = np.arange(64) % 2
    items = (rng.normal(size=(64, 4)) + 20 * sides[:, None]).astype(np.float32)
    users = (rng.normal(size=(70, 4)) + 20 * (np.arange(70) % 2)[:, None]).astype(np.float32)
    popularity, counts = rng.integers(0, 4, 64), rng.integers(0, 4, 70)
    known = SimpleNamespace(popularity=popularity, seen=SimpleNamespace(counts=counts))
    found = projection.project(SimpleNamespace(items=items, users=users), known)
    assert found.items.tolist() == sorted(range(64), key=lambda i: -popularity[i])[:shown]
    assert found.users.tolist() == sorted(range(70), key=lambda u: -counts[u])[:shown]
    core = min(laid_out, shown, 64)
    points, where = items[found.items], found.item_places
    assert where.shape == (min(shown, 64), 2)
    later = placed(points[core:], points[:core], where[:core], 10).reshape(-1, 2)
    assert where[core:] == pytest.approx(later, abs=1e-3)
    expected = placed(users[found.users], points, where, 10)
    assert found.user_places == pytest.approx(expected, abs=1e-3)
    assert found.quality == quality((points, users[found.users]), (where, found.user_places))
    side = sides[found.items][:core]
    middles = [where[:core][side == one].mean(axis=0) for one in (0, 1)]
    for place, one in zip(where[:core], side, strict=True):
        assert ((place - middles[one]) ** 2).sum() < ((place - middles[1 - one]) ** 2).sum()


def test_of_few_items_all_others_are_neighbours():
    """Without trustworthiness, which needs more than twice as many items as neighbours."""
    rng = np.random.default_rng(2)
    for n, k in ((1, 0), (2, 1), (3, 2), (5, 4), (20, 10), (21, 10)):
        items, users = (rng.normal(size=(rows, 2)).astype(np.float32) for rows in (n, 4))
        found = quality((items, users), (items, users))
        expected = {"neighbours": k}
        if k:
            expected |= {"items": 1.0, "users": 1.0}
        if n > 2 * k >= 1:
            expected["trustworthiness"] = 1.0
        assert found == expected
    nobody = np.zeros((0, 2), dtype=np.float32)
    assert quality((items, nobody), (items, nobody))["users"] == 1.0


def test_quality_is_its_definition():
    rng = np.random.default_rng(0)
    items, users = (rng.normal(size=(n, 4)).astype(np.float32) for n in (60, 25))
    flat_items, flat_users = items[:, :2].copy(), users[:, :2].copy()
    found = quality((items, users), (flat_items, flat_users))
    assert found["trustworthiness"] == pytest.approx(
        reference.trustworthiness(items, flat_items, 10), abs=1e-12
    )
    for name, queries, flat in (("items", items, flat_items), ("users", users, flat_users)):
        shares = []
        for i in range(len(queries)):
            hidden = [i] if name == "items" else []
            lists = [
                reference.ranking(reference.distances(q[i : i + 1], p)[0], hidden)[:10]
                for q, p in ((queries, items), (flat, flat_items))
            ]
            shares.append(len(set(lists[0]) & set(lists[1])) / 10)
        assert found[name] == pytest.approx(np.mean(shares))


def test_a_perfect_map_is_trusted_and_a_random_one_is_not():
    rng = np.random.default_rng(1)
    points, other = (rng.normal(size=(300, 2)).astype(np.float32) for _ in range(2))
    perfect = {"neighbours": 10, "items": 1.0, "users": 1.0, "trustworthiness": 1.0}
    assert quality((points, points[:9]), (points, points[:9])) == perfect
    assert quality((points, points[:9]), (other, points[:9]))["trustworthiness"] < 0.6


@pytest.mark.parametrize("n", [1, 2, 3])
def test_maps_of_few_points_have_places_for_all(n):
    rng = np.random.default_rng(n)
    space = SimpleNamespace(
        items=rng.normal(size=(n, 4)).astype(np.float32),
        users=rng.normal(size=(5, 4)).astype(np.float32),
    )
    known = SimpleNamespace(popularity=np.ones(n), seen=SimpleNamespace(counts=np.ones(5)))
    found = projection.project(space, known)
    assert (found.item_places.shape, found.user_places.shape) == ((n, 2), (5, 2))
    assert np.isfinite(found.item_places).all()
    assert np.isfinite(found.user_places).all()
    assert len(np.unique(found.item_places, axis=0)) == n
    assert found.quality["neighbours"] == n - 1


@pytest.mark.filterwarnings("ignore:.*users have every item")
@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_models(n):
    users = [f"u{j}" for j in range(4) for _ in range(n)]
    items = [f"i{j}" for _ in range(4) for j in range(n)]
    pairs = [(u, i) for u, i in zip(users, items, strict=True) if (u, i) != ("u0", "i0") or n == 1]
    if n == 1:
        pairs = [*pairs, ("u9", "other")]
    data = tm.Interactions.from_arrays(*map(list, zip(*pairs, strict=True)))
    model = tm.CML(dim=4, seed=0, epochs=1).fit(data, progress=False)
    found = model.project()
    assert np.isfinite(found.item_places).all()
    assert np.isfinite(found.user_places).all()


def test_models_without_a_space_have_no_map():
    with pytest.raises(Unsupported, match="no distance between two points"):
        tm.Popularity().fit(tm.synthetic.planted().interactions).project()


def test_untrained_models_have_no_map():
    with pytest.raises(Unsupported, match="fit first"):
        tm.SML().project()
