"""Rows of users and items in the files of a work folder, and how far a run has come.

Each part of the users and each chunk of the items is a file of its own, with a version in its name,
and is never changed: what is new gets a new file. `run.json` names the files that belong together;
replacing it is a checkpoint. Files that it does not name go.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from trimetric import training
from trimetric.errors import ArtifactError, OutputError
from trimetric.scale.parts import Parts
from trimetric.scale.trainer import Trainer
from trimetric.storage.atomic import output_errors, replacing, sync, sync_folder

_JOURNAL = "run.json"
_FORMAT = "trimetric-run"
_FILE = re.compile(r"(users|items)-\d{5,}-\d{8,}\.npy")


class FileStore:
    """The rows of all parts and chunks in files; a `learner.Store` and a `training.Keeper`.

    Rows that were never put are those that training starts from, and take no file. One part of the
    users, that which was put last, is in memory.

    Parameters
    ----------
    folder : Path
    parts : Parts
    trainer : Trainer
    identity, notes : mapping
        See `training.Checkpoints`.
    seconds : float
        The least time between two checkpoints.
    """

    def __init__(
        self,
        folder: Path,
        parts: Parts,
        trainer: Trainer,
        identity: Mapping[str, Any],
        notes: Mapping[str, Any],
        seconds: float,
    ) -> None:
        self.folder, self.seconds, self.totals = folder, seconds, np.zeros(4)
        self._parts, self._trainer = parts, trainer
        self._identity, self._notes = dict(identity), dict(notes)
        self._now: dict[str, str] = {}
        self._best: dict[str, str] = {}
        self._saved: set[str] = set()
        self._version, self._finite = 0, True
        self._resident: tuple[int, np.ndarray] | None = None

    # --- rows -------------------------------------------------------------------------------------

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Nothing: what training changes is in files."""
        return {}

    def get_users(self, part: int) -> np.ndarray:
        """Return the rows of a part."""
        if self._resident is not None and self._resident[0] == part:
            return self._resident[1]
        name = self._now.get(_unit("users", part))
        if name is None:
            return self._trainer.start_users(part, int(self._parts.user_counts[part]))
        return self._read(name, (int(self._parts.user_counts[part]), self._trainer.users.total))

    def put_users(self, part: int, rows: np.ndarray) -> None:
        """Replace the rows of a part."""
        if self._resident is not None and self._resident[0] != part:
            self._write_resident()
        self._finite = self._finite and bool(np.isfinite(rows).all())
        self._resident = part, rows

    def get_items(self, chunks: Sequence[int]) -> np.ndarray:
        """Return the rows of some chunks, end to end."""
        return np.concatenate([self._chunk(int(chunk)) for chunk in chunks])

    def put_items(self, chunks: Sequence[int], rows: np.ndarray) -> None:
        """Replace the rows of some chunks."""
        self._finite = self._finite and bool(np.isfinite(rows).all())
        start = 0
        for chunk in chunks:
            end = start + int(self._parts.item_counts[chunk])
            self._write(_unit("items", int(chunk)), rows[start:end])
            start = end

    def files_of(self, part: int | None, chunks: Sequence[int]) -> list[Path]:
        """Return the files where rows of a part and of some chunks are, without those in memory."""
        units = [_unit("items", int(chunk)) for chunk in chunks]
        if part is not None and (self._resident is None or self._resident[0] != part):
            units.append(_unit("users", part))
        return [self.folder / self._now[unit] for unit in units if unit in self._now]

    def _chunk(self, chunk: int) -> np.ndarray:
        name, n = self._now.get(_unit("items", chunk)), int(self._parts.item_counts[chunk])
        if name is None:
            return self._trainer.start_items(chunk, n)
        return self._read(name, (n, self._trainer.items.total))

    # --- files ------------------------------------------------------------------------------------

    def _read(self, name: str, shape: tuple[int, int]) -> np.ndarray:
        path = self.folder / name
        try:
            rows = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ArtifactError(f"{path} cannot be read ({error}); start the run anew") from error
        if rows.shape != shape or rows.dtype != np.float32:
            raise ArtifactError(
                f"{path} holds {rows.dtype} {rows.shape}, not float32 {shape}; start the run anew"
            )
        return rows

    def _write(self, unit: str, rows: np.ndarray) -> None:
        self._version += 1
        name = f"{unit}-{self._version:08d}.npy"
        with output_errors(self.folder / name):
            np.save(self.folder / name, rows, allow_pickle=False)
        old, self._now[unit] = self._now.get(unit), name
        if old is not None and old not in self._saved and old not in self._best.values():
            (self.folder / old).unlink(missing_ok=True)

    def _write_resident(self) -> None:
        if self._resident is not None:
            part, rows = self._resident
            self._write(_unit("users", part), rows)
            self._resident = None

    # --- the run ----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Make the folder.

        Raises
        ------
        OutputError
            It cannot be made, or holds an unfinished run.
        """
        if (self.folder / _JOURNAL).exists():
            self.refuse(self.folder)
        with output_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()

    @staticmethod
    def refuse(folder: Path) -> NoReturn:
        """Raise OutputError: there is an unfinished run."""
        raise OutputError(
            f"{folder} holds an unfinished run; go on with it (--resume), or remove the folder"
        )

    def load(self) -> training.Run | None:
        """Take up the run of the folder, if there is one.

        Raises
        ------
        CheckpointMismatch
            It is another run.
        """
        journal = read_journal(self.folder)
        if journal is None:
            self.begin()
            return None
        checkpoints = training.Checkpoints(self.folder, self._identity)
        training.same_identity(journal["identity"], checkpoints)
        self._now, self._best = dict(journal["now"]), dict(journal["best"])
        self._saved = {*self._now.values(), *self._best.values()}
        self._version = journal["version"]
        self.totals[:] = journal["totals"]
        self._sweep()
        return training.Run(**journal["run"])

    def save(self, run: training.Run) -> None:
        """Write a checkpoint: all files first, then the journal that names them."""
        if self._resident is not None:
            part, rows = self._resident
            self._write(_unit("users", part), rows)
        named = {*self._now.values(), *self._best.values()}
        with output_errors(self.folder):
            for name in sorted(named - self._saved):
                sync(self.folder / name)
            sync_folder(self.folder)
            journal = {
                "format": _FORMAT,
                "version": self._version,
                "identity": self._identity,
                "notes": self._notes,
                "run": vars(run),
                "totals": self.totals.tolist(),
                "now": self._now,
                "best": self._best,
            }
            with replacing(self.folder / _JOURNAL) as file:
                file.write(json.dumps(journal).encode())
        self._saved = named
        self._sweep()

    def keep_best(self) -> None:
        """Keep the rows as they stand as the best so far."""
        self._write_resident()
        old, self._best = self._best, dict(self._now)
        for name in {*old.values()} - {*self._best.values()} - self._saved:
            (self.folder / name).unlink(missing_ok=True)

    def restore_best(self) -> None:
        """Bring the rows back to the best ones, if some were kept."""
        self._write_resident()
        if self._best:
            self._now = dict(self._best)

    @property
    def has_best(self) -> bool:
        """Whether best rows were kept."""
        return bool(self._best)

    def switched_to_best(self) -> dict[str, str]:
        """Read the best rows from now on; return what `switched_back` takes."""
        now, self._now = self._now, dict(self._best)
        return now

    def switched_back(self, now: dict[str, str]) -> None:
        """Read the rows as they stand again."""
        self._now = now

    def is_finite(self) -> bool:
        """Tell whether all rows that were put are finite."""
        return self._finite

    def discard(self) -> None:
        """Remove what the run wrote, its journal first."""
        (self.folder / _JOURNAL).unlink(missing_ok=True)
        self._now, self._best, self._saved, self._resident = {}, {}, set(), None
        self._sweep()
        with suppress(OSError):
            self.folder.rmdir()

    def _sweep(self) -> None:
        """Remove files that no run names any more."""
        kept = {*self._now.values(), *self._best.values(), *self._saved}
        for entry in os.scandir(self.folder):
            if _FILE.fullmatch(entry.name) and entry.name not in kept:
                Path(entry.path).unlink(missing_ok=True)


def read_journal(folder: Path) -> dict[str, Any] | None:
    """Return what a work folder says of its run; None where there is none.

    Raises
    ------
    ArtifactError
        It is damaged, or not ours.
    """
    path = folder / _JOURNAL
    if not path.exists():
        return None
    try:
        journal = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); start the run anew") from error
    named = [*journal.get("now", {}).values(), *journal.get("best", {}).values()]
    if journal.get("format") != _FORMAT or not all(_FILE.fullmatch(str(n)) for n in named):
        raise ArtifactError(f"{path} is not the journal of a run; choose another work folder")
    return journal


def _unit(side: str, number: int) -> str:
    return f"{side}-{number:05d}"
