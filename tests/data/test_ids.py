import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimetric.data import Vocabulary
from trimetric.errors import DataError, ParameterError

INTS = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, unique=True)
TEXTS = st.lists(st.text(), min_size=1, unique=True)


@given(INTS | TEXTS)
def test_encode_and_decode_are_inverse(ids):
    vocabulary = Vocabulary.from_values(pl.Series(ids))
    assert vocabulary.decode(vocabulary.encode(ids)).to_list() == ids
    rows = np.arange(len(ids))
    np.testing.assert_array_equal(vocabulary.encode(vocabulary.decode(rows)), rows)
    assert vocabulary.encode(ids).dtype == np.int32


@given(INTS | TEXTS)
def test_arrays_bring_the_ids_back(ids):
    vocabulary = Vocabulary.from_values(pl.Series(ids))
    again = Vocabulary.from_arrays(vocabulary.to_arrays())
    assert again.values.to_list() == vocabulary.values.to_list()
    assert again.kind == vocabulary.kind


def test_ids_match_only_their_own_type():
    ints = Vocabulary.from_values(pl.Series([7, 2**53 + 1]))
    texts = Vocabulary.from_values(pl.Series(["7", "007"]))
    assert ints.encode([7, "7", True, None, 7.0, 7.5, 2**53, 2**70]).tolist() == [
        0, -1, -1, -1, 0, -1, -1, -1,
    ]  # fmt: skip
    assert texts.encode(["007", 7, "07", None]).tolist() == [0, -1, -1, -1]


@pytest.mark.parametrize("make", [list, tuple, np.array, pl.Series, pd.Series, iter])
def test_encode_takes_any_sequence(make):
    assert Vocabulary.from_values(pl.Series([5, 3])).encode(make([3, 4, 5])).tolist() == [0, -1, 1]
    letters = Vocabulary.from_values(pl.Series(["b", "a"]))
    assert letters.encode(make(["a", "c", "b"])).tolist() == [0, -1, 1]


def test_encode_takes_unsigned_and_nulls():
    vocabulary = Vocabulary.from_values(pl.Series([1, 2]))
    assert vocabulary.encode(np.array([2, 2**64 - 1], dtype=np.uint64)).tolist() == [1, -1]
    assert vocabulary.encode(pl.Series([None, 1])).tolist() == [-1, 0]
    assert vocabulary.encode([]).shape == (0,)


@pytest.mark.parametrize("single", ["u42", 42, b"u"])
def test_a_single_id_is_refused(single):
    with pytest.raises(ParameterError, match="must be a list"):
        Vocabulary.from_values(pl.Series(["u"])).encode(single)


def test_parse_reads_what_is_typed():
    assert Vocabulary.from_values(pl.Series([1])).parse(["7", "007", "x", "-3"]) == [
        7, "007", "x", -3,
    ]  # fmt: skip
    assert Vocabulary.from_values(pl.Series(["1"])).parse(["7", "x"]) == ["7", "x"]


@pytest.mark.parametrize(
    "arrays",
    [
        {"names": np.arange(3)},
        {"ids": np.array([2, 1])},
        {"ids": np.array([1, 1])},
        {"utf8": np.frombuffer(b"ab", np.uint8), "offsets": np.array([0, 1])},
        {"utf8": np.frombuffer(b"ab", np.uint8), "offsets": np.array([0, 2, 1, 2])},
        {"utf8": np.frombuffer(b"\xff", np.uint8), "offsets": np.array([0, 1])},
        {"utf8": np.frombuffer(b"ba", np.uint8), "offsets": np.array([0, 1, 2])},
    ],
)
def test_damaged_arrays_are_refused(arrays):
    with pytest.raises(DataError):
        Vocabulary.from_arrays(arrays)


def test_rows_of_a_vocabulary_are_whole_numbers():
    ids = Vocabulary.from_values(pl.Series([5, 7]))
    assert ids[np.uint8(1)] == 7
    for row in (0.5, "1", None):
        with pytest.raises(TypeError, match="integer"):
            ids[row]
