"""A model in parts, as an artifact holds it: P ordinary models that share their items.

Users are divided by a hash of their ids. A part is an ordinary model of its users and all items:
what it answers for a user is what the whole model answers. Items are assumed to fit into memory,
since any ranking needs them all.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.errors import ArtifactError, Superseded
from trimetric.models import untrained
from trimetric.models.fitted import Fitted
from trimetric.models.saved import (
    SHARDED,
    Stored,
    check_folder,
    provenance_of,
)
from trimetric.models.sharded_answers import Answers
from trimetric.models.sharded_ids import DividedIds
from trimetric.models.sharded_index import check_index
from trimetric.models.sharded_reading import SharedItems, read_items, read_part, with_items
from trimetric.models.sharded_whole import whole
from trimetric.scale.hashing import USERS, part_of
from trimetric.space.known import Totals
from trimetric.storage import artifact, published

if TYPE_CHECKING:
    from trimetric.models.recommender import Recommender

KEPT = 2  # parts in memory at a time

OverParts = Callable[..., Iterator[Any]]
"""Calls a function with several parts: see `ShardedModel.over_parts`."""


class ShardedModel(Answers):
    """A saved model of which a few parts are in memory at a time.

    Made by `open`. It answers as the whole model does, loading the parts that it needs.

    Attributes
    ----------
    folder : Path
    checksum : str
        Of the artifact; changes with any part.
    index : mapping
        What `model.json` says.
    n_parts : int
    """

    def __init__(self, folder: Path, index: Mapping[str, Any], checksum: str, kept: int) -> None:
        self.folder, self.checksum, self.index = folder, checksum, index
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
        folder : path or URI
            What lies in an object store is copied to the cache (TRIMETRIC_CACHE) once, under a
            name that the content determines, and mapped from there.
        kept : int
            How many parts stay in memory.

        Raises
        ------
        ArtifactError
            The folder holds no such model, or a damaged one; the message names the shard.
        DataError
            The object store cannot be read.
        """
        check_folder("open", folder)
        path = published.fetched(folder)
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

    def check_current(self) -> None:
        """Raise Superseded where another model was saved to the folder since it was opened."""
        if self.is_replaced():
            raise Superseded(f"another save came to {self.folder} in the meantime; run this again")

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
        return provenance_of(self.index)

    @property
    def history(self) -> list[dict[str, Any]]:
        """One row an epoch."""
        return self.index["history"]

    @cached_property
    def part_sizes(self) -> np.ndarray:
        """How many users each part has, int64 (P,)."""
        return np.array([one["users"] for one in self.index["users"]], dtype=np.int64)

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
        return sum(one["interactions"] for one in self.index["users"])

    @property
    def user_kind(self) -> str:
        """What ids of users are: "int" or "str"."""
        return self.index["user_ids"]

    @property
    def weighted(self) -> bool:
        """Whether interactions have weights."""
        return any(one["weights"] for one in self.index["users"])

    @property
    def totals(self) -> Totals:
        """What all parts have together."""
        return Totals(self.items.popularity, sum(one["trained"] for one in self.index["users"]))

    # --- parts --------------------------------------------------------------------------------

    @cached_property
    def items(self) -> SharedItems:
        """What all parts share, read once and left in its file where that is possible."""
        return read_items(self)

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

    @contextmanager
    def over_parts(self, ray: str | None = None) -> Iterator[OverParts]:
        """Give what calls a function with one part after another.

        It takes the function, the tasks, each a part and what else the function receives after it,
        and what all tasks share, which comes before that; it yields what the function returned, in
        the order of the tasks.

        Parameters
        ----------
        ray : str, optional
            Run them as tasks of Ray, whose nodes see the model at the same path; functions must be
            importable. See `scale.cluster.connect`.

        Raises
        ------
        ClusterError, WorkerLost, MissingExtra
            Of Ray.
        """
        if ray is None:
            yield lambda function, tasks, *shared: (
                function(self.part(part), *shared, *given) for part, *given in tasks
            )
            return
        from trimetric.models.on_ray import parts_on_ray

        with parts_on_ray(ray, self) as run:
            yield run

    @cached_property
    def without_users(self) -> "Recommender":
        """The model of all items and no user, for answers that are of items or of new users."""
        first = self.stored(0).tensors
        tensors = {name: first[name][:0] for name in self.user_names & first.keys()}
        weights = np.zeros(0, dtype=np.float32) if self.weighted else None
        return self.model_of(
            with_items(self, tensors, self.no_ids, (Csr.empty(0), weights, None), str(self.folder))
        )

    @property
    def no_ids(self) -> Vocabulary:
        """No users, of the type that the ids have."""
        import polars as pl

        return Vocabulary(
            pl.Series("id", [], dtype=pl.Int64 if self.user_kind == "int" else pl.String)
        )

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
        typed = self.no_ids.typed(ids)
        out = np.full(len(typed), -1, dtype=np.int32)
        there = typed.is_not_null().to_numpy()
        out[there] = part_of(Vocabulary(typed.drop_nulls()), self.n_parts, USERS)
        return out

    def stored(self, part: int) -> Stored:
        """Return what an artifact holds of a part, checked; tensors are left in their file."""
        return read_part(self, part)

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
        for part, one in enumerate(self.index["users"]):
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
