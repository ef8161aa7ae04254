"""Ids and weights in the forms in which people give them, and what is refused."""

from collections import namedtuple
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

from trimetric.data.ids import Vocabulary
from trimetric.errors import ParameterError, UnknownIds
from trimetric.space.given import by_key, check_type, ids_of, weighted_ids

MASKED = np.ma.masked_array([5, 6], [False, True])
NUMBERS = Vocabulary.from_values(pl.Series([5, 6, 7]))
TEXTS = Vocabulary.from_values(pl.Series(["5", "6"]))


class Scalar:
    """A number of a library that has arrays without axes."""

    ndim = 0

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(5)


class Labelled:
    """Numbers with labels."""

    index = ("b", "a")

    def __iter__(self) -> Iterator[int]:
        return iter((2, 3))


class Matched(Labelled):
    """As pandas has them, but without a word on whether labels repeat."""

    def to_dict(self) -> dict:
        return {"b": 2, "a": 3}


def pandas() -> Any:
    return pytest.importorskip("pandas")


def pyarrow() -> Any:
    return pytest.importorskip("pyarrow")


@pytest.mark.parametrize(
    ("form", "ids"),
    [
        ([5, 6], [5, 6]),
        ((5, "6", 7.0, b"8"), [5, "6", 7.0, b"8"]),
        ({5: 1, 6: 2}.keys(), [5, 6]),
        ((i for i in (5, 6)), [5, 6]),
        (range(5, 7), [5, 6]),
        ([], []),
        (np.array([5, 6], dtype=np.uint8), [5, 6]),
        (np.array([5, -6]), [5, -6]),
        (np.array(["5", "6"]), ["5", "6"]),
        (np.array([5.0, 6.5]), [5.0, 6.5]),
        (np.array([5, "6"], dtype=object), [5, "6"]),
        (np.ma.masked_array([5, 6], [False, False]), [5, 6]),
        ([np.int8(5), np.array(6), np.str_("7")], [5, 6, "7"]),
        ([np.ma.masked_array(5)], [5]),
        ([Scalar(), 6], [5, 6]),
        (Scalar(), [5]),
        (pl.Series([5, 6]), [5, 6]),
        (lambda: pandas().Series([5, 6]), [5, 6]),
        (lambda: pandas().Index(["5", "6"]), ["5", "6"]),
        (lambda: pyarrow().array([5, 6]), [5, 6]),
        (lambda: pyarrow().chunked_array([[5], [6]]), [5, 6]),
        (lambda: [pyarrow().scalar(5), pyarrow().scalar("6")], [5, "6"]),
        (5, [5]),
        ("56", ["56"]),
        (b"56", [b"56"]),
        (5.0, [5.0]),
        (np.int64(5), [5]),
        (np.str_("5"), ["5"]),
        (np.array(5), [5]),
        (np.ma.masked_array(5), [5]),
        (lambda: pyarrow().scalar(5), [5]),
        (lambda: pyarrow().scalar("56"), ["56"]),
    ],
)
def test_ids_are_plain_values(form: Any, ids: list) -> None:
    found = ids_of(form() if callable(form) else form)
    assert found == ids
    assert [type(one) for one in found] == [type(one) for one in ids]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "expected an id or a list of ids, got None"),
        (float("nan"), "expected an id or a list of ids, got nan"),
        (np.ma.masked, "expected an id or a list of ids, got masked"),
        (np.ma.masked_array(5, True), "expected an id or a list of ids, got"),
        (lambda: pandas().NA, "expected an id or a list of ids, got <NA>"),
        (lambda: pandas().NaT, "expected an id or a list of ids, got NaT"),
        (lambda: pyarrow().scalar(None), "expected an id or a list of ids, got"),
        (object(), "expected an id or a list of ids, got <object"),
        ({5: 1, 6: 1}, "user: expected a list of ids, got a mapping of 5, 6$"),
        (dict.fromkeys("abcde"), "a mapping of 'a', 'b', 'c', 'd', 'e'$"),
        (dict.fromkeys("abcdef"), "a mapping of 'a', 'b', 'c', 'd', 'e', ...$"),
        (pl.DataFrame({"user": [5]}), "user: expected a list of ids, got a table; give one of its"),
        (pl.LazyFrame({"user": [5]}), "got a table; give one of its columns"),
        (lambda: pandas().DataFrame({"user": [5]}), "got a table; give one of its columns"),
        (lambda: pyarrow().table({"user": [5]}), "got a table; give one of its columns"),
        (np.array([[5, 6]]), r"user: expected a list of ids, got an array of shape \(1, 2\)"),
        (MASKED, "user 2 is masked; give only ids that are there"),
        (np.ma.masked_array([5, 6], [True, True]), "user 1 is masked"),
        ([5, None], r"user 2 is missing \(None\); leave it out"),
        ([float("nan"), 5], r"user 1 is missing \(nan\)"),
        (np.array([5.0, np.nan]), r"user 2 is missing \(nan\)"),
        (np.array([5, None], dtype=object), r"user 2 is missing"),
        (pl.Series([5, None]), "user 2 is missing"),
        (lambda: [5, pandas().NA], "user 2 is missing"),
        ([[5], [6]], r"user 1 is no id but \[5\]; ids are numbers or text"),
        ([5, (6,)], r"user 2 is no id but \(6,\)"),
        ([["x" * 75]], r"user 1 is no id but \['x{75}'\];"),  # 79 characters
        ([["x" * 76]], r"user 1 is no id but list;"),
        ([pl.Series([5])], r"user 1 is no id but shape: \(1,\)"),
        ([np.array([5])], r"user 1 is no id but array\(\[5\]\)"),
        ([1j], r"user 1 is no id but 1j"),
    ],
)
def test_what_is_no_list_of_ids_is_refused(given: Any, told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        ids_of(given() if callable(given) else given, "user")


@pytest.mark.parametrize("one", ["a", b"a", 5, 5.0, None])
def test_one_id_for_a_list_is_refused_where_a_list_is_meant(one: Any) -> None:
    with pytest.raises(ParameterError) as told:
        ids_of(one, "allow", single=False)
    assert str(told.value) == f"allow must be a list of ids, got {one!r}; give [{one!r}]"
    assert ids_of([5], "allow", single=False) == [5]


@pytest.mark.parametrize(
    ("given", "weights", "found"),
    [
        (["b", "a"], None, {"b": 1.0, "a": 1.0}),
        (["b", "a", "b", "b"], None, {"b": 3.0, "a": 1.0}),
        (["b", "a", "b"], [0.5, 2, 4], {"b": 4.5, "a": 2.0}),
        ({"b": 3, "a": 0.5}, None, {"b": 3.0, "a": 0.5}),
        ("b", None, {"b": 1.0}),
        ("b", [2], {"b": 2.0}),
        ({"b"}, None, {"b": 1.0}),
        ([], None, {}),
        (["b", "a"], {"a": 1, "b": 9}, {"b": 9.0, "a": 1.0}),
        (["b", "a", "b"], {"a": 1, "b": 9}, {"b": 18.0, "a": 1.0}),
        (["b", "a"], np.array([2, 3]), {"b": 2.0, "a": 3.0}),
        (["b", "a"], (w for w in (2, 3)), {"b": 2.0, "a": 3.0}),
        (["b", "a"], [np.float32(0.5), Decimal(3)], {"b": 0.5, "a": 3.0}),
        (["b", "a"], pl.Series([2, 3]), {"b": 2.0, "a": 3.0}),
        (["b", "a"], [1e-9, 1e9], {"b": 1e-9, "a": 1e9}),
        (["a", "b"], Labelled(), {"a": 2.0, "b": 3.0}),
        (["a", "b"], Matched(), {"a": 3.0, "b": 2.0}),
        (["b", "a"], lambda: pandas().Series([2, 3]), {"b": 2.0, "a": 3.0}),
        (["b", "a"], lambda: pandas().Series([2, 3], index=["a", "b"]), {"b": 3.0, "a": 2.0}),
        ([1, 0], lambda: pandas().Series([2, 3], index=[1, 0]), {1: 2.0, 0: 3.0}),
        ([7, 0], lambda: pandas().Series([2, 3], index=[0, 7]), {7: 3.0, 0: 2.0}),
    ],
)
def test_weights_are_added_up_by_id(given: Any, weights: Any, found: dict) -> None:
    ids, summed = weighted_ids(given, weights() if callable(weights) else weights, "item")
    assert ids == list(found)
    assert summed.tolist() == list(found.values())
    assert summed.dtype == np.float64


@pytest.mark.parametrize(
    ("given", "weights", "told"),
    [
        ({"a": 1}, [1], "weights are given twice: as values of the mapping and as weights"),
        ({"a", "b"}, [1, 2], "a set has no order, so that weights do not belong to ids"),
        (["a", "b"], {1, 2}, "a set has no order"),
        (["a", "b"], [1], r"weights must be one number for each of 2, got \[1\]; a mapping of ids"),
        (["a", "b"], [1, 2, 3], "one number for each of 2"),
        (["a"], 1, "one number for each of 1, got 1"),
        (["a", "b"], "12", "one number for each of 2, got '12'"),
        (["a", "b"], b"12", "one number for each of 2, got b'12'"),
        (["a", "b"], np.ones((2, 1)), "one number for each of 2"),
        (["a"], pl.DataFrame({"w": [1]}), "one number for each of 1"),
        (["a", "b"], [1, 0], r"above 0 and finite, 1e-09 to 1e\+09, got 0 in \[1, 0\]; 1 is usual"),
        (["a", "b"], [1, -1], "got -1 in"),
        (["a", "b"], [1, 9e-10], "got 9e-10 in"),
        (["a", "b"], [1, 1_000_000_000.5], "got 1000000000.5 in"),
        (["a", "b"], [1, float("nan")], "got nan in"),
        (["a", "b"], [1, float("inf")], "got inf in"),
        (["a", "b"], [1, True], "got True in"),
        (["a", "b"], [1, "2"], "got '2' in"),
        (["a", "b"], [1, None], "got None in"),
        ({"a": 1, "b": "2"}, None, "got '2' in"),
        ({"a": 1, None: 2}, None, r"item 2 is missing \(None\)"),
        (["a", None], [1, 2], r"item 2 is missing \(None\)"),
        (["a", "b"], {"a": 1, None: 2}, r"weights: item 2 is missing"),
        (["a", "b", "c"], {"a": 1}, "^no weight for item 'b', 'c'; match them by id$"),
        (
            ["a"],
            {"a": 1, "d": 2, "c": 2},
            "^weights for 'c', 'd', which are not among the items; match them by id$",
        ),
        (
            ["a", "b"],
            {"a": 1, "c": 2},
            "^no weight for item 'b' and weights for 'c', which are not among the items; match",
        ),
        (["a"], lambda: pandas().Series([1, 2], index=["a", "a"]), "the index of weights repeats"),
        (
            ["a"],
            lambda: pandas().Series([1], index=["b"]),
            "no weight for item 'a' and weights for",
        ),
        (["a"], lambda: pandas().DataFrame({"w": [1]}, index=["a"]), "no weight for item 'a' and"),
        (["a"], lambda: pandas().DataFrame({"w": [1]}), "one number for each of 1"),
    ],
)
def test_weights_that_do_not_match_are_refused(given: Any, weights: Any, told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        weighted_ids(given, weights() if callable(weights) else weights, "item")


def test_a_pair_is_no_weight_by_id() -> None:
    """A tuple has a method `index` too."""
    pair = namedtuple("pair", "a b")(2, 3)
    for weights in ((2, 3), pair, [2, 3]):
        assert weighted_ids(["b", "a"], weights, "item")[1].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("vocabulary", "ids", "wrong"),
    [
        (NUMBERS, [5, 6.0, 99], None),
        (NUMBERS, [5, "6", b"7"], "'6'"),
        (NUMBERS, [True], "True"),
        (TEXTS, ["5", "other"], None),
        (TEXTS, ["5", 6, 7], "6"),
        (TEXTS, [b"5"], "b'5'"),
        (TEXTS, [], None),
    ],
)
def test_ids_of_another_type_match_nothing(vocabulary: Any, ids: list, wrong: str | None) -> None:
    if wrong is None:
        check_type("user", vocabulary, ids)
        check_type("user", vocabulary, ids, "allow")
        return
    with pytest.raises(UnknownIds, match=f"the model's user ids are {vocabulary.kind}: give ids"):
        check_type("user", vocabulary, ids)
    with pytest.raises(ParameterError) as told:
        check_type("item", vocabulary, ids, "allow")
    assert str(told.value) == (
        f"allow holds {wrong}, and the model's item ids are {vocabulary.kind}: give ids of that"
        " type"
    )


def test_keys_of_a_mapping_are_plain() -> None:
    found = by_key("user", NUMBERS, {np.int64(5): "x", 6: "y"}, "allow")
    assert found == {5: "x", 6: "y"}
    assert [type(key) for key in found] == [int, int]
    with pytest.raises(ParameterError, match="allow holds 'a', and the model's user ids are int"):
        by_key("user", NUMBERS, {5: "x", "a": "y"}, "allow")
    with pytest.raises(ParameterError, match=r"allow 2 is missing \(None\)"):
        by_key("user", NUMBERS, {5: "x", None: "y"}, "allow")
