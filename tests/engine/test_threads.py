"""Teams of threads: order, exceptions, and barriers with more threads than processors."""

import threading

import numpy as np
import pytest
from threads_helper import on_threads

from trimetric.engine import threads
from trimetric.engine.compile import INTERPRETED, kernel
from trimetric.engine.threads import ThreadTeam, ThreadTuner, thread_count
from trimetric.errors import ParameterError

compiled = pytest.mark.compiled  # interpreted kernels run on one thread


@kernel
def walk(me, team, rounds, counts, places, late):
    """Step together; count how often another thread was seen a step behind or two ahead."""
    for step in range(1, rounds + 1):
        places[me, 0] = step
        threads.barrier(counts, me, team)
        for other in range(team):
            late[me] += places[other, 0] != step
        threads.barrier(counts, me, team)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_results_come_in_order(size):
    with ThreadTeam(size) as team:
        for _ in range(50):
            assert team.run(lambda me: me * me) == [me * me for me in range(size)]


def test_a_part_of_the_team_can_work():
    with ThreadTeam(4) as team:
        for size in (1, 4, 2, 3, 4):
            assert team.run(lambda me: me, size) == list(range(size))


def test_a_tuner_finds_the_fastest_and_tries_again():
    tuner = ThreadTuner(5)
    for speeds, best in (({5: 1.0, 2: 3.0, 1: 2.0}, 2), ({5: 9.0, 2: 3.0, 1: 2.0}, 5)):
        counts = []
        for _ in range(2 * ThreadTuner.RETRY):
            counts.append(tuner.suggest())
            tuner.record(counts[-1], speeds[counts[-1]])
        assert set(counts) == {5, 2, 1}
        assert set(counts[ThreadTuner.RETRY + 6 : 2 * ThreadTuner.RETRY]) == {best}


def test_all_work_at_the_same_time():
    met = threading.Barrier(4, timeout=20)
    with ThreadTeam(4) as team:
        for _ in range(20):
            team.run(lambda me: met.wait())


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_exception_comes_out_and_the_team_works_on(failing):
    def work(me):
        if me == failing:
            raise ValueError(f"thread {me}")
        return me

    with ThreadTeam(3) as team:
        for _ in range(5):
            with pytest.raises(ValueError, match=f"thread {failing}"):
                team.run(work)
        assert team.run(lambda me: me) == [0, 1, 2]


def test_close_lets_the_threads_go():
    before = threading.active_count()
    with ThreadTeam(6) as team:
        team.run(lambda me: None)
        assert threading.active_count() > before
    assert threading.active_count() == before
    team.close()


@compiled
@pytest.mark.parametrize("size", [1, 2, 3, 16])
def test_barriers_hold_everyone(size):
    rounds = 500 if size > 2 else 20_000
    with ThreadTeam(size) as team:
        for _ in range(3):
            counts, late = threads.barrier_counts(size), np.zeros(size, dtype=np.int64)
            places = np.zeros((size, 8), dtype=np.int64)
            team.run(lambda me, c=counts, p=places, late=late: walk(me, size, rounds, c, p, late))
            assert not late.any()
            assert (counts[::8] == 2 * rounds * size).all()
            counts[::8] = 0
            assert not counts.any()


def test_teams_beside_each_other():
    def serve(out, number):
        with ThreadTeam(2) as team:
            for _ in range(100):
                out[number] += sum(team.run(lambda me: me + number))

    out = [0] * 4
    callers = [threading.Thread(target=serve, args=(out, number)) for number in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert out == [100 * (1 + 2 * number) for number in range(4)]


def test_thread_count():
    assert on_threads(1, thread_count) == 1
    assert on_threads(None, thread_count) == thread_count() >= 1
    for bad in (0, -1, threads.MAX_THREADS + 1, 1.5, True, "2"):
        with pytest.raises(ParameterError, match=r"threads must be a whole number in 1\.\."):
            on_threads(bad, thread_count)
    seven = 1 if INTERPRETED else 7
    assert on_threads(7, thread_count) == seven
    assert on_threads(7, lambda: on_threads(1, thread_count)) == 1
    assert on_threads(7, lambda: [on_threads(1, thread_count), thread_count()][1]) == seven


def test_the_environment_limits_threads(monkeypatch):
    monkeypatch.setenv("TRIMETRIC_THREADS", "3")
    assert thread_count() == (1 if INTERPRETED else 3)
    assert on_threads(2, thread_count) == (1 if INTERPRETED else 2)
    for bad in ("0", "257", "two", "1.5"):
        monkeypatch.setenv("TRIMETRIC_THREADS", bad)
        with pytest.raises(ParameterError, match=f"TRIMETRIC_THREADS must be .* got '?{bad}"):
            thread_count()


def test_threads_are_a_context_of_each_thread():
    seen = []
    with threads.threads(1):
        other = threading.Thread(target=lambda: seen.append(thread_count()))
        other.start()
        other.join()
        assert thread_count() == 1
    assert seen == [thread_count()]
    worker = threading.Thread(
        target=lambda: seen.append((threads.limit_this_thread(1), thread_count())[1])
    )
    worker.start()
    worker.join()
    assert seen[1] == 1
