"""Studies: jobs done once, the same results for any number of workers, tuning as told."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import COMMAND, environment

import trimetric as tm
from trimetric.errors import DataError, MissingExtra, ParameterError
from trimetric.experiments import jobs, report, study
from trimetric.experiments.compare import Comparison, compare, listed
from trimetric.experiments.jobs import Job, Ledger, execute
from trimetric.experiments.tune import propose, tuned

PAIRS = tm.synthetic.planted(120, 60, dim=4, clusters=4, per_user=8, seed=1).interactions
SPLIT = tm.split_random(PAIRS, test=0.2, valid=0.2)
QUICK = {"dim": 8, "epochs": 4, "validate_every": 2}
SETTINGS = {"bpr": QUICK, "sml": QUICK}
COMPARE = ["compare", "planted", "--models", "popularity,bpr,sml", "--trials", "3", "--seeds", "2"]
COMPARE += ["--set", "bpr.epochs=40", "--set", "sml.epochs=40", "--set", "sml.dim=16"]


@pytest.fixture(autouse=True)
def without_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no PNG, which starts a browser; that they are drawn is in test_report."""
    monkeypatch.setattr(report, "_images", lambda figures: ({}, "not drawn"))


def compared(out: Path, **more: object) -> Comparison:
    models = ("popularity", "sml")
    return compare(SPLIT, models, out=out, seeds=2, trials=2, settings=SETTINGS, **more)


def timeless(found: Comparison) -> list[dict]:
    """Return the rows without what no two runs share."""
    cost = ("seconds", "memory_mib", "cpu_seconds")
    return [{k: v for k, v in row.items() if k not in cost} for row in found.rows()]


UNGUARDED = """
import trimetric as tm
from trimetric.experiments.compare import compare

split = tm.split_random(tm.synthetic.planted(120, 60, per_user=8).interactions, valid=0.2)
compare(split, ["popularity"], trials=1, out="out", workers=1)
"""


@pytest.mark.slow
def test_a_script_that_workers_would_run_too_is_told_so(tmp_path: Path) -> None:
    """It was said that memory had run out."""
    (tmp_path / "script.py").write_text(UNGUARDED)
    ran = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 1
    last = ran.stderr.splitlines()[-1]
    assert "ParameterError: worker processes import script.py anew" in last
    assert 'under `if __name__ == "__main__":`' in last
    assert "memory" not in ran.stderr


@pytest.mark.parametrize(
    ("split", "models", "said"),
    [
        (SPLIT.train.to_frame(), ["popularity"], "split must be a Split, got DataFrame"),
        (SPLIT, [tm.Popularity()], "models are given by name, such as 'centroid', got Popularity"),
    ],
)
def test_what_compare_cannot_take_is_told(
    split: object, models: list, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ParameterError, match=said):
        compare(split, models, out=tmp_path / "out")


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    one = compared(tmp_path / "one", workers=1)
    two = compared(tmp_path / "two", workers=2)
    assert repr(timeless(one)) == repr(timeless(two))
    reached = [row["ndcg@10"] for row in one.rows()]
    assert reached == sorted(reached, reverse=True)
    sml = next(e for e in one.entrants if e.model == "sml")
    assert [trial["own"] for trial in sml.trials] == [3]  # its temperatures; none is left
    assert len(sml.runs) == 2
    assert sml.settings.items() >= QUICK.items()
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert {"report.html", "report.md", "report.json", "runs"} <= names
    said = (tmp_path / "one" / "report.md").read_text()
    for text in ("popularity", "2 trials", "± ", "full ranking", "seeds"):
        assert text in said


