"""Requests for recommendations that arrive together are ranked together.

A request that waits for its ranking lets the event loop go on. When the loop comes back, all
requests that arrived in the meantime wait as well, and one matrix product ranks them. Under load
batches grow by themselves, and a request alone waits for nothing.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from prometheus_client import Histogram

from trimetric.engine.threads import limit_this_thread
from trimetric.errors import UnknownIds
from trimetric.serve.served_model import ServedModel, encode
from trimetric.space.given import NOT_TRAINED_ON

MAX_BATCH = 64


class Query(NamedTuple):
    """One request for recommendations, and where its answer goes."""

    served: ServedModel
    user: str
    k: int
    exclude_seen: bool
    answer: "asyncio.Future[bytes]"


Answers = list[bytes | Exception]


class Batcher:
    """Collects queries, and ranks them on the event loop, or in a thread where a model is slow."""

    def __init__(self, batch_size: Histogram) -> None:
        self._batch_size = batch_size
        self._waiting: list[Query] = []
        self._busy = False
        self._thread = ThreadPoolExecutor(1, "rank", limit_this_thread, (1,))

    def submit(
        self, served: ServedModel, user: str, k: int, exclude_seen: bool
    ) -> "asyncio.Future[bytes]":
        """Return a future of the answer's JSON; it fails with UnknownIds."""
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        if not self._waiting and not self._busy:
            loop.call_soon(self._rank)
        self._waiting.append(Query(served, user, k, exclude_seen, answer))
        return answer

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _rank(self) -> None:
        """Rank the queries that wait for the same model in the same way as the first."""
        first = self._waiting[0]
        batch: list[Query] = []
        later: list[Query] = []
        for query in self._waiting:
            alike = query.served is first.served and query.exclude_seen == first.exclude_seen
            (batch if alike and len(batch) < MAX_BATCH else later).append(query)
        self._waiting = later
        self._batch_size.observe(len(batch))
        loop = asyncio.get_running_loop()
        if first.served.quick:
            _deliver(batch, rank(batch))
            if self._waiting:
                loop.call_soon(self._rank)
            return
        self._busy = True
        ranked = loop.run_in_executor(self._thread, rank, batch)
        ranked.add_done_callback(lambda done: self._ranked(batch, done))

    def _ranked(self, batch: list[Query], done: "asyncio.Future[Answers]") -> None:
        self._busy = False
        _deliver(batch, done.result())
        if self._waiting:
            self._rank()


def _deliver(batch: list[Query], answers: Answers) -> None:
    for query, answer in zip(batch, answers, strict=True):
        if query.answer.done():
            continue  # the client has gone
        if isinstance(answer, Exception):
            query.answer.set_exception(answer)
        else:
            query.answer.set_result(answer)


def rank(batch: list[Query]) -> Answers:
    """Return the answer to each query, or the exception that it fails with.

    All are for the same model, and exclude what was seen alike.
    """
    try:
        return _rank(batch)
    except Exception as error:  # a defect of ours: each request reports it
        return [error] * len(batch)


def _rank(batch: list[Query]) -> Answers:
    served, users = batch[0].served, batch[0].served.users
    ids = [users.parse(query.user) for query in batch]
    rows = np.array([served.trained_row(user) for user in ids], dtype=np.int32)
    k = max(query.k for query in batch)
    items, scores = served.nearest(rows[rows >= 0], k, batch[0].exclude_seen)
    answers: Answers = []
    place = 0  # in the lists, which unknown users have no part in
    for query, user, row in zip(batch, ids, rows.tolist(), strict=True):
        if row < 0:
            answers.append(UnknownIds("user", [user], NOT_TRAINED_ON))
            continue
        listed = served.listed(items[place, : query.k], scores[place, : query.k])
        answers.append(
            b'{%b,"user":%b,"recommendations":%b}' % (served.named, encode(user), listed)
        )
        place += 1
    return answers
