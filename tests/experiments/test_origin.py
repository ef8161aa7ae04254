"""What computed a result: a fingerprint that changes with code, and not with words."""

import shutil
import subprocess
from pathlib import Path

import pytest

import trimetric as tm
from trimetric.experiments import fingerprint, origin
from trimetric.experiments.jobs import Job, Ledger
from trimetric.experiments.tune import spent, tuned

SPLIT = tm.split_random(
    tm.synthetic.planted(60, 40, dim=4, per_user=8, seed=1).interactions, valid=0.2
)


def test_the_fingerprint_changes_with_code_and_not_with_words(tmp_path):
    shutil.copytree(origin.PACKAGE, tmp_path / "p", ignore=shutil.ignore_patterns("__pycache__"))
    first = fingerprint.fingerprint(tmp_path / "p")
    assert first == origin.code()
    adam = next((tmp_path / "p" / "engine").rglob("*.py"))
    source = adam.read_text()
    adam.write_text("# A comment.\n" + source.replace('"""', '"""Other words. ', 1))
    assert fingerprint.fingerprint(tmp_path / "p") == first
    adam.write_text(source + "\nCHANGED = 1\n")
    assert fingerprint.fingerprint(tmp_path / "p") != first
    adam.write_text(source)
    report = tmp_path / "p" / "experiments" / "report" / "tables.py"
    report.write_text(report.read_text() + "\nCHANGED = 1\n")  # computes nothing
    assert fingerprint.fingerprint(tmp_path / "p") == first


@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_the_fingerprint_is_the_same_from_every_python(version):
    script = "import runpy, sys, pathlib; run = runpy.run_path(sys.argv[1])['fingerprint'];"
    script += "print(run(pathlib.Path(sys.argv[2])))"
    command = [f"python{version}", "-c", script, fingerprint.__file__, str(origin.PACKAGE)]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"no Python {version} here")
    assert told.stdout.strip() == origin.code()


def test_another_trainer_never_takes_an_old_result(tmp_path, monkeypatch):
    ledger, job = Ledger(tmp_path, {"s": SPLIT}), Job("s", "popularity")
    ledger.put(job, {"seconds": 1})
    assert ledger.get(job)["seconds"] == 1
    monkeypatch.setattr(origin, "code", lambda: "other")
    assert ledger.get(job) is None


def test_recipes_are_the_default_settings():
    found = origin.recipe(["sml", "centroid", "sml"])
    assert list(found) == ["centroid", "sml"]
    assert found == origin.recipe(["centroid", "sml"])
    assert len({*origin.recipe(["sml", "cml", "bpr"]).values()}) == 3


def test_the_commit_is_that_of_the_checkout():
    commit = origin.commit()
    in_checkout = (Path(__file__).parents[2] / ".git").exists()
    assert (commit is not None) == in_checkout


def run(plan, results):
    """Answer the jobs of a plan with made-up results; return its outcome and the settings asked."""
    asked, answer = [], None
    while True:
        try:
            [job] = plan.send(answer)
        except StopIteration as end:
            return end.value, asked
        asked.append(job.settings)
        answer = [{"metrics": {"full": {"ndcg@10": 0.1}}, **results(job.settings)}]


def test_trainings_that_a_model_makes_itself_count_as_trials():
    own = {"tried": [[0.1, 1.0], [0.2, 2.0], [0.4, 3.0]]}

    def results(settings):
        return {"cpu_seconds": 1.0} | ({} if "temperature" in settings else {"tuned": own})

    (_, log), asked = run(tuned(Job("s", "sml"), 6, "ndcg@10"), results)
    assert [row["own"] for row in log] == [3, *[0] * (len(log) - 1)]
    assert spent(log) == 6
    assert len(asked) == 3
    (_, log), _ = run(tuned(Job("s", "bpr"), 6, "ndcg@10"), lambda settings: {})
    assert (len(log), spent(log)) == (6, 6)
    (_, log), _ = run(tuned(Job("s", "popularity"), 6, "ndcg@10"), lambda settings: {})
    assert (len(log), spent(log)) == (1, 1)


def test_the_trainings_of_centroid_are_counted():
    model = tm.CentroidML(epochs=3, dim=4).fit(SPLIT, progress=False)
    from trimetric.models.centroid_trials import trials_in

    assert trials_in(model.tuned) == 5
    fewer = tm.CentroidML(epochs=3, dim=4, temperature=0.2).fit(SPLIT, progress=False)
    assert trials_in(fewer.tuned) == 2
    assert trials_in({}) == 0
