"""`trimetric export`: the space of a model as files for vector stores."""

from typing import Annotated

from typer import Option

from trimetric.cli.options import Json, Model
from trimetric.cli.output import emit, emit_json, note, replaces


def export(
    model: Model,
    to: Annotated[str, Option("--to", help="npy, parquet, faiss, pgvector or qdrant.")],
    out: Annotated[str, Option("--out", help="Folder; an earlier export there is replaced.")],
    approximate: Annotated[
        bool, Option("--approximate", help="With --to faiss: an IVF index.")
    ] = False,
    json: Json = False,
) -> None:
    """Write the space of a model for a vector store. The store then needs no trimetric.

    The recommendation order is plain L2 order, the nearest first; README.md in the folder has an
    example. The items that each user was trained on are written too, so that they can be excluded.
    """
    from trimetric.models import open_model

    trained = open_model(model)
    replaced = replaces(out, note, holding="manifest.json")
    about = trained.export(to, out, approximate=approximate)
    if about["unavailable"]:
        note(
            f"{len(about['unavailable']):,} items that are marked as unavailable are in it;"
            " manifest.json names them, to be left out of answers"
        )
    if json:
        emit_json({"folder": model, "out": out, "replaced": replaced, **about})
        return
    size = sum(file["bytes"] for file in about["files"].values())
    emit(
        f"wrote {about['items']:,} items and {about['users']:,} users to {out}"
        f" ({', '.join(about['files'])}; {size / 1e6:.1f} MB)"
    )
