"""Ray: connecting, errors by name, results in order, lost workers and nodes."""

import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
import raylets
import remote_work as work

from trimetric.errors import DataError, ParameterError, UnknownIds, WorkerLost
from trimetric.scale.cluster import connect

pytestmark = pytest.mark.slow

ray = pytest.importorskip("ray")
SUPPORT = str(Path(work.__file__).parent)


@pytest.fixture(scope="module")
def nodes():
    path = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([SUPPORT, path]).rstrip(os.pathsep)
    try:
        with raylets.cluster(nodes=2, ray_client_server_port=raylets.free_port()) as made:
            yield made
    finally:
        os.environ["PYTHONPATH"] = path


# --- connections of their own, before `workers` connects for the rest of the file -----------------


def test_leaving_early_ends_what_was_started_with_the_connection(nodes, tmp_path):
    """Both processors take a task of a minute; the next connection has one at once all the same."""
    numbers = [[str(tmp_path), n] for n in range(3)]
    with connect(nodes.address) as workers:
        results = workers.ordered_map(work.start_unless_first, numbers, in_flight=3)
        assert next(results) == 0
        while len(list(tmp_path.glob("started-*"))) < 3:
            time.sleep(0.05)
        began = time.monotonic()
        results.close()
    with connect(nodes.address) as workers:
        assert workers.result(workers.submit(work.square, 3)) == 9
    assert time.monotonic() - began < 30
    assert [path.name for path in tmp_path.glob("ended-*")] == ["ended-0"]


def test_a_connection_that_is_there_is_used_and_left(nodes):
    ray.init(nodes.address, log_to_driver=False, logging_level="ERROR")
    try:
        with connect() as found:
            assert found.result(found.submit(work.square, 2)) == 4
        with connect(nodes.address), pytest.raises(ParameterError, match=r"ray\.shutdown"):
            connect("127.0.0.1:1").__enter__()
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def test_the_client_server(nodes):
    port = nodes.head_node._ray_params.ray_client_server_port
    with connect(f"ray://127.0.0.1:{port}") as found:
        assert list(found.ordered_map(work.square, [[n] for n in range(3)])) == [0, 1, 4]
    assert not ray.is_initialized()


# --- one connection, which takes seconds to make --------------------------------------------------


@pytest.fixture(scope="module")
def workers(nodes):
    with connect(nodes.address) as found:
        yield found


def test_results_come_in_order(workers):
    assert list(workers.ordered_map(work.slow_first, [[n] for n in range(6)])) == list(range(6))
    assert list(workers.ordered_map(work.square, [])) == []


def test_arguments_are_read_only_as_far_as_tasks_are_started(workers):
    read = []

    def arguments():
        for number in range(20):
            read.append(number)
            yield [number]

    results = workers.ordered_map(work.square, arguments(), in_flight=3)
    assert next(results) == 0
    assert len(read) <= 4
    results.close()


def test_a_shared_value_and_results_of_tasks_are_arguments(workers):
    shared = workers.share(np.arange(100_000.0))
    found = list(workers.ordered_map(work.total, [[shared, n] for n in range(4)]))
    assert found == [np.arange(100_000.0).sum() * n for n in range(4)]
    left, right = workers.submit(work.halves, 7, results=2)
    assert workers.result(workers.submit(work.add, left, right)) == 7


@pytest.mark.parametrize("cores", [1])
def test_a_task_has_the_threads_it_occupies(workers, cores):
    reference = workers.submit(work.threads_here, cores=cores)
    assert workers.result(reference) == (cores, str(cores))


def test_ready_returns_what_is_done(workers):
    slow, fast = workers.submit(work.slow_first, 0), workers.submit(work.slow_first, 1)
    assert set(workers.ready([slow, fast])) <= {slow, fast}
    assert workers.ready([fast]) == [fast]
    assert workers.result(slow) == 0


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [(3, DataError, "row 3"), (5, UnknownIds, "1 unknown user: 'u1'"), (7, KeyError, "a bug")],
)
def test_errors_of_tasks_are_raised_as_they_were(workers, number, kind, text):
    results = workers.ordered_map(work.refuse, [[n] for n in (0, 1, number, 2)])
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(kind, match=re.escape(text)) as caught:
        next(results)
    assert type(caught.value) is kind


def test_tasks_of_killed_workers_run_again(workers, tmp_path):
    found = workers.ordered_map(work.die_once, [[str(tmp_path), n] for n in range(6)])
    assert list(found) == [n * n for n in range(6)]
    assert len(list(tmp_path.glob("died-*"))) == 3


def test_a_lost_node_costs_its_tasks_alone(nodes, workers, tmp_path):
    third = nodes.add_node(num_cpus=1, object_store_memory=raylets.STORE)
    nodes.wait_for_nodes()
    left, right = workers.submit(work.halves, 9, results=2)
    results = workers.ordered_map(work.slow_first, [[0]] * 8)
    assert next(results) == 0
    nodes.remove_node(third, allow_graceful=False)
    assert list(results) == [0] * 7
    assert workers.result(workers.submit(work.add, left, right)) == 9


def test_a_task_that_always_ends_its_worker_is_given_up(workers, monkeypatch):
    monkeypatch.setattr("trimetric.scale.cluster.RETRIES", 1)
    with pytest.raises(WorkerLost, match="run the same command again"):
        workers.result(workers.submit(work.die, 1))
