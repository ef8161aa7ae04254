"""Training a model in parts whose rows are in files, or on a cluster: what memory cannot hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trimetric import counter, training
from trimetric.data.csr import Csr, weights_in
from trimetric.data.interactions import Interactions
from trimetric.errors import ParameterError, Unsupported
from trimetric.models.callbacks import Observers
from trimetric.models.in_parts import VALIDATION_USERS, InParts
from trimetric.models.sharded_writing import ShardedWriter
from trimetric.scale.catalogue import SAMPLE, Catalogue
from trimetric.scale.division import Division
from trimetric.scale.files import FileStore, read_journal
from trimetric.scale.hashing import hash_values
from trimetric.scale.learner import LocalLearner
from trimetric.scale.parts import Parts
from trimetric.scale.prepared import Prepared
from trimetric.scale.trainer import Trainer
from trimetric.storage import artifact, places, published


def train_in_files(
    model: Any,
    parts: Parts,
    valid: Interactions | None,
    identity: dict[str, Any],
    observers: Observers,
    *,
    out: Path,
    workdir: Path | None,
    ray: str | None,
    resume: bool,
    seconds: float,
    also_seen: Interactions | None,
) -> None:
    """Train a model on parts and save it in parts.

    Parameters
    ----------
    model : EpochTrained
    parts : Parts
    valid : Interactions, optional
        Under its own ids.
    identity : dict
        What a checkpoint must share with this run.
    observers : Observers
    out, workdir : Path
        Where the model goes, and rows until then; `workdir` is inside `out` unless given.
    ray : str, optional
        See `scale.cluster.connect`.
    resume : bool
    seconds : float
        The least time between two checkpoints.
    also_seen : Interactions, optional
        See `seen_beside`.
    """
    artifact.probe(out)  # before any work is done for nothing
    folder = out / "checkpoint" if workdir is None else workdir
    run = InParts(model, parts, Catalogue.of(parts), valid)
    begun = read_journal(folder) if resume else None
    if begun:
        training.same_identity(begun["identity"], training.Checkpoints(folder, identity))
    elif read_journal(folder):
        FileStore.refuse(folder)
    tuned = begun["notes"] if begun else run.find_settings(True, observers.shown)
    trainer = model.trainer_in_parts(run.n_items, parts.n_parts, tuned)
    provenance: dict[str, Any] = {
        "train": {"name": parts.name, "fingerprint": parts.fingerprint, "pairs": len(parts)},
        "valid": None,
        "tuned": tuned,
        "partitions": parts.n_parts,
    }
    if valid is not None:
        provenance["valid"] = {
            "name": valid.name,
            "fingerprint": valid.fingerprint,
            "pairs": len(valid),
        }
    observers.describe(provenance)
    files = FileStore(folder, parts, trainer, identity, tuned, seconds)
    with _learner(parts, trainer, files, ray) as (learner, rows, keeper):
        if begun is None:
            files.begin()
        done = training.train(
            learner,
            model._plan(),
            None if valid is None else run.validation(rows, trainer, tuned),
            keeper=keeper,
            resume=begun is not None,
            progress=observers,
        )
        ended = {"best_epoch": done.best_epoch, "stopped": done.stopped}
        writing = ShardedWriter(
            out, model.name, model.get_params(), provenance | ended, done.history, parts.n_parts
        )
        with training.finishing(), writing as writer:
            writer.items(run.item_tensors(rows, trainer), run.catalogue.ids)
            for part in range(parts.n_parts):
                seen, weights = run.catalogue.seen(parts, part)
                more = seen_beside(parts, run.catalogue, part, also_seen)
                if more is not None:
                    both = seen.union(more)
                    weights = weights_in(both, (seen, weights), (more, None))
                    seen = both
                tensors = trainer.user_tensors(rows.get_users(part))
                held = validated_in(parts, run.catalogue, part, valid)
                writer.users(part, tensors, parts.user_ids(part), seen, weights, held)
            writer.finish()
            files.discard()


@contextmanager
def _learner(
    parts: Parts, trainer: Trainer, files: FileStore, ray: str | None
) -> Iterator[tuple[Any, Any, Any]]:
    """Give what trains, where its rows are, and what keeps them."""
    if ray is None:
        yield LocalLearner(parts, trainer, files), files, files
        return
    from trimetric.scale.cluster import connect
    from trimetric.scale.on_cluster import ClusterLearner

    with connect(ray) as cluster:
        learner = ClusterLearner(cluster, parts, trainer, files)
        yield learner, learner, learner.keeper


def parts_of(train: Any, partitions: int) -> Parts:
    """Return what is to be trained on in parts.

    Raises
    ------
    ParameterError
        Fewer than two parts, or another number than was prepared.
    """
    if isinstance(train, Prepared):
        if partitions not in (1, train.n_parts):
            raise ParameterError(
                f"{train.name} is prepared in {train.n_parts} parts, partitions is {partitions};"
                f" leave partitions out, or prepare the log with --partitions {partitions}"
            )
        parts: Parts = train
    else:
        parts = Division(Interactions.of(train), partitions)
    if parts.n_parts < 2:
        raise ParameterError("training in files or on Ray needs partitions=2 or more")
    return parts


def held_out_sample(prepared: Prepared, most: int) -> Interactions | None:
    """Return what was held out for validation of the users with the smallest hashes.

    At least `most` of them where there are so many; None where nothing was held out.
    """
    share = min(1.0, 3 * (most or VALIDATION_USERS) / max(prepared.n_users, 1))
    while True:
        found = [_sampled(prepared, part, share) for part in range(prepared.n_parts)]
        held = pl.concat([frame for frame in found if frame is not None] or [pl.DataFrame()])
        if share >= 1 or (len(held) and held["user"].n_unique() >= (most or VALIDATION_USERS)):
            break
        share = 1.0
    if len(held) == 0:
        return None
    return Interactions(held.select("user", "item")).changed(name=f"{prepared.name}/valid")


def _sampled(prepared: Prepared, part: int, share: float) -> pl.DataFrame | None:
    held = prepared.held_out("valid", part)
    if held is None or share >= 1:
        return held
    drawn = counter.bits(counter.key(SAMPLE), hash_values(held["user"]))
    return held.filter(pl.Series(drawn < np.uint64(share * 2**64)))


def validated_in(
    parts: Parts, catalogue: Catalogue, part: int, valid: Interactions | None
) -> Csr | None:
    """Return what training was validated on of the users of a part."""
    if valid is None:
        return None
    return Csr.of(valid.align(parts.user_ids(part), catalogue.ids)[0])


def seen_beside(parts: Parts, catalogue: Catalogue, part: int, also_seen: Any) -> Csr | None:
    """Return what the users of a part have seen beside what they are trained on.

    Parameters
    ----------
    parts : Parts
    catalogue : Catalogue
        In whose rows the items are.
    part : int
    also_seen : Interactions, optional
        Of prepared parts their validation pairs unless given.
    """
    ids = parts.user_ids(part)
    if also_seen is not None:
        return Csr.of(also_seen.align(ids, catalogue.ids)[0])
    held = parts.held_out("valid", part) if isinstance(parts, Prepared) else None
    if held is None:
        return None
    users, items = ids.encode(held["user"]), catalogue.ids.encode(held["item"])
    known = (users >= 0) & (items >= 0)
    pairs = np.unique(np.stack([users[known], items[known]]), axis=1)
    indptr = np.zeros(len(ids) + 1, dtype=np.int64)
    np.cumsum(np.bincount(pairs[0], minlength=len(ids)), out=indptr[1:])
    return Csr(indptr, pairs[1].astype(np.int32))


def check_out(out: Any, workdir: Any, ray: Any) -> None:
    """Raise where training in files has no place for the model, or Ray is not installed."""
    if out is None:
        what = "ray" if ray is not None else "workdir" if workdir is not None else "prepared data"
        raise ParameterError(f"training with {what} saves the model in parts; give out, a folder")
    if ray is not None:
        from trimetric.scale.cluster import check_installed

        check_installed()
    if workdir is None:
        return
    if places.in_store(workdir):
        raise ParameterError(
            f"workdir {places.shown(workdir)} is a URI, and rows are read and written there all the"
            " time; give a folder of this machine's fastest disk. Only out may be in a store"
        )
    if places.output(workdir) == published.working(out):
        raise ParameterError("workdir and out must be different folders")


def check_not_used(**given: Any) -> None:
    """Raise Unsupported where something was given that training in files cannot use."""
    for name, value in given.items():
        if value is not None:
            raise Unsupported(f"training in files or on Ray does not take {name} yet")
