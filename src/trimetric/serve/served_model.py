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
from trimetric.data.item_tables import match
from trimetric.errors import UnknownIds
from trimetric.models import from_artifact
from trimetric.models.recommender import Recommender
from trimetric.models.saved import SHARDED
from trimetric.models.sharded import ShardedModel
from trimetric.serve.items import ItemsTable
from trimetric.serve.schemas import MAX_K
from trimetric.serve.search import Search
from trimetric.space.given import NOT_TRAINED_ON
from trimetric.space.scorer import Lists
from trimetric.storage import artifact

QUICK_SECONDS = 0.001  # a model that ranks a user in less is ranked on the event loop itself
encode = msgspec.json.Encoder().encode
_RANKS = [b',"rank":%d,"score":' % rank for rank in range(1, MAX_K + 1)]


class ServedModel:
    """A loaded model and what its answers are put together from.

    Parameters
    ----------
    name : str
        Name that it is served under.
    model : Recommender
        As `Recommender.prepared` returns it.
    version : str
        Start of its artifact's checksum.
    items : ItemsTable
        What to show of each item.
    """

    def __init__(self, name: str, model: Recommender, version: str, items: ItemsTable) -> None:
        self.name, self.model, self.version, self.items = name, model, version, items
        self.known, self.scorer = model.known, model.scorer
        self.is_metric = "metric space" in model.capabilities
        self.loaded_at = datetime.now(UTC).isoformat(timespec="seconds")
        self.users, self.item_lookup = Lookup(model.user_ids), Lookup(model.item_ids)
        self.named = b'"model":%b,"version":%b' % (encode(name), encode(version))
        self._fragments: list[bytes | None] = [None] * len(model.item_ids)
        self.quick = False
        self.map: Any = None  # see `maps`
        self.quality: Any = None  # see `quality`

    @cached_property
    def activity(self) -> np.ndarray:
        """How many items each user has, int64 (n_users,)."""
        return self.known.seen.counts

    @property
    def popularity(self) -> np.ndarray:
        """How many users each item has, int64 (n_items,)."""
        return self.known.popularity

    @cached_property
    def table_rows(self) -> np.ndarray:
        """The row of each item in the items table, int64, -1 where it has none."""
        return self.items.rows(self.known.item_ids.values)

    @cached_property
    def _by_item(self) -> Csr:
        return self.known.seen.transposed(len(self.known.item_ids))[0]

    def users_of(self, item: int) -> np.ndarray:
        """Return the rows of the users who have an item, int32 ascending."""
        indptr, users = self._by_item
        return users[indptr[item] : indptr[item + 1]]

    @cached_property
    def search(self) -> Search:
        """Search over users and items by id and title."""
        ids = self.known.user_ids, self.known.item_ids
        return Search(ids, (self.activity, self.popularity), self.items)

    def trained_row(self, user: int | str) -> int:
        """Return the row of a user that the model was trained on, -1 for any other."""
        # A user without interactions has a row, but a position that nothing has moved.
        row = self.users.row(user)
        return row if row >= 0 and self.activity[row] > 0 else -1

    def nearest(
        self, users: np.ndarray, k: int, exclude_seen: bool, only: np.ndarray | None = None
    ) -> Lists:
        """Rank items for rows of users: see `Scorer.nearest`."""
        hidden = self.known.seen.take(users) if exclude_seen else Csr.empty(len(users))
        only = self.known.available if only is None else only
        return self.scorer.nearest(users, k, exclude=hidden, only=only)

    def distance(self, scores: np.ndarray) -> dict[str, list]:
        """Return a column `distance` of scores where the model is a metric space, else nothing."""
        return {"distance": (-scores).tolist()} if self.is_metric else {}

    def fragment(self, row: int) -> bytes:
        """Return an item's JSON object without its closing brace."""
        fragment = self._fragments[row]
        if fragment is None:
            item = self.known.item_ids.values[row]
            fragment = self._fragments[row] = encode({"item": item, **self.items.of(item)})[:-1]
        return fragment

    def listed(self, rows: np.ndarray, scores: np.ndarray) -> bytes:
        """Return a ranked list as JSON; it ends at the first row of -1."""
        items = rows.tolist()
        if items and items[-1] < 0:
            items = items[: items.index(-1)]
        if not items:
            return b"[]"
        numbers = encode(scores[: len(items)].tolist())[1:-1].split(b",")
        if self.is_metric:  # the score is −d², and the distance d²
            numbers = [b'%b,"distance":%b' % (n, n.removeprefix(b"-")) for n in numbers]
        fragment = self.fragment
        parts = [
            fragment(row) + rank + number
            for row, rank, number in zip(items, _RANKS, numbers, strict=False)
        ]
        return b"[" + b"},".join(parts) + b"}]"

    def with_columns(self, rows: Sequence[int], **columns: Sequence[Any]) -> msgspec.Raw:
        """Return item objects as JSON, each with further values by name."""
        names = list(columns)
        parts = [
            self.fragment(row) + b"," + encode(dict(zip(names, values, strict=True)))[1:]
            for row, *values in zip(rows, *columns.values(), strict=True)
        ]
        return msgspec.Raw(b"[" + b",".join(parts) + b"]")


