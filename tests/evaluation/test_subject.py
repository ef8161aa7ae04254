"""What is evaluated: a model, a scorer, or a model with users folded in."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import trimetric as tm
from trimetric.data.csr import Csr
from trimetric.errors import DataError, ParameterError, Unsupported
from trimetric.evaluation.subject import Subject, is_model, is_scorer, validation_of

LOG = tm.Interactions.from_arrays([1, 1, 1, 2, 3, 3], [10, 11, 13, 10, 10, 12])
"""Items 10..13, of which the training part of user 3 has no 12."""

TRAIN, VALID = LOG.take([0, 1, 2, 3, 4]), LOG.take([5])
SPLIT = tm.Split(TRAIN, VALID, LOG.take([5]), {})


class Scorer:
    """Scores nothing: it is only looked at."""

    n_items = 4

    def ranks(self, held: Csr, exclude: Csr) -> None: ...

    def score(self, users: np.ndarray, items: np.ndarray) -> None: ...


class Model:
    """Trained on the training part."""

    def __init__(self, **given: Any) -> None:
        self.user_ids, self.item_ids, self.seen = LOG.user_ids, LOG.item_ids, Csr.of(TRAIN)
        self.scorer = Scorer()
        vars(self).update(given)


class Folding(Model):
    """Folds users in by their histories, which it keeps."""

    def folded_in(self, lists: Csr, weights: Any) -> Any:
        return SimpleNamespace(lists=lists, weights=weights)


def pairs(lists: Csr) -> list[tuple[int, int]]:
    return [*zip(lists.users.tolist(), lists.items.tolist(), strict=True)]


# --- what it is -----------------------------------------------------------------------------------


def test_models_and_scorers_are_told_apart() -> None:
    assert is_model(Model())
    assert is_model(tm.EASE())  # not trained: it says so when it is asked
    assert not is_scorer(Model())
    assert is_scorer(Scorer())
    assert not is_model(Scorer())
    for missing in ("scorer", "seen", "user_ids", "item_ids"):
        model = Model()
        delattr(model, missing)
        assert not is_model(model)
    for missing in ("ranks", "score", "n_items"):
        some = {name: 1 for name in ("ranks", "score", "n_items") if name != missing}
        assert not is_scorer(SimpleNamespace(**some))
    for neither in (None, 5, "full", LOG, SPLIT, object()):
        assert not is_model(neither)
        assert not is_scorer(neither)


# --- models ---------------------------------------------------------------------------------------


def test_a_model_is_taken_with_what_it_has_seen() -> None:
    found = Subject.of_model(Model())
    assert found.name == "Model"
    assert found.popularity.tolist() == [3, 1, 0, 1]
    assert (found.user_ids, found.item_ids) == (LOG.user_ids, LOG.item_ids)
    assert pairs(found.seen) == [(0, 0), (0, 1), (0, 3), (1, 0), (2, 0)]
    assert (found.unseen_valid, found.marked_valid, found.validated) == (0, False, None)
    assert found.numbers is None
    assert Subject.of_model(Model(variant="s")).name == "Model (s)"
    assert Subject.of_model(Model(variant=None)).name == "Model"


def test_what_a_model_was_validated_on() -> None:
    known = Model(
        validated=Csr.of(VALID), provenance={"train": {"pairs": 5}, "valid": {"pairs": 1}}
    )
    found = Subject.of_model(known)
    assert (found.unseen_valid, found.marked_valid) == (0, True)
    assert found.validated is known.validated
    told = {"train": {"pairs": 5}, "valid": {"pairs": 3}}
    found = Subject.of_model(Model(provenance=told))
    assert (found.unseen_valid, found.marked_valid) == (3, False)
    told["train"] = {"pairs": 2}
    found = Subject.of_model(Model(provenance=told, validated=None))
    assert (found.unseen_valid, found.marked_valid) == (0, True)


@pytest.mark.parametrize(
    ("provenance", "n_seen", "expected"),
    [
        ({}, 9, (0, False)),
        ({"train": {"pairs": 5}}, 9, (0, False)),
        ({"valid": {"pairs": 5}}, 9, (0, False)),
        ({"train": {"pairs": 5}, "valid": {}}, 9, (0, False)),
        ({"train": {"pairs": 5}, "valid": {"pairs": 4}}, 8, (4, False)),
        ({"train": {"pairs": 5}, "valid": {"pairs": 4}}, 9, (0, True)),
        ({"train": {"pairs": 5}, "valid": {"pairs": 4}}, 10, (0, True)),
        ({"train": {"pairs": 5}, "valid": {"pairs": 4}, "updates": [{"pairs": 1}]}, 9, (4, False)),
        ({"train": {"pairs": 5}, "valid": {"pairs": 4}, "updates": [{"pairs": 1}]}, 10, (0, True)),
        (
            {"train": {"pairs": 5}, "valid": {"pairs": 4}, "updates": [{"pairs": 1}, {"pairs": 2}]},
            11,
            (4, False),
        ),
    ],
)
def test_validation_pairs_are_seen_where_there_are_as_many(
    provenance: dict, n_seen: int, expected: tuple[int, bool]
) -> None:
    assert validation_of(provenance, n_seen) == expected


# --- scorers --------------------------------------------------------------------------------------


def test_a_scorer_has_the_rows_of_the_training_part() -> None:
    found = Subject.of_scorer(Scorer(), SPLIT)
    assert found.name == "Scorer"
    assert found.popularity.tolist() == [3, 1, 0, 1]
    assert pairs(found.seen) == pairs(Csr.of(TRAIN))
    assert found.user_ids is TRAIN.user_ids
    assert found.item_ids is TRAIN.item_ids
    assert (found.unseen_valid, found.marked_valid, found.validated) == (0, False, None)
    with pytest.raises(ParameterError, match="a Scorer knows rows and no ids: give the Split"):
        Subject.of_scorer(Scorer(), None)


@pytest.mark.parametrize(("users", "items"), [(3, 5), (2, 4), (4, 4), (None, 3)])
def test_a_scorer_of_another_size_is_refused(users: int | None, items: int) -> None:
    scorer: Any = Scorer()
    scorer.n_items = items
    if users is not None:
        scorer.n_users = users
    told = f"the Scorer has {users or 3} users and {items} items, the split 3 and 4; give"
    with pytest.raises(DataError, match=told):
        Subject.of_scorer(scorer, SPLIT)
    scorer.n_users, scorer.n_items = 3, 4
    assert Subject.of_scorer(scorer, SPLIT).name == "Scorer"


# --- users held out whole -------------------------------------------------------------------------


def test_users_are_folded_in_by_what_the_model_knows_of_their_histories() -> None:
    history = tm.Interactions.from_arrays([7, 7, 8, 9, 9], [11, 99, 99, 13, 10])
    model = Folding(validated=Csr.of(VALID))
    found = Subject.of_model(model).folded_in(model, history)
    assert found.user_ids.values.to_list() == [7, 9]  # 8 has nothing that is known
    assert pairs(found.seen) == [(0, 1), (1, 0), (1, 3)]
    scorer: Any = found.scorer
    assert pairs(scorer.lists) == pairs(found.seen)
    assert scorer.weights is None
    assert found.popularity.tolist() == [3, 1, 0, 1]  # that of those who were trained on
    assert (found.unseen_valid, found.marked_valid, found.validated) == (0, False, None)
    strangers = tm.Interactions.from_arrays([7], [99])
    with pytest.raises(DataError, match="Folding knows no item of the histories of the users"):
        Subject.of_model(model).folded_in(model, strangers)


def test_users_who_were_trained_on_are_none_held_out_whole() -> None:
    model = Folding()
    for users, n in (([1, 7], 1), ([1, 2, 3, 7], 3), ([3], 1)):
        history = tm.Interactions.from_arrays(users, [10] * len(users))
        with pytest.raises(DataError, match=f"Folding was trained on {n} of the users held out"):
            Subject.of_model(model).folded_in(model, history)
    few = Folding(seen=Csr.of(TRAIN.take(TRAIN.users > 0)))  # 1 has a row, and nothing learned
    history = tm.Interactions.from_arrays([1, 7], [10, 11])
    assert Subject.of_model(few).folded_in(few, history).user_ids.values.to_list() == [1, 7]
    with pytest.raises(Unsupported, match=r"Model .* held out whole: it does not fold in"):
        Subject.of_model(Model()).folded_in(Model(), history)


def test_users_of_a_wider_vocabulary_are_those_with_a_history() -> None:
    """Histories of a split have the rows of the whole log."""
    model = Folding(seen=Csr.of(TRAIN.take(TRAIN.users > 0)))
    whole = tm.Interactions.from_arrays([1, 2], [10, 13])
    history = whole.take(whole.users == 0)
    found = Subject.of_model(model).folded_in(model, history)
    assert found.user_ids.values.to_list() == [1]
