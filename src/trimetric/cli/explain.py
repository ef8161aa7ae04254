"""`trimetric explain`: why an item ranks where it does for a user."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from trimetric.cli.ids import anyone, suggesting, typed_ids
from trimetric.cli.options import Json, Model, Quiet, Seed
from trimetric.cli.output import emit, emit_json, logger, plain, rows_table, show
from trimetric.cli.titles import Titles
from trimetric.errors import ParameterError, UnknownIds

if TYPE_CHECKING:
    import polars as pl

    from trimetric.models.recommender import Recommender
    from trimetric.space.explanation import Explanation


def explain(
    model: Model,
    titles: Titles,
    item: Annotated[
        str | None, Option("--item", help="Item id; by default the best recommendation.")
    ] = None,
    user: Annotated[str | None, Option("--user", help="User id.")] = None,
    liked: Annotated[
        list[str] | None,
        Option(
            "--liked",
            help="Item id of a new user, in place of --user; repeatable, or several with commas.",
        ),
    ] = None,
    k: Annotated[int, Option("-k", "--k", help="Length of the list.")] = 10,
    reasons: Annotated[int, Option(help="Number of the user's items to name.")] = 5,
    examine: Annotated[
        int,
        Option(help="Number of the user's items to leave out, one at a time, to see the effect."),
    ] = 100,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Explain why an item ranks where it does for a user.

    With a metric space (centroid, sml, cml): the user's items near it, the terms of the loss, and
    which items hold it in place. With ease, itemknn, ials and bpr: what each of the user's items
    adds to its score. Models that cannot tell say why. Where no user is asked for, the answer is
    for one at random.
    """
    from trimetric.models import open_model

    if user is not None and liked is not None:
        raise ParameterError("give --user ID, or a new user by --liked ID (repeatable), not both")
    log, trained = logger(quiet), open_model(model)
    options = {"k": k, "reasons": reasons, "examine": examine}
    with suggesting(trained):
        names = titles.of(trained, log)
        if liked is not None:
            given = typed_ids(liked, trained.item_ids)
            best = _target(trained, item, lambda: trained.recommend_for(given, 1), log)
            why = trained.explain_for(given, best, **options)
        else:
            chosen = [user] if user is not None else None
            [who] = trained.user_ids.parse(chosen) if chosen else anyone("user", trained, seed, log)
            best = _target(trained, item, lambda: _first_of(trained, who), log)
            why = trained.explain(who, best, **options)
    if json:
        document = why.to_dict() | {"sentence": why.sentence(names)}
        if names:
            document["titles"] = {i: names[i] for i in why.items if i in names}
        emit_json({"folder": model, **document})
    else:
        _print(why, names)


def _target(
    model: "Recommender",
    item: str | None,
    lists: "Callable[[], pl.DataFrame]",
    log: Callable[[str], None],
) -> Any:
    """Return the item that was asked for, or else the best recommendation."""
    if item is not None:
        return model.item_ids.parse([item])[0]
    rows = lists()
    if not len(rows):
        raise ParameterError("no item is left to recommend to this user; ask for one by --item ID")
    log(f"no item was asked for: {rows['item'][0]} is the best recommendation")
    return rows["item"][0]


def _first_of(model: "Recommender", user: Any) -> "pl.DataFrame":
    """Return the best recommendation; errors name no option that `explain` lacks."""
    from trimetric.space.given import NOT_TRAINED_ON

    try:
        return model.recommend([user], 1)
    except UnknownIds as error:
        if "on_unknown" not in str(error):
            raise
        raise UnknownIds("user", [user], NOT_TRAINED_ON) from None


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
