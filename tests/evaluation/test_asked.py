"""Metrics and cutoffs that a person asks for."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import trimetric as tm
from trimetric.errors import ParameterError
from trimetric.evaluation import FullRanking
from trimetric.evaluation.asked import asked_of

USUAL = FullRanking(at=(5, 10))


@pytest.mark.parametrize(
    ("metrics", "at", "cutoffs", "names"),
    [
        (None, None, (5, 10), ()),
        (None, 3, (3,), ()),
        (None, [2, 9], (2, 9), ()),
        ("recall", None, (5, 10), ("recall@5", "recall@10")),
        (" Hit ", 3, (3,), ("hit_rate@3",)),
        (["ndcg@20", "map"], None, (20,), ("ndcg@20", "map")),
        ("auc", None, (5, 10), ("auc",)),
        ("map", [7], (7,), ("map@7",)),
        (["mrr", "auc"], np.int64(3), (3,), ("mrr@3", "auc")),
        (["recall", "ndcg@4", "ndcg"], (3, 7), (3, 7, 4), None),
        ([], None, (5, 10), ()),
    ],
)
def test_what_is_asked_for_is_reported(metrics, at, cutoffs, names):
    how, found = asked_of(USUAL, metrics, at)
    assert how == FullRanking(at=cutoffs)
    if names is None:
        names = ("recall@3", "recall@7", "ndcg@4", "ndcg@3", "ndcg@7")
    assert found == names


@pytest.mark.parametrize(
    ("metrics", "at", "told"),
    [
        (5, None, "metrics must be names such as ndcg@10, got 5"),
        ([5], None, "unknown metric 5"),
        ("accuracy", None, "unknown metric 'accuracy'"),
        ("recall@0", None, "unknown metric 'recall@0'"),
        (None, 0, "unknown metric 'ndcg@0'"),
        (None, 5.0, r"at must be cutoffs such as \(5, 10\), got 5.0"),
        (None, "12", "at must be cutoffs"),
        (None, ["3"], "at must be cutoffs"),
        (None, [2.5], "at must be cutoffs"),
    ],
)
def test_what_is_no_metric_or_cutoff_is_refused(metrics, at, told):
    with pytest.raises(ParameterError, match=told):
        asked_of(USUAL, metrics, at)


def test_a_protocol_without_cutoffs_takes_none():
    theirs = SimpleNamespace(name="theirs")
    assert asked_of(theirs, None, None) == (theirs, ())
    for given in (("recall", None), (None, 5)):
        with pytest.raises(ParameterError, match="theirs has its own metrics"):
            asked_of(theirs, *given)


def test_cutoffs_of_numpy_are_plain_numbers_in_results():
    data = tm.Interactions.from_arrays([1, 1, 2, 2], [1, 2, 2, 3])
    held = tm.Interactions.from_arrays([1], [3])
    found = tm.evaluate(tm.Popularity().fit(data), held, at=np.array([1, 2]), metrics="recall")
    assert json.loads(json.dumps(found.to_dict()))["protocol"]["at"] == [1, 2]
    assert found.reported == {"recall@1": 1, "recall@2": 1}
