"""Two sessions as one run: in each epoch the first trains, and then the second if it has epochs."""

from collections.abc import Callable
from typing import Any

import numpy as np

from trimetric.engine.session import Session
from trimetric.engine.threads import ThreadTeam

PREFIX = "second/"


class SessionPair:
    """Two independent sessions that share epochs, validation and checkpoints.

    It is a `training.Learner`. The second session trains in its own first epochs only.

    Parameters
    ----------
    first : Session, or a learner in parts
    second : Session
    weight : float
        Of the second, for whoever puts together what both learned.
    """

    def __init__(self, first: Any, second: Session, weight: float) -> None:
        self.first, self.second, self.weight = first, second, weight
        named = (PREFIX + name for name in second.saved)
        self.saved = (*first.saved, *named)

    @property
    def n_batches(self) -> int:
        """Mini-batches in an epoch of both."""
        return self.first.n_batches + self.second.n_batches

    @property
    def samples(self) -> int:
        """Samples in an epoch of both."""
        return self.first.samples + self.second.samples

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Live views of all that training changes."""
        second = {PREFIX + name: array for name, array in self.second.arrays.items()}
        return {**self.first.arrays, **second}

    def run(
        self, epoch: int, first_batch: int, team: ThreadTeam, pause: Callable[[int], bool]
    ) -> int:
        """Train from a batch of an epoch until its end or a pause; return the batch reached."""
        before = self.first.n_batches
        if first_batch < before:
            reached = self.first.run(epoch, first_batch, team, pause)
            if reached < before:
                return reached
        if epoch >= self.second.settings.epochs:
            return self.n_batches
        start = max(first_batch - before, 0)
        return before + self.second.run(epoch, start, team, lambda batch: pause(before + batch))

    def summary(self) -> dict[str, float]:
        """Describe the epoch of the first session; the loss is NaN if that of either is."""
        first, second = self.first.summary(), self.second.summary()
        return first if np.isfinite(second["loss"]) else {**first, "loss": second["loss"]}