class Lookup:
    """Rows of ids, fast, one id at a time."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.is_int = vocabulary.kind == "int"
        self._ids = vocabulary.values.to_numpy() if self.is_int else np.zeros(0, dtype=np.int64)
        texts = () if self.is_int else vocabulary.values.to_list()
        self._rows = {text: row for row, text in enumerate(texts)}

    def parse(self, raw: int | str) -> int | str:
        """Read an id that may be typed as text, as `Vocabulary.parse` does."""
        if self.is_int and isinstance(raw, str) and len(raw) <= 20:
            try:
                number = int(raw)
            except ValueError:
                return raw
            if str(number) == raw:
                return number
        return raw

    def row(self, raw: int | str) -> int:
        """Return the row of an id, -1 if it is unknown."""
        if not self.is_int:
            return self._rows.get(raw, -1) if isinstance(raw, str) else -1
        if not isinstance(raw, int) or not INT64_MIN <= raw <= INT64_MAX:
            return -1
        place = int(self._ids.searchsorted(raw))
        return place if place < len(self._ids) and self._ids[place] == raw else -1

    def rows(self, kind: str, ids: Iterable[Any]) -> tuple[list[int | str], np.ndarray]:
        """Return ids in the type of the model's, and their rows, int32.

        Raises
        ------
        UnknownIds
            Names the ids that the model does not know.
        """
        parsed = [self.parse(raw) for raw in ids]
        rows = np.array([self.row(raw) for raw in parsed], dtype=np.int32)
        unknown = [raw for raw, row in zip(parsed, rows, strict=True) if row < 0]
        if unknown:
            raise UnknownIds(kind, unknown, NOT_TRAINED_ON)
        return parsed, rows


def load(folder: Path, name: str, items: ItemsTable) -> ServedModel:
    """Load an artifact, check every byte of it, and warm it up.

    Raises
    ------
    ArtifactError
        It is missing, damaged, foreign or too new.
    """
    loaded = artifact.load(folder, ("model", SHARDED))
    if loaded.kind == SHARDED:
        model, checksum = _mapped(folder)
    else:
        model, checksum = from_artifact(loaded, folder).prepared(), loaded.checksum
    match(model.item_ids, items.ids(), "the table of items")
    served = ServedModel(name, model, checksum[:12], items)
    warm_up(served)
    return served


def _mapped(folder: Path) -> tuple[Recommender, str]:
    """Return a model in parts as one whose users are mapped from files, and its checksum."""
    sharded = ShardedModel.open(folder, kept=1)
    return sharded.whole(mapped=True).prepared(), sharded.checksum


def warm_up(served: ServedModel) -> None:
    """Compile every kernel that answers need, and time the ranking of a user.

    Compiling holds Python's lock: later, it would hold up all requests.
    """
    model = served.model
    served.search.items("", 0, 1)
    users = np.flatnonzero(served.activity)[:2].astype(np.int32)
    if len(users) == 0:
        return
    served.nearest(users, 10, True)
    served.quick = min(_seconds(served, users[:1]) for _ in range(5)) < QUICK_SECONDS
    rows = model.seen.items[:1]
    served.scorer.score(users[:1], rows)
    user, item = model.user_ids.decode(users[:1])[0], model.item_ids.decode(rows)[0]
    if "similar items" in model.capabilities:
        model.similar_items([item], 2)
    if {"fold-in", "new users"} & model.capabilities:
        model.recommend_for([item], 2)
    if "explanations" in model.capabilities:
        model.explain(user, item)


def _seconds(served: ServedModel, users: np.ndarray) -> float:
    began = time.perf_counter()
    rows, scores = served.nearest(users, 10, True)
    served.listed(rows[0], scores[0])
    return time.perf_counter() - began
