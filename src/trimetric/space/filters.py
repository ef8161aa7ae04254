"""Which items may be listed: allowed and denied ones, as rows, exactly."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from trimetric.data.csr import Csr
from trimetric.errors import ParameterError

if TYPE_CHECKING:
    from trimetric.data.ids import Vocabulary


@dataclass(frozen=True)
class ItemFilter:
    """Which items may be listed.

    Parameters
    ----------
    rows : int32, ascending and distinct, optional
        The only items that may be listed; None for all.
    """

    rows: np.ndarray | None = None

    @classmethod
    def from_ids(cls, items: "Vocabulary", allow: Any = None, deny: Any = None) -> Self:
        """Turn lists of ids into rows.

        Parameters
        ----------
        items : Vocabulary
        allow, deny : iterable of ids, optional
            Only these items, and none of these; an item in both is denied. Ids of the vocabulary's
            type that it does not know are ignored: no list could hold them.

        Raises
        ------
        ParameterError
            An id is of another type than the model's, so that it would silently match nothing.
        """
        if allow is None and deny is None:
            return cls()
        mask = np.full(len(items), allow is None)
        if allow is not None:
            mask[_rows(items, "allow", allow)] = True
        if deny is not None:
            mask[_rows(items, "deny", deny)] = False
        return cls(np.flatnonzero(mask).astype(np.int32))


def as_list(name: str, ids: Any) -> list:
    """Return item ids as a list of plain Python values; one id alone raises ParameterError."""
    if isinstance(ids, str | bytes | int | float) or not isinstance(ids, Iterable):
        raise ParameterError(f"{name} must be a list of item ids, got {ids!r}; give [{ids!r}]")
    return [value.item() if isinstance(value, np.generic) else value for value in ids]


def _rows(items: "Vocabulary", name: str, ids: Any) -> np.ndarray:
    plain = as_list(name, ids)
    accepted = str if items.kind == "str" else (int, float)
    for value in plain:
        if not isinstance(value, accepted) or isinstance(value, bool):
            raise ParameterError(
                f"{name} holds {value!r}, and the model's item ids are {items.kind}: give ids of"
                " that type"
            )
    rows = items.encode(plain)
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
