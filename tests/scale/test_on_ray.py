"""A log prepared on Ray has the bytes it has without, whatever is lost meanwhile."""

import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import raylets
import remote_work
from command import done, refused

import trimetric as tm
from trimetric.errors import ClusterError, DataError, ParameterError
from trimetric.scale import log_files, preparing_on_ray

pytest.importorskip("ray")
SUPPORT = str(Path(remote_work.__file__).parent)
OPTIONS = {"partitions": 3, "test": 0.1, "valid": 0.1, "seed": 3}


@pytest.fixture(scope="module")
def nodes() -> Iterator[str]:
    """The address of a cluster of two nodes."""
    path = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([SUPPORT, path]).rstrip(os.pathsep)
    try:
        with raylets.cluster(nodes=2) as made:
            yield made.address
    finally:
        os.environ["PYTHONPATH"] = path


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a log of four files, and what they are prepared to without Ray."""
    room = tmp_path_factory.mktemp("log")
    frame = tm.synthetic.bookshop().interactions.to_frame()
    for n in range(4):
        frame[n::4].write_parquet(room / f"log-{n}.parquet")
    tm.prepare(str(room / "log-*.parquet"), room / "expected", **OPTIONS)
    return room


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def one_file_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "TASK_BYTES", 1)


@pytest.mark.slow
def test_on_this_machine_by_the_command(room: Path) -> None:
    options = ("--partitions", "3", "--test", ".1", "--valid", ".1", "--seed", "3")
    log = [str(room / f"log-{n}.parquet") for n in range(4)]
    told = done("data", "prepare", *log, *options, "--ray", "local", "--out", "p", cwd=room)
    assert "prepared" in told
    assert bytes_of(room / "p") == bytes_of(room / "expected")


@pytest.mark.slow
def test_on_two_nodes_whose_workers_are_killed(
    nodes: str, room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_file_a_task: None
) -> None:
    monkeypatch.setattr(preparing_on_ray, "_on_worker", remote_work.dying_pass)
    out = tmp_path / "p"
    tm.prepare(str(room / "log-*.parquet"), out, **OPTIONS, ray=nodes)
    assert len(list(tmp_path.glob("died-*"))) == 2 + 2 + 2
    assert bytes_of(out) == bytes_of(room / "expected")


@pytest.mark.slow
def test_paths_are_those_of_the_caller(
    nodes: str, room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(room)
    tm.prepare("log-*.parquet", os.path.relpath(tmp_path / "p", room), **OPTIONS, ray=nodes)
    found, expected = tm.Prepared(tmp_path / "p"), tm.Prepared(room / "expected")
    assert found.fingerprint == expected.fingerprint


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_ids_that_are_text_in_one_file(
    nodes: str, tmp_path: Path, one_file_a_task: None, ending: str
) -> None:
    numbers = pl.DataFrame({"user": range(40), "item": [n % 7 for n in range(40)]})
    texts = numbers.with_columns(user=pl.format("u{}", "user"))
    if ending == "jsonl":
        numbers = numbers.with_columns(user=pl.col("user").cast(pl.String))
    for n, frame in enumerate((numbers, texts)):
        path = tmp_path / f"{n}.{ending}"
        frame.write_csv(path) if ending == "csv" else frame.write_ndjson(path)
    log = str(tmp_path / f"*.{ending}")
    whole, made = (
        tm.prepare(log, tmp_path / name, partitions=2, ray=ray)
        for name, ray in (("a", None), ("b", nodes))
    )
    assert made.fingerprint == whole.fingerprint
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


@pytest.mark.slow
def test_a_damaged_file_is_named_and_others_are_kept(
    nodes: str, tmp_path: Path, one_file_a_task: None
) -> None:
    frame = tm.synthetic.bookshop().interactions.to_frame()
    for n in range(3):
        frame[n::3].write_parquet(tmp_path / f"log-{n}.parquet")
    good = (tmp_path / "log-2.parquet").read_bytes()
    (tmp_path / "log-2.parquet").write_bytes(good[: len(good) // 2])
    log, out = str(tmp_path / "log-*.parquet"), tmp_path / "p"
    with pytest.raises(DataError, match=r"log-2\.parquet"):
        tm.prepare(log, out, partitions=2, ray=nodes)
    (tmp_path / "log-2.parquet").write_bytes(good)
    resumed = tm.prepare(log, out, partitions=2, ray=nodes, resume=out.exists())
    whole = tm.prepare(log, tmp_path / "whole", partitions=2)
    assert resumed.fingerprint == whole.fingerprint


def test_a_folder_that_workers_do_not_see(room: Path, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="mount at the same path"):
        preparing_on_ray._on_worker(preparing_on_ray.spill, None, tmp_path / "work")


def test_run_and_ray_are_refused(room: Path, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="not both"):
        tm.prepare(str(room / "log-*.parquet"), tmp_path / "p", partitions=2, run=map, ray="local")


@pytest.mark.slow
@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:x"])
def test_an_address_that_does_not_answer(room: Path, address: str) -> None:
    log = room / "log-0.parquet"
    said = refused(
        "data", "prepare", log, "--partitions", "2", "--out", "q", "--ray", address, cwd=room
    )
    assert address in said
    assert not (room / "q").exists()
