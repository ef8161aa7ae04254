"""Write a model in parts: P shards of its users that share one shard of its items.

All shards are written to a hidden folder inside the model's and moved beside `model.json` in the
save that names them, so that a crash at any moment leaves the old model or the new one whole. The
names of shards hold their checksums, and what `model.json` does not name is removed.
"""

import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.errors import OutputError, ParameterError, Unsupported
from trimetric.models import model_class
from trimetric.models.saved import (
    SHARDED,
    UNAVAILABLE,
    known_tensors,
    seen_tensors,
    validated_tensors,
)
from trimetric.scale.hashing import USERS, part_of
from trimetric.storage import artifact, places
from trimetric.storage.atomic import locked, output_errors, output_folder

if TYPE_CHECKING:
    from trimetric.models.sharded import ShardedModel

ITEM_SHARD, USER_SHARD = "item-shard", "user-shard"
MOST_PARTS = 100_000
_STAGING = ".shards-"


def checked_partitions(partitions: Any) -> int:
    """Return a number of parts, or raise ParameterError."""
    whole = isinstance(partitions, int | np.integer) and not isinstance(partitions, bool)
    if not whole or not 1 <= partitions <= MOST_PARTS:
        raise ParameterError(
            f"partitions must be a whole number in 1..{MOST_PARTS}, got {partitions!r}"
        )
    return int(partitions)


def user_tensors(name: str) -> frozenset[str]:
    """Return the names of a model's tensors that have a row for each user.

    Raises
    ------
    Unsupported
        It does not say which these are, and cannot be saved in parts.
    """
    names = model_class(name)[0].user_tensors
    if names is None:
        raise Unsupported(
            f"{name} cannot be saved in parts; centroid, sml, cml and the ablations can. Save it as"
            " one"
        )
    return names


