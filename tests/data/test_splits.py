import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trimetric as tm
from trimetric import counter
from trimetric.data import (
    Interactions,
    Split,
    split_column,
    split_leave_one_out,
    split_per_user,
    split_random,
    split_temporal,
    split_users,
    synthetic,
)
from trimetric.data.splits import RANDOM, shipped_part
from trimetric.errors import DataError, OutputError, ParameterError

PAIRS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 12)), min_size=1, max_size=80)
SHARES = st.sampled_from([(0.1, 0.1), (0.2, 0.2), (0.5, 0.0), (0.45, 0.45), (0.9, 0.05)])


def made(pairs):
    users, items = zip(*pairs, strict=True)
    return Interactions.from_arrays(users, items, timestamps=[u * i % 7 for u, i in pairs])


def parts(split):
    return [part for part in (split.train, split.valid, split.test) if part is not None]


def keys(data):
    return data.users.astype(np.int64) * data.n_items + data.items


def tried(splitter, *args, **settings):
    try:
        return splitter(*args, **settings)
    except DataError as error:
        if "leaves n" not in str(error):
            raise
        return None


@settings(deadline=None)
@given(pairs=PAIRS, shares=SHARES, seed=st.integers(0, 5))
def test_every_split_parts_the_pairs(pairs, shares, seed):
    data, (test, valid) = made(pairs), shares
    for split in (
        tried(split_random, data, test=test, valid=valid, seed=seed),
        tried(split_per_user, data, test=test, valid=valid, seed=seed),
        tried(split_leave_one_out, data, valid=valid > 0, seed=seed),
        tried(split_temporal, data, test=test, valid=valid),
    ):
        if split is None:
            continue
        together = np.concatenate([keys(part) for part in parts(split)])
        np.testing.assert_array_equal(np.sort(together), keys(data))
        assert len(split.train) > 0
        assert len(split.test) > 0
        assert sum(split.how["pairs"].values()) == len(data)
        for part in parts(split):
            assert part.user_ids is data.user_ids
            assert (np.diff(keys(part)) > 0).all()
        if valid == 0:
            assert split.valid is None


@settings(deadline=None)
@given(pairs=PAIRS, shares=SHARES, seed=st.integers(0, 5))
def test_random_keeps_each_user_and_item_in_train(pairs, shares, seed):
    data = made(pairs)
    split = tried(split_random, data, test=shares[0], valid=shares[1], seed=seed)
    if split is not None:
        assert len(np.unique(split.train.users)) == data.n_users
        assert len(np.unique(split.train.items)) == data.n_items
        held = len(data) - len(split.train)
        asked = int(len(data) * shares[0] + 1e-9) + int(len(data) * shares[1] + 1e-9)
        assert held == asked - split.how["put_back"]


@settings(deadline=None)
@given(pairs=PAIRS, shares=SHARES, seed=st.integers(0, 5))
def test_random_puts_back_the_latest_drawn_pair_of_who_has_none(pairs, shares, seed):
    data = made(pairs)
    split = tried(split_random, data, test=shares[0], valid=shares[1], seed=seed)
    if split is None:
        return
    n = len(data)
    order = counter.permutation(counter.key(seed, RANDOM), n).tolist()
    n_test, n_valid = (int(n * share + 1e-9) for share in shares)
    part = {
        pair: "test" if rank < n_test else "valid" if rank < n_test + n_valid else "train"
        for rank, pair in enumerate(order)
    }
    for rows in (data.users, data.items):
        given = [row for row in set(rows.tolist())]
        lacking = [r for r in given if not any(part[p] == "train" for p in order if rows[p] == r)]
        for row in lacking:
            part[[pair for pair in order if rows[pair] == row][-1]] = "train"
    for name in ("train", "valid", "test"):
        mine = np.array(sorted(pair for pair in order if part[pair] == name), dtype=np.int64)
        found = getattr(split, name)
        found = np.zeros(0, dtype=np.int64) if found is None else keys(found)
        np.testing.assert_array_equal(found, keys(data)[mine])


def in_order(data, key):
    """Return the pairs, user and item, in the random order of a key."""
    drawn = counter.bits(key, np.arange(len(data)))
    pairs = list(zip(data.users.tolist(), data.items.tolist(), strict=True))
    return [pair for _, pair in sorted(zip(drawn.tolist(), pairs, strict=True))]


def pairs_of(part):
    return (
        set() if part is None else set(zip(part.users.tolist(), part.items.tolist(), strict=True))
    )


