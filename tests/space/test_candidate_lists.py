"""Lists of the items that each user may have, beside lists sorted in plain Python."""

from typing import Any

import numpy as np
import pytest
from csr_lists import csr, lists_of
from hypothesis import given
from hypothesis import strategies as st

from trimetric.data.csr import Csr
from trimetric.errors import Unsupported
from trimetric.space import candidate_lists
from trimetric.space.filters import ItemFilter
from trimetric.space.scorer import Lists, Scorer

N_USERS, N_ITEMS = 4, 7
ITEMS = st.sets(st.integers(0, N_ITEMS - 1))


class Sorted(Scorer):
    """A scorer by a table of scores, which sorts whole rows."""

    def __init__(self, table: np.ndarray) -> None:
        self.n_users, self.n_items = table.shape
        self.table = table
        self.approximate: bool | None = None

    def listed(self, scores: np.ndarray, k: int, hidden: list, only: Any) -> Lists:
        rows = range(scores.shape[1]) if only is None else only.tolist()
        width = min(k, len(rows))
        items = np.full((len(scores), width), -1, dtype=np.int32)
        points = np.full((len(scores), width), np.nan, dtype=np.float32)
        for at, row in enumerate(scores):
            best = sorted(set(rows) - set(hidden[at]), key=lambda i: (-row[i], i))[:width]
            items[at, : len(best)], points[at, : len(best)] = best, row[best]
        return items, points

    def nearest(
        self,
        users: np.ndarray,
        k: int,
        *,
        exclude: Csr,
        only: np.ndarray | None = None,
        approximate: bool = False,
    ) -> Lists:
        self.approximate = approximate
        assert exclude.n_users == len(users)
        return self.listed(self.table[users], k, lists_of(exclude), only)

    def score(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return self.table[users, items]

    def ranks(self, held: Csr, exclude: Csr) -> np.ndarray:
        raise NotImplementedError

    def neighbours(
        self,
        kind: str,
        rows: np.ndarray,
        k: int,
        *,
        exclude: Csr | None = None,
        only: np.ndarray | None = None,
    ) -> Lists:
        hidden = lists_of(exclude) if exclude is not None else [[]] * len(rows)
        itself = [[*out, row] for out, row in zip(hidden, rows.tolist(), strict=True)]
        return self.listed(self.table[rows], k, itself, only)


def scorer(seed: int, n_rows: int = N_USERS) -> Sorted:
    """Return a scorer of small whole numbers, so that many scores are equal."""
    rng = np.random.default_rng(seed)
    return Sorted(rng.integers(-1, 3, (n_rows, N_ITEMS)).astype(np.float32))


def plain(lists: Lists) -> list[list[tuple[int, float]]]:
    """Return the entries of lists; there is nothing after their ends."""
    found = []
    for items, scores in zip(*lists, strict=True):
        n = int((items >= 0).sum())
        assert (items[n:] == -1).all()
        assert np.isnan(scores[n:]).all()
        found.append(list(zip(items[:n].tolist(), scores[:n].tolist(), strict=True)))
    return found


def rows_of(items: set[int] | None) -> np.ndarray | None:
    return None if items is None else np.array(sorted(items), dtype=np.int32)


def asked(given: list[set[int]]) -> Csr:
    return csr([sorted(one) for one in given])


FILTERS = st.fixed_dictionaries(
    {
        "rows": st.none() | ITEMS,
        "allowed": st.none() | st.lists(ITEMS, min_size=5, max_size=5),
        "denied": st.none() | st.lists(ITEMS, min_size=5, max_size=5),
    }
)


def filter_of(some: dict) -> ItemFilter:
    lists = (None if some[name] is None else asked(some[name]) for name in ("allowed", "denied"))
    return ItemFilter(rows_of(some["rows"]), *lists)


def may_have(some: dict, at: int) -> set[int]:
    everything = set(range(N_ITEMS))
    left = everything if some["rows"] is None else some["rows"]
    left = left & (everything if some["allowed"] is None else some["allowed"][at])
    return left - (set() if some["denied"] is None else some["denied"][at])


@pytest.mark.parametrize("at_once", [1, 3, 4_000_000])
@given(
    st.integers(0, 99),
    st.integers(1, 9),
    FILTERS,
    st.lists(ITEMS, min_size=5, max_size=5),
)
def test_each_user_gets_the_best_of_what_they_may_have(at_once, seed, k, some, has):
    users = np.array([2, 0, 3, 2, 1], dtype=np.int32)
    table = scorer(seed).table
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidate_lists, "PAIRS_AT_ONCE", at_once)
        found = candidate_lists.nearest(
            Sorted(table), users, k, asked(has), filter_of(some), approximate=False
        )
    assert (found[0].dtype, found[1].dtype) == (np.int32, np.float32)
    expected = []
    for at, user in enumerate(users.tolist()):
        left = sorted(may_have(some, at) - has[at], key=lambda i: (-table[user, i], i))[:k]
        expected.append([(i, float(table[user, i])) for i in left])
    assert plain(found) == expected
    if some["allowed"] is not None:  # no wider than the longest list
        assert found[0].shape == found[1].shape == (5, max(map(len, expected)))


