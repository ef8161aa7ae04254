"""Lists for many users at once, among allowed items and without denied ones."""

import numpy as np

from trimetric.data.csr import Csr
from trimetric.retrieval import rows_of
from trimetric.serve.snapshot import Snapshot, nothing

Ranked = tuple[np.ndarray, np.ndarray]
"""Item rows, best first, and their scores as shown: one user's list."""


def ranked(
    snapshot: Snapshot,
    users: np.ndarray,
    k: int,
    exclude_seen: bool,
    allow: np.ndarray | None,
    deny: np.ndarray,
) -> list[Ranked]:
    """Rank items for rows of users, on one thread.

    Parameters
    ----------
    allow, deny : int32, ascending and distinct
        Rows of the only items to rank, None for all; and of items not to rank.
    """
    seen = snapshot.model.seen
    hidden = rows_of(seen, users) if exclude_seen else nothing(len(users))
    if allow is None:
        found, scores = snapshot.model._nearest_items(users, k, _with(hidden, deny), 1)
        shown = snapshot.model._shown_score(scores)
        return [(row[row >= 0], score) for row, score in zip(found, shown, strict=True)]
    return [
        _among(snapshot, user, k, np.setdiff1d(allow, np.concatenate([deny, own])))
        for user, own in zip(users, np.split(hidden.items, hidden.indptr[1:-1]), strict=True)
    ]


def popular(snapshot: Snapshot, k: int, allow: np.ndarray | None, deny: np.ndarray) -> Ranked:
    """Return the most popular items, without scores: what a user gets whom nobody knows."""
    order = np.argsort(-snapshot.popularity, kind="stable")
    if allow is not None:
        order = order[np.isin(order, allow)]
    order = order[~np.isin(order, deny)][:k] if len(deny) else order[:k]
    return order, np.full(len(order), np.nan, dtype=np.float32)


def _among(snapshot: Snapshot, user: int, k: int, items: np.ndarray) -> Ranked:
    """Rank these items alone for one user; equal scores by item order, as everywhere."""
    scores = snapshot.model.score_rows(np.full(len(items), user, dtype=np.int32), items)
    best = np.argsort(-scores, kind="stable")[:k]
    return items[best], snapshot.model._shown_score(scores[best])


def _with(hidden: Csr, more: np.ndarray) -> Csr:
    if len(more) == 0:
        return hidden
    each = np.tile(more, hidden.n_users)
    users = np.repeat(np.arange(hidden.n_users, dtype=np.int32), len(more))
    return hidden.union(Csr.from_pairs(users, each, hidden.n_users))