def test_which_pair_is_put_back():
    """The same in every version: a split is named by its seed."""
    data = Interactions.from_arrays([0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2])
    kept = [
        (1, {(0, 2), (1, 0), (1, 1)}),
        (1, {(0, 1), (0, 2), (1, 0)}),
        (2, {(0, 0), (0, 1), (0, 2), (1, 2)}),
        (2, {(0, 0), (0, 2), (1, 1), (1, 2)}),
    ]
    for seed, (put_back, train) in enumerate(kept):
        split = split_random(data, test=0.8, valid=0.0, seed=seed)
        assert (split.how["put_back"], pairs_of(split.train)) == (put_back, train)


@settings(deadline=None)
@given(pairs=PAIRS, shares=SHARES, seed=st.integers(0, 5))
def test_which_pairs_of_a_user_are_held_out(pairs, shares, seed):
    """The last of a random order of the user's, so that train keeps the first of it at least."""
    data, (test, valid) = made(pairs), shares
    order = in_order(data, counter.key(seed, 102))
    split = tried(split_per_user, data, test=test, valid=valid, seed=seed)
    for user in range(data.n_users if split is not None else 0):
        mine = [pair for pair in order if pair[0] == user]
        first = max(1, int(len(mine) * (1 - test - valid) + 1e-9))
        second = max(first, int(len(mine) * (1 - test) + 1e-9))
        assert {pair for pair in pairs_of(split.train) if pair[0] == user} == set(mine[:first])
        assert {pair for pair in pairs_of(split.test) if pair[0] == user} == set(mine[second:])


@settings(deadline=None)
@given(pairs=PAIRS, valid=st.booleans(), timed=st.booleans(), seed=st.integers(0, 5))
def test_which_pairs_are_the_last(pairs, valid, timed, seed):
    """By time, and pairs of one time in a random order."""
    data = made(pairs)
    times = dict(zip(sorted(pairs_of(data)), data.timestamps.tolist(), strict=True))
    data = data if timed else data.changed(timestamps=None)
    split = tried(split_leave_one_out, data, valid=valid, seed=seed)
    order = in_order(data, counter.key(seed, 103))
    if timed:
        order.sort(key=times.__getitem__)
    for user in range(data.n_users if split is not None else 0):
        mine = [pair for pair in order if pair[0] == user]
        tested = set(mine[-1:]) if len(mine) > 1 else set()
        validated = set(mine[-2:-1]) if valid and len(mine) > 2 else set()
        assert {pair for pair in pairs_of(split.test) if pair[0] == user} == tested
        assert {pair for pair in pairs_of(split.valid) if pair[0] == user} == validated


@settings(deadline=None)
@given(pairs=PAIRS, shares=SHARES, seed=st.integers(0, 5))
def test_per_user_sizes_are_exact(pairs, shares, seed):
    data, (test, valid) = made(pairs), shares
    split = tried(split_per_user, data, test=test, valid=valid, seed=seed)
    if split is not None:
        for user in range(data.n_users):
            n = int((data.users == user).sum())
            first = max(1, int(n * (1 - test - valid) + 1e-9))
            second = max(first, int(n * (1 - test) + 1e-9))
            assert (split.train.users == user).sum() == first
            assert split.valid is None or (split.valid.users == user).sum() == second - first
            assert (split.test.users == user).sum() == n - second


def test_leave_one_out_takes_the_latest():
    data = Interactions.from_arrays(
        [1, 1, 1, 2, 2, 3], [1, 2, 3, 1, 2, 1], None, [9, 5, 7, 3, 1, 8]
    )
    split = split_leave_one_out(data)
    assert split.test.to_frame().rows() == [(1, 1, 9), (2, 1, 3)]
    assert split.valid.to_frame().rows() == [(1, 3, 7)]
    assert split_leave_one_out(data, valid=False).train.indptr.tolist() == [0, 2, 3, 4]


def test_leave_one_out_without_times_is_seeded():
    data = Interactions.from_arrays([0] * 50, range(50))
    held = {int(split_leave_one_out(data, seed=seed).test.items[0]) for seed in range(20)}
    assert len(held) > 10
    assert split_leave_one_out(data).how["last_by"] == "chance"


def test_temporal_never_parts_a_time():
    data = Interactions.from_arrays(range(10), [0] * 10, None, [0, 1, 2, 3, 3, 3, 4, 5, 5, 6])
    split = split_temporal(data, test=0.2, valid=0.2)
    assert split.test.timestamps.tolist() == [5, 5, 6]
    assert split.valid.timestamps.tolist() == [4]
    assert split.train.timestamps.max() < split.how["valid_from"] == 4
    with pytest.raises(DataError, match="no pair for train"):
        split_temporal(Interactions.from_arrays(range(10), [0] * 10, None, [1] * 10))
    with pytest.raises(DataError, match="no timestamps"):
        split_temporal(Interactions.from_arrays([1, 2], [1, 2]))


