"""Blocks of recommendations as tasks of Ray, whose workers open the same model in parts."""

import platform
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from trimetric.errors import ArtifactError, ClusterError, ParameterError
from trimetric.models.sharded import ShardedModel
from trimetric.scale.cluster import connect
from trimetric.storage.blocks import Compute

if TYPE_CHECKING:
    import polars as pl


@contextmanager
def blocks_on_ray(
    address: str, model: Any, users: list[Any] | None, answer: Callable, *given: Any
) -> Iterator[Compute]:
    """Connect to Ray, and give what computes blocks there.

    Parameters
    ----------
    address : str
        See `scale.cluster.connect`.
    model : ShardedModel
    users : list of ids, or None
        All users of the model, part after part, unless given.
    answer : callable
        Importable; called with the model, ids of some users and `given`, returns their rows.
    *given
        Can be pickled; sent with each block.

    Raises
    ------
    ParameterError
        The model is not one in parts.
    ClusterError
        The cluster does not answer, or a node does not see the model.
    """
    if not isinstance(model, ShardedModel):
        raise ParameterError(
            "recommending on Ray takes a model that is saved in parts, which each task reads for"
            " itself; save it so with model.save(FOLDER, partitions=P), or leave --ray out"
        )
    with connect(address) as cluster, ExitStack() as begun:
        shared = (answer, given)
        folder = str(model.folder.absolute())

        def blocks(spans: list[tuple[int, int]]) -> "Iterator[pl.DataFrame]":
            tasks = (
                [
                    shared,
                    folder,
                    model.checksum,
                    span,
                    None if users is None else users[slice(*span)],
                ]
                for span in spans
            )
            results = cluster.ordered_map(_block, tasks)
            begun.callback(results.close)
            return results

        yield blocks


def _block(
    shared: tuple[Callable, tuple],
    folder: str,
    checksum: str,
    span: tuple[int, int],
    users: list[Any] | None,
) -> "pl.DataFrame":
    from trimetric.models.sharded_ids import EveryUser

    model = _opened(folder, checksum)
    answer, given = shared
    return answer(model, EveryUser(model)[slice(*span)] if users is None else users, *given)


@lru_cache(maxsize=1)
def _opened(folder: str, checksum: str) -> ShardedModel:
    remedy = "with --ray a model must be on storage that all nodes mount at the same path"
    try:
        model = ShardedModel.open(folder)
    except ArtifactError as error:
        raise ClusterError(f"node {platform.node()} cannot open it: {error}; {remedy}") from None
    if model.checksum != checksum:
        raise ClusterError(
            f"node {platform.node()} sees another model at {folder}, or it was saved again"
            f" meanwhile; {remedy}"
        )
    return model