class ShardedWriter:
    """Writes a model in parts; used in a `with` statement, which removes what was not finished.

    `items` comes first, then `users` or `keep` once for each part in any order, then `finish`.

    Parameters
    ----------
    folder : path
        Where the model is to be; what is there stays until `finish`.
    name : str
        The model's registered name, such as "sml".
    params : mapping
        Its settings: `Recommender.get_params`.
    provenance : mapping
        What it was trained on, as JSON values.
    history : sequence of dict
        One row an epoch.
    partitions : int
        P.

    Raises
    ------
    ParameterError
        The model is unknown, or `partitions` out of range.
    Unsupported
        The model cannot be saved in parts.
    OutputError
        The folder cannot be written.
    """

    def __init__(
        self,
        folder: str | Path,
        name: str,
        params: Mapping[str, Any],
        provenance: Mapping[str, Any],
        history: Sequence[Mapping[str, Any]],
        partitions: int,
    ) -> None:
        self.folder, self.partitions = places.output(folder), checked_partitions(partitions)
        self._user_tensors = user_tensors(name)
        self._about = {
            "model": name,
            "params": dict(params),
            "data": dict(provenance),
            "history": [dict(row) for row in history],
        }
        self._items: dict[str, np.ndarray] | None = None
        self._popularity = np.zeros(0, dtype=np.int64)
        self._written: dict[int, dict[str, Any]] = {}
        self._kinds: set[str] = set()
        self._form: dict[str, Any] | None = None
        self._held = ExitStack()

    def __enter__(self) -> Self:
        with output_errors(self.folder), ExitStack() as held:
            held.enter_context(output_folder(self.folder))
            _sweep(self.folder)
            self._staging = self.folder / f"{_STAGING}{secrets.token_hex(6)}"
            self._staging.mkdir()
            held.callback(shutil.rmtree, self._staging, ignore_errors=True)
            (self._staging / "lock").touch()
            held.enter_context(locked(self._staging / "lock"))
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def items(
        self,
        tensors: Mapping[str, np.ndarray],
        item_ids: Vocabulary,
        unavailable: np.ndarray | None = None,
    ) -> None:
        """Give what is known of items; it is kept and written by `finish`.

        Parameters
        ----------
        tensors : mapping of str to ndarray
            The model's tensors but those of users, by the names that `Recommender.tensors` has.
        item_ids : Vocabulary
        unavailable : int32 ascending, optional
            Rows of items that may be in no list.
        """
        wrong = sorted(self._user_tensors & tensors.keys())
        if wrong:
            raise ParameterError(f"tensor {wrong[0]!r} is of users; give it to users()")
        self._items = dict(tensors) | known_tensors("item", item_ids)
        if unavailable is not None and len(unavailable):
            self._items[UNAVAILABLE] = np.asarray(unavailable, dtype=np.int32)
        self._popularity = np.zeros(len(item_ids), dtype=np.int64)

    def users(
        self,
        part: int,
        tensors: Mapping[str, np.ndarray],
        user_ids: Vocabulary,
        seen: Csr,
        weights: np.ndarray | None = None,
        validated: Csr | None = None,
    ) -> None:
        """Write the users of a part.

        Parameters
        ----------
        part : int
            0..P - 1.
        tensors : mapping of str to ndarray
            The model's tensors of users, a row for each of `user_ids`.
        user_ids : Vocabulary
            Ids that `scale.hashing.part_of` puts into this part.
        seen : Csr
            What they have seen, as rows of the sorted items.
        weights : float32, optional
            How much each entry of `seen` counts; of all parts or of none.
        validated : Csr, optional
            What training was validated on, in the same rows.

        Raises
        ------
        ParameterError
            The part was written before or does not exist, or its tensors, ids and lists do not
            fit each other.
        OutputError
            It cannot be written.
        """
        if self._items is None:
            raise ParameterError("give items() before users(), whose lists are of rows of items")
        if not 0 <= part < self.partitions or part in self._written:
            raise ParameterError(f"part {part} of {self.partitions} was written or does not exist")
        n, strangers = len(user_ids), tensors.keys() - self._user_tensors
        lists = [seen] if validated is None else [seen, validated]
        lengths = {len(array) for array in tensors.values()} | {one.n_users for one in lists}
        fit = all(one.is_valid(len(self._popularity)) for one in lists)
        fit &= weights is None or len(weights) == len(seen.items)
        if strangers or lengths != {n} or not fit:
            raise ParameterError(
                f"part {part}: tensors {sorted(tensors)} of {sorted(lengths)} rows, {n} users, and"
                " lists do not fit each other"
            )
        form = {
            name: {"dtype": array.dtype.name, "shape": list(array.shape[1:])}
            for name, array in sorted(tensors.items())
        }
        if self._form not in (None, form):
            raise ParameterError(f"part {part}: tensors {form} differ from {self._form} of others")
        if (part_of(user_ids, self.partitions, USERS) != part).any():
            raise ParameterError(f"part {part}: some of its users belong to other parts")
        name, kind = f"users-{part:05}", user_ids.kind
        about = {"model": self._about["model"], "part": part, "parts": self.partitions}
        whole = {**tensors, **known_tensors("user", user_ids), **seen_tensors(seen, weights)}
        whole |= validated_tensors(validated)
        artifact.save(self._staging, USER_SHARD, about, whole, f"{name}.json", sweep=False)
        self._popularity += np.bincount(seen.items, minlength=len(self._popularity))
        self._kinds |= {kind} if n else set()
        self._form = form
        self._written[part] = {
            "checksum": artifact.checksum(self._staging, f"{name}.json"),
            "manifest": artifact.shard_name(self._staging, name),
            "users": n,
            "trained": int(np.count_nonzero(seen.counts)),
            "interactions": len(seen.items),
            "weights": weights is not None,
        }

    def keep(self, part: int, model: "ShardedModel") -> None:
        """Take a part over from a saved model as it is, of as many parts and the same items.

        Parameters
        ----------
        part : int
            0..P - 1.
        model : ShardedModel
            Saved in this folder, or in another, from which files are copied.

        Raises
        ------
        ArtifactError, OutputError
            A file cannot be read, or not copied.
        """
        entry = model.index["users"][part]
        if model.folder.resolve() != self.folder.resolve():
            with output_errors(self.folder):
                for name in artifact.files_of(model.folder, entry["manifest"]):
                    shutil.copyfile(model.folder / name, self._staging / name)
        self._kinds |= {model.user_kind} if entry["users"] else set()
        self._form = model.index["user_tensors"]
        self._written[part] = dict(entry)

    def finish(self, replaces: str | None = None, popularity: np.ndarray | None = None) -> None:
        """Let the model take the place of what is in the folder, in a single step.

        Parameters
        ----------
        replaces : str, optional
            The checksum of what must stand there: see `Recommender.save`.
        popularity : int64 (n_items,), optional
            How many users of all parts have each item, where parts were kept; by default counted.

        Raises
        ------
        ParameterError
            A part is missing, or parts differ in the type of ids or in having weights.
        OutputError, Superseded
            See `storage.artifact.save`.
        """
        missing = sorted(set(range(self.partitions)) - self._written.keys())
        if missing or self._items is None:
            raise ParameterError(f"parts {missing[:5]} of {self.partitions} were not written")
        users = [self._written[part] for part in range(self.partitions)]
        if len(self._kinds) > 1 or len({one["weights"] for one in users if one["users"]}) > 1:
            raise ParameterError("all parts must have ids of one type, and weights or none")
        about = {"model": self._about["model"], "parts": self.partitions}
        counted = self._popularity if popularity is None else popularity
        tensors = {**self._items, "popularity": counted}
        artifact.save(self._staging, ITEM_SHARD, about, tensors, "items.json", sweep=False)
        index = {
            **self._about,
            "parts": self.partitions,
            "user_ids": min(self._kinds, default="int"),
            "user_tensors": self._form,
            "items": {
                "checksum": artifact.checksum(self._staging, "items.json"),
                "manifest": artifact.shard_name(self._staging, "items"),
            },
            "users": users,
        }
        artifact.save(self.folder, SHARDED, index, {}, replaces=replaces, shards=self._staging)


