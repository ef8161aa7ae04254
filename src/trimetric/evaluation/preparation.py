"""What is ranked: parts of the data, what of them can be evaluated, and a label that is true."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trimetric.data.csr import Csr
from trimetric.errors import DataError, ParameterError
from trimetric.evaluation.protocols import EvaluationProtocol, FullRanking, Task
from trimetric.evaluation.result import Counts
from trimetric.evaluation.subject import Subject, is_model, is_scorer

if TYPE_CHECKING:
    from trimetric.data.ids import Vocabulary
    from trimetric.data.interactions import AlignReport, Interactions
    from trimetric.data.splits import Split


class Parts(NamedTuple):
    """The interactions held out, and those of a split beside them."""

    held: "Interactions"
    train: "Interactions | None" = None
    valid: "Interactions | None" = None
    how: dict[str, Any] | None = None
    history: "Interactions | None" = None
    part: str = "test"
    split: "Split | None" = None

    @classmethod
    def of(cls, data: Any, part: str) -> "Parts":
        """Take a split, or whatever holds interactions."""
        from trimetric.data.interactions import Interactions
        from trimetric.data.splits import Split

        if part not in ("test", "valid"):
            raise ParameterError(f"part must be 'test' or 'valid', got {part!r}")
        if isinstance(data, Parts):
            return data
        if not isinstance(data, Split):
            if is_model(data) or is_scorer(data) or data is None:
                kind = type(data).__name__
                raise ParameterError(
                    f"cannot evaluate on a {kind}: give a Split, or held-out interactions; the"
                    " model comes first"
                )
            return cls(Interactions.of(data), part=part)
        if part == "test":
            return cls(
                data.test, data.train, data.valid, data.how, data.history, part=part, split=data
            )
        if data.valid is None:
            raise DataError("the split has no validation part; evaluate on its test part")
        return cls(data.valid, data.train, None, data.how, part=part, split=data)

    def describe(self) -> dict[str, Any]:
        """Return the name and the fingerprints, as JSON values."""
        named = {"held_out": self.held, "train": self.train, "valid": self.valid}
        named["history"] = self.history
        prints = {name: part.fingerprint for name, part in named.items() if part is not None}
        return {"name": self.held.name, "fingerprints": prints, "split": self.how}


class Prepared(NamedTuple):
    """What is ranked, by a protocol whose description is true of it."""

    task: Task
    protocol: EvaluationProtocol
    counts: Counts
    remarks: list[str]


def prepare(
    parts: Parts, subject: Subject, protocol: EvaluationProtocol, *, strict: bool
) -> Prepared:
    """Match held-out interactions with what is evaluated, and leave out what cannot be ranked.

    With `strict`, users and items without training interactions are unknown.
    """
    pairs, aligned = _align(parts.held, subject.user_ids, subject.item_ids)
    held, seen = Csr.of(pairs), subject.seen
    strangers = (seen.counts == 0) & (held.counts > 0) & strict
    unlearned = (subject.popularity == 0) & strict
    out, unknown_items = strangers[held.users], aligned.unknown_items
    no_candidates = np.zeros(0, dtype=np.int32)
    if not getattr(protocol, "cold", False):
        no_candidates = np.flatnonzero(unlearned).astype(np.int32)
        cold = unlearned[held.items]
        out, unknown_items = out | cold, unknown_items + len(np.unique(held.items[cold]))
    dropped = int(out.sum())
    held = held.keep(~out)
    known, excluded = seen.union(held), seen
    protocol, remarks = _true_label(protocol, parts, subject)
    if parts.valid is not None:
        valid = Csr.of(_align(parts.valid, subject.user_ids, subject.item_ids)[0])
        known = known.union(valid)
        if protocol.excludes_valid:
            excluded = excluded.union(valid)
    if isinstance(protocol, FullRanking) and protocol.exclude == "none":
        excluded = Csr.empty(seen.n_users)
    fresh = ~excluded.contains(held)
    held = held.keep(fresh)
    counts = Counts(
        users=int(np.count_nonzero(held.counts)),
        held_out=len(held.items),
        unknown_users=aligned.unknown_users + int(strangers.sum()),
        unknown_items=unknown_items,
        dropped_unknown=aligned.dropped + dropped,
        dropped_seen=int(len(fresh) - fresh.sum()),
        cold_items=int(np.count_nonzero(unlearned[held.items])),
    )
    if counts.held_out == 0:
        raise DataError(_nothing_left(parts.held, subject, counts))
    users = np.flatnonzero(held.counts).astype(np.int32)
    task = Task(users, held, excluded, known, no_candidates, subject.numbers)
    return Prepared(task, protocol, counts, remarks)


def _true_label(
    protocol: EvaluationProtocol, parts: Parts, subject: Subject
) -> tuple[EvaluationProtocol, list[str]]:
    """Let the protocol claim no more than is done: validation items must be known to be excluded.

    They are where a split brings them, or the model has them marked as seen.
    """
    if parts.valid is not None or not protocol.excludes_valid:
        return protocol, []
    remarks = []
    if subject.unseen_valid and parts.part == "test":
        where = "compete with the held-out ones"
        if not isinstance(protocol, FullRanking):
            where = "may be among the candidates"
        remarks = [
            f"the {subject.unseen_valid:,} interactions that the model was validated on were not"
            f" given: their items {where}; give a Split that has them, or --valid"
        ]
    if isinstance(protocol, FullRanking) and not subject.marked_valid:
        protocol = replace(protocol, exclude="train")
    return protocol, remarks


def _align(
    data: "Interactions", user_ids: "Vocabulary", item_ids: "Vocabulary"
) -> tuple["Interactions", "AlignReport"]:
    from trimetric.data.interactions import AlignReport

    if data.user_ids is user_ids and data.item_ids is item_ids:
        return data, AlignReport(0, 0, 0)
    return data.align(user_ids, item_ids)


def _nothing_left(data: "Interactions", subject: Subject, counts: Counts) -> str:
    text = f"{data.name}: none of the {len(data):,} interactions can be evaluated"
    for ids, known, side in (
        (data.user_ids, subject.user_ids, "user"),
        (data.item_ids, subject.item_ids, "item"),
    ):
        if ids.kind != known.kind:
            return f"{text}: its {side} ids are {ids.kind}, the model's are {known.kind}"
    if counts.dropped_unknown:
        text += f"; {counts.dropped_unknown:,} have a user or item that the model does not know"
    if counts.dropped_seen:
        text += f"; {counts.dropped_seen:,} were in its training data"
    return f"{text}; give interactions that were held out from its training"
