"""Training in parts on Ray: buckets as tasks that wait for what they need and for nothing else.

The rows of a user part, and of an item chunk, are an object in Ray's store; a bucket is a task that
takes some and returns others. Objects never change. So where a worker or a machine is lost, Ray
runs again the tasks whose results went with it, to the same bits; and a checkpoint needs no pause.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trimetric import training
from trimetric.engine.session import Totals
from trimetric.engine.threads import ThreadTeam, thread_count
from trimetric.scale.buckets import Place, bucket, item_parts, places
from trimetric.scale.cluster import Cluster, Reference
from trimetric.scale.files import FileStore
from trimetric.scale.parts import CHUNKS, Parts
from trimetric.scale.trainer import Room, Trainer


class _Rows:
    """References of the rows of all parts and chunks."""

    def __init__(self, users: list[Reference], items: list[Reference]) -> None:
        self.users, self.items = users, items

    def copy(self) -> "_Rows":
        return _Rows(list(self.users), list(self.items))


class ClusterLearner:
    """Trains buckets as tasks; a `training.Learner`.

    User parts follow one another at a distance of one bucket, so that as many of them are trained
    at a time as there are processors. At the end of each user part the run can be saved.

    Parameters
    ----------
    cluster : Cluster
    parts : Parts
    trainer : Trainer
    files : FileStore
        Where checkpoints go.
    """

    saved = ()

    def __init__(self, cluster: Cluster, parts: Parts, trainer: Trainer, files: FileStore) -> None:
        self.parts, self.trainer = parts, trainer
        self._cluster = cluster
        self._shared = cluster.share(trainer), cluster.share(parts)
        self._totals = np.zeros(4)
        self.rows = self._started()
        self._boundary: tuple[int, _Rows, np.ndarray] = 0, self.rows.copy(), np.zeros(4)
        self.keeper = ClusterKeeper(self, files)

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
        """Nothing: what training changes is in Ray's store."""
        return {}

    def summary(self) -> dict[str, float]:
        """Return the mean loss, the share of active samples and the samples of the epoch."""
        return Totals(*self._totals.tolist()).summary()

    def run(
        self, epoch: int, first_batch: int, team: ThreadTeam, pause: Callable[[int], bool]
    ) -> int:
        """Train from a bucket of an epoch until its end; return the bucket where it stopped."""
        n_parts, seed = self.parts.n_parts, self.trainer.settings.seed
        if first_batch == 0:
            self._totals[:] = 0
            if epoch == 0:
                self._sum_up()
        groups, order = item_parts(seed, epoch, n_parts), places(seed, epoch, n_parts)
        ahead = (self._cluster.processors + 1) * n_parts  # a user part for each processor, and one
        boundaries = {first_batch: self.rows.copy()}
        totals: dict[int, Reference] = {}
        self._boundary = first_batch, boundaries[first_batch], self._totals.copy()
        submitted = first_batch
        for number in range(first_batch, self.n_batches):
            while submitted < min(number + ahead, self.n_batches):
                totals[submitted] = self._submit(order[submitted], groups)
                submitted += 1
                if submitted % n_parts == 0:
                    boundaries[submitted] = self.rows.copy()
            self._totals += self._cluster.result(totals.pop(number))
            if (number + 1) % n_parts == 0:
                self._boundary = number + 1, boundaries.pop(number + 1), self._totals.copy()
            if number + 1 < self.n_batches and pause(number + 1):
                self.rows = self._boundary[1].copy()
                return number + 1
        self._sum_up()
        self._boundary = 0, self.rows.copy(), self._totals.copy()
        return self.n_batches

    def get_users(self, part: int) -> np.ndarray:
        """Return the rows of a part."""
        return self._cluster.result(self.rows.users[part])

    def get_items(self, chunks: Sequence[int]) -> np.ndarray:
        """Return the rows of some chunks, end to end."""
        return np.concatenate([self._cluster.result(self.rows.items[c]) for c in chunks])

    def _started(self) -> _Rows:
        submit, (trainer, _) = self._cluster.submit, self._shared
        return _Rows(
            [
                submit(_start, trainer, "users", part, int(n))
                for part, n in enumerate(self.parts.user_counts)
            ],
            [
                submit(_start, trainer, "items", chunk, int(n))
                for chunk, n in enumerate(self.parts.item_counts)
            ],
        )

    def _submit(self, place: Place, groups: np.ndarray) -> Reference:
        """Start the task of a bucket, whose rows take the place of those that it is given."""
        chunks = groups[place.item_part].tolist()
        users, *items, totals = self._cluster.submit(
            _train,
            *self._shared,
            place,
            chunks,
            self.rows.users[place.user_part],
            *(self.rows.items[chunk] for chunk in chunks),
            results=len(chunks) + 2,
        )
        self.rows.users[place.user_part] = users
        for chunk, rows in zip(chunks, items, strict=True):
            self.rows.items[chunk] = rows
        return totals

    def _sum_up(self) -> None:
        """Take all sums anew, from points as they are now."""
        if not self.trainer.sums_up:
            return
        submit, (trainer, parts) = self._cluster.submit, self._shared
        items, total = list(self.rows.items), None
        for part in range(self.parts.n_parts):
            users = self.rows.users[part]
            self.rows.users[part], shares = submit(
                _sum_users, trainer, parts, part, users, *items, results=2
            )
            total = shares if total is None else submit(_add, total, shares)
        counts = self.parts.item_counts
        ends = np.cumsum(counts)
        for part in range(self.parts.n_parts):
            span = slice(part * CHUNKS, (part + 1) * CHUNKS)
            start = int(ends[span.start] - counts[span.start])
            self.rows.items[span] = submit(
                _sum_items, trainer, start, total, *items[span], results=CHUNKS
            )


