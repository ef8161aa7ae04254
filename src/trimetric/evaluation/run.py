"""Evaluate a model, a scorer or lists made elsewhere on held-out interactions."""

import platform
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trimetric._version import __version__
from trimetric.data.csr import Csr
from trimetric.errors import DataError, ParameterError
from trimetric.evaluation.asked import asked_of
from trimetric.evaluation.divided import is_divided, ranks_by_part, subject_of
from trimetric.evaluation.list_ranks import list_protocol, rank_by_lists
from trimetric.evaluation.metrics import Ranks
from trimetric.evaluation.names import protocol as named_protocol
from trimetric.evaluation.preparation import Parts, Prepared, prepare
from trimetric.evaluation.protocols import EvaluationProtocol, FullRanking
from trimetric.evaluation.result import Result
from trimetric.evaluation.subject import Subject, is_model, is_scorer
from trimetric.keywords import check_switch, is_one_of

if TYPE_CHECKING:
    from trimetric.data.ids import Vocabulary
    from trimetric.data.interactions import Interactions
    from trimetric.data.splits import Split
    from trimetric.evaluation.lists import Column, RankedLists

Part = Literal["test", "valid"]


def evaluate(
    model: Any,
    data: "Split | Interactions | Any",
    protocol: EvaluationProtocol | str | None = None,
    *,
    part: Part = "test",
    exclude_seen: bool = True,
    user: str = "user",
    item: str = "item",
    rank: "Column" = None,
    score: "Column" = None,
    name: str | None = None,
    metrics: str | Iterable[str] | None = None,
    at: int | Iterable[int] | None = None,
    ray: str | None = None,
) -> Result:
    """Rank the held-out items of each user and measure how high they stand.

    Users and items are known if they have training interactions; held-out interactions of others,
    and pairs that were trained on, are left out and counted in the result. This is one rule for
    models, scorers and lists, and for splits and files; "dpcml" alone counts items that training
    does not have, as published.

    Parameters
    ----------
    model : RankingModel, Ranker, RankedLists, frame or path
        A trained model; or a scorer whose rows are those of `data.train`; or lists made elsewhere,
        a frame or a file with a row for each place of each user's list: see `RankedLists.of`.
        Users without a list count as 0. Lists have no metrics of the whole ranking.
    data : Split, Interactions, or what `Interactions.of` reads
        A split, of which `part` is held out, or the held-out interactions themselves. Ids are
        matched with the model's. Of a split by users (`split_users`), the test users are folded in
        by their histories.
    protocol : protocol or str, default FullRanking()
        Which items a held-out item is ranked among; or its name, as "full" or "sampled-499".
    part : "test" or "valid"
        The part of a split to evaluate on.
    exclude_seen : bool
        Whether items that a user had before are no candidates, and held-out pairs of them left
        out. With False they are ranked as any other, for data in which people come back to the
        same items: short for `FullRanking(exclude="none")`.
    user, item, rank, score, name
        For lists alone: as in `RankedLists.of`.
    metrics : str or iterable of str, optional
        What to report, in this order, instead of all: "recall@20", or "recall" for each cutoff.
    at : int or iterable of int, optional
        Cutoffs, instead of the protocol's.
    ray : str, optional
        Of a model in parts: rank its parts as tasks of Ray, to the same figures. "local", or the
        address of a cluster whose nodes see the model at the same path: see
        `scale.cluster.connect`.

    Returns
    -------
    Result

    Raises
    ------
    DataError
        No held-out interaction is left, the split has no such part, or lists cannot be read.
    ParameterError
        `part` or the protocol is unknown, or does not apply; or this is nothing to evaluate.
    Unsupported
        The model is not trained, or cannot fold in the users of a split by users.
    Diverged
        The model's scores contain NaN.
    ClusterError, WorkerLost, MissingExtra
        Of Ray.
    """
    named = protocol is None or isinstance(protocol, str)
    how = checked_protocol(protocol)
    check_switch("exclude_seen", exclude_seen)
    how = _repeating(how) if not exclude_seen else how
    how, asked = asked_of(how, metrics, at)
    columns = {"user": user, "item": item, "rank": rank, "score": score, "name": name}
    changed = [
        key for key, value in columns.items() if value is not None and not is_one_of(value, (key,))
    ]
    if ray is not None and not is_divided(model):
        raise ParameterError(
            "evaluating on Ray takes a model that is saved in parts, which each task reads for"
            " itself; save it so with model.save(FOLDER, partitions=P), or leave --ray out"
        )
    if is_model(model) or is_scorer(model) or is_divided(model):
        if changed:
            raise ParameterError(f"{changed[0]} describes lists, and this is a model; leave it out")
        return replace(_evaluate_model(model, Parts.of(data, part), how, ray), asked=asked)
    lists = read_lists(model, columns)
    # A protocol's usual cutoffs are left out where lists do not reach; those asked for are not.
    result = _evaluate_lists(lists, Parts.of(data, part), how, named and at is None and not asked)
    return replace(result, asked=asked)


