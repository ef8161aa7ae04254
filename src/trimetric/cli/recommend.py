"""`trimetric recommend`, `similar-items` and `similar-users`: answers of a saved model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from trimetric.cli.options import Json, Model, Quiet
from trimetric.cli.output import emit, emit_json, file_or_stream, logger, rows_table, show
from trimetric.cli.reading import lines
from trimetric.errors import ParameterError
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
    rerank: Annotated[str, Option(help="How, with --diversity: mmr or dpp.")] = "mmr"

    def options(self, model: "Recommender", log: Callable[[str], None]) -> dict[str, Any]:
        """Return the arguments for `recommend`; logs how many ids of a file are unknown."""
        options: dict[str, Any] = {"approximate": self.approximate}
        options |= {"diversity": self.diversity, "rerank": self.rerank}
        if self.candidates is not None:
            if self.allow_file is not None:
                raise ParameterError("give --candidates or --allow-file, not both")
            options["allow"] = candidates_of(self.candidates, model, log)
        for name, file in (("allow", self.allow_file), ("deny", self.deny_file)):
            if file is not None:
                ids = model.item_ids.parse(lines(f"--{name}-file", file, empty=name == "deny"))
                unknown = int((model.item_ids.encode(ids) < 0).sum())
                if unknown:
                    log(
                        f"{unknown:,} of {len(ids):,} ids in --{name}-file {file} are unknown to"
                        " the model"
                    )
                options[name] = ids
        return options


def candidates_of(path: str, model: "Recommender", log: Callable[[str], None]) -> dict[Any, list]:
    """Return the items of each user in a table with columns user and item."""
    from trimetric.data import Interactions

    table = Interactions.read(path, rating=False, timestamp=False)
    table = table.in_kinds_of(model.user_ids, model.item_ids)
    unknown = int((model.item_ids.encode(table.item_ids.values) < 0).sum())
    if unknown:
        log(f"{unknown:,} of {table.n_items:,} items in {path} are unknown to the model")
    frame = table.to_frame().group_by("user", maintain_order=True).agg("item")
    return dict(frame.rows())


@dataclass(frozen=True)
class Titles:
    """Where the titles of items are."""

    items: Annotated[
        str | None, Option("--items", help="Table of items, with columns item and title, to show.")
    ] = None
    id_column: Annotated[
        str | None,
        Option(help="Column of --items with the ids, if it is not item, id or a usual name."),
    ] = None

    def beside(self, rows: "pl.DataFrame", column: str, model: "Recommender") -> "pl.DataFrame":
        """Return lists with a column `title` after the items; as they are without a table."""
        if self.items is None:
            return rows
        import polars as pl

        from trimetric.data.titles import titles

        known = titles(self.items, model.item_ids, self.id_column)
        texts = pl.Series("title", [known.get(item) for item in rows[column]], dtype=pl.String)
        return rows.insert_column(rows.get_column_index(column) + 1, texts)


K = Annotated[int, Option("-k", help="Length of each list.")]
Users = Annotated[list[str] | None, Option("--user", help="User id; repeatable.")]


def recommend(
    model: Model,
    filters: Filters,
    titles: Titles,
    user: Users = None,
    users_file: Annotated[
        str | None, Option(help="Text file of user ids, one per line; - is standard input.")
    ] = None,
    item: Annotated[
        list[str] | None,
        Option("--item", "--liked", help="Item id of a new user, in place of --user; repeatable."),
    ] = None,
    weight: Annotated[
        list[str] | None,
        Option("--weight", help="ID=NUMBER, repeatable: how much an --item counts."),
    ] = None,
    every: Annotated[bool, Option("--all", help="All users of the model; needs --out.")] = False,
    k: K = 10,
    out: Annotated[
        str | None,
        Option("--out", help="Write to a .parquet, .csv or .jsonl file; - prints csv."),
    ] = None,
    include_seen: Annotated[
        bool, Option("--include-seen", help="Also recommend items the user already has.")
    ] = False,
    on_unknown: Annotated[
        str, Option(help="Unknown users: error, popular (items), or skip.")
    ] = "error",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Recommend items to users.

    Lists begin with the best item. With --out, users are answered in blocks that are kept until all
    are done: after an interruption or a kill, the same command goes on where it was.
    """
    from trimetric.models.batch import recommend_to_file
    from trimetric.space.lists import check_k
    from trimetric.storage.tables import write_blocks

    if (user is not None) + (users_file is not None) + (item is not None) + every != 1:
        raise ParameterError(
            "give users by --user ID (repeatable), --users-file FILE or --all, or a new user by"
            " --item ID (repeatable)"
        )
    if every and out is None:
        raise ParameterError("--all needs --out FILE (.parquet, .csv or .jsonl)")
    check_k(k)
    trained, checksum = _load(model)
    options = filters.options(trained, logger(quiet))
    if item is not None:
        items = trained.item_ids.parse(item)
        if filters.candidates is not None:
            raise ParameterError("--candidates are of known users; use --allow-file with --item")
        rows = trained.recommend_for(
            items,
            k,
            weights=None if weight is None else _weights(trained, items, weight),
            exclude_given=not include_seen,
            on_unknown="skip" if on_unknown == "skip" else "error",
            **options,
        )
        rows = titles.beside(rows, "item", trained)
        if out is None:
            _print(trained, model, "recommendations", rows, json)
        else:
            with file_or_stream(out) as path:
                count = write_blocks(places.output(path), iter([rows]))
            _print_written(model, out, count, "a new user", json)
        return
    users = user if users_file is None else lines("--users-file", users_file)
    ids = None if users is None else trained.user_ids.parse(users)
    options |= {"exclude_seen": not include_seen, "on_unknown": on_unknown}
    if out is None:
        rows = titles.beside(trained.recommend(ids or [], k, **options), "item", trained)
        _print(trained, model, "recommendations", rows, json)
        return
    if titles.items is not None:
        raise ParameterError("--items shows titles; files of --out hold ids, to be joined with it")
    progress = False if quiet else None
    with file_or_stream(out) as path:
        options |= {"checksum": checksum, "progress": progress}
        count = recommend_to_file(trained, path, ids, k, **options)
    n_users = len(trained.user_ids if ids is None else ids)
    _print_written(model, out, count, f"{n_users:,} users", json, users=n_users)


