"""Comparisons on Ray: the same results as on worker processes, also where workers are killed."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import raylets
from command import document, refused, trimetric

import trimetric as tm
from trimetric.errors import ClusterError, Interrupted
from trimetric.experiments import paper, report
from trimetric.experiments.compare import Comparison, compare

pytestmark = pytest.mark.slow

PAIRS = tm.synthetic.planted(120, 60, dim=4, clusters=4, per_user=8, seed=1).interactions
SPLIT = tm.split_random(PAIRS, test=0.2, valid=0.2)
QUICK = {"dim": 8, "epochs": 4, "validate_every": 2}


@pytest.fixture(autouse=True)
def without_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_images", lambda figures: ({}, "not drawn"))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with raylets.cluster(nodes=2) as made:
        yield made.address


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "_images", lambda figures: ({}, "not drawn"))
        out = tmp_path_factory.mktemp("without")
        return out, compared(out)


def compared(out: Path, **more: Any) -> Comparison:
    models = ("popularity", "sml", "bpr")
    fixed = {"sml": QUICK, "bpr": QUICK}
    return compare(SPLIT, models, out=out, seeds=2, trials=3, settings=fixed, **more)


def timeless(value: Any) -> Any:
    """Return a document without times and memory, which no two runs share."""
    if isinstance(value, dict):
        cost = ("seconds", "cpu_seconds", "memory", "memory_mib", "date", "machine")
        return {k: timeless(v) for k, v in value.items() if k not in cost}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def results(out: Path) -> dict[str, Any]:
    """Return all results of a folder by file, tuned settings and metrics of users among them."""
    files = sorted((out / "runs").glob("*-*.json"))
    return {path.name: timeless(json.loads(path.read_bytes())) for path in files}


@pytest.mark.parametrize("workers", [None, 1])
def test_the_same_results_as_without(address, expected, tmp_path, workers) -> None:
    without, rows = expected
    found = compared(tmp_path, ray=address, workers=workers)
    assert results(tmp_path) == results(without)
    assert len(results(without)) > 8
    assert repr(timeless(found.rows())) == repr(timeless(rows.rows()))
    ours, theirs = ((out / "report.md").read_text() for out in (tmp_path, without))
    assert len(ours.splitlines()) == len(theirs.splitlines())


def working() -> list[int]:
    """Return the processes of Ray that run a task."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::_call"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_killed_workers_change_nothing(address, expected, tmp_path) -> None:
    killed = []

    def kill(line: str) -> None:
        for process in working() if len(killed) < 3 else ():
            os.kill(process, signal.SIGKILL)
            killed.append(process)

    compared(tmp_path, ray=address, log=kill)
    assert killed
    assert results(tmp_path) == results(expected[0])


def test_what_was_interrupted_goes_on_with_or_without(address, expected, tmp_path) -> None:
    told: list[str] = []

    def interrupt(line: str) -> None:
        told.append(line)
        if len(told) == 3:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="3 results are kept"):
        compared(tmp_path, ray=address, log=interrupt)
    kept = set(results(tmp_path))
    assert len(kept) == 3
    compared(tmp_path, log=told.append)
    assert results(tmp_path) == results(expected[0])
    assert len(told) == len(results(tmp_path))


@pytest.mark.long
def test_the_paper_on_ray(address, tmp_path, monkeypatch) -> None:
    from trimetric.experiments import tune

    monkeypatch.setitem(tune.BUDGETS, "small", tune.Budget("small", 1, 2))
    data = tm.synthetic.planted(80, 40, dim=4, clusters=4, per_user=10, seed=2).interactions
    for name, ray in (("with", address), ("without", None)):
        paper.reproduce(data, ("fig6",), out=tmp_path / name, seeds=1, ray=ray)
    assert results(tmp_path / "with") == results(tmp_path / "without")


def test_the_command(tmp_path) -> None:
    asked = ["compare", "planted", "--models", "popularity,itemknn", "--trials", "1", "--quiet"]
    asked += ["--seeds", "1"]
    here = document(*asked, "--out", "b", cwd=tmp_path)
    asked += ["--out", "a", "--ray", "local", "--threads", "1", "--json"]
    ran = trimetric(*asked, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert timeless(json.loads(ran.stdout)["models"]) == timeless(here["models"])


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
@pytest.mark.parametrize("command", [["compare", "planted"], ["reproduce", "fig6"]])
def test_an_address_that_does_not_answer(form, command, tmp_path) -> None:
    where = form.format(raylets.free_port())
    more = ["--dataset", "planted"] if command[0] == "reproduce" else []
    said = refused(*command, *more, "--ray", where, "--quiet", cwd=tmp_path)
    assert where in said
    assert "ray status" in said
    assert not list((tmp_path).rglob("*-*.json"))
    with pytest.raises(ClusterError, match=re.escape(where)):
        compared(tmp_path / "out", ray=where)
