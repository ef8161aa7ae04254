"""`trimetric recommend`: lists of a saved model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from trimetric.cli.ids import (
    anyone,
    asked,
    listed_ids,
    parted,
    suggesting,
    tell_unknown,
    typed_ids,
)
from trimetric.cli.options import Json, K, Model, Quiet, Ray, Seed
from trimetric.cli.output import (
    check_stream,
    emit,
    emit_json,
    file_or_stream,
    logger,
    replaces,
    rows_table,
    show,
)
from trimetric.cli.titles import Titles, digest
from trimetric.errors import ParameterError
from trimetric.progress import heartbeat
from trimetric.storage import places

if TYPE_CHECKING:
    import polars as pl

    from trimetric.models.recommender import Recommender


@dataclass(frozen=True)
class Filters:
    """Which items may be recommended, and how they are searched."""

    allow_file: Annotated[
        str | None, Option(help="Recommend only the items of this text file, one id per line.")
    ] = None
    deny_file: Annotated[
        str | None, Option(help="Recommend no item of this text file, one id per line.")
    ] = None
    candidates: Annotated[
        str | None,
        Option(help="Recommend to each user only items of this table: columns user and item."),
    ] = None
    approximate: Annotated[
        bool, Option("--approximate", help="Approximate search: faster, may miss some items.")
    ] = False
    diversity: Annotated[
        float, Option(help="0..1: how unlike each other the items of a list are to be.")
    ] = 0.0
    rerank: Annotated[
        str | None, Option(help="How, with --diversity: mmr or dpp; default mmr.")
    ] = None

    def options(self, model: "Recommender", log: Callable[[str], None]) -> dict[str, Any]:
        """Return the arguments for `recommend`; logs how many ids of a file are unknown."""
        options: dict[str, Any] = {"approximate": self.approximate}
        if self.rerank is not None and self.diversity == 0:
            raise ParameterError("--rerank goes with --diversity above 0")
        options |= {"diversity": self.diversity, "rerank": self.rerank or "mmr"}
        if self.candidates is not None:
            if self.allow_file is not None:
                raise ParameterError("give --candidates or --allow-file, not both")
            options["allow"] = candidates_of(self.candidates, model, log)
        for name, file in (("allow", self.allow_file), ("deny", self.deny_file)):
            if file is not None:
                known, option = model.item_ids, f"--{name}-file"
                options[name] = listed_ids(option, file, known, empty=name == "deny")
                tell_unknown(options[name], known, f"ids in {option} {file}", log)
        return options


def candidates_of(path: str, model: "Recommender", log: Callable[[str], None]) -> dict[Any, list]:
    """Return the items of each user in a table with columns user and item."""
    from trimetric.data import Interactions

    table = Interactions.read(path, rating=False, timestamp=False)
    table = table.in_kinds_of(model.user_ids, model.item_ids)
    tell_unknown(table.item_ids.values.to_list(), model.item_ids, f"items in {path}", log)
    frame = table.to_frame().group_by("user", maintain_order=True).agg("item")
    return dict(frame.rows())


def recommend(
    model: Model,
    filters: Filters,
    titles: Titles,
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
    item: Annotated[
        list[str] | None,
        Option(
            "--item",
            "--liked",
            help="Item id of a new user, in place of --user; repeatable, or several with commas.",
        ),
    ] = None,
    weight: Annotated[
        list[str] | None,
        Option("--weight", help="ID=NUMBER, repeatable or with commas: how much an --item counts."),
    ] = None,
    every: Annotated[bool, Option("--all", help="All users of the model; needs --out.")] = False,
    k: K = 10,
    out: Annotated[
        str | None,
        Option(
            "--out",
            help="Write to a .parquet, .csv or .jsonl file; - prints csv; with a / at the end, and"
            " with --ray where there is no extension, a new folder of Parquet files.",
        ),
    ] = None,
    include_seen: Annotated[
        bool, Option("--include-seen", help="Also recommend items the user already has.")
    ] = False,
    on_unknown: Annotated[
        str, Option(help="Unknown users: error, popular (items), or skip.")
    ] = "error",
    seed: Seed = 0,
    ray: Ray = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Recommend items to users.

    Lists begin with the best item. Where no user is asked for, the answer is for one at random. A
    comma separates ids, unless an id with that comma is known. With --out, users are answered in
    blocks that are kept until all are done: after an interruption or a kill, the same command goes
    on where it was.
    """
    from trimetric.models.batch import is_folder
    from trimetric.space.lists import check_k

    user = [*(ids or ()), *(user or ())] or None
    ways = (user is not None) + (users_file is not None) + (item is not None) + every
    if ways > 1:
        raise ParameterError(
            "give only one of --user (or ids as arguments), --users-file, --all, and --item of a"
            " new user"
        )
    if ways == 0 and out is not None:
        raise ParameterError(
            "give users by --user ID (repeatable), --users-file FILE or --all, or a new user by"
            " --item ID (repeatable)"
        )
    if every and out is None:
        raise ParameterError("--all needs --out FILE (.parquet, .csv or .jsonl)")
    if ray is not None and (item is not None or out is None):
        raise ParameterError("--ray is for lists of many users: give --all and --out FILE")
    check_k(k)
    check_stream(out, json)
    log = logger(quiet)
    trained, checksum = _load(model)
    with suggesting(trained):
        options = filters.options(trained, log)
        known = titles.of(trained, log, own=out is None)
        if item is not None:
            if filters.candidates is not None:
                raise ParameterError(
                    "--candidates are of known users; use --allow-file with --item"
                )
            items = typed_ids(item, trained.item_ids)
            rows = trained.recommend_for(
                items,
                k,
                weights=None if weight is None else _weights(trained, items, weight),
                exclude_given=not include_seen,
                on_unknown="skip" if on_unknown == "skip" else "error",
                **options,
            )
            _tell_new(trained, model, titles.beside(rows, "item", known), out, json, log)
            return
        users = asked("user", trained, user, users_file)
        if users is None and not every:
            users = anyone("user", trained, seed, log)
        options |= {"exclude_seen": not include_seen, "on_unknown": on_unknown}
        if out is None:
            rows = titles.beside(trained.recommend(users or [], k, **options), "item", known)
            _print(trained, model, "recommendations", rows, json)
            return
        options |= {"checksum": checksum, "progress": not quiet, "ray": ray}
        replaced = not is_folder(out, ray) and replaces(out, log)
        if known:
            options["then"] = lambda rows: titles.beside(rows, "item", known)
            options["checksum"] += digest(known)
        with heartbeat("recommending", not quiet, bar=True):
            count = _to_file(trained, out, users, k, options)
    n_users = _everybody(trained, on_unknown) if users is None else len(users)
    more = {"users": n_users, "replaced": replaced}
    _print_written(model, out, count, f"{n_users:,} users", json, **more)


