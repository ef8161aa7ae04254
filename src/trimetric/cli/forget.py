"""`trimetric forget` and `trimetric unavailable`: users and items taken out of a saved model."""

from pathlib import Path
from typing import Annotated

from typer import Option

from trimetric.cli.ids import listed_ids, suggesting, tell_unknown, typed_ids
from trimetric.cli.options import Json, Model
from trimetric.cli.output import emit, emit_json, note
from trimetric.errors import ParameterError


def forget(
    model: Model,
    user: Annotated[
        list[str] | None,
        Option("--user", help="User id; repeatable, or several with commas between them."),
    ] = None,
    item: Annotated[
        list[str] | None,
        Option("--item", help="Item id; repeatable, or several with commas between them."),
    ] = None,
    users_file: Annotated[str | None, Option(help="Text file of user ids, one per line.")] = None,
    items_file: Annotated[str | None, Option(help="Text file of item ids, one per line.")] = None,
    out: Annotated[
        str | None, Option("--out", help="Folder to save to; the model's own by default.")
    ] = None,
    search: Annotated[
        list[str] | None,
        Option(help="File or folder, repeatable, to look through for lists that still hold them."),
    ] = None,
    json: Json = False,
) -> None:
    """Remove users and items from a saved model and its checkpoint, and give a receipt.

    Points of others that were trained together with them stay as they are, except means, which are
    taken anew; train anew without them to end that too.
    """
    from trimetric.models import open_model
    from trimetric.models.forgetting import forget_in

    trained = open_model(model)
    users = typed_ids(user or [], trained.user_ids)
    users += listed_ids("--users-file", users_file, trained.user_ids) if users_file else []
    items = typed_ids(item or [], trained.item_ids)
    items += listed_ids("--items-file", items_file, trained.item_ids) if items_file else []
    if not users and not items:
        raise ParameterError("give --user ID or --item ID (repeatable), or a file of ids")
    with suggesting(trained):
        receipt = forget_in(
            model,
            users or None,
            items or None,
            out=out,
            search=[Path(path) for path in search or ()],
        )
    if json:
        emit_json(receipt.to_dict())
        return
    emit(
        f"forgot {len(receipt.users):,} users, {len(receipt.items):,} items and"
        f" {receipt.interactions:,} interactions in {receipt.folder}"
    )
    for path in receipt.removed:
        emit(f"removed {path}")
    for path in receipt.still_held:
        note(f"still holds them: {path}")
    emit(f"left of them: {receipt.owes}")


def unavailable(
    model: Model,
    item: Annotated[
        list[str] | None,
        Option("--item", help="Item id; repeatable, or several with commas between them."),
    ] = None,
    items_file: Annotated[str | None, Option(help="Text file of item ids, one per line.")] = None,
    change: Annotated[
        str, Option(help="To those marked before: replace them, add to them, or remove from them.")
    ] = "replace",
    out: Annotated[
        str | None, Option("--out", help="Folder to save to; the model's own by default.")
    ] = None,
    json: Json = False,
) -> None:
    """Mark items that no list may have, such as those out of stock; a server follows.

    An empty file marks none.
    """
    from trimetric.models import open_model
    from trimetric.models.forgetting import mark_unavailable

    if item is None and items_file is None:
        raise ParameterError("give --item ID (repeatable) or --items-file FILE")
    known = open_model(model).item_ids
    ids = typed_ids(item or [], known)
    ids += listed_ids("--items-file", items_file, known, empty=True) if items_file else []
    marked, unknown = mark_unavailable(model, ids, change, out)
    if json:
        emit_json({"folder": out or model, "unavailable": marked, "unknown": unknown})
        return
    tell_unknown(ids, known, "ids", note)
    emit(f"{marked:,} items are unavailable in {out or model}")
