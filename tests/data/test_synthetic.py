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