@pytest.mark.slow
def test_a_library_that_was_missing_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("implicit", reason="implicit is not installed")
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "implicit.py").write_text("raise ImportError")
    models, out = ("popularity", "ials"), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.syspath_prepend(absent)  # processes that it starts look there too
        with pytest.raises(DataError, match="needs the library implicit"):
            compare(SPLIT, ["ials"], out=tmp_path / "alone", seeds=1, trials=1)
        first = compare(SPLIT, models, out=out, seeds=1, trials=1)
    assert "needs the library implicit" in first.rows()[1]["error"]
    again = compare(SPLIT, models, out=out, seeds=1, trials=1)
    assert again.rows()[0]["model"] == "ials"
    assert not any(row["error"] for row in again.rows())


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    first = compared(tmp_path)
    told: list[str] = []
    runs = sorted((tmp_path / "runs").glob("*.json"))
    took = first.document["seconds"]
    stamps = [path.stat().st_mtime_ns for path in runs]
    gone = runs[0].read_bytes()
    runs[0].unlink()
    runs[1].write_text('{"half')  # as after a crash of the disk
    again = compared(tmp_path, log=told.append)
    assert len(told) == 2
    assert repr(timeless(again)) == repr(timeless(first))
    assert again.document["seconds"] > took > 0  # what both took together
    assert [p.stat().st_mtime_ns for p in runs[2:]] == stamps[2:]
    old, new = json.loads(gone), json.loads(runs[0].read_bytes())
    assert old["metrics"] == new["metrics"]


def test_a_job_is_the_models_own_evaluation() -> None:
    job = Job("s", "sml", QUICK, seed=3, protocols=("full", "sampled-20"), per_user=("ndcg@10",))
    got = execute(replace(job, margins=True), SPLIT)
    model = tm.SML(**QUICK, seed=3).fit(SPLIT.train, SPLIT.valid)
    full = tm.evaluate(model, SPLIT)
    assert got["metrics"]["full"] == full.metrics
    assert got["metrics"]["sampled-20"] == tm.evaluate(model, SPLIT, "sampled-20").metrics
    assert np.mean(got["per_user"]["ndcg@10"]) == pytest.approx(full["ndcg@10"])
    assert len(got["margins"]["user_margin"]) == len(got["margins"]["user_activity"])
    assert sum(got["margins"]["item_activity"]) == len(SPLIT.train)
    assert got["memory"] > 50
    assert got["epochs"] == 4


@pytest.mark.parametrize(
    "metric", ["micro_recall@10", pytest.param("recall@10", marks=pytest.mark.slow)]
)
def test_what_is_tested_is_the_difference_of_what_is_shown(metric: str, tmp_path: Path) -> None:
    """Of a metric averaged over interactions too, in which users count by their held-out items."""
    few_held_out = SPLIT.test.to_frame().filter(pl.len().over("user") == 1)
    lists = {"few": few_held_out.select("user", "item").with_columns(rank=1)}
    padding = [{"user": few_held_out["user"][0], "item": -n, "rank": n} for n in range(2, 11)]
    lists["few"] = pl.concat([lists["few"], pl.DataFrame(padding)], how="vertical_relaxed")
    found = compare(
        SPLIT, ["popularity", "itemknn"], out=tmp_path, trials=1, lists=lists, metric=metric
    )
    values = {row["model"]: row[metric] for row in found.rows()}
    best = found.entrants[0].model
    assert len(found.differences) == 2
    for model, difference in found.differences.items():
        assert difference.difference == pytest.approx(values[model] - values[best]), model
        assert difference.difference <= 0


def test_a_leaked_job_is_better_among_its_pool() -> None:
    settings = {"preset": "released", "epochs": 30, "validate_every": 5, "patience": 0}
    split = tm.split_random(PAIRS, test=0.1, valid=0)
    got = execute(Job("s", "sml", settings, protocols=("as-released",), leaked=True), split)
    assert got["evaluations"] == 7
    assert 0 < got["metrics"]["as-released"]["micro_recall@5"] <= 1


def test_errors_are_results() -> None:
    got = execute(Job("s", "sml", {"metric": "accuracy"}), SPLIT)
    assert got.keys() == {"error"}
    assert "accuracy" in got["error"]


def test_the_same_job_of_two_plans_is_done_once(tmp_path: Path) -> None:
    def plan():
        found = yield [Job("s", "popularity")]
        return found[0]["metrics"]["full"]["ndcg@10"]

    told: list[str] = []
    plans = {name: plan() for name in "abc"}
    found = study.run(plans, {"s": SPLIT}, tmp_path, workers=2, log=told.append)
    assert len(told) == len(list(tmp_path.glob("*.json"))) == 1
    assert len(set(found.values())) == 1


