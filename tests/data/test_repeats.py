"""Rows of repeated pairs: followed to new positions, and merged again from some of them."""

import numpy as np
import pytest

from trimetric.data.repeats import RepeatedRows, within

PAIRS = [1, 1, 1, 3, 3, 4, 4]
TIMES = [5, 6, 9, 2, 8, 1, 7]


def rows(rule: str = "latest", ratings: bool = True, weights: bool = True) -> RepeatedRows:
    values = np.arange(7.0)
    return RepeatedRows(
        rule,  # type: ignore[arg-type]
        np.array(PAIRS),
        np.array(TIMES),
        values if ratings else None,
        values + 10 if weights else None,
    )


def test_they_follow_their_pairs_and_leave_with_them() -> None:
    moved = rows().moved(np.array([-1, 2, -1, -1, 0]))
    assert moved is not None
    assert moved.pairs.tolist() == [0, 0, 2, 2, 2]
    assert moved.timestamps.tolist() == [1, 7, 5, 6, 9]
    assert (moved.ratings.tolist(), moved.weights.tolist()) == (
        [5, 6, 0, 1, 2],
        [15, 16, 10, 11, 12],
    )
    assert rows().moved(np.full(5, -1)) is None


@pytest.mark.parametrize("rule", ["latest", "first", "sum", "max", "count"])
@pytest.mark.parametrize("ratings", [False, True])
@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("of_rows", [False, True])
def test_merged_again_from_those_that_are_kept(
    rule: str, ratings: bool, weights: bool, of_rows: bool
) -> None:
    keep = np.array([True, True, False, False, True, True, True])
    of = rows(rule, of_rows, of_rows)
    given = [np.arange(20, 25), np.full(5, 30.0), np.full(5, 40.0)]
    times, scores, sums, several = within(
        given[0], given[1] if ratings else None, given[2] if weights else None, of, keep
    )
    want = [list(one) for one in given]
    for pair, at in ((1, [0, 1]), (3, [4]), (4, [5, 6])):
        chosen = at[0] if rule == "first" else at[-1]
        want[0][pair] = TIMES[chosen]
        if of_rows:
            want[1][pair] = chosen
        each = [at_ + 10 if of_rows and rule != "count" else 1 for at_ in at]
        if of_rows or rule in ("sum", "count"):
            by = {"sum": sum(each), "count": len(at), "max": max(each)}
            want[2][pair] = by.get(rule, chosen + 10)
    assert times.tolist() == want[0]
    assert (scores is None) == (not ratings)
    assert (sums is None) == (not weights)
    if scores is not None:
        assert scores.tolist() == want[1]
    if sums is not None:
        assert sums.tolist() == want[2]
    assert several is not None
    assert several.pairs.tolist() == [1, 1, 4, 4]
    assert several.timestamps.tolist() == [5, 6, 1, 7]
    assert given[0].tolist() == list(range(20, 25))


def test_nothing_is_kept() -> None:
    times = np.arange(5)
    assert within(times, None, None, rows(), np.zeros(7, dtype=bool)) == (times, None, None, None)
    one_each = np.array([False, False, True, True, False, True, False])
    assert within(times, None, None, rows(), one_each)[3] is None
