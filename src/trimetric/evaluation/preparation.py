"""What is ranked: parts of the data, what of them can be evaluated, and a label that is true."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trimetric.data.csr import Csr
from trimetric.errors import DataError, ParameterError
from trimetric.evaluation.protocols import EvaluationProtocol, FullRanking, Task
from trimetric.evaluation.result import Counts
from trimetric.evaluation.subject import Subject, is_model, is_scorer
from trimetric.keywords import is_one_of

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

        if not is_one_of(part, ("test", "valid")):
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
    part: str = "test"


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
    known, held = subject.seen.union(held), held.keep(~out)
    valid = _validation(parts, subject)
    part, remarks = parts.part, []
    if parts.valid is None and valid is not None and _all_in(held, seen, valid):
        part, valid = "valid", None
        remarks.append(
            "these are interactions that the model was validated on: they chose it, so that the"
            " figures are not those of a test"
        )
    protocol, more = _true_label(protocol, subject, part, valid)
    remarks += more
    excluded = seen
    repeats = isinstance(protocol, FullRanking) and protocol.exclude == "none"
    fresh = np.ones(len(held.items), dtype=bool) if repeats else ~seen.contains(held)
    chose = np.zeros(len(held.items), dtype=bool)
    if valid is not None:
        chose, known = fresh & valid.contains(held), known.union(valid)
        if protocol.excludes_valid:
            excluded = excluded.union(valid)
    if repeats:
        excluded = Csr.empty(seen.n_users)
        if chose.any():
            remarks.append(f"{int(chose.sum()):,} of them are interactions that chose the model")
        chose[:] = False
    held = held.keep(fresh & ~chose)
    counts = Counts(
        users=int(np.count_nonzero(held.counts)),
        held_out=len(held.items),
        unknown_users=aligned.unknown_users + int(strangers.sum()),
        unknown_items=unknown_items,
        dropped_unknown=aligned.dropped + dropped,
        dropped_seen=int(len(fresh) - fresh.sum()),
        dropped_valid=int(chose.sum()),
        cold_items=int(np.count_nonzero(unlearned[held.items])),
    )
    if counts.held_out == 0:
        raise DataError(_nothing_left(parts.held, subject, counts))
    users = np.flatnonzero(held.counts).astype(np.int32)
    task = Task(users, held, excluded, known, no_candidates, subject.numbers)
    return Prepared(task, protocol, counts, remarks, part)


def _validation(parts: Parts, subject: Subject) -> Csr | None:
    """Return what no test may count, in the subject's rows: of the split, and what chose the model.

    None where neither is known, or it is what shall be ranked.
    """
    if parts.part != "test":
        return None
    of_model = subject.validated
    if parts.valid is None:
        return of_model
    of_split = Csr.of(_align(parts.valid, subject.user_ids, subject.item_ids)[0])
    return of_split if of_model is None else of_split.union(of_model)


def _all_in(held: Csr, seen: Csr, valid: Csr) -> bool:
    """Tell whether all held-out pairs that were not trained on are validation pairs."""
    left = held.keep(~seen.contains(held))
    return len(left.items) > 0 and bool(valid.contains(left).all())


def _true_label(
    protocol: EvaluationProtocol, subject: Subject, part: str, valid: Csr | None
) -> tuple[EvaluationProtocol, list[str]]:
    """Let the protocol claim no more than is done: validation items must be known to be excluded.

    They are where a split brings them, or the model keeps them or has them marked as seen.
    """
    if valid is not None or not protocol.excludes_valid:
        return protocol, []
    remarks = []
    if subject.unseen_valid and part == "test":
        where = "compete with the held-out ones"
        if not isinstance(protocol, FullRanking):
            where = "may be among the candidates"
        remarks = [
            f"the {subject.unseen_valid:,} interactions that the model was validated on were not"
            f" given: their items {where}, or are held out themselves if they are in this data;"
            " give a Split that has them, or --valid"
        ]
    marked = subject.marked_valid and subject.validated is None
    if isinstance(protocol, FullRanking) and not marked:
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
    if counts.dropped_valid:
        text += f"; {counts.dropped_valid:,} were in its validation data"
    return f"{text}; give interactions that were held out from its training"