def test_a_result_belongs_to_its_data(tmp_path: Path) -> None:
    job = Job("s", "popularity")
    other = tm.split_random(PAIRS, test=0.2, valid=0.2, seed=1)
    assert Ledger(tmp_path, {"s": SPLIT}).path(job) != Ledger(tmp_path, {"s": other}).path(job)
    changed = replace(job, seed=1)
    assert Ledger(tmp_path, {"s": SPLIT}).path(job) != Ledger(tmp_path, {"s": SPLIT}).path(changed)


@pytest.mark.long
def test_interrupted_and_killed_comparisons_go_on(tmp_path: Path) -> None:
    """Ctrl-C to the whole group, as a terminal sends it, and kill -9 to the parent alone."""
    runs = tmp_path / "c" / "runs"

    def started() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*COMMAND, *COMPARE, "--out", "c", "--json"],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def kept() -> int:
        return len(list(runs.glob("*.json"))) if runs.exists() else 0

    for number in (signal.SIGINT, signal.SIGKILL):
        before, took = kept(), study.seconds(runs)
        with started() as running:
            until = time.monotonic() + 60
            while kept() < before + 2 and time.monotonic() < until:
                time.sleep(0.02)
            if number == signal.SIGINT:
                os.killpg(running.pid, number)
            else:
                running.kill()
            _, said = running.communicate(timeout=30)
        assert running.returncode == (130 if number == signal.SIGINT else -number), said
        if number == signal.SIGINT:
            assert "results are kept in" in said
            assert "Traceback" not in said
        assert before + 2 <= kept() < 13
        assert study.seconds(runs) > took
    with started() as running:
        out, said = running.communicate(timeout=120)
    assert running.returncode == 0, said
    assert {row["model"] for row in json.loads(out)["models"]} == {"popularity", "bpr", "sml"}
    assert said.count(", seed ") < 13 - 3  # what was done is not done again


@pytest.mark.slow
def test_orphans_end(tmp_path: Path) -> None:
    """Workers do not outlive a parent that was killed."""
    code = (
        "import os, time, threading, multiprocessing as mp\n"
        "from trimetric.experiments import pools\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "pool = ProcessPoolExecutor(1, mp.get_context('spawn'), pools.initialize_worker, ({},))\n"
        "print(pool.submit(os.getpid).result(), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [COMMAND[0], "-c", code], stdout=subprocess.PIPE, text=True, env=environment()
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        os.kill(worker, 0)
        parent.kill()
    until = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()


# --- tuning ---------------------------------------------------------------------------------------

SPACE = {"lr": (0.01, 1.0, "log"), "margin": (0.2, 2.0), "candidates": {"choices": (1, 5, 10)}}


def drive(plan, value):
    """Run a tuning plan against a function of the settings instead of a model."""
    tried, results = [], None
    while True:
        try:
            [job] = plan.send(results)
        except StopIteration as end:
            return end.value, tried
        tried.append(job)
        score = value(job.settings)
        results = [{"metrics": {"full": {"ndcg@10": score}}, "seconds": 1.0, "epochs": 1}]


def test_tuning_starts_with_the_defaults_and_finds_better() -> None:
    def score(settings):
        lr = settings.get("lr", tm.SML().config.lr)
        return -abs(np.log10(lr) + 1.5)

    (settings, log), tried = drive(tuned(Job("s", "sml"), 12, "ndcg@10", space=SPACE), score)
    assert len(tried) == len(log) == 12
    assert tried[0].settings == {}
    assert all(job.part == "valid" and not job.per_user for job in tried)
    values = [row["value"] for row in log]
    assert score(settings) == max(values) > values[0]
    again = drive(tuned(Job("s", "sml"), 12, "ndcg@10", space=SPACE), score)
    assert again[0] == (settings, log)
    other = drive(tuned(Job("s", "sml"), 12, "ndcg@10", space=SPACE, seed=1), score)
    assert other[0][1][1] != log[1]


def test_tuning_passes_over_failures() -> None:
    (settings, log), _ = drive(
        tuned(Job("s", "sml"), 4, "ndcg@10", space=SPACE), lambda s: 1.0 if not s else None
    )
    assert settings == {}
    assert [row["value"] for row in log] == [1.0, None, None, None]


def test_given_settings_are_not_searched() -> None:
    (settings, log), _ = drive(
        tuned(Job("s", "sml", {"lr": 0.3}), 3, "ndcg@10", space=SPACE), lambda s: 0.0
    )
    assert settings["lr"] == 0.3
    assert all("lr" not in row["settings"] for row in log)


def test_nothing_to_search_takes_one_trial() -> None:
    (_, log), tried = drive(tuned(Job("s", "popularity"), 9, "ndcg@10"), lambda s: 0.0)
    assert len(log) == len(tried) == 1


def test_proposals_stay_inside() -> None:
    log: list[dict] = []
    for number in range(8):
        tried = propose(SPACE, log, 0)
        assert 0.01 <= tried["lr"] <= 1
        assert 0.2 <= tried["margin"] <= 2
        assert tried["candidates"] in (1, 5, 10)
        log.append({"settings": tried, "value": float(number)})
    assert len({row["settings"]["lr"] for row in log}) == 8
    odd = [{"settings": {"lr": 9.0, "margin": 0.5, "candidates": 1}, "value": 1.0}]
    assert propose(SPACE, odd, 0)  # defaults may lie outside


# --- what is refused ------------------------------------------------------------------------------


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="got 'oracle'"):
        listed("sml,oracle")
    with pytest.raises(ParameterError, match="got 'none'"):
        listed(" , ")
    for wrong, told in (
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"size": "huge"}, "budget must be one of small, medium, large"),
        ({"trials": 0}, "trials must be at least 1"),
        ({"metric": "ndcg@7"}, "is not one that full reports"),
        ({"protocol": "fair"}, "unknown protocol 'fair'"),
    ):
        with pytest.raises(ParameterError, match=told):
            compare(SPLIT, "popularity", out=tmp_path, **wrong)
    with pytest.raises(DataError, match="no validation part"):
        compare(tm.split_random(PAIRS, valid=0), "popularity", out=tmp_path)
    assert not list(tmp_path.iterdir())
    assert jobs.LEAKED == "as-released"