def similar_items(
    model: Model,
    titles: Titles,
    item: Annotated[list[str], Option("--item", help="Item id; repeatable.")],
    k: K = 10,
    allow_file: Annotated[
        str | None, Option(help="List only the items of this text file, one id per line.")
    ] = None,
    deny_file: Annotated[
        str | None, Option(help="List no item of this text file, one id per line.")
    ] = None,
    on_unknown: Annotated[str, Option(help="Unknown items: error, or skip.")] = "error",
    json: Json = False,
) -> None:
    """List the items most similar to an item."""
    from trimetric.models import load

    trained = load(model)
    ids = trained.item_ids
    rows = trained.similar_items(
        ids.parse(item),
        k,
        allow=ids.parse(lines("--allow-file", allow_file)) if allow_file else None,
        deny=ids.parse(lines("--deny-file", deny_file, empty=True)) if deny_file else None,
        on_unknown=on_unknown,  # type: ignore[arg-type]
    )
    _print(trained, model, "similar", titles.beside(rows, "similar", trained), json)


def similar_users(
    model: Model,
    user: Annotated[list[str], Option("--user", help="User id; repeatable.")],
    k: K = 10,
    allow_file: Annotated[
        str | None, Option(help="List only the users of this text file, one id per line.")
    ] = None,
    deny_file: Annotated[
        str | None, Option(help="List no user of this text file, one id per line.")
    ] = None,
    on_unknown: Annotated[str, Option(help="Unknown users: error, or skip.")] = "error",
    json: Json = False,
) -> None:
    """List the users most similar to a user."""
    from trimetric.models import load

    trained = load(model)
    ids = trained.user_ids
    rows = trained.similar_users(
        ids.parse(user),
        k,
        allow=ids.parse(lines("--allow-file", allow_file)) if allow_file else None,
        deny=ids.parse(lines("--deny-file", deny_file, empty=True)) if deny_file else None,
        on_unknown=on_unknown,  # type: ignore[arg-type]
    )
    _print(trained, model, "similar", rows, json)


def _weights(model: "Recommender", items: list, texts: list[str]) -> dict[Any, float]:
    """Return the weights typed as ID=NUMBER; items without one count 1."""
    weights: dict[Any, float] = dict.fromkeys(items, 1.0)
    for text in texts:
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
    from trimetric.models import load
    from trimetric.storage.artifact import checksum

    while True:
        before, model = checksum(folder), load(folder)
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
