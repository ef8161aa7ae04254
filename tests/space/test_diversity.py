"""Diverse lists against twins that follow the formulas item by item."""

import numpy as np
import pytest

from trimetric.space.diversity import diversified


def setting(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    users = rng.normal(size=(4, 5)).astype(np.float32)
    items = rng.normal(size=(40, 5)).astype(np.float32)
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
def test_lists_are_those_of_the_formula(method: str, twin, strength: float) -> None:
    users, items, listed = setting(3)
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


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_more_strength_spreads_lists(method: str) -> None:
    users, items, listed = setting(2)

    def spread(strength: float) -> float:
        chosen = diversified(users, items, listed, 5, strength, method)
        points = items[np.take_along_axis(listed, chosen, axis=1)]
        return float(((points[:, :, None] - points[:, None]) ** 2).sum(axis=3).mean())

    assert spread(0.0) < spread(0.5) < spread(1.0)
