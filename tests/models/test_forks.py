"""Forked processes: an answer, or within a second an error that names what to do; never a hang."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from command import environment

import trimetric as tm

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
SECONDS = 2.0  # what an answer or an error may take, on a machine that does other things too
BEFORE = """
import multiprocessing, os, pickle, signal, sys, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, of forks beside threads
import trimetric as tm
from trimetric.errors import TrimetricError, Unsupported
from trimetric.data.item_tables import read as read_items

data = tm.Interactions.from_arrays(list(range(20)) * 4, [n // 20 for n in range(80)])
with open(sys.argv[1] + ".csv", "w") as file:
    file.write("user,item\\n1,2\\n3,4\\n")
model = tm.load(sys.argv[1])
ASK = {
    "recommend": lambda: model.recommend([5], 3)["item"].to_list(),
    "recommend_for": lambda: model.recommend_for([7], 3)["item"].to_list(),
    "similar_items": lambda: model.similar_items([7], 3)["similar"].to_list(),
    "score": lambda: model.score([(5, 7)]).tolist(),
    "explain": lambda: model.explain(5, 7).user,
    "users": lambda: len(model.user_embeddings),
    "approximate": lambda: model.recommend([5], 3, approximate=True)["item"].to_list(),
    "partial_fit": lambda: model.snapshot().partial_fit(([5, 900], [7, 8]), epochs=1) and 1,
    "save": lambda: model.save(sys.argv[1] + "-copy"),
    "from_arrays": lambda: len(tm.Interactions.from_arrays([1, 2], [3, 4])),
    "from_frame": lambda: len(tm.Interactions.from_frame({"user": [1, 2], "item": [3, 4]})),
    "read_file": lambda: len(tm.Interactions.read(sys.argv[1] + ".csv")),
    "items": lambda: len(read_items(sys.argv[1] + ".csv")),
    "to_frame": lambda: len(data.to_frame()),
    "split": lambda: len(tm.split_random(data).train),
    "take": lambda: len(data.take([0, 1]).compact()),
    "decode": lambda: model.user_ids.decode([0, 1]).to_list(),
    "evaluate": lambda: len(tm.evaluate(model, data).users),
    "fit": lambda: tm.Popularity().fit(data) and 1,
    "forget": lambda: model.snapshot().forget(users=[5]) and 1,
    "load": lambda: len(tm.load(sys.argv[1]).recommend([5], 3)),
}

def child(what):
    began = time.monotonic()
    try:
        said = ("answer", ASK[what]())
    except Unsupported as error:
        said = ("refused", str(error))
    except TrimetricError as error:  # of the data, which were read
        said = ("answer", repr(error))
    return *said, time.monotonic() - began
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pairs = tm.synthetic.planted(60, 40, dim=4, clusters=4, per_user=8, seed=1).interactions
    rows = tm.Interactions.from_arrays(pairs.users, pairs.items)
    folder = tmp_path_factory.mktemp("forks") / "m"
    tm.create("centroid", dim=8, seed=0).fit(rows).save(folder)
    return folder


def run(folder: Path, code: str, seconds: float = 60) -> list:
    """Run a program that prints what it found, pickled in hex, and end it if it hangs."""
    program = BEFORE + textwrap.dedent(code)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        pytest.fail("a process hangs")
    assert process.returncode == 0, err
    return pickle.loads(bytes.fromhex(out.splitlines()[-1]))


def holds(found: tuple, expected: object = None) -> None:
    """Check what a child found: in time, and either the answer or a remedy."""
    kind, value, seconds = found
    assert seconds < SECONDS
    if kind == "refused":
        assert "spawn" in value
    elif expected is not None:
        assert value == expected


FORKS = """
model.recommend([5])
{before}
found = {{}}
for what in {whats}:
    into, out = os.pipe()
    if os.fork() == 0:
        signal.alarm(10)  # ends what hangs, which then has found nothing
        os.write(out, pickle.dumps([child(what) for _ in range({times})]))
        os._exit(0)
    os.close(out)
    with open(into, "rb") as file:
        found[what] = file.read()
    os.wait()
print(pickle.dumps(found).hex())
"""
KINDS = (
    "recommend", "recommend_for", "similar_items", "score", "explain", "users", "partial_fit",
    "forget", "save", "from_arrays", "from_frame", "read_file", "items", "load", "to_frame",
    "split", "take", "decode", "evaluate", "fit",
)  # fmt: skip


@pytest.fixture(scope="module")
def forked(folder: Path) -> dict:
    """Return what a child found of each kind, as bytes; none where it hung."""
    return run(folder, FORKS.format(whats=KINDS, before="", times=1), 240)


@pytest.mark.parametrize("what", KINDS)
def test_a_forked_child_answers_or_says_what_to_do(forked: dict, what: str) -> None:
    assert forked[what], "it hangs"
    [found] = pickle.loads(forked[what])
    holds(found)


def test_a_child_that_was_refused_once_is_refused_at_once(folder: Path) -> None:
    found = run(folder, FORKS.format(whats=["recommend"], before="", times=5))
    first, *later = pickle.loads(found["recommend"])
    holds(first)
    assert all(seconds < 0.1 for _, _, seconds in later)


def test_a_child_of_a_parent_that_searched_approximately(folder: Path) -> None:
    pytest.importorskip("faiss")
    before = "ASK['approximate']()"
    found = run(folder, FORKS.format(whats=["approximate"], before=before, times=1))
    assert found["approximate"], "it hangs"
    holds(pickle.loads(found["approximate"])[0])


def test_a_child_of_a_child(folder: Path) -> None:
    code = """
    model.recommend([5])
    into, out = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            os.write(out, pickle.dumps(child("recommend")))
            os._exit(0)
        os.wait()
        os._exit(0)
    os.close(out)
    with open(into, "rb") as file:
        print(file.read().hex())
    os.wait()
    """
    holds(run(folder, code))


def test_multiprocessing_by_fork(folder: Path) -> None:
    code = """
    model.recommend([5])
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pickle.dumps(pool.map(child, ["recommend"] * 4)).hex())
    """
    for found in run(folder, code):
        holds(found)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["multiprocessing", "loky"])
def test_joblib(folder: Path, backend: str) -> None:
    pytest.importorskip("joblib")
    code = f"""
    import joblib
    expected = ASK["recommend"]()
    def ask(model):
        began = time.monotonic()
        try:
            said = "answer", model.recommend([5], 3)["item"].to_list()
        except Unsupported as error:
            said = "refused", str(error)
        return *said, time.monotonic() - began if "{backend}" == "multiprocessing" else 0.0
    jobs = [joblib.delayed(ask)(model) for _ in range(2)]
    found = joblib.Parallel(2, backend="{backend}")(jobs)
    print(pickle.dumps((found, expected)).hex())
    """
    answers, expected = run(folder, code)
    for found in answers:
        holds(found, expected)
    if backend == "loky":
        assert [kind for kind, *_ in answers] == ["answer"] * 2


def asked(model: tm.SML, user: int) -> list:
    return model.recommend([user], 3)["item"].to_list()


def test_spawn_works(folder: Path) -> None:
    model = tm.load(folder)
    expected = asked(model, 5)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        began = time.monotonic()
        assert pool.apply(asked, (model, 5)) == expected
        assert time.monotonic() - began < 60
