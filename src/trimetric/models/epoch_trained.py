"""What models share that are trained in epochs: `fit` with validation, checkpoints and resuming."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

from trimetric import training
from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.threads import threads as limited_threads
from trimetric.errors import ParameterError, Unsupported
from trimetric.evaluation import validator
from trimetric.models import in_files
from trimetric.models.callbacks import Callback, Observers, TrainingRun
from trimetric.models.config import TrainingConfig
from trimetric.models.fitted import Fitted
from trimetric.models.in_parts import train_in_memory
from trimetric.models.recommender import Monitor, Recommender
from trimetric.models.starting import Start, start_of
from trimetric.models.training_data import (
    NOT_IN_PARTS,
    aligned,
    check_negatives,
    check_options,
    check_partitions,
    check_weights,
    describe,
    digest,
    known_of,
    more_seen,
    parts_given,
    pool_of,
)
from trimetric.progress import make_reporter
from trimetric.scale.prepared import Prepared
from trimetric.scale.trainer import Trainer
from trimetric.space.scorer import Scorer
from trimetric.storage import artifact, places
from trimetric.storage.atomic import reserved
from trimetric.storage.published import publishing


class EpochTrained(Recommender):
    """A model trained by mini-batches of its interactions.

    A subclass names its `Config` and writes `learner` and `scorer_of`, beside `tensors` and
    `restore`.
    """

    Config: ClassVar[type[TrainingConfig]]

    # --- what a model file writes ---------------------------------------------------------------

    def learner(
        self, data: Interactions, pool: Csr | None, tuned: dict[str, Any]
    ) -> training.Learner:
        """Return what trains on `data`, its negatives drawn from `pool` if there is one.

        `tuned` is what `find_settings` returned.
        """
        raise NotImplementedError

    def trainer_in_parts(self, n_items: int, n_parts: int, tuned: dict[str, Any]) -> Trainer:
        """Return what trains a bucket of users and items, if the model can: see `scale`."""
        raise Unsupported(f"{self.name} {NOT_IN_PARTS}")

    def scorer_of(self, learner: Any) -> Scorer:
        """Return the scorer of a learner as it stands, asked anew for each validation."""
        raise NotImplementedError

    def find_settings(
        self, train: Interactions, valid: Interactions | None, trials: bool, progress: bool | None
    ) -> dict[str, Any]:
        """Return settings that are left to the data, by name, as JSON values.

        Without `trials` the data says nothing of the aim, and the usual values are to be taken.
        """
        return {}

    def settings_taken_over(self, tuned: dict[str, Any], train: Interactions) -> dict[str, Any]:
        """Return what `find_settings` found for a model to start from, as `train` needs it."""
        return tuned

    # --- what follows from it -------------------------------------------------------------------

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
        checkpoint_seconds: float = training.CHECKPOINT_SECONDS,
        threads: int | None = None,
        progress: bool | None = None,
        callbacks: Sequence[Callback] = (),
        start: Any = None,
        anchor: float = 0.0,
        partitions: int = 1,
        workdir: str | Path | None = None,
        ray: str | None = None,
    ) -> Self:
        """Train on interactions by mini-batches: see `Recommender.fit`."""
        check_options(monitor, resume, checkpoint_seconds, progress)
        if workdir is not None or ray is not None or isinstance(train, Prepared):
            in_files.check_out(out, workdir, ray)
            in_files.check_not_used(pool=pool, monitor=monitor, start=start)
            place = out
            with publishing(place) as out, limited_threads(threads), _reserved(out, workdir):
                observers = self._observers(callbacks, progress, out)
                with observers.failing():
                    self._fit_in_files(
                        *(train, valid, partitions, also_seen, progress),
                        observers=observers,
                        out=places.output(out),
                        workdir=None if workdir is None else places.output(workdir),
                        ray=ray,
                        resume=resume,
                        seconds=checkpoint_seconds,
                    )
                observers.call("on_end", self)
            if place is not None and places.in_store(place):
                self._fitted, self._saved_in = None, place
            return self
        with publishing(out) as out, limited_threads(threads), _reserved(out):
            data, valid = parts_given(train, valid, progress)
            check_weights(self, data.weights is not None)
            negatives = pool_of(pool, data)
            check_negatives(data, negatives)
            held_out = aligned(valid, data)
            also_seen = more_seen(also_seen, data)
            begin = start_of(self, start, anchor)
            check_partitions(self.name, partitions, negatives, begin)
            partitions = int(partitions)
            if resume and out is None:
                raise ParameterError("resume needs out, the folder that holds the checkpoint")
            checkpoints = None
            if out is not None:
                artifact.probe(places.output(out))  # before any work is done for nothing
                identity = self._identity(data, held_out, negatives)
                identity |= {"partitions": partitions} if partitions > 1 else {}
                identity |= {} if begin is None else begin.identity()
                folder = places.output(out) / "checkpoint"
                checkpoints = training.Checkpoints(folder, identity, checkpoint_seconds)
            observers = self._observers(callbacks, progress, out)
            with observers.failing():
                given = monitor, checkpoints, resume, observers
                if partitions == 1:
                    fitted = self._train(data, held_out, negatives, begin, *given)
                else:
                    fitted = train_in_memory(self, data, held_out, partitions, *given)
                with training.finishing() if checkpoints else nullcontext():
                    self._take(fitted, also_seen, out)
                    if checkpoints:
                        training.discard(checkpoints)
            observers.call("on_end", self)
        return self

    def _observers(
        self, callbacks: Sequence[Callback], progress: bool | None, out: str | Path | None
    ) -> Observers:
        place = None if out is None else str(out)
        run = TrainingRun(self.name, self.get_params(), out=place)
        return Observers(callbacks, make_reporter(progress), run)

    def _fit_in_files(
        self,
        train: Any,
        valid: Any,
        partitions: int,
        also_seen: Any,
        progress: bool | None,
        **places_and_times: Any,
    ) -> None:
        check_partitions(self.name, partitions, None, None)
        partitions = int(partitions)
        if isinstance(train, Prepared):
            parts = in_files.parts_of(train, partitions)
            held_out = None if valid is None or valid is False else Interactions.of(valid)
            if valid is None:
                held_out = in_files.held_out_sample(train, self.config.validate_users)
        else:
            data, valid = parts_given(train, valid, progress)
            check_negatives(data, None)
            parts, held_out = in_files.parts_of(data, partitions), aligned(valid, data)
        check_weights(self, parts.weighted)
        identity = {
            "model": self.name,
            **self.get_params(),
            "train": parts.fingerprint,
            "valid": None if held_out is None else held_out.fingerprint,
            "partitions": parts.n_parts,
        }
        also_seen = None if also_seen is None else Interactions.of(also_seen)
        in_files.train_in_files(
            self, parts, held_out, identity, also_seen=also_seen, **places_and_times
        )
        self._fitted, self._saved_in = None, places_and_times["out"]

    def _train(
        self,
        data: Interactions,
        valid: Interactions | None,
        pool: Csr | None,
        begin: Start | None,
        monitor: Monitor | None,
        checkpoints: training.Checkpoints | None,
        resume: bool,
        observers: Observers,
    ) -> Fitted:
        tuned = training.notes(checkpoints) if checkpoints and resume else {}
        if not tuned and begin is not None:
            tuned = self.settings_taken_over(begin.tuned, data)
        elif not tuned:
            shown = observers.shown
            tuned = self.find_settings(data, valid, monitor is None and pool is None, shown)
        learner = self.learner(data, pool, tuned)
        after_epoch = None if begin is None else begin.begin(self, learner, data)
        if checkpoints:
            checkpoints = replace(checkpoints, notes=tuned)
            size = 2 * sum(array.nbytes for array in learner.arrays.values())
            artifact.probe(checkpoints.folder.parent, size)
        provenance = {**describe(data, valid), "tuned": tuned}
        observers.describe(provenance)
        known = known_of(data, valid)

        def current() -> EpochTrained:
            model = copy(self)
            model._fitted = Fitted(known, self.scorer_of(learner), [], provenance)
            return model

        run = training.train(
            learner,
            self._plan(),
            self._validation(current, data, valid, monitor),
            checkpoints=checkpoints,
            resume=resume,
            progress=observers,
            after_epoch=after_epoch,
        )
        ended: dict[str, Any] = {"best_epoch": run.best_epoch, "stopped": run.stopped}
        scorer = self.scorer_of(learner)
        if begin is not None:
            ended["start"] = begin.told(scorer, data)
        return Fitted(known, scorer, run.history, provenance | ended)

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
            **({} if pool is None else {"pool": digest(pool)}),
        }

    def _validation(
        self,
        current: Callable[[], "EpochTrained"],
        data: Interactions,
        valid: Interactions | None,
        monitor: Monitor | None,
    ) -> Callable[[], float] | None:
        if monitor is not None:
            return lambda: monitor(current())
        if valid is None:
            return None
        most = self.config.validate_users or None
        measure = validator(valid, data, self.config.metric, max_users=most)
        return lambda: measure(current().scorer)


@contextmanager
def _reserved(*folders: str | Path | None) -> Iterator[None]:
    with ExitStack() as held:
        for folder in folders:
            if folder is not None:
                held.enter_context(reserved(places.output(folder), "training into"))
        yield