@given(st.integers(0, 99), st.integers(1, 9), FILTERS)
def test_nothing_is_its_own_neighbour_nor_what_a_filter_rules_out(seed, k, some):
    rows = np.array([6, 0, 3, 6, 1], dtype=np.int32)
    table = scorer(seed, N_ITEMS).table
    found = candidate_lists.neighbours(Sorted(table), "item", rows, k, filter_of(some))
    expected = []
    for at, row in enumerate(rows.tolist()):
        left = sorted(may_have(some, at) - {row}, key=lambda i: (-table[row, i], i))[:k]
        expected.append([(i, float(table[row, i])) for i in left])
    assert plain(found) == expected


def test_only_lists_of_the_whole_catalogue_may_be_approximate():
    here, users = scorer(0), np.array([1, 2], dtype=np.int32)
    for approximate in (True, False):
        candidate_lists.nearest(here, users, 3, Csr.empty(2), ItemFilter(), approximate)
        assert here.approximate is approximate
    few = ItemFilter(allowed=csr([[0, 4], [1]]))
    with pytest.raises(Unsupported, match="the score is no distance between two points"):
        candidate_lists.nearest(here, users, 3, Csr.empty(2), few, approximate=True)
    exact = candidate_lists.nearest(here, users, 3, Csr.empty(2), few, approximate=False)
    here.capabilities = frozenset({"metric space"})  # type: ignore[misc]
    same = candidate_lists.nearest(here, users, 3, Csr.empty(2), few, approximate=True)
    assert plain(same) == plain(exact)


def test_of_nobody_there_are_no_lists():
    nobody, none = np.zeros(0, dtype=np.int32), Csr.empty(0)
    found = candidate_lists.nearest(
        scorer(0), nobody, 3, none, ItemFilter(allowed=none), approximate=False
    )
    assert [one.shape for one in found] == [(0, 0), (0, 0)]
    found = candidate_lists.neighbours(scorer(0), "item", nobody, 3, ItemFilter(allowed=none))
    assert [one.shape for one in found] == [(0, 0), (0, 0)]


def test_lists_one_below_the_other_are_as_wide_as_the_widest():
    one = np.array([[4, 2, -1]], dtype=np.int32), np.array([[3, 1, np.nan]], dtype=np.float32)
    two = np.array([[5], [6]], dtype=np.int32), np.array([[2], [1]], dtype=np.float32)
    items, scores = candidate_lists.stacked([two, one])
    assert items.tolist() == [[5, -1, -1], [6, -1, -1], [4, 2, -1]]
    np.testing.assert_array_equal(
        scores, [[2, np.nan, np.nan], [1, np.nan, np.nan], [3, 1, np.nan]]
    )
    items, scores = candidate_lists.stacked([])
    assert (items.shape, items.dtype) == ((0, 0), np.int32)
    assert (scores.shape, scores.dtype) == ((0, 0), np.float32)
