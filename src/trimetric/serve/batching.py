"""Requests for recommendations that come together are ranked together.

A request that waits for its ranking lets the event loop go on; by the time the loop comes back, all
requests that had arrived meanwhile wait as well, and one product ranks them. Under load batches
grow by themselves, and alone a request waits for nothing.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from trimetric.errors import UnknownIds
from trimetric.serve.metrics import Metrics
from trimetric.serve.snapshot import Snapshot, encode

AT_ONCE = 64


class Asked(NamedTuple):
    """One request."""

    snapshot: Snapshot
    user: str
    k: int
    exclude_seen: bool
    answer: "asyncio.Future[bytes]"


class Batcher:
    """Collects requests, and ranks them on the loop, or in a thread where a model is slow."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._waiting: list[Asked] = []
        self._busy = False
        self._ranker = ThreadPoolExecutor(1, thread_name_prefix="rank")

    def ask(
        self, snapshot: Snapshot, user: str, k: int, exclude_seen: bool
    ) -> "asyncio.Future[bytes]":
        """Return a future of the answer's JSON; it fails with UnknownIds."""
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        if not self._waiting and not self._busy:
            loop.call_soon(self._rank)
        self._waiting.append(Asked(snapshot, user, k, exclude_seen, answer))
        return answer

    def close(self) -> None:
        """Let the thread go."""
        self._ranker.shutdown(wait=False, cancel_futures=True)

    def _rank(self) -> None:
        """Rank those that wait for the same model in the same way as the first."""
        first = self._waiting[0]
        batch: list[Asked] = []
        later: list[Asked] = []
        for asked in self._waiting:
            alike = asked.snapshot is first.snapshot and asked.exclude_seen == first.exclude_seen
            (batch if alike and len(batch) < AT_ONCE else later).append(asked)
        self._waiting = later
        self._metrics.batches.add(len(batch))
        if first.snapshot.quick:
            self._settle(batch, answers(batch))
        else:
            self._busy = True
            loop = asyncio.get_running_loop()
            ranked = loop.run_in_executor(self._ranker, answers, batch)
            ranked.add_done_callback(lambda done: self._ranked(batch, done))
            return
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._rank)

    def _ranked(self, batch: list[Asked], done: "asyncio.Future[list[bytes | Exception]]") -> None:
        self._busy = False
        self._settle(batch, done.result())
        if self._waiting:
            self._rank()

    def _settle(self, batch: list[Asked], found: "list[bytes | Exception]") -> None:
        for asked, answer in zip(batch, found, strict=True):
            if asked.answer.done():
                continue  # nobody waits any more
            if isinstance(answer, Exception):
                asked.answer.set_exception(answer)
            else:
                asked.answer.set_result(answer)


def answers(batch: list[Asked]) -> "list[bytes | Exception]":
    """Return what each request gets; all are of one snapshot and one way to exclude."""
    try:
        return _answers(batch)
    except Exception as error:  # a fault of ours: each of them is told
        return [error] * len(batch)


def _answers(batch: list[Asked]) -> "list[bytes | Exception]":
    snapshot, users = batch[0].snapshot, batch[0].snapshot.users
    ids = [users.parse(asked.user) for asked in batch]
    rows = np.array([snapshot.known_user(one) for one in ids], dtype=np.int32)
    known = np.flatnonzero(rows >= 0)
    found, scores = snapshot.nearest(
        rows[known], max(asked.k for asked in batch), batch[0].exclude_seen
    )
    out: list[bytes | Exception] = [
        UnknownIds("user", [one], "the model was not trained on them") for one in ids
    ]
    for place, at in enumerate(known.tolist()):
        k = batch[at].k
        out[at] = b'{%b,"user":%b,"recommendations":%b}' % (
            snapshot.named,
            encode(ids[at]),
            snapshot.listed(found[place, :k], scores[place, :k]),
        )
    return out
