import hashlib
import time

import numpy as np
import pytest

from trimetric.data import synthetic
from trimetric.errors import ParameterError


@pytest.fixture(scope="module")
def demo():
    return synthetic.planted()


def distances(planted):
    difference = planted.users[:, None, :] - planted.items[None, :, :]
    return np.sqrt((difference**2).sum(axis=2))


def test_demo_size_is_quick():
    started = time.perf_counter()
    synthetic.planted(2000, 800)
    assert time.perf_counter() - started < 2


def test_everyone_and_everything_takes_part(demo):
    data = demo.interactions
    assert (data.n_users, data.n_items) == (2000, 800)
    assert np.diff(data.indptr).min() >= 1
    assert np.bincount(data.items, minlength=800).min() >= 1
    assert data.user_ids.decode([0, 1999]).to_list() == ["u0000", "u1999"]
    assert data.user_ids.values.is_sorted()
    assert data.item_ids.values.is_sorted()
    assert len(data) / 2000 == pytest.approx(30, rel=0.1)


def test_positions_lie_in_the_ball_near_their_centres(demo):
    for points, clusters in ((demo.users, demo.user_clusters), (demo.items, demo.item_clusters)):
        assert np.linalg.norm(points, axis=1).max() <= 1 + 1e-12
        centres = np.stack([points[clusters == c].mean(axis=0) for c in range(10)])
        within = np.linalg.norm(points - centres[clusters], axis=1).mean()
        across = np.linalg.norm(points - centres[(clusters + 1) % 10], axis=1).mean()
        assert within < across / 2


def test_likes_lie_within_the_radius(demo):
    data = demo.interactions
    reached = distances(demo)[data.users, data.items]
    assert (reached <= demo.radii[data.users] * (1 + 1e-9)).all()


def test_wide_margins_mean_narrow_tastes(demo):
    counts = np.diff(demo.interactions.indptr)
    assert demo.user_margins.min() >= 0.2
    assert demo.user_margins.max() <= 1
    assert np.corrcoef(demo.user_margins, counts)[0, 1] < -0.7


def test_popularity_is_skewed(demo):
    counts = np.sort(np.bincount(demo.interactions.items))[::-1]
    assert counts[:80].sum() > 0.2 * counts.sum()
    assert counts[0] > 4 * np.median(counts)
    popular = np.argsort(demo.item_margins)[:100]
    assert np.bincount(demo.interactions.items)[popular].mean() > 2 * counts.mean()


def test_planted_is_the_same_on_every_machine():
    small = synthetic.planted(50, 40, per_user=6, seed=1)
    assert (
        small.interactions.fingerprint
        != synthetic.planted(50, 40, per_user=6, seed=2).interactions.fingerprint
    )
    digest = hashlib.sha256(small.interactions.fingerprint.encode())
    for array in (small.users, small.items, small.user_margins, small.item_margins, small.radii):
        digest.update(array.astype("<f8").tobytes())
    assert digest.hexdigest() == "8a67aeceaf36ad9dad1903d12bea5e5fe42d9df9d110b5d61a428ea37a34f88d"


@pytest.mark.parametrize(
    "bad",
    [{"n_users": 1}, {"n_items": 1}, {"dim": 0}, {"clusters": 0}, {"per_user": 300},
     {"per_user": 0}, {"spread": 0}],
)  # fmt: skip
def test_planted_refuses(bad):
    with pytest.raises(ParameterError, match=next(iter(bad))):
        synthetic.planted(**bad)


def test_scale_is_sorted_unique_and_skewed():
    users, items = synthetic.scale(3000, 800, 60_000, seed=4)
    assert users.dtype == items.dtype == np.int32
    assert len(users) == len(items) == 60_000
    key = users.astype(np.int64) * 800 + items
    assert (np.diff(key) > 0).all()
    assert users.max() < 3000
    assert items.max() < 800
    counts = np.sort(np.bincount(items, minlength=800))[::-1]
    assert counts[:80].sum() > 0.25 * counts.sum()
    assert counts[-1] > 0
    assert (
        hashlib.sha256(key.astype("<i8").tobytes()).hexdigest()
        == "7ac6bab1a4839dbd0e63030f201e5913109346b687bd4704d536b0a5ac9d96cd"
    )


def test_scale_fills_a_quarter_of_a_small_table():
    assert len(synthetic.scale(10, 10, 25)[0]) == 25
    with pytest.raises(ParameterError, match="n_interactions"):
        synthetic.scale(10, 10, 26)


@pytest.mark.parametrize("name", ["n_users", "n_items", "dim", "clusters", "per_user", "spread"])
@pytest.mark.parametrize("value", [None, "5", [5], float("nan"), True, 1 + 0j])
def test_planted_refuses_what_is_no_number(name, value):
    if name in ("per_user", "spread") and value == 1 + 0j:
        value = 1j
    with pytest.raises(ParameterError, match=f"{name} must be"):
        synthetic.planted(**{"n_users": 40, "n_items": 30, "per_user": 6, name: value})


@pytest.mark.parametrize("seed", [None, 1.5, "1", True, np.array([1])])
def test_seeds_are_whole_numbers(seed):
    for make in (synthetic.bookshop, synthetic.planted):
        with pytest.raises(ParameterError, match="seed must be a whole number"):
            make(seed=seed)
    with pytest.raises(ParameterError, match="seed must be a whole number"):
        synthetic.scale(10, 10, 5, seed=seed)
    with pytest.raises(ParameterError, match="n_items must be a whole number"):
        synthetic.scale(10, 10.0, 5)


def test_numbers_of_numpy_are_as_those_of_python():
    ours = synthetic.planted(300, 200, dim=4, clusters=4, per_user=6, spread=0.25, seed=1)
    sizes = np.int16(300), np.uint8(200)
    settings = {"dim": np.int8(4), "clusters": np.int64(4), "per_user": np.float32(6)}
    theirs = synthetic.planted(*sizes, **settings, spread=np.float32(0.25), seed=np.uint64(1))
    assert theirs.interactions.fingerprint == ours.interactions.fingerprint
    assert (theirs.items == ours.items).all()
    shop = synthetic.bookshop(np.int64(3)).interactions
    assert shop.fingerprint == synthetic.bookshop(3).interactions.fingerprint
    drawn = synthetic.scale(np.int8(100), np.int8(100), np.int16(500), seed=np.int64(2))
    assert np.array_equal(drawn, synthetic.scale(100, 100, 500, seed=2))