def checked_protocol(protocol: Any) -> EvaluationProtocol:
    """Return a protocol, given one, its name, or None for the full ranking."""
    if isinstance(protocol, str):
        return named_protocol(protocol)
    if protocol is None:
        return FullRanking()
    parts = ("rank", "metrics", "excludes_valid", "describe")
    if isinstance(protocol, type) or not all(hasattr(protocol, name) for name in parts):
        raise ParameterError(
            f"protocol must be one such as FullRanking(), or its name, got {protocol!r:.80}"
        )
    return protocol


def _repeating(protocol: EvaluationProtocol) -> EvaluationProtocol:
    if not isinstance(protocol, FullRanking):
        raise ParameterError(
            f"exclude_seen=False goes with full rankings, not with {protocol.name}, whose"
            " candidates are items that the user never touched"
        )
    return replace(protocol, exclude="none")


def read_lists(source: Any, columns: dict[str, Any]) -> "RankedLists":
    """Read lists, or say what cannot be evaluated: see `RankedLists.of`."""
    from trimetric.data.interactions import Interactions
    from trimetric.data.splits import Split
    from trimetric.evaluation.lists import RankedLists

    if source is None or isinstance(source, type | Interactions | Split | bool | int | float):
        kind = source.__name__ if isinstance(source, type) else type(source).__name__
        raise ParameterError(
            f"cannot evaluate a {kind}: give a trained model, a scorer, or lists as a frame or file"
            " with columns user, item and rank or score"
        )
    return RankedLists.of(source, **columns)


def _evaluate_model(
    model: Any, parts: Parts, protocol: EvaluationProtocol, ray: str | None
) -> Result:
    if is_divided(model):
        with model.over_parts(ray) as over:
            subject = subject_of(model, parts, over)
            prepared = prepare(parts, subject, protocol, strict=True)
            ranks = ranks_by_part(subject, prepared, over)
        return _result(subject.name, subject.user_ids, parts, prepared, ranks)
    found = Subject.of_model(model) if is_model(model) else None
    subject = found or Subject.of_scorer(model, parts.split)
    if parts.history is not None:
        subject = subject.folded_in(model, parts.history)
    prepared = prepare(parts, subject, protocol, strict=True)
    ranks = prepared.protocol.rank(subject.scorer, prepared.task)
    return _result(subject.name, subject.user_ids, parts, prepared, ranks)


def _evaluate_lists(
    lists: "RankedLists", parts: Parts, protocol: EvaluationProtocol, trim: bool
) -> Result:
    trained = parts.train is not None
    subject = subject_of_lists(lists, parts)
    prepared = prepare(parts, subject, protocol, strict=trained)
    rows = lists.rows(subject.user_ids, subject.item_ids)
    longest = _longest(rows[0], prepared.task.users, lists)
    if (rows[1] < 0).all():
        raise DataError(
            f"{lists.name}: no listed item is in the data; are these the same ids? The first here"
            f" is {lists.items[0]!r}"
        )
    ranking, remarks = list_protocol(prepared.protocol, longest, lists.name, trim)
    ranks, counts = rank_by_lists(rows, prepared.task, len(subject.item_ids), ranking)
    n_used = prepared.counts.users - counts.users_without_list
    counts = counts._replace(lists_not_used=lists.users.n_unique() - n_used)
    remarks += counts.lines(max(ranking.base.at))
    if not trained:
        remarks.append(
            "without training data nobody can tell which listed items a user had before, nor which"
            " users no model could know"
        )
    met = {"ordered_by": lists.ordered_by, "depth": longest, **counts._asdict()}
    prepared.remarks.extend([*lists.notes, *remarks])
    result = _result(lists.name, subject.user_ids, parts, prepared, ranks)
    return replace(result, protocol=ranking, lists=met)


def subject_of_lists(lists: "RankedLists", parts: Parts) -> Subject:
    """Return what lists are evaluated as: users and items are those of the training part.

    Without one they are those of the held-out interactions, and nothing counts as seen.
    """
    trained = parts.train is not None
    known: Interactions = parts.train if parts.train is not None else parts.held
    seen = Csr.of(known) if trained else Csr.empty(known.n_users)
    if parts.history is not None:
        seen = seen.union(Csr.of(parts.history.align(known.user_ids, known.item_ids)[0]))
    popularity = np.bincount(known.items, minlength=known.n_items)
    return Subject(lists.name, known.user_ids, known.item_ids, seen, None, popularity)  # type: ignore[arg-type]


def _longest(users: np.ndarray, evaluated: np.ndarray, lists: "RankedLists") -> int:
    """Return the length of the longest list of users who are evaluated."""
    lengths = np.bincount(users[users >= 0], minlength=int(evaluated[-1]) + 1)[evaluated]
    if not lengths.any():
        raise DataError(
            f"{lists.name}: no user with held-out items has a list; are these the same ids? The"
            f" first here is {lists.users[0]!r}"
        )
    return int(lengths.max())


def _result(
    name: str,
    vocabulary: "Vocabulary",
    parts: Parts,
    prepared: Prepared,
    ranks: Ranks,
) -> Result:
    return Result(
        model=name,
        protocol=prepared.protocol,
        part=prepared.part,
        counts=prepared.counts,
        data=parts.describe(),
        versions={
            "trimetric": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        ranks=ranks,
        users=prepared.task.users,
        vocabulary=vocabulary,
        remarks=tuple(prepared.remarks),
    )
