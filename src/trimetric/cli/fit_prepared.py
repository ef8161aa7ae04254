"""`trimetric fit` on what `trimetric data prepare` wrote: training in files, or on Ray."""

import time
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from trimetric.cli.columns import Columns
from trimetric.cli.core import Core
from trimetric.cli.output import emit, emit_json, logger, replaces
from trimetric.cli.reading import counts, read_held_out
from trimetric.errors import ArtifactError, CheckpointMismatch, ParameterError
from trimetric.progress import heartbeat
from trimetric.storage import published

if TYPE_CHECKING:
    from trimetric.models.recommender import Recommender
    from trimetric.models.sharded import ShardedModel
    from trimetric.scale.prepared import Prepared


def prepared(data: str) -> "Prepared | None":
    """Return what a folder of `data prepare` holds; None if it is no such folder."""
    from trimetric.scale.prepared import Prepared, is_prepared

    return Prepared(data) if is_prepared(data) else None


def fit_prepared(
    untrained: "Recommender",
    data: "Prepared",
    valid: str | None,
    valid_share: float | None,
    reading: tuple[Columns, Core],
    given: dict[str, Any],
    *,
    quiet: bool,
    json: bool,
) -> None:
    """Train a model on prepared data, and tell what was made."""
    began, log, out = time.monotonic(), logger(quiet), given["out"]
    refuse_given(reading, data)
    if valid_share is not None:
        raise ParameterError(
            f"{data.name} is prepared: hold a share out with `trimetric data prepare --valid`, or"
            " give --valid a file"
        )
    log(
        f"{data.name}: {data.n_users:,} users, {data.n_items:,} items, {len(data):,} interactions,"
        f" in {data.n_parts} parts"
    )
    held: Any = False if valid == "none" else None
    if valid not in (None, "none"):
        held = read_held_out(str(valid), Columns(), "valid")
    finished = _finished(untrained, data, held, out) if given["resume"] else None
    if finished is not None:
        log(f"{out} holds this model, finished; nothing to resume")
    replaced = finished is None and replaces(out, log, holding="model.json")
    if finished is None:
        with heartbeat(f"training {untrained.name}", not quiet, bar=True):
            untrained.fit(data, held, **given)
    from trimetric.models.sharded import ShardedModel

    made, seconds = ShardedModel.open(out), time.monotonic() - began
    if json:
        emit_json(
            {
                "out": out,
                "model": made.name,
                "settings": made.get_params(),
                "data": data.summary(),
                "valid": counts(held) if held else None,
                "best_epoch": made.provenance["best_epoch"],
                "stopped": made.provenance["stopped"],
                "history": made.history,
                "already_finished": finished is not None,
                "replaced": replaced,
                "seconds": round(seconds, 2),
            }
        )
    elif not quiet:
        emit(f"saved {made!r} to {out} after {len(made.history)} epochs, {seconds:.1f} s")


def refuse_given(reading: tuple[Columns, Core], data: "Prepared") -> None:
    """Raise ParameterError where options say how to read what was read already."""
    for options in reading:
        usual = type(options)()
        for item in fields(options):
            if getattr(options, item.name) != getattr(usual, item.name):
                name = item.name.replace("_", "-")
                raise ParameterError(
                    f"{data.name} is prepared and was read already: give --{name} to `trimetric"
                    " data prepare`"
                )


def _finished(model: "Recommender", data: "Prepared", held: Any, out: str) -> "ShardedModel | None":
    """Return the model in `out` if this run would give the same, and none was begun since."""
    from trimetric.models.in_files import held_out_sample
    from trimetric.models.sharded import ShardedModel

    folder = published.working(out)
    if (folder / "checkpoint" / "run.json").exists():
        return None
    try:
        saved = ShardedModel.open(folder if (folder / "model.json").exists() else out)
    except ArtifactError:
        return None
    if held is None:
        held = held_out_sample(data, model.config.validate_users)
    trained_on = saved.provenance
    same = (saved.name, saved.get_params()) == (model.name, model.get_params())
    same = same and trained_on["train"]["fingerprint"] == data.fingerprint
    valid = (trained_on.get("valid") or {}).get("fingerprint")
    if same and valid == (held.fingerprint if held else None):
        published.finish(out)
        return saved
    raise CheckpointMismatch(
        f"{out} holds a finished model of another run; there is nothing to resume. Train without"
        " --resume, or into another folder"
    )
