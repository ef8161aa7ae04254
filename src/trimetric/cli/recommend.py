"""`trimetric recommend`, `similar-items` and `similar-users`: ask a saved model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from trimetric.cli.batch import Batch, digest, users_a_block, write_batch
from trimetric.cli.options import Json, Model, Quiet
from trimetric.cli.output import emit, emit_json, note, rows_table, show
from trimetric.cli.reading import lines
from trimetric.errors import ParameterError

if TYPE_CHECKING:
    import polars as pl

    from trimetric.models.recommender import Recommender


@dataclass(frozen=True)
class Filters:
    """Which items may be answered, and how they are looked for."""

    allow_file: Annotated[
        str | None, Option(help="A text file with an item's id a line: recommend only these.")
    ] = None
    deny_file: Annotated[
        str | None, Option(help="A text file with an item's id a line: recommend none of these.")
    ] = None
    approximate: Annotated[
        bool,
        Option("--approximate", help="Quicker among many items; may miss some of the nearest."),
    ] = False

    def rules(
        self, model: "Recommender", say: Callable[[str], None]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return arguments of `recommend`, and a short form of them to compare.

        Says how many ids of a file are no items of the model, which may well be meant.
        """
        found: dict[str, Any] = {"approximate": self.approximate}
        for name, file in (("allow", self.allow_file), ("deny", self.deny_file)):
            found[name] = None
            if file is not None:
                texts = lines(f"--{name}-file", file, some=name == "allow")
                found[name] = model.item_ids.parse(texts)
                unknown = int((model.item_ids.encode(found[name]) < 0).sum())
                if unknown:
                    ids = f"{unknown:,} of {len(texts):,} ids in --{name}-file {file}"
                    say(f"{ids} are unknown to the model")
        lists = {name: digest(ids) for name, ids in found.items() if isinstance(ids, list)}
        return found, {**found, **lists}


K = Annotated[int, Option("-k", help="The length of each list.")]
Users = Annotated[list[str] | None, Option("--user", help="A user's id; repeat for more.")]


def recommend(
    model: Model,
    filters: Filters,
    user: Users = None,
    users_file: Annotated[
        str | None, Option(help="A text file with a user's id a line; - is standard input.")
    ] = None,
    item: Annotated[
        list[str] | None,
        Option(
            "--item", "--liked", help="Instead of a user: an item a new user has; repeat for more."
        ),
    ] = None,
    every: Annotated[bool, Option("--all", help="All users of the model; needs --out.")] = False,
    k: K = 10,
    out: Annotated[
        str | None, Option("--out", help="Write to a .parquet, .csv or .jsonl file.")
    ] = None,
    include_seen: Annotated[
        bool, Option("--include-seen", help="Also items that the user was trained on.")
    ] = False,
    on_unknown: Annotated[
        str, Option(help="Unknown users: error, popular (items), or skip.")
    ] = "error",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Recommend items to users.

    The nearest come first; the score of metric models is the squared distance. With --out, users
    are answered in blocks that are kept until all are done: if the run is interrupted or killed,
    the same command goes on where it was.
    """
    from trimetric.cli.tables import write
    from trimetric.progress import counted
    from trimetric.space.lists import check_k

    if (user is not None) + (users_file is not None) + (item is not None) + every != 1:
        raise ParameterError(
            "give users by --user ID (repeatable), --users-file FILE or --all, or a new user by"
            " --item ID (repeatable)"
        )
    if every and out is None:
        raise ParameterError("--all needs --out FILE (.parquet, .csv or .jsonl)")
    check_k(k)
    trained, checksum = _loaded(model)
    how, listed = filters.rules(trained, _silent if quiet else note)
    if item is not None:
        given = trained.item_ids.parse(item)
        shown = not include_seen
        found = trained.recommend_for(given, k, exclude_given=shown, **how)
        if out is None:
            _answer(trained, model, "recommendations", found, json)
        else:
            _wrote(model, out, write(Path(out), iter([found])), "a new user", json)
        return
    texts = user if user is not None else []
    if users_file is not None:
        texts = lines("--users-file", users_file)
    asked = trained.user_ids.values if every else trained.user_ids.parse(texts)
    which: dict[str, Any] = {"exclude_seen": not include_seen, "on_unknown": on_unknown}

    def answer(first: int, stop: int) -> "pl.DataFrame":
        return trained.recommend(asked[first:stop], k, **which, **how)

    if out is None:
        _answer(trained, model, "recommendations", answer(0, len(asked)), json)
        return
    depends_on = {"model": checksum, "asked": digest(texts), "k": k, **which, **listed}
    batch = Batch(
        len(asked),
        users_a_block(k, len(trained.item_ids)),
        {**_versions(filters.approximate), **depends_on},
    )
    with counted("users", len(asked), quiet) as counter:
        rows = write_batch(Path(out), batch, answer, counter, _silent if quiet else counter.say)
    _wrote(model, out, rows, f"{len(asked):,} users", json, users=len(asked))


def similar_items(
    model: Model,
    item: Annotated[list[str], Option("--item", help="An item's id; repeat for more.")],
    k: K = 10,
    json: Json = False,
) -> None:
    """Find the items nearest to an item."""
    from trimetric.models import load

    trained = load(model)
    found = trained.similar_items(trained.item_ids.parse(item), k)
    _answer(trained, model, "similar", found, json)


def similar_users(
    model: Model,
    user: Annotated[list[str], Option("--user", help="A user's id; repeat for more.")],
    k: K = 10,
    json: Json = False,
) -> None:
    """Find the users nearest to a user."""
    from trimetric.models import load

    trained = load(model)
    found = trained.similar_users(trained.user_ids.parse(user), k)
    _answer(trained, model, "similar", found, json)


def _loaded(folder: str) -> "tuple[Recommender, str]":
    """Load a model, and the checksum of what was loaded."""
    from trimetric.models import load
    from trimetric.storage.artifact import checksum

    while True:  # until no other model was saved there meanwhile
        before, model = checksum(folder), load(folder)
        if checksum(folder) == before:
            return model, before


def _versions(approximate: bool) -> dict[str, str]:
    """Return the versions of what the bytes of the output may depend on."""
    from importlib.metadata import version

    from trimetric import __version__

    others = ("polars", "faiss-cpu") if approximate else ("polars",)
    return {"trimetric": __version__, **{name: version(name) for name in others}}


def _silent(_: str) -> None:
    pass


def _answer(
    trained: "Recommender", folder: str, kind: str, rows: "pl.DataFrame", json: bool
) -> None:
    if json:
        emit_json({"folder": folder, "model": trained.name, kind: rows.to_dicts()})
    else:
        show(rows_table(rows))


def _wrote(folder: str, out: str, rows: int, whom: str, json: bool, **more: int) -> None:
    if json:
        emit_json({"folder": folder, "out": out, **more, "rows": rows})
    else:
        emit(f"wrote {rows:,} recommendations for {whom} to {out}")
