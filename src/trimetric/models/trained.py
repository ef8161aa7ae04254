"""What the models share that are trained in epochs: settings, `fit`, checks of the data."""

import warnings
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from trimetric import artifact, training
from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.errors import DataError, ParameterError
from trimetric.evaluation import validator
from trimetric.models.base import Monitor, Recommender, aligned, described
from trimetric.models.config import TrainingConfig
from trimetric.progress import chosen


class Trained(Recommender):
    """A model trained by mini-batches of its interactions.

    A subclass names its `Config`, and writes `_learner` and `_adopt` beside what every model does.

    Parameters
    ----------
    preset : str, optional
        One of `presets`; other settings given here override it.
    **settings
        Fields of the model's `Config`.

    Raises
    ------
    ParameterError
        A setting is unknown or out of range.
    """

    Config: ClassVar[type[TrainingConfig]]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, *, preset: str | None = None, **settings: Any) -> None:
        names = {item.name for item in fields(self.Config)}
        unknown = sorted(settings.keys() - names)
        if unknown:
            raise ParameterError(
                f"unknown setting {unknown[0]!r}; {self.name} has {', '.join(sorted(names))}"
            )
        self.config = self.Config(**self._given(lookup("preset", preset, self.presets), settings))
        self.history = []
        self.found: dict[str, Any] = {}

    # --- what a model file writes ---------------------------------------------------------------

    def _learner(self, data: Interactions, pool: Csr | None) -> training.Learner:
        """Return what trains on `data`, its negatives drawn from `pool` if there is one."""
        raise NotImplementedError

    def _search(
        self,
        data: tuple[Interactions, Interactions | None] | None,
        threads: int | None,
        progress: bool | None,
    ) -> dict[str, Any]:
        """Return settings that are left to the data, by name, as JSON values.

        `data` is what to train and to judge on, None where it says nothing of the aim.
        """
        return {}

    def _adopt(self, learner: Any) -> None:
        """Take live views of what the learner changes."""
        raise NotImplementedError

    def _given(self, preset: Mapping[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
        """Return all settings that differ from the defaults."""
        return {**preset, **settings}

    # --- what follows from it -------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name; `deep` is scikit-learn's and changes nothing."""
        return self.config.to_dict()

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
        data = Interactions.of(train)
        allowed = _pool(pool, data)
        _check(data, allowed)
        valid = aligned(valid, data)
        if resume and out is None:
            raise ParameterError("resume needs out, the folder that holds the checkpoint")
        trained, checkpoints = copy(self), None
        if out is not None:
            artifact.probe(Path(out))  # before any work is done for nothing
            checkpoints = training.Checkpoints(
                Path(out) / "checkpoint", self._identity(data, valid, allowed), checkpoint_seconds
            )
        trained.found = training.notes(checkpoints) if checkpoints and resume else {}
        if not trained.found:
            judged = None if monitor or allowed is not None else (data, valid)
            trained.found = self._search(judged, threads, progress)
        learner = trained._learner(data, allowed)
        if checkpoints:
            checkpoints = replace(checkpoints, notes=trained.found)
            room = 2 * sum(array.nbytes for array in learner.arrays.values())
            artifact.probe(checkpoints.folder.parent, room)
        trained._know(data)
        trained._adopt(learner)
        run = training.train(
            learner,
            self._plan(),
            trained._validation(data, valid, monitor, threads),
            checkpoints=checkpoints,
            resume=resume,
            threads=threads,
            progress=chosen(progress),
        )
        trained._adopt(learner)
        trained.history = run.history
        trained._data = {
            **described(data, valid),
            "best_epoch": run.best_epoch,
            "stopped": run.stopped,
            "found": trained.found,
        }
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
        threads: int | None,
    ) -> Callable[[], float] | None:
        if monitor is not None:
            return lambda: monitor(self)
        if valid is None:
            return None
        most = self.config.validate_users or None
        measure = validator(valid, data, self.config.metric, max_users=most, threads=threads)
        return lambda: measure(self)


def lookup(
    kind: str, name: str | None, choices: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Return a named group of settings, nothing for None."""
    if name is None:
        return {}
    if name not in choices:
        listed = ", ".join(choices) or "none: this model has no presets"
        raise ParameterError(f"{kind} must be one of {listed}, got {name!r}")
    return choices[name]


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
