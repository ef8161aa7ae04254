"""`trimetric explain`: why an item is where it is for a user."""

from typing import TYPE_CHECKING, Annotated

from typer import Option

from trimetric.cli.options import Json, Model
from trimetric.cli.output import emit, emit_json, plain, rows_table, show
from trimetric.errors import ParameterError

if TYPE_CHECKING:
    from trimetric.space.explanation import Explanation


def explain(
    model: Model,
    item: Annotated[str, Option("--item", help="The item's id.")],
    user: Annotated[str | None, Option("--user", help="The user's id.")] = None,
    liked: Annotated[
        list[str] | None,
        Option("--liked", help="Instead of a user: an item a new user has; repeat for more."),
    ] = None,
    items: Annotated[
        str | None, Option("--items", help="A table of items: item and title.")
    ] = None,
    k: Annotated[int, Option("-k", help="The length of the list that is spoken of.")] = 10,
    reasons: Annotated[int, Option(help="How many of the user's items to name.")] = 5,
    examine: Annotated[
        int, Option(help="How many of them to take away, one at a time, to see what follows.")
    ] = 100,
    json: Json = False,
) -> None:
    """Say why an item is where it is for a user: what is near, which hinges pull, what holds it.

    Needs a model with a metric space, such as sml and cml.
    """
    from trimetric.data.titles import titles
    from trimetric.models import load

    if (user is None) == (liked is None):
        raise ParameterError("give --user ID, or a new user by --liked ID (repeatable)")
    trained = load(model)
    called = {} if items is None else titles(items, trained.item_ids)
    [asked] = trained.item_ids.parse([item])
    if user is not None:
        [whom] = trained.user_ids.parse([user])
        why = trained.explain(whom, asked, k=k, reasons=reasons, examine=examine)
    else:
        theirs = trained.item_ids.parse(liked or [])
        why = trained.explain_for(theirs, asked, k=k, reasons=reasons, examine=examine)
    if json:
        document = why.to_dict() | {"sentence": why.sentence(called)}
        named = {one: called[one] for one in why.items if one in called}
        emit_json({"folder": model, **document, **({"titles": named} if called else {})})
    else:
        _tell(why, called)


def _tell(why: "Explanation", called: dict) -> None:
    import polars as pl

    emit(plain(why.sentence(called)))
    if why.reasons:
        rows = [
            {
                "has": str(called.get(one.item, one.item)),
                "d² to the item": one.d2_item,
                "d² to the user": one.d2_user,
                "rank without it": one.rank_without,
            }
            for one in why.reasons
        ]
        emit("")
        show(rows_table(pl.DataFrame(rows)))
    if why.triple is not None:
        one = why.triple
        behind = str(called.get(one.negative, one.negative))
        emit(f"\nJust behind it: {plain(behind)}. Equation (6), v⁻ being that one:")
        hinges = {
            "hinge": ["user's", "item's"],
            "d²(u,v)": [one.d2_uv, one.d2_uv],
            "d² to v⁻": [one.d2_un, one.d2_vn],
            "margin": [one.user_margin, one.item_margin],
            "value": [one.user_hinge, one.item_hinge],
        }
        kinds = {name: pl.String if name == "hinge" else pl.Float64 for name in hinges}
        show(rows_table(pl.DataFrame(hinges, schema=kinds)))
