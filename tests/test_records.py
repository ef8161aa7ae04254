"""What pages say is what records hold, and records are of the code that is here."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import trimetric as tm
from trimetric.experiments.origin import origin

ROOT = Path(__file__).parents[1]
TOOL = ROOT / "tools" / "records"


def kept(name: str) -> dict:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def test_pages_are_what_their_records_say():
    done = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_records_of_other_code_are_told():
    stale = runpy.run_path(str(TOOL))["stale"]
    record = {"date": "today", "machine": {"trimetric": tm.__version__}}
    record = json.loads(json.dumps({**record, "origin": origin(["sml", "ease"])}))
    record["origin"]["commit"] = "0123456789ab"  # there is none in a copy without its history
    assert stale(record) == []
    record["origin"]["recipe"]["sml"] = "another"
    assert stale(record) == ["the default settings of sml have changed since today"]
    record["origin"] |= {"version": "0.1.0", "recipe": {"gone": "x"}}
    assert stale(record) == [
        f"made by version 0.1.0, not {tm.__version__}",
        "the default settings of gone have changed since today",
    ]
    assert stale({"machine": {"trimetric": "0.0.1"}}) == [
        f"made by version 0.0.1, not {tm.__version__}",
        "names no commit",
    ]


def test_what_is_said_of_margins_is_in_the_record() -> None:
    prose = (ROOT / "docs/margins.md").read_text().split("<!-- from the record -->")[0]
    rows = [
        row
        for trainers in kept("margins")["sets"].values()
        for trained in trainers.values()
        for row in trained["forms"].values()
    ]
    said = {f"{row['difference']:+.4f}".replace("0.", ".") for row in rows if "difference" in row}
    figures = re.findall(r"\+\.\d+", prose) + re.findall(r"lose (\.\d+)", prose)
    assert len(figures) > 5
    for figure in figures:
        assert figure in said or f"-{figure}" in said, figure


def test_what_is_said_of_training_in_parts_is_in_the_record() -> None:
    rows = kept("scale_quality")["rows"].values()
    least = {parts: min(row[parts]["beside_whole"] for row in rows) for parts in ("8", "32")}
    words = " ".join((ROOT / "docs/howto/parts.md").read_text().split())
    eight, more = (f"{value:.3f}".removeprefix("0") for value in least.values())
    assert f"keep {eight} of NDCG@10 or more, with P = 32 {more} or more" in words


def test_limits_of_the_server_are_as_listed() -> None:
    from trimetric.serve.settings import Limits

    page = " ".join((ROOT / "docs/serving.md").read_text().split())
    listed = re.search(r"`--limit NAME=VALUE`: (.*?)\. Requests", page)
    assert listed
    pairs = re.findall(r"`(\w+)` \((\d+)\)", listed[1])
    assert {name: float(value) for name, value in pairs} == vars(Limits())
