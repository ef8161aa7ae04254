"""Paths told from URIs, wherever something is read or written."""

from pathlib import Path

import numpy as np
import pytest
from command import done, refused

import trimetric as tm
from trimetric.errors import DataError, OutputError, ParameterError
from trimetric.storage import artifact, places

URIS = ["s3://bucket/m", "gs://bucket/m", "http://host/m", "hdfs:///m", "s3:/bucket/m"]


@pytest.fixture
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path


def test_what_is_a_uri(inside):
    assert all(map(places.is_uri, [*URIS, "file:///x", Path("s3://bucket/m")]))
    for path in ("m", "./a/b", "C:\\m", "c:/m", "a:b", "x//y", ":/", "", None, 5, b"s3://b/m"):
        assert not places.is_uri(path)
    Path("s3:").mkdir()
    assert not places.is_uri("s3:/m")


def test_home_and_file_uris(inside):
    assert places.output("~/m") == inside / "home" / "m"
    assert places.output(Path("~/m")) == inside / "home" / "m"
    assert places.source(f"file://{inside}/a%20b") == inside / "a b"
    assert places.output("a~b") == Path("a~b")
    with pytest.raises(OutputError, match="home folder"):
        places.output("~nobody_of_that_name/m")


@pytest.mark.parametrize("uri", URIS)
def test_uris_make_no_folders(inside, uri):
    split = tm.split_random(tm.synthetic.planted().interactions)
    for write in (
        lambda: split.save(uri),
        lambda: artifact.save(uri, "x", {}, {"a": np.zeros(1)}),
    ):
        with pytest.raises(OutputError, match="URI, not a path"):
            write()
    with pytest.raises(DataError, match="URI, not a path"):
        tm.Split.load(uri)
    assert [path.name for path in inside.iterdir()] == ["home"]


@pytest.mark.parametrize("uri", ["http://host/m", "https://host/m"])
def test_models_are_not_on_web_pages(inside, uri):
    split = tm.split_random(tm.synthetic.planted().interactions)
    model = tm.create("popularity").fit(split.train)
    for write in (
        lambda: model.save(uri),
        lambda: tm.create("popularity").fit(split.train, out=uri),
        lambda: tm.SML(epochs=1).fit(split.train, out=Path(uri)),
    ):
        with pytest.raises(OutputError, match="URI, not a path"):
            write()
    for read in (lambda: tm.load(uri), lambda: tm.ShardedModel.open(uri)):
        with pytest.raises(DataError, match="URI, not a path"):
            read()
    assert [path.name for path in inside.iterdir()] == ["home"]


@pytest.mark.parametrize("place", [None, 5, b"m", ["m"], "", np.array("m")])
def test_what_is_no_path(place):
    split = tm.split_random(tm.synthetic.planted().interactions)
    for call in (lambda: tm.load(place), lambda: split.save(place), lambda: tm.Split.load(place)):
        with pytest.raises(ParameterError):
            call()


def test_paths_that_cannot_be(inside):
    Path("loop").symlink_to("loop")
    for place, part in (("loop/m", "loop of"), ("x" * 5000, "longer"), ("a\0", "character")):
        with pytest.raises(OutputError, match=part):
            places.output(place)
        with pytest.raises(DataError, match=part):
            places.source(place)


def test_passwords_are_not_shown():
    with pytest.raises(OutputError) as caught:
        places.output("s3://key:secret@bucket/m")
    assert "secret" not in str(caught.value)


def test_on_the_command_line(inside):
    assert "http://bucket/m is a URI" in refused(
        "fit", "planted", "--model", "popularity", "--out", "http://bucket/m", cwd=inside
    )
    assert "is a URI" in refused("data", "split", "planted", "--out", "gs://bucket/m", cwd=inside)
    done("data", "split", "planted", "--out=~/parts", cwd=inside, env={"HOME": f"{inside}/home"})
    assert (inside / "home" / "parts" / "train.parquet").exists()
    assert sorted(path.name for path in inside.iterdir()) == ["home"]
