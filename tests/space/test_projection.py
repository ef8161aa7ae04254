"""A map of a model keeps neighbours, measures what it keeps, and has the same bits every time."""

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
