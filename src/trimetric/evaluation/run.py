"""Evaluate a model on held-out interactions."""

import platform
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from trimetric._version import __version__
from trimetric.data.csr import Csr
from trimetric.errors import DataError, ParameterError
from trimetric.evaluation.names import protocol as named_protocol
from trimetric.evaluation.protocols import EvaluationProtocol, FullRanking, Task
from trimetric.evaluation.ranker import RankingModel
from trimetric.evaluation.result import Counts, Result

if TYPE_CHECKING:
    from trimetric.data.interactions import AlignReport, Interactions
    from trimetric.data.splits import Split


def evaluate(
    model: RankingModel,
    data: "Split | Interactions | Any",
    protocol: EvaluationProtocol | str | None = None,
    *,
    part: Literal["test", "valid"] = "test",
) -> Result:
    """Rank the held-out items of each user and measure how high they stand.

    Parameters
    ----------
    model : RankingModel
        A trained model.
    data : Split, Interactions, or what `Interactions.of` reads
        A split, of which `part` is held out, or the held-out interactions themselves. Ids are
        matched with the model's; interactions of users or items that it does not know, and pairs
        that it was trained on, are left out and counted in the result.
    protocol : protocol or str, default FullRanking()
        Which items a held-out item is ranked among; or its name, as "full" or "sampled-499".
    part : "test" or "valid"
        The part of a split to evaluate on.

    Returns
    -------
    Result

    Raises
    ------
    DataError
        No held-out interaction is left, or the split has no such part.
    ParameterError
        `part` or the protocol is unknown.
    Diverged
        The model's scores contain NaN.
    """
    if isinstance(protocol, str):
        protocol = named_protocol(protocol)
    protocol = protocol or FullRanking()
    parts = _Parts.of(data, part)
    held_pairs, aligned = _align(parts.held, model)
    held, excluded, known = Csr.of(held_pairs), model.seen, model.seen.union(Csr.of(held_pairs))
    if parts.valid is not None:
        valid = Csr.of(_align(parts.valid, model)[0])
        known = known.union(valid)
        if protocol.excludes_valid:
            excluded = excluded.union(valid)
    fresh = ~excluded.contains(held)
    evaluated = held.keep(fresh)
    counts = _counts(evaluated, aligned, int(len(fresh) - fresh.sum()))
    if counts.held_out == 0:
        raise DataError(_nothing_left(parts.held, model, counts))
    users = np.flatnonzero(evaluated.counts).astype(np.int32)
    ranks = protocol.rank(model.scorer, Task(users, evaluated, excluded, known))
    return Result(
        model=type(model).__name__,
        protocol=protocol,
        part=part,
        counts=counts,
        data=parts.describe(),
        versions={
            "trimetric": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        ranks=ranks,
        users=users,
        vocabulary=model.user_ids,
    )


class _Parts(NamedTuple):
    """The interactions held out, and those of a split beside them."""

    held: "Interactions"
    train: "Interactions | None" = None
    valid: "Interactions | None" = None
    how: dict[str, Any] | None = None

    @classmethod
    def of(cls, data: Any, part: str) -> "_Parts":
        from trimetric.data.interactions import Interactions
        from trimetric.data.splits import Split

        if part not in ("test", "valid"):
            raise ParameterError(f"part must be 'test' or 'valid', got {part!r}")
        if not isinstance(data, Split):
            return cls(Interactions.of(data))
        if part == "test":
            return cls(data.test, data.train, data.valid, data.how)
        if data.valid is None:
            raise DataError("the split has no validation part; evaluate on its test part")
        return cls(data.valid, data.train, None, data.how)

    def describe(self) -> dict[str, Any]:
        named = {"held_out": self.held, "train": self.train, "valid": self.valid}
        prints = {name: part.fingerprint for name, part in named.items() if part is not None}
        return {"name": self.held.name, "fingerprints": prints, "split": self.how}


def _align(data: "Interactions", model: RankingModel) -> tuple["Interactions", "AlignReport"]:
    from trimetric.data.interactions import AlignReport

    if data.user_ids is model.user_ids and data.item_ids is model.item_ids:
        return data, AlignReport(0, 0, 0)
    return data.align(model.user_ids, model.item_ids)


def _counts(evaluated: Csr, aligned: "AlignReport", dropped_seen: int) -> Counts:
    return Counts(
        users=int(np.count_nonzero(evaluated.counts)),
        held_out=len(evaluated.items),
        unknown_users=aligned.unknown_users,
        unknown_items=aligned.unknown_items,
        dropped_unknown=aligned.dropped,
        dropped_seen=dropped_seen,
    )


def _nothing_left(data: "Interactions", model: RankingModel, counts: Counts) -> str:
    text = f"{data.name}: none of the {len(data):,} interactions can be evaluated"
    for ids, known, side in (
        (data.user_ids, model.user_ids, "user"),
        (data.item_ids, model.item_ids, "item"),
    ):
        if ids.kind != known.kind:
            return f"{text}: its {side} ids are {ids.kind}, the model's are {known.kind}"
    if counts.dropped_unknown:
        text += f"; {counts.dropped_unknown:,} have a user or item that the model does not know"
    if counts.dropped_seen:
        text += f"; {counts.dropped_seen:,} were in its training data"
    return f"{text}; give interactions that were held out from its training"
