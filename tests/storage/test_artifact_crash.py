"""Whatever the moment a saving process dies, the folder holds the old artifact or the new one."""

import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from trimetric.storage import artifact

SAVER = """
import sys
import numpy as np
from trimetric.storage import artifact

def save(folder, turn):
    tensors = {name: np.full(60_000, turn, np.float32) for name in ("a", "b")}
    artifact.save(folder, "checkpoint", {"turn": turn}, tensors)
"""

LOOP = """
turn = int(sys.argv[2])
while True:
    turn += 1
    save(sys.argv[1], turn)
    print(turn, flush=True)
"""

# Dies at the n-th call that Python's audit announces (open, rename, remove, ...), n = 0, 1, ...
STEPS = """
import os
save(sys.argv[1], 1)
for last in range(1000):
    child = os.fork()
    if child == 0:
        left = last
        def count(event, args):
            global left
            if event.split(".")[0] in ("open", "os", "shutil", "tempfile", "fcntl", "glob"):
                if left == 0:
                    os.kill(os.getpid(), 9)
                left -= 1
        sys.addaudithook(count)
        save(sys.argv[1], 1000 + last)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    found = artifact.load(sys.argv[1])
    turn = found.meta["turn"]
    assert all((array == turn).all() for array in found.tensors.values())
    print(turn, flush=True)
    if status == 0:
        break
"""


def whole(folder: Path) -> int:
    found = artifact.load(folder, "checkpoint")
    assert found.tensors.keys() == {"a", "b"}
    for array in found.tensors.values():
        np.testing.assert_array_equal(array, np.full(60_000, found.meta["turn"], np.float32))
    return found.meta["turn"]


@pytest.mark.slow
def test_killed_at_twenty_random_moments_it_always_loads_whole(tmp_path: Path) -> None:
    moments = random.Random(20)
    turn = 0
    for _ in range(20):
        command = [sys.executable, "-c", SAVER + LOOP, str(tmp_path), str(turn)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(moments.uniform(0, 0.05))
        child.send_signal(signal.SIGKILL)
        told = [int(line) for line in child.communicate()[0].split()]
        assert child.returncode == -signal.SIGKILL
        found = whole(tmp_path)
        # What was reported as saved is there; the one under way may be.
        assert found - max([turn + 1, *told]) in (0, 1)
        turn = found
    artifact.save(tmp_path, "checkpoint", {}, {})
    assert len(list(tmp_path.iterdir())) == 2


def test_killed_at_each_step_of_a_save_it_loads_whole(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SAVER + STEPS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    turns = [int(line) for line in done.stdout.split()]
    assert len(turns) > 10
    assert turns == sorted(turns)
    assert turns[0] == 1
    assert turns[-1] == 1000 + len(turns) - 1
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_stopped_politely_it_leaves_a_whole_artifact(tmp_path: Path, signum: int) -> None:
    command = [sys.executable, "-c", SAVER + LOOP, str(tmp_path), "0"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(signum)
    child.communicate()
    assert whole(tmp_path) >= 1


def test_readers_beside_a_writer_see_whole_artifacts(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SAVER + LOOP, str(tmp_path), "0"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        drain = threading.Thread(target=child.stdout.read)
        drain.start()
        seen: set[int] = set()
        end = time.monotonic() + 30  # a busy disk makes saves slow, not wrong
        while len(seen) < 50 and time.monotonic() < end:
            seen.add(whole(tmp_path))
    finally:
        child.kill()
        child.wait()
    drain.join()
    assert len(seen) > 1


def test_two_writers_in_one_folder_leave_one_whole_artifact(tmp_path: Path) -> None:
    script = SAVER + "for turn in range(40): save(sys.argv[1], turn + int(sys.argv[2]))"
    children = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), start])
        for start in ("0", "100")
    ]
    assert [child.wait() for child in children] == [0, 0]
    assert whole(tmp_path) in (39, 139)
    assert len(list(tmp_path.iterdir())) == 2


def test_litter_of_a_crash_is_gone_after_the_next_save(tmp_path: Path) -> None:
    for name in (".tensors.99.tmp", ".model.json.99.tmp", "tensors-0123456789ab.safetensors"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("mine")
    artifact.save(tmp_path, "model", {}, {})
    (tensors,) = tmp_path.glob("tensors-*")
    assert tensors.name != "tensors-0123456789ab.safetensors"
    assert set(tmp_path.iterdir()) == {tmp_path / "notes.txt", tmp_path / "model.json", tensors}
