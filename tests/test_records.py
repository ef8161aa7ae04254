"""What pages say is what records hold, and records are of the code that is here."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import trimetric as tm
from trimetric.experiments.origin import origin

TOOL = Path(__file__).parents[1] / "tools" / "records"


def test_pages_are_what_their_records_say():
    done = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_records_of_other_code_are_told():
    stale = runpy.run_path(str(TOOL))["stale"]
    record = {"date": "today", "machine": {"trimetric": tm.__version__}}
    record = json.loads(json.dumps({**record, "origin": origin(["sml", "ease"])}))
    assert stale(record) == []
    record["origin"]["recipe"]["sml"] = "another"
    assert stale(record) == ["the default settings of sml have changed since today"]
    record["origin"] |= {"version": "0.1.0", "recipe": {"gone": "x"}}
    assert stale(record) == [
        f"made by version 0.1.0, not {tm.__version__}",
        "the default settings of gone have changed since today",
    ]
    assert stale({"machine": {"trimetric": "0.0.1"}}) == [
        f"made by version 0.0.1, not {tm.__version__}"
    ]