def _everybody(model: "Recommender", on_unknown: str) -> int:
    """Return how many users `recommend_to_file` answers where none are named."""
    from trimetric.models import is_sharded

    if on_unknown == "popular":
        return len(model.user_ids)
    return model.totals.trained if is_sharded(model) else model.known.trained


def _to_file(
    model: "Recommender", out: str, ids: list | None, k: int, options: dict[str, Any]
) -> int:
    from trimetric.models.batch import recommend_to_file

    with file_or_stream(out) as path:
        return recommend_to_file(model, path, ids, k, **options)


def _tell_new(
    trained: "Recommender",
    folder: str,
    rows: "pl.DataFrame",
    out: str | None,
    json: bool,
    log: Callable[[str], None],
) -> None:
    """Print or write the list of a new user."""
    from trimetric.storage.tables import write_blocks

    if out is None:
        _print(trained, folder, "recommendations", rows, json)
        return
    replaced = replaces(out, log)
    with file_or_stream(out) as path:
        count = write_blocks(places.output(path), iter([rows]))
    _print_written(folder, out, count, "a new user", json, replaced=replaced)


def _weights(model: "Recommender", items: list, texts: list[str]) -> dict[Any, float]:
    """Return the weights typed as ID=NUMBER, also with commas; items without one count 1."""
    weights: dict[Any, float] = dict.fromkeys(items, 1.0)
    given = set(weights)

    def known(text: str) -> bool:
        name, sign, _ = text.rpartition("=")
        return bool(sign) and model.item_ids.parse([name])[0] in given

    for text in [one for typed in texts for one in parted(typed, known)]:
        name, sign, number = text.rpartition("=")
        [item] = model.item_ids.parse([name])
        try:
            value = float(number)
        except ValueError:
            sign = ""
        if not sign or item not in weights:
            raise ParameterError(f"--weight must be ID=NUMBER of an --item, got {text!r}")
        weights[item] = value
    return weights


def _load(folder: str) -> "tuple[Recommender, str]":
    """Load a model and its checksum; again if another was saved there in between."""
    from trimetric.models import open_model
    from trimetric.storage.artifact import checksum

    while True:
        before, model = checksum(folder), open_model(folder)
        if checksum(folder) == before:
            return model, before


def _print(
    trained: "Recommender", folder: str, kind: str, rows: "pl.DataFrame", json: bool
) -> None:
    if json:
        emit_json({"folder": folder, "model": trained.name, kind: rows.to_dicts()})
    else:
        show(rows_table(rows))


def _print_written(
    folder: str, out: str, rows: int, recipient: str, json: bool, **more: int
) -> None:
    if out == "-":
        return
    if json:
        emit_json({"folder": folder, "out": out, **more, "rows": rows})
    else:
        emit(f"wrote {rows:,} recommendations for {recipient} to {out}")
