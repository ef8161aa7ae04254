"""Which items may be answered: allowed and denied ones, as rows, exactly."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trimetric.data.csr import Csr
from trimetric.errors import ParameterError

if TYPE_CHECKING:
    from trimetric.data.ids import Vocabulary


@dataclass(frozen=True)
class Choice:
    """Which items to look for, and how.

    Parameters
    ----------
    rows : int32, ascending and distinct, optional
        The items that may be answered; all of them unless given.
    approximate : bool
        Whether some of the nearest may be missed, to be quicker.
    """

    rows: np.ndarray | None = None
    approximate: bool = False


ANY = Choice()


def chosen(items: "Vocabulary", allow: Any, deny: Any, approximate: bool = False) -> Choice:
    """Turn lists of ids into rows.

    Parameters
    ----------
    items : Vocabulary
    allow, deny : iterable of ids, optional
        Only these items, and none of these; where an item is in both, it is denied. Ids of the
        vocabulary's type that it does not know are left aside: no list could hold them.
    approximate : bool

    Raises
    ------
    ParameterError
        An id is of another type than the model's, so that it would silently match nothing.
    """
    if allow is None and deny is None:
        return Choice(None, approximate)
    mask = np.full(len(items), allow is None)
    if allow is not None:
        mask[_rows(items, "allow", allow)] = True
    if deny is not None:
        mask[_rows(items, "deny", deny)] = False
    return Choice(np.flatnonzero(mask).astype(np.int32), approximate)


def _rows(items: "Vocabulary", name: str, ids: Any) -> np.ndarray:
    if isinstance(ids, str | bytes | int | float) or not isinstance(ids, Iterable):
        raise ParameterError(f"{name} must be a list of item ids, got {ids!r}; give [{ids!r}]")
    given = [one.item() if isinstance(one, np.generic) else one for one in ids]
    wanted = str if items.kind == "str" else (int, float)
    for one in given:
        if not isinstance(one, wanted) or isinstance(one, bool):
            raise ParameterError(
                f"{name} holds {one!r}, and the model's item ids are {items.kind}: give ids of that"
                " type"
            )
    rows = items.encode(given)
    return rows[rows >= 0]


def restricted(lists: Csr, rows: np.ndarray) -> Csr:
    """Return lists of items as positions in `rows` (ascending), without items that are not there.

    Parameters
    ----------
    lists : Csr
    rows : int32 (r,), ascending and distinct
    """
    place = np.searchsorted(rows, lists.items).astype(np.int32)
    inside = place < len(rows)
    inside[inside] = rows[place[inside]] == lists.items[inside]
    kept = lists.keep(inside)
    return Csr(kept.indptr, place[inside])


def unrestricted(found: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Turn positions in `rows` back, -1 staying -1."""
    return np.where(found >= 0, rows[np.maximum(found, 0)], -1) if len(rows) else found
