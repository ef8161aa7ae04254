"""Known ids near an unknown one: the distance against a plain twin, and what is found."""

from functools import cache

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimetric.data.ids import Vocabulary
from trimetric.data.near import LONGEST, meant, near_ids

LETTERS = st.text("abc-é", max_size=7)


@cache
def twin(one: str, other: str) -> int:
    """Return the optimal string alignment distance by its recursive definition."""
    if not one or not other:
        return len(one) + len(other)
    found = min(
        twin(one[:-1], other) + 1,
        twin(one, other[:-1]) + 1,
        twin(one[:-1], other[:-1]) + (one[-1] != other[-1]),
    )
    if len(one) > 1 and len(other) > 1 and one[-2:] == other[-1] + other[-2]:
        found = min(found, twin(one[:-2], other[:-2]) + 1)
    return found


def vocabulary(*ids):
    return Vocabulary.from_values(pl.Series(ids))


READERS = vocabulary(*(f"reader-{n:04}" for n in range(1, 1501)))


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("redaer-0042", ["reader-0042"]),
        ("READER-0042", ["reader-0042"]),
        ("reader_0042", ["reader-0042"]),
        ("rader-0042", ["reader-0042"]),
        ("raedre_0042", ["reader-0042"]),  # three errors are as many as there may be
        ("raedre__0042", []),
        ("0042", ["reader-0042"]),  # no typing error, but a part of it
        ("nobody", []),
        ("", []),
        ("x" * 500, []),
    ],
)
def test_what_people_type(typed, found):
    assert near_ids(READERS, typed) == found


@pytest.mark.slow
def test_several_that_are_equally_near():
    found = near_ids(READERS, "reader-042")  # a zero is missing, or a last character
    assert len(found) == 3
    assert "reader-0042" in found
    assert all(twin("reader-042", one) == 1 for one in found)


def test_numbers_other_signs_and_nothing():
    assert near_ids(vocabulary(19004, 19104, 55555), 19005) == [19004]
    assert near_ids(vocabulary("Ökotest", "Okapi"), "ökotset") == ["Ökotest"]
    assert near_ids(vocabulary("a\u0000b", "ab"), "nothing") == []
    assert near_ids(vocabulary("7", "8"), "9") == []  # one character of one tells nothing
    assert near_ids(vocabulary("17", "8"), "7") == []
    assert near_ids(vocabulary("a-17", "8"), "17") == ["a-17"]
    assert near_ids(vocabulary("abc"), ".b") == []  # no pattern
    assert near_ids(vocabulary("abcdef"), "xabcdef") == ["abcdef"]
    longest = vocabulary("x" * LONGEST)
    assert near_ids(longest, "x" * (LONGEST - 1) + "y") == longest.values.to_list()
    assert near_ids(longest, "x" * (LONGEST + 1)) == []
    assert near_ids(Vocabulary(pl.Series("id", [], dtype=pl.String)), "a") == []
    assert near_ids(READERS, "reader-1501", n=1) == ["reader-1500"]


@given(st.lists(LETTERS, min_size=1, max_size=8, unique=True), LETTERS.filter(bool))
def test_nothing_closer_is_passed_over(ids, typed):
    known = vocabulary(*ids)
    found = near_ids(known, typed, n=20)
    others = [one for one in ids if one != typed]  # an id itself is never meant
    apart = {one: twin(typed.casefold(), one.lower()) for one in others}
    most = min(3, len(typed) // 3)
    close = [one for one in others if apart[one] <= most]
    if close:
        least = min(apart[one] for one in close)
        assert sorted(found) == sorted(one for one in close if apart[one] == least)
    else:
        assert all(typed in one and typed != one for one in found)


def test_questions_for_errors():
    assert meant(READERS, ["redaer-0042"]) == "did you mean 'reader-0042'?"
    assert meant(READERS, ["redaer-0042", "x"]) == "did you mean 'reader-0042' for 'redaer-0042'?"
    assert meant(READERS, ["nobody", "redaer-0042"]) == meant(READERS, []) == ""
    assert meant(vocabulary(19004, 19104), [19014]) == "did you mean 19004 or 19104?"
