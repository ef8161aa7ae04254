"""Quick requests never queue behind slow ones, nor behind changes of a model or long jobs."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from asking import Client
from serving import trained

from trimetric.serve.queues import Queue, one_job
from trimetric.serve.run import load_state
from trimetric.serve.settings import Settings

KEY = {"x-api-key": "key"}
QUICK: tuple[Any, ...] = (
    "/v1/recommend?user=3",
    "/v1/similar-items?item=3",
    "/v1/similar-users?user=3",
    "/v1/user?user=3",
    "/v1/item?item=3",
    "/v1/users?search=1",
    "/v1/items?search=1",
    "/v1/models",
    "/v1/training",
    "/v1/map",
    "/v1/recommend?user=99999",  # finding similar ids takes a thread
    ("/v1/recommend", {"users": [3, 4]}),
    ("/v1/recommend-for", {"items": [3, 4]}),
    "/health",
    "/metrics",
)
SLOW: tuple[Any, ...] = (
    "/v1/explain?user=3&item=7",
    ("/v1/explain-for", {"items": [3, 4], "item": 7}),
    ("/v1/recommend", {"users": list(range(20))}),
    ("/v1/recommend", {"users": [3], "diversity": 0.5}),
    ("/v1/recommend", {"users": [3], "allow": [3, 4, 5]}),
    ("/v1/recommend-for", {"items": [3, 4], "diversity": 0.5}),
    ("/v1/recommend-for", {"items": [3, 4], "deny": [5]}),
    "/v1/between?user=3&other=4",
    "/v1/item-users?item=3",
    "/v1/summary",
    "/v1/margins",
    "/v1/columns",
)
CHANGES: tuple[Any, ...] = (
    ("/v1/unavailable", {"items": [6]}),
    ("/v1/unavailable", {"items": [6], "change": "add"}),
    ("/v1/forget", {"users": [50]}),
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("served") / "m"
    trained("sml", adaptive_users=True, adaptive_items=True).save(folder)
    state = load_state(Settings((folder,), api_key="key"))
    yield Client(state)
    state.close()


@contextmanager
def held_up(client: Client, *queues: Queue) -> Iterator[None]:
    """Keep the threads of these queues busy."""
    release = threading.Event()
    for queue in queues:
        threads = client.state.queues.threads[queue]
        for _ in range(client.state.queues.sizes[queue]):
            threads.submit(release.wait)
    try:
        yield
    finally:
        release.set()


async def sent(http: httpx.AsyncClient, request: Any) -> int:
    if isinstance(request, str):
        return (await http.get(request, headers=KEY)).status_code
    path, body = request
    return (await http.post(path, content=json.dumps(body), headers=KEY)).status_code


def name_of(request: Any) -> str:
    return request if isinstance(request, str) else " ".join(map(str, request))


@pytest.mark.parametrize("request_", QUICK, ids=name_of)
def test_quick_ones_are_answered_while_all_other_threads_are_busy(
    client: Client, request_: Any
) -> None:
    with held_up(client, "slow", "change"):
        [found] = client.ask(request_, headers=KEY)
        assert found.status_code == (404 if "99999" in name_of(request_) else 200), found.text


@pytest.mark.parametrize("queue", ["slow", "change"])
def test_others_wait_for_their_own_queue_and_for_no_other(client: Client, queue: Queue) -> None:
    waiting, other = (SLOW, CHANGES[:2]) if queue == "slow" else (CHANGES, SLOW)

    async def run() -> None:
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            with held_up(client, queue):
                tasks = [asyncio.create_task(sent(http, request)) for request in waiting]
                for request in (*QUICK[:3], *other):
                    assert await sent(http, request) == 200
                assert not any(task.done() for task in tasks)
            assert await asyncio.gather(*tasks) == [200] * len(tasks)

    asyncio.run(run())


def test_every_handler_that_takes_a_thread_is_in_one_of_the_lists(client: Client) -> None:
    listed = {
        name_of(request).partition("?")[0].split(" ")[0] for request in QUICK + SLOW + CHANGES
    }
    paths = {path for path in client.get("/openapi.json", headers=KEY)["paths"]}
    assert paths - listed == {"/ready", "/v1/quality"}


def test_errors_of_queued_ones_are_as_ever(client: Client) -> None:
    assert client.get("/v1/explain?user=9999&item=7", status=404, headers=KEY)["unknown"]
    assert client.get("/v1/between?user=3", status=422, headers=KEY)["error"]
    assert client.get("/v1/explain-for", {"items": [3]}, status=422, headers=KEY)["error"]


def test_the_threads_leave_a_core_to_quick_ones(client: Client) -> None:
    from trimetric.engine.threads import processors

    assert client.state.queues.sizes == {"slow": max(1, processors() - 1), "change": 1}


def test_long_jobs_take_turns(tmp_path: Path) -> None:
    for name in ("a", "b"):
        trained().save(tmp_path / name)
    state = load_state(Settings((tmp_path / "a", tmp_path / "b")))
    client = Client(state)
    with one_job:
        for name in ("a", "b"):
            assert client.get(f"/v1/map?model={name}")["status"] == "computing"
        jobs = [thread for thread in threading.enumerate() if thread.name.startswith("job")]
        assert len(jobs) == 2
        for job in jobs:
            job.join(0.05)
        assert all(state.registry.get(name).map.json is None for name in ("a", "b"))
    for job in jobs:
        job.join(60)
    assert all(client.get(f"/v1/map?model={name}")["status"] == "ready" for name in ("a", "b"))
    state.close()
