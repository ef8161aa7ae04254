"""All items of parts under one vocabulary, and users of parts as ordinary interactions."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from trimetric import counter
from trimetric.data.csr import Csr, keys
from trimetric.data.ids import Vocabulary
from trimetric.data.interactions import Interactions
from trimetric.engine.negatives import Positives
from trimetric.scale.buckets import bucket
from trimetric.scale.hashing import USERS, hashes, part_of
from trimetric.scale.parts import CHUNKS, Parts

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

    def seen(self, parts: Parts, part: int) -> tuple[Csr, np.ndarray | None]:
        """Return the items of the users of a part, and their weights if there are any."""
        pairs = bucket(parts, part, range(parts.n_parts * CHUNKS))
        return self._in_rows(pairs, slice(None))

    def _in_rows(self, pairs: Positives, keep: np.ndarray | slice) -> tuple[Csr, np.ndarray | None]:
        """Return some pairs in rows of `ids`, ascending within a user."""
        users, items = pairs.users[keep], self.rows[pairs.items[keep]]
        order = np.argsort(keys(users, items))
        indptr = np.zeros(len(pairs.indptr), dtype=np.int64)
        np.cumsum(np.bincount(users, minlength=len(indptr) - 1), out=indptr[1:])
        weights = pairs.weights[keep][order] if len(pairs.weights) else None
        return Csr(indptr, items[order]), weights


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
        for one in np.unique(part).tolist():
            at = np.flatnonzero(part == one)
            placed.append((one, rows[at], at))
        seen, weights = _seen(parts, catalogue, placed, len(kept))
        return cls(Vocabulary(ids.decode(kept)), placed, seen, weights)

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
    """Return users who have about so many interactions, or all: chosen by their hashes alone."""
    share = most_pairs / max(len(parts), 1)
    limit = np.uint64(min(share, 1.0) * (2**64 - 1025))
    found = []
    for part in range(parts.n_parts):
        ids = parts.user_ids(part)
        drawn = counter.bits(counter.key(SAMPLE), hashes(ids))
        keep = np.ones(len(ids), dtype=bool) if share >= 1 else drawn < limit
        found.append(ids.decode(np.flatnonzero(keep)))
    return Vocabulary(pl.concat(found).sort())


def items_with_interactions(parts: Parts, catalogue: Catalogue) -> np.ndarray:
    """Return the items that some user has, int32 ascending, in rows of the catalogue."""
    found = np.zeros(len(catalogue.rows), dtype=bool)
    ends = np.concatenate([[0], np.cumsum(parts.item_counts)])
    for part in range(parts.n_parts):
        for chunk in range(parts.n_parts * CHUNKS):
            found[ends[chunk] + parts.cell(part, chunk).items] = True
    return np.flatnonzero(catalogue.in_order(found)).astype(np.int32)


def _seen(
    parts: Parts,
    catalogue: Catalogue,
    placed: list[tuple[int, np.ndarray, np.ndarray]],
    n_users: int,
) -> tuple[Csr, np.ndarray | None]:
    users, items, weights = [], [], []
    for part, rows, at in placed:
        place = np.full(int(parts.user_counts[part]), -1, dtype=np.int64)
        place[rows] = at
        pairs = bucket(parts, part, range(parts.n_parts * CHUNKS))
        keep = place[pairs.users] >= 0
        users.append(place[pairs.users[keep]])
        items.append(catalogue.rows[pairs.items[keep]])
        weights.append(pairs.weights[keep] if len(pairs.weights) else pairs.weights)
    none = np.zeros(0, dtype=np.int64)
    u, v = np.concatenate([none, *users]), np.concatenate([none, *items]).astype(np.int32)
    order = np.argsort(keys(u, v))
    indptr = np.zeros(n_users + 1, dtype=np.int64)
    np.cumsum(np.bincount(u, minlength=n_users), out=indptr[1:])
    counts = np.concatenate([np.zeros(0, dtype=np.float32), *weights])
    return Csr(indptr, v[order]), counts[order] if parts.weighted else None
