"""Lists of rows as frames, written out by hand."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from trimetric.data.ids import Vocabulary
from trimetric.errors import ParameterError
from trimetric.space.lists import check_k, ranked_frame


@pytest.mark.parametrize("k", [1, 10, np.int32(3), 1_000_000])
def test_lengths_of_lists(k: Any) -> None:
    assert check_k(k) == k
    assert type(check_k(k)) is int


@pytest.mark.parametrize("k", [0, -1, 1_000_001, 2.0, "3", True, None, np.array([2])])
def test_what_is_no_length_is_refused(k: Any) -> None:
    with pytest.raises(ParameterError, match=r"k must be a whole number in 1\.\.1000000, got"):
        check_k(k)


def test_rows_by_rank() -> None:
    candidates = Vocabulary.from_values(pl.Series(["a", "b", "c", "d"]))
    keys = pl.Series([30, 10, 20])
    items = np.array([[3, 1], [-1, -1], [0, -1]], dtype=np.int32)
    scores = np.array([[-0.5, np.nan], [np.nan, np.nan], [-2, np.nan]], dtype=np.float32)
    found = ranked_frame(keys, (items, scores), candidates, ("user", "item"), metric=False)
    assert found.schema == {
        "user": pl.Int64,
        "item": pl.String,
        "rank": pl.Int32,
        "score": pl.Float32,
    }
    assert found.rows() == [(30, "d", 1, -0.5), (30, "b", 2, None), (20, "a", 1, -2.0)]
    before = np.array([[7, 0], [0, 0], [1, 0]])
    found = ranked_frame(keys, (items, scores), candidates, ("a", "b"), metric=True, before=before)
    assert found.columns == ["a", "b", "rank", "score", "distance", "rank_by_score"]
    assert found.schema["distance"] == pl.Float32
    assert found.schema["rank_by_score"] == pl.Int32
    assert found.rows() == [
        (30, "d", 1, -0.5, 0.5, 7),
        (30, "b", 2, None, None, None),
        (20, "a", 1, -2.0, 2.0, 1),
    ]
