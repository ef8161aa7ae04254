"""Which items may be listed: allowed and denied ones, as rows, exactly."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from trimetric.data.csr import Csr, among
from trimetric.data.ids import Vocabulary
from trimetric.errors import ParameterError
from trimetric.space.given import by_key, check_type, ids_of


class Asked(NamedTuple):
    """The users, or items, that lists are asked for: the keys of filters of their own.

    Parameters
    ----------
    kind : "user" or "item"
    vocabulary : Vocabulary
    ids : list
        In the order of the lists, repeats allowed.
    """

    kind: Literal["user", "item"]
    vocabulary: Vocabulary
    ids: list


@dataclass(frozen=True, eq=False)
class ItemFilter:
    """Which items may be listed.

    Parameters
    ----------
    rows : int32, ascending and distinct, optional
        The only items that any list may have; None for all.
    allowed : Csr, optional
        The only items that each list may have, within `rows`.
    denied : Csr, optional
        Items that each list may not have.
    """

    rows: np.ndarray | None = None
    allowed: Csr | None = None
    denied: Csr | None = None

    @classmethod
    def from_ids(
        cls,
        candidates: Vocabulary,
        allow: Any = None,
        deny: Any = None,
        *,
        asked: Asked | None = None,
        available: np.ndarray | None = None,
    ) -> Self:
        """Turn ids into rows.

        Parameters
        ----------
        candidates : Vocabulary
            Of what is listed.
        allow, deny : iterable of ids, or mapping of asked ids to iterables of ids, optional
            Only these, and none of these; an id in both is denied. Ids of the vocabulary's type
            that it does not know are ignored: no list could hold them. A mapping says it for each
            list by itself: `allow` must name all that are asked for, `deny` need not.
        asked : Asked, optional
            Whose lists they are; without it a mapping is refused.
        available : int32, ascending and distinct, optional
            The only rows that may be listed in any case.

        Raises
        ------
        ParameterError
            An id is of another type than the model's, so that it would silently match nothing, or
            `allow` lacks one that is asked for.
        """
        per_list: dict[str, Csr] = {}
        mask = None
        if available is not None:
            mask = np.zeros(len(candidates), dtype=bool)
            mask[available] = True
        for name, given in (("allow", allow), ("deny", deny)):
            if isinstance(given, Mapping):
                per_list[name] = _lists(candidates, name, given, asked)
            elif given is not None:
                rows = _rows(candidates, name, given)
                said = np.full(len(candidates), name == "deny")
                said[rows] = name == "allow"
                mask = said if mask is None else mask & said
        only = None if mask is None else np.flatnonzero(mask).astype(np.int32)
        return cls(only, per_list.get("allow"), per_list.get("deny"))

    def take(self, lists: np.ndarray) -> Self:
        """Return the filter of some of the lists, by place."""
        allowed, denied = (
            None if c is None else c.take(lists) for c in (self.allowed, self.denied)
        )
        return type(self)(self.rows, allowed, denied)

    def candidates(self, exclude: Csr) -> Csr | None:
        """Return what each list may have where that was said list by list, else None."""
        if self.allowed is None:
            return None
        mask = ~self.hidden(exclude).contains(self.allowed)
        if self.rows is not None:
            mask &= among(self.rows, self.allowed.items)
        return self.allowed.keep(mask)

    def hidden(self, exclude: Csr) -> Csr:
        """Return what each list may not have, with what is denied to it."""
        return exclude if self.denied is None else exclude.union(self.denied)


def _lists(candidates: Vocabulary, name: str, given: Mapping, asked: Asked | None) -> Csr:
    if asked is None:
        raise ParameterError(
            f"{name} must be a list of ids here, where one list is asked for; got a mapping"
        )
    by_id = by_key(asked.kind, asked.vocabulary, given, name)
    missing = [value for value in asked.ids if value not in by_id]
    if missing and name == "allow":
        raise ParameterError(
            f"allow names no items for {asked.kind} {missing[0]!r} ({len(missing):,} of"
            f" {len(asked.ids):,} are missing); give an empty list where nothing may be listed"
        )
    rows = {
        value: np.unique(_rows(candidates, f"{name}[{value!r}]", by_id[value]))
        for value in dict.fromkeys(asked.ids)
        if value in by_id
    }
    none = np.zeros(0, dtype=np.int32)
    lists = [rows.get(value, none) for value in asked.ids]
    indptr = np.concatenate([[0], np.cumsum([len(one) for one in lists])]).astype(np.int64)
    return Csr(indptr, np.concatenate([none, *lists]).astype(np.int32))


def _rows(candidates: Vocabulary, name: str, ids: Any) -> np.ndarray:
    plain = ids_of(ids, name, single=False)
    check_type("item", candidates, plain, name)
    rows = candidates.encode(plain)
    return rows[rows >= 0]


def restrict(lists: Csr, rows: np.ndarray) -> Csr:
    """Return lists of items as positions in `rows` (ascending), without items that are not there.

    Parameters
    ----------
    lists : Csr
    rows : int32 (r,), ascending and distinct
    """
    place = np.searchsorted(rows, lists.items).astype(np.int32)
    inside = place < len(rows)
    inside[inside] = rows[place[inside]] == lists.items[inside]
    inside_only = lists.keep(inside)
    return Csr(inside_only.indptr, place[inside])


def unrestrict(listed: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Turn positions in `rows` back, -1 staying -1."""
    return np.where(listed >= 0, rows[np.maximum(listed, 0)], -1) if len(rows) else listed
