"""`trimetric update`: bring a new day's interactions into a saved model."""

import time
from typing import Annotated

from typer import Option

from trimetric.cli.options import Columns, Json, Model, Quiet
from trimetric.cli.output import emit, emit_json, note
from trimetric.cli.reading import describe, read, shipped, tell
from trimetric.errors import DataError


def update(
    model: Model,
    columns: Columns,
    new: Annotated[
        str, Option("--with", metavar="DATA", help="A file of new interactions, read as DATA is.")
    ],
    out: Annotated[str, Option("--out", help="The folder to save to; it may be the model's own.")],
    epochs: Annotated[
        int, Option(help="0 places newcomers among the others and moves nothing else.")
    ] = 10,
    lr: Annotated[
        float | None,
        Option(help="Learning rate to begin with; a quarter of the model's by default."),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Let new users, items and interactions join a trained sml or cml; others give way a little.

    Far cheaper than training anew. Interactions that the model has already are left out.
    """
    from trimetric.models import load

    began = time.monotonic()
    trained, say = load(model), (lambda text: None) if quiet else note
    whole = read(new, columns)
    tell(whole, say)
    data = shipped(whole, "train")
    if data is None:
        raise DataError(f"{whole.name}: its split has no train part; nothing can be learned")
    had = len(trained.user_ids), len(trained.item_ids), len(trained.seen.items)
    trained.partial_fit(data, epochs=epochs, lr=lr, progress=not quiet)
    trained.save(out)
    has = len(trained.user_ids), len(trained.item_ids), len(trained.seen.items)
    users, items, pairs = (after - before for before, after in zip(had, has, strict=True))
    seconds = time.monotonic() - began
    if json:
        emit_json(
            {
                "out": out,
                "model": trained.name,
                "data": describe(data),
                "new": {"users": users, "items": items, "pairs": pairs},
                "seconds": round(seconds, 2),
            }
        )
    elif not quiet:
        emit(
            f"saved {trained!r} to {out} in {seconds:.1f} s: {users:,} users, {items:,} items and"
            f" {pairs:,} interactions are new"
        )
