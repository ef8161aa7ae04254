"""What the functions of a scorer give is checked before kernels trust it."""

from typing import Any

import numpy as np
import pytest

import trimetric as tm
from trimetric.data.csr import Csr
from trimetric.errors import Diverged, ParameterError
from trimetric.space.function import FunctionScorer

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
