"""Recommendations for many users, written to a file by runs that can be killed and resumed."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimetric._version import __version__
from trimetric.errors import ParameterError
from trimetric.frames import in_polars
from trimetric.models.answers import Options, check_unknown_users
from trimetric.models.sharded_ids import everybody
from trimetric.progress import counting
from trimetric.space.diversity import Rerank
from trimetric.space.given import by_key, ids_of
from trimetric.space.lists import check_k
from trimetric.storage import places
from trimetric.storage.blocks import Batch, Compute, write_batch

if TYPE_CHECKING:
    import polars as pl

    from trimetric.models.recommender import Recommender

ROWS_PER_BLOCK = 250_000
PAIRS_PER_BLOCK = 2_000_000_000  # users x items: some seconds of exact search, lost by a kill


def recommend_to_file(
    model: "Recommender",
    out: str | Path,
    users: Iterable[Any] | None = None,
    k: int = 10,
    *,
    exclude_seen: bool = True,
    allow: Any = None,
    deny: Any = None,
    on_unknown: str = "error",
    approximate: bool = False,
    diversity: float = 0.0,
    rerank: Rerank = "mmr",
    checksum: str | None = None,
    progress: bool | None = None,
    ray: str | None = None,
    then: "Callable[[pl.DataFrame], pl.DataFrame] | None" = None,
) -> int:
    """Write recommendations to a .parquet, .csv or .jsonl file, in bounded memory.

    Users are answered in blocks, which are kept in a hidden folder beside the file until all are
    done. A run that was interrupted or killed goes on where it was if it is started again with the
    same model, users and options, and ends in the same bytes.

    Parameters
    ----------
    model : Recommender or ShardedModel
        Users of a model in parts are written part after part.
    out : path
        Replaced in one step, at the end; missing parent folders are made. With a / at its end, and
        with `ray` where it has no extension, it is a folder of Parquet files, one for each block,
        which must be new or empty.
    users : iterable of ids, optional
        All users that the model was trained on unless given; those without interactions have no
        list, but for popular items with `on_unknown="popular"`.
    k : int
        Length of each list.
    exclude_seen, allow, deny, on_unknown, approximate, diversity, rerank
        As for `Recommender.recommend`.
    checksum : str, optional
        Identifies the model, as `trimetric.storage.artifact.checksum(folder)` does for one that was
        saved. By default it is derived from the settings, the training data and the history.
    progress : bool, optional
        By default a bar is shown where standard error is a terminal.
    ray : str, optional
        Compute blocks as tasks of Ray, to the same rows: "local", or the address of a cluster (see
        `scale.cluster.connect`). Its nodes must see a model in parts at the same path; other models
        are sent to each of them once.
    then : callable, optional
        Changes the rows of each block before they are written; `checksum` must tell what it does.

    Returns
    -------
    int
        The number of rows.

    Raises
    ------
    ParameterError
        An option is out of range or of another type, or the file has another extension.
    UnknownIds
        A user is unknown and `on_unknown` is "error".
    OutputError
        The file cannot be written, or another run is writing it.
    Interrupted
        Ctrl-C; finished blocks are kept.
    ClusterError, WorkerLost, MissingExtra
        Of Ray: see `scale.cluster`; finished blocks are kept.
    """
    check_k(k)
    model = model.snapshot()
    ids = everybody(model) if users is None else ids_of(users, "user")
    filters = {
        name: None if given is None else _plain(model, name, given)
        for name, given in (("allow", allow), ("deny", deny))
    }
    if users is None and on_unknown == "error":
        on_unknown = "skip"  # what was forgotten may leave users without interactions
    options: dict[str, Any] = {"exclude_seen": exclude_seen, "on_unknown": on_unknown}
    options["approximate"] = approximate
    check_unknown_users(on_unknown)
    Options(exclude_seen, None, None, approximate, diversity, rerank)  # which checks them
    if then is not None and not callable(then):
        raise ParameterError(f"then must be a function of a frame, got {then!r:.80}")
    if diversity:
        options |= {"diversity": float(diversity), "rerank": rerank}

    asked = (k, options, filters)

    def here(spans: list[tuple[int, int]]) -> "Iterator[pl.DataFrame]":
        return (lists_of(model, ids[start:stop], *asked) for start, stop in spans)

    identity = {
        **_versions(approximate),
        "model": checksum or _checksum(model),
        "users": "all" if users is None else _digest([*ids]),
        "k": k,
        **options,
        **{name: given if given is None else _digest(given) for name, given in filters.items()},
    }
    compute: Compute = here
    with ExitStack() as held:
        if ray is not None:
            from trimetric.models.on_ray import blocks_on_ray

            listed = None if users is None else [*ids]
            compute = held.enter_context(blocks_on_ray(ray, model, listed, lists_of, *asked))
        block = _users_per_block(k, len(model.item_ids))
        path = places.output(out)
        folder = is_folder(out, ray)
        batch = Batch(len(ids), block, _then(compute, then), identity, folder=folder)
        counter = held.enter_context(counting("users", len(ids), progress))
        log: Callable[[str], None] = counter.log if progress is not False else lambda text: None
        return write_batch(path, batch, done=counter.done, log=log)


def is_folder(out: str | Path, ray: str | None) -> bool:
    """Tell whether output is a folder of Parquet files: see `recommend_to_file`."""
    return str(out).endswith("/") or (ray is not None and not Path(out).suffix and str(out) != "-")


def lists_of(
    model: Any, users: list[Any], k: int, options: Mapping[str, Any], filters: Mapping[str, Any]
) -> "pl.DataFrame":
    """Return the lists of some users, by filters that are for all or for each user."""
    allow, deny = (_of(filters[name], users) for name in ("allow", "deny"))
    with in_polars():
        return model.recommend(users, k, **options, allow=allow, deny=deny)


def _then(compute: Compute, then: "Callable[[pl.DataFrame], pl.DataFrame] | None") -> Compute:
    return compute if then is None else lambda spans: map(then, compute(spans))


def _checksum(model: Any) -> str:
    checksum = getattr(model, "checksum", None)
    return checksum if isinstance(checksum, str) else _digest(_description(model))


def _plain(model: "Recommender", name: str, given: Any) -> list | dict[Any, list]:
    """Return a filter with plain ids: a list, or a list for each user."""
    if not isinstance(given, Mapping):
        return ids_of(given, name, single=False)
    by_user = by_key("user", model.user_ids, given, name)
    return {
        user: ids_of(items, f"{name}[{user!r}]", single=False) for user, items in by_user.items()
    }


def _of(given: Any, users: Iterable) -> Any:
    """Return what a filter says of some users; lists are for all."""
    if not isinstance(given, dict):
        return given
    return {user: given[user] for user in users if user in given}


def _users_per_block(k: int, n_items: int) -> int:
    """Return how many users to answer at a time, which bounds both memory and lost work."""
    n_items = max(n_items, 1)
    return max(1, min(ROWS_PER_BLOCK // min(k, n_items), PAIRS_PER_BLOCK // n_items))


def _versions(approximate: bool) -> dict[str, str]:
    """Return the versions of the packages that the bytes of the output may depend on."""
    others = ("polars", "faiss-cpu") if approximate else ("polars",)
    return {"trimetric": __version__, **{name: version(name) for name in others}}


def _description(model: "Recommender") -> list[Any]:
    """Return what determines the answers of a model, as JSON values."""
    known = model.known
    arrays = (known.seen.indptr, known.seen.items, known.unavailable)
    digest = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
    return [model.name, model.get_params(), model.provenance, model.history, digest]


def _digest(value: Any) -> str:
    value = list(value.items()) if isinstance(value, dict) else value
    return hashlib.sha256(json.dumps(value, default=str).encode()).hexdigest()[:16]