def save_sharded(
    model: Any, folder: str | Path, partitions: int, *, replaces: str | None = None
) -> None:
    """Divide a model by its users and save it: see `Recommender.save`.

    Parameters
    ----------
    model : Recommender
        One that nobody trains meanwhile: see `Recommender.snapshot`.
    folder : path
    partitions : int
    replaces : str, optional
    """
    known, of_users = model.known, user_tensors(model.name)
    tensors = model.tensors()
    parts = part_of(known.user_ids, checked_partitions(partitions), USERS)
    about = (model.name, model.get_params(), model.provenance, model.history)
    with ShardedWriter(folder, *about, partitions) as writer:
        items = {name: array for name, array in tensors.items() if name not in of_users}
        writer.items(items, known.item_ids, known.unavailable)
        for part in range(partitions):
            rows = np.flatnonzero(parts == part)
            mine = {name: tensors[name][rows] for name in of_users & tensors.keys()}
            weights = None
            if known.weights is not None:
                weights = known.weights[entries_of(known.seen, rows)]
            ids = Vocabulary(known.user_ids.values.gather(rows))
            held = None if known.validated is None else known.validated.take(rows)
            writer.users(part, mine, ids, known.seen.take(rows), weights, held)
        writer.finish(replaces)


def entries_of(lists: Csr, rows: np.ndarray) -> np.ndarray:
    """Return where the entries of some lists stand, int64, list after list."""
    starts, counts = lists.indptr[rows], lists.counts[rows]
    before = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(starts - before, counts)


def _sweep(folder: Path) -> None:
    """Remove what writers that were killed have left."""
    for path in folder.glob(f"{_STAGING}*"):
        with suppress(OSError, OutputError):
            lock = path / "lock"
            if not lock.exists():
                shutil.rmtree(path)
                continue
            with locked(lock, wait=False) as dead:
                if dead:
                    shutil.rmtree(path)
