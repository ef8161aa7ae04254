"""Rules: which columns are taken, and what cannot be asked for."""

import numpy as np
import pytest

from trimetric.data.rules import Rules
from trimetric.errors import DataError, ParameterError

LOG = ["user", "item", "rating", "timestamp", "event", "weight", "split"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"nulls": "keep"}, "nulls must be one of"),
        ({"duplicates": "first"}, "duplicates must be one of"),
        ({"min_rating": np.nan}, "min_rating must be a finite number"),
        ({"min_rating": -np.inf}, "min_rating must be a finite number"),
        ({"min_rating": "4"}, "min_rating must be a finite number, got '4'"),
        ({"repeats": "mean"}, "repeats must be one of .*, got 'mean'$"),
        ({"repeats": "keep"}, "got 'keep'; keep goes with temporal splits$"),
        ({"event_weights": {"a": 1}, "weight": "w"}, "give weight or event_weights"),
        ({"event_weights": {"a": 1}, "event": False}, "leave event=False out"),
        ({"user": False}, r"user must be the name of a column; got False \(bool\)"),
        ({"rating": 3}, r"rating must be .*, or False to ignore it; got 3 \(int\)"),
        ({"item": ["a" * 70]}, rf"got \['{'a' * 58} \(list\)$"),
    ],
)
def test_what_cannot_be_asked_for(given: dict, told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        Rules(**given)


def test_what_can_be() -> None:
    weights = {"event_weights": {"buy": 2}, "weight": False, "event": None}
    assert Rules(**weights).columns(LOG, "log")["event"] == "event"
    assert Rules(min_rating=4).min_rating == Rules(min_rating=np.float32(4)).min_rating


@pytest.mark.parametrize(
    ("repeats", "weights", "rule"),
    [
        (None, True, "sum"),
        (None, False, "latest"),
        ("last", False, "latest"),
        ("latest", True, "latest"),
        ("first", False, "first"),
        ("sum", False, "sum"),
        ("count", False, "count"),
        ("max", True, "max"),
    ],
)
def test_how_repeats_are_merged(repeats: str | None, weights: bool, rule: str) -> None:
    assert Rules(repeats=repeats).merging(weights) == rule  # type: ignore[arg-type]


def test_the_largest_weight_needs_weights() -> None:
    with pytest.raises(ParameterError, match="needs weights"):
        Rules(repeats="max").merging(False)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({}, ["user", "item", "rating", "timestamp", "split"]),
        ({"rating": False, "split": False}, ["user", "item", "timestamp"]),
        ({"rating": True, "timestamp": False, "split": False}, ["user", "item", "rating"]),
        ({"weight": "weight", "split": False, "timestamp": False, "rating": False},
         ["user", "item", "weight"]),
        ({"event_weights": {"a": 1}, "split": False, "timestamp": False, "rating": False},
         ["user", "item", "event"]),
        ({"event": "event", "split": False, "timestamp": False, "rating": False},
         ["user", "item", "event"]),
    ],
)  # fmt: skip
def test_which_columns_are_taken(given: dict, taken: list) -> None:
    assert Rules(**given).columns(LOG, "log") == {role: role for role in taken}


def test_ratings_may_be_weights_and_nothing_else_has_two_roles() -> None:
    both = Rules(weight="rating", timestamp=False).columns(LOG[:4], "log")
    assert both == {"user": "user", "item": "item", "rating": "rating", "weight": "rating"}
    for given in ({"item": "user"}, {"rating": "item"}, {"rating": "timestamp"}):
        with pytest.raises(DataError, match="is given two roles"):
            Rules(**given).columns(LOG[:4], "log")
    with pytest.raises(DataError, match="is given two roles"):
        Rules(weight="timestamp").columns(LOG[:4], "log")


def test_columns_with_usual_names_are_told() -> None:
    rules = Rules(rating="stars")
    columns = rules.columns(["userId", "movieId", "stars"], "log")
    assert columns == {"user": "userId", "item": "movieId", "rating": "stars"}
    told = ["users from column 'userId'", "items from column 'movieId'"]
    assert rules.recognised(columns) == told
    assert Rules().recognised({"user": "user", "item": "item"}) == []
    with pytest.raises(DataError, match="it may be 'user_id' or 'userId': say which with user="):
        Rules().columns(["user_id", "userId", "item"], "log")


@pytest.mark.parametrize(
    ("given", "existing", "told"),
    [
        ({"event_weights": {"a": 1}}, ["user", "item"], "no column 'event'; columns: 'user', 'i"),
        ({"rating": "score"}, ["user", "item", "Scores", "scope"], "did you mean rating='Scores'"),
        ({"rating": "score"}, ["user", "item", "x"], "'x'; name it with rating=$"),
        ({"user": "u"}, [], r"columns: \(none\)"),
        ({"user": "u"}, [f"c{n:02}" for n in range(20)], "'c18', 'c19'; "),
        ({"user": "u"}, [f"c{n:02}" for n in range(21)], r"'c18', 'c19', \.\.\.; "),
        ({"user": "u"}, ["a" * 40, "b" * 41], f"'{'a' * 40}', '{'b' * 40}...'"),
        ({"min_rating": 4, "rating": False}, LOG, "min_rating=4 needs a rating column"),
    ],
)
def test_columns_that_are_not_there(given: dict, existing: list, told: str) -> None:
    with pytest.raises(DataError, match=told):
        Rules(**given).columns(existing, "log")
