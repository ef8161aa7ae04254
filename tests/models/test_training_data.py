"""What models take for training data, what they note of it, and what they refuse."""

import hashlib
import sys
import warnings

import numpy as np
import polars as pl
import pytest
from csr_lists import csr

import trimetric as tm
from trimetric.data.ids import Vocabulary
from trimetric.errors import DataError, MissingExtra, ParameterError, TrimetricError, Unsupported
from trimetric.models import training_data
from trimetric.models.training_data import check_negatives, check_partitions

DATA = tm.Interactions.from_arrays(["a", "a", "b"], ["x", "y", "x"], weights=[2, 3, 4])


def pairs(lists, n_items):
    """Return interactions of a list of item rows for each user; some may have none."""
    users = [user for user, items in enumerate(lists) for _ in items]
    items = [item for row in lists for item in row]
    everyone = Vocabulary.from_values(pl.Series([f"u{n}" for n in range(len(lists))]))
    catalogue = Vocabulary.from_values(pl.Series([f"i{n}" for n in range(n_items)]))
    rows = np.array(users, dtype=np.int32), np.array(items, dtype=np.int32)
    return tm.Interactions.from_rows(everyone, catalogue, *rows)


def test_a_split_is_taken_apart_and_other_data_read():
    split = tm.Split(DATA, DATA, DATA, {})
    assert training_data.parts_given(split, None, True) == (DATA, DATA)
    assert training_data.parts_given(DATA, 5, True) == (DATA, 5)
    with pytest.raises(ParameterError, match="got a split and validation data"):
        training_data.parts_given(split, DATA, True)


def test_what_columns_were_taken_for_is_told_but_not_with_progress_false(capsys):
    table = {"userId": ["a"], "movieId": ["x"]}
    for progress, told in ((None, True), (True, True), (False, False)):
        data, _ = training_data.parts_given(table, None, progress)
        assert data.n_users == 1
        assert ("userId" in capsys.readouterr().err) == told
    training_data.parts_given(data, None, None)  # they were told to who made them
    assert not capsys.readouterr().err


def test_validation_data_in_the_rows_of_the_training_data():
    assert training_data.aligned(None, DATA) is None
    other = tm.Interactions.from_arrays(["c", "b", "b"], ["x", "z", "y"])
    found = training_data.aligned(other, DATA)
    assert (found.users.tolist(), found.items.tolist()) == ([1], [1])
    strangers = tm.Interactions.from_arrays(["c", "d"], ["z", "z"])
    with pytest.raises(DataError, match=r"\(2 users and 1 items are unknown\)"):
        training_data.aligned(strangers, DATA)


def test_what_is_known_and_noted():
    known = training_data.known_of(DATA, None)
    assert known.validated is None
    assert known.weights.tolist() == [2, 3, 4]
    assert training_data.known_of(DATA, DATA).validated.items.tolist() == [0, 1, 0]
    noted = {"name": DATA.name, "fingerprint": DATA.fingerprint, "pairs": 3}
    assert training_data.describe(DATA, None) == {"train": noted, "valid": None}
    assert training_data.describe(DATA, DATA) == {"train": noted, "valid": noted}


def test_more_that_is_seen_keeps_the_weights_of_before():
    more = tm.Interactions.from_arrays(["b", "b", "c"], ["x", "y", "x"])
    known = training_data.merged_seen(training_data.known_of(DATA, None), more)
    assert known.seen.users.tolist() == [0, 0, 1, 1]
    assert known.seen.items.tolist() == [0, 1, 0, 1]
    assert known.weights.tolist() == [2, 3, 4, 1]


def test_weights_for_models_that_cannot_use_them():
    training_data.check_weights(tm.SML, True)
    training_data.check_weights(tm.LRML, False)
    with pytest.raises(Unsupported, match="lrml cannot use weights"):
        training_data.check_weights(tm.LRML, True)
    assert training_data.mean_weight(DATA) == 3
    assert training_data.mean_weight(DATA.changed(weights=None)) == 1


def test_a_pool_in_the_rows_of_the_training_data():
    assert training_data.pool_of(None, DATA) is None
    rows = csr([[0], [1]])
    assert training_data.pool_of(rows, DATA) is rows
    given = tm.Interactions.from_arrays(["b", "b", "c"], ["x", "z", "x"])
    found = training_data.pool_of(given, DATA)
    assert (found.users.tolist(), found.items.tolist()) == ([1], [0])
    with pytest.raises(ParameterError, match="the pool has 3 users, the training data 2;"):
        training_data.pool_of(csr([[], [], []]), DATA)


@pytest.mark.parametrize("partitions", [0, -1, 1.0, "2", True, None])
def test_numbers_of_parts_that_there_cannot_be(partitions):
    with pytest.raises(ParameterError, match="a whole number from 1 on"):
        check_partitions("sml", partitions, None, None)


def test_what_parts_do_not_go_with():
    pool = csr([[0]])
    check_partitions("sml", np.int64(1), pool, "a model")
    check_partitions("sml", 2, None, None)
    with pytest.raises(Unsupported, match="sml cannot be trained in parts with a pool"):
        check_partitions("sml", 2, pool, None)
    with pytest.raises(Unsupported, match="in parts from the points of another model"):
        check_partitions("sml", 2, None, "a model")


