"""What training leaves behind, as one object that never changes."""

from dataclasses import dataclass, field
from typing import Any

from trimetric.space.known import Known
from trimetric.space.scorer import Scorer


@dataclass(frozen=True, eq=False)
class Fitted:
    """What training leaves behind.

    Parameters
    ----------
    known : Known
        Ids by row, and what each user has seen.
    scorer : Scorer
    history : list of dict
        One row an epoch.
    provenance : dict
        What it was trained and validated on, as JSON values.
    """

    known: Known
    scorer: Scorer
    history: list[dict[str, Any]] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
