"""What models share that learn in one go: `fit` without epochs."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from trimetric.data.interactions import Interactions
from trimetric.engine.threads import threads as limited_threads
from trimetric.errors import DataError, ParameterError, Unsupported
from trimetric.models.callbacks import Callback, Observers, TrainingRun
from trimetric.models.fitted import Fitted
from trimetric.models.forgetting import Kept, interactions_of, is_solved_anew
from trimetric.models.recommender import Monitor, Recommender
from trimetric.models.starting import start_of
from trimetric.models.training_data import (
    NOT_IN_PARTS,
    aligned,
    check_options,
    check_weights,
    describe,
    known_of,
    more_seen,
    parts_given,
)
from trimetric.progress import Silent
from trimetric.scale.prepared import Prepared
from trimetric.space.scorer import Scorer
from trimetric.storage import artifact, places
from trimetric.storage.published import publishing
from trimetric.training import CHECKPOINT_SECONDS


class ClosedForm(Recommender):
    """A model that learns in one go; a subclass writes `learn` and `memory`.

    It draws no negatives, decides nothing by validation and leaves no checkpoint: `pool`,
    `monitor`, `checkpoint_seconds` and `progress` change nothing, `valid` is only noted, and
    `resume` trains again, to the same bits.
    """

    def learn(self, data: Interactions) -> Scorer:
        """Learn from the data."""
        raise NotImplementedError

    def without(self, state: Fitted, left: Fitted, kept: Kept) -> Scorer:
        """Learn again from what is left if that is cheap, and all that was trained on is there."""
        if is_solved_anew(self, state):
            return self.learn(interactions_of(left.known))
        return super().without(state, left, kept)

    def memory(self, data: Interactions) -> int:
        """Return about how many bytes the saved model takes; raise DataError if too many."""
        raise NotImplementedError

    def fit(
        self,
        train: Any,
        valid: Any = None,
        *,
        pool: Any = None,
        monitor: Monitor | None = None,
        also_seen: Any = None,
        out: str | Path | None = None,
        resume: bool = False,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        threads: int | None = None,
        progress: bool | None = None,
        callbacks: Sequence[Callback] = (),
        start: Any = None,
        anchor: float = 0.0,
        partitions: int = 1,
        workdir: str | Path | None = None,
        ray: str | None = None,
    ) -> Self:
        """Train on interactions in one go: see `Recommender.fit`."""
        check_options(monitor, resume, checkpoint_seconds, progress)
        if partitions != 1 or workdir is not None or ray is not None or isinstance(train, Prepared):
            raise Unsupported(f"{self.name} {NOT_IN_PARTS}")
        with publishing(out) as out, limited_threads(threads):
            data, valid = parts_given(train, valid, progress)
            check_weights(self, data.weights is not None)
            if len(data) == 0:
                raise DataError("the training data has no interactions; nothing can be learned")
            held_out = aligned(valid, data)
            also_seen = more_seen(also_seen, data)
            start_of(self, start, anchor)  # which such models cannot take
            if resume and out is None:
                raise ParameterError("resume needs out, the folder that holds the checkpoint")
            size = self.memory(data)
            if out is not None:
                artifact.probe(places.output(out), size)
            provenance = {**describe(data, held_out), "best_epoch": 0, "stopped": ""}
            place = None if out is None else str(out)
            run = TrainingRun(self.name, self.get_params(), provenance, out=place)
            observers = Observers(callbacks, Silent(), run)
            observers.call("on_start", run)
            try:
                began = time.monotonic()
                scorer = self.learn(data)
                history = [{"epoch": 1, "seconds": round(time.monotonic() - began, 4)}]
                known = known_of(data, held_out)
                self._take(Fitted(known, scorer, history, provenance), also_seen, out)
            except BaseException as error:
                observers.call("on_error", error)
                raise
            observers.call("on_epoch", dict(history[0]))
            observers.call("on_end", self)
        return self
