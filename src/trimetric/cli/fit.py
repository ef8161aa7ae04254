"""`trimetric fit`: train a model on interactions and save it."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from trimetric.cli.options import Columns, Data, Json, Quiet
from trimetric.cli.output import emit, emit_json, note
from trimetric.cli.reading import describe, held_out, read, shipped, tell
from trimetric.errors import ArtifactError, DataError, ParameterError

if TYPE_CHECKING:
    from trimetric.data import Interactions
    from trimetric.models.recommender import Recommender

VALID_SHARE = 0.1


@dataclass(frozen=True)
class Parts:
    """What to train on, what to stop on, and what to say of it."""

    train: "Interactions"
    valid: "Interactions | None"
    said: str
    own: bool = False  # whether `valid` was taken out of the training data by us


def fit(
    data: Data,
    columns: Columns,
    out: Annotated[str, Option("--out", help="The folder to save the model to.")],
    model: Annotated[
        str | None,
        Option(
            "--model",
            help="sml, cml, bpr, mlp, ncf, fml, transcf, lrml; an ablation such as base+s;"
            " popularity, itemknn, ease, ials.",
        ),
    ] = None,
    valid: Annotated[
        str | None,
        Option("--valid", help="Interactions to stop on; none trains all epochs on all data."),
    ] = None,
    valid_share: Annotated[
        float | None, Option(help="Without --valid: the share of DATA to hold out, .1.")
    ] = None,
    config: Annotated[
        str | None, Option("--config", help="A TOML file of settings, model and preset.")
    ] = None,
    preset: Annotated[str | None, Option("--preset", help="paper or released.")] = None,
    sets: Annotated[
        list[str] | None,
        Option("--set", metavar="NAME=VALUE", help="A setting: epochs, dim, lr, seed, ..."),
    ] = None,
    resume: Annotated[
        bool, Option("--resume", help="Go on from the checkpoint in the --out folder.")
    ] = False,
    checkpoint_every: Annotated[float, Option(hidden=True)] = 30.0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train a model on DATA and save it.

    Unless --valid says otherwise, a tenth of DATA is held out to decide when to stop; it counts as
    seen when the model recommends. If DATA ships a split, its train part is trained on, its valid
    part decides when to stop, and its test part is left alone. Ctrl-C saves a checkpoint, and
    --resume goes on from it, or from where a killed run last saved one.
    """
    from trimetric.cli.settings import collect
    from trimetric.models import create
    from trimetric.models.epoch_trained import Trained

    began = time.monotonic()
    say = (lambda text: None) if quiet else note
    name, settings = collect(model, config, preset, sets or [])
    untrained = create(name, **settings)
    whole = read(data, columns)
    tell(whole, say)
    if valid is None and valid_share is None and not isinstance(untrained, Trained):
        valid = "none"  # trained in one go, it has nothing to stop
    parts = _parts(whole, valid, valid_share, columns)
    say(parts.said)
    done = _finished(untrained, parts, Path(out)) if resume else None
    if done:
        say(f"{out} holds this model, finished; nothing to resume")
    trained = done or _trained(untrained, parts, Path(out), resume, checkpoint_every, quiet)
    if parts.own:
        _mark_seen(trained, parts, out)
    if json:
        emit_json(
            {
                "out": out,
                "model": trained.name,
                "settings": trained.get_params(),
                "data": describe(whole),
                "train": describe(parts.train),
                "valid": describe(parts.valid) if parts.valid else None,
                "already_finished": done is not None,
                "best_epoch": trained._data["best_epoch"],
                "stopped": trained._data["stopped"],
                "history": trained.history,
                "seconds": round(time.monotonic() - began, 2),
            }
        )
    elif not quiet:
        emit(_outcome(trained, out, time.monotonic() - began))


def _parts(data: "Interactions", valid: str | None, share: float | None, columns: Columns) -> Parts:
    if valid is not None and share is not None:
        raise ParameterError("give --valid or --valid-share, not both")
    train = shipped(data, "train")
    if train is None:
        raise DataError(f"{data.name}: its split has no train part; nothing can be learned")
    words = "training on all of it"
    if data.labels is not None:
        words = f"training on the {len(train):,} interactions of the train part that it ships"
    if valid == "none":
        return Parts(train, None, words)
    if valid is not None:
        stop = held_out(valid, columns, "valid")
        return Parts(train, stop, f"{words}; stopping on {stop.name} ({len(stop):,} interactions)")
    stop_shipped = shipped(data, "valid") if data.labels is not None else None
    if stop_shipped is not None and share is None:
        said = f"{words}; stopping on its valid part ({len(stop_shipped):,})"
        return Parts(train, stop_shipped, said)
    return _hold_out(train, VALID_SHARE if share is None else share, words)


def _hold_out(data: "Interactions", share: float, words: str) -> Parts:
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
        return Parts(data, None, f"{words}: too little to hold a part out")
    said = (
        f"{words} but {len(split.test):,} interactions held out to decide when to stop"
        " (--valid none holds out nothing)"
    )
    return Parts(split.train, split.test, said, own=True)


def _trained(
    model: "Recommender",
    parts: Parts,
    out: Path,
    resume: bool,
    checkpoint_every: float,
    quiet: bool,
) -> "Recommender":
    return model.fit(
        parts.train,
        parts.valid,
        out=out,
        resume=resume,
        checkpoint_seconds=checkpoint_every,
        progress=not quiet,
    )


def _finished(model: "Recommender", parts: Parts, out: Path) -> "Recommender | None":
    """Return the model in `out` if it is what this run would give and no checkpoint is newer."""
    from trimetric.models import load

    if not (out / "model.json").exists() or (out / "checkpoint" / "model.json").exists():
        return None
    try:
        there = load(out)
    except ArtifactError:
        return None
    train, valid = parts.train, None
    if parts.valid is not None:
        valid = parts.valid.align(train.user_ids, train.item_ids)[0].fingerprint
    same = (
        (there.name, there.get_params()) == (model.name, model.get_params())
        and there._data["train"]["fingerprint"] == train.fingerprint
        and (there._data.get("valid") or {}).get("fingerprint") == valid
        and not there._data.get("updates")
    )
    return there if same else None


def _mark_seen(model: "Recommender", parts: Parts, out: str) -> None:
    """Let what we held out count as seen; a run killed before this does it when resumed."""
    from trimetric.data.csr import Csr

    assert parts.valid is not None
    seen = model.seen.union(Csr.of(parts.valid))
    if len(seen.items) > len(model.seen.items):
        model.seen = seen
        model.save(out)


def _outcome(model: "Recommender", out: str, seconds: float) -> str:
    history, metric = model.history, model.get_params().get("metric", "")
    count = f"after {len(history)} epochs, " if metric else "in "
    text = f"saved {model!r} to {out} {count}{seconds:.1f} s"
    best: Any = model._data["best_epoch"]
    if best:
        value = next(row[metric] for row in history if row["epoch"] == best)
        text += f"\nkept the weights of epoch {best}, the best by validation ({metric} {value:.4f})"
    return text
