"""What explanations share, and sums of parts, beside plain Python."""

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
from trimetric.space import explained
from trimetric.space.explain_sums import explain_sum
from trimetric.space.explained import (
    ExplainedUser,
    ExplainOptions,
    counterfactual_of,
    hidden_from,
    popularity_of,
    ranks_of,
    ranks_without,
    scores_of,
)
from trimetric.space.explanation import Counterfactual, Popularity
from trimetric.space.function import FunctionScorer
from trimetric.space.known import Known, Totals

N_ITEMS = 6
OWN = np.array([0.0, 2.0, -1.0, 0.0])
HAS = [[1, 3, 4], [0, 2], [], [0, 1, 2, 3, 4, 5]]
USER_IDS = Vocabulary.from_values(pl.Series(["u0", "u1", "u2", "u3"]))
ITEM_IDS = Vocabulary.from_values(pl.Series([10, 11, 12, 13, 14, 15]))


def known(unavailable: Any = (), totals: Totals | None = None) -> Known:
    out = np.array(sorted(unavailable), dtype=np.int32)
    return Known(USER_IDS, ITEM_IDS, csr(HAS), unavailable=out, totals=totals)


def user_with(items: list, row: int | None = None, weights: Any = None) -> ExplainedUser:
    counts = np.ones(len(items)) if weights is None else weights
    rows = np.array(items, dtype=np.int32)
    return ExplainedUser(row, None, rows, np.array(counts, dtype=np.float32))


