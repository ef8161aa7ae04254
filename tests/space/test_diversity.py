"""Diverse lists against twins that follow the formulas item by item."""

import numpy as np
import pytest

from trimetric.space import diversity
from trimetric.space.diversity import diversified, pool_size


def setting(seed: int, size: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    users = (size * rng.normal(size=(4, 5))).astype(np.float32)
    items = (size * rng.normal(size=(40, 5))).astype(np.float32)
    d2 = ((users[:, None].astype(float) - items[None]) ** 2).sum(axis=2)
    return users, items, np.argsort(d2, axis=1)[:, :20].astype(np.int32)


def mmr_twin(user: np.ndarray, points: np.ndarray, k: int, strength: float) -> list[int]:
    """Carbonell and Goldstein 1998, with −d² as both similarities."""
    chosen: list[int] = []
    while len(chosen) < k:
        values = {}
        for i in set(range(len(points))) - set(chosen):
            relevance = -((user - points[i]) ** 2).sum()
            if chosen:
                likeness = max(-((points[i] - points[j]) ** 2).sum() for j in chosen)
                relevance = (1 - strength) * relevance - strength * likeness
            values[i] = relevance
        chosen.append(max(sorted(values), key=values.__getitem__))
    return chosen


def dpp_twin(user: np.ndarray, points: np.ndarray, k: int, strength: float) -> list[int]:
    """Chen, Zhang and Zhou 2018, equation (1), by whole determinants."""
    to_user = ((user - points) ** 2).sum(axis=1)
    h = to_user.mean()
    kernel = np.exp(-((points[:, None] - points[None]) ** 2).sum(axis=2) / (2 * h))
    chosen = [int(np.argmin(to_user))]
    while len(chosen) < k:
        values = {}
        for i in set(range(len(points))) - set(chosen):
            both = [*chosen, i]
            gain = np.linalg.slogdet(kernel[np.ix_(both, both)])[1]
            gain -= np.linalg.slogdet(kernel[np.ix_(chosen, chosen)])[1]
            values[i] = (1 - strength) * -to_user[i] / h + strength * gain
        chosen.append(max(sorted(values), key=values.__getitem__))
    return chosen


@pytest.mark.parametrize("strength", [0.0, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize(("method", "twin"), [("mmr", mmr_twin), ("dpp", dpp_twin)])
@pytest.mark.parametrize(("size", "cells"), [(1.0, 4_000_000), (0.05, 1), (20.0, 200)])
def test_lists_are_those_of_the_formula(
    method: str,
    twin,
    strength: float,
    size: float,
    cells: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a space of any size, and however many cells are handled at once."""
    monkeypatch.setattr(diversity, "CELLS_AT_ONCE", cells)
    users, items, listed = setting(3, size)
    chosen = diversified(users, items, listed, 8, strength, method)
    for user, row, mine in zip(users, listed, chosen, strict=True):
        expected = twin(user.astype(float), items[row].astype(float), 8, strength)
        assert mine.tolist() == expected
    alone = [diversified(users[i : i + 1], items, listed[i : i + 1], 8, strength, method)[0]
             for i in range(4)]  # fmt: skip
    assert (chosen == alone).all()


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_short_lists_and_copies_of_an_item(method: str) -> None:
    users, items, listed = setting(1)
    items[listed[:, 5]] = items[listed[:, 4]]
    listed[0, 3:] = -1
    listed[1] = -1
    chosen = diversified(users, items, listed, 8, 0.6, method)
    assert sorted(chosen[0].tolist()) == [-1] * 5 + [0, 1, 2]
    assert (chosen[1] == -1).all()
    for row in chosen[2:]:
        assert len(set(row.tolist())) == 8


@pytest.mark.parametrize(("method", "twin"), [("mmr", mmr_twin), ("dpp", dpp_twin)])
def test_what_is_past_the_end_of_a_list_does_not_count(method: str, twin) -> None:
    users, items, listed = setting(4)
    listed[:, 7:] = -1
    for user, row, mine in zip(
        users, listed, diversified(users, items, listed, 9, 0.3, method), strict=True
    ):
        expected = twin(user.astype(float), items[row[:7]].astype(float), 7, 0.3)
        assert mine.tolist() == [*expected, -1, -1]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_items_at_one_point_are_all_listed(method: str, strength: float) -> None:
    users, items, listed = setting(5)
    items[listed[0]] = items[listed[0, 0]]
    users[0] = items[listed[0, 0]]
    listed[1] = -1
    chosen = diversified(users[:2], items, listed[:2], 20, strength, method)
    assert sorted(chosen[0].tolist()) == list(range(20))
    assert (chosen[1] == -1).all()
    assert diversified(users, items, listed[:, :0], 5, strength, method).shape == (4, 0)


def test_lists_are_chosen_from_ten_times_as_many_items_and_a_hundred_at_least() -> None:
    assert [pool_size(k) for k in (1, 10, 11, 50)] == [100, 100, 110, 500]


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_more_strength_spreads_lists(method: str) -> None:
    users, items, listed = setting(2)

    def spread(strength: float) -> float:
        chosen = diversified(users, items, listed, 5, strength, method)
        points = items[np.take_along_axis(listed, chosen, axis=1)]
        return float(((points[:, :, None] - points[:, None]) ** 2).sum(axis=3).mean())

    assert spread(0.0) < spread(0.5) < spread(1.0)
