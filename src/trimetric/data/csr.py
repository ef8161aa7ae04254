"""Items by user in compressed rows: the form in which the engine, models and evaluation pass them.

The helpers work on 64-bit keys `user << 32 | item`, which ascend along any `Csr`.
"""

from typing import NamedTuple, Protocol, Self

import numpy as np


class HasRows(Protocol):
    """Anything with rows of items by user: an `Interactions` or a `Csr`."""

    @property
    def indptr(self) -> np.ndarray:
        """int64[n_users + 1], where each user's items begin."""

    @property
    def items(self) -> np.ndarray:
        """int32[n], item rows."""


class Csr(NamedTuple):
    """The items of each user.

    Parameters
    ----------
    indptr : int64[n_users + 1]
        User u has `items[indptr[u]:indptr[u + 1]]`.
    items : int32[n]
        Item rows, ascending and distinct within a user.
    """

    indptr: np.ndarray
    items: np.ndarray

    @classmethod
    def of(cls, source: HasRows) -> Self:
        """View anything with `indptr` and `items` as a plain Csr; nothing is copied."""
        return cls(source.indptr, source.items)

    @classmethod
    def empty(cls, n_users: int) -> Self:
        """Return empty rows."""
        return cls(np.zeros(n_users + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))

    @classmethod
    def from_pairs(cls, users: np.ndarray, items: np.ndarray, n_users: int) -> Self:
        """Sort (user, item) pairs, in any order and with repeats, into rows of distinct items."""
        return cls.from_keys(np.unique(keys(users, items)), n_users)

    @classmethod
    def from_keys(cls, keys: np.ndarray, n_users: int) -> Self:
        """Build from ascending, distinct keys."""
        counts = np.bincount(keys >> 32, minlength=n_users)
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(indptr, (keys & 0xFFFFFFFF).astype(np.int32))

    @property
    def n_users(self) -> int:
        """Number of rows."""
        return len(self.indptr) - 1

    @property
    def counts(self) -> np.ndarray:
        """int64[n_users], how many items each user has."""
        return np.diff(self.indptr)

    @property
    def users(self) -> np.ndarray:
        """int32[n], the user of each entry of `items`."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), self.counts)

    def keep(self, mask: np.ndarray) -> Self:
        """Keep the entries where `mask` (bool[n]) holds; the users stay, possibly empty."""
        kept = np.concatenate([[0], np.cumsum(mask)])
        return type(self)(kept[self.indptr].astype(np.int64), self.items[mask])

    def take(self, users: np.ndarray) -> Self:
        """Return the lists of `users` (int[m], any order, repeats allowed), one row each."""
        users = users.astype(np.int64)
        counts = self.indptr[users + 1] - self.indptr[users]
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        position = np.arange(indptr[-1]) - np.repeat(indptr[:-1] - self.indptr[users], counts)
        return type(self)(indptr, self.items[position])

    def union(self, other: "Csr") -> Self:
        """Return the items that either has; both must have the same users."""
        if len(other.items) == 0:
            return self
        if len(self.items) == 0:
            return type(self)(other.indptr, other.items)
        mine, theirs = keys(self.users, self.items), keys(other.users, other.items)
        both = np.sort(np.concatenate([mine, theirs]), kind="stable")  # merges the two runs
        fresh = np.concatenate([[True], both[1:] != both[:-1]])
        return self.from_keys(both[fresh], self.n_users)

    def transposed(self, n_items: int) -> tuple[Self, np.ndarray]:
        """Return the users of each item, ascending, and where each entry stood, int64 (n,)."""
        order = np.argsort(self.items, kind="stable")
        counts = np.bincount(self.items, minlength=n_items)
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return type(self)(indptr, self.users[order]), order

    def is_valid(self, n_items: int) -> bool:
        """Check that `indptr` spans `items`, and each list ascends within 0..n_items - 1."""
        indptr, items = self
        if indptr[0] != 0 or indptr[-1] != len(items) or (np.diff(indptr) < 0).any():
            return False
        inside = ((items >= 0) & (items < n_items)).all()
        return bool(inside and (np.diff(keys(self.users, items)) > 0).all())

    def contains(self, other: "Csr") -> np.ndarray:
        """Return bool[len(other.items)]: which pairs of `other` are here too."""
        return among(keys(self.users, self.items), keys(other.users, other.items))


def weights_in(rows: Csr, *sources: tuple[Csr, np.ndarray | None]) -> np.ndarray | None:
    """Return the weights of the entries of `rows`, each that of the first source which has it.

    Parameters
    ----------
    rows : Csr
    *sources : (Csr, float32[n] or None)
        Rows of the same users, with their weights; None where each counts 1.

    Returns
    -------
    float32[n] or None
        1 where no source has an entry; None if no source has weights.
    """
    if all(weights is None for _, weights in sources):
        return None
    out, wanted = np.ones(len(rows.items), dtype=np.float32), keys(rows.users, rows.items)
    for source, weights in reversed(sources):
        given = keys(source.users, source.items)
        place = np.searchsorted(wanted, given)
        inside = place < len(wanted)
        found = np.flatnonzero(inside)[wanted[place[inside]] == given[inside]]
        out[place[found]] = 1 if weights is None else weights[found]
    return out


def keys(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return `user << 32 | item` as int64 for each pair."""
    return users.astype(np.int64) << 32 | items.astype(np.int64)


def among(known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return for each of `wanted`, of any shape, whether it is in `known`, which ascends."""
    if len(known) == 0:
        return np.zeros(wanted.shape, dtype=bool)
    position = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return known[position] == wanted
