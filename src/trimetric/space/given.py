"""Ids and weights as callers give them, as plain Python values: one place for all answers.

Ids come as one id, a list, an iterator, or an array of NumPy, pandas, Polars, PyArrow or PyTorch.
Weights belong to ids: by their order, or by id where they come as a mapping or an indexed pandas
Series.
"""

from collections.abc import Iterable, Mapping, Set
from typing import Any, Literal

import numpy as np

from trimetric.data.foreign_arrays import as_numpy, is_missing
from trimetric.data.ids import Vocabulary
from trimetric.errors import ParameterError, UnknownIds

NOT_TRAINED_ON = "the model was not trained on them"
KINDS = {"int": "whole numbers", "str": "text"}


LEAST_WEIGHT, MOST_WEIGHT = 1e-9, 1e9  # beyond them float32 sums of squares vanish or overflow


def ids_of(given: Any, noun: str = "id", *, single: bool = True) -> list:
    """Return ids as a list of plain Python values.

    Parameters
    ----------
    given : id, or iterable of ids
        Not a mapping, a table or an array of several axes, whose ids would be a guess.
    noun : str
        What the ids are of, for messages.
    single : bool
        Whether one id may stand for a list of it.

    Raises
    ------
    ParameterError
        It is none of these, or an id is missing: None, NaN, a null, a masked value.
    """
    given = as_numpy(given)
    value = _plain(given)
    if isinstance(value, str | bytes | int | float) or is_missing(value):
        if not single:
            raise ParameterError(f"{noun} must be a list of ids, got {value!r}; give [{value!r}]")
        if is_missing(value):
            raise ParameterError(f"{noun}: expected an id or a list of ids, got {given!r}")
        return [value]
    if isinstance(given, Mapping):
        raise ParameterError(f"{noun}: expected a list of ids, got a mapping of {_few(given)}")
    if hasattr(type(given), "columns") or hasattr(type(given), "column_names"):
        raise ParameterError(
            f"{noun}: expected a list of ids, got a table; give one of its columns"
        )
    if getattr(given, "ndim", 1) > 1:
        raise ParameterError(
            f"{noun}: expected a list of ids, got an array of shape {tuple(given.shape)}"
        )
    if not isinstance(given, Iterable):
        raise ParameterError(f"{noun}: expected an id or a list of ids, got {given!r}")
    if isinstance(given, np.ndarray) and np.ma.is_masked(given):
        at = int(np.flatnonzero(np.ma.getmaskarray(given))[0])
        raise ParameterError(f"{noun} {at + 1} is masked; give only ids that are there")
    if isinstance(given, np.ndarray) and given.dtype.kind in "iuU":
        return given.tolist()
    values = [_plain(value) for value in given]
    for at, value in enumerate(values):
        if is_missing(value):
            raise ParameterError(f"{noun} {at + 1} is missing ({value!r}); leave it out")
        if not isinstance(value, str | bytes | int | float):
            shown = repr(value) if len(repr(value)) < 80 else type(value).__name__
            raise ParameterError(f"{noun} {at + 1} is no id but {shown}; ids are numbers or text")
    return values


def weighted_ids(given: Any, weights: Any, noun: str) -> tuple[list, np.ndarray]:
    """Return distinct ids in the order given, and their weights, float64, added up by id.

    Parameters
    ----------
    given : id, iterable of ids, or mapping of ids to weights
    weights : mapping of ids to weights, iterable of float in the order of the ids, or None for 1

    Raises
    ------
    ParameterError
        See `ids_of`; a weight is no number above 0, or ids and weights do not match.
    """
    if isinstance(given, Mapping):
        if weights is not None:
            raise ParameterError("weights are given twice: as values of the mapping and as weights")
        given, weights = list(given.keys()), list(given.values())
    ids = ids_of(given, noun)
    by_id = _by_id(weights)
    if by_id is not None:
        counts = _matched(ids, by_id, noun)
    else:
        if isinstance(weights, Set) or (isinstance(given, Set) and weights is not None):
            raise ParameterError(
                "a set has no order, so that weights do not belong to ids; give a mapping of ids to"
                " weights"
            )
        counts = _numbers(weights, len(ids))
    totals: dict[Any, float] = {}
    for value, count in zip(ids, counts.tolist(), strict=True):
        totals[value] = totals.get(value, 0.0) + count
    summed = np.fromiter(totals.values(), dtype=np.float64, count=len(totals))
    return list(totals), summed


