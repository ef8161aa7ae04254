"""Interactions that were held out from training, to measure served models on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trimetric.data import Interactions, Split
from trimetric.data.splits import shipped_part
from trimetric.serve.served_model import ServedModel


@dataclass(frozen=True)
class HeldOut:
    """Interactions that no served model was trained on.

    Parameters
    ----------
    test : Interactions
    valid : Interactions, optional
        What models were validated on: no candidates, as in `trimetric evaluate --valid`.
    history : Interactions, optional
        Of users held out whole: what they are known by.
    """

    test: Interactions
    valid: Interactions | None = None
    history: Interactions | None = None

    def beside(self, served: ServedModel) -> Split | Interactions:
        """Return what to evaluate a model on."""
        if self.valid is None and self.history is None:
            return self.test
        seen = served.known.seen
        ids = served.known.user_ids, served.known.item_ids
        train = Interactions.from_rows(*ids, seen.users, seen.items)
        return Split(train, self.valid, self.test, {"method": "files"}, self.history)


def read(test: Path, valid: Path | None) -> HeldOut:
    """Read the files that `trimetric evaluate` takes; `test` may be the folder of a split.

    Raises
    ------
    DataError
        A file cannot be read.
    """
    if valid is None and test.is_dir() and (test / "split.json").exists():
        split = Split.load(test)
        return HeldOut(split.test, split.valid, split.history)
    return HeldOut(_part(test, "test"), None if valid is None else _part(valid, "valid"))


def _part(path: Path, part: Literal["valid", "test"]) -> Interactions:
    data = Interactions.of(path)
    return (shipped_part(data, part) or data) if data.labels is not None else data
