"""Noise on distances: its distribution, and the softmax that comes of it."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
import reference
from scipy import stats
from triplet_runs import BASE, make_session, run_epoch

from trimetric import counter
from trimetric.engine import gumbel
from trimetric.engine.compile import INTERPRETED

pytestmark = pytest.mark.twin
N_USERS = 500 if INTERPRETED else 20_000
LIKELY = 4.5  # standard errors


def test_the_table_is_gumbels():
    table = gumbel.noise_table(0.5)
    expected = 0.5 * stats.gumbel_r.ppf((np.arange(4096) + 0.5) / 4096)
    assert table.dtype == np.float32
    assert np.allclose(table, expected, rtol=1e-6, atol=1e-7)
    assert not gumbel.noise_table(0).any()


def test_the_table_is_rounded_from_exact_values():
    # A table that differed between machines would train another model.
    table = gumbel.noise_table(1)
    for place in (0, 1, 17, 1506, 2047, 2048, 4000, 4095):
        share = (Decimal(place) + Decimal("0.5")) / 4096
        assert table[place] == np.float32(-(-share.ln()).ln())


def many(temperature):
    """A session of many users at the same place, who all have item 0; nothing moves."""
    settings = replace(
        BASE,
        dim=3,
        negatives="hardest",
        candidates=5,
        temperature=temperature,
        lam=0.5,
        lr=1e-12,
        batch_size=64,
        adaptive_users=False,
        adaptive_items=False,
    )
    users, items = np.arange(N_USERS, dtype=np.int32), np.zeros(N_USERS, dtype=np.int32)
    session = make_session(settings, users, items, np.arange(N_USERS + 1, dtype=np.int64), 8)
    rng = np.random.default_rng(4)
    session.state.points[:, :3] = rng.normal(0, 0.3, (N_USERS + 8, 3))
    session.state.points[:N_USERS] = session.state.points[0]
    return session


@pytest.mark.parametrize("temperature", [0.05, 0.4])
def test_the_expected_hinge_is_the_cross_entropy_of_a_softmax(temperature):
    session = many(temperature)
    user, items = session.state.points[0], session.state.points[N_USERS:]
    d = ((items - user) ** 2).sum(axis=1).astype(float)
    key = counter.key(BASE.seed, reference.DRAWS, 0)
    owned = [
        [reference.below(key, t * reference.ATTEMPTS + s, 8) for s in range(5)]
        for t in range(N_USERS)
    ]
    odds = np.array(
        [sum(np.exp((d[0] + 0.3 - d[j]) / temperature) for j in row if j) for row in owned]
    )
    losses, rests = temperature * np.log1p(odds), 1 / (1 + odds)
    some = odds > 0  # else none of the draws was allowed, and one uniform negative is taken
    assert some.mean() > 0.99
    run_epoch(session, 0)
    got = session.totals
    across = ((items - items[0]) ** 2).sum(axis=1).astype(float)
    assert across[1:].min() > 0
    spread = temperature * np.pi / np.sqrt(6 * N_USERS)  # of a mean of Gumbel draws
    lowest, highest = (float(f(d[0] - across[1:])) for f in (np.min, np.max))
    softplus = [
        0.5 * temperature * np.log1p(np.exp((x + 0.2) / temperature)) for x in (lowest, highest)
    ]
    user_loss = losses.mean()
    assert user_loss + softplus[0] - LIKELY * 2 * spread < got.loss / N_USERS
    assert got.loss / N_USERS < user_loss + softplus[1] + LIKELY * 2 * spread
    active = 1 - rests.mean()
    assert abs(got.active / N_USERS - active) < LIKELY * 0.5 / np.sqrt(N_USERS) + 0.005
