"""Protocols by name."""

from typing import Any

import pytest

from trimetric.errors import ParameterError
from trimetric.evaluation import FullRanking, SampledCandidates, protocol
from trimetric.evaluation.released import AsReleased


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("full", FullRanking()),
        ("dpcml", FullRanking.dpcml()),
        ("sampled-1", SampledCandidates(1)),
        ("sampled-499", SampledCandidates(499)),
        ("sampled-999999999", SampledCandidates(999_999_999)),
        ("as-released", AsReleased()),
    ],
)
def test_each_name_is_one_protocol(name: str, expected: Any) -> None:
    assert protocol(name) == expected
    assert protocol(name).name == name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "half",
            "Full",
            "full ",
            "released",
            "sampled",
            "sampled-",
            "sampled-0",
            "sampled--1",
        ),
        *("sampled-05", "sampled-5x", "a sampled-5", "sampled-1000000000", "sampled-1.5"),
    ],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ParameterError, match=f"unknown protocol '{name}'; choose full, dpcml"):
        protocol(name)
