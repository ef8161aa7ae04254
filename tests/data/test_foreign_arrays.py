"""Arrays of other libraries, by NumPy's protocol: columns, ids, pairs and weights."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import trimetric as tm
from trimetric.errors import DataError, ParameterError

PAIRS = [(1, 10), (1, 11), (2, 10), (2, 12), (3, 11), (3, 12), (4, 10)]


class Tensor:
    """What PyTorch's tensors are to others: no sequence, and their entries are arrays too."""

    def __init__(self, values: Any, device: str = "cpu") -> None:
        self.values, self.device = np.asarray(values), device
        self.shape, self.ndim = self.values.shape, self.values.ndim

    def __iter__(self) -> Iterator["Tensor"]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return map(Tensor, self.values)

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if self.device != "cpu":
            raise TypeError(f"can't convert {self.device} device type tensor to numpy")
        return np.asarray(self.values, dtype)


def of_torch(values: Any, **options: Any) -> Any:
    import torch

    return torch.tensor(values, **options)


MAKERS = [Tensor, of_torch] if find_spec("torch") else [Tensor]


@pytest.fixture(scope="module")
def model() -> tm.SML:
    return tm.SML(dim=4, epochs=1, temperature=0.2, seed=0).fit(PAIRS)


@pytest.mark.parametrize("make", MAKERS)
def test_they_are_columns(make: Any) -> None:
    users, items = zip(*PAIRS, strict=True)
    data = tm.Interactions((make(users), make(items)))
    assert data.fingerprint == tm.Interactions(PAIRS).fingerprint
    rated = tm.Interactions({"user": make(users), "item": make(items), "rating": make([2.5] * 7)})
    assert rated.ratings.tolist() == [2.5] * 7


@pytest.mark.parametrize("make", MAKERS)
def test_they_are_ids_pairs_and_weights(make: Any, model: tm.SML) -> None:
    assert model.recommend(make([1, 4]), k=2).equals(model.recommend([1, 4], k=2))
    assert model.recommend(make(4), k=2).equals(model.recommend(4, k=2))
    assert model.recommend([make(1), make(4)], k=2).equals(model.recommend([1, 4], k=2))
    assert model.similar_items(make([10]), 1).equals(model.similar_items([10], 1))
    assert (model.score(make(PAIRS)) == model.score(PAIRS)).all()
    weighted = model.recommend_for([10, 11], weights=[1.0, 3.0], k=1)
    assert model.recommend_for(make([10, 11]), weights=make([1.0, 3.0]), k=1).equals(weighted)
    assert model.recommend(4, allow=make([12]))["item"].to_list() == [12]


def test_what_cannot_be_handed_over_or_has_no_order_is_refused(model: tm.SML) -> None:
    away = Tensor([1, 2], device="cuda:0")
    for call in (lambda: tm.Interactions((away, [1, 2])), lambda: model.recommend(away)):
        with pytest.raises(ParameterError, match="a Tensor cannot be read as an array: can't conv"):
            call()
    with pytest.raises(ParameterError, match=r"an array of shape \(2, 1\)"):
        model.recommend(Tensor([[1], [2]]))
    with pytest.raises(DataError, match="must have one dimension"):
        tm.Interactions((Tensor([[1], [2]]), [1, 2]))
    with pytest.raises(DataError, match="user is a set, which has no order"):
        tm.Interactions(({1, 2}, [1, 2]))
    ordered = dict.fromkeys([5, 3])
    assert tm.Interactions((ordered.keys(), ordered.keys())).user_ids[:].to_list() == [3, 5]
