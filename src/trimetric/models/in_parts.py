"""Training a model in parts: settings from a sample, validation on a sample, what is left."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from trimetric import training
from trimetric.data.ids import Vocabulary
from trimetric.data.interactions import Interactions
from trimetric.evaluation import validator
from trimetric.models.callbacks import Observers
from trimetric.models.fitted import Fitted
from trimetric.models.saved import Stored
from trimetric.models.training_data import describe, known_of
from trimetric.scale.catalogue import Catalogue, Sample, items_with_interactions, users_with
from trimetric.scale.division import Division
from trimetric.scale.learner import LocalLearner
from trimetric.scale.memory import MemoryStore
from trimetric.scale.parts import CHUNKS, Parts
from trimetric.scale.trainer import Trainer
from trimetric.space.known import Known
from trimetric.space.scorer import Scorer
from trimetric.storage import artifact

TRIAL_PAIRS = 2_000_000
"""Settings that are left open are found on users who have about so many interactions."""
FEW_PAIRS = 10_000
"""The same where nothing is left open."""
VALIDATION_USERS = 10_000
"""Validation while training looks at no more users than these, where `validate_users` is 0."""


class Rows(Protocol):
    """Where the rows of users and items are: `learner.Store`, or a learner on a cluster."""

    def get_users(self, part: int) -> np.ndarray:
        """Return the rows of a part."""

    def get_items(self, chunks: Any) -> np.ndarray:
        """Return the rows of some chunks, end to end."""


@dataclass
class InParts:
    """A model that is trained in parts.

    Parameters
    ----------
    model : EpochTrained
    parts : Parts
    catalogue : Catalogue
    valid : Interactions, optional
        Validation data, under its own ids.
    """

    model: Any
    parts: Parts
    catalogue: Catalogue
    valid: Interactions | None

    def find_settings(self, trials: bool, progress: bool | None) -> dict[str, Any]:
        """Find settings that are left to the data, on users who have TRIAL_PAIRS interactions."""
        left_open = any(value is None for value in self.model.get_params().values())
        users = users_with(self.parts, TRIAL_PAIRS if left_open else FEW_PAIRS)
        sample = Sample.of(self.parts, self.catalogue, users)
        train = sample.interactions(self.catalogue, self.parts.name)
        valid = None if self.valid is None else self.valid.align(train.user_ids, train.item_ids)[0]
        valid = valid if valid is not None and len(valid) else None
        tuned = self.model.find_settings(train, valid, trials, progress)
        if self.parts.weighted:
            tuned["weight_unit"] = self._mean_weight()
        return tuned

    def validation(
        self, rows: Rows, trainer: Trainer, tuned: dict[str, Any]
    ) -> Callable[[], float]:
        """Return what measures the rows as they stand, on a sample of users."""
        assert self.valid is not None
        config = self.model.config
        held = self.valid.align(self.valid.user_ids, self.catalogue.ids)[0]
        ids = Vocabulary(held.user_ids.decode(np.unique(held.users)))
        most = config.validate_users or VALIDATION_USERS
        sample = Sample.of(self.parts, self.catalogue, ids, most)
        known = Known(sample.ids, self.catalogue.ids, sample.seen, sample.weights)
        held = held.align(sample.ids, self.catalogue.ids)[0]
        learned = items_with_interactions(self.parts, self.catalogue)
        measure = validator(held, sample.seen, config.metric, learned_items=learned)

        def validate() -> float:
            users = np.empty((len(sample.ids), trainer.users.total), dtype=np.float32)
            for part, its_rows, at in sample.part_rows:
                users[at] = rows.get_users(part)[its_rows]
            tensors = {**trainer.user_tensors(users), **self.item_tensors(rows, trainer)}
            return measure(self.restored(tensors, known, tuned))

        return validate

    def item_tensors(self, rows: Rows, trainer: Trainer) -> dict[str, np.ndarray]:
        """Return the tensors of all items, in the order of the catalogue."""
        chunked = rows.get_items(range(self.parts.n_parts * CHUNKS))
        return trainer.item_tensors(self.catalogue.in_order(chunked))

    def restored(
        self, tensors: dict[str, np.ndarray], known: Known, tuned: dict[str, Any]
    ) -> Scorer:
        """Return the scorer of such tensors."""
        stored = Stored(tensors, known, {"tuned": tuned}, "training in parts")
        return self.model.restore(stored)

    @cached_property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return len(self.catalogue.rows)

    def _mean_weight(self) -> float:
        total = 0.0
        for part in range(self.parts.n_parts):
            for chunk in range(self.parts.n_parts * CHUNKS):
                weights = self.parts.cell(part, chunk).weights
                total += 0.0 if weights is None else float(weights.sum(dtype=np.float64))
        return total / len(self.parts)


def whole_scorer(
    run: InParts, trainer: Trainer, store: MemoryStore, known: Known, tuned: dict[str, Any]
) -> Scorer:
    """Return the scorer of rows in memory, in the order of the data that was divided."""
    assert isinstance(run.parts, Division)
    users = np.empty_like(store.users)
    users[run.parts.user_order] = store.users
    tensors = {**trainer.user_tensors(users), **run.item_tensors(store, trainer)}
    return run.restored(tensors, known, tuned)


def train_in_memory(
    model: Any,
    data: Interactions,
    valid: Interactions | None,
    n_parts: int,
    monitor: Callable[[Any], float] | None,
    checkpoints: training.Checkpoints | None,
    resume: bool,
    observers: Observers,
) -> Fitted:
    """Train a model on interactions in memory, in parts."""
    parts = Division(data, n_parts)
    run = InParts(model, parts, Catalogue(data.item_ids, parts.item_order), valid)
    tuned = training.notes(checkpoints) if checkpoints and resume else {}
    tuned = tuned or run.find_settings(monitor is None, observers.shown)
    trainer = model.trainer_in_parts(data.n_items, n_parts, tuned)
    store = MemoryStore(parts, trainer)
    if checkpoints:
        checkpoints = replace(checkpoints, notes=tuned)
        size = 2 * sum(array.nbytes for array in store.arrays.values())
        artifact.probe(checkpoints.folder.parent, size)
    provenance = {**describe(data, valid), "tuned": tuned, "partitions": n_parts}
    observers.describe(provenance)
    known = known_of(data, valid)

    def scorer() -> Scorer:
        return whole_scorer(run, trainer, store, known, tuned)

    def watched() -> float:
        assert monitor is not None
        now = copy(model)
        now._fitted = Fitted(known, scorer(), [], provenance)
        return monitor(now)

    validate = None if valid is None else run.validation(store, trainer, tuned)
    done = training.train(
        LocalLearner(parts, trainer, store),
        model._plan(),
        validate if monitor is None else watched,
        checkpoints=checkpoints,
        resume=resume,
        progress=observers,
    )
    ended = {"best_epoch": done.best_epoch, "stopped": done.stopped}
    return Fitted(known, scorer(), done.history, provenance | ended)
