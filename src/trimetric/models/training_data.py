"""The data that models are trained on: in whose rows, what is noted of it, what counts as seen."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np

from trimetric.data.csr import Csr, weights_in
from trimetric.data.interactions import Interactions
from trimetric.data.splits import Split
from trimetric.errors import DataError, ParameterError, Unsupported, warn
from trimetric.progress import tell
from trimetric.space.known import Known


def parts_given(train: Any, valid: Any, progress: bool | None) -> tuple[Interactions, Any]:
    """Return what `fit` was given to train and to validate on; of a split its parts.

    What columns of a table were taken for is told on standard error, but with `progress=False`.

    Raises
    ------
    ParameterError
        A split, and validation data beside it.
    """
    if isinstance(train, Split):
        if valid is not None:
            raise ParameterError(
                "fit got a split and validation data; give the split alone, or split.train and the"
                " other validation data"
            )
        return train.train, train.valid
    data = Interactions.of(train)
    if data is not train and data.report.notes and progress is not False:
        tell(f"{data.name}: {', '.join(data.report.notes)}")
    return data, valid


def aligned(valid: Any, data: Interactions) -> Interactions | None:
    """Return validation data in the rows of the training data.

    Raises
    ------
    DataError
        They have no user and item in common.
    """
    if valid is None:
        return None
    known_part, report = Interactions.of(valid).align(data.user_ids, data.item_ids)
    if len(known_part) == 0:
        raise DataError(
            f"no validation interaction has a user and an item of the training data"
            f" ({report.unknown_users} users and {report.unknown_items} items are unknown);"
            " give validation data of the same users and items"
        )
    return known_part


def known_of(data: Interactions, valid: Interactions | None) -> Known:
    """Return what a model trained on `data` knows; `valid` is in the rows of `data`."""
    validated = None if valid is None else Csr.of(valid)
    return Known(data.user_ids, data.item_ids, Csr.of(data), data.weights, validated=validated)


def describe(train: Interactions, valid: Interactions | None) -> dict[str, Any]:
    """Describe what a model was trained and validated on, as JSON values."""
    return {"train": _described(train), "valid": None if valid is None else _described(valid)}


def _described(part: Interactions) -> dict[str, Any]:
    return {"name": part.name, "fingerprint": part.fingerprint, "pairs": len(part)}


def merged_seen(known: Known, interactions: Any) -> Known:
    """Return what is known with more interactions seen; unknown users and items are ignored."""
    more = Interactions.of(interactions).align(known.user_ids, known.item_ids)[0]
    seen = known.seen.union(Csr.of(more))
    weights = weights_in(seen, (known.seen, known.weights), (Csr.of(more), more.weights))
    return replace(known, seen=seen, weights=weights)


def check_weights(model: Any, weighted: bool) -> None:
    """Raise Unsupported where interactions have weights and the model cannot use them."""
    if weighted and not model.takes_weights:
        raise Unsupported(
            f"{model.name} cannot use weights of interactions; centroid, sml, cml, bpr, ease,"
            " itemknn, ials and popularity can. Leave the weights out to let every interaction"
            " count 1"
        )


def mean_weight(data: Interactions) -> float:
    """Return the mean weight of the interactions; 1 without weights."""
    return 1.0 if data.weights is None else float(data.weights.mean(dtype=np.float64))


def pool_of(pool: Any, data: Interactions) -> Csr | None:
    """Return a pool of negatives in the rows of the training data.

    Raises
    ------
    ParameterError
        It has another number of users.
    """
    if pool is None:
        return None
    if not isinstance(pool, Csr):
        pool = Csr.of(Interactions.of(pool).align(data.user_ids, data.item_ids)[0])
    if pool.n_users != data.n_users:
        raise ParameterError(
            f"the pool has {pool.n_users:,} users, the training data {data.n_users:,};"
            " give it in the rows of the training data"
        )
    return pool


NOT_IN_PARTS = (
    "cannot be trained in parts; centroid, sml, cml and the ablations can. Leave partitions out"
)


def check_partitions(name: str, partitions: Any, pool: Csr | None, start: Any) -> None:
    """Raise where there is no such number of parts, or a pool or start that they do not go with."""
    whole = isinstance(partitions, int | np.integer) and not isinstance(partitions, bool)
    if not whole or partitions < 1:
        raise ParameterError(f"partitions must be a whole number from 1 on, got {partitions!r}")
    if partitions > 1 and pool is not None:
        raise Unsupported(f"{name} cannot be trained in parts with a pool of negatives")
    if partitions > 1 and start is not None:
        raise Unsupported(f"{name} cannot be trained in parts from the points of another model yet")


def check_negatives(data: Interactions, pool: Csr | None) -> None:
    """Raise DataError where there is nothing to contrast; warn of users without negatives."""
    if len(data) == 0:
        raise DataError("the training data has no interactions; nothing can be learned")
    counts = np.diff(data.indptr)
    if pool is not None:
        negatives = pool.keep(~Csr.of(data).contains(pool)).counts
        if not negatives[counts > 0].any():
            raise DataError("the pool leaves no user a negative item; give a larger pool")
        return
    full = counts >= data.n_items
    if full[counts > 0].all():
        raise DataError(
            f"every user of the training data has all {data.n_items} items, so that no negative"
            " item exists; metric learning needs items that a user has not interacted with"
        )
    if full.any():
        first = data.user_ids.decode(np.flatnonzero(full)[:1])[0]
        warn(
            f"{int(full.sum())} of the users have every item and are skipped in training;"
            f" the first is {first!r}"
        )


def digest(pool: Csr) -> str:
    """Return the SHA-256 of a pool."""
    hashed = sha256(pool.indptr.astype("<i8").tobytes())
    hashed.update(pool.items.astype("<i4").tobytes())
    return hashed.hexdigest()
