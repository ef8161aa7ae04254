"""All items of parts under one vocabulary, and users of parts as ordinary interactions."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from trimetric import counter
from trimetric.data.csr import Csr, keys
from trimetric.data.ids import Vocabulary
from trimetric.data.interactions import Interactions
from trimetric.scale.hashing import USERS, hashes, part_of
from trimetric.scale.parts import CHUNKS, Parts
from trimetric.scale.sorting import sort_keys

SAMPLE = 204  # a stream of random numbers


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The items of all chunks.

    Parameters
    ----------
    ids : Vocabulary
    rows : int32 (n_items,)
        The row of each item of the chunks, laid end to end.
    """

    ids: Vocabulary
    rows: np.ndarray

    @classmethod
    def of(cls, parts: Parts) -> "Catalogue":
        """Put the ids of all chunks together."""
        ids = [parts.item_ids(chunk).values for chunk in range(parts.n_parts * CHUNKS)]
        values = pl.concat(ids)
        order = values.arg_sort().to_numpy()
        rows = np.empty(len(order), dtype=np.int32)
        rows[order] = np.arange(len(order), dtype=np.int32)
        return cls(Vocabulary(values.gather(order)), rows)

    def in_order(self, chunked: np.ndarray) -> np.ndarray:
        """Return rows of the chunks, laid end to end, in the order of `ids`."""
        ordered = np.empty_like(chunked)
        ordered[self.rows] = chunked
        return ordered

    def seen(
        self, parts: Parts, part: int, among: np.ndarray | None = None
    ) -> tuple[Csr, np.ndarray | None]:
        """Return the items of the users of a part, and their weights if there are any.

        Parameters
        ----------
        parts : Parts
        part : int
        among : int64 (n,), optional
            The only users to look at, rows in the part, ascending; the lists are theirs.
        """
        n_users, place = int(parts.user_counts[part]), None
        if among is not None:
            place = np.full(n_users, -1, dtype=np.int64)
            place[among], n_users = np.arange(len(among)), len(among)
        start, users, items, weights = 0, [], [], []
        for chunk, n in enumerate(parts.item_counts.tolist()):
            cell = parts.cell(part, chunk)
            rows = cell.users if place is None else place[cell.users]
            keep = slice(None) if place is None else rows >= 0
            users.append(rows[keep])
            items.append(self.rows[start : start + n][cell.items[keep]])
            weights.append(None if cell.weights is None else cell.weights[keep])
            start += n
        return _lists(np.concatenate(users), np.concatenate(items), weights, n_users)


@dataclass(frozen=True, eq=False)
class Sample:
    """Some users of all parts, whose rows follow their ids.

    Parameters
    ----------
    ids : Vocabulary
    part_rows : list of (int, int64 (n,), int64 (n,))
        Parts, rows in them, and rows in the sample.
    seen : Csr
        In the rows of the sample and of the catalogue.
    weights : float32 (n,), or None
    """

    ids: Vocabulary
    part_rows: list[tuple[int, np.ndarray, np.ndarray]]
    seen: Csr
    weights: np.ndarray | None

    @classmethod
    def of(
        cls, parts: Parts, catalogue: Catalogue, ids: Vocabulary, most: int | None = None
    ) -> "Sample":
        """Find users by their ids; those that are unknown are left out.

        Of more than `most` users, those whose hashes are smallest are taken.
        """
        part = part_of(ids, parts.n_parts, USERS)
        rows = np.full(len(ids), -1, dtype=np.int64)
        for one in np.unique(part).tolist():
            at = np.flatnonzero(part == one)
            rows[at] = parts.user_ids(one).encode(ids.decode(at))
        kept = np.flatnonzero(rows >= 0)
        if most is not None and len(kept) > most:
            drawn = counter.bits(counter.key(SAMPLE), hashes(Vocabulary(ids.decode(kept))))
            kept = np.sort(kept[np.argsort(drawn, kind="stable")[:most]])
        part, rows, placed = part[kept], rows[kept], []
        users, items, weights = [], [], []
        for one in np.unique(part).tolist():
            at = np.flatnonzero(part == one)
            placed.append((one, rows[at], at))
            theirs, counts = catalogue.seen(parts, one, rows[at])
            users.append(at[theirs.users])
            items.append(theirs.items)
            weights.append(counts)
        none = np.zeros(0, dtype=np.int32)
        lists = np.concatenate([none, *users]), np.concatenate([none, *items])
        return cls(Vocabulary(ids.decode(kept)), placed, *_lists(*lists, weights, len(kept)))

    def interactions(self, catalogue: Catalogue, name: str) -> Interactions:
        """Return what the users have as interactions, with the items among them only."""
        present = np.unique(self.seen.items)
        items = np.searchsorted(present, self.seen.items)
        return Interactions.from_rows(
            self.ids,
            Vocabulary(catalogue.ids.decode(present)),
            self.seen.users,
            items,
            name=name,
            weights=self.weights,
        )


def users_with(parts: Parts, most_pairs: int) -> Vocabulary:
    """Return users who have about so many interactions, or all: chosen by their hashes alone.

    They are taken part by part, so that only some parts are read.
    """
    left, found = most_pairs * parts.n_parts / max(len(parts), 1), []
    for part in range(parts.n_parts):
        ids = parts.user_ids(part)
        if left < 1 and len(parts) > most_pairs:
            drawn = counter.bits(counter.key(SAMPLE), hashes(ids))
            ids = Vocabulary(ids.decode(np.flatnonzero(drawn < np.uint64(left * (2**64 - 1025)))))
        found.append(ids.values)
        left -= 1
        if left <= 0 and len(parts) > most_pairs:
            break
    return Vocabulary(pl.concat(found).sort())


def items_with_interactions(parts: Parts, catalogue: Catalogue) -> np.ndarray:
    """Return the items that some user has, int32 ascending, in rows of the catalogue."""
    found = np.zeros(len(catalogue.rows), dtype=bool)
    ends = np.concatenate([[0], np.cumsum(parts.item_counts)])
    for part in range(parts.n_parts):
        for chunk in range(parts.n_parts * CHUNKS):
            found[ends[chunk] + parts.cell(part, chunk).items] = True
    return np.flatnonzero(catalogue.in_order(found)).astype(np.int32)


def _lists(
    users: np.ndarray, items: np.ndarray, weights: list[np.ndarray | None], n_users: int
) -> tuple[Csr, np.ndarray | None]:
    """Return pairs of users and items as lists that ascend, and their weights."""
    indptr = np.zeros(n_users + 1, dtype=np.int64)
    np.cumsum(np.bincount(users, minlength=n_users), out=indptr[1:])
    given = [one for one in weights if one is not None]
    if given:
        order = np.argsort(keys(users, items))
        return Csr(indptr, items[order]), np.concatenate(given)[order]
    width = int(items.max(initial=0)).bit_length()
    packed = users.astype(np.int64) << width | items
    ordered = sort_keys(packed, max(n_users, 1) << width)
    return Csr(indptr, (ordered & ((1 << width) - 1)).astype(np.int32)), None
