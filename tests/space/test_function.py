"""What the functions of a scorer give is checked before kernels trust it."""

from typing import Any

import numpy as np
import pytest

import trimetric as tm
from trimetric.data.csr import Csr
from trimetric.engine.rows import padded_table
from trimetric.errors import Diverged, ParameterError
from trimetric.space import function
from trimetric.space.function import FunctionScorer
from trimetric.space.metric import MetricSpace

SPLIT = tm.split_per_user(tm.synthetic.planted(40, 30, per_user=7).interactions, seed=0)
N_USERS, N_ITEMS = SPLIT.train.n_users, SPLIT.train.n_items
COUNTS = np.bincount(SPLIT.train.items, minlength=N_ITEMS).astype(np.float32)


def table(scores: Any, users: np.ndarray) -> np.ndarray:
    return np.tile(scores, (len(users), 1))


def pairs(scores: Any, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    return scores[items]


@pytest.mark.parametrize("rules", [{"table": table}, {"pairs": pairs}])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_figures_are_those_of_the_same_scores(rules: dict, dtype: type) -> None:
    scorer = FunctionScorer(N_USERS, N_ITEMS, COUNTS.astype(dtype), **rules)
    popular = tm.evaluate(tm.Popularity().fit(SPLIT.train), SPLIT)
    assert tm.evaluate(scorer, SPLIT)["ndcg@10"] == popular["ndcg@10"]


def test_lists_are_taken_as_arrays() -> None:
    scorer = FunctionScorer(N_USERS, N_ITEMS, COUNTS.tolist(), table=lambda s, u: [s] * len(u))
    same = FunctionScorer(N_USERS, N_ITEMS, COUNTS, table=table)
    assert tm.evaluate(scorer, SPLIT)["ndcg@10"] == tm.evaluate(same, SPLIT)["ndcg@10"]


def test_minus_infinity_is_a_score() -> None:
    scores = COUNTS.copy()
    scores[3] = -np.inf
    assert tm.evaluate(FunctionScorer(N_USERS, N_ITEMS, scores, table=table), SPLIT)["ndcg@10"] > 0


@pytest.mark.parametrize("change", [-1, 1])
def test_another_number_of_items_is_refused(change: int) -> None:
    scores = np.zeros(N_ITEMS + change, dtype=np.float32)
    scorer = FunctionScorer(N_USERS, N_ITEMS, scores, table=table)
    with pytest.raises(ParameterError, match=rf"table .* \(\d+, {N_ITEMS + change}\); .*{N_ITEMS}"):
        tm.evaluate(scorer, SPLIT)
    short = FunctionScorer(N_USERS, N_ITEMS, COUNTS, pairs=lambda s, u, i: s[i][:-1])
    with pytest.raises(ParameterError, match="pairs of the scorer gave an array of shape"):
        tm.evaluate(short, SPLIT)


@pytest.mark.parametrize("rules", [{"table": table}, {"pairs": pairs}])
def test_nan_has_no_rank(rules: dict) -> None:
    scores = COUNTS.copy()
    scores[3] = np.nan
    scorer = FunctionScorer(N_USERS, N_ITEMS, scores, **rules)
    with pytest.raises(Diverged, match=r"gave NaN at .*3"):
        tm.evaluate(scorer, SPLIT)
    none = Csr.empty(1)
    with pytest.raises(Diverged, match="gave NaN"):
        scorer.nearest(np.zeros(1, dtype=np.int32), 3, exclude=none)


def test_rules_of_neighbours_and_new_users_too() -> None:
    def short(*_: Any) -> np.ndarray:
        return np.zeros((1, 2), dtype=np.float32)

    rules = {"similar": short, "similar_users": short, "new_users": short}
    scorer = FunctionScorer(N_USERS, N_ITEMS, COUNTS, table=table, **rules)
    row, lists = np.zeros(1, dtype=np.int32), Csr.from_pairs(np.array([0]), np.array([2]), 1)
    weights = np.ones(1, dtype=np.float32)
    with pytest.raises(ParameterError, match=r"similar of the scorer gave .*\(1, 2\)"):
        scorer.neighbours("item", row, 3)
    with pytest.raises(ParameterError, match="similar_users of the scorer gave"):
        scorer.neighbours("user", row, 3)
    with pytest.raises(ParameterError, match="new_users of the scorer gave"):
        scorer.scores_new(lists, weights)
    with pytest.raises(ParameterError, match="new_users of the scorer gave"):
        scorer.nearest_new(lists, weights, 3, exclude=lists)


def test_one_of_the_two_functions_is_needed() -> None:
    with pytest.raises(ParameterError, match="needs pairs= or table=, got neither"):
        FunctionScorer(N_USERS, N_ITEMS, COUNTS)


@pytest.mark.parametrize("at_once", [1, 29, 61, 1 << 20])
def test_pairs_are_taken_out_of_tables_of_some_users(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function, "CELLS_AT_ONCE", at_once)
    rng, asked = np.random.default_rng(0), []
    scores = rng.normal(size=(7, 30)).astype(np.float32)

    def rows(learned: np.ndarray, users: np.ndarray) -> np.ndarray:
        asked.append(len(users))
        return learned[users]

    scorer = FunctionScorer(7, 30, scores, table=rows)
    users = rng.integers(0, 7, 90).astype(np.int32)
    users[users == 3] = 2
    items = rng.integers(0, 30, 90).astype(np.int32)
    assert np.array_equal(scorer.score(users, items), scores[users, items])
    assert asked == {1: [1] * 6, 29: [1] * 6, 61: [2] * 3, 1 << 20: [6]}[at_once]
    nothing = np.zeros(0, dtype=np.int32)
    assert scorer.score(nothing, nothing).shape == (0,)


def test_likeness_by_distance_and_by_angle() -> None:
    points = np.random.default_rng(1).normal(size=(9, 4)).astype(np.float32)
    points[5] = 0
    rows = np.array([4, 0, 5])
    wide = points.astype(float)
    apart = ((wide[rows, None] - wide) ** 2).sum(axis=2)
    assert function.negative_distances(points, rows) == pytest.approx(-apart, rel=1e-6)
    lengths = np.linalg.norm(wide, axis=1)
    lengths[5] = 1
    expected = (wide[rows] @ wide.T) / (lengths[rows, None] * lengths)
    assert function.cosines(points, rows) == pytest.approx(expected, rel=1e-6, abs=1e-7)
    assert (function.cosines(points, rows)[2] == 0).all()


def test_new_users_have_their_own_items_and_weights() -> None:
    """Three at a time; each is scored by what it has, and by no other's."""
    lists = Csr(np.array([0, 2, 3, 5]), np.array([0, 4, 1, 2, 3], dtype=np.int32))
    weights = np.array([1, 2, 3, 4, 5], dtype=np.float32)

    def sums(_: Any, lists: Csr, weights: np.ndarray) -> np.ndarray:
        out = np.zeros((lists.n_users, 6), dtype=np.float32)
        np.add.at(out, (lists.users, lists.items), weights)
        return out

    scorer = FunctionScorer(0, 6, None, table=table, new_users=sums)
    items, scores = scorer.nearest_new(lists, weights, 2, exclude=Csr.empty(3))
    assert items.tolist() == [[4, 0], [1, 0], [3, 2]]
    assert scores.tolist() == [[2, 1], [3, 0], [5, 4]]


def test_a_space_that_each_user_sees_serves_new_users() -> None:
    lists = Csr(np.array([0, 2, 3]), np.array([0, 2, 1], dtype=np.int32))

    def seen(learned: np.ndarray, user: Any, items: np.ndarray, weights: np.ndarray) -> Any:
        assert user is None
        point = np.average(learned[items], axis=0, weights=weights)
        return MetricSpace(padded_table(np.vstack([point, learned])), 1, 2)

    points = np.array([[0, 0], [4, 0], [0, 2], [1, 1]], dtype=np.float32)
    scorer = FunctionScorer(0, 4, points, table=table, seen_by=seen)
    assert {"new users", "explanations"} <= scorer.capabilities
    found = scorer.scores_new(lists, np.array([1, 3, 1], dtype=np.float32))
    expected = [[-2.25, -18.25, -0.25, -1.25], [-16, 0, -20, -10]]
    assert found == pytest.approx(np.array(expected))
    alone = FunctionScorer(0, 4, points, table=table)
    assert not {"new users", "explanations"} & alone.capabilities
    adds = FunctionScorer(0, 4, points, table=table, adds=lambda *_: np.array([1.0]))
    assert "explanations" in adds.capabilities
    assert adds.contributions(0, *[np.zeros(1)] * 2).tolist() == [1.0]
    told = {"new users": "no such thing"}
    assert FunctionScorer(0, 4, points, table=table, refusals=told).refusals == told
    assert alone.refusals == {}
