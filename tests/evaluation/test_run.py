"""What `evaluate` takes and hands on, with scores and lists of a few users and items."""

import platform
from typing import Any

import numpy as np
import polars as pl
import pytest
from dense import DenseRanker

import trimetric as tm
from trimetric.errors import DataError, ParameterError, Unsupported
from trimetric.evaluation import FullRanking, SampledCandidates, evaluate
from trimetric.evaluation.preparation import Parts
from trimetric.evaluation.run import checked_protocol, read_lists, subject_of_lists

TRAIN = {1: [10, 11], 2: [10, 12], 3: [11], 4: [13, 14]}
TEST = {1: [12, 13], 2: [11], 3: [10, 13], 9: [10]}
SCORES = np.array([[5, 4, 3, 2, 1], [1, 5, 2, 4, 3], [2, 1, 3, 5, 4], [0, 0, 0, 0, 0]])
"""Of users 1..4 and items 10..14. Beside what they have, 1 has 12 and 13 at places 1 and 2, 2 has
11 at place 1, and 3 has 10 at place 4 and 13 at place 1."""


def pairs(by_user: dict[int, list[int]]) -> tm.Interactions:
    rows = [(user, item) for user, items in by_user.items() for item in items]
    return tm.Interactions.from_arrays(*zip(*rows, strict=True))


SPLIT = tm.Split(pairs(TRAIN), pairs({3: [10]}), pairs(TEST), {"seed": 7})
LISTS = {1: [14, 12, 13], 2: [13, 11], 3: [14, 10, 13]}


def model() -> DenseRanker:
    return DenseRanker(SPLIT.train, SCORES)


def frame(lists: dict[int, list[int]]) -> pl.DataFrame:
    rows = [(u, i, r) for u, items in lists.items() for r, i in enumerate(items, 1)]
    return pl.DataFrame(rows, schema=["user", "item", "rank"], orient="row")


# --- models ---------------------------------------------------------------------------------------


