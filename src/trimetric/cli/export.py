"""`trimetric export`: the space of a model as files for other servers."""

from typing import Annotated

from typer import Option

from trimetric.cli.options import Json, Model
from trimetric.cli.output import emit, emit_json


def export(
    model: Model,
    to: Annotated[str, Option("--to", help="npy, parquet, faiss, pgvector or qdrant.")],
    out: Annotated[str, Option("--out", help="A folder; an earlier export there is replaced.")],
    approximate: Annotated[
        bool, Option("--approximate", help="With --to faiss: an index that looks into cells.")
    ] = False,
    json: Json = False,
) -> None:
    """Write the space for a server that needs no trimetric.

    Plain L2 order, the nearest first, is the recommendation order; README.md in the folder says it
    with an example. What each user was trained on is written beside, so that it can be left out.
    """
    from trimetric.models import load

    about = load(model).export(to, out, approximate=approximate)
    if json:
        emit_json({"folder": model, "out": out, **about})
        return
    size = sum(file["bytes"] for file in about["files"].values())
    emit(
        f"wrote {about['items']:,} items and {about['users']:,} users to {out}"
        f" ({', '.join(about['files'])}; {size / 1e6:.1f} MB)"
    )