def test_column():
    labels = ["train", "Validation", "test", "train"]
    data = Interactions.from_frame({"user": [1, 2, 3, 4], "item": [1] * 4, "split": labels})
    split = split_column(data)
    assert [len(part) for part in parts(split)] == [2, 1, 1]
    assert split.how["method"] == "column"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "ships no split"),
        (["train", "holdout"], "'holdout'"),
        (["train", "train"], "none for test"),
        (["test", "test"], "no pair for train"),
    ],
)
def test_bad_columns(labels, message):
    columns = {"user": [1, 2], "item": [1, 2]} | ({"split": labels} if labels else {})
    with pytest.raises(DataError, match=message):
        split_column(Interactions.from_frame(columns))


@pytest.mark.parametrize("splitter", [split_random, split_per_user, split_temporal])
@pytest.mark.parametrize(
    "shares", [(0, 0.1), (1, 0), (-0.1, 0), (0.5, 0.5), (0.1, -0.1), (np.nan, 0), (0.1, np.nan)]
)
def test_shares_out_of_range(splitter, shares):
    with pytest.raises(ParameterError, match="shares must be"):
        splitter(Interactions.from_arrays([1, 2], [1, 2]), test=shares[0], valid=shares[1])


def test_nothing_to_hold_out_is_said():
    single = Interactions.from_arrays([1], [1], None, [1])
    for splitter in (split_random, split_per_user, split_leave_one_out, split_temporal):
        with pytest.raises(DataError, match="leaves n"):
            splitter(single)


def test_seeds_differ_and_row_order_does_not_matter():
    pairs = [(u, i) for u in range(20) for i in range(20) if (u + i) % 3]
    data, turned = made(pairs), made(pairs[::-1])
    for splitter in (split_random, split_per_user, split_leave_one_out):
        assert splitter(data).test.fingerprint == splitter(turned).test.fingerprint
        if splitter is not split_leave_one_out:
            assert splitter(data).test.fingerprint != splitter(data, seed=1).test.fingerprint


def test_splits_are_the_same_on_every_machine():
    data = synthetic.planted(60, 40, per_user=8, seed=3).interactions
    digest = hashlib.sha256()
    for splitter in (split_random, split_per_user, split_leave_one_out):
        for part in parts(splitter(data, seed=5)):
            digest.update(part.fingerprint.encode())
    assert digest.hexdigest() == "5f622dc9c280846128d1333e37be3b1f92f73e5114a4724f9cf5dd031fe67209"


@pytest.mark.parametrize("valid", [0.2, 0.0])
def test_a_saved_split_is_loaded_as_it_was(tmp_path, valid):
    pairs = [(user, 7 * user % 13 + item) for user in range(20) for item in range(5)]
    split = split_per_user(made(pairs), test=0.2, valid=valid)
    about = {"out": "s", "fingerprint": "f"}
    assert split.save(tmp_path / "s", about) == {**about, "name": "arrays", **split.how}
    loaded = Split.load(tmp_path / "s")
    assert loaded.how == split.how
    assert [p.fingerprint for p in parts(loaded)] == [p.fingerprint for p in parts(split)]
    assert loaded.train.name == "arrays"
    assert len(parts(loaded)) == (3 if valid else 2)


def test_what_was_accepted_when_it_was_read_is_loaded_again(tmp_path):
    """Times that could be dates or milliseconds, and negative ratings, need no second word."""
    n = 60
    rng = np.random.default_rng(0)
    least = np.finfo(np.float32).min
    for number, times in enumerate((20_240_101 + np.arange(n) % 28, 10**12 + np.arange(n))):
        frame = {
            "user": np.arange(n) % 6,
            "item": np.arange(n) // 6,
            "rating": np.where(np.arange(n) == 7, least, rng.integers(-3, 4, n)),
            "timestamp": times,
        }
        data = Interactions.from_frame(frame, time_format="s", min_rating=float(least))
        split = split_random(data, test=0.3, valid=0.1)
        split.save(tmp_path / str(number))
        loaded = Split.load(tmp_path / str(number))
        assert [p.fingerprint for p in parts(loaded)] == [p.fingerprint for p in parts(split)]


def test_histories_of_a_split_made_by_hand_are_kept(tmp_path):
    users = split_users(synthetic.planted(60, 40, per_user=8).interactions, seed=1)
    Split(*users, history=users.history).save(tmp_path)
    assert Split.load(tmp_path).history.fingerprint == users.history.fingerprint


@pytest.mark.parametrize("pairs", [{}, {"train": 3}, [1], 7, None])
def test_a_damaged_document_of_a_split_says_so(tmp_path, pairs):
    split_per_user(made([(u, i) for u in range(9) for i in range(5)])).save(tmp_path)
    (tmp_path / "split.json").write_text(json.dumps({"name": "x", "pairs": pairs}))
    with pytest.raises(DataError, match=r"split\.json is not that of a split"):
        Split.load(tmp_path)