def parts_of(b: np.ndarray, item: int, items: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return weights.astype(np.float64) * b[items, item]


def for_new(b: np.ndarray, lists: Csr, weights: np.ndarray) -> np.ndarray:
    out = np.zeros((lists.n_users, N_ITEMS), dtype=np.float32)
    np.add.at(out, lists.users, weights[:, None] * b[lists.items])
    return out


def for_trained(b: np.ndarray, users: np.ndarray) -> np.ndarray:
    lists = csr(HAS).take(users)
    whole = for_new(b, lists, np.ones(len(lists.items)))
    return (whole + OWN[users, None]).astype(np.float32)


def sums(b: Any, **more: Any) -> FunctionScorer:
    """Return a scorer whose scores are sums of b[i, j], and for trained users something more."""
    given = {"table": for_trained, "new_users": for_new, "adds": parts_of} | more
    return FunctionScorer(4, N_ITEMS, np.array(b, dtype=np.float64), **given)


def matrix(seed: int) -> np.ndarray:
    """Return whole numbers, many of them equal, some zero."""
    return np.random.default_rng(seed).integers(-2, 3, (N_ITEMS, N_ITEMS)).astype(np.float64)


def rank(scores: Any, item: int, hidden: Any) -> int:
    left = [i for i in range(len(scores)) if i == item or i not in hidden]
    return sorted(left, key=lambda i: (-scores[i], i)).index(item) + 1


# --- what all explanations share ------------------------------------------------------------------


def test_a_user_without_each_of_some_items() -> None:
    user = user_with([1, 3, 4], weights=[0.5, 2, 4])
    lists, weights = user.without_each(np.array([2, 0]))
    assert lists.indptr.tolist() == [0, 3, 5, 7]
    assert lists.indptr.dtype == np.int64
    assert lists.items.tolist() == [1, 3, 4, 1, 3, 3, 4]
    assert weights.tolist() == [0.5, 2, 4, 0.5, 2, 2, 4]
    lists, weights = user.without_each(np.array([], dtype=np.int64))
    assert (lists.indptr.tolist(), weights.tolist()) == ([0, 3], [0.5, 2, 4])


@pytest.mark.parametrize("name", ["reasons", "examine"])
@pytest.mark.parametrize("value", [-1, 1001, 1.0, "3", None, True])
def test_how_much_to_explain_is_a_whole_number(name: str, value: Any) -> None:
    given = {"k": 10, "reasons": 3, "examine": 3} | {name: value}
    with pytest.raises(ParameterError) as told:
        ExplainOptions(**given)
    assert str(told.value) == f"{name} must be a whole number in 0..1000, got {value!r}"
    for fine in (0, 1000, np.int64(7)):
        ExplainOptions(**(given | {name: fine}))


@pytest.mark.parametrize(
    ("items", "unavailable", "item", "hidden", "seen"),
    [
        ([1, 3], [], 0, [1, 3], False),
        ([1, 3], [5], 0, [1, 3, 5], False),
        ([1, 3], [], 3, [1], True),
        ([1], [0], 0, [1], False),
        ([1, 3], [3], 3, [1], True),
    ],
)
def test_an_item_competes_with_what_could_be_listed(
    items: list, unavailable: list, item: int, hidden: list, seen: bool
) -> None:
    found, has = hidden_from(known(unavailable), user_with(items), item)
    assert np.flatnonzero(found).tolist() == hidden
    assert has is seen


def test_how_many_have_an_item() -> None:
    """Item 1 is had by two of three, as are 0, 2, 3 and 4; item 5 by one."""
    assert popularity_of(known(), 1) == Popularity(2, 1, 2 / 3)
    assert popularity_of(known(), 5) == Popularity(1, 6, 1 / 3)
    counts = np.array([8, 9, 9, 2, 0, 0])
    assert popularity_of(known(totals=Totals(counts, 40)), 0) == Popularity(8, 3, 0.2)
    assert popularity_of(known(totals=Totals(counts // 8, 1)), 0) == Popularity(1, 1, 1.0)
    assert popularity_of(known(totals=Totals(counts * 0, 0)), 0) == Popularity(0, 1, 0.0)


@pytest.mark.parametrize(
    ("ranks", "k", "item", "rank_without"),
    [
        ([1, 2, 4, 3], 3, 14, 4),
        ([3, 4, 3, 4], 3, 11, 4),  # the first of the greatest
        ([1, 2, 3, 3], 3, None, None),
        ([4, 9, 9, 9], 3, None, None),
        ([1, 1, 1, 2], 1, 10, 2),
    ],
)
def test_the_item_that_holds_another_in_the_list(
    ranks: list, k: int, item: int | None, rank_without: int | None
) -> None:
    found = counterfactual_of(ITEM_IDS.values, np.array([1, 4, 0]), np.array(ranks), k, 5)
    assert found == Counterfactual(item, ranks[0], rank_without, k, 3, 5)


def test_scores_are_those_of_the_trained_or_of_the_new_user() -> None:
    b = matrix(1)
    for row in range(4):
        expected = b[HAS[row]].sum(axis=0) + OWN[row]
        assert scores_of(sums(b), user_with(HAS[row], row)).tolist() == expected.tolist()
    new = scores_of(sums(b), user_with([2, 5], weights=[3, 0.5]))
    assert new.tolist() == (3 * b[2] + 0.5 * b[5]).tolist()


@pytest.mark.parametrize("cells", [1, 12, 13, 1 << 20])
@given(st.integers(0, 99), st.integers(0, 5), st.sets(st.integers(0, 5)))
def test_ranks_without_each_are_those_of_users_without_it(cells, seed, item, out):
    b, items, weights = matrix(seed), [0, 2, 3, 5], np.array([1, 2, 0.5, 4])
    examined = np.array([3, 0, 2])
    hidden = np.isin(np.arange(N_ITEMS), sorted(out - {item}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explained, "CELLS_AT_ONCE", cells)
        found = ranks_without(sums(b), user_with(items, weights=weights), item, examined, hidden)
    expected = []
    for away in (None, *examined.tolist()):
        kept = [at for at in range(4) if at != away]
        scores = (weights[kept, None] * b[[items[at] for at in kept]]).sum(axis=0)
        expected.append(rank(scores, item, np.flatnonzero(hidden)))
    assert found.tolist() == expected


@given(st.integers(0, 99), st.integers(0, 5), st.sets(st.integers(0, 5)))
def test_ranks_are_among_what_is_not_hidden_and_ties_go_by_row(seed, item, out):
    scores, hidden = matrix(seed), np.isin(np.arange(N_ITEMS), sorted(out - {item}))
    expected = [rank(row, item, np.flatnonzero(hidden)) for row in scores]
    assert ranks_of(scores, item, hidden).tolist() == expected


# --- sums -----------------------------------------------------------------------------------------


@given(
    st.integers(0, 99),
    st.sampled_from([0, 1, 2, 3, None]),
    st.integers(0, 5),
    st.integers(1, 4),
    st.integers(0, 7),
    st.integers(0, 7),
    st.sets(st.integers(0, 5), max_size=2),
)
def test_a_sum_is_explained_by_its_parts(seed, row, item, k, reasons, examine, out):
    b = matrix(seed)
    items, weights = ([0, 2, 5], [1, 2, 0.5]) if row is None else (HAS[row], [1] * len(HAS[row]))
    user = user_with(items, row, weights)
    options = ExplainOptions(k, reasons, examine)
    why = explain_sum(sums(b), known(out), "ease", user, item, options)
    adds = {i: w * b[i, item] for i, w in zip(items, weights, strict=True)}
    own = 0.0 if row is None else OWN[row]
    hidden = (set(items) | out) - {item}

    def scores(without: int | None = None) -> np.ndarray:
        kept = [(i, w) for i, w in zip(items, weights, strict=True) if i != without]
        return sum((w * b[i] for i, w in kept), np.zeros(N_ITEMS))

    assert (why.model, why.by, why.d2, why.triple) == ("ease", "sum", None, None)
    assert (why.user, why.item) == (None if row is None else f"u{row}", 10 + item)
    assert (why.score, why.own) == (sum(adds.values()) + own, own)
    assert why.rank == rank(scores(), item, hidden)
    assert (why.candidates, why.k) == (N_ITEMS - len(hidden), k)
    assert why.seen == (item in items)
    assert why.popularity == popularity_of(known(), item)
    order = sorted((i for i in items if adds[i]), key=lambda i: (-adds[i], i))
    assert [(one.item - 10, one.adds) for one in why.reasons] == [
        (i, adds[i]) for i in order[:reasons]
    ]
    assert {(one.d2_item, one.d2_user) for one in why.reasons} <= {(None, None)}
    examined = order[:examine]
    if item in items or len(items) < 2 or not examined:
        assert why.counterfactual is None
        assert {one.rank_without for one in why.reasons} <= {None}
        return
    ranks = {i: rank(scores(i), item, hidden) for i in examined}
    for one in why.reasons:
        assert one.rank_without == ranks.get(one.item - 10)
    worst = max(examined, key=ranks.__getitem__)
    drops = why.counterfactual.rank_with <= k < ranks[worst]
    assert why.counterfactual == Counterfactual(
        10 + worst if drops else None,
        rank(scores(), item, hidden),
        ranks[worst] if drops else None,
        k,
        len(examined),
        len(items),
    )


@pytest.mark.parametrize(("own", "told"), [(1e-5, 0.0), (1.1e-4, 1.1e-4), (-1e-5, 0.0)])
def test_what_rounding_leaves_of_a_score_is_not_told(own: float, told: float) -> None:
    """Parts of 4 and −4, so that 8e-5 may be rounding, though the score itself is near 0."""
    b = np.zeros((N_ITEMS, N_ITEMS))
    b[0, 3], b[2, 3] = 4, -4

    def table(learned: np.ndarray, users: np.ndarray) -> np.ndarray:
        return np.full((len(users), N_ITEMS), own, dtype=np.float64)

    user = user_with([0, 2], row=1)
    why = explain_sum(sums(b, table=table), known(), "ease", user, 3, ExplainOptions(1, 5, 5))
    assert why.own == pytest.approx(told, rel=1e-3)
    assert [one.adds for one in why.reasons] == [4, -4]


def test_users_who_cannot_be_placed_again_get_no_what_if() -> None:
    b = np.ones((N_ITEMS, N_ITEMS))
    user, options = user_with([0, 2], row=1), ExplainOptions(1, 5, 5)
    with_them = explain_sum(sums(b), known(), "ease", user, 3, options)
    without = explain_sum(sums(b, new_users=None), known(), "ease", user, 3, options)
    assert with_them.counterfactual is not None
    assert without.counterfactual is None
    assert [one.adds for one in without.reasons] == [1, 1]
    assert {one.rank_without for one in without.reasons} == {None}


def test_users_of_one_item_get_no_what_if() -> None:
    b = np.ones((N_ITEMS, N_ITEMS))
    why = explain_sum(sums(b), known(), "ease", user_with([2]), 3, ExplainOptions(1, 5, 5))
    assert why.counterfactual is None
    assert [(one.item, one.adds, one.rank_without) for one in why.reasons] == [(12, 1, None)]


def test_a_count_has_no_parts() -> None:
    def no_parts(*_: Any) -> None:
        return None

    scorer = sums(np.ones((N_ITEMS, N_ITEMS)), adds=no_parts)
    why = explain_sum(scorer, known(), "popularity", user_with([0, 2]), 3, ExplainOptions(1, 5, 5))
    assert (why.by, why.score, why.own, why.reasons) == ("count", 2.0, 2.0, ())
    assert why.counterfactual is None
