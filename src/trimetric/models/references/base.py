"""What the reference models share: settings, and a `fit` that trains in one go."""

import time
from copy import copy
from pathlib import Path
from typing import Any, Self

import numpy as np

from trimetric.data.interactions import Interactions
from trimetric.engine.scores import CELLS_AT_ONCE
from trimetric.errors import DataError, ParameterError
from trimetric.models.configured import Configured
from trimetric.models.recommender import Monitor, aligned, described
from trimetric.models.scored import Scored
from trimetric.storage import artifact
from trimetric.training import CHECKPOINT_SECONDS


class Reference(Configured, Scored):
    """A model that has no epochs to stop between: see `Configured`.

    A subclass names its `Config`, and writes `_bytes` and `_learn` beside what every model does.
    """

    # --- what a model file writes ---------------------------------------------------------------

    def _bytes(self, data: Interactions) -> int:
        """Return about how large the saved model will be, having checked that it can be made."""
        raise NotImplementedError

    def _learn(self, data: Interactions) -> None:
        """Learn from `data`, whose ids and interactions the model knows already."""
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
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> Self:
        """Train on interactions. If that fails, the model is as it was before.

        This model learns in one go: it draws no negatives, decides nothing by validation and
        leaves no checkpoint. So `pool`, `monitor`, `checkpoint_seconds` and `progress` change
        nothing, `valid` is only noted, and `resume` trains anew, to the same bits.

        Parameters
        ----------
        train : Interactions, path, data set name, frame, sparse matrix or (users, items)
        valid, pool, monitor, checkpoint_seconds, progress
            As in `trained.Trained.fit`; see above.
        out : path, optional
            Save the model to this folder.
        resume : bool
            Allowed with `out`.

        Returns
        -------
        self

        Raises
        ------
        DataError
            The data cannot be used: no interactions, or too many items for this model.
        ParameterError
            `resume` without `out`.
        OutputError
            `out` cannot be written.
        """
        data = Interactions.of(train)
        if len(data) == 0:
            raise DataError("the training data has no interactions; nothing can be learned")
        valid = aligned(valid, data)
        if resume and out is None:
            raise ParameterError("resume needs out, the folder that holds the checkpoint")
        size = self._bytes(data)
        if out is not None:
            artifact.probe(Path(out), size)
        trained, began = copy(self), time.monotonic()
        trained._know(data)
        trained._learn(data)
        trained.history = [{"epoch": 1, "seconds": round(time.monotonic() - began, 4)}]
        trained._data = {**described(data, valid), "best_epoch": 0, "stopped": ""}
        self.__dict__ = trained.__dict__
        if out is not None:
            self.save(out)
        return self


class FromHistory(Reference):
    """A model whose score is a sum over the items that a user has; a subclass writes `_table`.

    A user's items are those of `seen` as it stands. What is added to it after training thus tells
    of the user without any training, which is what these models are known for.
    """

    def score_rows(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return the scores of pairs of rows (int32 (n,)), float32, taken out of `_table`."""
        scores = np.empty(len(users), dtype=np.float32)
        asked, place = np.unique(users, return_inverse=True)
        order = np.argsort(place, kind="stable")
        size = max(1, CELLS_AT_ONCE // max(len(self.item_ids), 1))
        for low in range(0, len(asked), size):
            first, stop = np.searchsorted(place[order], (low, low + size))
            mine = order[first:stop]
            table = self._table(asked[low : low + size])
            scores[mine] = table[place[mine] - low, items[mine]]
        return scores
