"""The ids of users of a model in parts, without having them all in memory."""

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from trimetric.data.ids import Vocabulary
from trimetric.models.sharded_whole import sorted_ids

if TYPE_CHECKING:
    import polars as pl

    from trimetric.models.sharded import ShardedModel


class DividedIds:
    """The users of all parts: what a `Vocabulary` offers, part by part where that is possible.

    Parameters
    ----------
    model : ShardedModel
    """

    def __init__(self, model: "ShardedModel") -> None:
        self._model = model

    def __len__(self) -> int:
        return self._model.n_users

    def __contains__(self, value: object) -> bool:
        return bool(self.encode([value])[0] >= 0)

    def __repr__(self) -> str:
        return f"DividedIds({len(self):,} {self.kind} ids in {self._model.n_parts} parts)"

    @property
    def kind(self) -> Literal["int", "str"]:
        """What the ids are."""
        return cast(Literal["int", "str"], self._model.user_kind)

    @cached_property
    def _none(self) -> Vocabulary:
        return self._model.without_users.user_ids

    @cached_property
    def whole(self) -> Vocabulary:
        """All ids, in memory."""
        parts = range(self._model.n_parts)
        return sorted_ids([self._model.stored(part).known.user_ids for part in parts])

    @property
    def values(self) -> "pl.Series":
        """All ids, sorted, in memory."""
        return self.whole.values

    def encode(self, ids: Iterable[Any]) -> np.ndarray:
        """Return the row of each id in its part, int32, -1 where it is unknown.

        Only parts that may have one of them are read.
        """
        wanted = list(ids)
        parts = self._model.part_of(wanted)
        out = np.full(len(wanted), -1, dtype=np.int32)
        for part in np.unique(parts[parts >= 0]).tolist():
            at = np.flatnonzero(parts == part)
            mine = [wanted[place] for place in at]
            out[at] = self._model.part(part).user_ids.encode(mine)
        return out

    def decode(self, rows: Iterable[int]) -> "pl.Series":
        """Return ids by their places among all ids in order: see `Vocabulary.decode`."""
        return self.whole.decode(rows)

    def parse(self, texts: Iterable[str]) -> list[int | str]:
        """Read ids typed as text: see `Vocabulary.parse`."""
        return self._none.parse(texts)


class EveryUser:
    """The ids of all users, part after part, read as they are asked for.

    Parameters
    ----------
    model : ShardedModel
    """

    def __init__(self, model: "ShardedModel") -> None:
        self._model = model
        self._ends = np.cumsum(model.part_sizes)

    def __len__(self) -> int:
        return self._model.n_users

    def __getitem__(self, span: slice) -> list[Any]:
        start, stop, _ = span.indices(len(self))
        out: list[Any] = []
        for part in range(self._model.n_parts):
            begin = int(self._ends[part] - self._model.part_sizes[part])
            low, high = max(start, begin), min(stop, int(self._ends[part]))
            if low < high:
                ids = self._model.part(part).user_ids
                out += ids.values[low - begin : high - begin].to_list()
        return out


def everybody(model: Any) -> Any:
    """Return the ids of all users; of a model in parts, part after part."""
    ids = model.user_ids
    return EveryUser(model) if isinstance(ids, DividedIds) else ids.values
