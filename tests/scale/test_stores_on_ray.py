"""Workers of a cluster fetch their parts from an object store themselves."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import raylets
import stores

import trimetric as tm
from trimetric.storage.store import Store

pytestmark = pytest.mark.slow

pytest.importorskip("ray")
ROOT = f"s3://{stores.BUCKET}"
SETTINGS: dict[str, Any] = {"dim": 4, "epochs": 2, "temperature": 0.3}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a cluster of two nodes that reach a store, and the cache of its workers."""
    cache = tmp_path_factory.mktemp("nodes")
    with stores.s3_server() as reached, pytest.MonkeyPatch.context() as patch:
        for name, value in reached.items():
            patch.setenv(name, value)
        patch.setenv("TRIMETRIC_CACHE", str(cache))
        with raylets.cluster(nodes=2) as made:
            patch.setenv("TRIMETRIC_CACHE", str(tmp_path_factory.mktemp("driver")))
            yield made.address, cache


def objects(uri: str) -> dict[str, bytes]:
    store = Store(uri)
    return {file.name: store.read(file.name) or b"" for file in store.files()}


def test_prepared_and_trained_from_a_store(nodes: tuple[str, Path], tmp_path: Path) -> None:
    address, cache = nodes
    frame = tm.synthetic.planted(200, 100, per_user=9).interactions.to_frame()
    log = Store(f"{ROOT}/log", writing=True)
    for n in range(2):
        frame[n::2].write_parquet(tmp_path / f"{n}.parquet")
        log.put(f"{n}.parquet", tmp_path / f"{n}.parquet")
    options: dict[str, Any] = {"partitions": 2, "valid": 0.1}
    tm.prepare(f"{ROOT}/log/*", f"{ROOT}/alone", **options)
    prepared = tm.prepare(f"{ROOT}/log/*", f"{ROOT}/prepared", ray=address, **options)
    assert objects(f"{ROOT}/prepared") == objects(f"{ROOT}/alone")

    assert not list(cache.rglob("*.arrow"))
    model = tm.SML(**SETTINGS).fit(prepared, out=f"{ROOT}/m", ray=address)
    fetched = sorted(path.name for path in cache.rglob("*.arrow"))
    assert fetched == ["part-00000.arrow", "part-00001.arrow"]
    assert Path(os.environ["TRIMETRIC_CACHE"]) != cache

    expected = tm.SML(**SETTINGS).fit(prepared, out=tmp_path / "m")
    tensors = {name: array.tobytes() for name, array in expected.tensors().items()}
    assert {name: array.tobytes() for name, array in model.tensors().items()} == tensors
    loaded = tm.load(f"{ROOT}/m").tensors()
    assert {name: array.tobytes() for name, array in loaded.items()} == tensors
