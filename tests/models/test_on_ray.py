"""Lists and figures computed on Ray are those computed without, whatever is lost meanwhile."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import raylets
import remote_work
from command import document, done, refused

import trimetric as tm
from trimetric.errors import ClusterError, Interrupted, OutputError, ParameterError, UnknownIds
from trimetric.models import batch, on_ray, open_model
from trimetric.models.batch import recommend_to_file
from trimetric.scale.cluster import connect

pytestmark = pytest.mark.slow

pytest.importorskip("ray")
SUPPORT = str(Path(remote_work.__file__).parent)
USERS, K, BLOCKS = 1_250, 10, 5
ALL = ("recommend", "s", "--all", "-k", str(K))


@pytest.fixture(scope="module")
def nodes() -> Iterator[str]:
    """The address of a cluster of two nodes, to which this process is connected."""
    path = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([SUPPORT, path]).rstrip(os.pathsep)
    try:
        with raylets.cluster(nodes=2) as made, connect(made.address):
            yield made.address
    finally:
        os.environ["PYTHONPATH"] = path


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a model whose users fill five blocks, in parts and whole, and their lists."""
    room = tmp_path_factory.mktemp("batch")
    users = np.repeat(np.arange(USERS), 4)
    items = (users * 7 + np.arange(4 * USERS) % 4 * 31) % 300
    split = tm.split_random(tm.Interactions.from_arrays(users, items), seed=1)
    split.save(room / "split")
    model = tm.SML(dim=8, epochs=0, temperature=0.2).fit(split)
    model.save(room / "m")
    model.save(room / "s", partitions=3)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(batch, "ROWS_PER_BLOCK", USERS * K // BLOCKS)
        for name in ("m", "s"):
            told = done("recommend", name, *ALL[2:], "--out", f"{name}.parquet", cwd=room)
            assert told.startswith("wrote 12,500 ")
        yield room


def lists(folder: Path) -> list[bytes]:
    """The files of a data set, each with the rows of one block."""
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"{n:06}.parquet" for n in range(BLOCKS)]
    return [(folder / name).read_bytes() for name in names]


@pytest.mark.parametrize("model", ["s", "m"])
def test_the_same_file_and_folder_by_the_command(nodes: str, room: Path, model: str) -> None:
    command = ("recommend", model, *ALL[2:])
    assert "12,500" in done(*command, "--ray", nodes, "--out", f"ray-{model}.parquet", cwd=room)
    whole = room / f"{model}.parquet"
    assert (room / f"ray-{model}.parquet").read_bytes() == whole.read_bytes()
    told = document(*command, "--ray", nodes, "--out", f"lists-{model}", cwd=room)
    assert told["rows"] == USERS * K
    done(*command, "--out", f"here-{model}/", cwd=room)
    assert lists(room / f"lists-{model}") == lists(room / f"here-{model}")
    assert pl.read_parquet(room / f"lists-{model}").equals(pl.read_parquet(whole))
    again = refused(*command, "--ray", nodes, "--out", f"lists-{model}", cwd=room)
    assert "holds something already" in again
    assert "replaced" not in again


def test_titles_stand_beside_items(nodes: str, room: Path) -> None:
    """They are added where the files are written."""
    table = pl.DataFrame({"item": range(300), "title": [f"Title {n}" for n in range(300)]})
    table.write_csv(room / "titles.csv")
    for name, ray in (("a.csv", ()), ("b.csv", ("--ray", nodes))):
        done(*ALL, "--items", "titles.csv", *ray, "--out", name, cwd=room)
    assert (room / "a.csv").read_bytes() == (room / "b.csv").read_bytes()
    assert "Title" in (room / "a.csv").read_text()


