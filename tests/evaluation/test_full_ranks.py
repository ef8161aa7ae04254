"""Ranks that somebody else's scorer gives are checked before they are measured."""

from collections.abc import Callable

import numpy as np
import pytest

import trimetric as tm
from trimetric.data.csr import Csr
from trimetric.errors import ParameterError

SPLIT = tm.split_per_user(tm.synthetic.planted(40, 30, per_user=7).interactions, seed=0)


class Theirs:
    """A scorer that ranks by a function of the held-out items."""

    n_users, n_items = SPLIT.train.n_users, SPLIT.train.n_items

    def __init__(self, rule: Callable[[Csr], np.ndarray]) -> None:
        self.rule = rule

    def score(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return np.zeros(len(users), dtype=np.float32)

    def ranks(self, held: Csr, exclude: Csr) -> np.ndarray:
        return self.rule(held)


def first(held: Csr) -> np.ndarray:
    """Return the ranks of a scorer that is always right."""
    return (np.arange(len(held.items)) - held.indptr[held.users] + 1).astype(np.int32)


def test_ranks_within_the_contract_count() -> None:
    assert tm.evaluate(Theirs(first), SPLIT)["ndcg@10"] == 1


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (lambda held: first(held) - 1, r"ranks of Theirs gave 0; a rank is in 1\.\.30"),
        (lambda held: first(held) + 30, r"gave \d+; a rank is in 1\.\.30"),
        (lambda held: first(held)[:-1], r"of shape .*a whole number for each of \d+ held-out"),
        (lambda held: first(held) * np.nan, "float64 of shape"),
        (lambda held: first(held) * 0 + 1, "one rank to two items of a user"),
    ],
)
def test_others_are_refused(rule: Callable[[Csr], np.ndarray], told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        tm.evaluate(Theirs(rule), SPLIT)
