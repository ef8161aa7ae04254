"""All measures beyond accuracy, of lists of two items that are worked out by hand."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from dense import DenseRanker

import trimetric as tm
from trimetric.errors import DataError, ParameterError
from trimetric.evaluation.lists import RankedLists
from trimetric.evaluation.summary import MOST, beyond_accuracy

TRAIN = {1: [10, 11], 2: [10, 12], 3: [11], 4: [13, 14]}
TEST = {1: [12, 13], 2: [11], 3: [10, 13, 15], 9: [10]}
SCORES = np.array([[5, 4, 3, 2, 1, 9], [1, 5, 2, 4, 3, 9], [2, 1, 3, 5, 4, 9], [0] * 6, [0] * 6])
"""Of users 1..4 and 9 and items 10..15: 9 and 15 have no training interactions."""


def pairs(by_user: dict[int, list[int]]) -> tm.Interactions:
    rows = [(user, item) for user, items in by_user.items() for item in items]
    return tm.Interactions.from_arrays(*zip(*rows, strict=True))


def parts() -> tm.Split:
    """Parts that share the vocabularies of the whole, as those of every split do."""
    whole = pairs({u: TRAIN.get(u, []) + TEST.get(u, []) for u in (1, 2, 3, 4, 9)})
    rows = whole.to_frame().select("user", "item").rows()
    train = np.array([item in TRAIN.get(user, []) for user, item in rows])
    valid = np.array([row == (3, 10) for row in rows])
    return tm.Split(whole.take(train), whole.take(valid), whole.take(~train & ~valid), {})


SPLIT = parts()
LISTS = {1: [12, 13], 2: [11, 13], 3: [13, 14]}
"""What the scores give of what users have neither in training nor in validation."""

EXPECTED = {
    "coverage@2": 4 / 5,
    # 13 is in three lists, 11, 12 and 14 in one, and 10 in none; 15 could be in none.
    "gini@2": sum(c * (2 * i - 6) for i, c in enumerate([0, 1, 1, 1, 3], 1)) / (5 * 6),
    # Of the 4 users with training interactions 2 have 10 and 11, and 1 the other items.
    "novelty@2": (2 + 1.5 + 2) / 3,
    "popularity@2": (1 + 1.5 + 1) / 3,
    "popularity_lift@2": (1 + 1.5 + 1) / (2 + 1.5 + 2) - 1,
}


def model(**given: Any) -> DenseRanker:
    found = DenseRanker(SPLIT.train, SCORES)
    vars(found).update(given)
    return found


def frame(lists: dict[int, list[int]]) -> pl.DataFrame:
    rows = [(u, i, r) for u, items in lists.items() for r, i in enumerate(items, 1)]
    return pl.DataFrame(rows, schema=["user", "item", "rank"], orient="row")


def space(points: dict[int, float]) -> DenseRanker:
    """Return a model of these items on a line, whose users and scores are of no account."""
    log = pairs({77: [*points]})
    found = DenseRanker(log, np.zeros((1, len(points))))
    found.capabilities = frozenset({"metric space"})
    vars(found)["items"] = np.array([[points[i]] for i in sorted(points)], dtype=np.float32)
    return found


# --- whose lists ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        model(),
        frame(LISTS),
        frame({**LISTS, 4: [10, 11], 9: [11, 12], 55: [10]}),  # of nobody who is evaluated
        frame({1: [10, 12, 11, 13, 14], 2: [11, 13, 14], 3: [10, 11, 13, 14, 12]}),  # seen
        frame({1: [12, 12, 13], 2: [11, 13, 11], 3: [13, 14]}),  # repeats
        RankedLists.from_dict(LISTS),
    ],
)
def test_every_measure_is_that_of_the_lists(source: Any) -> None:
    assert beyond_accuracy(source, SPLIT, 2) == pytest.approx(EXPECTED)
    assert beyond_accuracy(source, SPLIT, np.int64(2)) == pytest.approx(EXPECTED)


def test_lists_begin_with_the_best() -> None:
    for source in (model(), frame(LISTS)):
        found = beyond_accuracy(source, SPLIT, 1)
        assert found["coverage@1"] == 3 / 5
        assert found["popularity@1"] == pytest.approx(4 / 3)
        assert [*found] == [name.replace("@2", "@1") for name in EXPECTED]


def test_lists_of_ten_unless_told_otherwise() -> None:
    found = beyond_accuracy(model(), SPLIT)
    assert found["coverage@10"] == 4 / 5  # 15 is no candidate, and all three have 10
    assert found["popularity@10"] == pytest.approx((1 + 4 / 3 + 1) / 3)


def test_short_lists_stay_short() -> None:
    found = beyond_accuracy(frame({1: [12], 3: [13, 14]}), SPLIT, 2)
    assert found["coverage@2"] == 3 / 5
    assert found["novelty@2"] == 2  # 2 has no list, and does not count
    assert found["popularity_lift@2"] == (1 + 1) / (2 + 2) - 1
    unknown = beyond_accuracy(frame({1: [99, 12, 13], 2: [98, 97, 11]}), SPLIT, 2)
    assert unknown["coverage@2"] == 1 / 5  # what is unknown keeps its place
    with pytest.raises(DataError, match="theirs: no list of a user with held-out items holds a"):
        beyond_accuracy(frame({1: [99, 98, 12], 4: [10]}), SPLIT, 2, name="theirs")
    with pytest.raises(DataError, match="lists: no list of a user with held-out items holds a"):
        beyond_accuracy(frame({4: [10]}), SPLIT, 2)


def test_lists_may_hold_what_was_seen_if_asked_for() -> None:
    own = {1: [10, 11], 2: [11, 13], 3: [13, 14]}
    found = beyond_accuracy(model(), SPLIT, 2, exclude_seen=False)
    assert found["coverage@2"] == 4 / 5
    assert found["popularity@2"] == pytest.approx((2 + 1.5 + 1) / 3)
    assert beyond_accuracy(frame(own), SPLIT, 2, exclude_seen=False) == found
    assert beyond_accuracy(frame(own), SPLIT, 2)["popularity@2"] == pytest.approx((1.5 + 1) / 2)


def test_columns_of_lists_are_named() -> None:
    renamed = frame(LISTS).rename({"user": "who", "item": "what", "rank": "place"})
    named = {"user": "who", "item": "what", "rank": "place", "name": "theirs"}
    assert beyond_accuracy(renamed, SPLIT, 2, **named) == pytest.approx(EXPECTED)
    scored = frame(LISTS).select("user", "item", of=-pl.col("rank"))
    assert beyond_accuracy(scored, SPLIT, 2, score="of") == pytest.approx(EXPECTED)


def test_users_held_out_whole_have_their_histories() -> None:
    history, held = pairs({7: [13, 14, 10]}), pairs({7: [11]})

    class Folding(DenseRanker):
        def folded_in(self, lists: Any, weights: Any) -> DenseRanker:
            return DenseRanker(history, np.array([[1, 2, 9, 4, 5, 6]]))

    both = tm.Split(SPLIT.train, None, held, {}, history)
    found = beyond_accuracy(Folding(SPLIT.train, SCORES), both, 1)
    assert found["coverage@1"] == 1 / 5  # 12, as 15 is no candidate
    assert found["popularity_lift@1"] == pytest.approx(1 / ((1 + 1 + 2) / 3) - 1)


def test_a_split_in_memory_and_its_files_have_the_same_catalogue(tmp_path: Any) -> None:
    """Items that only held-out parts have are in no list, and those of lists do not count."""
    SPLIT.save(tmp_path)
    files = [
        tm.Interactions.read(tmp_path / f"{name}.parquet") for name in ("train", "valid", "test")
    ]
    assert files[0].n_items < SPLIT.train.n_items
    apart = tm.Split(*files, {})
    for model_or_lists in (tm.EASE().fit(SPLIT.train), frame({1: [12, 15], 2: [11, 15], 3: [13]})):
        found = beyond_accuracy(model_or_lists, SPLIT, 2)
        assert found == beyond_accuracy(model_or_lists, apart, 2)
    assert found["coverage@2"] == 3 / 5


def test_a_model_that_knows_other_items_and_users() -> None:
    """Popularity is that of the training part, whatever the model was trained on."""
    log = pairs({1: [10, 11, 99], 2: [10, 12], 3: [10], 50: [10, 13, 9]})
    other = DenseRanker(log, np.array([[0, 0, 0, 5, 4, 0], [0] * 6, [0] * 6, [0] * 6]))
    found = beyond_accuracy(other, SPLIT, 2)
    # Items 9..13 and 99. 1 gets 12 and 13, 2 gets 9, as the first, and 11, and 3 gets 9 and 11.
    assert found["coverage@2"] == 4 / 6
    assert found["popularity@2"] == pytest.approx((1 + (0 + 2) / 2 + (0 + 2) / 2) / 3)
    assert found["novelty@2"] == pytest.approx((2 + 1.5 + 1.5) / 3)


# --- what it is measured by -----------------------------------------------------------------------


def test_distances_in_a_space() -> None:
    line = {10: 0.0, 11: 1.0, 12: 3.0, 13: 6.0, 14: 7.0, 15: 0.0}
    found = beyond_accuracy(model(), SPLIT, 2, space=space(line))
    assert found["distance@2"] == pytest.approx((9 + 25 + 1) / 3)
    del line[10]
    assert beyond_accuracy(model(), SPLIT, 2, space=space(line)) == found
    del line[14]
    fewer = beyond_accuracy(frame(LISTS), SPLIT, 2, space=space(line))
    assert fewer["distance@2"] == pytest.approx((9 + 25) / 2)
    others = space({9: 50.0, **line, 16: 60.0})
    assert beyond_accuracy(model(), SPLIT, 2, space=others) == fewer
    own = model(capabilities=frozenset({"metric space"}), items=np.arange(6)[:, None])
    assert beyond_accuracy(own, SPLIT, 2)["distance@2"] == pytest.approx((1 + 4 + 1) / 3)
    assert beyond_accuracy(own, SPLIT, 2, space=space(line)) == fewer
    assert "distance@2" not in beyond_accuracy(model(), SPLIT, 2)
    for wrong in (model(), frame(LISTS), 5):
        with pytest.raises(ParameterError, match="space must be a model with a metric space, got"):
            beyond_accuracy(own, SPLIT, 2, space=wrong)


@pytest.mark.parametrize("columns", ["kind", ["kind"], ("kind", "of")])
def test_columns_of_items(columns: Any) -> None:
    items = pl.DataFrame({"item": [13, 12, 11, 10], "kind": [*"abab"], "of": ["x|y", *"xyx"]})
    found = beyond_accuracy(model(), SPLIT, 2, items=items, columns=columns, separator="|")
    assert found["diversity kind@2"] == 0.5  # 12 is unlike 13, 11 is like it, and 14 has none
    assert ("diversity of@2" in found) == (len(columns) == 2)
    if len(columns) == 2:
        assert found["diversity of@2"] == 0.5  # half of x and y is x, or y
    # 1 has a and b and gets both, 2 had b alone, and 3, who had a, gets it alone.
    assert found["calibration kind@2"] == pytest.approx(-np.log(0.01) / 3)
    renamed = items.rename({"item": "sku"})
    named = {"items": renamed, "item_column": "sku", "separator": "|"}
    once = columns if isinstance(columns, str) else iter(columns)
    assert beyond_accuracy(model(), SPLIT, 2, columns=once, **named) == found


def test_serendipity_is_what_a_reference_does_not_list() -> None:
    """Held out are 12 and 13 of user 1, 11 of user 2 and 13 of user 3."""
    for lists, expected in (
        ({4: [10], 9: [10], 1: [14]}, (1 + 1 / 2 + 1 / 2) / 3),
        ({1: [13, 14], 2: [14]}, (1 / 2 + 1 / 2 + 1 / 2) / 3),
        ({1: [13, 12], 2: [11]}, (0 + 0 + 1 / 2) / 3),
        ({1: [14, 99, 13, 12], 3: [13]}, (1 + 1 / 2 + 0) / 3),  # 12 and 13 come after two places
    ):
        found = beyond_accuracy(model(), SPLIT, 2, reference=frame(lists))
        assert found["serendipity@2"] == pytest.approx(expected)
        listed = beyond_accuracy(frame(LISTS), SPLIT, 2, reference=frame(lists))
        assert listed["serendipity@2"] == pytest.approx(expected)
    assert beyond_accuracy(model(), SPLIT, 2, reference=model())["serendipity@2"] == 0
    assert "serendipity@2" not in beyond_accuracy(model(), SPLIT, 2)


def test_a_reference_of_other_rows_is_matched_by_id() -> None:
    """Of its users 0, 2, 3 and 50 the reference is asked for 2 and 3, who are held out too."""
    log = pairs({0: [9, 10], 2: [10, 12], 3: [11, 14], 50: [13, 9]})
    scores = np.zeros((4, 6))  # of items 9..14
    scores[1, 2], scores[2, 4] = 5, 4  # 11 first for 2, and 13 first for 3
    reference = DenseRanker(log, scores)
    found = beyond_accuracy(model(), SPLIT, 1, reference=reference)
    # 1 is expected nothing and gets 12; 2 gets 11, as expected, and 3 gets 13, as expected.
    assert found["serendipity@1"] == pytest.approx(1 / 3)
    scores[1, 2], scores[1, 4] = 0, 1  # 13 first for 2
    found = beyond_accuracy(model(), SPLIT, 1, reference=DenseRanker(log, scores))
    assert found["serendipity@1"] == pytest.approx(2 / 3)
    trained = DenseRanker(pairs({1: [10], 2: [10], 3: [10, 13]}), np.zeros((3, 2)))
    late = beyond_accuracy(model(), SPLIT, 1, reference=trained)  # 3 is no test of it
    assert late["serendipity@1"] == 1
    turned = beyond_accuracy(DenseRanker(log, scores), SPLIT, 1, reference=model())
    assert turned["serendipity@1"] == 0  # 13 is none of user 2's, and 13 of 3 is expected


def test_the_first_of_all_items_can_be_expected() -> None:
    """User 1 is held out the first item and gets it, as 2 gets 11: each is a surprise or none."""
    split = tm.Split(pairs({1: [11], 2: [10, 12]}), None, pairs({1: [10], 2: [11]}), {})
    source = DenseRanker(split.train, np.array([[2, 1, 0], [0, 0, 0]]))
    for lists, expected in (({1: [10]}, 0.5), ({1: [12]}, 1), ({2: [11]}, 0.5)):
        found = beyond_accuracy(source, split, 1, reference=frame(lists))
        assert found["serendipity@1"] == expected
    assert beyond_accuracy(source, split, 1, reference=source)["serendipity@1"] == 0
    stranger = DenseRanker(pairs({2: [10, 12], 5: [11]}), np.zeros((2, 3)))  # to user 1
    assert beyond_accuracy(source, split, 1, reference=stranger)["serendipity@1"] == 0.5
    # 1 gets 10 and 12, of which 10 is held out, and 2 gets 11, as the reference has it.
    shorter = beyond_accuracy(source, split, 2, reference=frame({1: [12], 2: [11, 12]}))
    assert shorter["serendipity@2"] == 0.25
    unknown = frame({1: [99, 10], 2: [98, 97, 11]})  # beyond three items
    assert beyond_accuracy(unknown, split, 2)["coverage@2"] == 1 / 3


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, -1, MOST + 1, True, 2.0, "2", None])
def test_lengths_out_of_range(k: Any) -> None:
    with pytest.raises(ParameterError, match=r"k must be a whole number in 1\.\.1000, got"):
        beyond_accuracy(model(), SPLIT, k)


@pytest.mark.parametrize("k", [1, MOST])
def test_lengths_in_range(k: int) -> None:
    assert beyond_accuracy(model(), SPLIT, k)[f"coverage@{k}"] > 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"columns": ["kind"]}, "columns are those of a table of items; give it as items="),
        ({"who": "x", "what": "y"}, "unknown option 'what'; of lists: user, item, rank, score"),
        ({"rank": "place"}, "rank describes lists, and this is a model; leave it out"),
        ({"user": "u", "item": "i"}, "item describes lists, and this is a model; leave it out"),
    ],
)
def test_options_that_do_not_apply(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        beyond_accuracy(model(), SPLIT, **options)


def test_a_split_is_needed() -> None:
    for data in (SPLIT.test, SPLIT.train, None):
        with pytest.raises(ParameterError, match=f"is popular; got {type(data).__name__}$"):
            beyond_accuracy(model(), data)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"exclude_seen": "no"}, "exclude_seen must be True or False"),
        ({"exclude_seen": None}, "exclude_seen must be True or False"),
        ({"columns": None}, "columns must be a list of names, got None"),
        ({"columns": 3}, "columns must be a list of names, got 3"),
    ],
)
def test_options_of_other_types(option: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        beyond_accuracy(RankedLists.from_dict(LISTS), SPLIT, 2, **option)
