"""The paper reproduced in small: every section is there, labelled, sourced and warned of."""

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import document, refused

import trimetric as tm
from trimetric.evaluation.released import WARNING
from trimetric.experiments import report as report_files
from trimetric.experiments import tune
from trimetric.experiments.jobs import LEAKED
from trimetric.experiments.paper import TARGETS, figures, recipes, reproduce, tables
from trimetric.experiments.paper.cells import CAUTION, cell, ranked

GAMMAS = (0.01, 10.0, 1000.0)
RATED = tm.synthetic.planted(120, 60, dim=4, clusters=4, per_user=8, seed=1).interactions.to_frame()


def rated() -> tm.Interactions:
    """Return planted pairs with ratings of 1 to 5, under the name of a published data set."""
    frame = RATED.with_columns(rating=1 + np.arange(len(RATED)) % 5)
    return tm.Interactions.from_frame(frame, name="amazon_instant_video_5core")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Reproduce everything, with fewer systems, points, trials and epochs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_files, "_images", lambda drawn: ({}, "not drawn"))
        patch.setattr(figures, "GAMMAS", GAMMAS)
        patch.setattr(figures, "LAMBDAS", (0.01, 1.0))
        patch.setitem(tune.BUDGETS, "small", tune.Budget("small", 3, 60))
        patch.setattr(tables, "SYSTEMS", ("cml", "sml"))
        patch.setattr(tables, "REFERENCES", ("popularity",))
        folder = tmp_path_factory.mktemp("report")
        made = reproduce(rated(), out=folder, seeds=2, command="trimetric reproduce all")
    assert json.loads((folder / "report.json").read_text())["title"] == made["title"]
    assert CAUTION in (folder / "report.md").read_text()
    made["page"] = (folder / "report.html").read_text()
    return made


def titled(report: dict[str, Any], start: str) -> dict[str, Any]:
    return next(s for s in report["sections"] if s["title"].startswith(start))


def test_every_section_is_there(report: dict[str, Any]) -> None:
    titles = [section["title"] for section in report["sections"]]
    for wanted in ("Table 3", "The leak", "Table 4", "Figure 4", "Figure 5", "Figure 6", "Whether"):
        assert any(title.startswith(wanted) for title in titles), wanted
    assert any("could not be had" in title for title in titles)
    assert titled(report, "Where the published values disagree")["rows"]
    assert "official 5-core" in report["data"]["note"]


def test_every_number_carries_its_source(report: dict[str, Any]) -> None:
    for section in report["sections"]:
        for row in section.get("rows", []):
            for key, one in row["cells"].items():
                assert one["source"], (section["title"], key)
        for panel in section.get("panels", []):
            assert all(series["source"] for series in panel["series"])
    table = titled(report, "Table 3: the eight")
    sml = next(row["cells"] for row in table["rows"] if row["label"] == "sml")
    assert sml["paper micro_recall@5"] == {
        "value": 0.7309,
        "source": "Li et al., AAAI 2020, Table 3",
    }
    assert sml["leak micro_recall@5"]["source"] == "this run, as-released, leak, 2 seeds"
    assert sml["full ndcg@10"]["source"] == "this run, honest full ranking, 2 seeds"
    popular = next(row["cells"] for row in table["rows"] if row["label"] == "popularity")
    assert popular["leak micro_recall@5"]["mark"] == "‡"
    assert "trained without it" in popular["leak micro_recall@5"]["source"]
    assert popular["paper micro_recall@5"]["value"] is None


def test_the_papers_hr_is_called_so(report: dict[str, Any]) -> None:
    """It is micro-averaged recall: under its bare name it would be taken for the hit rate."""
    told = json.dumps(report, ensure_ascii=False)
    assert "HR (paper)@5" in told
    assert not re.search(r"(?i)\bhr@", told)
    for section in report["sections"]:
        labels = [column["label"] for column in section.get("columns", [])]
        assert "HR (paper)@10" not in labels or "recall@10" not in labels
        assert not any("micro_recall" in label for label in labels)
        for panel in section.get("panels", []):
            named = [series["name"] for series in panel["series"]]
            assert not any("micro_recall" in name for name in named)
            assert panel["y"]["label"] != "HR@K"
    figure = titled(report, "Figure 5")
    assert "HR (paper)@10" in [series["name"] for series in figure["panels"][0]["series"]]


