"""Ids that people type: lists of them, misspelled ones, and one at random where none is given."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from trimetric.cli.reading import lines
from trimetric.errors import UnknownIds

if TYPE_CHECKING:
    from trimetric.data import Vocabulary
    from trimetric.models.recommender import Recommender

Kind = Literal["user", "item"]
_LONGEST = 16  # commas in one id


def typed_ids(texts: list[str], ids: "Vocabulary") -> list[Any]:
    """Read ids that were typed: each text is one, or several with commas between them.

    A known id may hold commas itself, alone or among others. A text none of whose parts is known is
    one id if it is spelled almost like a known one.
    """

    def known(text: str) -> bool:
        return bool(ids.encode(ids.parse([text]))[0] >= 0)

    def parts(text: str) -> list[str]:
        found = parted(text, known)
        if len(found) > 1 and not any(map(known, found)):
            from trimetric.data.near import near_ids

            return [text] if near_ids(ids, text, 1) else found
        return found

    return ids.parse([one for text in texts for one in parts(text)])


def listed_ids(option: str, file: str, ids: "Vocabulary", empty: bool = False) -> list[Any]:
    """Read a file of ids, one a line: each as it stands if it is known so, else without blanks."""
    texts = lines(option, file, empty)
    known = ids.encode(ids.parse(texts)) >= 0
    return ids.parse(
        text if there else text.strip(" \t") for text, there in zip(texts, known, strict=True)
    )


def tell_unknown(
    given: list[Any], ids: "Vocabulary", where: str, log: Callable[[str], None]
) -> None:
    """Log how many ids are unknown, the first of them, and which may be meant."""
    from trimetric.data.near import meant

    unknown = [one for one, row in zip(given, ids.encode(given), strict=True) if row < 0]
    if unknown:
        shown = ", ".join(map(repr, unknown[:3])) + (", ..." if unknown[3:] else "")
        question = meant(ids, unknown)
        log(
            f"{len(unknown):,} of {len(given):,} {where} are unknown to the model: {shown}"
            + (f"; {question}" if question else "")
        )


def parted(text: str, known: Callable[[str], bool]) -> list[str]:
    """Part a text at its commas, but for those inside of something known."""
    if "," not in text or known(text):
        return [text]
    parts, found, start = text.split(","), list[str](), 0
    while start < len(parts):
        ends = range(min(len(parts), start + _LONGEST), start + 1, -1)
        joined = ((",".join(parts[start:end]).strip(), end) for end in ends)
        whole = ((one, end) for one, end in joined if known(one))
        one, end = next(whole, (parts[start].strip(), start + 1))
        if one:
            found.append(one)
        start = end
    return found or [text]


def asked(
    kind: Kind, model: "Recommender", texts: list[str] | None, file: str | None
) -> list[Any] | None:
    """Return the ids given by options and by a file with one a line; None where none is."""
    ids = model.user_ids if kind == "user" else model.item_ids
    if file is not None:
        return listed_ids(f"--{kind}s-file", file, ids)
    return None if texts is None else typed_ids(texts, ids)


def anyone(kind: Kind, model: "Recommender", seed: int, log: Callable[[str], None]) -> list[Any]:
    """Return a known user or item with interactions, drawn by a seed; say how to ask for one."""
    import numpy as np

    from trimetric import counter
    from trimetric.models import is_sharded

    def draw(n: int) -> int:
        return int(counter.bits(counter.key(seed, 0), np.arange(1))[0] % np.uint64(n))

    if is_sharded(model) and kind == "user" and model.totals.trained:
        n = model.totals.trained
        chosen = [model.anyone(draw(n))]
    else:
        whole = model.without_users if is_sharded(model) else model
        ids = whole.user_ids if kind == "user" else whole.item_ids
        rows = np.flatnonzero(whole.seen.counts if kind == "user" else whole.known.popularity)
        rows = rows if len(rows) else np.arange(len(ids))
        n = len(rows)
        chosen = ids.decode(rows[[draw(n)]]).to_list()
    log(
        f"no {kind} was asked for: {chosen[0]!r} is one of {n:,}, drawn at random;"
        f" --{kind} ID asks for one, --seed N draws another"
    )
    return chosen


@contextmanager
def suggesting(model: "Recommender") -> Iterator[None]:
    """Let an error of unknown ids name known ones that are spelled like the first of them."""
    try:
        yield
    except UnknownIds as error:
        if "did you mean" in error.remedy:
            raise
        from trimetric.data.near import meant

        ids = model.user_ids if error.kind == "user" else model.item_ids
        question = meant(ids, error.ids)
        if not question:
            raise
        remedy = f"{question} {error.remedy[0].upper()}{error.remedy[1:]}"
        raise UnknownIds(error.kind, error.ids, remedy) from None