@pytest.mark.parametrize("out", ["lists.parquet", "lists"])
def test_workers_killed_in_the_middle(
    nodes: str, room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.setattr(on_ray, "_block", remote_work.dying_block(str(tmp_path)))
    model = open_model(room / "s")
    assert recommend_to_file(model, tmp_path / out, ray=nodes, progress=False) == USERS * K
    assert len(list(tmp_path.glob("died-*"))) == BLOCKS - 1
    assert pl.read_parquet(tmp_path / out).equals(pl.read_parquet(room / "s.parquet"))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


_KILLED = """
import os, signal, sys
from trimetric.models import batch, open_model
batch.ROWS_PER_BLOCK = int(sys.argv[4])
calls = []

def die_at_third(rows):
    calls.append(rows)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return rows

model = open_model(sys.argv[1])
batch.recommend_to_file(model, sys.argv[2], ray=sys.argv[3], then=die_at_third, progress=False)
"""


def test_the_driver_killed_and_started_again(nodes: str, room: Path, tmp_path: Path) -> None:
    size = str(batch.ROWS_PER_BLOCK)
    command = [sys.executable, "-c", _KILLED, room / "s", tmp_path / "lists", nodes, size]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    kept = {path.name: path.stat().st_ino for path in tmp_path.rglob("*.parquet")}
    assert sorted(kept) == ["000000.parquet", "000001.parquet"]
    recommend_to_file(open_model(room / "s"), tmp_path / "lists", ray=nodes, progress=False)
    assert pl.read_parquet(tmp_path / "lists").equals(pl.read_parquet(room / "s.parquet"))
    assert {name: (tmp_path / "lists" / name).stat().st_ino for name in kept} == kept


@pytest.mark.parametrize("out", ["lists.parquet", "lists/"])
def test_begun_on_ray_and_finished_without(
    nodes: str, room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    model, calls = open_model(room / "s"), []

    def stop_at_third(rows: pl.DataFrame) -> pl.DataFrame:
        calls.append(len(rows))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return rows

    place = f"{tmp_path}/{out}"
    with pytest.raises(Interrupted, match="are done and kept"):
        recommend_to_file(model, place, ray=nodes, then=stop_at_third, progress=False)
    hidden = tmp_path / f".{out.rstrip('/')}.blocks"
    kept = {path.name: path.stat().st_ino for path in hidden.glob("*.parquet")}
    assert sorted(kept) == ["000000.parquet", "000001.parquet"]
    recommend_to_file(model, place, progress=False)
    assert pl.read_parquet(place).equals(pl.read_parquet(room / "s.parquet"))
    assert not hidden.exists()
    if out.endswith("/"):  # the finished files were kept as they are
        assert {name: Path(place, name).stat().st_ino for name in kept} == kept


def test_what_another_model_began_is_not_taken(nodes: str, room: Path, tmp_path: Path) -> None:
    hidden = tmp_path / ".lists.blocks"
    hidden.mkdir()
    (hidden / "manifest.json").write_text('{"format": "trimetric blocks", "model": "another"}')
    (hidden / "000000.parquet").write_bytes(b"PAR1")
    done(*ALL, "--ray", nodes, "--out", str(tmp_path / "lists"), cwd=room)
    assert pl.read_parquet(tmp_path / "lists").equals(pl.read_parquet(room / "s.parquet"))


@pytest.mark.parametrize("users", [[3, 1, 1_200], None])
@pytest.mark.parametrize("name", ["s", "m"])
def test_filters_and_some_users(
    nodes: str, room: Path, tmp_path: Path, users: list[int] | None, name: str
) -> None:
    model = open_model(room / name)
    options = {"k": 4, "allow": {n: [n % 300, 5, 7, 250] for n in range(USERS)}, "deny": [7]}
    found = []
    for file, ray in (("a.csv", None), ("b.csv", nodes)):
        recommend_to_file(model, tmp_path / file, users, ray=ray, progress=False, **options)
        found.append((tmp_path / file).read_bytes())
    assert found[0] == found[1]
    assert len(found[0]) > 10


def test_errors_of_tasks_are_as_without(nodes: str, room: Path, tmp_path: Path) -> None:
    model = open_model(room / "s")
    with pytest.raises(UnknownIds, match="77777"):
        recommend_to_file(model, tmp_path / "a.csv", [3, 77_777], ray=nodes, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_lists_that_go_nowhere_are_refused(room: Path) -> None:
    for asked in (("--user", "3"), ("--item", "3")):
        said = refused("recommend", "s", *asked, "--ray", "local", cwd=room)
        assert "--all and --out FILE" in said


def test_nodes_that_see_another_model_or_none(room: Path, tmp_path: Path) -> None:
    for folder in (tmp_path, room / "m", room / "s"):
        with pytest.raises(ClusterError, match="at the same path"):
            on_ray.opened(str(folder), "another")


@pytest.mark.parametrize("name", ["mine.txt", "000000.parquet", ".hidden"])
def test_a_folder_with_files_is_refused_before_work(room: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / name).touch()
    with pytest.raises(OutputError, match="holds something already"):
        recommend_to_file(open_model(room / "s"), f"{tmp_path}/lists/", progress=False)
    assert [path.name for path in (tmp_path / "lists").iterdir()] == [name]


@pytest.mark.parametrize(
    "options",
    [{}, {"protocol": "sampled-499"}, {"protocol": "as-released"}, {"exclude_seen": False}],
    ids=["full", "sampled", "released", "repeats"],
)
def test_figures_are_the_same(nodes: str, room: Path, options: dict) -> None:
    split = tm.Split.load(room / "split")
    whole, parts = open_model(room / "m"), open_model(room / "s")
    expected = tm.evaluate(whole, split, **options)
    for ray in (None, nodes):
        found = tm.evaluate(parts, split, ray=ray, **options)
        assert found.to_dict() == expected.to_dict()
        assert found.ranks.ranks.tobytes() == expected.ranks.ranks.tobytes()
        assert found.ranks.n_candidates.tobytes() == expected.ranks.n_candidates.tobytes()


def test_figures_by_the_command(nodes: str, room: Path) -> None:
    command = ("evaluate", "s", "--split", "split")
    assert document(*command, "--ray", nodes, cwd=room) == document(*command, cwd=room)
    said = refused("evaluate", "m", "--split", "split", "--ray", nodes, cwd=room)
    assert "partitions=P" in said


def test_figures_of_lists_are_not_computed_on_ray(nodes: str, room: Path) -> None:
    with pytest.raises(ParameterError, match="leave --ray out"):
        tm.evaluate(str(room / "s.parquet"), tm.Split.load(room / "split"), ray=nodes)


@pytest.mark.parametrize(
    "command", [("evaluate", "s", "--split", "split"), (*ALL, "--out", "nothing")]
)
def test_an_address_that_does_not_answer(room: Path, command: tuple[str, ...]) -> None:
    began = time.monotonic()
    address = f"127.0.0.1:{raylets.free_port()}"
    said = refused(*command, "--ray", address, cwd=room)
    assert time.monotonic() - began < 30
    assert address in said
    assert not (room / "nothing").exists()
