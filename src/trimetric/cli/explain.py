"""`trimetric explain`: why an item ranks where it does for a user."""

from typing import TYPE_CHECKING, Annotated

from typer import Option

from trimetric.cli.options import Json, Model
from trimetric.cli.output import emit, emit_json, plain, rows_table, show
from trimetric.errors import ParameterError

if TYPE_CHECKING:
    from trimetric.space.explanation import Explanation


def explain(
    model: Model,
    item: Annotated[str, Option("--item", help="Item id.")],
    user: Annotated[str | None, Option("--user", help="User id.")] = None,
    liked: Annotated[
        list[str] | None,
        Option("--liked", help="Item id of a new user, in place of --user; repeatable."),
    ] = None,
    items: Annotated[
        str | None, Option("--items", help="Table of items, with columns item and title.")
    ] = None,
    id_column: Annotated[
        str | None,
        Option(help="Column of --items with the ids, if it is not item, id or a usual name."),
    ] = None,
    k: Annotated[int, Option("-k", help="Length of the list.")] = 10,
    reasons: Annotated[int, Option(help="Number of the user's items to name.")] = 5,
    examine: Annotated[
        int,
        Option(help="Number of the user's items to leave out, one at a time, to see the effect."),
    ] = 100,
    json: Json = False,
) -> None:
    """Explain why an item ranks where it does for a user.

    With a metric space (centroid, sml, cml): the user's items near it, the terms of the loss, and
    which items hold it in place. With ease, itemknn, ials and bpr: what each of the user's items
    adds to its score. Models that cannot tell say why.
    """
    from trimetric.data.titles import titles
    from trimetric.models import load

    if (user is None) == (liked is None):
        raise ParameterError("give --user ID, or a new user by --liked ID (repeatable)")
    trained = load(model)
    names = {} if items is None else titles(items, trained.item_ids, id_column)
    [target] = trained.item_ids.parse([item])
    if user is not None:
        [parsed] = trained.user_ids.parse([user])
        why = trained.explain(parsed, target, k=k, reasons=reasons, examine=examine)
    else:
        liked_ids = trained.item_ids.parse(liked or [])
        why = trained.explain_for(liked_ids, target, k=k, reasons=reasons, examine=examine)
    if json:
        document = why.to_dict() | {"sentence": why.sentence(names)}
        if names:
            document["titles"] = {i: names[i] for i in why.items if i in names}
        emit_json({"folder": model, **document})
    else:
        _print(why, names)


def _print(why: "Explanation", names: dict) -> None:
    import polars as pl

    emit(plain(why.sentence(names)))
    if why.reasons:
        rows = why.reason_rows(names)
        emit("")
        show(rows_table(pl.DataFrame(rows)))
    if why.triple is not None:
        triple = why.triple
        behind = str(names.get(triple.negative, triple.negative))
        emit(f"\nJust behind it: {plain(behind)}. Equation (6), with it as v⁻:")
        hinges = {
            "hinge": ["user's", "item's"],
            "d²(u,v)": [triple.d2_uv, triple.d2_uv],
            "d² to v⁻": [triple.d2_un, triple.d2_vn],
            "margin": [triple.user_margin, triple.item_margin],
            "value": [triple.user_hinge, triple.item_hinge],
        }
        kinds = {name: pl.String if name == "hinge" else pl.Float64 for name in hinges}
        show(rows_table(pl.DataFrame(hinges, schema=kinds)))