@pytest.mark.parametrize(
    ("lists", "pool", "told"),
    [
        ([[], []], None, "has no interactions"),
        ([[0, 1], [0, 1]], None, "has all 2 items, so that no negative item exists"),
        ([[0, 1], []], None, "has all 2 items, so that no negative item exists"),
        ([[0], [1]], [[0], [1]], "the pool leaves no user a negative item"),
        ([[0], []], [[0], [0, 1]], "the pool leaves no user a negative item"),
    ],
)
def test_nothing_to_contrast_is_refused(lists, pool, told):
    with pytest.raises(DataError, match=told):
        check_negatives(pairs(lists, 2), None if pool is None else csr(pool))


def test_users_without_a_negative_are_told():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_negatives(pairs([[0], [1]], 2), None)
        check_negatives(pairs([[0, 1], [1]], 2), csr([[0], [0]]))
    with pytest.warns(UserWarning, match="2 of the users have every item .* first is 'u1'"):
        check_negatives(pairs([[0], [0, 1], [0, 1]], 2), None)


def test_the_digest_of_a_pool_is_that_of_its_little_endian_bytes():
    pool = csr([[0, 2], [], [1]])
    numbers = np.array([0, 2, 2, 3], "<i8").tobytes() + np.array([0, 2, 1], "<i4").tobytes()
    assert training_data.digest(pool) == hashlib.sha256(numbers).hexdigest()


PAIRS = tm.synthetic.planted(40, 30, dim=4, clusters=4, per_user=6, seed=1).interactions
WRONG = [
    ("monitor", 3, "monitor must be a function"),
    ("resume", "no", "resume must be True or False"),
    ("resume", None, "resume must be True or False"),
    ("checkpoint_seconds", "30", "checkpoint_seconds must be a number of at least 0"),
    ("checkpoint_seconds", None, "checkpoint_seconds must be a number of at least 0"),
    ("checkpoint_seconds", float("nan"), "checkpoint_seconds must be a number of at least 0"),
    ("checkpoint_seconds", -1, "checkpoint_seconds must be a number of at least 0"),
    ("progress", "no", "progress must be True or False"),
    ("callbacks", None, "callbacks must be a list, got None"),
    ("callbacks", 3, "callbacks must be a list, got 3"),
    ("also_seen", 3, "cannot read a int as a table"),
    ("also_seen", ([1, 2], [3, 4]), "the user ids of arrays are whole numbers and the model's"),
]


@pytest.mark.parametrize(("option", "value", "words"), WRONG)
@pytest.mark.parametrize("kind", [tm.CML, tm.Popularity])
def test_options_are_refused_before_training(kind, option, value, words, monkeypatch):
    def trained(*_, **__):
        raise AssertionError("it was trained before")

    monkeypatch.setattr("trimetric.training.train", trained)
    monkeypatch.setattr(tm.Popularity, "learn", trained)
    with pytest.raises(TrimetricError, match=words):
        kind().fit(PAIRS, **{option: value})


def test_checkpoints_may_be_never_or_always(tmp_path):
    for seconds in (float("inf"), np.float32(0.5), 0):
        folder = tmp_path / str(seconds)
        tm.CML(dim=4, epochs=1).fit(PAIRS, out=folder, checkpoint_seconds=seconds, resume=np.False_)
        assert tm.load(folder).user_ids.kind == "str"


def test_what_is_marked_as_seen_must_have_ids_of_the_type_of_the_model():
    model = tm.Popularity().fit(PAIRS)
    users, items = PAIRS.user_ids[:2], PAIRS.item_ids[:2]
    for pairs, side in ((([1, 2], items), "user"), ((users, [1, 2]), "item")):
        with pytest.raises(DataError, match=f"the {side} ids of arrays are whole numbers and"):
            model.mark_seen(pairs)
    assert len(model.seen.items) == len(PAIRS)


def test_options_of_partial_fit_are_checked_by_all_models():
    made = tm.CentroidML(dim=4, epochs=1, temperature=0.2, kappa=0, reconstruction=0).fit(PAIRS)
    for model in (made, tm.CML(dim=4, epochs=1).fit(PAIRS)):
        new = ["u01"], ["new"]
        for replay in (-1, "1", float("nan"), None):
            with pytest.raises(ParameterError, match="replay must be at least 0 and finite"):
                model.partial_fit(new, replay=replay)
        with pytest.raises(ParameterError, match="progress must be True or False"):
            model.partial_fit(new, progress="no")


def test_without_ray_no_trials_are_made(tmp_path, monkeypatch):
    def tried(*_, **__):
        raise AssertionError("settings were tried before")

    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(tm.CentroidML, "find_settings", tried)
    with pytest.raises(MissingExtra, match=r"trimetric\[ray\]"):
        tm.CentroidML().fit(PAIRS, out=tmp_path / "m", partitions=2, ray="local")


def test_numbers_of_numpy_can_be_saved(tmp_path):
    i = np.int64
    model = tm.CML(dim=4, epochs=1)
    options = {"partitions": i(2), "threads": i(1), "checkpoint_seconds": np.float32(9)}
    model.fit(PAIRS, **options, out=tmp_path / "m")
    assert tm.load(tmp_path / "m").provenance["partitions"] == 2
    made = tm.CentroidML(dim=4, epochs=1, temperature=0.2, kappa=0, reconstruction=0).fit(PAIRS)
    for one in (model, made):
        one.partial_fit((["new"], ["i01"]), epochs=i(1), lr=np.float32(0.1), replay=i(1))
        one.save(tmp_path / "day")
        assert tm.load(tmp_path / "day").provenance["updates"][0]["epochs"] == 1
