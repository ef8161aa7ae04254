"""One version of one model, made ready to answer: what a request uses from start to end."""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.ids import INT64_MAX, INT64_MIN, Vocabulary
from trimetric.errors import UnknownIds
from trimetric.models import revived
from trimetric.models.recommender import Recommender
from trimetric.serve.items import ItemsTable
from trimetric.serve.schemas import MAX_K
from trimetric.serve.search import Search
from trimetric.space.filters import ANY, Choice
from trimetric.space.lists import rows_of
from trimetric.storage import artifact

QUICK_SECONDS = 0.001  # what may rank a user on the event loop itself
encode = msgspec.json.Encoder().encode
_RANKS = [b',"rank":%d,"score":' % rank for rank in range(1, MAX_K + 1)]


class Snapshot:
    """A loaded model and what its answers are put together from.

    Parameters
    ----------
    name : str
        It is served under.
    model : Recommender
        As `Recommender.prepared` returns it.
    version : str
        The start of its artifact's checksum.
    items : ItemsTable
        What to show of each item.
    """

    def __init__(self, name: str, model: Recommender, version: str, items: ItemsTable) -> None:
        self.name, self.model, self.version, self.items = name, model, version, items
        self.loaded_at = datetime.now(UTC).isoformat(timespec="seconds")
        self.users, self.item_lookup = Lookup(model.user_ids), Lookup(model.item_ids)
        self.named = b'"model":%b,"version":%b' % (encode(name), encode(version))
        self._fragments: list[bytes | None] = [None] * len(model.item_ids)
        self.quick = False
        self.map: Any = None  # see `maps`

    @cached_property
    def activity(self) -> np.ndarray:
        """How many items each user has, int64 (n_users,)."""
        return self.model.seen.counts

    @cached_property
    def popularity(self) -> np.ndarray:
        """How many users each item has, int64 (n_items,)."""
        return np.bincount(self.model.seen.items, minlength=len(self.model.item_ids))

    @cached_property
    def search(self) -> Search:
        """Finds users and items by what people type."""
        ids = self.model.user_ids, self.model.item_ids
        return Search(ids, (self.activity, self.popularity), self.items)

    def known_user(self, one: int | str) -> int:
        """Return the row of a user that the model was trained on, −1 for any other."""
        # A user without interactions has a row, but a position that nothing has moved.
        row = self.users.row(one)
        return row if row >= 0 and self.activity[row] > 0 else -1

    def nearest(
        self, users: np.ndarray, k: int, exclude_seen: bool, choice: Choice = ANY
    ) -> "Lists":
        """Rank items for rows of users, on one thread."""
        hidden = rows_of(self.model.seen, users) if exclude_seen else Csr.empty(len(users))
        found, scores = self.model._nearest_items(users, k, hidden, choice)
        return found, self.model._shown_score(scores)

    def fragment(self, row: int) -> bytes:
        """Return the start of an item's JSON object, without its closing brace."""
        found = self._fragments[row]
        if found is None:
            item = self.model.item_ids.values[row]
            found = self._fragments[row] = encode({"item": item, **self.items.of(item)})[:-1]
        return found

    def listed(self, rows: np.ndarray, scores: np.ndarray) -> bytes:
        """Return a list of recommendations as JSON; it ends at the first row of −1."""
        chosen = rows.tolist()
        if chosen and chosen[-1] < 0:
            chosen = chosen[: chosen.index(-1)]
        if not chosen:
            return b"[]"
        numbers = encode(scores[: len(chosen)].tolist())[1:-1].split(b",")
        fragment = self.fragment
        parts = [
            fragment(row) + rank + number
            for row, rank, number in zip(chosen, _RANKS, numbers, strict=False)
        ]
        return b"[" + b"},".join(parts) + b"}]"

    def marked(self, rows: Sequence[int], **columns: Sequence[Any]) -> msgspec.Raw:
        """Return item objects as JSON, each with further values by name."""
        names = list(columns)
        parts = [
            self.fragment(row) + b"," + encode(dict(zip(names, values, strict=True)))[1:]
            for row, *values in zip(rows, *columns.values(), strict=True)
        ]
        return msgspec.Raw(b"[" + b",".join(parts) + b"]")


Lists = tuple[np.ndarray, np.ndarray]


class Lookup:
    """Rows of ids, quickly, for one or many at a time."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.is_int = vocabulary.kind == "int"
        self._ids = vocabulary.values.to_numpy() if self.is_int else np.zeros(0, dtype=np.int64)
        texts = () if self.is_int else vocabulary.values.to_list()
        self._rows = {text: row for row, text in enumerate(texts)}

    def parse(self, one: int | str) -> int | str:
        """Read an id that may be typed as text, as `Vocabulary.parse` does."""
        if self.is_int and isinstance(one, str) and len(one) <= 20:
            try:
                number = int(one)
            except ValueError:
                return one
            if str(number) == one:
                return number
        return one

    def row(self, one: int | str) -> int:
        """Return the row of an id, −1 if it is unknown."""
        if not self.is_int:
            return self._rows.get(one, -1) if isinstance(one, str) else -1
        if not isinstance(one, int) or not INT64_MIN <= one <= INT64_MAX:
            return -1
        place = int(self._ids.searchsorted(one))
        return place if place < len(self._ids) and self._ids[place] == one else -1


def load(folder: Path, name: str, items: ItemsTable) -> Snapshot:
    """Load an artifact, check every byte of it, and warm it up.

    Raises
    ------
    ArtifactError
        It is missing, damaged, foreign or too new.
    """
    loaded = artifact.load(folder, "model")
    model = revived(loaded, folder).prepared()
    snapshot = Snapshot(name, model, loaded.checksum[:12], items)
    warm_up(snapshot)
    return snapshot


def warm_up(snapshot: Snapshot) -> None:
    """Have every kernel compiled that answers need, and find how long a user takes.

    Compiling holds Python's lock: done later, it would keep all requests waiting.
    """
    model = snapshot.model
    snapshot.search.items("", 0, 1)
    users = np.flatnonzero(snapshot.activity)[:2].astype(np.int32)
    if len(users) == 0:
        return
    snapshot.nearest(users, 10, True)
    snapshot.quick = min(_seconds(snapshot, users[:1]) for _ in range(5)) < QUICK_SECONDS
    rows = model.seen.items[:1]
    model.score_rows(users[:1], rows)
    user, item = model.user_ids.decode(users[:1])[0], model.item_ids.decode(rows)[0]
    if "similar items" in model.capabilities:
        model.similar_items([item], 2)
    if "fold-in" in model.capabilities:
        model.recommend_for([item], 2)
    if "metric space" in model.capabilities:
        model.explain(user, item)


def _seconds(snapshot: Snapshot, users: np.ndarray) -> float:
    began = time.perf_counter()
    found, scores = snapshot.nearest(users, 10, True)
    snapshot.listed(found[0], scores[0])
    return time.perf_counter() - began


def known_rows(kind: str, lookup: Lookup, ids: Iterable[Any]) -> tuple[list[int | str], np.ndarray]:
    """Return ids in the type of the model's, and their rows.

    Raises
    ------
    UnknownIds
        Names those that the model does not know.
    """
    parsed = [lookup.parse(one) for one in ids]
    rows = np.array([lookup.row(one) for one in parsed], dtype=np.int32)
    unknown = [one for one, row in zip(parsed, rows, strict=True) if row < 0]
    if unknown:
        raise UnknownIds(kind, unknown, "the model was not trained on them")
    return parsed, rows
