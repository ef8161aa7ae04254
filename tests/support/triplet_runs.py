"""Small runs of SML's own loop: settings, random pairs, sessions."""

import numpy as np

from trimetric.engine.negatives import positives
from trimetric.engine.session import Session
from trimetric.engine.threads import ThreadTeam
from trimetric.engine.triplets import TripletSettings, triplet_session

BASE = TripletSettings(
    dim=5,
    batch_size=16,
    negatives="uniform",
    candidates=4,
    temperature=0.0,
    rank_weight=False,
    lam=0.3,
    gamma=100.0,
    adaptive_users=True,
    adaptive_items=True,
    margin=0.3,
    item_margin=0.2,
    optimizer="adagrad",
    lr=0.05,
    schedule="linear",
    epochs=4,
    radius=1.0,
    sphere=False,
    init_mean=0.1,
    init_std=0.3,
    seed=3,
)


def interactions(n_users=9, n_items=12, share=0.4, seed=0):
    """Random pairs, so that the last user has every item and the one before lacks one."""
    has = np.random.default_rng(seed).random((n_users, n_items)) < share
    has[-1] = True
    has[-2] = np.arange(n_items) != 4
    users, items = (side.astype(np.int32) for side in np.nonzero(has))
    indptr = np.concatenate([[0], np.cumsum(has.sum(axis=1))]).astype(np.int64)
    return users, items, indptr, n_items


def make_session(settings, users, items, indptr, n_items, pool=None) -> Session:
    return triplet_session(settings, positives(users, items, indptr, pool), n_items)


def run_epoch(session, number):
    with ThreadTeam(1) as team:
        assert session.run(number, 0, team, lambda batch: False) == session.n_batches
