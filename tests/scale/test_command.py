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


@pytest.mark.parametrize(
    ("model", "partitions", "told"),
    [("ease", "2", "cannot be trained in parts"), ("sml", "0", "a whole number from 1 on")],
)
def test_what_cannot_be(model: str, partitions: str, told: str, tmp_path: Path) -> None:
    given = ("fit", "planted", "--model", model, "--partitions", partitions, "--out", "m")
    assert told in refused(*given, cwd=tmp_path)
