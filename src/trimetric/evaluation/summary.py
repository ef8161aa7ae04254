"""Everything that lists say beyond accuracy, for a model or for lists made elsewhere."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trimetric import keywords
from trimetric.data.csr import Csr
from trimetric.errors import DataError, ParameterError
from trimetric.evaluation import beyond_accuracy as measures
from trimetric.evaluation.attributes import attributes
from trimetric.evaluation.divided import is_divided, subject_of
from trimetric.evaluation.list_ranks import tidy
from trimetric.evaluation.preparation import Parts, prepare
from trimetric.evaluation.protocols import FullRanking, Task
from trimetric.evaluation.run import read_lists, subject_of_lists
from trimetric.evaluation.subject import Subject, is_model

if TYPE_CHECKING:
    from trimetric.data.ids import Vocabulary
    from trimetric.data.splits import Split

MOST = 1000  # longest lists: measures over pairs take their square


def beyond_accuracy(
    source: Any,
    split: "Split",
    k: int = 10,
    *,
    exclude_seen: bool = True,
    items: Any = None,
    columns: Sequence[str] = (),
    item_column: str | None = None,
    separator: str | None = None,
    space: Any = None,
    reference: Any = None,
    **described: Any,
) -> dict[str, float]:
    """Measure the lists of k items of the users of the test part.

    Candidates are those of a full ranking: all items with training interactions, but those of the
    user in train and valid. Users are those whom `evaluate` counts. What lists made elsewhere hold
    beside such items keeps its place, and is nothing to be measured.

    Parameters
    ----------
    source : model, RankedLists, frame or path
        See `evaluate`.
    split : Split
        Popularity and histories are those of its training part, as pairs: weights do not count.
    k : int
        Length of the lists, 1..1000.
    exclude_seen : bool
        See `evaluate`.
    items : path or frame, optional
        A table of items, and in `columns` those of its columns by which diversity and calibration
        are measured. `item_column` has the ids; by default the one whose name usually means it.
        `separator` parts several values in one text.
    space : model, optional
        The metric space in which intra-list distance is measured; by default the model's own.
    reference : model, RankedLists, frame or path, optional
        What serendipity is measured against, such as the lists of `Popularity`.
    **described
        Of lists: user, item, rank, score, name as in `RankedLists.of`.

    Returns
    -------
    dict of str to float
        "coverage@k", "gini@k", "novelty@k", "popularity@k", "popularity_lift@k"; with a space
        "distance@k"; for each column "diversity COLUMN@k" and "calibration COLUMN@k"; with a
        reference "serendipity@k". See the functions of `evaluation.beyond_accuracy`.

    Raises
    ------
    ParameterError
        `k` is out of range, this is no Split, an option is of another type, or `columns` come
        without `items`.
    DataError, Unsupported
        See `evaluate` and `attributes`.
    """
    from trimetric.data.splits import Split

    whole = isinstance(k, int | np.integer) and not isinstance(k, bool)
    if not whole or not 1 <= k <= MOST:
        raise ParameterError(f"k must be a whole number in 1..{MOST}, got {k!r}; 10 is usual")
    if not isinstance(split, Split):
        raise ParameterError(
            f"give a Split, whose training part tells what is popular; got {type(split).__name__}"
        )
    keywords.check_switch("exclude_seen", exclude_seen)
    if not isinstance(columns, Iterable):
        raise ParameterError(f"columns must be a list of names, got {columns!r:.80}")
    columns = [columns] if isinstance(columns, str) else [*columns]
    if columns and items is None:
        raise ParameterError("columns are those of a table of items; give it as items=")
    unknown = sorted(set(described) - {"user", "item", "rank", "score", "name"})
    if unknown:
        raise ParameterError(
            f"unknown option {unknown[0]!r}; of lists: user, item, rank, score, name"
        )
    if described and (is_model(source) or is_divided(source)):
        raise ParameterError(f"{min(described)} describes lists, and this is a model; leave it out")
    parts = Parts.of(split, "test")
    subject, task, lists = _lists(source, parts, k, exclude_seen, described)
    histories = _histories(parts, subject).take(task.users)
    numbered, n_items = _numbered(lists, task.unlearned, len(subject.item_ids))
    n_users = int(np.count_nonzero(np.diff(split.train.indptr)))
    popularity = _popularity(split, subject.item_ids)
    found = {
        "coverage": measures.item_coverage(numbered, n_items),
        "gini": measures.gini(numbered, n_items),
        "novelty": measures.novelty(lists, popularity, n_users),
        "popularity": measures.average_popularity(lists, popularity),
        "popularity_lift": measures.popularity_lift(lists, histories, popularity),
    }
    points = _points(source if space is None else space, subject.item_ids, space is not None)
    if points is not None:
        found["distance"] = measures.intra_list_distance(lists, points)
    if items is not None:
        table = attributes(items, subject.item_ids, columns, item=item_column, separator=separator)
        for name, values in table.items():
            found[f"diversity {name}"] = measures.intra_list_dissimilarity(lists, values)
            found[f"calibration {name}"] = measures.calibration(lists, histories, values)
    if reference is not None:
        other, others, theirs = _lists(reference, parts, k, exclude_seen, {})
        expected = _in_rows(theirs, (other, others), (subject, task))
        held = task.held.take(task.users)
        found["serendipity"] = measures.serendipity(lists, held, expected)
    return {f"{name}@{k}": value for name, value in found.items()}


def _lists(
    source: Any, parts: Parts, k: int, exclude_seen: bool, described: dict[str, Any]
) -> tuple[Subject, Task, np.ndarray]:
    """Return what is measured, its users, and their lists, int32 (m, k), -1 past the end."""
    how = FullRanking(exclude="train+valid" if exclude_seen else "none")
    if is_model(source) or is_divided(source):
        if is_divided(source):
            subject = subject_of(source, parts)
        else:
            subject = Subject.of_model(source)
            if parts.history is not None:
                subject = subject.folded_in(source, parts.history)
        task = prepare(parts, subject, how, strict=True).task
        hidden = task.excluded.take(task.users)
        only = None
        if len(task.unlearned):
            everything = np.arange(subject.scorer.n_items, dtype=np.int32)
            only = np.setdiff1d(everything, task.unlearned)
        listed, _ = subject.scorer.nearest(task.users, k, exclude=hidden, only=only)  # type: ignore[attr-defined]
        return subject, task, listed
    lists = read_lists(source, described)
    subject = subject_of_lists(lists, parts)
    task = prepare(parts, subject, how, strict=True).task
    n_items = len(subject.item_ids)
    entries, place, _ = tidy(lists.rows(subject.user_ids, subject.item_ids), task, n_items)
    listed = np.full((len(task.users), k), -1, dtype=np.int32)
    items = entries & 0xFFFFFFFF
    keep = (place <= k) & (items < n_items)
    at = np.searchsorted(task.users, entries[keep] >> 32)
    listed[at, place[keep] - 1] = items[keep]
    if not keep.any():
        raise DataError(f"{lists.name}: no list of a user with held-out items holds a known item")
    return subject, task, listed


def _numbered(lists: np.ndarray, unlearned: np.ndarray, n_items: int) -> tuple[np.ndarray, int]:
    """Return lists as numbers of the items that may be listed, and how many these are."""
    learned = np.ones(n_items + 1, dtype=bool)
    learned[unlearned] = False
    number = np.cumsum(learned) - 1
    number[-1] = -1  # of no item, which is row -1
    return number[lists], n_items - len(unlearned)


def _histories(parts: Parts, subject: Subject) -> Csr:
    """Return what users have in the training part, or are folded in by."""
    source = parts.train if parts.history is None else parts.history
    pairs, _ = source.align(subject.user_ids, subject.item_ids)  # type: ignore[union-attr]
    return Csr.of(pairs)


def _popularity(split: "Split", item_ids: "Vocabulary") -> np.ndarray:
    """Return how many users of the training part have each item, int64 (n_items,)."""
    rows = item_ids.encode(split.train.item_ids.values)
    counts = np.bincount(split.train.items, minlength=split.train.n_items)
    out = np.zeros(len(item_ids), dtype=np.int64)
    out[rows[rows >= 0]] = counts[rows >= 0]
    return out


def _points(space: Any, item_ids: "Vocabulary", asked: bool) -> np.ndarray | None:
    """Return the points of items, float64 (n_items, dim), NaN for unknown ones; None without."""
    space = space.without_users if is_divided(space) else space
    scorer = space.scorer if is_model(space) else None
    if "metric space" not in getattr(scorer, "capabilities", ()):
        if asked:
            raise ParameterError(f"space must be a model with a metric space, got {space!r:.80}")
        return None
    rows = space.item_ids.encode(item_ids.values)
    points = scorer.items.astype(np.float64)[np.maximum(rows, 0)]  # type: ignore[union-attr]
    points[rows < 0] = np.nan
    return points


def _in_rows(
    lists: np.ndarray, given: tuple[Subject, Task], wanted: tuple[Subject, Task]
) -> np.ndarray:
    """Put lists of one subject's rows into another's, for its users; empty where there is none."""
    (other, others), (subject, task) = given, wanted
    ids = subject.user_ids.decode(task.users)
    rows = other.user_ids.encode(ids)
    place = np.searchsorted(others.users, rows)
    there = place < len(others.users)
    there[there] = others.users[place[there]] == rows[there]
    to_item = subject.item_ids.encode(other.item_ids.values)
    out = np.full((len(task.users), lists.shape[1]), -1, dtype=np.int32)
    found = lists[place[there]]
    out[there] = np.where(found >= 0, to_item[np.maximum(found, 0)], -1)
    return out