def test_a_saved_split_replaces_a_split_and_nothing_else(tmp_path):
    split = split_per_user(made([(u, i) for u in range(9) for i in range(5)]))
    split.save(tmp_path / "s")
    split.save(tmp_path / "s")
    (tmp_path / "s/mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds mine\.txt, which is not part of a split"):
        split.save(tmp_path / "s")
    assert len(list((tmp_path / "s").iterdir())) == 5
    with pytest.raises(OutputError, match="is a file"):
        split.save(tmp_path / "s/mine.txt")
    with pytest.raises(DataError, match=r"split\.json cannot be read"):
        Split.load(tmp_path)
    (tmp_path / "split.json").write_text("[]")
    with pytest.raises(DataError, match=r"split\.json is not that of a split"):
        Split.load(tmp_path)


def test_the_parts_of_a_shipped_split():
    pairs = [(1, 5), (1, 6), (2, 5), (2, 7), (3, 9)]
    labels = ["train", "Test", "train", "dev", "train"]
    users, items = zip(*pairs, strict=True)
    whole = Interactions.from_frame({"user": users, "item": items, "split": labels})
    train, valid, test = (shipped_part(whole, part) for part in ("train", "valid", "test"))
    assert [len(train), len(valid), len(test)] == [3, 1, 1]
    assert train.item_ids.values.to_list() == [5, 9]
    assert test.to_frame().select("user", "item").rows() == [(1, 6)]
    no_test = whole.take(whole.labels != "Test")
    assert shipped_part(no_test, "test") is None
    plain = made(pairs)
    assert shipped_part(plain, "train") is plain
    assert shipped_part(plain, "valid") is None
    odd = Interactions.from_frame({"user": [1], "item": [2], "split": ["half"]})
    with pytest.raises(DataError, match="holds 'half'; it may hold train"):
        shipped_part(odd, "train")


def test_parts_split_elsewhere(tmp_path):
    whole = split_per_user(synthetic.planted(60, 40, per_user=8).interactions, seed=1)
    renamed = {"user": "who", "item": "what"}
    for name in ("train", "valid", "test"):
        getattr(whole, name).to_frame().rename(renamed).write_csv(tmp_path / f"{name}.csv")
    files = [tmp_path / f"{name}.csv" for name in ("train", "valid", "test")]
    split = Split.of(*files, user="who", item="what")
    assert [len(part) for part in split] == [len(part) for part in whole]
    assert split.train.item_ids is split.test.item_ids or (
        split.train.item_ids.values.equals(split.test.item_ids.values)
    )
    assert repr(split).startswith("Split(given: train ")
    assert split.test.fingerprint == whole.test.fingerprint
    assert Split.of(files[0], None, files[2], user="who", item="what").valid is None
    frames = [part.to_frame() for part in whole]
    assert Split.of(*frames).train.fingerprint == whole.train.fingerprint
    numbers = Interactions.from_arrays([1], [2])
    with pytest.raises(DataError, match="test: the user ids are int, those of train are str"):
        Split.of(whole.train, None, numbers)


@pytest.mark.parametrize("how", [None, {}, {"method": "mine"}])
def test_a_split_made_by_hand_is_shown_and_saved(tmp_path, how):
    whole = split_per_user(synthetic.planted(60, 40, per_user=8).interactions, seed=1)
    hand = Split(*whole) if how is None else Split(*whole, how)
    sizes = f"train {len(whole.train):,}, valid {len(whole.valid):,}, test {len(whole.test):,}"
    assert repr(hand) == f"Split({(how or {}).get('method', 'given')}: {sizes})"
    assert f"{len(whole.test):,}" in hand._repr_html_()
    hand.save(tmp_path / "parts")
    assert Split.load(tmp_path / "parts").test.fingerprint == whole.test.fingerprint


def test_numbers_of_numpy_are_as_those_of_python_and_can_be_saved(tmp_path):
    data = synthetic.planted(40, 30, per_user=6, seed=1).interactions
    shares = {"test": np.float64(0.2), "valid": np.float32(0.25)}
    made = {
        "random": lambda **more: tm.split_random(data, **more),
        "user": lambda **more: tm.split_per_user(data, **more),
        "users": lambda **more: tm.split_users(data, history=np.float32(0.5), **more),
    }
    for name, make in made.items():
        ours, theirs = make(test=0.2, valid=0.25, seed=3), make(**shares, seed=np.int64(3))
        assert theirs.save(tmp_path / name) == ours.save(tmp_path / name)
        assert theirs.test.fingerprint == ours.test.fingerprint
    last = tm.split_leave_one_out(data, valid=np.True_, seed=np.int8(1))
    assert last.save(tmp_path / "last")["seed"] == 1
    for one in tm.kfold(data, np.int64(2), valid=np.float32(0.25), seed=np.int64(1)):
        assert one.save(tmp_path / "fold")["valid"] == 0.25
