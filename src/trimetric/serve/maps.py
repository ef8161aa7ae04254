"""The map of each snapshot's space: made once, in a thread of its own, when first asked for."""

import logging
import threading
import time
from typing import Any

import numpy as np

from trimetric.serve.snapshot import Snapshot, encode
from trimetric.space.projection import METHOD, project
from trimetric.space.tsne import lay_out

log = logging.getLogger("trimetric.serve")
_lock = threading.Lock()


def warm_up() -> None:
    """Have the kernels compiled that a map needs: see `snapshot.warm_up`."""
    few = np.arange(6, dtype=np.int32)
    lay_out((few[:, None] + 1) % 6, np.zeros((6, 2), dtype=np.float32) + few[:, None])


class Map:
    """A map being made, or made.

    Attributes
    ----------
    answer : bytes or None
        Its JSON once it is made.
    failed : bool
        It could not be made; the log says why.
    """

    def __init__(self) -> None:
        self.answer: bytes | None = None
        self.failed = False


def of(snapshot: Snapshot) -> Map:
    """Return the map of a snapshot, and start to make it if nobody has."""
    with _lock:
        found = snapshot.map
        if found is None:
            found = snapshot.map = Map()
            # A daemon: a server that is told to stop does not wait for a map.
            threading.Thread(target=_make, args=(snapshot, found), daemon=True).start()
    return found


def _make(snapshot: Snapshot, found: Map) -> None:
    began = time.monotonic()
    try:
        found.answer = encode(_drawn(snapshot))
    except Exception:
        found.failed = True
        log.exception("no map", extra={"model": snapshot.name})
        return
    seconds = round(time.monotonic() - began, 3)
    log.info("mapped", extra={"model": snapshot.name, "seconds": seconds})


def _drawn(snapshot: Snapshot) -> dict[str, Any]:
    model = snapshot.model
    plane = project(model)
    shown = (len(plane.items), len(plane.users))
    items: dict[str, Any] = {
        "ids": model.item_ids.decode(plane.items).to_list(),
        "x": plane.item_places[:, 0].tolist(),
        "y": plane.item_places[:, 1].tolist(),
        "popularity": snapshot.popularity[plane.items].tolist(),
    }
    titles = snapshot.items.titles(model.item_ids.decode(plane.items))
    if titles is not None:
        items["titles"] = titles.to_list()
    items["groups"] = snapshot.items.groups(model.item_ids.decode(plane.items))
    return {
        "status": "ready",
        "model": snapshot.name,
        "version": snapshot.version,
        "method": METHOD,
        "quality": plane.quality,
        "sampled": shown != (len(model.item_ids), len(model.user_ids)),
        "items": items,
        "users": {
            "ids": model.user_ids.decode(plane.users).to_list(),
            "x": plane.user_places[:, 0].tolist(),
            "y": plane.user_places[:, 1].tolist(),
            "activity": snapshot.activity[plane.users].tolist(),
        },
    }
