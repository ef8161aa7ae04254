"""`trimetric similar-items` and `similar-users`: neighbours in a saved model."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from trimetric.cli.ids import Kind, anyone, asked, listed_ids, suggesting
from trimetric.cli.options import Json, K, Model, Quiet, Seed
from trimetric.cli.output import (
    check_stream,
    emit,
    emit_json,
    file_or_stream,
    logger,
    note,
    replaces,
    rows_table,
    show,
)
from trimetric.cli.titles import Titles, digest, in_common
from trimetric.errors import ParameterError
from trimetric.storage import places
from trimetric.storage.blocks import Batch, write_batch

if TYPE_CHECKING:
    import polars as pl

    from trimetric.data import Vocabulary

ROWS_PER_BLOCK = 250_000


@dataclass(frozen=True)
class Found:
    """What may be listed, and where lists go."""

    every: Annotated[bool, Option("--all", help="All of the model; needs --out.")] = False
    out: Annotated[
        str | None,
        Option("--out", help="Write to a .parquet, .csv or .jsonl file; - prints csv."),
    ] = None
    allow_file: Annotated[
        str | None, Option(help="List only those of this text file, one id per line.")
    ] = None
    deny_file: Annotated[
        str | None, Option(help="List none of this text file, one id per line.")
    ] = None
    on_unknown: Annotated[str, Option(help="Unknown ids: error, or skip.")] = "error"

    def check(self, kind: Kind, given: tuple[list[str] | None, str | None]) -> None:
        """Raise ParameterError where several ways to ask are used at once, or a file for none."""
        ways = sum(one is not None for one in given) + self.every
        if ways > 1 or (ways == 0 and self.out is not None):
            raise ParameterError(f"give --{kind} ID (repeatable), --{kind}s-file FILE or --all")
        if self.every and self.out is None:
            raise ParameterError("--all needs --out FILE (.parquet, .csv or .jsonl)")

    def filters(self, ids: "Vocabulary") -> dict[str, Any]:
        """Return the arguments `allow` and `deny`."""
        files = {"allow": self.allow_file, "deny": self.deny_file}
        return {
            name: None if path is None else listed_ids(f"--{name}-file", path, ids, name == "deny")
            for name, path in files.items()
        }


def similar_items(
    model: Model,
    titles: Titles,
    found: Found,
    ids: Annotated[
        list[str] | None, Argument(metavar="ITEM", help="Item ids, as --item takes them.")
    ] = None,
    item: Annotated[
        list[str] | None,
        Option("--item", help="Item id; repeatable, or several with commas between them."),
    ] = None,
    items_file: Annotated[
        str | None, Option(help="Text file of item ids, one per line; - is standard input.")
    ] = None,
    k: K = 10,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the items most similar to an item.

    Where no item is asked for, the answer is for one at random. A comma separates ids, unless an id
    with that comma is known.
    """
    given = [*(ids or ()), *(item or ())] or None
    _answer("item", model, titles, found, (given, items_file), k, seed, json, logger(quiet))


def similar_users(
    model: Model,
    titles: Titles,
    found: Found,
    ids: Annotated[
        list[str] | None, Argument(metavar="USER", help="User ids, as --user takes them.")
    ] = None,
    user: Annotated[
        list[str] | None,
        Option("--user", help="User id; repeatable, or several with commas between them."),
    ] = None,
    users_file: Annotated[
        str | None, Option(help="Text file of user ids, one per line; - is standard input.")
    ] = None,
    k: K = 10,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the users most similar to a user. Items that both have are named too.

    Where no user is asked for, the answer is for one at random. A comma separates ids, unless an id
    with that comma is known.
    """
    given = [*(ids or ()), *(user or ())] or None
    _answer("user", model, titles, found, (given, users_file), k, seed, json, logger(quiet))


def _answer(
    kind: Kind,
    folder: str,
    titles: Titles,
    found: Found,
    given: tuple[list[str] | None, str | None],
    k: int,
    seed: int,
    json: bool,
    log: Callable[[str], None],
) -> None:
    from trimetric.models import open_model
    from trimetric.space.lists import check_k
    from trimetric.storage.artifact import checksum

    found.check(kind, given)
    check_k(k)
    check_stream(found.out, json)
    version, trained = checksum(folder), open_model(folder)
    ids = trained.item_ids if kind == "item" else trained.user_ids
    with suggesting(trained):
        keys = ids.values.to_list() if found.every else asked(kind, trained, *given)
        if keys is None:
            keys = anyone(kind, trained, seed, log)
        known = titles.of(trained, log, own=found.out is None)
        options = {**found.filters(ids), "on_unknown": found.on_unknown}

        def compute(start: int, stop: int) -> "pl.DataFrame":
            ask: Any = trained.similar_items if kind == "item" else trained.similar_users
            rows = ask(keys[start:stop], k, **options)
            if not known:
                return rows
            if kind == "user":
                return in_common(trained, rows, known)
            rows = titles.beside(rows, "item", known, "item_title")
            return titles.beside(rows, "similar", known)

        def blocks(spans: list[tuple[int, int]]) -> "Iterator[pl.DataFrame]":
            return (compute(start, stop) for start, stop in spans)

        if found.out is None:
            rows = compute(0, len(keys))
            if json:
                emit_json({"folder": folder, "model": trained.name, "similar": rows.to_dicts()})
            else:
                show(rows_table(rows))
            return
        replaced = replaces(found.out, log)
        identity = {"model": version, "titles": digest(known), "k": k, "options": _digest(options)}
        identity["keys"] = _digest(keys)
        block = max(1, ROWS_PER_BLOCK // k)
        count = _write(found.out, Batch(len(keys), block, blocks, identity, f"{kind}s"), log)
    if found.out == "-":
        return
    if json:
        told = {"folder": folder, "out": found.out, f"{kind}s": len(keys), "rows": count}
        emit_json({**told, "replaced": replaced})
    else:
        emit(f"wrote {count:,} rows, similar to {len(keys):,} {kind}s, to {found.out}")


def _write(out: str, batch: Batch, log: Callable[[str], None]) -> int:
    from trimetric.progress import counting, heartbeat

    shown = log is note
    with (
        heartbeat("listing what is similar", shown, bar=True),
        file_or_stream(out) as path,
        counting(batch.noun, batch.n, shown) as counter,
    ):
        return write_batch(places.output(path), batch, done=counter.done, log=log)


def _digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "backslashreplace")).hexdigest()[:16]
