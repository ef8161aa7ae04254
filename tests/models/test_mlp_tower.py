"""The tower against a naive twin in float64, its gradients against finite differences."""

import numpy as np
import pytest
from tower_twin import twin_logit, unpacked

from trimetric.engine import rows
from trimetric.engine.compile import kernel
from trimetric.engine.gradients import CHUNK
from trimetric.models.mlp_tower import (
    all_logits,
    backward,
    forward,
    gather,
    make_tower,
    n_weights,
    pair_logits,
    start_weights,
    workspace_rows,
)

pytestmark = pytest.mark.twin

SIZES = [(3, 4, 3), (0, 4, 2), (5, 0, 3), (2, 3, 1), (1, 1, 4), (8, 6, 2)]
"""GMF columns, MLP columns, depth."""


# --- the naive twin -----------------------------------------------------------------------------


# --- the kernels --------------------------------------------------------------------------------


@kernel
def run_chunk(tower, table, weights, pairs, above, values, dense):
    """One chunk forward and backward, from given gradients of the logits."""
    columns = tower.factors + tower.dim
    for lane in range(CHUNK):
        gather(values, lane, 0, table, pairs[lane, 0], columns)
        gather(values, lane, columns, table, pairs[lane, 1], columns)
        values[tower.units + tower.logit, lane] = above[lane]
    forward(values, weights, tower)
    backward(values, weights, dense, tower)


def example(sizes, n_users=7, n_items=40, seed=0):
    """A tower with all weights drawn, biases too, and a table of users and items."""
    rng, columns = np.random.default_rng(seed), sizes[0] + sizes[1]
    table = rows.table(n_users + n_items, columns)
    table[:, :columns] = rng.normal(0, 1, (n_users + n_items, columns))
    plan = make_tower(*sizes)
    return plan, table, rng.normal(0, 0.7, n_weights(plan)).astype(np.float32), rng


def chunk(plan, table, weights, pairs, above):
    """The logits, and the gradients of users, items and weights, of a chunk of pairs."""
    values, dense = (
        rows.table(workspace_rows(plan), CHUNK),
        np.full(len(weights), 7, dtype=np.float32),
    )
    run_chunk(plan, table, weights, pairs, above, values, dense)
    columns, units = int(plan.factors + plan.dim), int(plan.units)
    below = values[units : units + 2 * columns].T
    return values[int(plan.logit)].copy(), below[:, :columns], below[:, columns:], dense


def random_chunk(rng, n_users=7, n_items=40):
    """Pairs, of which the last few lanes are empty, and gradients of their logits."""
    users, items = rng.integers(0, n_users, CHUNK), n_users + rng.integers(0, n_items, CHUNK)
    pairs, above = np.stack([users, items], axis=1), rng.normal(0, 1, CHUNK).astype(np.float32)
    pairs[-3:], above[-3:] = -1, 0
    return pairs, above


@pytest.mark.parametrize("sizes", SIZES)
def test_forward_equals_the_twin(sizes):
    plan, table, weights, rng = example(sizes)
    pairs, above = random_chunk(rng)
    logits = chunk(plan, table, weights, pairs, above)[0]
    rows, columns = table.astype(np.float64), sizes[0] + sizes[1]
    for lane, (u, v) in enumerate(pairs[:-3].tolist()):
        wanted = twin_logit(rows[u, :columns], rows[v, :columns], weights, *sizes)
        assert logits[lane] == pytest.approx(wanted, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("sizes", SIZES)
def test_backward_equals_finite_differences(sizes):
    plan, table, weights, rng = example(sizes)
    pairs, above = random_chunk(rng)
    _, users, items, dense = chunk(plan, table, weights, pairs, above)
    columns, step = sizes[0] + sizes[1], 1e-6
    rows, flat = table[:, :columns].astype(np.float64), weights.astype(np.float64)

    def slope(lane, at_user=0.0, at_item=0.0, at_weights=0.0):
        u, v = pairs[lane]
        p, q = rows[u], rows[v]
        ends = [
            twin_logit(p + s * at_user, q + s * at_item, flat + s * at_weights, *sizes)
            for s in (step, -step)
        ]
        return above[lane] * (ends[0] - ends[1]) / (2 * step)

    live = range(CHUNK - 3)
    for lane in live:
        for c, unit in enumerate(np.eye(columns)):
            assert users[lane, c] == pytest.approx(slope(lane, at_user=unit), rel=1e-3, abs=1e-4)
            assert items[lane, c] == pytest.approx(slope(lane, at_item=unit), rel=1e-3, abs=1e-4)
    for i, unit in enumerate(np.eye(len(weights))):
        wanted = sum(slope(lane, at_weights=unit) for lane in live)
        assert dense[i] == pytest.approx(wanted, rel=1e-3, abs=1e-3)
    assert not users[-3:].any()
    assert not items[-3:].any()


@pytest.mark.parametrize("sizes", SIZES)
def test_scores_have_the_bits_of_training(sizes):
    plan, table, weights, rng = example(sizes)
    pairs, above = random_chunk(rng)
    logits = chunk(plan, table, weights, pairs, above)[0][:-3]
    users, items = pairs[:-3, 0].astype(np.int32), (pairs[:-3, 1] - 7).astype(np.int32)
    assert (pair_logits(plan, table, weights, (users, items), 7) == logits).all()
    everything = all_logits(plan, table, weights, np.arange(7, dtype=np.int32), 7)
    assert everything.shape == (7, 40)
    assert (everything[users, items] == logits).all()


def test_scores_do_not_depend_on_what_else_is_asked():
    plan, table, weights, _ = example((3, 4, 3), n_users=50, n_items=45)
    users = np.arange(50, dtype=np.int32)[::-1].copy()
    everything = all_logits(plan, table, weights, users, 50)
    for row in (0, 13, 49):
        assert (all_logits(plan, table, weights, users[row : row + 1], 50) == everything[row]).all()
        for item in (0, 31, 44):
            pair = users[row : row + 1], np.array([item], dtype=np.int32)
            assert pair_logits(plan, table, weights, pair, 50)[0] == everything[row, item]
    nothing = np.zeros(0, dtype=np.int32)
    assert len(pair_logits(plan, table, weights, (nothing, nothing), 50)) == 0
    assert all_logits(plan, table, weights, nothing, 50).shape == (0, 45)


def test_first_weights():
    for layers in (start_weights(make_tower(8, 32, 3), seed) for seed in (0, 1)):
        for matrix, bias in unpacked(layers, 8, 32, 3):
            limit = (6 / sum(matrix.shape)) ** 0.5
            assert not bias.any()
            assert np.abs(matrix).max() <= limit
            if matrix.size > 100:
                assert matrix.std() == pytest.approx(limit / 3**0.5, rel=0.1)
                assert abs(matrix.mean()) < limit / 8
    assert (start_weights(make_tower(8, 32, 3), 0) != layers).any()


def test_the_papers_tower():
    layers = unpacked(start_weights(make_tower(8, 32, 3), 0), 8, 32, 3)
    assert [matrix.shape for matrix, _ in layers] == [(64, 32), (32, 16), (16, 8), (16, 1)]
