"""Users held out whole, and folds."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trimetric as tm
from trimetric import counter
from trimetric.data.csr import keys
from trimetric.errors import DataError, ParameterError, TrimetricError

DATA = tm.synthetic.planted(120, 60, dim=4, clusters=4, per_user=10, seed=1).interactions


def pairs(part):
    return (
        set() if part is None else set(zip(part.users.tolist(), part.items.tolist(), strict=True))
    )


@st.composite
def logs(draw):
    n = draw(st.integers(3, 25))
    per_user = [draw(st.sets(st.integers(0, 12), min_size=1, max_size=9)) for _ in range(n)]
    users = [u for u, items in enumerate(per_user) for _ in items]
    return tm.Interactions.from_arrays(users, [i for items in per_user for i in items])


@given(logs(), st.integers(0, 5), st.sampled_from([0.1, 0.3, 0.6]), st.sampled_from([0.5, 0.8]))
@settings(max_examples=60, deadline=None)
def test_held_out_users_are_apart(data, seed, test, history):
    try:
        split = tm.split_users(data, test=test, history=history, seed=seed)
    except DataError:
        return
    held = set(split.test.users.tolist())
    assert held == set(split.history.users.tolist())
    others = set(split.train.users.tolist())
    assert not held & others
    if split.valid is not None:
        assert set(split.valid.users.tolist()) <= others
    parts = [pairs(part) for part in (split.train, split.valid, split.test, split.history)]
    assert sum(map(len, parts)) + split.how["left_out"] == len(data)
    assert len(set().union(*parts)) == sum(map(len, parts))
    learned = set(split.train.items.tolist()) | (
        set() if split.valid is None else set(split.valid.items.tolist())
    )
    assert set(split.test.items.tolist()) | set(split.history.items.tolist()) <= learned
    for user in held:
        mine = int((split.history.users == user).sum())
        n = mine + int((split.test.users == user).sum())
        assert mine == min(max(int(np.ceil(history * n - 1e-9)), 1), n - 1)


def test_the_usual_form_is_80_to_20():
    split = tm.split_users(DATA, test=0.25, seed=4)
    assert split.how["users_held_out"] == 30
    users, counts = np.unique(split.test.users, return_counts=True)
    whole = np.array([((split.history.users == u).sum()) for u in users]) + counts
    assert (counts == np.maximum(np.floor(0.2 * whole + 1e-9), 1)).all()
    assert split.how["method"] == "users"
    assert split.how["pairs"]["history"] == len(split.history)


def test_the_same_seed_gives_the_same_split_in_any_order_of_rows(tmp_path):
    split = tm.split_users(DATA, seed=9)
    turned = tm.split_users(DATA.to_frame().reverse(), seed=9)
    other = tm.split_users(DATA, seed=10)
    for part in ("train", "valid", "test", "history"):
        assert getattr(split, part).fingerprint == getattr(turned, part).fingerprint
        assert getattr(split, part).fingerprint != getattr(other, part).fingerprint
    split.save(tmp_path / "parts")
    loaded = tm.Split.load(tmp_path / "parts")
    assert loaded.how == split.how
    for part in ("train", "valid", "test", "history"):
        frames = [getattr(s, part).to_frame().sort("user", "item") for s in (split, loaded)]
        assert frames[0].equals(frames[1])
    tm.split_per_user(DATA).save(tmp_path / "parts")  # another split takes the place of this one
    assert tm.Split.load(tmp_path / "parts").history is None


def test_without_a_validation_part():
    split = tm.split_users(DATA, valid=0)
    assert split.valid is None
    assert split.how["pairs"]["valid"] == 0


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({"test": 0}, "test must be a share above 0"),
        ({"test": 1.0}, "test must be a share"),
        ({"history": 1}, "history must be a share"),
        ({"history": float("nan")}, "history must be a share"),
        ({"valid": -0.1}, "valid must be a share"),
        ({"valid": "x"}, "valid must be a share"),
    ],
)
def test_shares_out_of_range(given_, told):
    with pytest.raises(ParameterError, match=told):
        tm.split_users(DATA, **given_)


def test_too_few_users():
    with pytest.raises(DataError, match="too few users"):
        tm.split_users(tm.Interactions.from_arrays([1, 1], [1, 2]))
    with pytest.raises(DataError, match="too few users"):
        tm.split_users(tm.Interactions.from_arrays([1, 2, 3], [1, 2, 3]))


# --- folds ----------------------------------------------------------------------------------------


@given(logs(), st.integers(2, 4), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_each_pair_is_tested_once(data, folds, seed):
    folds = min(folds, len(data))
    splits = list(tm.kfold(data, folds, valid=0.2, seed=seed))
    tested = np.concatenate([keys(s.test.users, s.test.items) for s in splits])
    assert sorted(tested) == keys(data.users, data.items).tolist()
    sizes = [len(s.test) for s in splits]
    assert max(sizes) - min(sizes) <= 1
    for number, split in enumerate(splits):
        parts = [pairs(part) for part in (split.train, split.valid, split.test)]
        assert sum(map(len, parts)) == len(data) == len(set().union(*parts))
        assert split.how["fold"] == number


def test_folds_are_a_function_of_the_seed():
    one, same, other = ([s.test.fingerprint for s in tm.kfold(DATA, 3, seed=n)] for n in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize("folds", [1, 0, -3, 2.5, True, None, "5", 10**9])
def test_folds_out_of_range_are_refused_at_once(folds):
    with pytest.raises(ParameterError, match="folds must be a whole number"):
        tm.kfold(DATA, folds)


# --- every split takes what can be read -----------------------------------------------------------

SPLITS = {
    "random": tm.split_random,
    "per-user": tm.split_per_user,
    "leave-one-out": tm.split_leave_one_out,
    "temporal": tm.split_temporal,
    "column": tm.split_column,
    "users": tm.split_users,
    "folds": lambda data: next(iter(tm.kfold(data))),
}


@pytest.mark.parametrize("name", SPLITS)
def test_frames_and_files_are_split_as_their_interactions(name, tmp_path):
    rng = np.random.default_rng(0)
    frame = DATA.to_frame().with_columns(
        timestamp=pl.Series(rng.integers(0, 10**6, len(DATA))),
        split=pl.Series(rng.choice(["train", "test"], len(DATA))),
    )
    expected = SPLITS[name](tm.Interactions.from_frame(frame))
    frame.write_parquet(tmp_path / "log.parquet")
    for form in (frame, frame.to_pandas(), frame.to_arrow(), str(tmp_path / "log.parquet")):
        found = SPLITS[name](form)
        assert found.test.fingerprint == expected.test.fingerprint
        assert found.train.fingerprint == expected.train.fingerprint


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize("wrong", [None, 5, "nowhere.csv", [1, 2], tm.EASE()])
def test_what_is_no_log_is_refused_by_name(name, wrong):
    with pytest.raises(TrimetricError):
        SPLITS[name](wrong)


@pytest.mark.parametrize("seed", ["x", None, 1.5, True])
@pytest.mark.parametrize("name", ["random", "per-user", "leave-one-out", "users"])
def test_seeds_are_whole_numbers(name, seed):
    with pytest.raises(ParameterError, match="seed must be a whole number"):
        SPLITS[name](DATA, seed=seed)


@pytest.mark.parametrize("share", ["x", None, [0.1]])
def test_shares_are_numbers(share):
    for split in (tm.split_random, tm.split_per_user):
        with pytest.raises(ParameterError, match="the shares must be"):
            split(DATA, test=share)


@given(logs(), st.integers(0, 5), st.sampled_from([0.1, 0.3]), st.sampled_from([0.3, 0.6, 0.9]))
@settings(max_examples=60, deadline=None)
def test_which_pairs_are_held_out(data, seed, test, share):
    """The last of a random order of a user's, whose first is always kept."""
    try:
        split = tm.split_users(data, test=test, history=share, valid=share, seed=seed)
    except DataError:
        return
    every = list(zip(data.users.tolist(), data.items.tolist(), strict=True))
    histories, stopping = (
        dict(zip(every, counter.bits(counter.key(seed, key), np.arange(len(data))), strict=True))
        for key in (105, 106)
    )
    held = set(split.test.users.tolist())
    away = {user for user, _ in every} - held - set(split.train.users.tolist())
    for user in {user for user, _ in every} - away:
        if user in held:
            mine = [pair for pair in pairs(split.history) | pairs(split.test) if pair[0] == user]
            mine.sort(key=histories.__getitem__)
            kept = min(max(int(np.ceil(share * len(mine) - 1e-9)), 1), len(mine) - 1)
            assert {pair for pair in pairs(split.test) if pair[0] == user} == set(mine[kept:])
        else:
            mine = sorted((pair for pair in every if pair[0] == user), key=stopping.__getitem__)
            kept = len(mine) - min(int(share * len(mine) + 1e-9), len(mine) - 1)
            assert {pair for pair in pairs(split.train) if pair[0] == user} == set(mine[:kept])
            assert {pair for pair in pairs(split.valid) if pair[0] == user} == set(mine[kept:])
