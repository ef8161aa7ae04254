"""Campaigns of attacks: few in `make test`, all of them in `make test-long`, with a record.

With TRIMETRIC_RECORD=1 the counts of a full campaign are kept in benchmarks/results/campaign.json.
"""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
COMMAND = "TRIMETRIC_RECORD=1 make test-long"


def sizes(few: int, full: int) -> list[Any]:
    """Return the parameters of a test: few attacks, and all of them where it may be long."""
    return [few, pytest.param(full, marks=pytest.mark.long)]


def note(campaign: str, **counts: int) -> None:
    """Print what came of a campaign, and keep it where a record is made."""
    print(f"{campaign}: " + ", ".join(f"{name} {count:,}" for name, count in counts.items()))
    if os.environ.get("TRIMETRIC_RECORD") != "1":
        return
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import record
    finally:
        sys.path.remove(str(BENCHMARKS))
    before = record.read("campaign").get("campaigns", {})
    campaigns = {**before, campaign: {**counts, "date": record.now()}}
    record.write("campaign", {"command": COMMAND, "campaigns": dict(sorted(campaigns.items()))})
