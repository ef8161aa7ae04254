"""Users held out whole, and folds for cross-validation."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from trimetric import counter
from trimetric.data.interactions import Interactions
from trimetric.data.splits import TEST, TRAIN, VALID, Split, parts_of
from trimetric.errors import DataError, ParameterError
from trimetric.keywords import check_seed, plain

USERS, HISTORIES, STOPPING, FOLDS = 104, 105, 106, 107
HISTORY, LEFT_OUT = 3, 4


def split_users(
    data: Any, *, test: float = 0.1, history: float = 0.8, valid: float = 0.1, seed: int = 0
) -> Split:
    """Hold users out whole: strong generalisation (Liang et al., WWW 2018).

    Of n users, floor(test * n) are drawn, at least one, among those with two pairs or more. A
    random `history` share of each one's pairs, rounded up, but neither none nor all of them, is
    what the user is folded in by (`Split.history`); the rest is the test part. Nothing of these
    users is in train. As there, items that no other user has are left out of their pairs, and
    counted in `how` as "left_out", as are drawn users of whom fewer than two pairs remain.

    The validation part, by which models stop, is a random share of each other user's pairs, rounded
    down: at .1 users with fewer than ten pairs have none there. `how["shares"]` tells what was
    achieved.

    Parameters
    ----------
    data : Interactions, or what `Interactions.of` reads
    test : float
        Share of the users to hold out, in (0, 1).
    history : float
        Share of each one's pairs to fold in by, in (0, 1).
    valid : float
        Share of each other user's pairs, in [0, 1); 0 for no validation part.
    seed : int

    Raises
    ------
    ParameterError
        A share is out of range.
    DataError
        No user could be held out, or none is left to train on.
    """
    for name, share, least in (
        ("test", test, False),
        ("history", history, False),
        ("valid", valid, True),
    ):
        if not _is_share(share, least):
            raise ParameterError(
                f"{name} must be a share {'of 0 or more' if least else 'above 0'} and below 1,"
                f" got {share!r}"
            )
    test, history, valid = plain(test), plain(history), plain(valid)
    seed, data = check_seed(seed), Interactions.of(data)
    counts = np.diff(data.indptr)
    eligible = np.flatnonzero(counts >= 2)
    n_held = max(1, int(np.floor(test * np.count_nonzero(counts) + 1e-9)))
    if len(eligible) == 0 or n_held >= np.count_nonzero(counts):
        raise DataError(
            f"{data.name}: too few users with two interactions to hold some out whole;"
            " split_per_user holds out a part of each"
        )
    order = counter.permutation(counter.key(seed, USERS), len(eligible))
    held = np.zeros(data.n_users, dtype=bool)
    held[eligible[order[:n_held]]] = True
    mine = held[data.users]
    in_train = np.bincount(data.items[~mine], minlength=data.n_items) > 0
    usable = mine & in_train[data.items]
    usable &= (np.bincount(data.users[usable], minlength=data.n_users) >= 2)[data.users]
    part = np.where(mine, LEFT_OUT, TRAIN)
    place, size = _shuffled(data, usable, counter.key(seed, HISTORIES))
    kept = np.clip(np.ceil(history * size - 1e-9).astype(np.int64), 1, size - 1)
    part[usable] = np.where(place < kept, HISTORY, TEST)
    place, size = _shuffled(data, ~mine, counter.key(seed, STOPPING))
    stopping = np.floor(valid * size + 1e-9).astype(np.int64)
    part[~mine] = np.where(place >= size - np.minimum(stopping, size - 1), VALID, TRAIN)
    left_out = int((part == LEFT_OUT).sum())
    settings = {"test": test, "history": history, "valid": valid, "seed": seed}
    settings |= {"users_held_out": len(np.unique(data.users[usable])), "left_out": left_out}
    split = parts_of(data, part, "users", settings)
    histories = data.take(part == HISTORY)
    how = split.how
    how["pairs"]["history"] = len(histories)
    how["shares"]["history"] = round(len(histories) / len(data), 6)
    return replace(split, history=histories)


def kfold(data: Any, folds: int = 5, *, valid: float = 0.0, seed: int = 0) -> Iterator[Split]:
    """Cut the pairs into folds at random, and yield a split for each that holds it out.

    Each pair is in the test part of exactly one split. A user or an item may have nothing left in
    train; evaluation leaves such users out, and counts them.

    Parameters
    ----------
    data : Interactions, or what `Interactions.of` reads
    folds : int
        At least 2, at most the number of pairs. Their sizes differ by one at most.
    valid : float
        Share of the other pairs to hold out for early stopping, in [0, 1).
    seed : int

    Raises
    ------
    ParameterError
        `folds` or `valid` is out of range.
    """
    seed, data = check_seed(seed), Interactions.of(data)
    whole = isinstance(folds, int | np.integer) and not isinstance(folds, bool)
    if not whole or not 2 <= folds <= len(data):
        raise ParameterError(
            f"folds must be a whole number from 2 to the {len(data):,} pairs, got {folds!r};"
            " 5 is usual"
        )
    if not _is_share(valid, zero=True):
        raise ParameterError(f"valid must be a share of 0 or more and below 1, got {valid!r}")
    return _folds(data, int(folds), plain(valid), seed)


def _is_share(value: Any, zero: bool) -> bool:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return number and bool(0 <= value < 1) and (zero or value > 0)


def _folds(data: Interactions, folds: int, valid: float, seed: int) -> Iterator[Split]:
    n = len(data)
    fold = np.empty(n, dtype=np.int64)
    fold[counter.permutation(counter.key(seed, FOLDS), n)] = np.arange(n) % folds
    for number in range(folds):
        rest = np.flatnonzero(fold != number)
        drawn = counter.permutation(counter.key(seed, FOLDS, number + 1), len(rest))
        part = np.where(fold == number, TEST, TRAIN)
        part[rest[drawn[: int(np.floor(valid * len(rest) + 1e-9))]]] = VALID
        settings = {"fold": number, "folds": folds, "valid": valid, "seed": seed}
        yield parts_of(data, part, "fold", settings)


def _shuffled(data: Interactions, mask: np.ndarray, key: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of each masked pair in a random order of its user's, and their number."""
    drawn = counter.bits(key, np.arange(len(data)))[mask]
    users = data.users[mask]
    order = np.lexsort((drawn, users))
    size = np.bincount(users, minlength=data.n_users)
    start = np.cumsum(size) - size
    place = np.empty(len(users), dtype=np.int64)
    place[order] = np.arange(len(users)) - start[users[order]]
    return place, size[users]
