"""Runs logged to MLflow, to a real store of files."""

from pathlib import Path
from typing import Any

import pytest
from command import done, environment, inside

import trimetric as tm
from trimetric import errors
from trimetric.errors import ParameterError
from trimetric.models.tracking import MLflow, tracker
from trimetric.testing.cases import planted

mlflow = pytest.importorskip("mlflow")
QUICK = {"dim": 8, "epochs": 3, "validate_every": 1, "temperature": 0.2}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file:{tmp_path / 'runs'}")
    mlflow.set_experiment("trimetric")  # the last one is of another store
    yield mlflow.MlflowClient()
    mlflow.end_run()


def only_run(client: Any, experiment: str = "trimetric") -> Any:
    found = client.get_experiment_by_name(experiment)
    [run] = client.search_runs([found.experiment_id])
    return run


def test_a_run_is_logged_whole(client: Any, tmp_path: Path) -> None:
    split = tm.split_random(planted(), test=0.1, valid=0.2, seed=0)
    model = tm.SML(**QUICK)
    model.fit(split.train, split.valid, out=tmp_path / "m", callbacks=[MLflow({"who": "me"})])
    run = only_run(client)
    assert run.info.status == "FINISHED"
    assert {name: str(value) for name, value in model.get_params().items()} == run.data.params
    assert run.data.tags["model"] == "sml"
    assert run.data.tags["who"] == "me"
    assert run.data.tags["train.fingerprint"] == split.train.fingerprint
    assert run.data.tags["valid.pairs"] == str(len(split.valid))
    for name in ("loss", "ndcg@10"):
        curve = client.get_metric_history(run.info.run_id, name.replace("@", "_at_"))
        assert [(p.step, p.value) for p in curve] == [
            (row["epoch"], pytest.approx(row[name])) for row in model.history
        ]
    saved = {item.path for item in client.list_artifacts(run.info.run_id, "model")}
    assert "model/model.json" in saved
    assert not [path for path in saved if "checkpoint" in path]
    assert mlflow.active_run() is None


def test_an_open_run_is_used_and_left_open(client: Any) -> None:
    with mlflow.start_run() as mine:
        tm.EASE().fit(planted(), callbacks=[MLflow()])
        assert mlflow.active_run().info.run_id == mine.info.run_id
    run = client.get_run(mine.info.run_id)
    assert (run.data.tags["model"], run.info.status) == ("ease", "FINISHED")


def test_a_failed_run_says_so(client: Any) -> None:
    with pytest.raises(errors.Diverged):
        tm.SML(**QUICK, optimizer="adagrad").fit(planted(), monitor=_diverge, callbacks=[MLflow()])
    run = only_run(client)
    assert run.info.status == "FAILED"
    assert run.data.tags["error"].startswith("Diverged: as if")


def _diverge(model: Any) -> float:
    raise errors.Diverged("as if")


def test_a_server_that_is_not_there_costs_no_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    with pytest.warns(UserWarning, match="the callback MLflow failed in on_start .*goes on"):
        tm.SML(**QUICK).fit(planted(), out=tmp_path / "m", callbacks=[MLflow()])
    assert len(tm.load(tmp_path / "m").history) == 3


def test_on_the_command_line(tmp_path: Path) -> None:
    places = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_TRACKING_URI": f"file:{tmp_path / 'runs'}"}
    fit = ["fit", "planted", "--model", "ease", "--out", tmp_path / "m", "--track"]
    mlflow.set_tracking_uri(places["MLFLOW_TRACKING_URI"])
    done(*fit, "mlflow", env=environment(**places))
    assert len(list((tmp_path / "runs").glob("*/*/artifacts/model/model.json"))) == 1
    told = inside(*fit, "wandb")
    assert told.returncode == 2
    assert "track must be mlflow, got 'wandb'" in told.stderr


def test_unknown_trackers_are_refused() -> None:
    with pytest.raises(ParameterError, match="track must be mlflow"):
        tracker("tensorboard")
