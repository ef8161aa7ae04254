"""`trimetric evaluate`: measure a saved model, or lists made elsewhere."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from trimetric.cli.columns import Columns
from trimetric.cli.options import Json, Ray
from trimetric.cli.output import emit, emit_json, note, show
from trimetric.cli.reading import read, read_held_out
from trimetric.errors import ParameterError
from trimetric.progress import heartbeat

if TYPE_CHECKING:
    from trimetric.models.recommender import Recommender

ModelOrNone = Annotated[
    str | None,
    Argument(metavar="MODEL", help="Folder of a saved model; leave it out with --lists."),
]


@dataclass(frozen=True)
class ListOptions:
    """Lists made elsewhere, and how to read them."""

    lists: Annotated[
        str | None,
        Option("--lists", help="Evaluate the lists in this file: a row for each place of a list."),
    ] = None
    rank_column: Annotated[
        str | None,
        Option(
            help="Column that orders lists, least first; default rank if there; none ignores it."
        ),
    ] = None
    score_column: Annotated[
        str | None,
        Option(help="Or highest first; default score if there; none: with no rank, rows in order."),
    ] = None

    def columns(self, columns: Columns) -> dict[str, Any]:
        """Return the arguments of `RankedLists.of`."""
        rank, score = (
            False if name == "none" else name for name in (self.rank_column, self.score_column)
        )
        return {**columns.of_lists(), "rank": rank, "score": score}


@dataclass(frozen=True)
class BeyondOptions:
    """What is measured beyond accuracy."""

    beyond: Annotated[
        int | None,
        Option(
            "--beyond",
            metavar="K",
            help="Also coverage, Gini, novelty and more of lists of K; needs the training part.",
        ),
    ] = None
    items: Annotated[
        str | None,
        Option("--items", help="Table of items, for --by, or a data set that has one: bookshop."),
    ] = None
    by: Annotated[
        str | None,
        Option("--by", help="Columns of --items to measure diversity and calibration by."),
    ] = None
    id_column: Annotated[
        str | None,
        Option(
            "--id-column",
            "--item-id-column",
            "--items-id",
            help="Column of --items with the ids, if it is not item, id or a usual name.",
        ),
    ] = None
    value_separator: Annotated[
        str | None, Option(help="Sign between several values of an item, such as |.")
    ] = None
    reference: Annotated[
        str | None,
        Option("--reference", help="Model or lists that serendipity is measured against."),
    ] = None


def evaluate(
    columns: Columns,
    listed: ListOptions,
    beyond: BeyondOptions,
    model: ModelOrNone = None,
    test: Annotated[
        str | None, Option("--test", help="Held-out interactions: a file or a data set's name.")
    ] = None,
    valid: Annotated[
        str | None,
        Option("--valid", help="The --valid of fit; its items are excluded from full rankings."),
    ] = None,
    train: Annotated[
        str | None,
        Option("--train", help="What was trained on: for --lists, and for --beyond."),
    ] = None,
    split: Annotated[
        str | None,
        Option("--split", help="Folder of `data split`, in place of --test, --valid and --train."),
    ] = None,
    protocol: Annotated[
        str,
        Option(
            "--protocol",
            help="full, dpcml, sampled-499 (not comparable to these), or as-released (has a leak;"
            " comparable to published figures only).",
        ),
    ] = "full",
    at: Annotated[str | None, Option("--at", help="Cutoffs, for instance 5,10,20.")] = None,
    include_seen: Annotated[
        bool,
        Option("--include-seen", help="What a user had before is a candidate: repeat consumption."),
    ] = False,
    ray: Ray = None,
    json: Json = False,
) -> None:
    """Rank held-out interactions and compute the metrics.

    Items that a user was trained on are not candidates; users and items without training
    interactions are left out and counted. If the file ships a split, its test part is
    used. With --lists, what any recommender listed is measured in the same way.
    """
    from trimetric.evaluation import evaluate as measure
    from trimetric.evaluation import protocol as named

    if (model is None) == (listed.lists is None):
        raise ParameterError("give the folder of a model, or --lists FILE")
    how: Any = protocol
    if at is not None:
        chosen: Any = named(protocol)
        how = replace(chosen, at=_cutoffs(at))
    if listed.lists is None and (listed.rank_column or listed.score_column):
        raise ParameterError("--rank-column and --score-column are those of --lists")
    source: Any = _lists(listed, columns) if listed.lists else _loaded(str(model))
    data = _held_out(None if listed.lists else source, columns, (test, valid, train, split))
    with heartbeat("ranking"):
        result = measure(source, data, how, exclude_seen=not include_seen, ray=ray)
    found: dict[str, float] = {}
    if beyond.beyond is not None:
        with heartbeat("measuring beyond accuracy"):
            found = _beyond(source, data, beyond, not include_seen)
    elif beyond.items or beyond.by or beyond.reference:
        raise ParameterError("--items, --by and --reference go with --beyond K")
    if json:
        more = {"beyond_accuracy": found} if found else {}
        emit_json({"folder": model, **result.to_dict(), **more})
        return
    show(result.table())
    if found:
        emit("")
        show(_table(found))


def _held_out(model: "Recommender | None", columns: Columns, given: tuple[str | None, ...]) -> Any:
    """Return a split, or the held-out interactions alone."""
    from trimetric.data import Interactions, Split
    from trimetric.evaluation.preparation import Parts
    from trimetric.models import is_sharded

    test, valid, train, folder = given
    if folder is not None:
        if test or valid or train:
            raise ParameterError("--split has all parts; leave out --test, --valid and --train")
        return Split.load(folder)
    if test is None:
        raise ParameterError("give held-out interactions: --test FILE, or --split FOLDER")
    held: Any = read_held_out(test, columns, "test")
    validated = None if valid is None else read_held_out(valid, columns, "valid")
    if train is not None:
        return Split(_training(train, columns), validated, held, {"method": "files"})
    if valid is None:
        return held
    if model is None:
        raise ParameterError("--valid needs --train with --lists: what was trained on")
    if is_sharded(model):  # what was trained on is read part by part
        return Parts(held, valid=validated, how={"method": "files"})
    known = Interactions.from_rows(
        model.user_ids, model.item_ids, model.seen.users, model.seen.items
    )
    return Split(known, validated, held, {"method": "files"})


def _training(source: str, columns: Columns) -> Any:
    from trimetric.data.splits import shipped_part

    data = read(source, columns)
    part = shipped_part(data, "train")
    if part is None:
        raise ParameterError(f"--train {source}: its split has no train part")
    return part


def _lists(options: ListOptions, columns: Columns) -> Any:
    from trimetric.evaluation.lists import RankedLists

    return RankedLists.of(options.lists, **options.columns(columns))


def _loaded(folder: str) -> "Recommender":
    from trimetric.models import open_model

    return open_model(folder)


def _beyond(source: Any, data: Any, options: BeyondOptions, exclude_seen: bool) -> dict[str, float]:
    from trimetric.data import Split
    from trimetric.evaluation.summary import beyond_accuracy

    if not isinstance(data, Split):
        raise ParameterError(
            "--beyond needs what was trained on: give --split FOLDER, or --train FILE"
        )
    reference: Any = options.reference
    if reference is not None and (Path(reference) / "model.json").exists():
        reference = _loaded(reference)
    names = [name.strip() for name in (options.by or "").split(",") if name.strip()]
    if names and options.items is None:
        raise ParameterError("--by names columns of --items; give the table")
    return beyond_accuracy(
        source,
        data,
        options.beyond or 0,
        exclude_seen=exclude_seen,
        items=None if options.items is None else _items(options.items, options.id_column, names),
        columns=names,
        separator=options.value_separator,
        reference=reference,
    )


def _items(path: str, id_column: str | None, names: list[str]) -> Any:
    """Return a table of items: column item, and those that are named."""
    from trimetric.data import item_tables

    def choose(columns: list[str], _: str) -> dict[str, str]:
        for name in names:
            if name not in columns:
                raise ParameterError(
                    f"--by {name}: {path} has no such column; there are {', '.join(columns)}"
                )
        return {name: name for name in names}

    return item_tables.read(path, id_column, choose, note)


def _table(found: dict[str, float]) -> Any:
    from rich.table import Table

    table = Table(title="Beyond accuracy", title_justify="left")
    table.add_column("measure")
    table.add_column("value", justify="right")
    for name, value in found.items():
        table.add_row(name, "-" if value != value else f"{value:.4f}")
    return table


def _cutoffs(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ParameterError(f"--at takes whole numbers as 5,10,20, got {text!r}") from None
