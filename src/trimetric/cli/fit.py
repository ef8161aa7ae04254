"""`trimetric fit`: train a model on interactions and save it."""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from trimetric.cli.columns import Columns
from trimetric.cli.core import Core
from trimetric.cli.fit_prepared import fit_prepared, prepared
from trimetric.cli.options import Data, Json, Quiet, Ray
from trimetric.cli.output import emit, emit_json, logger, replaces
from trimetric.cli.reading import counts, print_summary, read, read_held_out
from trimetric.cli.settings import Common
from trimetric.errors import ArtifactError, CheckpointMismatch, DataError, ParameterError
from trimetric.progress import ended_at_best, heartbeat
from trimetric.storage import places, published

if TYPE_CHECKING:
    from trimetric.data import Interactions
    from trimetric.models.recommender import Recommender
    from trimetric.models.starting import Start

VALID_SHARE = 0.1


@dataclass(frozen=True)
class Parts:
    """The data of a run, and a message that describes it.

    `held_out` tells whether `valid` was taken out of DATA here, and so counts as seen.
    """

    train: "Interactions"
    valid: "Interactions | None"
    message: str
    held_out: bool = False


def fit(
    data: Data,
    columns: Columns,
    core: Core,
    common: Common,
    out: Annotated[str, Option("--out", help="Folder to save the model to.")],
    model: Annotated[
        str | None,
        Option(
            "--model",
            help="centroid (default); sml, cml, bpr, mlp, ncf, fml, transcf, lrml; an ablation such"
            " as base+s; popularity, itemknn, ease, ials.",
        ),
    ] = None,
    valid: Annotated[
        str | None,
        Option("--valid", help="Interactions for early stopping; none trains all epochs."),
    ] = None,
    valid_share: Annotated[
        float | None, Option(help="Share of DATA to hold out if there is no --valid; 0.1.")
    ] = None,
    config: Annotated[
        str | None, Option("--config", help="TOML file of settings, model and preset.")
    ] = None,
    preset: Annotated[
        str | None,
        Option(
            "--preset", help="paper or released (cml: authors); --model is then sml by default."
        ),
    ] = None,
    sets: Annotated[
        list[str] | None,
        Option("--set", metavar="NAME=VALUE", help="Any setting, repeatable: docs/settings.md."),
    ] = None,
    resume: Annotated[
        bool, Option("--resume", help="Resume from the checkpoint in the --out folder.")
    ] = False,
    start: Annotated[
        str | None,
        Option(
            "--start",
            metavar="FOLDER",
            help="Begin at the points of this model, so that the spaces can be compared.",
        ),
    ] = None,
    anchor: Annotated[
        float, Option(help="Draw points back to those of --start each epoch, 0..1; 1 holds them.")
    ] = 0.0,
    partitions: Annotated[
        int,
        Option(help="Train in so many parts of the users and of the items: docs/howto/parts.md."),
    ] = 1,
    workdir: Annotated[
        str | None,
        Option(metavar="DIR", help="Keep parts in files of this folder while they are trained."),
    ] = None,
    ray: Ray = None,
    track: Annotated[
        str | None,
        Option("--track", help="Log the run: mlflow, where MLFLOW_TRACKING_URI says."),
    ] = None,
    checkpoint_every: Annotated[float, Option(hidden=True)] = 30.0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train a model on DATA and save it.

    Unless --valid says otherwise, a tenth of DATA is held out for early stopping; it counts as seen
    when the model recommends. If DATA ships a split, its train part is used for training, its valid
    part for early stopping, and its test part not at all. Ctrl-C saves a checkpoint, and --resume
    goes on from it, or from the last checkpoint of a killed run.
    """
    from trimetric.cli.settings import collect
    from trimetric.models import create
    from trimetric.models.closed_form import ClosedForm
    from trimetric.models.epoch_trained import EpochTrained
    from trimetric.models.starting import start_of

    began, log = time.monotonic(), logger(quiet)
    callbacks = []
    if track is not None:
        from trimetric.models.tracking import tracker

        callbacks.append(tracker(track))
    name, settings = collect(model, config, preset, sets or [], common)
    untrained = create(name, **settings)
    epochs, at_once = isinstance(untrained, EpochTrained), isinstance(untrained, ClosedForm)
    if at_once and valid_share is not None:
        raise ParameterError(
            f"{name} is fitted in one go, and needs no validation data: leave out --valid-share"
        )
    if valid is None and valid_share is None and not epochs:
        valid = "none"
    given: dict[str, Any] = {
        "out": out,
        "resume": resume,
        "checkpoint_seconds": checkpoint_every,
        "progress": not quiet,
        "callbacks": callbacks,
        "start": start,
        "anchor": anchor,
        "partitions": partitions,
        "workdir": workdir,
        "ray": ray,
    }
    if (divided := prepared(data)) is not None:
        reading = columns, core
        fit_prepared(untrained, divided, valid, valid_share, reading, given, json=json, quiet=quiet)
        return
    whole = read(data, columns, quiet)
    print_summary(whole, log)
    whole = core.of(whole, log)
    parts = _parts(whole, valid, valid_share, columns, at_once)
    log(parts.message)
    finished = None
    if resume:
        begin = start_of(untrained, start, anchor)
        finished = _finished(untrained, parts, partitions, begin, out)
    if resume and finished is None:
        _check_resumable(untrained, out)
    if finished:
        log(f"{out} holds this model, finished; nothing to resume")
    replaced = finished is None and replaces(out, log, holding="model.json")
    with heartbeat(f"training {name}", not quiet, bar=epochs):
        trained = finished or untrained.fit(
            parts.train,
            parts.valid,
            also_seen=parts.valid if parts.held_out else None,
            **given,
        )
    seconds = time.monotonic() - began
    if json:
        emit_json(
            {
                "out": out,
                **_document(trained, whole, parts),
                "already_finished": finished is not None,
                "replaced": replaced,
                "seconds": round(seconds, 2),
            }
        )
    elif not quiet:
        emit(_outcome(trained, out, seconds))


def _document(trained: "Recommender", whole: "Interactions", parts: Parts) -> dict[str, Any]:
    in_epochs = _in_epochs(trained)
    return {
        "model": trained.name,
        "settings": trained.get_params(),
        "data": counts(whole),
        "train": counts(parts.train),
        "valid": counts(parts.valid) if parts.valid else None,
        "best_epoch": trained.provenance["best_epoch"] if in_epochs else None,
        "stopped": trained.provenance["stopped"] if in_epochs else None,
        "history": trained.history,
    }


def _parts(
    data: "Interactions", valid: str | None, share: float | None, columns: Columns, at_once: bool
) -> Parts:
    from trimetric.data.splits import shipped_part

    if valid is not None and share is not None:
        raise ParameterError("give --valid or --valid-share, not both")
    train = shipped_part(data, "train")
    if train is None:
        raise DataError(
            f"{data.name}: its split has no train part, so there is nothing to train on"
        )
    message = "training on all of it"
    if data.labels is not None:
        message = f"training on the {len(train):,} interactions of the train part it ships"
    if valid == "none":
        return Parts(train, None, message)
    if valid is not None:
        _refuse_share(valid)
        held = read_held_out(valid, columns, "valid")
        use = "early stopping on" if not at_once else "nothing is decided by"
        return Parts(train, held, f"{message}; {use} {held.name} ({len(held):,} interactions)")
    shipped = shipped_part(data, "valid") if share is None else None
    if shipped is not None:
        return Parts(
            train, shipped, f"{message}; early stopping on its valid part ({len(shipped):,})"
        )
    return _hold_out(train, VALID_SHARE if share is None else share, message)


def _refuse_share(valid: str) -> None:
    """Raise ParameterError for a number, which is meant as a share, where no file is called so."""
    share = 0.0
    with suppress(ValueError):
        share = float(valid)
    if 0 < share < 1 and not Path(valid).exists():
        raise ParameterError(
            f"--valid takes a file, or none; --valid-share {valid} holds out a share"
        )


def _hold_out(data: "Interactions", share: float, message: str) -> Parts:
    """Hold out random pairs; each user and item keeps at least one to learn from."""
    from trimetric.data.splits import hold_out

    try:
        split = hold_out(data, share)
    except ParameterError:
        raise ParameterError(
            f"--valid-share must be above 0 and below 1, got {share};"
            " --valid none holds out nothing"
        ) from None
    if split is None:
        return Parts(data, None, f"{message}: too little to hold out a part")
    message = (
        f"{message} but {len(split.test):,} interactions, held out for early stopping"
        " (--valid none holds out nothing)"
    )
    return Parts(split.train, split.test, message, held_out=True)


def _finished(
    model: "Recommender", parts: Parts, partitions: int, begin: "Start | None", out: str
) -> "Recommender | None":
    """Return the model in `out` if this run would give the same and no checkpoint is newer."""
    from trimetric.models import load

    folder = published.working(out)
    if (folder / "checkpoint" / "model.json").exists():
        return None
    try:
        saved = load(folder if (folder / "model.json").exists() else out)
    except ArtifactError:
        return None
    train, valid = parts.train, None
    if parts.valid is not None:
        valid = parts.valid.align(train.user_ids, train.item_ids)[0].fingerprint
    trained_on = saved.provenance
    same = (
        (saved.name, saved.get_params()) == (model.name, model.get_params())
        and trained_on["train"]["fingerprint"] == train.fingerprint
        and (trained_on.get("valid") or {}).get("fingerprint") == valid
        and trained_on.get("partitions", 1) == partitions
        and _begun(trained_on) == ({} if begin is None else begin.identity())
        and not trained_on.get("updates")
    )
    if same:
        published.finish(out)
    return saved if same else None


def _begun(provenance: dict[str, Any]) -> dict[str, Any]:
    """Return the identity of where training began; empty where it began anew."""
    start = provenance.get("start")
    return {"start": start.get("fingerprint"), "anchor": start["anchor"]} if start else {}


def _check_resumable(model: "Recommender", out: str) -> None:
    """Refuse to resume where a finished model of something else stands, and no checkpoint."""
    folder = published.working(out)
    begun = (folder / "checkpoint" / "model.json").exists()
    if begun or not (places.in_store(out) or (folder / "model.json").exists()):
        return
    from trimetric.models import load

    try:
        saved = load(out)
    except ArtifactError:
        if places.in_store(out):
            return  # nothing stands there
        raise
    params, wanted = saved.get_params(), model.get_params()
    differing = [
        f"{name} was {params.get(name)!r}, is {value!r}"
        for name, value in wanted.items()
        if params.get(name) != value
    ]
    if saved.name != model.name:
        differing = [f"its model is {saved.name}, not {model.name}"]
    raise CheckpointMismatch(
        f"{out} holds a finished model of another run: "
        + (
            "; ".join(differing)
            or "it was trained or validated on other data, or began at other points"
        )
        + "; there is nothing to resume. Train without --resume, or into another folder"
    )


def _outcome(model: "Recommender", out: str, seconds: float) -> str:
    history, metric = model.history, model.get_params().get("metric", "")
    duration = f"after {len(history)} epochs, " if _in_epochs(model) else "in "
    text = f"saved {model!r} to {out} {duration}{seconds:.1f} s"
    best: Any = model.provenance["best_epoch"]
    if best:
        value = next(row[metric] for row in history if row["epoch"] == best)
        text += f"\nkept the weights of epoch {best}, the best by validation ({metric} {value:.4f})"
    if best and ended_at_best(len(history), best, model.get_params()["epochs"]):
        text += (
            f"\nthat is the last epoch: more may be better; train again with --epochs {2 * best}"
        )
    if "start" in model.provenance:
        text += f"\n{_told_of_start(model.provenance['start'])}"
    return text


def _in_epochs(model: "Recommender") -> bool:
    from trimetric.models.epoch_trained import EpochTrained

    return isinstance(model, EpochTrained)


def _told_of_start(start: dict[str, Any]) -> str:
    moved = start["moved"]
    return (
        f"{start['users']:,} users and {start['items']:,} items began where they were; they have"
        f" moved by {moved['users']:.1%} and {moved['items']:.1%} of the distance between a user"
        " and an item (medians)"
    )
