"""Protocols by name, as on the command line."""

import re

from trimetric.errors import ParameterError
from trimetric.evaluation.protocols import EvaluationProtocol, FullRanking, SampledCandidates
from trimetric.evaluation.released import AsReleased


def protocol(name: str) -> EvaluationProtocol:
    """Return the protocol of a name: `full`, `dpcml`, `sampled-N` (N candidates), `as-released`.

    Raises
    ------
    ParameterError
        The name is unknown.
    """
    if name == "full":
        return FullRanking()
    if name == "dpcml":
        return FullRanking.dpcml()
    if name == "as-released":
        return AsReleased()
    if sampled := re.fullmatch("sampled-([1-9][0-9]{0,8})", name):
        return SampledCandidates(int(sampled[1]))
    raise ParameterError(
        f"unknown protocol {name!r}; choose full, dpcml, sampled-N (N >= 1), or as-released"
        " (which leaks, for comparison with published figures only)"
    )
