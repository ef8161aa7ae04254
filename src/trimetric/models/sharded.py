"""A model in parts, as an artifact holds it: P ordinary models that share their items.

Users are divided by a hash of their ids. A part is an ordinary model of its users and all items:
what it answers for a user is what the whole model answers. Items are assumed to fit into memory,
since any ranking needs them all.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.errors import ArtifactError
from trimetric.models import untrained
from trimetric.models.fitted import Fitted
from trimetric.models.saved import (
    SHARDED,
    Stored,
    check_finite,
    check_folder,
    provenance_of,
    take_ids,
    take_seen,
    take_unavailable,
)
from trimetric.models.sharded_answers import Answers
from trimetric.models.sharded_ids import DividedIds
from trimetric.models.sharded_index import COUNTS, check_index
from trimetric.models.sharded_whole import whole
from trimetric.models.sharded_writing import ITEM_SHARD, USER_SHARD
from trimetric.scale.hashing import USERS, part_of
from trimetric.space.known import Known, Totals
from trimetric.storage import artifact, places

if TYPE_CHECKING:
    from trimetric.models.recommender import Recommender

KEPT = 2  # parts in memory at a time


@dataclass(frozen=True, eq=False)
class SharedItems:
    """What all parts have in common.

    Parameters
    ----------
    ids : Vocabulary
    tensors : dict of str to ndarray
    unavailable : int32 (n,)
    popularity : int64 (n_items,)
        How many users of all parts have each item.
    """

    ids: Vocabulary
    tensors: dict[str, np.ndarray]
    unavailable: np.ndarray
    popularity: np.ndarray


class ShardedModel(Answers):
    """A saved model of which a few parts are in memory at a time.

    Made by `open`. It answers as the whole model does, loading the parts that it needs.

    Attributes
    ----------
    folder : Path
    checksum : str
        Of the artifact; changes with any part.
    n_parts : int
    """

    def __init__(self, folder: Path, index: Mapping[str, Any], checksum: str, kept: int) -> None:
        self.folder, self.checksum, self._index = folder, checksum, index
        self._template = untrained(index, str(folder))
        check_index(index, self.user_names, str(folder))
        self.n_parts: int = index["parts"]
        self._kept, self._parts = max(1, kept), OrderedDict[int, "Recommender"]()
        self._lock = Lock()

    @classmethod
    def open(cls, folder: str | Path, *, kept: int = KEPT) -> Self:
        """Open a model that was saved in parts; reads its items, and users as they are needed.

        Parameters
        ----------
        folder : path
        kept : int
            How many parts stay in memory.

        Raises
        ------
        ArtifactError
            The folder holds no such model, or a damaged one; the message names the shard.
        """
        check_folder("open", folder)
        path = places.source(folder, "folder")
        while True:
            loaded = artifact.load(path, SHARDED)
            model = cls(path, loaded.meta, loaded.checksum, kept)
            try:
                model.items  # noqa: B018  read and checked here
            except ArtifactError:
                if not model.is_replaced():
                    raise
                continue
            return model

    def is_replaced(self) -> bool:
        """Tell whether another model was saved to the folder since this one was opened."""
        try:
            return artifact.checksum(self.folder) != self.checksum
        except ArtifactError:
            return True

    # --- what the index says ------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The model's registered name."""
        return self._template.name

    @property
    def kind(self) -> type["Recommender"]:
        """The model's class."""
        return type(self._template)

    @property
    def capabilities(self) -> frozenset[str]:
        """Those of the model: see `space.scorer.Scorer`."""
        return self._template.capabilities

    @property
    def config(self) -> Any:
        """The settings."""
        return self._template.config

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name."""
        return self._template.get_params()

    @property
    def provenance(self) -> dict[str, Any]:
        """What the model was trained on: see `Recommender.provenance`."""
        return provenance_of(self._index)

    @property
    def history(self) -> list[dict[str, Any]]:
        """One row an epoch."""
        return self._index["history"]

    @cached_property
    def part_sizes(self) -> np.ndarray:
        """How many users each part has, int64 (P,)."""
        return np.array([one["users"] for one in self._index["users"]], dtype=np.int64)

    @property
    def n_users(self) -> int:
        """Number of users of all parts."""
        return int(self.part_sizes.sum())

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.items.ids)

    @property
    def n_interactions(self) -> int:
        """Number of interactions of all parts."""
        return sum(one["interactions"] for one in self._index["users"])

    @property
    def user_kind(self) -> str:
        """What ids of users are: "int" or "str"."""
        return self._index["user_ids"]

    @property
    def weighted(self) -> bool:
        """Whether interactions have weights."""
        return any(one["weights"] for one in self._index["users"])

    @property
    def totals(self) -> Totals:
        """What all parts have together."""
        return Totals(self.items.popularity, sum(one["trained"] for one in self._index["users"]))

    # --- parts --------------------------------------------------------------------------------

    @cached_property
    def items(self) -> SharedItems:
        """What all parts share, read once and left in its file where that is possible."""
        shard, where = self._index["items"], f"{self.folder}: shard of items"
        loaded = self._load(ITEM_SHARD, shard, where, None)
        tensors = loaded.tensors
        ids = take_ids(tensors, "item", where)
        expected: artifact.Expected = {"popularity": ((len(ids),), np.int64)}
        found = {name: tensors.pop(name) for name in expected if name in tensors}
        artifact.check(found, expected, where)
        popularity = found["popularity"]
        if (popularity < 0).any() or int(popularity.sum()) != self.n_interactions:
            raise ArtifactError(f"{where}: popularity is not that of the interactions")
        unavailable = take_unavailable(tensors, len(ids), where)
        check_finite(tensors, where)
        wrong = sorted(self.user_names & tensors.keys())
        if wrong:
            raise ArtifactError(f"{where}: unexpected tensor {wrong[0]!r}, which is of users")
        return SharedItems(ids, tensors, unavailable, popularity)

    @cached_property
    def user_ids(self) -> DividedIds:
        """The users of all parts: what a vocabulary offers, part by part."""
        return DividedIds(self)

    @property
    def item_popularity(self) -> np.ndarray:
        """How many users of all parts have each item, int64 (n_items,)."""
        return self.items.popularity

    @property
    def item_ids(self) -> Vocabulary:
        """The items, in the order of their rows."""
        return self.items.ids

    def part(self, part: int) -> "Recommender":
        """Return the ordinary model of the users of a part, and of all items.

        Its popularity of items is that of all parts. The last few are kept in memory.

        Raises
        ------
        ArtifactError
            The shard is missing, damaged, or of another model; the message names it.
        """
        with self._lock:
            if part in self._parts:
                self._parts.move_to_end(part)
                return self._parts[part]
            while len(self._parts) >= self._kept:
                self._parts.popitem(last=False)
            model = self.model_of(self.stored(part))
            self._parts[part] = model
            return model

    def parts(self) -> Iterator["Recommender"]:
        """Return the parts, one after another."""
        return (self.part(part) for part in range(self.n_parts))

    @cached_property
    def without_users(self) -> "Recommender":
        """The model of all items and no user, for answers that are of items or of new users."""
        import polars as pl

        none = pl.Series("id", [], dtype=pl.Int64 if self.user_kind == "int" else pl.String)
        first = self.stored(0).tensors
        tensors = {name: first[name][:0] for name in self.user_names & first.keys()}
        weights = np.zeros(0, dtype=np.float32) if self.weighted else None
        return self.model_of(self._with_items(tensors, Vocabulary(none), Csr.empty(0), weights, ""))

    @property
    def user_names(self) -> frozenset[str]:
        """The names of tensors with a row for each user."""
        return self.kind.user_tensors or frozenset()

    def part_of(self, ids: Any) -> np.ndarray:
        """Return the part that each user would be in, int32; -1 for ids of another type.

        Parameters
        ----------
        ids : iterable of ids
        """
        import polars as pl

        typed = Vocabulary(
            pl.Series("id", [], dtype=pl.Int64 if self.user_kind == "int" else pl.String)
        ).typed(ids)
        out = np.full(len(typed), -1, dtype=np.int32)
        there = typed.is_not_null().to_numpy()
        out[there] = part_of(Vocabulary(typed.drop_nulls()), self.n_parts, USERS)
        return out

    def stored(self, part: int) -> Stored:
        """Return what an artifact holds of a part, checked; tensors are left in their file."""
        if not 0 <= part < self.n_parts:
            raise IndexError(f"part {part} of {self.n_parts}")
        about = self._index["users"][part]
        where = f"{self.folder}: shard {part} of {self.n_parts} ({about['manifest']})"
        tensors = self._load(USER_SHARD, about, where, part).tensors
        ids = take_ids(tensors, "user", where)
        if len(ids) and ids.kind != self.user_kind:
            raise ArtifactError(f"{where}: its ids are {ids.kind}, the model's {self.user_kind}")
        seen, weights = take_seen(tensors, (len(ids), len(self.items.ids)), where)
        forms = self._index["user_tensors"].items()
        expected: artifact.Expected = {
            name: ((len(ids), *form["shape"]), form["dtype"]) for name, form in forms
        }
        artifact.check(tensors, expected, where)
        check_finite(tensors, where)
        counted = (len(ids), int(np.count_nonzero(seen.counts)), len(seen.items))
        has_weights = weights is not None
        if counted != tuple(about[name] for name in COUNTS) or has_weights != about["weights"]:
            raise ArtifactError(f"{where}: it does not hold what {self.folder} says of it")
        if (part_of(ids, self.n_parts, USERS) != part).any():
            raise ArtifactError(f"{where}: it holds users of other parts")
        return self._with_items(tensors, ids, seen, weights, where)

    def model_of(self, stored: Stored) -> "Recommender":
        """Return the model of what is stored of some users and all items."""
        from copy import copy

        model = copy(self._template)
        try:
            scorer = model.restore(stored)
        except ArtifactError as error:
            raise ArtifactError(f"{self.folder}: {error}") from None
        model._fitted = Fitted(stored.known, scorer, self.history, self.provenance)
        return model

    def whole(self, *, mapped: bool = False) -> "Recommender":
        """Return the ordinary model of all users, as it was or would have been without parts.

        Parameters
        ----------
        mapped : bool
            Keep tables of users in temporary files that the system maps into memory, so that they
            may be larger than that; ids of users and all of items stay in memory.

        Raises
        ------
        ResourceError
            It takes more memory than is free; says how much, and what works part by part.
        ArtifactError
            See `part`.
        """
        return whole(self, mapped)

    def snapshot(self) -> Self:
        """Return this model: it never changes."""
        return self

    def export(self, to: str, out: str | Path, *, approximate: bool = False) -> dict[str, Any]:
        """Write the space for a server, users through files: see `Recommender.export`."""
        return self.whole(mapped=True).export(to, out, approximate=approximate)

    def anyone(self, place: int) -> Any:
        """Return the id of one of the `totals.trained` users with interactions, by its place."""
        for part, one in enumerate(self._index["users"]):
            if place < one["trained"]:
                known = self.part(part).known
                row = np.flatnonzero(known.seen.counts)[place]
                return known.user_ids.values[int(row)]
            place -= one["trained"]
        raise IndexError(f"there are {self.totals.trained:,} users with interactions")

    def __repr__(self) -> str:
        return (
            f"ShardedModel({self.kind.__name__}, {self.n_parts} parts, {self.n_users:,} users,"
            f" {self.n_items:,} items, {self.n_interactions:,} interactions)"
        )

    # --- helpers ------------------------------------------------------------------------------

    def _with_items(
        self, tensors: dict[str, np.ndarray], ids: Vocabulary, seen: Any, weights: Any, where: str
    ) -> Stored:
        items = self.items
        known = Known(ids, items.ids, seen, weights, items.unavailable, self.totals)
        return Stored({**items.tensors, **tensors}, known, self.provenance, where)

    def _load(
        self, kind: str, about: Mapping[str, Any], where: str, part: int | None
    ) -> artifact.Loaded:
        try:
            loaded = artifact.load(self.folder, kind, about["manifest"], mapped=True)
        except ArtifactError as error:
            if self.is_replaced():
                raise ArtifactError(
                    f"{self.folder} was saved again since it was opened; open it again"
                ) from error
            raise ArtifactError(f"{where}: {error}") from error
        expected = {"model": self.name, "parts": self.n_parts}
        expected |= {} if part is None else {"part": part}
        if loaded.checksum != about["checksum"] or loaded.meta != expected:
            raise ArtifactError(
                f"{where} is of another model or another save of it; restore the folder from a copy"
                " or save the model again"
            )
        return loaded
