"""Forgetting users and items: in a model, in a folder, and which files still hold them.

What belongs to a user or an item alone goes: the id, the interactions, the points, the weights.
What others learned from them partly stays: a point that a gradient moved keeps what moved it until
the model is trained again without. Where a point is a mean, the mean is taken anew.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.data.interactions import Interactions
from trimetric.errors import ArtifactError, OutputError, ParameterError, Superseded, Unsupported
from trimetric.keywords import is_one_of
from trimetric.models.answers import known_ids
from trimetric.models.fitted import Fitted
from trimetric.models.saved import Stored
from trimetric.space.given import check_type, ids_of
from trimetric.space.known import Known

if TYPE_CHECKING:
    from trimetric.models.recommender import Recommender
    from trimetric.models.sharded import ShardedModel
    from trimetric.space.scorer import Scorer

T = TypeVar("T")
TRIES = 5
OWES = (
    "points of other users and items were moved by what is gone and keep that; fit the model anew"
    " on data without it to end this"
)
OWES_NOTHING = "nothing: all that is left was computed anew from what is left"


class Kept(NamedTuple):
    """The rows that stay, ascending.

    Parameters
    ----------
    users, items : int64
    """

    users: np.ndarray
    items: np.ndarray


@dataclass(frozen=True)
class Receipt:
    """What was removed, from where, and what still holds it.

    Parameters
    ----------
    model : str
        Name of the model.
    when : str
        UTC.
    users, items : list
        The ids that were removed.
    interactions : int
        How many interactions went with them.
    rows : dict
        Rows removed of each array, by its name.
    owes : str
        What is left of them in other rows.
    fingerprint : (str or None, str)
        Of the interactions, before and after.
    folder : str
        Where the model was changed, if it was a saved one.
    checksum : (str, str)
        Of the saved model, before and after.
    removed : list of str
        Files and folders that were removed, as a checkpoint.
    still_held : list of str
        Files that still hold one of them, of those that were searched; remove or write them anew.
    """

    model: str
    when: str
    users: list
    items: list
    interactions: int
    rows: dict[str, int]
    owes: str
    fingerprint: tuple[str | None, str]
    folder: str = ""
    checksum: tuple[str, str] = ("", "")
    removed: list[str] = field(default_factory=list)
    still_held: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the receipt as JSON values."""
        values = asdict(self)
        for name in ("fingerprint", "checksum"):
            before, after = values.pop(name)
            values[f"{name}_before"], values[f"{name}_after"] = before, after
        if not self.folder:
            for name in ("folder", "checksum_before", "checksum_after", "removed", "still_held"):
                del values[name]
        return values


def forget(model: "Recommender", users: Any, items: Any) -> tuple[Fitted, Receipt]:
    """Return what is left of a model, and the receipt: see `Recommender.forget`."""
    state = model._state
    known = state.known
    gone_users = _gone("user", known.user_ids, users)
    gone_items = _gone("item", known.item_ids, items)
    check_left(
        {"user": gone_users, "item": gone_items},
        {"user": len(known.user_ids), "item": len(known.item_ids)},
    )
    kept = Kept(rows_left(known.user_ids, gone_users), rows_left(known.item_ids, gone_items))
    fewer = known_without(known, kept)
    rest = interactions_of(fewer)
    provenance, before = provenance_left(
        state.provenance, (rest.fingerprint, len(rest)), (len(gone_users), len(gone_items))
    )
    left = replace(state, known=fewer, provenance=provenance)
    left = replace(left, scorer=model.without(state, left, kept))
    after = model.snapshot()
    after._fitted = left
    receipt = Receipt(
        model=model.name,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        users=gone_users,
        items=gone_items,
        interactions=len(known.seen.items) - len(fewer.seen.items),
        rows=_rows_removed(model.tensors(), after.tensors()),
        owes=OWES_NOTHING if is_solved_anew(model, state) else OWES,
        fingerprint=(before, rest.fingerprint),
    )
    return left, receipt


def forget_in(
    folder: str | Path,
    users: Any = None,
    items: Any = None,
    *,
    out: str | Path | None = None,
    search: "list[str | Path] | tuple[()]" = (),
) -> Receipt:
    """Remove users and items from a saved model and from its checkpoint.

    Parameters
    ----------
    folder : path
        Of the model.
    users, items : id or iterable of ids, optional
        At least one.
    out : path, optional
        Where to save what is left, in place of `folder`, which then still holds them.
    search : list of path
        Files and folders to look through for lists and exports that still hold one of them.

    Raises
    ------
    ArtifactError, OutputError
        The model cannot be read, or not written; it is then as it was.
    DataError
        A path to search does not exist, or is a file in which nothing can be found; nothing is
        forgotten then.
    UnknownIds, ParameterError, Unsupported
        See `Recommender.forget`.
    """
    from trimetric.models import sharded_forgetting as in_parts
    from trimetric.models.forgetting_files import holders, refuse_unsearchable
    from trimetric.storage import artifact, places

    if places.in_store(folder) or places.in_store(out):
        raise ParameterError(
            "forgetting needs folders of this machine, since stores and caches keep earlier copies:"
            " copy the model here, forget, save what is left to the store and remove what it keeps"
        )
    searched = [Path(path) for path in search]
    refuse_unsearchable(searched)
    users = None if users is None else ids_of(users, "user")
    items = None if items is None else ids_of(items, "item")
    target = Path(folder if out is None else out)
    before, receipt = _resaved(
        folder,
        target,
        lambda model: model.forget(users, items),
        lambda model, replaces: in_parts.forget(model, users, items, target, replaces),
    )
    removed, held = [], []
    if _same(folder, target):
        removed = _without_checkpoint(target)
    else:
        held.append(str(folder))
    held += holders(searched, receipt.users, receipt.items)
    return replace(
        receipt,
        folder=str(target),
        checksum=(before, artifact.checksum(target)),
        removed=removed,
        still_held=held,
    )


