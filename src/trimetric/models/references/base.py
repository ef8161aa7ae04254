"""What the reference models share: settings, and a `fit` that trains in one go."""

import time
from collections.abc import Mapping
from copy import copy
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from trimetric import artifact
from trimetric.data.interactions import Interactions
from trimetric.engine.scores import CELLS_AT_ONCE
from trimetric.errors import DataError, ParameterError
from trimetric.models.base import aligned, described
from trimetric.models.config import Config
from trimetric.models.scored import Scored
from trimetric.models.trained import Monitor, lookup
from trimetric.training import CHECKPOINT_SECONDS


class Reference(Scored):
    """A model that has no epochs to stop between.

    A subclass names its `Config`, and writes `_bytes` and `_learn` beside what every model does.

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

    Config: ClassVar[type[Config]] = Config
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, *, preset: str | None = None, **settings: Any) -> None:
        names = sorted(item.name for item in fields(self.Config))
        unknown = sorted(settings.keys() - set(names))
        if unknown:
            listed = ", ".join(names) or "no settings"
            raise ParameterError(f"unknown setting {unknown[0]!r}; {self.name} has {listed}")
        self.config = self.Config(**{**lookup("preset", preset, self.presets), **settings})
        self.history = []

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name; `deep` is scikit-learn's and changes nothing."""
        return self.config.to_dict()

    # --- what a model file writes ---------------------------------------------------------------

    def _bytes(self, data: Interactions) -> int:
        """Return about how large the saved model will be, having checked that it can be made."""
        raise NotImplementedError

    def _learn(self, data: Interactions, threads: int | None) -> None:
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
        threads : int, optional
            All processors unless given; the result does not depend on it.

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
        trained._learn(data, threads)
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
