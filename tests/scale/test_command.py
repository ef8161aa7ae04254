"""Training in parts from the command line."""

from pathlib import Path

import pytest
from command import done, inside, refused

import trimetric as tm


def test_fit_in_parts_and_resume(tmp_path: Path) -> None:
    common = ("fit", "planted", "--model", "sml", "--epochs", "2", "--dim", "8", "--set")
    common += ("temperature=.3", "--out", "m", "--partitions")
    done(*common, "3", cwd=tmp_path)
    assert tm.load(tmp_path / "m").provenance["partitions"] == 3
    again = inside(*common, "3", "--resume", cwd=tmp_path)
    assert "nothing to resume" in again.stderr
    assert refused(*common, "2", "--resume", cwd=tmp_path)


def test_a_finished_model_of_prepared_data_that_was_validated_otherwise(tmp_path: Path) -> None:
    done("data", "split", "planted", "--out", "split", cwd=tmp_path)
    prepare = ("data", "prepare", "split/train.parquet", "--partitions", "2", "--valid", ".1")
    done(*prepare, "--out", "parts", cwd=tmp_path)
    fit = ("fit", "parts", "--model", "sml", "--epochs", "1", "--dim", "8", "--set")
    fit += ("temperature=.3", "--out")
    for out, valid in (("a", None), ("b", "split/valid.parquet"), ("c", "none")):
        given = () if valid is None else ("--valid", valid)
        done(*fit, out, *given, cwd=tmp_path)
        again = inside(*fit, out, *given, "--resume", cwd=tmp_path)
        assert "nothing to resume" in again.stderr
    for out, valid in (("a", "none"), ("b", "none"), ("c", "split/valid.parquet")):
        told = refused(*fit, out, "--valid", valid, "--resume", cwd=tmp_path)
        assert "holds a finished model of another run" in told


@pytest.mark.parametrize(
    ("model", "partitions", "told"),
    [("ease", "2", "cannot be trained in parts"), ("sml", "0", "a whole number from 1 on")],
)
def test_what_cannot_be(model: str, partitions: str, told: str, tmp_path: Path) -> None:
    given = ("fit", "planted", "--model", model, "--partitions", partitions, "--out", "m")
    assert told in refused(*given, cwd=tmp_path)
