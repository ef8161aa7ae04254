"""`trimetric evaluate`: measure a saved model on held-out interactions."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from trimetric.cli.options import Columns, Json, Model
from trimetric.cli.output import emit_json, show
from trimetric.cli.reading import held_out
from trimetric.errors import ParameterError

if TYPE_CHECKING:
    from trimetric.data import Split
    from trimetric.models.recommender import Recommender


def evaluate(
    model: Model,
    columns: Columns,
    test: Annotated[str, Option("--test", help="Held-out interactions, a file or a name.")],
    valid: Annotated[
        str | None,
        Option("--valid", help="What --valid of fit was: left out of full ranking, too."),
    ] = None,
    protocol: Annotated[
        str,
        Option(
            "--protocol",
            help="full, dpcml, sampled-499 (not comparable with them), or as-released (leaks;"
            " comparable with published figures only).",
        ),
    ] = "full",
    at: Annotated[str | None, Option("--at", help="Cutoffs, as 5,10,20.")] = None,
    json: Json = False,
) -> None:
    """Rank held-out interactions and say how high they stand.

    Items that the model was trained on are no candidates; users and items that it does not know
    are left out and counted. If the file ships a split, its test part is used.
    """
    from trimetric.evaluation import evaluate as measure
    from trimetric.evaluation import protocol as named
    from trimetric.models import load

    chosen: Any = named(protocol)
    if at is not None:
        chosen = replace(chosen, at=_cutoffs(at))
    trained = load(model)
    data: Any = held_out(test, columns, "test")
    if valid is not None:
        data = _split(trained, data, held_out(valid, columns, "valid"))
    result = measure(trained, data, chosen)
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