def mark_unavailable(
    folder: str | Path, items: Any, change: str = "replace", out: str | Path | None = None
) -> tuple[int, int]:
    """Mark items of a saved model as unavailable: see `Recommender.set_unavailable`.

    Parameters
    ----------
    folder : path
    items : iterable of item ids
    change : "replace", "add" or "remove"
        What they do to the items that are marked already.
    out : path, optional
        Where to save to, in place of `folder`.

    Returns
    -------
    (int, int)
        How many items are marked now, and how many of those given the model does not know.
    """
    if not is_one_of(change, ("replace", "add", "remove")):
        raise ParameterError(f"change must be replace, add or remove, got {change!r}")
    from trimetric.models import sharded_forgetting as in_parts

    given = ids_of(items, "unavailable", single=False)
    target = Path(folder if out is None else out)

    def marked(ids: Vocabulary, before: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
        check_type("item", ids, given, "unavailable")
        rows = ids.encode(given)
        known = rows[rows >= 0]
        if change == "add":
            known = np.union1d(before, known)
        elif change == "remove":
            known = np.setdiff1d(before, known)
        known = np.unique(known).astype(np.int32)
        return known, (len(known), int((rows < 0).sum()))

    def mark(model: "Recommender") -> tuple[int, int]:
        rows, found = marked(model.item_ids, model.known.unavailable)
        model.set_unavailable(model.item_ids.decode(rows))
        return found

    def mark_in_parts(model: "ShardedModel", replaces: str | None) -> tuple[int, int]:
        rows, found = marked(model.item_ids, model.items.unavailable)
        in_parts.mark(model, rows, target, replaces)
        return found

    return _resaved(folder, target, mark, mark_in_parts)[1]


def _resaved(
    folder: str | Path,
    target: Path,
    change: Callable[["Recommender"], T],
    change_in_parts: Callable[["ShardedModel", str | None], T],
) -> tuple[str, T]:
    """Load a model, change it and save it; again where another was saved there in between.

    One in parts is changed and saved by `change_in_parts`, given what it must replace, without
    being in memory as a whole, if that is possible.

    Returns
    -------
    (str, T)
        The checksum of what was loaded, and what the change returned.
    """
    from trimetric.models import load
    from trimetric.models.sharded import ShardedModel
    from trimetric.models.sharded_forgetting import is_divisible
    from trimetric.models.sharded_index import partitions_in
    from trimetric.storage import artifact

    same = _same(folder, target)

    def once() -> tuple[str, T]:
        partitions = partitions_in(folder)
        if partitions is not None:
            divided = ShardedModel.open(folder)
            if is_divisible(divided):
                replaces = divided.checksum if same else None
                try:
                    return divided.checksum, change_in_parts(divided, replaces)
                except (ArtifactError, OutputError):
                    divided.check_current()
                    raise
        before, model = artifact.checksum(folder), load(folder)
        found = change(model)
        model.save(target, replaces=before if same else None, partitions=partitions)
        return before, found

    for _ in range(TRIES - 1):
        with suppress(Superseded):
            return once()
    return once()


def _same(folder: str | Path, target: Path) -> bool:
    return target.resolve() == Path(folder).resolve()


# --- what is left -------------------------------------------------------------------------------


def known_without(known: Known, kept: Kept) -> Known:
    """Return what is known without the rows that go."""
    place = np.full(len(known.item_ids), -1, dtype=np.int32)
    place[kept.items] = np.arange(len(kept.items), dtype=np.int32)

    def left(lists: Csr) -> tuple[Csr, np.ndarray]:
        of_users = lists.take(kept.users)
        stays = place[of_users.items] >= 0
        rest = of_users.keep(stays)
        return Csr(rest.indptr, place[rest.items]), stays

    (seen, stays), weights = left(known.seen), known.weights
    if weights is not None:
        weights = weights[np.isin(known.seen.users, kept.users)][stays]
    unavailable = place[known.unavailable]
    return Known(
        Vocabulary(known.user_ids.values.gather(kept.users)),
        Vocabulary(known.item_ids.values.gather(kept.items)),
        seen,
        weights,
        unavailable[unavailable >= 0],
        validated=None if known.validated is None else left(known.validated)[0],
    )


def interactions_of(known: Known) -> Interactions:
    """Return what users have seen as interactions, in the rows of the model."""
    seen = known.seen
    return Interactions.from_rows(
        known.user_ids, known.item_ids, seen.users, seen.items, weights=known.weights, name="left"
    )


def sliced(model: "Recommender", left: Fitted, kept: Kept) -> "Scorer":
    """Return the scorer of a model's tensors without the rows that go.

    By convention a tensor whose name begins with "user" or "item" has a row for each of them; a
    model with others names their axes in `row_axes`.
    """
    tensors, rows = {}, {"user": kept.users, "item": kept.items}
    for name, array in model.tensors().items():
        axes: tuple[str, ...] = model.row_axes.get(name, ())
        if name not in model.row_axes:
            axes = tuple(side for side in rows if name.startswith(side))
        for axis, side in enumerate(axes):
            array = np.take(array, rows[side], axis=axis)
        tensors[name] = np.ascontiguousarray(array)
    stored = Stored(tensors, left.known, left.provenance, model.name)
    try:
        return model.restore(stored)
    except ArtifactError as error:
        raise Unsupported(
            f"{model.name} does not say which rows of its tensors belong to which user or item"
            f" ({error}); fit it anew without them"
        ) from None


def is_solved_anew(model: "Recommender", state: Fitted) -> bool:
    """Whether forgetting solves a closed form again, on exactly what it was trained on."""
    pairs = (state.provenance.get("train") or {}).get("pairs")
    return model.solves_anew and pairs == len(state.known.seen.items)


def _gone(kind: str, vocabulary: Vocabulary, given: Any) -> list:
    if given is None:
        return []
    ids = known_ids(kind, vocabulary, list(dict.fromkeys(ids_of(given, kind))), "error")
    return vocabulary.decode(vocabulary.encode(ids)).to_list()


def check_left(gone: Mapping[str, list], there: Mapping[str, int]) -> None:
    """Raise ParameterError unless some users or items go and some of both stay, by kind."""
    if not any(gone.values()):
        raise ParameterError("nothing to forget; give users or items")
    for kind, ids in gone.items():
        if len(ids) == there[kind]:
            raise ParameterError(f"no {kind} would be left; remove the model instead")


def rows_left(vocabulary: Vocabulary, gone: list) -> np.ndarray:
    """Return the rows of those that stay, int64 ascending."""
    mask = np.ones(len(vocabulary), dtype=bool)
    mask[vocabulary.encode(gone)] = False
    return np.flatnonzero(mask)


def provenance_left(
    provenance: Mapping[str, Any], rest: tuple[str, int], counts: tuple[int, int]
) -> tuple[dict[str, Any], str | None]:
    """Return the provenance of what is left, and the fingerprint of the interactions before.

    No fingerprint tells of data that held the rest any more.

    Parameters
    ----------
    provenance : mapping
    rest : (str, int)
        Fingerprint and number of the interactions that are left.
    counts : (int, int)
        Of users and items that go.
    """
    train = provenance.get("train") or {}
    now: dict[str, Any] = {"train": {**train, "fingerprint": rest[0], "pairs": rest[1]}}
    if provenance.get("valid"):
        now["valid"] = {**provenance["valid"], "fingerprint": None}
    if "updates" in provenance:
        now["updates"] = [{**day, "fingerprint": None} for day in provenance["updates"]]
    entry = {"users": counts[0], "items": counts[1]}
    forgotten = [*provenance.get("forgotten", []), entry]
    return {**provenance, **now, "forgotten": forgotten}, train.get("fingerprint")


def _rows_removed(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> dict:
    lost = {name: len(array) - len(after.get(name, ())) for name, array in before.items()}
    return {name: n for name, n in lost.items() if n > 0}


# --- files --------------------------------------------------------------------------------------


def _without_checkpoint(folder: Path) -> list[str]:
    """Remove the checkpoint of an unfinished run, which holds points and the optimiser's memory."""
    import shutil

    from trimetric.storage.atomic import output_errors, sync_folder

    checkpoint = folder / "checkpoint"
    if not checkpoint.exists():
        return []
    with output_errors(checkpoint):
        shutil.rmtree(checkpoint)
        sync_folder(folder)
    return [str(checkpoint)]


def files_with(search: Any, users: list, items: list) -> list[str]:
    """Return the files that hold one of some users or items, ascending.

    Tables (.parquet, .csv and .jsonl with columns of users or items by usual names: lists and
    logs), the hidden folders of unfinished ones, exports, and saved models with their checkpoints
    are read; others are not.

    Parameters
    ----------
    search : iterable of path
        Files, and folders with all that is below them.

    Raises
    ------
    DataError
        A path does not exist, or is a file of none of these kinds.
    """
    from trimetric.models.forgetting_files import holders, refuse_unsearchable

    paths = [Path(path) for path in search]
    refuse_unsearchable(paths)
    return holders(paths, users, items)