def check_type(kind: str, vocabulary: Vocabulary, ids: list, noun: str = "") -> None:
    """Raise where an id is of another type than the model's, so that it could match nothing.

    Parameters
    ----------
    kind : "user" or "item"
    vocabulary : Vocabulary
    ids : list
        Plain values, as `ids_of` returns them.
    noun : str
        Of a filter, whose error is a ParameterError; otherwise it is UnknownIds.
    """
    accepted = str if vocabulary.kind == "str" else (int, float)
    wrong = [v for v in ids if not isinstance(v, accepted) or isinstance(v, bool)]
    if wrong and noun:
        raise ParameterError(
            f"{noun} holds {wrong[0]!r}, and the model's {kind} ids are {vocabulary.kind}: give ids"
            " of that type"
        )
    if wrong:
        raise UnknownIds(
            kind, ids, f"the model's {kind} ids are {vocabulary.kind}: give ids of that type"
        )


def by_key(
    kind: Literal["user", "item"], keys: Vocabulary, given: Mapping, noun: str
) -> dict[Any, Any]:
    """Return a mapping with plain ids as keys; refuse keys of another type than the model's."""
    plain = ids_of(list(given.keys()), noun)
    check_type(kind, keys, plain, noun)
    return dict(zip(plain, given.values(), strict=True))


def _plain(value: Any) -> Any:
    """Return a scalar of NumPy or PyArrow, or an array without axes, as a plain Python value."""
    if isinstance(value, np.ma.core.MaskedConstant):
        return None
    if isinstance(value, np.ma.MaskedArray) and value.ndim == 0:
        return None if np.ma.is_masked(value) else value.item()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, str | bytes | int | float):
        return value
    if getattr(value, "ndim", None) == 0:
        value = as_numpy(value)
        return value.item() if isinstance(value, np.ndarray) else value
    return value.as_py() if hasattr(value, "as_py") else value


def _by_id(weights: Any) -> Mapping | None:
    """Return weights as a mapping where they say whose they are, else None."""
    if isinstance(weights, Mapping):
        return weights
    index = getattr(weights, "index", None)
    if index is None or callable(index) or not hasattr(weights, "to_dict"):
        return None
    if list(index) == list(range(len(index))):  # pandas numbers rows that have no index
        return None
    if not getattr(index, "is_unique", True):
        raise ParameterError("the index of weights repeats an id; give one weight an id")
    return weights.to_dict()


def _matched(ids: list, weights: Mapping, noun: str) -> np.ndarray:
    keys = ids_of(list(weights.keys()), f"weights: {noun}")
    by_id = dict(zip(keys, weights.values(), strict=True))
    missing = [value for value in ids if value not in by_id]
    extra = sorted(set(by_id) - set(ids), key=repr)
    if missing or extra:
        what = f"no weight for {noun} {_few(missing)}" if missing else ""
        more = f"weights for {_few(extra)}, which are not among the {noun}s" if extra else ""
        raise ParameterError(f"{' and '.join(filter(None, (what, more)))}; match them by id")
    return _numbers([by_id[value] for value in ids], len(ids))


def _numbers(weights: Any, n: int) -> np.ndarray:
    if weights is None:
        return np.ones(n)
    listed = [*weights] if _is_list(weights) else None
    if listed is None or len(listed) != n:
        raise ParameterError(
            f"weights must be one number for each of {n}, got {weights!r}; a mapping of ids to"
            " weights is matched by id"
        )
    values = np.empty(n)
    for at, value in enumerate(map(_plain, listed)):
        number = isinstance(value, int | float) or type(value).__name__ == "Decimal"
        if not number or isinstance(value, bool) or not LEAST_WEIGHT <= value <= MOST_WEIGHT:
            raise ParameterError(
                f"weights must be numbers above 0 and finite, {LEAST_WEIGHT:g} to {MOST_WEIGHT:g},"
                f" got {value!r} in {weights!r}; 1 is usual"
            )
        values[at] = float(value)
    return values


def _is_list(weights: Any) -> bool:
    one_axis = getattr(weights, "ndim", 1) == 1 and not hasattr(weights, "columns")
    return isinstance(weights, Iterable) and not isinstance(weights, str | bytes) and one_axis


def _few(values: Iterable) -> str:
    shown = [repr(value) for value in values]
    return ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "")
