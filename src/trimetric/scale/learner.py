"""Training in parts on one machine, bucket after bucket; a `training.Learner`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from trimetric.engine.session import Totals
from trimetric.engine.threads import ThreadTeam
from trimetric.scale.buckets import Place, bucket, item_parts, places
from trimetric.scale.parts import CHUNKS, Parts
from trimetric.scale.trainer import Room, Trainer
from trimetric.storage.ahead import ReadAhead


class Store(Protocol):
    """Where rows are kept; `memory.MemoryStore` and `files.FileStore` are such."""

    totals: np.ndarray

    def get_users(self, part: int) -> np.ndarray:
        """Return the rows of a part, which are not to be changed."""

    def put_users(self, part: int, rows: np.ndarray) -> None:
        """Replace the rows of a part."""

    def get_items(self, chunks: Any) -> np.ndarray:
        """Return the rows of some chunks, end to end, which are not to be changed."""

    def put_items(self, chunks: Any, rows: np.ndarray) -> None:
        """Replace the rows of some chunks."""

    def files_of(self, part: int | None, chunks: Any) -> list[Path]:
        """Return the files where rows of a part and of some chunks are, without those in memory."""

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Live views of all that training changes, where it is in memory."""


class LocalLearner:
    """Trains the buckets of an epoch one after another; files of the next are read meanwhile.

    Parameters
    ----------
    parts : Parts
    trainer : Trainer
    store : Store
    """

    saved = ("users", "items")

    def __init__(self, parts: Parts, trainer: Trainer, store: Store) -> None:
        self.parts, self.trainer, self.store = parts, trainer, store
        self._room = Room()

    @property
    def n_batches(self) -> int:
        """Buckets in an epoch."""
        return self.parts.n_parts**2

    @property
    def samples(self) -> int:
        """Interactions in an epoch."""
        return len(self.parts)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Live views of all that training changes."""
        return self.store.arrays

    def summary(self) -> dict[str, float]:
        """Return the mean loss, the share of active samples and the samples of the epoch."""
        return Totals(*self.store.totals.tolist()).summary()

    def run(
        self, epoch: int, first_batch: int, team: ThreadTeam, pause: Callable[[int], bool]
    ) -> int:
        """Train from a bucket of an epoch until its end; return the bucket where it stopped.

        A bucket that is interrupted changes nothing.
        """
        store, trainer, seed = self.store, self.trainer, self.trainer.settings.seed
        if first_batch == 0:
            store.totals[:] = 0
            if epoch == 0:
                self._sum_up(team)
        groups = item_parts(seed, epoch, self.parts.n_parts)
        order = places(seed, epoch, self.parts.n_parts)
        with ReadAhead() as ahead:
            for number in range(first_batch, self.n_batches):
                place = order[number]
                chunks = groups[place.item_part]

                def inside(_: int, number: int = number) -> bool:
                    return pause(number)

                rows = store.get_users(place.user_part), store.get_items(chunks)
                pairs = bucket(self.parts, place.user_part, chunks)
                if number + 1 < self.n_batches:
                    ahead.read(self._files_of(order[number + 1], groups, place.user_part))
                trained = trainer.train(place, *rows, pairs, team, inside, self._room)
                if trained is None:
                    return number
                store.put_users(place.user_part, trained.users)
                store.put_items(chunks, trained.items)
                store.totals += trained.totals
                if number + 1 < self.n_batches and pause(number + 1):
                    return number + 1
        self._sum_up(team)
        return self.n_batches

    def _files_of(self, place: Place, groups: np.ndarray, part_at_hand: int) -> list[Path]:
        """Return the files of a bucket that are not those of the bucket before it."""
        part, chunks = place.user_part, groups[place.item_part]
        if part == part_at_hand:
            return self.store.files_of(None, chunks)
        return self.store.files_of(part, chunks) + self.parts.files_of(part)

    def _sum_up(self, team: ThreadTeam) -> None:
        """Take all sums anew, from points as they are now."""
        if not self.trainer.sums_up:
            return
        every = range(self.parts.n_parts * CHUNKS)
        items, total = self.store.get_items(every), np.zeros(0, dtype=np.float32)
        for part in range(self.parts.n_parts):
            pairs = bucket(self.parts, part, every)
            rows = self.store.get_users(part)
            rows, shares = self.trainer.sum_users(rows, items, pairs, team)
            self.store.put_users(part, rows)
            total = shares if part == 0 else total + shares
        self.store.put_items(every, self.trainer.sum_items(items, total))