class ClusterKeeper:
    """Keeps a run on a cluster in the files of a work folder: a `training.Keeper`.

    A checkpoint is of the last user part that was done.
    """

    def __init__(self, learner: ClusterLearner, files: FileStore) -> None:
        self._learner, self._files = learner, files
        self._best: _Rows | None = None
        self._written: dict[str, Reference] = {}
        self._written_best: _Rows | None = None

    @property
    def folder(self) -> Path:
        """The work folder."""
        return self._files.folder

    @property
    def seconds(self) -> float:
        """The least time between two checkpoints."""
        return self._files.seconds

    def load(self) -> training.Run | None:
        """Take up the run of the work folder, if there is one."""
        run, learner = self._files.load(), self._learner
        if run is None:
            return None
        learner._totals[:] = self._files.totals
        share = learner._cluster.share
        if self._files.has_best:
            now = self._files.switched_to_best()
            self._best = self._written_best = self._read(share)
            self._files.switched_back(now)
        learner.rows = self._read(share)
        return run

    def save(self, run: training.Run) -> None:
        """Write a checkpoint."""
        batch, rows, totals = self._learner._boundary
        if self._best is not None and self._best is not self._written_best:
            self._write(self._best)
            self._files.keep_best()
            self._written_best = self._best
        self._write(rows)
        self._files.totals[:] = totals
        self._files.save(training.Run(**{**vars(run), "batch": batch}))

    def keep_best(self) -> None:
        """Keep the rows as they stand as the best so far."""
        self._best = self._learner.rows.copy()

    def restore_best(self) -> None:
        """Bring the rows back to the best ones, if some were kept."""
        if self._best is not None:
            self._learner.rows = self._best.copy()

    def is_finite(self) -> bool:
        """Tell whether rows are finite; the totals of a bucket with others are not."""
        return bool(np.isfinite(self._learner._totals).all())

    def _read(self, share: Callable[[Any], Reference]) -> _Rows:
        parts = self._learner.parts
        return _Rows(
            [share(np.array(self._files.get_users(part))) for part in range(parts.n_parts)],
            [share(self._files.get_items([chunk])) for chunk in range(parts.n_parts * CHUNKS)],
        )

    def _write(self, rows: _Rows) -> None:
        """Write what is not in the files yet."""
        result = self._learner._cluster.result
        for part, reference in enumerate(rows.users):
            if self._written.get(f"users {part}") != reference:
                self._files.put_users(part, result(reference))
                self._written[f"users {part}"] = reference
        for chunk, reference in enumerate(rows.items):
            if self._written.get(f"items {chunk}") != reference:
                self._files.put_items([chunk], result(reference))
                self._written[f"items {chunk}"] = reference


# --- tasks ----------------------------------------------------------------------------------------


def _start(trainer: Trainer, side: str, number: int, n: int) -> np.ndarray:
    return trainer.start_users(number, n) if side == "users" else trainer.start_items(number, n)


def _train(
    trainer: Trainer,
    parts: Parts,
    place: Place,
    chunks: list[int],
    users: np.ndarray,
    *items: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """Return the rows of a bucket's users, those of its chunks, and its totals."""
    pairs = bucket(parts, place.user_part, chunks)
    with ThreadTeam(thread_count()) as team:
        trained = trainer.train(
            place, users, np.concatenate(items), pairs, team, lambda _: False, Room()
        )
    assert trained is not None
    ends = np.cumsum([len(rows) for rows in items])[:-1]
    finite = np.isfinite(trained.users).all() and np.isfinite(trained.items).all()
    totals = trained.totals if finite else trained.totals * np.nan
    split = [np.ascontiguousarray(rows) for rows in np.split(trained.items, ends)]
    return trained.users, *split, totals


def _sum_users(
    trainer: Trainer, parts: Parts, part: int, users: np.ndarray, *items: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    pairs = bucket(parts, part, range(parts.n_parts * CHUNKS))
    with ThreadTeam(thread_count()) as team:
        return trainer.sum_users(users, np.concatenate(items), pairs, team)


def _add(total: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return total + shares


def _sum_items(
    trainer: Trainer, start: int, total: np.ndarray, *items: np.ndarray
) -> tuple[np.ndarray, ...]:
    found = []
    for rows in items:
        found.append(trainer.sum_items(rows, total[start : start + len(rows)]))
        start += len(rows)
    return tuple(found)
