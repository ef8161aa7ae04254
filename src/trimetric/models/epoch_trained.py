"""What the models share that are trained in epochs: settings, `fit`, checks of the data."""

import warnings
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from trimetric import training
from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.threads import threads as limit
from trimetric.errors import DataError, ParameterError
from trimetric.evaluation import validator
from trimetric.models.config import TrainingConfig
from trimetric.models.configured import Configured
from trimetric.models.recommender import Monitor, aligned, described
from trimetric.progress import make_reporter
from trimetric.storage import artifact


class Trained(Configured):
    """A model trained by mini-batches of its interactions: see `Configured`.

    A subclass names its `Config`, and writes `_learner` and `_adopt` beside what every model does.
    """

    Config: ClassVar[type[TrainingConfig]]
    config: Any

    @property
    def found(self) -> dict[str, Any]:
        """What training found of the settings that were left to the data."""
        return getattr(self, "_data", {}).get("found", {})

    # --- what a model file writes ---------------------------------------------------------------

    def _learner(self, data: Interactions, pool: Csr | None) -> training.Learner:
        """Return what trains on `data`, its negatives drawn from `pool` if there is one."""
        raise NotImplementedError

    def _search(
        self,
        data: tuple[Interactions, Interactions | None] | None,
        progress: bool | None,
    ) -> dict[str, Any]:
        """Return settings that are left to the data, by name, as JSON values.

        `data` is what to train and to judge on, None where it says nothing of the aim.
        """
        return {}

    def _adopt(self, learner: Any) -> None:
        """Take live views of what the learner changes."""
        raise NotImplementedError

    # --- what follows from it -------------------------------------------------------------------

    def fit(
        self,
        train: Any,
        valid: Any = None,
        *,
        pool: Any = None,
        monitor: Monitor | None = None,
        out: str | Path | None = None,
        resume: bool = False,
        checkpoint_seconds: float = training.CHECKPOINT_SECONDS,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> Self:
        """Train on interactions by mini-batches: see `Recommender.fit`."""
        with limit(threads):
            return self._fit(train, valid, pool, monitor, out, resume, checkpoint_seconds, progress)

    def _fit(self, train, valid, pool, monitor, out, resume, checkpoint_seconds, progress) -> Self:
        data = Interactions.of(train)
        allowed = _pool(pool, data)
        _check(data, allowed)
        valid = aligned(valid, data)
        if resume and out is None:
            raise ParameterError("resume needs out, the folder that holds the checkpoint")
        trained, checkpoints, found = copy(self), None, dict[str, Any]()
        if out is not None:
            artifact.probe(Path(out))  # before any work is done for nothing
            checkpoints = training.Checkpoints(
                Path(out) / "checkpoint", self._identity(data, valid, allowed), checkpoint_seconds
            )
            found = training.notes(checkpoints) if resume else {}
        if not found:
            judged = None if monitor or allowed is not None else (data, valid)
            found = self._search(judged, progress)
        trained._data = {**described(data, valid), "found": found}
        learner = trained._learner(data, allowed)
        if checkpoints:
            checkpoints = replace(checkpoints, notes=found)
            room = 2 * sum(array.nbytes for array in learner.arrays.values())
            artifact.probe(checkpoints.folder.parent, room)
        trained._know(data)
        trained._adopt(learner)
        run = training.train(
            learner,
            self._plan(),
            trained._validation(data, valid, monitor),
            checkpoints=checkpoints,
            resume=resume,
            progress=make_reporter(progress),
        )
        trained._adopt(learner)
        trained.history = run.history
        trained._data |= {"best_epoch": run.best_epoch, "stopped": run.stopped}
        self.__dict__ = trained.__dict__
        if checkpoints:
            self.save(checkpoints.folder.parent)
            training.discard(checkpoints)
        return self

    def _plan(self) -> training.Plan:
        config = self.config
        return training.Plan(config.epochs, config.metric, config.validate_every, config.patience)

    def _identity(
        self, data: Interactions, valid: Interactions | None, pool: Csr | None
    ) -> dict[str, Any]:
        """Return what a checkpoint must share with this run."""
        return {
            "model": self.name,
            **self.get_params(),
            "train": data.fingerprint,
            "valid": None if valid is None else valid.fingerprint,
            **({} if pool is None else {"pool": _digest(pool)}),
        }

    def _validation(
        self,
        data: Interactions,
        valid: Interactions | None,
        monitor: Monitor | None,
    ) -> Callable[[], float] | None:
        if monitor is not None:
            return lambda: monitor(self)
        if valid is None:
            return None
        most = self.config.validate_users or None
        measure = validator(valid, data, self.config.metric, max_users=most)
        return lambda: measure(self)


def _check(data: Interactions, pool: Csr | None) -> None:
    """Raise DataError where there is nothing to learn, and warn of users without negatives."""
    if len(data) == 0:
        raise DataError("the training data has no interactions; nothing can be learned")
    if pool is not None:
        negatives = pool.keep(~Csr.of(data).contains(pool)).counts
        if not negatives[np.diff(data.indptr) > 0].any():
            raise DataError("the pool leaves no user a negative item; give a larger pool")
        return
    full = np.diff(data.indptr) >= data.n_items
    if full.all():
        raise DataError(
            f"every user of the training data has all {data.n_items} items, so that no negative"
            " item exists; metric learning needs items that a user has not interacted with"
        )
    if full.any():
        first = data.user_ids.decode(np.flatnonzero(full)[:1])[0]
        warnings.warn(
            f"{int(full.sum())} of the users have every item and are skipped in training;"
            f" the first is {first!r}",
            stacklevel=3,
        )


def _pool(pool: Any, data: Interactions) -> Csr | None:
    """Return the pool in the rows of `data`."""
    if pool is None:
        return None
    if not isinstance(pool, Csr):
        pool = Csr.of(Interactions.of(pool).align(data.user_ids, data.item_ids)[0])
    if pool.n_users != data.n_users:
        raise ParameterError(
            f"the pool has {pool.n_users:,} users, the training data {data.n_users:,};"
            " give it in the rows of the training data"
        )
    return pool


def _digest(pool: Csr) -> str:
    digest = sha256(pool.indptr.astype("<i8").tobytes())
    digest.update(pool.items.astype("<i4").tobytes())
    return digest.hexdigest()
