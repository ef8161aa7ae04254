"""Summaries count what is there."""

import json

import numpy as np
import pytest

from trimetric.data import Interactions, summarize


def test_counts_of_all_kinds() -> None:
    frame = {
        "user": ["a", "a", "a", "b", "b"],
        "item": [1, 2, 1, 1, 3],
        "rating": [5.0, 3.0, 4.0, float("nan"), 1.0],
        "timestamp": [0, 86400, 100, 5, 9],
        "split": ["train", "test", "train", "train", "train"],
    }
    summary = summarize(Interactions.from_frame(frame, nulls="drop"))
    assert json.loads(json.dumps(summary)) == summary
    assert (summary["users"], summary["items"], summary["pairs"]) == (2, 3, 3)
    assert summary["columns"] == ["user", "item", "rating", "timestamp", "split"]
    assert summary["density"] == 0.5
    assert summary["ids"] == {"user": "str", "item": "int"}
    assert (summary["rows"]["nulls"], summary["rows"]["duplicates"]) == (1, 1)
    assert summary["ratings"] == {"1": 1, "3": 1, "4": 1}
    assert summary["time"]["to"] == "1970-01-02 00:00:00 UTC"
    assert summary["pairs_a_user"] == {"min": 1, "median": 1.5, "mean": 1.5, "max": 2}
    assert summary["split"] == {"test": 1, "train": 2}


def test_many_ratings_are_binned_and_odd_times_are_no_dates() -> None:
    ratings = np.arange(40) / 8
    data = Interactions.from_arrays(range(40), range(40), ratings, [2**62] * 40, time_format="s")
    summary = summarize(data)
    assert list(summary["ratings"].values()) == [4] * 10  # 0 to 4.875 in ten steps
    assert list(summary["ratings"])[:2] == ["0..0.4875", "0.4875..0.975"]
    assert list(summary["ratings"])[-1] == "4.3875..4.875"
    assert summary["time"]["to"] is None


@pytest.mark.parametrize(("distinct", "shown"), [(12, 12), (13, 10)])
def test_up_to_twelve_values_are_counted_each_for_itself(distinct: int, shown: int) -> None:
    ratings = [float(n % distinct) for n in range(26)]
    data = Interactions.from_arrays(range(26), range(26), ratings)
    summary = summarize(data)
    assert len(summary["ratings"]) == shown
    assert sum(summary["ratings"].values()) == 26


def test_a_log_without_repeats_names_no_rule_for_them() -> None:
    data = Interactions.from_arrays([1, 1, 1, 2, 3], [1, 2, 3, 1, 1])
    summary = summarize(data)
    assert "repeats" not in summary["rows"]
    assert (summary["rows"]["rows_read"], summary["rows"]["duplicates"]) == (5, 0)
    assert summary["pairs_a_user"] == {"min": 1, "median": 1.0, "mean": 1.67, "max": 3}
    assert summarize(Interactions.from_arrays([1, 1], [1, 1]))["rows"]["repeats"] == "latest"