def test_without_optuna_nothing_is_trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ran(*_: object) -> None:
        raise AssertionError("a job ran before")

    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setattr(jobs, "_run", ran)
    with pytest.raises(MissingExtra, match="trimetric\\[tune\\]"):
        compared(tmp_path)
    assert list(tuned(Job("s", "popularity", {}), 5, "ndcg@10").send(None))  # has nothing to tune


def test_numbers_of_numpy_reach_the_report(tmp_path: Path) -> None:
    settings = {"bpr": {"dim": np.int64(4), "epochs": np.int16(1), "lr": np.float32(0.25)}}
    given = {"seeds": np.int64(1), "trials": np.int64(1), "workers": 1, "settings": settings}
    compare(SPLIT, ("popularity", "bpr"), out=tmp_path / "c", **given)  # type: ignore[arg-type]
    written = json.loads((tmp_path / "c" / "report.json").read_text())
    assert written["budget"]["trials"] == 1
    plain = {"bpr": {"dim": 4, "epochs": 1, "lr": 0.25}}
    again = {"seeds": 1, "trials": 1, "workers": 1, "settings": plain}
    before = sorted((tmp_path / "c" / "runs").iterdir())
    compare(SPLIT, ("popularity", "bpr"), out=tmp_path / "c", **again)
    assert sorted((tmp_path / "c" / "runs").iterdir()) == before


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"models": 3}, "models must be names, or all, got 3"),
        ({"lists": 3}, "lists must be a mapping of names to lists, got 3"),
        ({"settings": 3}, "settings must be of models, such as"),
        ({"settings": {"sml": 3}}, "settings must be of models, such as"),
        ({"settings": {"slm": {"dim": 4}}}, "settings are of 'slm', which is no model"),
        ({"protocol": 3}, "protocol must be text, got 3"),
    ],
)
def test_options_of_other_types(option: dict, words: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=words):
        compare(SPLIT, **{"models": ["popularity"], "out": tmp_path, **option})