def test_records_of_earlier_versions_are_read() -> None:
    """They have the paper's HR under the name hr@K."""
    old = {"metrics": {"full": {"hr@5": 0.25, "recall@5": 0.5}}}
    assert cell([old], "full", "micro_recall@5", "x")["value"] == 0.25
    assert cell([old], "full", "recall@5", "x")["value"] == 0.5
    assert cell([old], "full", "hit_rate@5", "x")["value"] is None
    new = {"metrics": {"full": {"micro_recall@5": 0.75}}}
    assert cell([old, new], "full", "micro_recall@5", "x")["value"] == 0.5


def test_what_leaks_is_warned_of(report: dict[str, Any]) -> None:
    for section in report["sections"]:
        columns = section.get("columns", [])
        leaks = any(c.get("leak") for c in columns) or section["kind"] == "figure"
        assert not leaks or section["warning"] == CAUTION
    assert CAUTION in html.unescape(report["page"])
    assert WARNING.removeprefix("WARNING, a leak: ").lower() in CAUTION.lower()


def test_the_leak_shows(report: dict[str, Any]) -> None:
    row = titled(report, "The leak")["rows"][-1]["cells"]
    assert row["pool micro_recall@5"]["value"] >= row["fresh micro_recall@5"]["value"]


def test_margins_are_kept_and_summed_up(report: dict[str, Any]) -> None:
    rows = titled(report, "Whether")["rows"]
    assert len(rows) == 3 * len(GAMMAS)
    held = next(r["cells"] for r in rows if r["label"] == "honest, hardest of 10, γ = 1000")
    assert held["user full"]["value"] == held["item full"]["value"] == 1
    fell = next(r["cells"] for r in rows if r["label"] == "honest, hardest of 10, γ = 0.01")
    assert fell["user mean"]["value"] < held["user mean"]["value"]


def test_as_released_settings() -> None:
    spend = recipes.Budget("tiny", 1, 40)
    job = recipes.leaked("base+s", spend)
    assert job.leaked
    assert job.protocols[0] == LEAKED
    assert job.settings["preset"] == "released"
    assert job.settings["epochs"] == 40
    assert recipes.leaked("bpr", spend).settings.keys() == {"patience", "validate_every"}
    chosen = {"lam": 0.3, "gamma": 9.0, "lr": 0.1}
    assert recipes.variant("base", chosen) == {"gamma": 9.0, "lr": 0.1}
    assert recipes.variant("sml", chosen) == chosen


def test_cells_say_why_they_are_empty() -> None:
    assert cell([{"error": "too large"}], "full", "map", "x") == {
        "value": None,
        "source": "too large",
    }
    assert cell([], "full", "map", "x")["source"] == "not run"
    assert ranked({"a": 0.1, "b": 0.3, "c": float("nan")}) == "b > a"


def test_the_command(tmp_path: Path) -> None:
    rated().to_frame().write_csv(tmp_path / "likes.csv")
    args = ["reproduce", "fig4", "--dataset", "likes.csv", "--seeds", "1", "--out", "r"]
    found = document(*args, "--quiet", cwd=tmp_path)
    assert [s["title"] for s in found["sections"]][1] == "Figure 4: SML by λ"
    assert (tmp_path / "r" / "report.html").exists()
    assert "nothing published" in found["data"]["note"]


def test_refusals(tmp_path: Path) -> None:
    said = refused("reproduce", "table9", "--dataset", "planted", cwd=tmp_path)
    assert "TARGET must be all or among table3" in said
    said = refused("reproduce", "all", "--dataset", "instant-video", cwd=tmp_path)
    assert "amazon_instant_video_5core" in said
    said = refused("compare", "planted", "--models", "sml,oracle", cwd=tmp_path)
    assert "got 'oracle'" in said
    said = refused("compare", "planted", "--valid", "0", cwd=tmp_path)
    assert "no validation part" in said
    said = refused("compare", "planted", "--set", "lr=1", cwd=tmp_path)
    assert "--set takes MODEL.NAME=VALUE" in said
    assert not list(tmp_path.iterdir())
    assert TARGETS[0] == "table3"
