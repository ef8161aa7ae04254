"""The same bits however many threads run, wherever a run pauses, compiled or interpreted."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import reference
from triplet_runs import BASE, interactions, make_session

from trimetric.engine.threads import ThreadTeam
from trimetric.engine.topk import top_k

pytestmark = pytest.mark.compiled  # interpreted kernels run on one thread

VARIED = [
    replace(BASE, dim=20, batch_size=100),
    replace(BASE, dim=20, batch_size=64, optimizer="adam", negatives="popularity", sphere=True),
    replace(
        BASE,
        dim=16,
        batch_size=97,
        optimizer="rowwise-adagrad",
        negatives="hardest",
        rank_weight=True,
        adaptive_items=False,
    ),
    replace(BASE, dim=3, batch_size=5_000, negatives="hardest", candidates=9, lam=0.0),
]


def digest(session):
    """The bits of all that training changes."""
    total = hashlib.sha256()
    for array in session.arrays.values():
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def trained(settings, data, threads=1, epochs=2, pause=lambda batch: False):
    session = make_session(settings, *data)
    with ThreadTeam(threads) as team:
        for epoch in range(epochs):
            batch = 0
            while batch < session.n_batches:
                batch = session.run(epoch, batch, team, pause)
    return session


@pytest.mark.parametrize("settings", VARIED)
def test_threads_do_not_change_a_bit(settings):
    data = interactions(n_users=80, n_items=120, share=0.1, seed=5)
    alone = digest(trained(settings, data))
    for threads in (2, 3, 5):
        assert digest(trained(settings, data, threads)) == alone


def test_few_rows_on_many_threads():
    # One block of points belongs to one thread: the others own nothing, in every batch.
    data = interactions(n_users=3, n_items=4, seed=6)
    settings = replace(BASE, batch_size=4)
    assert digest(trained(settings, data, 5)) == digest(trained(settings, data, 1))


@pytest.mark.parametrize("threads", [1, 3])
def test_a_pause_anywhere_does_not_change_a_bit(threads):
    # So many candidates that a run looks up after each batch.
    settings = replace(BASE, batch_size=200, negatives="hardest", candidates=2_500)
    data = interactions(n_users=42, n_items=60, share=0.4, seed=7)
    seen = []
    whole = trained(settings, data, threads, 2, seen.append)
    assert len(seen) > 4
    assert seen[-1] == whole.n_batches
    assert digest(trained(settings, data, threads, 2, lambda batch: True)) == digest(whole)


@pytest.mark.parametrize("optimizer", ["rowwise-adagrad", "adagrad", "adam"])
def test_a_fresh_session_goes_on_from_the_arrays(optimizer):
    settings = replace(BASE, optimizer=optimizer, negatives="hardest", candidates=30_000)
    data = interactions(n_users=5, n_items=8)
    whole = trained(settings, data, epochs=1)
    assert whole.n_batches > 1
    with ThreadTeam(1) as team:
        before = make_session(settings, *data)
        batch = before.run(0, 0, team, lambda batch: True)
        assert 0 < batch < before.n_batches
        after = make_session(settings, *data)
        for name, array in before.arrays.items():
            after.arrays[name][...] = array
        after.run(0, batch, team, lambda batch: False)
    assert digest(after) == digest(whole)


@pytest.mark.usefixtures("real_data")
def test_real_data_threads_pauses_and_lists():
    from trimetric.data import datasets

    data = datasets.load("ml_100k", min_rating=4)
    arrays = data.users, data.items, data.indptr, data.n_items
    settings = replace(BASE, dim=50, batch_size=512, negatives="hardest", init_std=50**-0.5)
    alone = trained(settings, arrays)
    assert alone.totals.samples == len(data)
    for threads in (2, 3):
        again = trained(settings, arrays, threads, pause=lambda batch: True)
        assert digest(again) == digest(alone)
    users, items = np.split(alone.state.points[:, :50], [data.n_users])
    found, distances = top_k(users, items, 10, (data.indptr, data.items))
    for user in range(0, data.n_users, 20):
        exact = reference.distances(users[user : user + 1], items)[0]
        owned = data.items[data.indptr[user] : data.indptr[user + 1]]
        best = reference.ranking(exact, owned.tolist())[:10]
        assert found[user].tolist() == best
        assert (distances[user] == exact[best]).all()


def test_totals_start_anew_with_each_epoch():
    data = interactions()
    session = trained(BASE, data, epochs=1)
    first = session.totals
    with ThreadTeam(1) as team:
        session.run(1, 0, team, lambda batch: False)
    assert session.totals.samples == first.samples == len(data[0]) - data[3]
    assert session.totals.loss != first.loss


def test_seeds_and_epochs_draw_differently():
    data = interactions()
    seen = {digest(trained(replace(BASE, seed=seed), data)) for seed in (-1, 0, 1, 2**63 - 1)}
    assert len(seen) == 4
    ordered = {}
    for epoch in (0, 1):
        session = make_session(replace(BASE, lr=1e-6), *data)
        with ThreadTeam(1) as team:
            session.run(epoch, 0, team, lambda batch: False)
        ordered[epoch] = session.totals.loss
    assert ordered[0] != ordered[1]


def digests_of_all():
    """One digest for every setting, on data for one thread."""
    data = interactions()
    combined = product(("uniform", "popularity", "hardest"), ("rowwise-adagrad", "adagrad", "adam"))
    settings = [
        replace(BASE, negatives=negatives, optimizer=optimizer, rank_weight=negatives == "hardest")
        for negatives, optimizer in combined
    ]
    settings += [replace(one, batch_size=32) for one in VARIED]
    return [digest(trained(one, data, epochs=3)) for one in settings]


def test_interpreted_kernels_give_the_same_bits():
    program = "import test_session as t; print(*t.digests_of_all())"
    environment = os.environ | {
        "NUMBA_DISABLE_JIT": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONWARNINGS": "ignore",
    }
    interpreted = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=os.path.dirname(__file__),
        capture_output=True,
        text=True,
        check=True,
    )
    assert interpreted.stdout.split() == digests_of_all()
