"""Forget users and items in a saved model in parts, and mark items, part by part.

Parts whose users and items stay are not written again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trimetric.models.answers import known_ids
from trimetric.models.fitted import Fitted
from trimetric.models.forgetting import (
    OWES,
    Kept,
    Receipt,
    check_left,
    interactions_of,
    known_without,
    provenance_left,
    rows_left,
)
from trimetric.models.recommender import Recommender
from trimetric.models.sharded_writing import ShardedWriter
from trimetric.space.given import ids_of
from trimetric.storage import published

if TYPE_CHECKING:
    from trimetric.models.sharded import ShardedModel


def is_divisible(model: "ShardedModel") -> bool:
    """Whether it can forget part by part, with no more than `share_left` of the others."""
    by_part = model.kind.part_without is not Recommender.part_without
    return by_part or model.kind.without is Recommender.without


def mark(model: "ShardedModel", rows: np.ndarray, target: str | Path, replaces: str | None) -> None:
    """Save a model with other marks of unavailable items; of its users nothing is read.

    Parameters
    ----------
    model : ShardedModel
    rows : int32 ascending
        Of all items that are marked.
    target : path or URI
    replaces : str, optional
        The checksum of what must stand there.
    """
    items = model.items
    with _writing(model, target, model.provenance, replaces) as (writer, replaced):
        writer.items(items.tensors, items.ids, rows)
        for part in range(model.n_parts):
            writer.keep(part, model)
        writer.finish(replaced, items.popularity)


def forget(
    model: "ShardedModel", users: Any, items: Any, target: str | Path, replaces: str | None
) -> Receipt:
    """Save what is left of a model without users and items: see `Recommender.forget`.

    All parts are read; written are those whose users go, or all where items go. Sums over the
    users of all parts are added up part by part: they may differ in their last digits from those
    that the whole model would have.

    Parameters
    ----------
    model : ShardedModel
        One that `is_divisible`.
    users, items : id or iterable of ids, optional
        At least one.
    target : path or URI
    replaces : str, optional
        The checksum of what must stand there.
    """
    gone = {"user": _known(model, "user", users), "item": _known(model, "item", items)}
    check_left(gone, {"user": model.n_users, "item": model.n_items})
    users_gone: dict[int, list] = {}
    for user, part in zip(gone["user"], model.part_of(gone["user"]).tolist(), strict=True):
        users_gone.setdefault(part, []).append(user)
    survey = _survey(model, users_gone, gone["item"])
    counts = len(gone["user"]), len(gone["item"])
    provenance, before = provenance_left(
        model.provenance, (survey.fingerprint, survey.pairs), counts
    )
    written = range(model.n_parts) if gone["item"] else sorted(users_gone)
    shapes: dict[str, int] = {}
    with _writing(model, target, provenance, replaces) as (writer, replaced):
        for part in written:
            one, left, kept = _left(model, part, users_gone, gone["item"])
            after, scorer = copy(one), one.part_without(one._state, left, kept, survey.share)
            after._fitted = replace(left, scorer=scorer)
            tensors, known = after.tensors(), left.known
            if not shapes:
                shared = {n: a for n, a in tensors.items() if n not in model.user_names}
                writer.items(shared, known.item_ids, known.unavailable)
                shapes = {name: len(array) for name, array in shared.items()}
            mine = {name: tensors[name] for name in model.user_names & tensors.keys()}
            writer.users(part, mine, known.user_ids, known.seen, known.weights, known.validated)
        for part in set(range(model.n_parts)) - {*written}:
            writer.keep(part, model)
        writer.finish(replaced, survey.popularity)
    rows = {name: len(array) - shapes[name] for name, array in model.items.tensors.items()}
    rows |= dict.fromkeys(model.index["user_tensors"], counts[0])
    return Receipt(
        model=model.name,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        users=gone["user"],
        items=gone["item"],
        interactions=model.n_interactions - survey.pairs,
        rows={name: n for name, n in rows.items() if n > 0},
        owes=OWES,
        fingerprint=(before, survey.fingerprint),
    )


class _Survey(NamedTuple):
    """What all parts have together without what goes."""

    popularity: np.ndarray  # int64 (n_items,)
    pairs: int
    fingerprint: str
    share: Any  # see `Recommender.share_left`


def _survey(model: "ShardedModel", users_gone: dict[int, list], items_gone: list) -> _Survey:
    n_items = model.n_items - len(items_gone)
    popularity, pairs, digest = np.zeros(n_items, dtype=np.int64), 0, sha256()
    total: Any = None
    for part in range(model.n_parts):
        one, left, kept = _left(model, part, users_gone, items_gone)
        rest = interactions_of(left.known)
        popularity += np.bincount(rest.items, minlength=n_items)
        pairs += len(rest)
        digest.update(rest.fingerprint.encode())
        share = one.share_left(one._state, left, kept)
        total = share if total is None else total.with_others(share)
    return _Survey(popularity, pairs, digest.hexdigest(), total)


def _left(
    model: "ShardedModel", part: int, users_gone: dict[int, list], items_gone: list
) -> tuple[Recommender, Fitted, Kept]:
    """Return a part, what is left of it but for the scorer, and the rows that stay."""
    one = model.part(part)
    users = rows_left(one.user_ids, users_gone.get(part, []))
    kept = Kept(users, rows_left(one.item_ids, items_gone))
    return one, replace(one._state, known=known_without(one.known, kept)), kept


def _known(model: "ShardedModel", kind: str, given: Any) -> list:
    """Return the ids that are given, each once, as the model has them."""
    if given is None:
        return []
    ids = model.user_ids if kind == "user" else model.item_ids
    wanted = known_ids(kind, ids, list(dict.fromkeys(ids_of(given, kind))), "error")  # type: ignore[arg-type]
    typed = model.no_ids if kind == "user" else model.item_ids
    return typed.typed(wanted).to_list()


@contextmanager
def _writing(
    model: "ShardedModel", target: str | Path, provenance: dict[str, Any], replaces: str | None
) -> Iterator[tuple[ShardedWriter, str | None]]:
    """Give a writer of as many parts, and the checksum that must stand where it writes."""
    about = model.name, model.get_params(), provenance, model.history, model.n_parts
    with published.publishing(target, replaces) as place, ShardedWriter(place, *about) as writer:
        yield writer, replaces if place == target else None