def test_a_model_and_its_data_are_named() -> None:
    found = evaluate(model(), SPLIT)
    # The validation part has 10 of user 3, which is therefore neither held out nor a candidate.
    assert found.ranks.ranks.tolist() == [1, 2, 1, 1]
    assert found.ranks.n_candidates.tolist() == [3, 3, 3]
    assert found.users.tolist() == [0, 1, 2]
    assert found.user_ids.to_list() == [1, 2, 3]
    assert (found.model, found.part, found.lists, found.asked) == ("DenseRanker", "test", None, ())
    assert found.protocol == FullRanking()
    assert (found.counts.held_out, found.counts.unknown_users) == (4, 1)
    assert found.data["split"] == {"seed": 7}
    assert found.data["fingerprints"]["train"] == SPLIT.train.fingerprint
    assert found.versions == {
        "trimetric": tm.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    assert found.remarks == ()
    valid = evaluate(model(), SPLIT, part="valid")
    assert (valid.part, valid.ranks.ranks.tolist()) == ("valid", [4])
    apart = evaluate(model(), SPLIT.test)
    assert apart.ranks.ranks.tolist() == [1, 2, 1, 4, 1]


def test_what_training_does_not_have_is_unknown_to_models_and_lists() -> None:
    """User 9 and item 11 have rows, as in each split, and no training interactions."""
    whole = pairs({1: [10, 11, 12], 2: [10, 12], 9: [10]})
    trained = np.isin(np.arange(len(whole)), (0, 3, 4))
    split = tm.Split(whole.take(trained), None, whole.take(~trained), {})
    own = DenseRanker(split.train, np.array([[0, 2, 1], [0, 2, 1], [0, 2, 1]]))
    for source in (own, frame({1: [12, 11], 9: [10]})):
        found = evaluate(source, split, at=1)
        assert found.user_ids.to_list() == [1]
        assert (found.ranks.ranks.tolist(), found.ranks.n_candidates.tolist()) == ([1], [1])
        counts = found.counts
        assert (counts.held_out, counts.unknown_users, counts.unknown_items) == (1, 1, 1)
        assert counts.dropped_unknown == 2


def test_a_scorer_is_of_the_rows_of_the_split() -> None:
    class Bare:
        """Ranks and scores, and knows no ids."""

        n_items = 5
        ranks, score = model().ranks, model().score

    found = evaluate(Bare(), SPLIT)
    assert found.model == "Bare"
    assert found.metrics == evaluate(model(), SPLIT).metrics
    with pytest.raises(ParameterError, match="a Bare knows rows and no ids"):
        evaluate(Bare(), SPLIT.test)
    history = tm.Split(SPLIT.train, None, pairs({7: [12]}), {}, pairs({7: [10]}))
    with pytest.raises(Unsupported, match="Bare cannot be evaluated on users held out whole"):
        evaluate(Bare(), history)


def test_a_model_folds_in_users_held_out_whole() -> None:
    class Folding(DenseRanker):
        def folded_in(self, lists: Any, weights: Any) -> DenseRanker:
            assert (lists.n_users, lists.items.tolist()) == (1, [0])
            return DenseRanker(SPLIT.train, np.array([[0, 1, 2, 3, 4]]))

    split = tm.Split(SPLIT.train, None, pairs({7: [12, 14]}), {}, pairs({7: [10]}))
    found = evaluate(Folding(SPLIT.train, SCORES), split)
    assert sorted(found.ranks.ranks.tolist()) == [1, 3]
    assert found.user_ids.to_list() == [7]
    assert found.data["fingerprints"]["history"] == split.history.fingerprint


@pytest.mark.parametrize(
    "options",
    [
        {"user": "u"},
        {"item": "i"},
        {"rank": False},
        {"score": "s"},
        {"name": "n"},
        {"rank": "r", "name": "n"},
    ],
)
def test_what_describes_lists_is_refused_for_models(options: dict[str, Any]) -> None:
    named = next(iter(options))
    with pytest.raises(ParameterError, match=f"^{named} describes lists, and this is a model;"):
        evaluate(model(), SPLIT, **options)
    with pytest.raises(ParameterError, match=f"^{named} describes lists, and this is a model;"):
        evaluate(model().scorer, SPLIT, **options)


def test_columns_that_are_called_as_ever_describe_nothing() -> None:
    usual = {name: name for name in ("user", "item", "rank", "score")}
    assert evaluate(model(), SPLIT, **usual).metrics == evaluate(model(), SPLIT).metrics


def test_only_models_in_parts_go_to_ray() -> None:
    for source in (model(), frame(LISTS)):
        with pytest.raises(
            ParameterError, match="evaluating on Ray takes a model that is saved in"
        ):
            evaluate(source, SPLIT, ray="local")


def test_repeats_are_ranked_if_asked_for() -> None:
    again = pairs({1: [10, 12]})
    assert evaluate(model(), again).ranks.ranks.tolist() == [1]
    found = evaluate(model(), again, exclude_seen=False)
    assert found.ranks.ranks.tolist() == [1, 3]
    assert found.protocol == FullRanking(exclude="none")
    with pytest.raises(ParameterError, match="full rankings, not with sampled-5, whose candidates"):
        evaluate(model(), again, "sampled-5", exclude_seen=False)
    with pytest.raises(ParameterError, match="exclude_seen must be True or False"):
        evaluate(model(), again, exclude_seen=1)


# --- protocols ------------------------------------------------------------------------------------


def test_protocols_come_by_name_or_as_they_are() -> None:
    own = SampledCandidates(3)
    assert checked_protocol(own) is own
    assert checked_protocol(None) == FullRanking()
    assert checked_protocol("sampled-3") == own
    for name in ("rank", "metrics", "excludes_valid", "describe"):
        others = {"rank", "metrics", "excludes_valid", "describe"} - {name}
        theirs = type("Theirs", (), dict.fromkeys(others))()
        with pytest.raises(ParameterError, match=r"protocol must be one such as FullRanking\(\)"):
            checked_protocol(theirs)
        setattr(theirs, name, None)
        assert checked_protocol(theirs) is theirs
    for wrong in (FullRanking, 5, [], {}):
        with pytest.raises(ParameterError, match="or its name, got"):
            checked_protocol(wrong)


def test_figures_and_cutoffs_that_are_asked_for() -> None:
    found = evaluate(model(), SPLIT, metrics=["recall", "mrr"], at=2)
    assert found.asked == ("recall@2", "mrr@2")
    assert found.metrics == {"recall@2": 1, "mrr@2": 1}
    assert found.protocol == FullRanking(at=(2,))
    listed = evaluate(frame(LISTS), SPLIT, metrics="recall@2")
    assert listed.asked == ("recall@2",)
    assert listed.metrics == {"recall@2": pytest.approx((0.5 + 1 + 1) / 3)}


# --- lists ----------------------------------------------------------------------------------------


def test_lists_are_ranked_and_what_they_are_is_told() -> None:
    found = evaluate(frame({**LISTS, 4: [10] * 6, 55: [10] * 7}), SPLIT, name="theirs")
    # Cutoffs of the protocol are left out where the longest list of who is evaluated ends.
    assert {name.partition("@")[2] for name in found.metrics} == {"3"}
    assert found.model == "theirs"
    assert found.lists["ordered_by"] == "rank"
    assert found.lists["depth"] == 3
    assert found.lists["lists_not_used"] == 2  # of 4 and of 55
    assert found.lists["users_without_list"] == 0
    assert found.protocol.depth == 3
    assert found.protocol.base.at == (3,)
    # User 3 has 10 in the validation part: 14 stands first and 13 second.
    assert found.values("mrr@3").tolist() == [1 / 2, 1 / 2, 1 / 2]
    assert found.counts == evaluate(model(), SPLIT).counts
    assert any("nothing to say at 5" in remark for remark in found.remarks)
    some = evaluate(frame({1: [12], 2: [14]}), SPLIT, at=1)
    assert some.lists["users_without_list"] == 1
    assert some.lists["lists_not_used"] == 0
    assert any("1 users have no list, and count as 0" in remark for remark in some.remarks)


def test_lists_that_hide_nothing_are_ranked_with_what_was_seen() -> None:
    held = tm.Split(SPLIT.train, None, pairs({1: [10, 12]}), {})
    lists = frame({1: [11, 10, 12]})
    assert evaluate(lists, held, at=2)["mrr@2"] == 1
    assert evaluate(lists, held, at=2, exclude_seen=False)["mrr@2"] == 1 / 2


@pytest.mark.parametrize(
    ("options", "at"),
    [
        ({}, "3"),
        ({"protocol": "full"}, "3"),
        ({"protocol": FullRanking()}, None),
        ({"at": 5}, None),
        ({"metrics": "recall@5"}, None),
        ({"metrics": "recall"}, None),
        ({"protocol": "full", "at": [1, 5]}, None),
        ({"protocol": FullRanking(at=(1, 3))}, "1 3"),
        ({"at": [3]}, "3"),
        ({"metrics": "recall@3", "at": 1}, "3"),
    ],
)
def test_cutoffs_beyond_all_lists_are_left_out_unless_asked_for(
    options: dict[str, Any], at: str | None
) -> None:
    if at is None:
        with pytest.raises(
            ParameterError, match="longest list has 3 items, which tells nothing at"
        ):
            evaluate(frame(LISTS), SPLIT, **options)
        return
    found = evaluate(frame(LISTS), SPLIT, **options)
    assert {name.partition("@")[2] for name in found.metrics} == set(at.split())


def test_the_longest_list_is_one_of_those_who_are_evaluated() -> None:
    for lists, longest in (
        ({1: [12]}, 1),
        ({1: [12, 13], 3: [10, 13, 14], 4: [10, 11, 12, 13]}, 3),
        ({3: [10, 13], 9: [10, 11, 12]}, 2),
        ({1: [12], 3: [10, 13], 55: [10, 11, 12]}, 2),
    ):
        assert evaluate(frame(lists), SPLIT, at=1).lists["depth"] == longest
    for lists, first in (({4: [10], 9: [10]}, "4"), ({55: [10]}, "55"), ({9: [10]}, "9")):
        told = f"theirs: no user with held-out items has a list; .* The first here is {first}$"
        with pytest.raises(DataError, match=told):
            evaluate(frame(lists), SPLIT, name="theirs")


def test_lists_of_other_items_are_refused() -> None:
    told = r"theirs: no listed item is in the data; .* The first here is 77$"
    with pytest.raises(DataError, match=told):
        evaluate(frame({1: [77, 78]}), SPLIT, name="theirs")
    assert evaluate(frame({1: [77, 10]}), SPLIT, at=1)["recall@1"] == 0
    only = tm.Split(pairs({1: [10], 2: [11]}), None, pairs({2: [10]}), {})
    assert evaluate(frame({2: [10]}), only, at=1)["recall@1"] == 1


def test_held_out_interactions_alone() -> None:
    """Nothing counts as seen, and every held-out user and item is known."""
    found = evaluate(frame({1: [11, 12], 9: [10]}), pairs(TEST), at=2)
    assert found.counts.users == 4
    assert (found.counts.unknown_users, found.counts.cold_items) == (0, 0)
    assert found.values("recall@2").tolist() == [0.5, 0, 0, 1]
    assert found.remarks[-1].startswith("without training data nobody can tell")
    assert not any("without training data" in one for one in evaluate(frame(LISTS), SPLIT).remarks)


def test_what_lists_are_evaluated_as() -> None:
    lists = read_lists(frame(LISTS), {"name": "theirs"})
    found = subject_of_lists(lists, Parts.of(SPLIT, "test"))
    assert found.name == "theirs"
    assert found.user_ids is SPLIT.train.user_ids
    assert found.popularity.tolist() == [2, 2, 1, 1, 1]
    assert found.seen.counts.tolist() == [2, 2, 1, 2]
    alone = subject_of_lists(lists, Parts.of(SPLIT.test, "test"))
    assert alone.user_ids is SPLIT.test.user_ids
    assert alone.popularity.tolist() == [2, 1, 1, 2]
    assert alone.seen.counts.tolist() == [0, 0, 0, 0]
    whole = pairs({**TRAIN, 7: [10, 12]})
    rows = whole.users == whole.user_ids.encode([7])[0]
    split = tm.Split(whole.take(~rows), None, pairs({7: [13]}), {}, pairs({7: [10, 12, 99]}))
    history = subject_of_lists(lists, Parts.of(split, "test"))
    assert history.seen.counts.tolist() == [2, 2, 1, 2, 2]
    assert history.popularity.tolist() == [2, 2, 1, 1, 1]
    found = evaluate(frame({7: [10, 12, 13]}), split, at=1)
    assert found["recall@1"] == 1


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (None, "NoneType"),
        (tm.EASE, "EASE"),
        (dict, "dict"),
        (SPLIT, "Split"),
        (SPLIT.test, "Interactions"),
        (True, "bool"),
        (5, "int"),
        (0.5, "float"),
    ],
)
def test_what_is_neither_model_nor_lists_is_named(source: Any, kind: str) -> None:
    with pytest.raises(ParameterError, match=f"cannot evaluate a {kind}: give a trained model"):
        evaluate(source, SPLIT)
