"""Lists for all users computed on Ray are those computed without, whatever is lost meanwhile."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import raylets
import remote_work
from command import done, refused

import trimetric as tm
from trimetric.errors import ClusterError, OutputError, ParameterError
from trimetric.models import batch_on_ray, open_model
from trimetric.models.batch import recommend_to_file

pytest.importorskip("ray")
SUPPORT = str(Path(remote_work.__file__).parent)
USERS, K, BLOCKS = 12_500, 100, 5
ALL = ("recommend", "s", "--all", "-k", str(K))


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
    """A folder with a model whose users fill five blocks, in parts and whole, and their lists."""
    room = tmp_path_factory.mktemp("batch")
    users = np.repeat(np.arange(USERS), 3)
    pairs = tm.Interactions.from_arrays(users, (users * 7 + np.arange(3 * USERS) % 3 * 31) % 300)
    model = tm.SML(dim=8, epochs=0, temperature=0.2).fit(pairs)
    model.save(room / "m")
    model.save(room / "s", partitions=3)
    assert done(*ALL, "--out", "whole.parquet", cwd=room).startswith("wrote 1,250,000 ")
    return room


def test_the_same_file_and_folder_by_the_command(room: Path) -> None:
    assert "1,250,000" in done(*ALL, "--ray", "local", "--out", "local.parquet", cwd=room)
    whole = (room / "whole.parquet").read_bytes()
    assert (room / "local.parquet").read_bytes() == whole
    assert "1,250,000" in done(*ALL, "--ray", "local", "--out", "lists", cwd=room)
    assert [path.suffix for path in sorted((room / "lists").iterdir())] == [".parquet"] * BLOCKS
    assert pl.read_parquet(room / "lists").equals(pl.read_parquet(room / "whole.parquet"))
    said = refused(*ALL, "--ray", "local", "--out", "lists", cwd=room)
    assert "holds something already" in said


def test_workers_killed_in_the_middle(
    nodes: str, room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_on_ray, "_block", remote_work.dying_block(str(tmp_path)))
    model = open_model(room / "s")
    rows = recommend_to_file(
        model, tmp_path / "lists.parquet", k=K, ray=nodes, checksum="c", progress=False
    )
    assert rows == USERS * K
    assert len(list(tmp_path.glob("died-*"))) == BLOCKS - 1
    assert (tmp_path / "lists.parquet").read_bytes() == (room / "whole.parquet").read_bytes()


def test_begun_on_ray_and_finished_without(
    nodes: str, room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, out = open_model(room / "s"), tmp_path / "lists.parquet"
    calls = []

    def stop_at_third(rows: pl.DataFrame) -> pl.DataFrame:
        calls.append(len(rows))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return rows

    with pytest.raises(tm.errors.Interrupted, match="are done and kept"):
        recommend_to_file(model, out, k=K, ray=nodes, then=stop_at_third, progress=False)
    assert len(list((tmp_path / ".lists.parquet.blocks").glob("*.parquet"))) == 2
    recommend_to_file(model, out, k=K, progress=False)
    assert out.read_bytes() == (room / "whole.parquet").read_bytes()
    assert not (tmp_path / ".lists.parquet.blocks").exists()


@pytest.mark.parametrize("users", [[3, 1, 12_000], None])
def test_filters_and_some_users(
    nodes: str, room: Path, tmp_path: Path, users: list[int] | None
) -> None:
    model = open_model(room / "s")
    options = {"k": 4, "allow": {n: [n % 300, 5, 7, 250] for n in range(USERS)}, "deny": [7]}
    found = []
    for name, ray in (("a.csv", None), ("b.csv", nodes)):
        recommend_to_file(model, tmp_path / name, users, ray=ray, progress=False, **options)
        found.append((tmp_path / name).read_bytes())
    assert found[0] == found[1]
    assert len(found[0]) > 10


def test_errors_of_tasks_are_as_without(nodes: str, room: Path, tmp_path: Path) -> None:
    model = open_model(room / "s")
    with pytest.raises(tm.errors.UnknownIds, match="77777"):
        recommend_to_file(model, tmp_path / "a.csv", [3, 77_777], ray=nodes, progress=False)


def test_a_model_that_is_not_in_parts_is_refused(room: Path, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="partitions=P"):
        recommend_to_file(tm.load(room / "m"), tmp_path / "a.csv", ray="local", progress=False)
    said = refused("recommend", "m", "--all", "--out", "x.csv", "--ray", "local", cwd=room)
    assert "in parts" in said
    said = refused("recommend", "s", "--user", "3", "--ray", "local", cwd=room)
    assert "--all --out FILE" in said


def test_nodes_that_see_another_model_or_none(room: Path, tmp_path: Path) -> None:
    for folder in (tmp_path, room / "m", room / "s"):
        with pytest.raises(ClusterError, match="at the same path"):
            batch_on_ray._opened(str(folder), "another")


def test_a_folder_with_files_is_refused_before_work(room: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "mine.txt").touch()
    with pytest.raises(OutputError, match="holds something already"):
        recommend_to_file(open_model(room / "s"), tmp_path / "lists", ray="local", progress=False)
