"""Which items may be listed, beside sets of ids."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from csr_lists import csr
from hypothesis import given
from hypothesis import strategies as st

from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.errors import ParameterError
from trimetric.space.filters import Asked, ItemFilter, restrict, unrestrict

NAMES = ["a", "b", "c", "d", "e"]
ITEMS = Vocabulary.from_values(pl.Series(NAMES))
USERS = Vocabulary.from_values(pl.Series([7, 8, 9]))
IDS = st.sets(st.sampled_from([*NAMES, "unknown", "0"]))
ROWS = st.sets(st.integers(0, 6))
THREE = st.lists(ROWS, min_size=3, max_size=3)
ASKED = Asked("user", USERS, [8, 7, 8])


def rows_of(ids: set) -> list[int]:
    return sorted(NAMES.index(one) for one in ids if one in NAMES)


def lists_of(rows: Csr) -> list[list[int]]:
    return [rows.take(np.array([at])).items.tolist() for at in range(rows.n_users)]


@given(st.none() | IDS, st.none() | IDS, st.none() | st.sets(st.integers(0, 4)))
def test_only_what_is_allowed_and_available_and_not_denied(allow, deny, available):
    given = None if available is None else np.array(sorted(available), dtype=np.int32)
    found = ItemFilter.from_ids(ITEMS, allow, deny, available=given)
    assert (found.allowed, found.denied) == (None, None)
    if allow is deny is available is None:
        assert found.rows is None
        return
    left = set(range(5)) if available is None else available
    left = left if allow is None else left & set(rows_of(allow))
    left = left if deny is None else left - set(rows_of(deny))
    assert found.rows.tolist() == sorted(left)
    assert found.rows.dtype == np.int32


@given(IDS, IDS, IDS)
def test_a_mapping_says_it_for_each_list(first, second, denied):
    found = ItemFilter.from_ids(
        ITEMS, {7: first, np.int64(8): second, 9: ["b"]}, {7: denied}, asked=ASKED
    )
    assert found.rows is None
    assert lists_of(found.allowed) == [rows_of(second), rows_of(first), rows_of(second)]
    assert lists_of(found.denied) == [[], rows_of(denied), []]
    assert found.allowed.items.dtype == np.int32
    assert found.allowed.indptr.dtype == np.int64


def test_a_list_for_all_goes_with_a_mapping():
    found = ItemFilter.from_ids(ITEMS, {7: ["b", "a"], 8: iter("bc")}, ["b"], asked=ASKED)
    assert found.rows.tolist() == [0, 2, 3, 4]
    assert lists_of(found.allowed) == [[1, 2], [0, 1], [1, 2]]
    assert found.denied is None
    found = ItemFilter.from_ids(ITEMS, iter("cba"), {}, asked=ASKED)
    assert found.rows.tolist() == [0, 1, 2]
    assert found.allowed is None
    assert lists_of(found.denied) == [[], [], []]


@pytest.mark.parametrize(
    ("allow", "deny", "asked", "told"),
    [
        ({8: ["a"]}, None, None, "allow must be a list of ids here, where one list is asked for"),
        (None, {8: ["a"]}, None, "deny must be a list of ids here"),
        (
            {8: ["a"]},
            None,
            ASKED,
            r"allow names no items for user 7 \(1 of 3 are missing\); give an empty list",
        ),
        (
            {8: ["a"]},
            None,
            Asked("user", USERS, [8, 9, 7]),
            r"for user 9 \(2 of 3 are missing\)",
        ),
        (
            {"8": ["a"], "7": ["a"]},
            None,
            ASKED,
            "allow holds '8', and the model's user ids are int",
        ),
        ({7: [1], 8: ["a"]}, None, ASKED, r"allow\[7\] holds 1, and the model's item ids are str"),
        (None, {7: "b", 8: [True]}, ASKED, r"deny\[8\] holds True, and the model's item ids"),
        (["a", 2], None, ASKED, "allow holds 2, and the model's item ids are str"),
        (None, "a", ASKED, r"deny must be a list of ids, got 'a'; give \['a'\]"),
        ({7: "a", 8: ["a"]}, None, ASKED, r"allow\[7\] must be a list of ids, got 'a'"),
    ],
)
def test_what_says_nothing_clear_is_refused(allow: Any, deny: Any, asked: Any, told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        ItemFilter.from_ids(ITEMS, allow, deny, asked=asked)


@given(st.none() | ROWS, st.none() | THREE, st.none() | THREE, THREE)
def test_candidates_are_those_left_of_each_list(rows, allowed, denied, has):
    here = ItemFilter(
        None if rows is None else np.array(sorted(rows), dtype=np.int32),
        None if allowed is None else csr([*map(sorted, allowed)]),
        None if denied is None else csr([*map(sorted, denied)]),
    )
    exclude = csr([*map(sorted, has)])
    hidden = has if denied is None else [a | b for a, b in zip(has, denied, strict=True)]
    assert lists_of(here.hidden(exclude)) == [*map(sorted, hidden)]
    found = here.candidates(exclude)
    if allowed is None:
        assert found is None
    else:
        left = [a - b for a, b in zip(allowed, hidden, strict=True)]
        left = left if rows is None else [one & rows for one in left]
        assert lists_of(found) == [*map(sorted, left)]
    some = here.take(np.array([2, 0]))
    assert some.rows is here.rows
    for part, whole in ((some.allowed, allowed), (some.denied, denied)):
        if whole is None:
            assert part is None
        else:
            assert lists_of(part) == [sorted(whole[2]), sorted(whole[0])]


@given(st.lists(ROWS, min_size=1, max_size=4), ROWS)
def test_lists_among_some_of_the_items_and_back(lists, some):
    rows = np.array(sorted(some), dtype=np.int32)
    found = restrict(csr([*map(sorted, lists)]), rows)
    assert found.items.dtype == np.int32
    expected = [sorted(one & some) for one in lists]
    assert lists_of(found) == [[sorted(some).index(i) for i in one] for one in expected]
    padded = np.full((len(lists), 8), -1, dtype=np.int32)
    back = padded.copy()
    for at, (row, one) in enumerate(zip(lists_of(found), expected, strict=True)):
        padded[at, : len(row)], back[at, : len(row)] = row, one
    assert unrestrict(padded, rows).tolist() == back.tolist()
