"""Logs, prepared parts and models in an object store, on a real S3 server of this machine."""

import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import stores
from command import COMMAND, inside

import trimetric as tm
from trimetric.errors import (
    ArtifactError,
    CheckpointMismatch,
    DataError,
    Interrupted,
    MissingExtra,
    OutputError,
    ParameterError,
    Superseded,
    TrimetricError,
)
from trimetric.models.forgetting import mark_unavailable
from trimetric.models.sharded_index import partitions_in
from trimetric.scale import log_files
from trimetric.storage import artifact
from trimetric.storage.published import Folder, fetched, in_cache, working
from trimetric.storage.store import Store

ROOT = f"s3://{stores.BUCKET}"
OPTIONS: dict[str, Any] = {"partitions": 3, "valid": 0.1, "test": 0.1, "seed": 3}
SMALL = "from trimetric.scale import log_files; log_files.TASK_BYTES = 1;"
numbers = itertools.count()


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with stores.s3_server() as reached, pytest.MonkeyPatch.context() as patch:
        reached["TRIMETRIC_CACHE"] = str(tmp_path_factory.mktemp("cache"))
        for name, value in reached.items():
            patch.setenv(name, value)
        yield reached


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs in several forms, here and in the bucket below log/."""
    room = tmp_path_factory.mktemp("log")
    rng = np.random.default_rng(1)
    frame = pl.DataFrame(
        {
            "user": rng.integers(0, 60, 900),
            "item": [f"i{n}" for n in rng.integers(0, 50, 900)],
            "rating": [None if n == 7 else n % 5 + 1 for n in range(900)],
        }
    )
    for at in range(3):
        some = frame[at::3]
        for place in (f"days/day={at}", "flat", "other"):
            (room / place).mkdir(parents=True, exist_ok=True)
        some.write_parquet(room / f"days/day={at}/x.parquet")
        some.write_parquet(room / f"flat/{at}.parquet")
        some.write_csv(room / f"flat/{at}.csv")
        some.write_ndjson(room / f"other/{at}.jsonl")
    (room / "days/_SUCCESS").touch()
    (room / "flat/a b [1].csv").write_bytes((room / "flat/0.csv").read_bytes())
    store = Store(f"{ROOT}/log", writing=True)
    for path in room.rglob("*"):
        if path.is_file():
            store.put(path.relative_to(room).as_posix(), path)
    return room


@pytest.fixture(scope="module")
def prepared(room: Path) -> tm.Prepared:
    return tm.prepare(f"{ROOT}/log/flat/*.parquet", f"{ROOT}/prepared", **KEEP, **OPTIONS)


KEEP = {"nulls": "drop"}


def small() -> tm.Interactions:
    return tm.synthetic.planted(200, 60, per_user=8).interactions


def fresh() -> str:
    return f"{ROOT}/fresh-{next(numbers)}"


def objects(uri: str) -> dict[str, bytes]:
    store = Store(uri)
    return {file.name: store.read(file.name) or b"" for file in store.files()}


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def facts(index: bytes) -> dict[str, Any]:
    """Return what an index says but for where and when the log was found."""
    told = json.loads(index)
    del told["plan"]["sources"]
    return told


# --- logs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "log",
    [
        "flat/*.parquet",
        "flat/[0-1].parquet",
        "flat/?.parquet",
        "days",
        "days/",
        "days/**/*.parquet",
        "d*/day=[12]/x.parquet",
        "other",
        "other/*.jsonl",
        "flat/[0-9].csv",
        "flat/a b [1].csv",
        "flat/1.parquet",
    ],
)
def test_logs_are_those_of_files(room: Path, tmp_path: Path, log: str) -> None:
    here = tm.prepare(f"{room}/{log}", tmp_path / "here", **KEEP, **OPTIONS)
    there = tm.prepare(f"{ROOT}/log/{log}", tmp_path / "there", **KEEP, **OPTIONS)
    one, other = files(here.folder), files(there.folder)
    assert facts(one.pop("prepared.json")) == facts(other.pop("prepared.json"))
    assert one == other
    assert there.report.rows_read > 0
    whole = tm.Interactions.read(f"{ROOT}/log/{log}", **KEEP)
    assert whole.fingerprint == tm.Interactions.read(f"{room}/{log}", **KEEP).fingerprint
    assert not list((tmp_path / "there").glob("**/.fetched-*"))


def test_folders_tell_of_columns(room: Path) -> None:
    given = {"rating": "day", "nulls": "drop"}
    whole = tm.Interactions.read(f"{ROOT}/log/days", **given)
    assert sorted(set(whole.ratings.tolist())) == [0, 1, 2]
    one = tm.Interactions.read(f"{ROOT}/log/days/day=1/*.parquet", **given)
    assert set(one.ratings.tolist()) == {1}


def test_several_places_and_small_tasks(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = ["flat/0.parquet", "days/day=1", "flat/2.par*"]
    here = tm.prepare([f"{room}/{p}" for p in places], tmp_path / "here", **KEEP, **OPTIONS)
    monkeypatch.setattr(log_files, "TASK_BYTES", 1)
    mixed = [f"{ROOT}/log/{places[0]}", room / places[1], f"{ROOT}/log/{places[2]}"]
    there = tm.prepare(mixed, tmp_path / "there", **KEEP, **OPTIONS)
    assert there.fingerprint == here.fingerprint
    assert there.report.rows_read == here.report.rows_read


def test_a_damaged_object_is_named(room: Path, tmp_path: Path) -> None:
    log = fresh()
    store = Store(log, writing=True)
    store.put("0.parquet", room / "flat/0.parquet")
    store.put("1.parquet", (room / "flat/1.parquet").read_bytes()[:-9])
    with pytest.raises(DataError, match=rf"{log}/1\.parquet is not a whole parquet file"):
        tm.prepare(f"{log}/*", tmp_path / "out", **KEEP, **OPTIONS)


# --- prepared parts -------------------------------------------------------------------------------


def test_prepared_parts_are_those_of_files(
    prepared: tm.Prepared, room: Path, tmp_path: Path, server: dict[str, str]
) -> None:
    here = tm.prepare(f"{room}/flat/*.parquet", tmp_path / "here", **KEEP, **OPTIONS)
    there = objects(f"{ROOT}/prepared")
    local = files(here.folder)
    assert facts(there.pop("prepared.json")) == facts(local.pop("prepared.json"))
    assert there == local
    assert not working(f"{ROOT}/prepared").exists()
    for again in (tm.Prepared(f"{ROOT}/prepared/"), pickle.loads(pickle.dumps(prepared))):
        assert (again.name, again.fingerprint) == (f"{ROOT}/prepared", here.fingerprint)
        assert again.user_ids(2).values.to_list() == here.user_ids(2).values.to_list()
        assert again.item_ids(5).values.to_list() == here.item_ids(5).values.to_list()
        mine, its = again.cell(1, 4), here.cell(1, 4)
        assert mine.users.tolist() == its.users.tolist()
        assert mine.items.tolist() == its.items.tolist()
        assert again.held_out("test", 0).equals(here.held_out("test", 0))
    shown = inside("data", "inspect", f"{ROOT}/prepared", "--json", env={**os.environ})
    assert json.loads(shown.stdout)["fingerprint"] == here.fingerprint


def test_only_what_is_read_is_fetched(
    prepared: tm.Prepared, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRIMETRIC_CACHE", str(tmp_path))
    again = tm.Prepared(f"{ROOT}/prepared")
    again.cell(1, 0)
    assert [path.name for path in tmp_path.rglob("*.arrow")] == ["part-00001.arrow"]
    before = Store(f"{ROOT}/prepared").read("pairs/part-00001.arrow")
    [kept] = tmp_path.rglob("*.arrow")
    assert kept.read_bytes() == before


def test_prepared_once(prepared: tm.Prepared) -> None:
    log = f"{ROOT}/log/flat/*.parquet"
    again = tm.prepare(log, f"{ROOT}/prepared", **KEEP, **OPTIONS)
    assert again.fingerprint == prepared.fingerprint
    with pytest.raises(CheckpointMismatch, match=rf"{ROOT}/prepared .*partitions: 3 there, 4 now"):
        tm.prepare(log, f"{ROOT}/prepared", **KEEP, **{**OPTIONS, "partitions": 4})
    with pytest.raises(OutputError, match=r"other files .*choose a folder that is new or empty"):
        tm.prepare(log, f"{ROOT}/log", **KEEP, **OPTIONS)
    with pytest.raises(OutputError, match="other files"):
        tm.prepare(log, f"{ROOT}/log/flat/0.csv", **KEEP, **OPTIONS)


def test_a_log_that_is_refused_leaves_nothing(room: Path) -> None:
    out = fresh()
    with pytest.raises(DataError, match="holds no value"):
        tm.prepare(f"{ROOT}/log/flat/*.parquet", out, nulls="error", **OPTIONS)
    assert objects(out) == {}
    assert not working(out).exists()


@pytest.mark.slow
def test_killed_and_resumed(prepared: tm.Prepared, server: dict[str, str]) -> None:
    expected, out = objects(f"{ROOT}/prepared"), fresh()
    command = [sys.executable, "-c", f"{SMALL} from trimetric.cli import main; main()"]
    command += ["data", "prepare", f"{ROOT}/log/flat/*.parquet", "--out", out, "--resume"]
    command += ["--partitions", "3", "--valid", ".1", "--test", ".1", "--seed", "3"]
    command += ["--nulls", "drop", "--quiet"]

    def read() -> bool:
        return (working(out) / "work" / "read-00000.json").exists()

    def publishing() -> bool:
        return bool(Store(out).kind("work/plan.json"))

    for moment in (read, publishing):
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while running.poll() is None and not moment():
            time.sleep(0.001)
        running.send_signal(signal.SIGKILL)
        running.wait()
        if "prepared.json" not in objects(out):
            with pytest.raises(DataError, match=r"is no folder|is not finished|holds no prepared"):
                tm.Prepared(out)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert objects(out) == expected
    assert not working(out).exists()


# --- models ---------------------------------------------------------------------------------------


def learned(model: Any) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in model.tensors().items()}


def test_trained_in_parts(prepared: tm.Prepared, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"dim": 4, "epochs": 2, "temperature": 0.3}
    out = fresh()
    model = tm.SML(**settings).fit(prepared, out=out, workdir=tmp_path / "work")
    here = tm.SML(**settings).fit(prepared, out=tmp_path / "m")
    assert learned(model) == learned(here) == learned(tm.load(out))
    there = objects(out)
    local = files(tmp_path / "m")
    assert there.keys() == local.keys()
    assert {n: b for n, b in there.items() if n != "model.json"} == {
        n: b for n, b in local.items() if n != "model.json"
    }
    opened = tm.ShardedModel.open(out)
    users = prepared.user_ids(1).values.to_list()[:5]
    assert opened.recommend(users, k=3).equals(here.recommend(users, k=3))
    assert fetched(out) == opened.folder
    assert opened.folder.is_relative_to(in_cache("models"))
    env = {**os.environ}
    shown = inside("evaluate", out, "--test", f"{ROOT}/prepared/test", "--json", env=env)
    assert json.loads(shown.stdout)["folder"] == out, shown.stderr
    lists = tmp_path / "lists.parquet"
    ran = inside("recommend", out, "--all", "-k", "3", "--out", lists, env=env)
    assert ran.returncode == 0, ran.stderr
    assert pl.read_parquet(lists)["user"].n_unique() == opened.n_users


def test_by_the_command(prepared: tm.Prepared) -> None:
    out, env = fresh(), {**os.environ}
    fit = ("fit", f"{ROOT}/prepared", "--out", out, "--dim", "4", "--epochs", "1", "--set")
    fit += ("temperature=0.3", "--model", "sml", "--quiet")
    assert inside(*fit, env=env).returncode == 0
    first = objects(out)
    again = inside(*fit, "--resume", "--json", env=env)
    assert json.loads(again.stdout)["already_finished"]
    assert objects(out) == first
    assert not working(out).exists()


def test_stopped_and_resumed(prepared: tm.Prepared, tmp_path: Path) -> None:
    class Stop(tm.Callback):
        def on_epoch(self, row: dict[str, Any]) -> None:
            signal.raise_signal(signal.SIGINT)

    settings: dict[str, Any] = {"dim": 4, "epochs": 2, "temperature": 0.3}
    out, also = fresh(), {"checkpoint_seconds": 0.0}
    with pytest.raises(Interrupted, match="saved in"):
        tm.SML(**settings).fit(prepared, out=out, callbacks=[Stop()], **also)
    assert objects(out) == {}
    assert (working(out) / "checkpoint" / "run.json").exists()
    with pytest.raises(OutputError, match=r"unfinished run.*--resume"):
        tm.SML(**settings).fit(prepared, out=out)
    resumed = tm.SML(**settings).fit(prepared, out=out, resume=True)
    assert learned(resumed) == learned(tm.SML(**settings).fit(prepared, out=tmp_path / "m"))
    assert not working(out).exists()


@pytest.mark.parametrize("data", [f"{ROOT}/prepared", f"{ROOT}/log/flat/*.parquet"])
def test_resumed_after_training_before_publishing(prepared: tm.Prepared, data: str) -> None:
    out, env = fresh(), {**os.environ}
    fit = ("fit", data, "--out", out, "--model", "sml", "--dim=4", "--epochs=1", "--quiet")
    fit += ("--set", "temperature=0.3", *(() if "prep" in data else ("--nulls", "drop")))
    assert inside(*fit, env=env).returncode == 0
    made, store = objects(out), Store(out, writing=True)
    for name, content in made.items():  # as if it had been killed while it was published
        working(out).mkdir(parents=True, exist_ok=True)
        (working(out) / name).write_bytes(content)
        store.remove(name)
    again = inside(*fit, "--resume", "--json", env=env)
    assert json.loads(again.stdout)["already_finished"], again.stderr
    assert objects(out) == made
    assert not working(out).exists()


@pytest.mark.parametrize("scheme", ["s3", "memory"])
def test_any_model_is_saved_and_loaded(scheme: str) -> None:
    out = fresh().replace("s3", scheme, 1)
    data = small()
    model = tm.create("popularity").fit(data)
    model.save(out)
    assert tm.load(out).recommend(k=5).equals(model.recommend(k=5))
    checksum = artifact.checksum(out)
    before = set(objects(out))
    other = tm.create("popularity").fit(data.take(np.arange(len(data) // 2)))
    other.save(Path(out))
    assert before & set(objects(out)) == {"model.json"}
    assert tm.load(out).recommend(k=5).equals(other.recommend(k=5))
    with pytest.raises(Superseded, match="another save"):
        model.save(out, replaces=checksum)
    trained = tm.create("itemknn").fit(data, out=out)
    assert learned(tm.load(out)) == learned(trained)


def test_updated_in_a_store(room: Path, tmp_path: Path) -> None:
    out, env = fresh(), {**os.environ}
    tm.CentroidML(dim=4, epochs=1, temperature=0.3).fit(small()).save(out, partitions=2)
    pl.DataFrame({"user": ["new", "new"], "item": small().item_ids[:2]}).write_csv(
        tmp_path / "new.csv"
    )
    ran = inside("update", out, "--with", tmp_path / "new.csv", "--out", out, "--quiet", env=env)
    assert ran.returncode == 0, ran.stderr
    opened = tm.ShardedModel.open(out)
    assert (opened.n_parts, opened.n_users) == (2, 201)
    item = opened.item_ids[0]
    ran = inside("unavailable", out, "--item", item, env=env)
    assert ran.returncode == 0, ran.stderr
    assert tm.load(out).unavailable.to_list() == [item]


def test_half_of_a_model_is_none(prepared: tm.Prepared) -> None:
    out = fresh()
    store = Store(out, writing=True)
    tm.SML(dim=4, epochs=1, temperature=0.3).fit(prepared, out=out)
    index = store.read("model.json")
    assert index is not None
    store.remove("model.json")
    with pytest.raises(ArtifactError, match=rf"{out} is not a trimetric artifact: it has no model"):
        tm.load(out)
    shard = next(name for name in objects(out) if name.startswith("users-00001"))
    store.remove(shard)
    store.put("model.json", index)
    with pytest.raises(ArtifactError, match=rf"{out}/{shard} is missing"):
        tm.ShardedModel.open(out)


def test_a_damaged_object_of_a_model_is_refused() -> None:
    out = fresh()
    tm.create("popularity").fit(small().take(np.arange(300))).save(out)
    [name] = [name for name in objects(out) if name.startswith("tensors")]
    Store(out, writing=True).put(name, objects(out)[name][:-1] + b"?")
    with pytest.raises(ArtifactError, match="damaged"):
        tm.load(out)


def test_what_stays_on_this_machine(prepared: tm.Prepared) -> None:
    with pytest.raises(ParameterError, match=r"workdir s3://.* is a URI.*a folder of this machine"):
        tm.SML(epochs=1).fit(prepared, out=fresh(), workdir=fresh())
    out = fresh()
    tm.create("popularity").fit(small()).save(out)
    ran = inside("forget", out, "--user", "1", env={**os.environ})
    assert (ran.returncode, "folders of this machine" in ran.stderr) == (2, True)


# --- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        (f"{ROOT}/none.csv", "does not exist"),
        (f"{ROOT}/log/none/*.csv", r"matches no file; .*/log/none has no files"),
        (f"{ROOT}/log/flat/*.txt", r"matches no file; .*/flat has \d others, such as"),
        ("s3://no-such-bucket/log.csv", "does not exist|no such bucket"),
        ("s3://no-such-bucket/*.csv", "no such bucket"),
        ("s3://*/a.csv", "bucket must be named"),
        (f"{ROOT}/log/flat", "several formats"),
        ("nosuch://host/x", "no kind of URI"),
    ],
)
def test_logs_that_are_not_there(room: Path, uri: str, told: str, tmp_path: Path) -> None:
    for read in (
        lambda: tm.Interactions.read(uri),
        lambda: tm.prepare(uri, tmp_path / "out", partitions=2),
    ):
        with pytest.raises(DataError, match=told) as caught:
            read()
        assert uri.split("*")[0].rstrip("/") in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_places_that_are_not_there(prepared: tm.Prepared) -> None:
    with pytest.raises(OutputError, match="no such bucket"):
        tm.prepare(f"{ROOT}/log/other", "s3://no-such-bucket/x", **KEEP, **OPTIONS)
    with pytest.raises(OutputError, match="no such bucket"):
        tm.SML(epochs=1).fit(prepared, out="s3://no-such-bucket/x")
    with pytest.raises(TrimetricError, match=r"no such bucket|nothing at"):
        tm.load("s3://no-such-bucket/x")
    with pytest.raises(ArtifactError, match=f"nothing at {ROOT}/none"):
        tm.load(f"{ROOT}/none")
    with pytest.raises(ArtifactError, match="is a file"):
        tm.ShardedModel.open(f"{ROOT}/log/flat/0.csv")
    with pytest.raises(DataError, match="is no folder"):
        tm.Prepared(f"{ROOT}/none")
    with pytest.raises(DataError, match=r"holds no prepared\.json"):
        tm.Prepared(f"{ROOT}/log")


def in_time(*command: str, **environment: str) -> str:
    """Run a command that must be refused within 30 seconds; return what it said."""
    env = {**os.environ, **environment}
    for name in [name for name, value in env.items() if value == ""]:
        del env[name]
    ran = subprocess.run([*COMMAND, *command], env=env, capture_output=True, text=True, timeout=30)
    assert (ran.returncode, ran.stdout, "Traceback" in ran.stderr) == (2, "", False), ran.stderr
    return ran.stderr


def test_a_store_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    told = in_time("data", "inspect", f"{ROOT}/x.csv", **dead)
    assert f"{ROOT}/x.csv cannot be read: the store does not answer" in told
    monkeypatch.setenv("AWS_ENDPOINT_URL", dead["AWS_ENDPOINT_URL"])
    with pytest.raises(OutputError, match=f"{ROOT}/m cannot be written: the store does not"):
        tm.create("popularity").fit(small(), out=f"{ROOT}/m")


def test_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    log = ("data", "prepare", f"{ROOT}/*.csv", "--partitions=2", "--out=x")
    with stores.s3_server(strict=True) as strict:
        told = in_time(*log, AWS_ENDPOINT_URL=strict["AWS_ENDPOINT_URL"])
        assert f"{ROOT}/*.csv cannot be read: access is refused; set AWS_ACCESS_KEY_ID" in told
    with stores.refusing_server() as address:
        none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_ENDPOINT_URL": address}
        assert "access is refused; set AWS_ACCESS_KEY_ID" in in_time(*log, **none)
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(DataError, match=f"{ROOT}/m/model.json cannot be read: access is refu"):
            tm.load(f"{ROOT}/m")


def test_without_a_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(MissingExtra, match=r"abfs://box/x\.csv .*adlfs.*trimetric\[files\]"):
        tm.prepare("abfs://box/x.csv", tmp_path / "out", partitions=2)
    for missing in ("pyarrow", "pyarrow.fs"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)
            for call in (
                lambda: tm.Interactions.read(f"{ROOT}/log/flat/0.csv"),
                lambda: tm.load("gs://bucket/m"),
                lambda: tm.create("popularity").save("s3://bucket/m"),
            ):
                with pytest.raises(MissingExtra, match=r"trimetric\[files\]"):
                    call()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "fsspec", None)
        with pytest.raises(MissingExtra, match=r"trimetric\[files\]"):
            tm.Interactions.read("memory://log/0.csv")


def test_secrets_are_not_shown() -> None:
    with pytest.raises(DataError) as caught:
        tm.Interactions.read(f"s3://key:hidden@{stores.BUCKET}/none.csv")
    assert "hidden" not in str(caught.value)


@pytest.mark.slow
def test_where_a_uri_says_the_store_is(monkeypatch: pytest.MonkeyPatch, room: Path) -> None:
    host = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    where = f"?endpoint_override={host}&scheme=http"
    found = tm.Interactions.read(f"{ROOT}/log/flat/?.parquet{where}", **KEEP)
    assert found.fingerprint == tm.Interactions.read(room / "flat/*.parquet", **KEEP).fingerprint
    assert Folder(f"{ROOT}/log{where}", "flat/0.csv").holds("flat/0.csv")


@pytest.mark.parametrize("partitions", [None, 3])
def test_items_are_marked_in_a_store(partitions: int | None, tmp_path: Path) -> None:
    place, marked = f"s3://{stores.BUCKET}/marks{partitions}", f"s3://{stores.BUCKET}/marked"
    pairs = [(f"u{n}", f"i{n % 7}") for n in range(40)] + [
        (f"u{n}", f"i{n % 5}") for n in range(40)
    ]
    tm.SML(epochs=1, dim=4, temperature=0.3).fit(pairs).save(place, partitions=partitions)
    assert mark_unavailable(place, ["i1", "nope"]) == (1, 1)
    assert mark_unavailable(place, ["i3"], "add", marked) == (2, 0)
    for where, items in ((place, ["i1"]), (marked, ["i1", "i3"])):
        assert tm.load(where).unavailable.to_list() == items
        assert partitions_in(where) == partitions
        assert len(tm.load(where).user_ids) == 40
