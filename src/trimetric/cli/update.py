"""`trimetric update`: train a saved model further, on new interactions."""

import time
from typing import TYPE_CHECKING, Annotated

from typer import Option

from trimetric.cli.columns import Columns
from trimetric.cli.options import Json, Model, Quiet
from trimetric.cli.output import emit, emit_json, logger, replaces
from trimetric.cli.reading import counts, print_summary, read
from trimetric.errors import DataError
from trimetric.progress import heartbeat

if TYPE_CHECKING:
    from trimetric.models.recommender import Recommender


def update(
    model: Model,
    columns: Columns,
    new: Annotated[
        str, Option("--with", metavar="DATA", help="File of new interactions, read like DATA.")
    ],
    out: Annotated[str, Option("--out", help="Folder to save to; may be the model's own.")],
    epochs: Annotated[
        int | None,
        Option(
            help="Epochs; 0 only places new users and items. 10 by default, 5 for centroid.",
            show_default=False,
        ),
    ] = None,
    lr: Annotated[
        float | None,
        Option(help="First learning rate; a quarter of the model's by default."),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Add new interactions to a trained centroid, sml or cml. Their users and items may be new.

    Far cheaper than training anew; known users and items move a little. Interactions that the
    model already has are left out.
    """
    from trimetric.storage import published
    from trimetric.storage.atomic import reserved

    with reserved(published.working(out), "writing"):
        _update(model, columns, new, out, epochs, lr, quiet, json)


def _update(
    model: str,
    columns: Columns,
    new: str,
    out: str,
    epochs: int | None,
    lr: float | None,
    quiet: bool,
    json: bool,
) -> None:
    from trimetric.data.splits import shipped_part
    from trimetric.models import load
    from trimetric.models.sharded_index import partitions_in
    from trimetric.storage import artifact, published

    began = time.monotonic()
    trained, partitions = load(model), partitions_in(model)
    whole = read(new, columns, quiet)
    print_summary(whole, logger(quiet))
    data = shipped_part(whole, "train")
    if data is None:
        raise DataError(
            f"{whole.name}: its split has no train part, so there is nothing to train on"
        )
    artifact.probe(published.working(out))  # before any work is done for nothing
    before = _sizes(trained)
    replaced = replaces(out, logger(quiet), holding="model.json")
    given = {} if epochs is None else {"epochs": epochs}
    with heartbeat("updating", not quiet, bar=True):
        trained.partial_fit(data, **given, lr=lr, progress=not quiet)
    trained.save(out, partitions=partitions)
    users, items, pairs = (b - a for a, b in zip(before, _sizes(trained), strict=True))
    seconds = time.monotonic() - began
    if json:
        emit_json(
            {
                "out": out,
                "model": trained.name,
                "data": counts(data),
                "new": {"users": users, "items": items, "pairs": pairs},
                "replaced": replaced,
                "seconds": round(seconds, 2),
            }
        )
    elif not quiet:
        emit(
            f"saved {trained!r} to {out} in {seconds:.1f} s: {users:,} users, {items:,} items and"
            f" {pairs:,} interactions are new"
        )


def _sizes(model: "Recommender") -> tuple[int, int, int]:
    return len(model.user_ids), len(model.item_ids), len(model.seen.items)
