"""Requests queue by their cost, so that quick ones never wait for slow ones.

Handlers run in threads. Those of quick requests are the event loop's own. Requests that take long
have a queue with few threads, which leave a core to the others, and those that change a saved model
have one with one thread. Jobs of many seconds take turns in threads of their own.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from typing import Any, Literal

from litestar import Request
from litestar.concurrency import sync_to_thread

from trimetric.engine.threads import limit_this_thread, processors

Queue = Literal["slow", "change"]
Cost = Callable[[Any], bool]
one_job = threading.Lock()
"""Held by a job of many seconds, such as a map: others wait for it."""


class Queues:
    """The threads of requests that are not quick.

    Attributes
    ----------
    sizes : dict of str to int
        How many threads each queue has.
    threads : dict of str to ThreadPoolExecutor
    """

    def __init__(self) -> None:
        self.sizes: dict[Queue, int] = {"slow": max(1, processors() - 1), "change": 1}
        self.threads = {
            queue: ThreadPoolExecutor(size, queue, limit_this_thread, (1,))
            for queue, size in self.sizes.items()
        }

    def close(self) -> None:
        """Stop the threads; what waits is dropped."""
        for threads in self.threads.values():
            threads.shutdown(wait=False, cancel_futures=True)


def queued(
    queue: Queue, *, when: Cost | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator by which a handler runs in the threads of a queue.

    Parameters
    ----------
    queue : {"slow", "change"}
    when : callable, optional
        Given the body of a request, tells whether it takes long; others run as quick ones do.
    """

    def decorate(handle: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(handle)
        async def handler(request: Request, **given: Any) -> Any:
            run = partial(handle, request, **given)
            if when is not None and not when(given["data"]):
                return await sync_to_thread(run)
            threads = request.app.state.serving.queues.threads[queue]
            return await asyncio.get_running_loop().run_in_executor(threads, run)

        return handler

    return decorate
