"""`trimetric evaluate`: measure a saved model on held-out interactions."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from trimetric.cli.columns import Columns
from trimetric.cli.options import Json, Model
from trimetric.cli.output import emit_json, show
from trimetric.cli.reading import read_held_out
from trimetric.errors import ParameterError

if TYPE_CHECKING:
    from trimetric.data import Split
    from trimetric.models.recommender import Recommender


def evaluate(
    model: Model,
    columns: Columns,
    test: Annotated[
        str, Option("--test", help="Held-out interactions: a file or a data set's name.")
    ],
    valid: Annotated[
        str | None,
        Option("--valid", help="The --valid of fit; its items are excluded from full rankings."),
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
    json: Json = False,
) -> None:
    """Rank held-out interactions and compute the metrics.

    Items that a user was trained on are not candidates; users and items unknown to the model are
    left out and counted. If the file ships a split, its test part is used.
    """
    from trimetric.evaluation import evaluate as measure
    from trimetric.evaluation import protocol as named
    from trimetric.models import load

    how: Any = named(protocol)
    if at is not None:
        how = replace(how, at=_cutoffs(at))
    trained = load(model)
    data: Any = read_held_out(test, columns, "test")
    if valid is not None:
        data = _split(trained, data, read_held_out(valid, columns, "valid"))
    result = measure(trained, data, how)
    if json:
        emit_json({"folder": model, **result.to_dict()})
    else:
        show(result.table())


def _split(model: "Recommender", test: Any, valid: Any) -> "Split":
    from trimetric.data import Interactions, Split

    train = Interactions(model.user_ids, model.item_ids, model.seen.users, model.seen.items)
    return Split(train, valid, test, {"method": "files"})


def _cutoffs(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ParameterError(f"--at takes whole numbers as 5,10,20, got {text!r}") from None
