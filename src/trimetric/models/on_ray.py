"""A model at work on Ray: blocks of users to recommend to, and parts of users to measure.

A model in parts is opened by the workers, from storage that they share. An ordinary model is in
memory, and sent to each machine once.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from trimetric.errors import ArtifactError, ClusterError
from trimetric.models.sharded import ShardedModel
from trimetric.models.sharded_ids import everybody
from trimetric.scale.cluster import connect
from trimetric.storage.blocks import Compute

if TYPE_CHECKING:
    import polars as pl

_kept: dict[str, Any] = {}  # the ordinary model of a worker, with the indexes that it has made


@contextmanager
def blocks_on_ray(
    address: str, model: Any, users: list[Any] | None, answer: Callable, *given: Any
) -> Iterator[Compute]:
    """Connect to Ray, and give what computes blocks there.

    Parameters
    ----------
    address : str
        See `scale.cluster.connect`.
    model : Recommender or ShardedModel
    users : list of ids, or None
        All users of the model, part after part, unless given.
    answer : callable
        Importable; called with the model, ids of some users and `given`, returns their rows.
    *given
        Can be pickled; sent to each machine once.

    Raises
    ------
    ClusterError
        The cluster does not answer, or a node does not see the model.
    """
    with connect(address) as cluster:
        if isinstance(model, ShardedModel):
            name, sent = _name(model), None
        else:
            name, sent = ("", token_hex(8)), cluster.share(model)
        shared = cluster.share((answer, given))

        def blocks(spans: list[tuple[int, int]]) -> "Iterator[pl.DataFrame]":
            tasks = (
                [shared, name, sent, span, None if users is None else users[slice(*span)]]
                for span in spans
            )
            return cluster.ordered_map(_block, tasks)

        yield blocks


@contextmanager
def parts_on_ray(address: str, model: ShardedModel) -> Iterator[Callable[..., Iterator[Any]]]:
    """Connect to Ray, and give what calls functions with parts there.

    See `ShardedModel.over_parts`.
    """
    with connect(address) as cluster:
        name = _name(model)

        def run(function: Callable, tasks: Iterable[Sequence[Any]], *shared: Any) -> Iterator[Any]:
            sent = [cluster.share(value) for value in shared]
            several = ([name, function, part, *sent, *given] for part, *given in tasks)
            return cluster.ordered_map(_of_part, several)

        yield run


def _name(model: ShardedModel) -> tuple[str, str]:
    return str(model.folder.absolute()), model.checksum


def _block(
    shared: tuple[Callable, tuple],
    name: tuple[str, str],
    sent: Any,
    span: tuple[int, int],
    users: list[Any] | None,
) -> "pl.DataFrame":
    if sent is None:
        model = opened(*name)
    else:
        _, token = name
        if token not in _kept:
            _kept.clear()
            _kept[token] = sent
        model = _kept[token]
    answer, given = shared
    return answer(model, everybody(model)[slice(*span)] if users is None else users, *given)


def _of_part(name: tuple[str, str], function: Callable, part: int, *given: Any) -> Any:
    return function(opened(*name).part(part), *given)


@lru_cache(maxsize=1)
def opened(folder: str, checksum: str) -> ShardedModel:
    """Open a model in parts on a worker.

    Raises
    ------
    ClusterError
        It is not there, or another one is.
    """
    remedy = "with --ray a model in parts must be on storage that all nodes mount at the same path"
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
