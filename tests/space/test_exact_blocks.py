"""The nearest of points in a file are those of points in memory."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimetric.data.csr import Csr
from trimetric.space.exact import is_mapped, nearest, nearest_by_blocks


@given(
    st.integers(1, 40),
    st.integers(1, 12),
    st.integers(1, 9),
    st.integers(0, 2**16),
    st.booleans(),
)
def test_blocks_change_nothing(n: int, k: int, at_once: int, seed: int, some: bool) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 3, (n, 4)).astype(np.float32)  # many ties
    queries = points[rng.integers(0, n, 5)]
    pairs = rng.random((5, n)) < 0.3
    excluded = Csr.from_pairs(*(axis.astype(np.int32) for axis in np.nonzero(pairs)), 5)
    rows = np.flatnonzero(rng.random(n) < 0.6).astype(np.int32) if some else None
    expected = nearest(queries, points, k, excluded, rows)
    found = nearest_by_blocks(queries, points, k, excluded, rows, at_once)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other[:, : one.shape[1]])
        assert other.shape[1] == one.shape[1] or (found[0][:, one.shape[1] :] < 0).all()


@pytest.mark.parametrize("shape", [(3, 4), (7,)])
def test_what_lies_in_a_file_is_told(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.memmap(tmp_path / "a", np.float32, "w+", shape=shape)
    assert is_mapped(array)
    assert is_mapped(array.view(np.ndarray)[1:])
    assert not is_mapped(np.array(array))
    assert not is_mapped(np.zeros(shape)[1:])
