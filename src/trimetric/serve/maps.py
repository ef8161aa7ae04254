"""The map of each served model's space: made once, in a thread of its own, at the first request."""

import logging
import threading
import time
from typing import Any

import numpy as np

from trimetric.engine.threads import limit_this_thread
from trimetric.serve.queues import one_job
from trimetric.serve.served_model import ServedModel, encode
from trimetric.space.projection import METHOD
from trimetric.space.tsne import lay_out

log = logging.getLogger("trimetric.serve")
_lock = threading.Lock()


def warm_up() -> None:
    """Compile the kernels that a map needs: see `served_model.warm_up`."""
    few = np.arange(6, dtype=np.int32)
    lay_out((few[:, None] + 1) % 6, np.zeros((6, 2), dtype=np.float32) + few[:, None])


class MapJob:
    """A map that is made, or being made.

    Attributes
    ----------
    json : bytes or None
        The answer, once the map is made.
    failed : bool
        Whether it could not be made; the log says why.
    """

    def __init__(self) -> None:
        self.json: bytes | None = None
        self.failed = False


def job_of(served: ServedModel) -> MapJob:
    """Return the map of a model; the first call starts to make it."""
    with _lock:
        job = served.map
        if job is None:
            job = served.map = MapJob()
            # A daemon thread: a server that stops does not wait for a map.
            threading.Thread(target=_run, args=(served, job), name="job", daemon=True).start()
    return job


def _run(served: ServedModel, job: MapJob) -> None:
    limit_this_thread(1)
    began = time.monotonic()
    try:
        with one_job:
            job.json = encode(_answer(served))
    except Exception:
        job.failed = True
        log.exception("no map", extra={"model": served.name})
        return
    seconds = round(time.monotonic() - began, 3)
    log.info("mapped", extra={"model": served.name, "seconds": seconds})


def _answer(served: ServedModel) -> dict[str, Any]:
    known, plane = served.known, served.model.project()
    shown = (len(plane.items), len(plane.users))
    ids = known.item_ids.decode(plane.items)
    items: dict[str, Any] = {
        "ids": ids.to_list(),
        "x": plane.item_places[:, 0].tolist(),
        "y": plane.item_places[:, 1].tolist(),
        "popularity": served.popularity[plane.items].tolist(),
    }
    titles = served.items.titles(ids)
    if titles is not None:
        items["titles"] = titles.to_list()
    items["groups"] = served.items.groups(ids)
    return {
        "status": "ready",
        "model": served.name,
        "version": served.version,
        "method": METHOD,
        "quality": plane.quality,
        "sampled": shown != (len(known.item_ids), len(known.user_ids)),
        "items": items,
        "users": {
            "ids": known.user_ids.decode(plane.users).to_list(),
            "x": plane.user_places[:, 0].tolist(),
            "y": plane.user_places[:, 1].tolist(),
            "activity": served.activity[plane.users].tolist(),
        },
    }
